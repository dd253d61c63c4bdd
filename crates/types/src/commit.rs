//! A commit: one leader and the vertices that it newly orders.

use alloc::vec::Vec;

use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;
use crate::ids::CommitIndex;
use crate::ids::TimestampMs;
use crate::vertex::VertexRef;

/// The most vertices that one commit may order: the history above the garbage-collection line of a
/// committee at its largest is below it.
pub const COMMIT_VERTICES_MAX: usize = 1 << 20;

/// One committed leader with the vertices that it newly orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its number, from 1.
    pub index: CommitIndex,
    /// The digest of the commit before, zero for the first.
    pub previous: Digest,
    /// The committed leader.
    pub leader: VertexRef,
    /// Which leader slot of its round it fills, from 0.
    pub slot: u16,
    /// What it orders, itself included, ascending by round, author and digest.
    pub vertices: Vec<VertexRef>,
    /// The agreed time.
    pub timestamp: TimestampMs,
}

impl Commit {
    /// The digest that chains over everything ordered so far.
    pub fn digest(&self) -> Digest {
        Hasher::new("meanwhile/types/commit/v1").value(self).finish()
    }
}

impl Encode for Commit {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(1);
        self.index.encode(writer);
        self.previous.encode(writer);
        self.leader.encode(writer);
        writer.u16(self.slot);
        writer.list(&self.vertices);
        self.timestamp.encode(writer);
    }
}

impl Decode for Commit {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("commit", 1)?;
        Ok(Self {
            index: CommitIndex::decode(reader)?,
            previous: Digest::decode(reader)?,
            leader: VertexRef::decode(reader)?,
            slot: reader.u16()?,
            vertices: reader.list("commit vertices", COMMIT_VERTICES_MAX)?,
            timestamp: TimestampMs::decode(reader)?,
        })
    }
}
