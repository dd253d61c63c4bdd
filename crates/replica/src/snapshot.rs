//! A validator's state at a proven checkpoint, as one stream of frames, and the way back.
//!
//! The first frame is the checkpoint with its proof: whoever imports checks that one with the
//! genesis, and everything behind it against that one. The ledger's parts follow; then the commits
//! above the garbage line of the checkpoint's commit, which chain backwards from the digest that was
//! signed. With them the order goes on where it stood: the vertices above the line come from peers,
//! signed by their authors, and later commits follow from them by the rule that everybody applies.
//!
//! **Invariant:** a frame is checked before anything of it is written, and an import whose
//! [`SnapshotImport::finish`] has not said yes leaves nothing that a node would start from.
//!
//! Source: `docs/checkpoints.md`, Snapshots.

use bytes::Bytes;
use ledger::snapshot::Export;
use ledger::snapshot::Import;
use ledger::snapshot::Part;
use ledger::snapshot::SnapshotError;
use types::Checkpoint;
use types::CheckpointProof;
use types::Commit;
use types::CommitIndex;
use types::Committee;
use types::Decode;
use types::DecodeError;
use types::Digest;
use types::Encode;
use types::Epoch;
use types::Genesis;
use types::Hasher;
use types::Round;
use types::checkpoint::ProofError;
use types::encoding::Reader;
use types::encoding::Writer;
use types::genesis::GenesisError;
use types::table::Changes;
use types::table::TableFault;
use types::table::TableRead;

use crate::tables;

/// What every snapshot begins with.
pub const SNAPSHOT_MAGIC: &[u8; 22] = b"meanwhile snapshot v1\n";
/// How many bytes stand in front of a frame's contents: kind, length, and the hash of both with the
/// contents.
pub const FRAME_HEAD_BYTES: usize = 1 + 4 + 32;
/// The longest contents of a frame. A commit that orders all that one may is shorter.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A frame of commits is closed once it holds so many bytes.
const COMMITS_BYTES: usize = 1024 * 1024;
const COMMITS_MAX: usize = 1 << 16;

const CHECKPOINT: u8 = 1;
const PART: u8 = 2;
const COMMITS: u8 = 3;
const END: u8 = 4;

/// What stands in front of a frame's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    kind: u8,
    length: u32,
    hash: Digest,
}

/// Gives the frames of a snapshot one after the other.
#[derive(Debug)]
pub struct SnapshotExport {
    proof: Option<CheckpointProof>,
    ledger: Export,
    /// The next commit to give.
    next: CommitIndex,
    frames: u64,
    is_ended: bool,
}

/// A snapshot on its way into an empty store.
#[derive(Debug)]
pub struct SnapshotImport<'a> {
    genesis: &'a Genesis,
    committee: Committee,
    checkpoint: Option<Checkpoint>,
    ledger: Option<Import>,
    first: Option<Commit>,
    last: Option<Commit>,
    frames: u64,
    is_ended: bool,
}

