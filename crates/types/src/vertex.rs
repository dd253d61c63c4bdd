//! The vertex, its one encoding and its stateless validity.
//!
//! Source: `docs/consensus.md`, Vertex and Validity. The encoding is
//! `header | payload | signature`; the signature is over the header's digest, which names the
//! payload by its root. Decoding gives [`Unverified`]; only [`Unverified::verify`] gives
//! [`Verified`], and the cores take nothing else.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use bytes::Bytes;

use crate::coin::CoinShare;
use crate::committee::Committee;
use crate::committee::VALIDATORS_MAX;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;
use crate::error::InvalidVertex;
use crate::ids::Author;
use crate::ids::Epoch;
use crate::ids::Round;
use crate::ids::TimestampMs;
use crate::keys::Signature;
use crate::payload::PAYLOAD_BYTES_MAX;
use crate::payload::Payload;

/// The most bytes that an encoded vertex takes.
pub const VERTEX_BYTES_MAX: usize =
    PAYLOAD_BYTES_MAX + 2 * VALIDATORS_MAX * VertexRef::ENCODED_LENGTH + 512;

const VERSION: u8 = 1;

/// Names one vertex. Ordered by round, then author, then digest: the order of a commit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VertexRef {
    /// Its round.
    pub round: Round,
    /// Who made it.
    pub author: Author,
    /// The digest of its header.
    pub digest: Digest,
}

/// The signed part of a vertex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The network.
    pub chain: Digest,
    /// The committee in force.
    pub epoch: Epoch,
    /// Who made it.
    pub author: Author,
    /// Its round, from 1.
    pub round: Round,
    /// Vertices of the round before, at least a quorum, ascending by author, one an author.
    pub parents: Vec<VertexRef>,
    /// Older vertices that no parent leads to, ascending by author, one an author.
    pub late: Vec<VertexRef>,
    /// The author's share for round - (w - 1), when there is such a round.
    pub coin_share: Option<CoinShare>,
    /// The root of the payload's encoding.
    pub payload_root: Digest,
    /// The length of the payload's encoding, in bytes.
    pub payload_length: u32,
    /// What the author's clock said; the decision rule never reads it.
    pub timestamp: TimestampMs,
}

/// One unit of the DAG.
#[derive(PartialEq, Eq)]
pub struct Vertex {
    header: Header,
    payload: Payload,
    signature: Signature,
    reference: VertexRef,
    encoded: Bytes,
}

/// The parameters that stateless validity depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// w: how many rounds from a leader to its decision, 4 or 5.
    pub wave: u64,
}

/// A vertex that decodes, and of which nothing else is known.
#[derive(Clone, Debug)]
pub struct Unverified(Arc<Vertex>);

/// A value that has passed its check. Cheap to clone.
#[derive(PartialEq, Eq)]
pub struct Verified<T>(Arc<T>);

impl VertexRef {
    /// How many bytes a reference takes.
    pub const ENCODED_LENGTH: usize = 8 + 2 + 32;

    /// The implicit vertex of `author` at round 0, which nobody sends and everybody holds.
    pub fn genesis(chain: &Digest, epoch: Epoch, author: Author) -> Self {
        let digest = Hasher::new("meanwhile/types/genesis-vertex/v1")
            .value(chain)
            .value(&epoch)
            .value(&author)
            .finish();
        Self { round: Round::ZERO, author, digest }
    }
}

impl Rules {
    /// The round whose leaders vertices of `round` decide, and whose common coin they carry shares
    /// of; none when there is no such round.
    pub fn decided_by(self, round: Round) -> Option<Round> {
        let decided = round.saturating_sub(self.wave - 1);
        (decided > Round::ZERO).then_some(decided)
    }
}

impl Header {
    /// What its author signs and others refer to.
    pub fn digest(&self) -> Digest {
        header_digest(&self.to_bytes())
    }

    /// The reference that others use.
    pub fn reference(&self) -> VertexRef {
        VertexRef { round: self.round, author: self.author, digest: self.digest() }
    }

