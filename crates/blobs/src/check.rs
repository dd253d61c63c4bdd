//! The strict check: a blob is valid when what was read encodes to exactly the shards that its meta
//! promises, and hashes to what it promises.
//!
//! Shards that prove themselves say only that the writer committed to them. A writer who lies commits
//! to shards that are no encoding of anything, and then different shards decode to different bytes.
//! Encoding again what was read, and comparing the root over all shards, makes all readers agree:
//! the root names all S shards, and at most one source encodes to them. Who finds another root has
//! found the writer's lie, since what went in was proven, and everybody else will find it, too.

use types::BlobMeta;
use types::ShardIndex;

use crate::commitment::Commitment;
use crate::commitment::Committed;
use crate::commitment::HashWork;
use crate::error::CodingError;
use crate::error::Inconsistent;
use crate::segment::Segment;

/// Follows a whole read, segment by segment and in order.
#[derive(Debug)]
pub struct StrictCheck {
    meta: BlobMeta,
    commitment: Commitment,
    is_padded: bool,
}

/// Rebuilds one shard from k others, checking strictly on the way.
#[derive(Debug)]
pub struct Rebuild {
    check: StrictCheck,
    shard: ShardIndex,
}

impl StrictCheck {
    /// Follows a read of the blob with this meta.
    pub fn new(meta: &BlobMeta) -> Self {
        let commitment = Commitment::new(meta.layout.shards());
        Self { meta: *meta, commitment, is_padded: true }
    }

    /// How many segments there were.
    pub const fn segments(&self) -> u64 {
        self.commitment.segments()
    }

    /// Adds the next segment, completed from chunks that were proven.
    ///
    /// # Errors
    /// When it is not one that can follow.
    pub fn push(&mut self, segment: &Segment) -> Result<(), CodingError> {
        self.work(std::slice::from_ref(segment))?.into_iter().for_each(HashWork::run);
        Ok(())
    }

    /// Adds the next segments, and hands out the hashing of them, as [`Commitment::work`] does.
    ///
    /// # Errors
    /// As [`StrictCheck::push`]; nothing is added then.
    pub fn work<'a>(
        &'a mut self,
        segments: &'a [Segment],
    ) -> Result<Vec<HashWork<'a>>, CodingError> {
        let work = self.commitment.work(segments)?;
        self.is_padded &= segments.iter().all(|segment| segment.chunks().is_padded());
        Ok(work)
    }

    /// Ends the read.
    ///
    /// # Errors
    /// When segments are missing, as the outer error. When the writer lied, as the inner one: the
    /// blob has no valid bytes.
    pub fn finish(self) -> Result<Result<Committed, Inconsistent>, CodingError> {
        let (expected, actual) = (self.meta.layout.segments(), self.commitment.segments());
        if actual != expected {
            return Err(CodingError::MissingSegments { expected, actual });
        }
        let committed = self.commitment.finish()?;
        if committed.meta().layout != self.meta.layout {
            return Err(CodingError::OtherBlob);
        }
        Ok(match committed.meta() {
            _ if !self.is_padded => Err(Inconsistent::Padding),
            meta if meta.shards_root != self.meta.shards_root => Err(Inconsistent::Shards),
            meta if meta.content_hash != self.meta.content_hash => Err(Inconsistent::Content),
            _ => Ok(committed),
        })
    }
}

impl Rebuild {
    /// Rebuilds a shard of the blob with this meta.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn new(meta: &BlobMeta, shard: ShardIndex) -> Result<Self, CodingError> {
        let shards = meta.layout.shards();
        if !shards.contains(shard) {
            return Err(CodingError::NoSuchShard { shard, shards: shards.value() });
        }
        Ok(Self { check: StrictCheck::new(meta), shard })
    }

    /// Adds the next segment and gives the shard's chunk of it, not to be believed before
    /// [`Rebuild::finish`].
    ///
    /// # Errors
    /// When it is not one that can follow.
    pub fn push<'a>(&mut self, segment: &'a Segment) -> Result<&'a [u8], CodingError> {
        self.check.push(segment)?;
        let shards = segment.shards().value();
        segment.chunk(self.shard).ok_or(CodingError::NoSuchShard { shard: self.shard, shards })
    }

    /// Ends the rebuilding; what comes out has the proof of the shard, and of every other one.
    ///
    /// # Errors
    /// As [`StrictCheck::finish`].
    pub fn finish(self) -> Result<Result<Committed, Inconsistent>, CodingError> {
        self.check.finish()
    }
}
