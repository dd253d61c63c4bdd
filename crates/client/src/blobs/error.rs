//! What can go wrong with a blob between a client and many keepers.

use std::fmt;
use std::io;

use blobs::CodingError;
use blobs::Inconsistent;
use blobs::InvalidProof;
use blobs::InvalidSlice;
use types::Author;
use types::BlobId;
use types::DecodeError;

use crate::ClientError;
use crate::api::blobs::BlobState;

/// Why a blob is not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// A node does not answer, or refuses.
    #[error(transparent)]
    Node(#[from] ClientError),
    /// The file or the place for the bytes fails.
    #[error("the file can not be used: {0}")]
    File(#[from] io::Error),
    /// The file is shorter or longer than it was.
    #[error("the file changed while it was read: give a file that stays as it is")]
    Changed,
    /// The numbers make no blob.
    #[error(transparent)]
    Coding(#[from] CodingError),
    /// The network has another number of validators than the blob has shards, or names no blob.
    #[error("{what}: {source}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// No node knows what the blob is.
    #[error("no node that was asked has the meta of blob {blob}; is the name right?")]
    NoMeta {
        /// The blob.
        blob: BlobId,
    },
    /// So few keepers give their shards that the blob can not be read from them.
    #[error(
        "{given} of {needed} shards that a read needs; {}try again later, or name more nodes",
        listed(faults)
    )]
    TooFewShards {
        /// How many are needed.
        needed: u16,
        /// How many were given.
        given: u16,
        /// What was wrong with the others.
        faults: Vec<KeeperFault>,
    },
    /// So few keepers take their shards that the blob can not be certified.
    #[error(
        "{given} of the {needed} validators that certify a blob took their shards; {}try again: it \
         goes on where it stopped",
        listed(faults)
    )]
    TooFewKeepers {
        /// How many are needed.
        needed: u16,
        /// How many took theirs.
        given: u16,
        /// What was wrong with the others.
        faults: Vec<KeeperFault>,
    },
    /// Not certified yet.
    #[error(
        "the blob is not certified after {waited_s} s: {acknowledged} validators have acknowledged; \
         ask again with `meanwhile blob status`"
    )]
    NotCertified {
        /// How long was waited.
        waited_s: u64,
        /// How many have acknowledged.
        acknowledged: u16,
    },
    /// The blob has ended.
    #[error("the blob is {state:?}: its bytes are not kept")]
    Ended {
        /// How.
        state: BlobState,
    },
    /// The writer lied. Every reader gets this error.
    #[error("the blob has no valid bytes: {0}")]
    Inconsistent(#[from] Inconsistent),
    /// A thread of this program ended in the middle of its work.
    #[error("a worker thread ended in the middle of its work")]
    Worker,
}

/// What one validator did wrong. Being silent is no accusation.
#[derive(Debug)]
pub struct KeeperFault {
    /// Who.
    pub validator: Author,
    /// What.
    pub fault: Fault,
}

/// What was wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It does not answer, or refuses.
    #[error("{0}")]
    Silent(#[from] ClientError),
    /// Nobody says where it serves HTTP.
    #[error("its address is not known")]
    NoAddress,
    /// It sent bytes that are not its shard's.
    #[error("it lies: {0}")]
    WrongBytes(#[from] InvalidSlice),
    /// It sent a proof that is none.
    #[error("it lies: {0}")]
    WrongProof(#[from] InvalidProof),
    /// It answers without a proof that can be read.
    #[error("it sends no proof along")]
    NoProof,
    /// It says that it has fewer bytes than it said before.
    #[error("it went back to byte {received} of its shard again and again")]
    WentBack {
        /// How far it says it is.
        received: u64,
    },
}

impl Fault {
    /// Whether it proves that the validator lies, or that its disk does.
    pub const fn is_lie(&self) -> bool {
        matches!(self, Self::WrongBytes(_) | Self::WrongProof(_) | Self::NoProof)
    }
}

impl fmt::Display for KeeperFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "validator {}: {}", self.validator, self.fault)
    }
}

fn listed(faults: &[KeeperFault]) -> String {
    faults.iter().map(|fault| format!("{fault}; ")).collect()
}
