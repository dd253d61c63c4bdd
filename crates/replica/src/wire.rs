//! What validators say to each other, and the one encoding of it.
//!
//! **Invariant:** every message has a bound, [`MESSAGE_BYTES_MAX`] for all of them, and every list
//! in it has one too; a decoder never reserves memory for a length that has not arrived. Nothing
//! here proves anything: vertices are bytes until [`receive`](crate::receive) has verified them.

use bytes::Bytes;
use types::Author;
use types::CommitIndex;
use types::Decode;
use types::DecodeError;
use types::Digest;
use types::Encode;
use types::Epoch;
use types::Round;
use types::TimestampMs;
use types::VERTEX_BYTES_MAX;
use types::VertexRef;
use types::coin::CoinSignature;
use types::encoding::Reader;
use types::encoding::Writer;

#[cfg(test)]
mod tests;

/// The version of the messages.
pub const WIRE_VERSION: u8 = 2;
/// How many vertices one [`Message::FetchVertices`] may ask for, and its answer may hold.
pub const FETCH_VERTICES_MAX: usize = 64;
/// Whoever serves stops adding vertices to an answer once it holds this many bytes of them.
pub const SERVED_BYTES_MAX: usize = 1024 * 1024;
/// How many vertices one [`Message::Range`] may hold.
pub const RANGE_VERTICES_MAX: usize = 4096;
/// How many rounds one [`Message::FetchRounds`] may span.
pub const RANGE_ROUNDS_MAX: u64 = 1024;
/// The most bytes that an encoded message takes: an answer that held one byte less than
/// [`SERVED_BYTES_MAX`] and then got one more vertex, with lengths, coins and fixed fields.
pub const MESSAGE_BYTES_MAX: usize = SERVED_BYTES_MAX + VERTEX_BYTES_MAX + 128 * 1024;

const HELLO: u8 = 1;
const VERTEX: u8 = 2;
const STATUS: u8 = 3;
const FETCH_VERTICES: u8 = 4;
const FETCH_ROUNDS: u8 = 5;
const VERTICES: u8 = 6;
const RANGE: u8 = 7;
const RECALL: u8 = 8;
const RECALLED: u8 = 9;

/// One message between two validators, or from a validator to a follower and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first message of a connection.
    Hello(Hello),
    /// The sender's newest vertex, encoded.
    Vertex(Bytes),
    /// How far the sender is.
    Status(Status),
    /// Asks for vertices by name.
    FetchVertices(Vec<VertexRef>),
    /// Asks for all vertices of some rounds.
    FetchRounds(FetchRounds),
    /// Answers [`Message::FetchVertices`] with those that the sender holds, encoded.
    Vertices(Vec<Bytes>),
    /// Answers [`Message::FetchRounds`]; vertices encoded.
    Range(Range<Bytes, ClaimedCoin>),
    /// Asks what the sender, who lost its disk, may have signed. The time tells this question from
    /// those of earlier lives.
    Recall(TimestampMs),
    /// Answers [`Message::Recall`].
    Recalled(Recalled),
}

/// Which of the two connections of a peer carries a message: what is small and urgent never waits
/// behind what is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Vertices, status, requests and the vertices somebody waits for.
    Control,
    /// Answers to whoever catches up.
    Bulk,
}

/// The first message of a connection, in both directions: who speaks, on which network, and which
/// connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The network.
    pub chain: Digest,
    /// The committee in force.
    pub epoch: Epoch,
    /// Who speaks. The transport has to prove it.
    pub speaker: Speaker,
    /// What this connection carries.
    pub class: Class,
}

/// Who speaks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The validator at this place of the committee.
    Validator(Author),
    /// A node that follows: it asks, and makes nothing that anybody would take from it.
    Follower,
}

/// How far a validator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its newest own vertex, if it has one: whoever lacks it may ask for it.
    pub own: Option<VertexRef>,
    /// The highest round at which it holds vertices of a quorum.
    pub round: Round,
    /// Its last commit.
    pub commit: CommitIndex,
}

/// What somebody remembers for a validator that lost its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The question.
    pub question: TimestampMs,
    /// The highest of: the round of a vertex of the asker that the sender knows of, the highest round
    /// that the sender ever signed, the highest round at which it holds vertices of a quorum.
    pub round: Round,
}

/// Asks for all vertices from a place in the order of (round, author, digest) on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchRounds {
    /// The first vertex wanted, or the place where it would stand.
    pub from: VertexRef,
    /// The first round not wanted; at most [`RANGE_ROUNDS_MAX`] above.
    pub until: Round,
}

/// A common coin as a message holds it: it proves itself to whoever checks.
pub type ClaimedCoin = (Round, CoinSignature);

/// All vertices of some rounds that somebody holds, in the order of (round, author, digest), with
/// vertices and common coins either as they came or checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range<V, C> {
    /// The place that was asked for.
    pub from: VertexRef,
    /// Where the answer ended for its size; none when it holds everything that was asked for and
    /// that the sender has.
    pub next: Option<VertexRef>,
    /// Common coins of those rounds, as far as the sender knows them.
    pub coins: Vec<C>,
    /// The vertices.
    pub vertices: Vec<V>,
}

impl Message {
    /// Which connection carries it. A hello goes over the connection that it names.
    pub const fn class(&self) -> Class {
        match self {
            Self::Hello(hello) => hello.class,
            Self::Range(_) => Class::Bulk,
            _ => Class::Control,
        }
    }

