//! What can be wrong with bytes, keys and vertices that came from elsewhere.

use crate::digest::Digest;
use crate::ids::Author;
use crate::ids::Epoch;
use crate::ids::Round;

/// Why bytes are not the canonical encoding of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("{wanted} bytes wanted, {left} left")]
    TooShort {
        /// How many bytes the next field takes.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// A length is above its limit.
    #[error("{what}: {actual} is above the limit of {limit}")]
    TooLong {
        /// The field.
        what: &'static str,
        /// Its limit.
        limit: usize,
        /// The length that was given.
        actual: usize,
    },
    /// Bytes are left behind the value.
    #[error("{left} bytes left over behind the value")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A tag names no known case.
    #[error("{what}: unknown tag {tag}")]
    UnknownTag {
        /// The field.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// A version byte is not the one that this code reads.
    #[error("{what}: version {actual}, expected {expected}")]
    WrongVersion {
        /// The encoded type.
        what: &'static str,
        /// The version that this code reads.
        expected: u8,
        /// The version that was given.
        actual: u8,
    },
    /// A field holds a value that its type does not allow.
    #[error("{what}: not a valid value")]
    InvalidValue {
        /// The field.
        what: &'static str,
    },
}

/// Why a key, a signature or a share is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no point or scalar of the scheme.
    #[error("not a valid key or signature encoding")]
    Malformed,
    /// The signature does not fit the message and the key.
    #[error("signature does not verify")]
    WrongSignature,
    /// Fewer shares than the threshold.
    #[error("{actual} shares, {needed} needed")]
    TooFewShares {
        /// The threshold.
        needed: usize,
        /// How many there were.
        actual: usize,
    },
    /// A committee's size is outside what the protocol allows.
    #[error("a committee of {actual} validators, 1 to {max} allowed")]
    CommitteeSize {
        /// The number given.
        actual: usize,
        /// The largest number allowed.
        max: usize,
    },
}

/// Which of several signatures is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature {index} of those given: {error}")]
pub struct WrongSignature {
    /// Its place among those given, from 0. There may be more wrong ones.
    pub index: usize,
    /// What is wrong with it.
    pub error: KeyError,
}

/// Why a decoded vertex is not valid. Each is the fault of the peer that made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVertex {
    /// It belongs to another network.
    #[error("chain {actual}, expected {expected}")]
    WrongChain {
        /// This network.
        expected: Digest,
        /// The network named by the vertex.
        actual: Digest,
    },
    /// It belongs to another committee.
    #[error("epoch {actual}, expected {expected}")]
    WrongEpoch {
        /// The epoch in force.
        expected: Epoch,
        /// The epoch named by the vertex.
        actual: Epoch,
    },
    /// Its author is no member of the committee.
    #[error("author {author} is not one of {validators} validators")]
    UnknownAuthor {
        /// The author named.
        author: Author,
        /// The size of the committee.
        validators: u16,
    },
    /// Round 0 is implicit; nobody sends it.
    #[error("round 0 holds no sent vertices")]
    RoundZero,
    /// Fewer parents than a quorum.
    #[error("{actual} parents, at least {quorum} needed")]
    TooFewParents {
        /// Q.
        quorum: usize,
        /// How many it names.
        actual: usize,
    },
    /// A parent is not of the round before.
    #[error("parent of round {actual}, expected {expected}")]
    ParentRound {
        /// The round before the vertex's.
        expected: Round,
        /// The parent's.
        actual: Round,
    },
    /// A late edge points to the round before or later.
    #[error("late edge to round {actual}, it must be below {limit}")]
    LateRound {
        /// The first round that is not allowed.
        limit: Round,
        /// The round it points to.
        actual: Round,
    },
    /// Edges are not in strictly ascending order of their authors.
    #[error("{what} are not ascending with distinct authors of the committee")]
    EdgeOrder {
        /// `parents` or `late edges`.
        what: &'static str,
    },
    /// A share of the common coin is missing, or given where none is due.
    #[error("share of the common coin: present {present}, due {due}")]
    CoinShare {
        /// Whether the vertex carries one.
        present: bool,
        /// Whether the round calls for one.
        due: bool,
    },
    /// The share of the common coin is no point on the curve.
    #[error("share of the common coin is not a curve point")]
    CoinShareEncoding,
    /// The payload's hash is not the one that was signed.
    #[error("payload does not match its root")]
    PayloadRoot,
    /// The author did not sign it.
    #[error("signature of author {author} does not verify")]
    Signature {
        /// The author named.
        author: Author,
    },
}