/// Why a snapshot is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    /// The ledger's part of it is refused.
    #[error(transparent)]
    Ledger(#[from] SnapshotError),
    /// The store failed.
    #[error(transparent)]
    Table(#[from] TableFault),
    /// The genesis is refused.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Bytes are no frame.
    #[error("frame {frame} is damaged: {reason}")]
    Frame {
        /// Which one, from 1.
        frame: u64,
        /// What is wrong.
        reason: DecodeError,
    },
    /// A frame's contents are not those that its hash names.
    #[error("frame {frame} is damaged: its hash does not fit")]
    Hash {
        /// Which one, from 1.
        frame: u64,
    },
    /// A frame stands where it can not.
    #[error("frame {frame} is out of order")]
    Order {
        /// Which one, from 1.
        frame: u64,
    },
    /// The snapshot is of another network.
    #[error("the snapshot is of network {actual}, epoch {epoch}; the genesis is of {expected}")]
    WrongChain {
        /// The network of the genesis.
        expected: Digest,
        /// The network of the snapshot.
        actual: Digest,
        /// The epoch of the snapshot.
        epoch: Epoch,
    },
    /// Its checkpoint is not proven.
    #[error("the snapshot's checkpoint is not proven: {0}")]
    Proof(#[from] ProofError),
    /// The commits do not lead to the one that was signed.
    #[error("the snapshot's commits do not lead to the one that was signed")]
    Commits,
    /// The stream ended early.
    #[error("the snapshot ends early, after {frames} frames")]
    Short {
        /// How many came.
        frames: u64,
    },
}

impl FrameHead {
    /// Reads what stands in front of a frame's contents.
    ///
    /// # Errors
    /// When there is no such frame.
    pub fn decode(bytes: &[u8; FRAME_HEAD_BYTES]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8()?;
        let length = reader.length("frame", FRAME_BYTES_MAX)?;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        Ok(Self { kind, length, hash: Digest::decode(&mut reader)? })
    }

    /// How many bytes of contents follow.
    pub fn contents_length(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// Whether no frame follows.
    pub const fn is_last(&self) -> bool {
        self.kind == END
    }
}

fn frame_hash(kind: u8, contents: &[u8]) -> Digest {
    Hasher::new("meanwhile/replica/snapshot-frame/v1").bytes(&[kind]).bytes(contents).finish()
}

impl SnapshotExport {
    /// Starts, over tables that stand at a checkpoint and hold still.
    ///
    /// # Errors
    /// When they do not stand at one, or the store fails.
    pub fn new(
        read: &dyn TableRead,
        proof: CheckpointProof,
        genesis: &Genesis,
    ) -> Result<Self, SnapshotFault> {
        let ledger = Export::new(read)?;
        let next = first_commit(read, ledger.checkpoint().commit, genesis)?;
        Ok(Self { proof: Some(proof), ledger, next, frames: 0, is_ended: false })
    }

    /// The next frame with its head, or none behind the last one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn next_frame(&mut self, read: &dyn TableRead) -> Result<Option<Bytes>, TableFault> {
        if self.is_ended {
            return Ok(None);
        }
        let mut writer = Writer::default();
        let kind = if let Some(proof) = self.proof.take() {
            self.ledger.checkpoint().encode(&mut writer);
            proof.encode(&mut writer);
            CHECKPOINT
        } else if let Some(part) = self.ledger.next_part(read)? {
            part.encode(&mut writer);
            PART
        } else if self.next <= self.ledger.checkpoint().commit {
            writer.list(&self.commits(read)?);
            COMMITS
        } else {
            self.is_ended = true;
            writer.u64(self.frames);
            END
        };
        self.frames += 1;
        let contents = writer.finish();
        let mut frame = Writer::default();
        frame.u8(kind);
        frame.length(contents.len());
        frame_hash(kind, &contents).encode(&mut frame);
        frame.raw(&contents);
        Ok(Some(frame.finish().into()))
    }

    fn commits(&mut self, read: &dyn TableRead) -> Result<Vec<Commit>, TableFault> {
        let (mut commits, mut bytes) = (Vec::new(), 0);
        while self.next <= self.ledger.checkpoint().commit
            && bytes < COMMITS_BYTES
            && commits.len() < COMMITS_MAX
        {
            let commit = tables::commit(read, self.next)?;
            let commit = commit.ok_or_else(|| tables::torn("the chain of commits"))?;
            bytes += commit.vertices.len() * types::VertexRef::ENCODED_LENGTH;
            commits.push(commit);
            self.next = self.next.next();
        }
        Ok(commits)
    }
}

/// The last commit whose leader lies at or below the garbage line of the one at `last`; the first
/// one of all when there is none.
fn first_commit(
    read: &dyn TableRead,
    last: CommitIndex,
    genesis: &Genesis,
) -> Result<CommitIndex, TableFault> {
    let stored = |index| {
        let commit = tables::commit(read, index)?;
        commit.ok_or_else(|| tables::torn("the chain of commits"))
    };
    let line = garbage_line(&stored(last)?, genesis);
    let mut index = last;
    while index > CommitIndex::new(1) && stored(index)?.leader.round > line {
        index = index.saturating_sub(1);
    }
    Ok(index)
}

/// `docs/consensus.md`, Order of a commit.
fn garbage_line(last: &Commit, genesis: &Genesis) -> Round {
    last.leader.round.saturating_sub(genesis.consensus.gc_depth)
}

impl<'a> SnapshotImport<'a> {
    /// Begins with what the genesis says.
    ///
    /// # Errors
    /// When the genesis is refused.
    pub fn new(genesis: &'a Genesis) -> Result<Self, SnapshotFault> {
        Ok(Self {
            committee: genesis.check()?,
            genesis,
            checkpoint: None,
            ledger: None,
            first: None,
            last: None,
            frames: 0,
            is_ended: false,
        })
    }

    /// The checkpoint, once its frame was taken: it is proven.
    pub const fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// Takes the next frame and gives what is to be written before the one behind it. `read` shows
    /// what was written so far.
    ///
    /// # Errors
    /// When the frame is damaged, out of order or not what was signed, or the store fails.
    pub fn take(
        &mut self,
        read: &dyn TableRead,
        head: &FrameHead,
        contents: &Bytes,
    ) -> Result<Changes, SnapshotFault> {
        self.frames += 1;
        let frame = self.frames;
        if frame_hash(head.kind, contents) != head.hash {
            return Err(SnapshotFault::Hash { frame });
        }
        let damaged = |reason| SnapshotFault::Frame { frame, reason };
        let mut reader = Reader::shared(contents);
        let mut changes = Changes::default();
        match (head.kind, &mut self.ledger) {
            _ if self.is_ended => return Err(SnapshotFault::Order { frame }),
            (CHECKPOINT, None) => {
                let checkpoint = Checkpoint::decode(&mut reader).map_err(damaged)?;
                let proof = CheckpointProof::decode(&mut reader).map_err(damaged)?;
                self.begin(checkpoint, &proof)?;
                tables::put_proof(&mut changes, checkpoint.commit, &proof);
            }
            (PART, Some(ledger)) if self.last.is_none() => {
                let part = Part::decode(&mut reader).map_err(damaged)?;
                changes = ledger.take(read, part)?;
            }
            (COMMITS, Some(_)) => {
                let commits = reader.list("commits", COMMITS_MAX).map_err(damaged)?;
                for commit in commits {
                    self.commit(commit, &mut changes)?;
                }
            }
            (END, Some(_)) => {
                if reader.u64().map_err(damaged)? != frame - 1 {
                    return Err(SnapshotFault::Short { frames: frame });
                }
                self.is_ended = true;
            }
            _ => return Err(SnapshotFault::Order { frame }),
        }
        reader.finish().map_err(damaged)?;
        Ok(changes)
    }

    /// Holds everything against the checkpoint, and gives the last rows: with them written, a node
    /// can start from the store.
    ///
    /// # Errors
    /// When the snapshot is not whole or not what was signed, or the store fails.
    pub fn finish(self, read: &dyn TableRead) -> Result<Changes, SnapshotFault> {
        let short = SnapshotFault::Short { frames: self.frames };
        let (Some(checkpoint), Some(ledger)) = (self.checkpoint, self.ledger) else {
            return Err(short);
        };
        if !self.is_ended {
            return Err(short);
        }
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Err(SnapshotFault::Commits);
        };
        let line = garbage_line(&last, self.genesis);
        let reaches_down = match first.index.value() {
            1 => first.previous == Digest::ZERO,
            _ => first.leader.round <= line,
        };
        let is_signed =
            last.index == checkpoint.commit && last.digest() == checkpoint.commit_digest;
        if !reaches_down || !is_signed {
            return Err(SnapshotFault::Commits);
        }
        Ok(ledger.finish(read)?)
    }

    fn begin(
        &mut self,
        checkpoint: Checkpoint,
        proof: &CheckpointProof,
    ) -> Result<(), SnapshotFault> {
        let expected = *self.committee.chain();
        if checkpoint.chain != expected || checkpoint.epoch != self.committee.epoch() {
            let (actual, epoch) = (checkpoint.chain, checkpoint.epoch);
            return Err(SnapshotFault::WrongChain { expected, actual, epoch });
        }
        proof.verify(&checkpoint.digest(), &self.committee)?;
        self.checkpoint = Some(checkpoint);
        self.ledger = Some(Import::new(self.genesis, checkpoint));
        Ok(())
    }

    fn commit(&mut self, commit: Commit, changes: &mut Changes) -> Result<(), SnapshotFault> {
        let follows = self.last.as_ref().is_none_or(|last| {
            commit.index == last.index.next() && commit.previous == last.digest()
        });
        if !follows {
            return Err(SnapshotFault::Commits);
        }
        tables::put_commit(changes, &commit);
        if self.first.is_none() {
            self.first = Some(commit.clone());
        }
        self.last = Some(commit);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
