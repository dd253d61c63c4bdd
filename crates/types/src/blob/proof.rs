//! The proof of a blob: that it is available, or that it is invalid, for anybody who has the genesis.
//!
//! It leads from an outcome of the blob along a Merkle path to a checkpoint, as a receipt does. With
//! a certificate goes the meta, whose hash is the blob's name: so whoever has the bytes can tell that
//! they are the blob's.
//!
//! **Invariant:** a proof has one text, and every byte of it is bound by the signatures, but for its
//! version.
//!
//! Source: `docs/blobs.md`, Proof.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde::Serialize;

use super::BlobChange;
use super::BlobMeta;
use super::BlobOutcome;
use crate::checkpoint::Checkpoint;
use crate::committee::Committee;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::error::DecodeError;
use crate::genesis::Genesis;
use crate::genesis::HexBytes;
use crate::receipt;
use crate::receipt::ProvenChain;
use crate::receipt::ReceiptError;
use crate::results;
use crate::results::PATH_STEPS_MAX;
use crate::results::PathStep;

/// The version of blob proofs.
pub const BLOB_PROOF_VERSION: u32 = 1;

/// An outcome of a blob with everything that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobProof {
    /// The version of this text's meaning: 1.
    pub version: u32,
    /// The blob's meta, in hex: with a certificate, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<HexBytes>,
    /// What became of the blob: certified or invalid.
    pub outcome: BlobOutcome,
    /// From the outcome to the results root of the checkpoint.
    pub path: Vec<PathStep>,
    /// The checkpoint whose results hold the outcome, and its proof.
    pub proven: ProvenChain,
}

/// What a proof has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBlobProof {
    outcome: BlobOutcome,
    meta: Option<BlobMeta>,
    checkpoint: Checkpoint,
}

/// Why a proof of a blob is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobProofError {
    /// What it shares with receipts is refused.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The outcome proves nothing about the blob's bytes.
    #[error("a blob that was {actual} is neither certified nor invalid")]
    Outcome {
        /// What became of it.
        actual: &'static str,
    },
    /// A certificate lacks its meta, or another outcome has one.
    #[error("the meta goes with a certificate and with nothing else")]
    MetaPresence,
    /// The meta does not decode.
    #[error("the meta is damaged: {0}")]
    Meta(#[from] DecodeError),
    /// The meta is another blob's.
    #[error("the meta is not that of the blob which the outcome names")]
    OtherMeta,
}

impl BlobProof {
    /// Puts a proof together.
    pub fn new(
        meta: Option<&BlobMeta>,
        outcome: BlobOutcome,
        path: Vec<PathStep>,
        proven: ProvenChain,
    ) -> Self {
        let meta = meta.map(|meta| HexBytes(meta.to_bytes()));
        Self { version: BLOB_PROOF_VERSION, meta, outcome, path, proven }
    }

    /// Reads a proof from its one text; a line end behind it is passed over.
    ///
    /// # Errors
    /// When it is no proof, or spelt otherwise.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let proof: Self = receipt::parse(text)?;
        receipt::check_version(proof.version)?;
        Ok(proof)
    }

    /// Its one text.
    pub fn to_text(&self) -> String {
        receipt::text(self)
    }
}

impl VerifiedBlobProof {
    /// What became of the blob.
    pub const fn outcome(&self) -> &BlobOutcome {
        &self.outcome
    }

    /// The meta of a certified blob, which says what its bytes are.
    pub const fn meta(&self) -> Option<&BlobMeta> {
        self.meta.as_ref()
    }

    /// The checkpoint that covers the outcome.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// Checks a proof against the genesis file of its network, and nothing else. Whether bytes are the
/// blob's is for whoever has them to see: the meta says what they hash to.
///
/// # Errors
/// Says what is wrong: then nothing in the proof is to be believed.
pub fn verify_blob_proof(
    genesis: &Genesis,
    proof: &BlobProof,
) -> Result<VerifiedBlobProof, BlobProofError> {
    let committee = genesis.check().map_err(ReceiptError::from)?;
    verify_blob_proof_of(&committee, proof)
}

/// As [`verify_blob_proof`], for whoever holds the committee of a checked genesis.
///
/// # Errors
/// Says what is wrong: then nothing in the proof is to be believed.
pub fn verify_blob_proof_of(
    committee: &Committee,
    proof: &BlobProof,
) -> Result<VerifiedBlobProof, BlobProofError> {
    receipt::check_version(proof.version)?;
    receipt::check_length("path", proof.path.len(), PATH_STEPS_MAX)?;
    let outcome = proof.outcome;
    let is_certified = match outcome.change {
        BlobChange::Certified { .. } => true,
        BlobChange::Invalid => false,
        other => return Err(BlobProofError::Outcome { actual: other.name() }),
    };
    if proof.meta.is_some() != is_certified {
        return Err(BlobProofError::MetaPresence);
    }
    let meta = proof.meta.as_ref().map(|bytes| BlobMeta::from_bytes(&bytes.0)).transpose()?;
    if meta.is_some_and(|meta| meta.id() != outcome.blob) {
        return Err(BlobProofError::OtherMeta);
    }
    let checkpoint = proof.proven.checkpoint;
    if results::root_of_path(outcome.leaf(), &proof.path) != checkpoint.results_root {
        return Err(ReceiptError::NotIncluded { commit: checkpoint.commit }.into());
    }
    if outcome.commit > checkpoint.commit {
        let actual = outcome.commit;
        return Err(
            ReceiptError::AheadOfCheckpoint { checkpoint: checkpoint.commit, actual }.into()
        );
    }
    receipt::verify_chain(committee, &proof.proven)?;
    Ok(VerifiedBlobProof { outcome, meta, checkpoint })
}
