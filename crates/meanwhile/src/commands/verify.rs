//! `meanwhile verify`: checks a receipt or a checkpoint with the genesis file alone.
//!
//! **Invariant:** it asks nobody. Whoever runs it needs this program, the file and the genesis, on
//! any machine, at any time.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use types::BitcoinHash;
use types::Checkpoint;
use types::CommitIndex;
use types::Digest;
use types::Genesis;
use types::Height;
use types::receipt::ProvenCheckpoint;
use types::receipt::RECEIPT_BYTES_MAX;
use types::receipt::Receipt;
use types::receipt::ReceiptError;
use types::receipt::verify_checkpoint;
use types::receipt::verify_receipt;
use types::results::Outcome;

use crate::error::Failure;
use crate::files;
use crate::output;

/// Check a receipt or a checkpoint offline, with the genesis file alone
///
/// Exit code 0 means proven: a quorum of the validators that the genesis names has signed it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  meanwhile tx receipt TXID --wait -o receipt.json\n  meanwhile verify \
                  receipt.json --genesis genesis.json"
)]
pub(crate) struct Arguments {
    /// The receipt, or the checkpoint with its proof
    file: PathBuf,
    /// The genesis of the network
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was proven.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Proven {
    Receipt {
        txid: BitcoinHash,
        outcome: Outcome,
        #[serde(flatten)]
        at: Place,
    },
    Checkpoint(Place),
}

#[derive(Debug, Serialize)]
struct Place {
    network: String,
    chain: Digest,
    /// The commit of the checkpoint.
    checkpoint: CommitIndex,
    checkpoint_digest: Digest,
    height: Height,
    tip: BitcoinHash,
    utxo_hash: BitcoinHash,
}

impl Arguments {
    /// Does it.
    ///
    /// # Errors
    /// When the file proves nothing.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let genesis: Genesis = files::read_json(&self.genesis)?;
        let text = read(&self.file)?;
        let proven = judge(&genesis, &text)
            .map_err(|reason| Failure::FalseReceipt { path: self.file.clone(), reason })?;
        if self.json {
            return output::json(&proven);
        }
        output::line(&render(&proven))
    }
}

/// A file that is far too long is refused before it is read.
fn read(path: &Path) -> Result<String, Failure> {
    let length = std::fs::metadata(path).map_err(|source| files::at(path, source))?.len();
    let actual = usize::try_from(length).unwrap_or(usize::MAX);
    if actual > RECEIPT_BYTES_MAX {
        let reason = ReceiptError::TooLong { actual };
        return Err(Failure::FalseReceipt { path: path.to_owned(), reason });
    }
    files::read(path)
}

fn judge(genesis: &Genesis, text: &str) -> Result<Proven, ReceiptError> {
    match (Receipt::parse(text), ProvenCheckpoint::parse(text)) {
        (_, Ok(proven)) => {
            let checkpoint = verify_checkpoint(genesis, &proven)?;
            Ok(Proven::Checkpoint(place(genesis, &checkpoint)))
        }
        (receipt, Err(_)) => {
            let receipt = verify_receipt(genesis, &receipt?)?;
            let at = place(genesis, receipt.checkpoint());
            Ok(Proven::Receipt { txid: *receipt.txid(), outcome: *receipt.outcome(), at })
        }
    }
}

fn place(genesis: &Genesis, checkpoint: &Checkpoint) -> Place {
    Place {
        network: genesis.name.clone(),
        chain: checkpoint.chain,
        checkpoint: checkpoint.commit,
        checkpoint_digest: checkpoint.digest(),
        height: checkpoint.height,
        tip: checkpoint.tip,
        utxo_hash: checkpoint.utxo_hash,
    }
}

fn render(proven: &Proven) -> String {
    let (head, at) = match proven {
        Proven::Receipt { txid, outcome: Outcome::Final { commit }, at } => {
            (format!("proven: {txid} is final since commit {commit}, for ever"), at)
        }
        Proven::Receipt { txid, outcome: Outcome::Rejected { conflict }, at } => {
            (format!("proven: {txid} is rejected, {conflict} spent its input first"), at)
        }
        Proven::Checkpoint(at) => (format!("proven: the state after commit {}", at.checkpoint), at),
    };
    format!(
        "{head}\nnetwork     {} ({})\ncheckpoint  {} at commit {}\nblock       {} {}\ncoins       {}",
        at.network, at.chain, at.checkpoint_digest, at.checkpoint, at.height, at.tip, at.utxo_hash
    )
}
