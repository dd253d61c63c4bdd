//! `meanwhile blob`: puts files onto the network and gets them back.

mod change;
mod key;
mod read;
mod show;
mod store;
mod verify;

use std::num::NonZeroUsize;

use clap::Args;
use clap::Subcommand;
use client::Client;
use client::Deadlines;
use client::api::blobs::BlobService;
use client::blobs::Keepers;

use crate::error::Failure;

use super::NodeUrl;
use super::block_on;

/// Store files on the network, read them back, prove that they are kept
///
/// The bytes lie at the validators, each of which keeps one shard; the chain holds 53 bytes. A blob
/// that is certified can be read whatever happens to a third of the validators.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Store(store::Store),
    Read(read::Read),
    Status(show::Status),
    Extend(change::Extend),
    Delete(change::Delete),
    Proof(show::Proof),
    Verify(verify::Verify),
}

/// Which nodes are asked.
#[derive(Clone, Debug, Args)]
struct Nodes {
    #[command(flatten)]
    node: NodeUrl,
    /// Where the validators serve HTTP, in the order of the committee [default: what the node says]
    #[arg(long, value_name = "URL,URL,...", value_delimiter = ',')]
    keepers: Vec<String>,
}

impl Nodes {
    fn client(&self) -> Result<Client, Failure> {
        self.node.client()
    }

    /// Who keeps shards.
    fn keepers(&self, service: &BlobService) -> Result<Keepers, Failure> {
        let deadlines = Deadlines::default();
        Ok(match self.keepers.is_empty() {
            true => Keepers::new(service, deadlines)?,
            false => Keepers::at(&self.keepers, deadlines)?,
        })
    }
}

impl Arguments {
    /// Does it.
    ///
    /// # Errors
    /// When it can not be done; the error says what to do next.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Store(arguments) => block_on(arguments.run()),
            Command::Read(arguments) => block_on(arguments.run()),
            Command::Status(arguments) => block_on(arguments.run()),
            Command::Extend(arguments) => block_on(arguments.run()),
            Command::Delete(arguments) => block_on(arguments.run()),
            Command::Proof(arguments) => block_on(arguments.run()),
            Command::Verify(arguments) => arguments.run(),
        }
    }
}

/// How many threads encode.
fn threads() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// A number of bytes, for a person.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = UNITS.iter().find(|(_, power)| bytes >= 1 << power);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(name, power)| {
            let tenths = (u128::from(bytes) * 10) >> power;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_unit_that_reads_best() {
        let rows =
            [(0, "0 bytes"), (1_023, "1023 bytes"), (1_536, "1.5 KiB"), (10 << 30, "10.0 GiB")];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
    }
}