    /// The round whose common coin this vertex carries a share of, or none before round 1.
    pub fn coin_round(&self, rules: Rules) -> Option<Round> {
        rules.decided_by(self.round)
    }

    /// The bytes that the author signs: a domain and the header's digest.
    pub fn signing_bytes(digest: &Digest) -> Vec<u8> {
        [b"meanwhile/types/vertex-signature/v1".as_slice(), digest.as_bytes()].concat()
    }
}

fn header_digest(encoded: &[u8]) -> Digest {
    Hasher::new("meanwhile/types/header/v1").bytes(encoded).finish()
}

impl Vertex {
    /// Joins a header with its payload and signature. The header must have been made for the
    /// payload: whoever receives the vertex checks.
    pub fn new(header: Header, payload: Payload, signature: Signature) -> Self {
        let mut writer = Writer::default();
        header.encode(&mut writer);
        let digest = header_digest(writer.as_bytes());
        payload.encode(&mut writer);
        signature.encode(&mut writer);
        let reference = VertexRef { round: header.round, author: header.author, digest };
        Self { header, payload, signature, reference, encoded: Bytes::from(writer.finish()) }
    }

    /// The signed part.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The items.
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The author's signature.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The reference that others use.
    pub const fn reference(&self) -> VertexRef {
        self.reference
    }

    /// Its round.
    pub const fn round(&self) -> Round {
        self.header.round
    }

    /// Who made it.
    pub const fn author(&self) -> Author {
        self.header.author
    }

    /// The canonical encoding.
    pub const fn encoded(&self) -> &Bytes {
        &self.encoded
    }
}

impl Unverified {
    /// Decodes a vertex that must fill `bytes` entirely. Items share the buffer.
    ///
    /// # Errors
    /// When the bytes are not the canonical encoding of a vertex within its limits.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        if bytes.len() > VERTEX_BYTES_MAX {
            return Err(DecodeError::TooLong {
                what: "vertex",
                limit: VERTEX_BYTES_MAX,
                actual: bytes.len(),
            });
        }
        let mut reader = Reader::shared(bytes);
        let header = Header::decode(&mut reader)?;
        let digest = header_digest(&bytes[..reader.position()]);
        let payload = Payload::decode(&mut reader)?;
        let signature = Signature::decode(&mut reader)?;
        reader.finish()?;
        let reference = VertexRef { round: header.round, author: header.author, digest };
        let encoded = bytes.clone();
        Ok(Self(Arc::new(Vertex { header, payload, signature, reference, encoded })))
    }

    /// The vertex as it claims to be.
    pub fn claimed(&self) -> &Vertex {
        &self.0
    }

    /// Checks everything that needs no other vertex.
    ///
    /// # Errors
    /// Says what is wrong; whoever made the vertex is at fault.
    pub fn verify(
        self,
        committee: &Committee,
        rules: Rules,
    ) -> Result<Verified<Vertex>, InvalidVertex> {
        let header = &self.0.header;
        check_place(header, committee)?;
        check_edges(header, committee)?;
        check_coin_share(header, rules)?;
        self.check_payload()?;
        let author = header.author;
        let unknown =
            InvalidVertex::UnknownAuthor { author, validators: committee.quorums().validators() };
        let key = &committee.validator(author).ok_or(unknown)?.vertex_key;
        key.verify(&Header::signing_bytes(&self.0.reference.digest), &self.0.signature)
            .map_err(|_| InvalidVertex::Signature { author })?;
        Ok(Verified(self.0))
    }

    fn check_payload(&self) -> Result<(), InvalidVertex> {
        let header = &self.0.header;
        let encoded = &self.0.encoded;
        let end = encoded.len() - 64;
        let length = self.0.payload.encoded_length();
        let fits = usize::try_from(header.payload_length) == Ok(length)
            && Payload::root(&encoded[end - length..end]) == header.payload_root;
        if fits { Ok(()) } else { Err(InvalidVertex::PayloadRoot) }
    }
}

