//! Receipts: what became of one transaction, provable to anybody who has the genesis file.
//!
//! A receipt leads from an outcome along a Merkle path to a checkpoint's results root, from there,
//! where that checkpoint was not proven itself, along the chain of checkpoints to one that was, and
//! ends with the signatures of a quorum. Checking one needs no network, no clock and no Bitcoin
//! library: [`verify_receipt`] is a pure function.
//!
//! **Invariant:** a receipt has one text, and every byte of it is bound by the proof, but for its
//! version. [`Receipt::parse`] refuses every other spelling.
//!
//! Source: `docs/checkpoints.md`, Receipts.

use alloc::string::String;
use alloc::string::ToString;
use alloc::vec::Vec;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bitcoin_hash::BitcoinHash;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::CheckpointProof;
use crate::checkpoint::ProofError;
use crate::committee::Committee;
use crate::digest::Digest;
use crate::genesis::Genesis;
use crate::genesis::GenesisError;
use crate::ids::CommitIndex;
use crate::ids::Epoch;
use crate::results;
use crate::results::Outcome;
use crate::results::PATH_STEPS_MAX;
use crate::results::PathStep;

/// The version of receipts and of proven checkpoints.
pub const RECEIPT_VERSION: u32 = 1;
/// The most checkpoints between the one that covers an outcome and the one that is proven.
pub const LINKS_MAX: usize = 64;
/// The longest text that is read as a receipt.
pub const RECEIPT_BYTES_MAX: usize = 128 * 1024;

/// What became of one transaction, with everything that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this text's meaning: 1.
    pub version: u32,
    /// The transaction.
    pub txid: BitcoinHash,
    /// What became of it.
    pub outcome: Outcome,
    /// From the outcome to the results root of the checkpoint.
    pub path: Vec<PathStep>,
    /// The checkpoint whose results hold the outcome, and its proof.
    pub proven: ProvenChain,
}

/// A checkpoint with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenCheckpoint {
    /// The version of this text's meaning: 1.
    pub version: u32,
    /// The checkpoint and its proof.
    pub proven: ProvenChain,
}

/// A checkpoint, those that lead from it to one that a quorum signed, and the signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenChain {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Later checkpoints, each of which names the one before: none when the first one was signed.
    pub links: Vec<Checkpoint>,
    /// The signatures on the last one.
    pub proof: CheckpointProof,
}

/// What a receipt has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    txid: BitcoinHash,
    outcome: Outcome,
    checkpoint: Checkpoint,
}

/// Why a receipt or a proven checkpoint is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is longer than any.
    #[error("{actual} bytes, a receipt has at most {RECEIPT_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        actual: usize,
    },
    /// It is no receipt in JSON.
    #[error("not readable: {reason}")]
    Unreadable {
        /// What the parser said.
        reason: String,
    },
    /// It is spelt otherwise than it was written: blanks, another order, upper case.
    #[error("the text was changed after it was written: a receipt has one spelling")]
    Respelt,
    /// It is of a version that this program does not know.
    #[error("version {actual}, this program knows {RECEIPT_VERSION}")]
    Version {
        /// Its version.
        actual: u32,
    },
    /// The genesis is refused.
    #[error("the genesis is not usable: {0}")]
    Genesis(#[from] GenesisError),
    /// It is of another network.
    #[error("it is of network {actual}, the genesis is of {expected}")]
    WrongChain {
        /// The genesis's network.
        expected: Digest,
        /// The network named.
        actual: Digest,
    },
    /// It is of another committee.
    #[error("it is of epoch {actual}, the genesis is of {expected}")]
    WrongEpoch {
        /// The genesis's epoch.
        expected: Epoch,
        /// The epoch named.
        actual: Epoch,
    },
    /// A list in it is longer than any honest one.
    #[error("{what}: {actual} entries, at most {limit} are allowed")]
    TooMany {
        /// Which list.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// The outcome is not among the checkpoint's results.
    #[error("the outcome is not among the results of checkpoint {commit}")]
    NotIncluded {
        /// The checkpoint's commit.
        commit: CommitIndex,
    },
    /// It names a commit that the checkpoint does not cover.
    #[error("commit {actual} lies behind checkpoint {checkpoint}")]
    AheadOfCheckpoint {
        /// The checkpoint's commit.
        checkpoint: CommitIndex,
        /// The commit named.
        actual: CommitIndex,
    },
    /// A checkpoint is not the one that follows.
    #[error("checkpoint {commit} does not follow on the one before")]
    BrokenChain {
        /// Its commit.
        commit: CommitIndex,
    },
    /// The signatures do not prove it.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl Receipt {
    /// Reads a receipt from its one text; a line end behind it is passed over.
    ///
    /// # Errors
    /// When it is no receipt, or spelt otherwise.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let receipt: Self = parse(text)?;
        check_version(receipt.version)?;
        Ok(receipt)
    }

    /// Its one text.
    pub fn to_text(&self) -> String {
        text(self)
    }
}

