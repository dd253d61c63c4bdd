//! `meanwhile blob read`.

use std::fs::File;
use std::io;
use std::io::Seek as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use client::blobs::BlobError;
use client::blobs::BlobReader;
use client::blobs::KeeperFault;
use types::BlobId;

use crate::error::Failure;
use crate::files;
use crate::output;
use crate::output::Progress;

use super::Nodes;
use super::size;
use super::threads;

/// Read a blob from the network
///
/// Believes nobody: every piece is held against the blob's name, and the whole against what its writer
/// promised, before a byte is handed out. Validators that lie are named and read around.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile blob read ID -o photo.jpg\n  meanwhile blob read ID --range \
                  0-1000 > head"
)]
pub(super) struct Read {
    /// The blob
    id: BlobId,
    /// The file to write, which must not exist yet [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only these bytes, the last one not included. They are proven to be what the writer stored;
    /// whether the whole is consistent only a whole read can tell
    #[arg(long, value_name = "FROM-TO")]
    range: Option<ByteRange>,
    #[command(flatten)]
    nodes: Nodes,
}

/// Bytes of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ByteRange(Range<u64>);

impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('-').and_then(|(from, to)| {
            let range = from.parse().ok()?..to.parse().ok()?;
            (range.start < range.end).then_some(range)
        });
        parsed.map(Self).ok_or_else(|| "write it like 0-1000".to_owned())
    }
}

impl Read {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = self.nodes.client()?;
        let service = client.blob_service().await?;
        let keepers = self.nodes.keepers(&service)?;
        let reader = BlobReader::open(&client, keepers, self.id, threads()).await?;
        let path = self.output.as_deref();
        let mut aside = Aside::new(path)?;
        if let Some(ByteRange(range)) = self.range {
            let mut reader = reader;
            reader.read_range(range, |bytes| aside.file.write_all(bytes)).await?;
            tell(&reader.into_faults());
            return aside.publish(path);
        }
        let length = reader.meta().layout.length();
        let mut progress = Progress::new("reading", length);
        let mut done = 0;
        let report = reader
            .read_all(|bytes| {
                done += u64::try_from(bytes.len()).unwrap_or(0);
                progress.at(done, "");
                aside.file.write_all(bytes)
            })
            .await;
        progress.finish();
        let report = report?;
        tell(&report.faults);
        output::say(&format!("{} read and checked against the name", size(length)));
        aside.publish(path)
    }
}

/// Says who lied or was silent.
fn tell(faults: &[KeeperFault]) {
    faults.iter().for_each(|fault| output::say(&fault.to_string()));
}

/// Where bytes wait until they are valid.
struct Aside {
    file: File,
    /// Its name, when it is to become the output.
    name: Option<PathBuf>,
}

impl Aside {
    fn new(output: Option<&Path>) -> Result<Self, Failure> {
        let Some(output) = output else {
            let file = tempfile::tempfile().map_err(BlobError::from)?;
            return Ok(Self { file, name: None });
        };
        if output.exists() {
            return Err(files::at(output, io::Error::from(io::ErrorKind::AlreadyExists)));
        }
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let name = output.with_file_name(name);
        let file = File::create_new(&name).map_err(|source| files::at(&name, source))?;
        Ok(Self { file, name: Some(name) })
    }

    fn publish(mut self, output: Option<&Path>) -> Result<(), Failure> {
        if let (Some(name), Some(output)) = (self.name.take(), output) {
            let published = self.file.sync_all().and_then(|()| std::fs::rename(&name, output));
            return published.map_err(|source| files::at(output, source));
        }
        let mut stdout = io::stdout().lock();
        let copied = self.file.rewind().and_then(|()| io::copy(&mut self.file, &mut stdout));
        copied.and_then(|_| stdout.flush()).map_err(Failure::Stdout)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            std::fs::remove_file(name).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_first_byte_and_one_behind_the_last() {
        assert_eq!("5-7".parse(), Ok(ByteRange(5..7)));
        for text in ["", "5", "5-", "-7", "7-5", "5-5", "a-b"] {
            assert!(text.parse::<ByteRange>().is_err(), "{text}");
        }
    }
}