fn check_place(header: &Header, committee: &Committee) -> Result<(), InvalidVertex> {
    if header.chain != *committee.chain() {
        return Err(InvalidVertex::WrongChain {
            expected: *committee.chain(),
            actual: header.chain,
        });
    }
    if header.epoch != committee.epoch() {
        return Err(InvalidVertex::WrongEpoch {
            expected: committee.epoch(),
            actual: header.epoch,
        });
    }
    if header.round == Round::ZERO {
        return Err(InvalidVertex::RoundZero);
    }
    Ok(())
}

fn check_edges(header: &Header, committee: &Committee) -> Result<(), InvalidVertex> {
    let quorum = committee.quorums().quorum();
    if header.parents.len() < quorum {
        return Err(InvalidVertex::TooFewParents { quorum, actual: header.parents.len() });
    }
    check_authors("parents", &header.parents, committee)?;
    check_authors("late edges", &header.late, committee)?;
    let before = header.round.saturating_sub(1);
    for parent in &header.parents {
        if parent.round != before {
            return Err(InvalidVertex::ParentRound { expected: before, actual: parent.round });
        }
    }
    for late in &header.late {
        if late.round >= before || late.round == Round::ZERO {
            return Err(InvalidVertex::LateRound { limit: before, actual: late.round });
        }
    }
    Ok(())
}

fn check_authors(
    what: &'static str,
    edges: &[VertexRef],
    committee: &Committee,
) -> Result<(), InvalidVertex> {
    let ascending = edges.windows(2).all(|pair| pair[0].author < pair[1].author);
    let known = edges.iter().all(|edge| edge.author.index() < committee.size());
    if ascending && known { Ok(()) } else { Err(InvalidVertex::EdgeOrder { what }) }
}

fn check_coin_share(header: &Header, rules: Rules) -> Result<(), InvalidVertex> {
    let due = header.coin_round(rules).is_some();
    let present = header.coin_share.is_some();
    if due != present {
        return Err(InvalidVertex::CoinShare { present, due });
    }
    match &header.coin_share {
        Some(share) if !share.is_curve_point() => Err(InvalidVertex::CoinShareEncoding),
        _ => Ok(()),
    }
}

impl Verified<Vertex> {
    /// Takes a vertex as verified that this very validator made and signed.
    pub fn own(header: Header, payload: Payload, signature: Signature) -> Self {
        Self(Arc::new(Vertex::new(header, payload, signature)))
    }

    /// Takes a vertex as verified without a check.
    #[cfg(any(test, feature = "test-utils"))]
    pub fn new_for_test(vertex: Vertex) -> Self {
        Self(Arc::new(vertex))
    }
}

impl<T> Clone for Verified<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for Vertex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Vertex({})", self.reference)
    }
}

impl fmt::Display for VertexRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{:?}", self.round, self.author, self.digest)
    }
}

impl fmt::Debug for VertexRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Encode for VertexRef {
    fn encode(&self, writer: &mut Writer) {
        self.round.encode(writer);
        self.author.encode(writer);
        self.digest.encode(writer);
    }
}

impl Decode for VertexRef {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            round: Round::decode(reader)?,
            author: Author::decode(reader)?,
            digest: Digest::decode(reader)?,
        })
    }
}

impl Encode for Header {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.chain.encode(writer);
        self.epoch.encode(writer);
        self.author.encode(writer);
        self.round.encode(writer);
        writer.list(&self.parents);
        writer.list(&self.late);
        writer.option(self.coin_share.as_ref());
        self.payload_root.encode(writer);
        writer.u32(self.payload_length);
        self.timestamp.encode(writer);
    }
}

impl Decode for Header {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("vertex", VERSION)?;
        Ok(Self {
            chain: Digest::decode(reader)?,
            epoch: Epoch::decode(reader)?,
            author: Author::decode(reader)?,
            round: Round::decode(reader)?,
            parents: reader.list("parents", VALIDATORS_MAX)?,
            late: reader.list("late edges", VALIDATORS_MAX)?,
            coin_share: reader.option("coin share")?,
            payload_root: Digest::decode(reader)?,
            payload_length: reader.u32()?,
            timestamp: TimestampMs::decode(reader)?,
        })
    }
}

#[cfg(test)]
mod tests;