    /// Decodes a message that must fill `bytes` entirely. Vertices share the buffer.
    ///
    /// # Errors
    /// When the bytes are not the canonical encoding of a message within its limits.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(DecodeError::TooLong {
                what: "message",
                limit: MESSAGE_BYTES_MAX,
                actual: bytes.len(),
            });
        }
        let mut reader = Reader::shared(bytes);
        let message = <Self as Decode>::decode(&mut reader)?;
        reader.finish()?;
        Ok(message)
    }
}

impl Encode for Message {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(WIRE_VERSION);
        match self {
            Self::Hello(hello) => {
                writer.u8(HELLO);
                hello.encode(writer);
            }
            Self::Vertex(vertex) => {
                writer.u8(VERTEX);
                writer.bytes(vertex);
            }
            Self::Status(status) => {
                writer.u8(STATUS);
                status.encode(writer);
            }
            Self::FetchVertices(references) => {
                writer.u8(FETCH_VERTICES);
                writer.list(references);
            }
            Self::FetchRounds(request) => {
                writer.u8(FETCH_ROUNDS);
                request.from.encode(writer);
                request.until.encode(writer);
            }
            Self::Vertices(vertices) => {
                writer.u8(VERTICES);
                encode_vertices(vertices, writer);
            }
            Self::Range(range) => {
                writer.u8(RANGE);
                range.encode(writer);
            }
            Self::Recall(question) => {
                writer.u8(RECALL);
                question.encode(writer);
            }
            Self::Recalled(Recalled { question, round }) => {
                writer.u8(RECALLED);
                question.encode(writer);
                round.encode(writer);
            }
        }
    }
}

impl Decode for Message {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("message", WIRE_VERSION)?;
        match reader.u8()? {
            HELLO => Hello::decode(reader).map(Self::Hello),
            VERTEX => reader.bytes("vertex", VERTEX_BYTES_MAX).map(Self::Vertex),
            STATUS => Status::decode(reader).map(Self::Status),
            FETCH_VERTICES => {
                reader.list("fetched vertices", FETCH_VERTICES_MAX).map(Self::FetchVertices)
            }
            FETCH_ROUNDS => FetchRounds::decode(reader).map(Self::FetchRounds),
            VERTICES => decode_vertices(reader, FETCH_VERTICES_MAX).map(Self::Vertices),
            RANGE => Range::decode(reader).map(Self::Range),
            RECALL => TimestampMs::decode(reader).map(Self::Recall),
            RECALLED => {
                let question = TimestampMs::decode(reader)?;
                Ok(Self::Recalled(Recalled { question, round: Round::decode(reader)? }))
            }
            tag => Err(DecodeError::UnknownTag { what: "message", tag }),
        }
    }
}

impl Encode for Hello {
    fn encode(&self, writer: &mut Writer) {
        self.chain.encode(writer);
        self.epoch.encode(writer);
        self.speaker.encode(writer);
        writer.u8(match self.class {
            Class::Control => 0,
            Class::Bulk => 1,
        });
    }
}

impl Decode for Hello {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            chain: Digest::decode(reader)?,
            epoch: Epoch::decode(reader)?,
            speaker: Speaker::decode(reader)?,
            class: match reader.u8()? {
                0 => Class::Control,
                1 => Class::Bulk,
                tag => return Err(DecodeError::UnknownTag { what: "class", tag }),
            },
        })
    }
}

impl Encode for Speaker {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Validator(author) => {
                writer.u8(0);
                author.encode(writer);
            }
            Self::Follower => writer.u8(1),
        }
    }
}

impl Decode for Speaker {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            0 => Self::Validator(Author::decode(reader)?),
            1 => Self::Follower,
            tag => return Err(DecodeError::UnknownTag { what: "speaker", tag }),
        })
    }
}

impl Encode for Status {
    fn encode(&self, writer: &mut Writer) {
        writer.option(self.own.as_ref());
        self.round.encode(writer);
        self.commit.encode(writer);
    }
}

impl Decode for Status {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            own: reader.option("own vertex")?,
            round: Round::decode(reader)?,
            commit: CommitIndex::decode(reader)?,
        })
    }
}

impl Decode for FetchRounds {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let from = VertexRef::decode(reader)?;
        let until = Round::decode(reader)?;
        if until <= from.round || until.distance_from(from.round) > RANGE_ROUNDS_MAX {
            return Err(DecodeError::InvalidValue { what: "fetched rounds" });
        }
        Ok(Self { from, until })
    }
}

impl Range<Bytes, ClaimedCoin> {
    fn encode(&self, writer: &mut Writer) {
        self.from.encode(writer);
        writer.option(self.next.as_ref());
        writer.length(self.coins.len());
        for (round, signature) in &self.coins {
            round.encode(writer);
            signature.encode(writer);
        }
        encode_vertices(&self.vertices, writer);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let from = VertexRef::decode(reader)?;
        let next = reader.option("next vertex")?;
        let limit = usize::try_from(RANGE_ROUNDS_MAX).unwrap_or(usize::MAX);
        let length = reader.length("coins", limit)?;
        let mut coins = Vec::new();
        for _ in 0..length {
            coins.push((Round::decode(reader)?, CoinSignature::decode(reader)?));
        }
        let vertices = decode_vertices(reader, RANGE_VERTICES_MAX)?;
        Ok(Self { from, next, coins, vertices })
    }
}

fn encode_vertices(vertices: &[Bytes], writer: &mut Writer) {
    writer.length(vertices.len());
    for vertex in vertices {
        writer.bytes(vertex);
    }
}

fn decode_vertices(reader: &mut Reader<'_>, limit: usize) -> Result<Vec<Bytes>, DecodeError> {
    let length = reader.length("vertices", limit)?;
    let mut vertices = Vec::new();
    for _ in 0..length {
        vertices.push(reader.bytes("vertex", VERTEX_BYTES_MAX)?);
    }
    Ok(vertices)
}