impl ProvenCheckpoint {
    /// Reads a proven checkpoint from its one text; a line end behind it is passed over.
    ///
    /// # Errors
    /// When it is none, or spelt otherwise.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let proven: Self = parse(text)?;
        check_version(proven.version)?;
        Ok(proven)
    }

    /// Its one text.
    pub fn to_text(&self) -> String {
        text(self)
    }
}

impl VerifiedReceipt {
    /// The transaction.
    pub const fn txid(&self) -> &BitcoinHash {
        &self.txid
    }

    /// What became of it, for ever.
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The checkpoint that covers it.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// Checks a receipt against the genesis file of its network, and nothing else.
///
/// # Errors
/// Says what is wrong: then nothing in the receipt is to be believed.
pub fn verify_receipt(
    genesis: &Genesis,
    receipt: &Receipt,
) -> Result<VerifiedReceipt, ReceiptError> {
    let committee = genesis.check()?;
    verify_receipt_of(&committee, receipt)
}

/// As [`verify_receipt`], for whoever holds the committee of a checked genesis.
///
/// # Errors
/// Says what is wrong: then nothing in the receipt is to be believed.
pub fn verify_receipt_of(
    committee: &Committee,
    receipt: &Receipt,
) -> Result<VerifiedReceipt, ReceiptError> {
    check_version(receipt.version)?;
    check_length("path", receipt.path.len(), PATH_STEPS_MAX)?;
    let Receipt { txid, outcome, .. } = *receipt;
    let checkpoint = receipt.proven.checkpoint;
    let leaf = results::leaf(&txid, &outcome);
    if results::root_of_path(leaf, &receipt.path) != checkpoint.results_root {
        return Err(ReceiptError::NotIncluded { commit: checkpoint.commit });
    }
    if let Outcome::Final { commit: actual } = outcome
        && actual > checkpoint.commit
    {
        return Err(ReceiptError::AheadOfCheckpoint { checkpoint: checkpoint.commit, actual });
    }
    verify_chain(committee, &receipt.proven)?;
    Ok(VerifiedReceipt { txid, outcome, checkpoint })
}

/// Checks a proven checkpoint against the genesis file of its network, and nothing else.
///
/// # Errors
/// Says what is wrong: then nothing in it is to be believed.
pub fn verify_checkpoint(
    genesis: &Genesis,
    proven: &ProvenCheckpoint,
) -> Result<Checkpoint, ReceiptError> {
    check_version(proven.version)?;
    let committee = genesis.check()?;
    verify_chain(&committee, &proven.proven)?;
    Ok(proven.proven.checkpoint)
}

pub(crate) fn verify_chain(
    committee: &Committee,
    proven: &ProvenChain,
) -> Result<(), ReceiptError> {
    check_length("links", proven.links.len(), LINKS_MAX)?;
    let mut last = &proven.checkpoint;
    check_place(committee, last)?;
    for link in &proven.links {
        check_place(committee, link)?;
        if link.previous != last.digest() || link.commit <= last.commit {
            return Err(ReceiptError::BrokenChain { commit: link.commit });
        }
        last = link;
    }
    Ok(proven.proof.verify(&last.digest(), committee)?)
}

fn check_place(committee: &Committee, checkpoint: &Checkpoint) -> Result<(), ReceiptError> {
    if checkpoint.chain != *committee.chain() {
        let expected = *committee.chain();
        return Err(ReceiptError::WrongChain { expected, actual: checkpoint.chain });
    }
    if checkpoint.epoch != committee.epoch() {
        let expected = committee.epoch();
        return Err(ReceiptError::WrongEpoch { expected, actual: checkpoint.epoch });
    }
    Ok(())
}

pub(crate) const fn check_version(actual: u32) -> Result<(), ReceiptError> {
    if actual == RECEIPT_VERSION { Ok(()) } else { Err(ReceiptError::Version { actual }) }
}

pub(crate) const fn check_length(
    what: &'static str,
    actual: usize,
    limit: usize,
) -> Result<(), ReceiptError> {
    if actual <= limit { Ok(()) } else { Err(ReceiptError::TooMany { what, limit, actual }) }
}

pub(crate) fn parse<T: DeserializeOwned + Serialize>(given: &str) -> Result<T, ReceiptError> {
    if given.len() > RECEIPT_BYTES_MAX {
        return Err(ReceiptError::TooLong { actual: given.len() });
    }
    let given = given.strip_suffix('\n').unwrap_or(given);
    let unreadable =
        |error: serde_json::Error| ReceiptError::Unreadable { reason: error.to_string() };
    let value: T = serde_json::from_str(given).map_err(unreadable)?;
    if text(&value) == given { Ok(value) } else { Err(ReceiptError::Respelt) }
}

pub(crate) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and lists are always written")
}
