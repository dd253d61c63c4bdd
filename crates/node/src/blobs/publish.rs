//! A blob for somebody who sends its bytes here: encode, register, hand the shards out, wait for the
//! certificate, and go on handing out to those who miss theirs.
//!
//! The bytes are encoded as they come, into one file a shard: memory is bounded by a segment whatever
//! the length. The node pays, so only a node with a purse does this.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::Amount;
use bitcoin::ScriptBuf;
use bitcoin::Txid;
use blobs::Committed;
use blobs::Encoder;
use bytes::Bytes;
use client::api::blobs::SHARD_PROOF_HEADER;
use client::api::blobs::ShardUpload;
use client::api::blobs::UPLOAD_PIECE_BYTES_MAX;
use futures_util::Stream;
use futures_util::StreamExt as _;
use ledger::EventKind;
use ledger::blobs::BlobRow;
use ledger::query;
use tokio::sync::mpsc;
use types::Author;
use types::BlobMeta;
use types::Encode as _;
use types::ShardIndex;
use types::blob::BlobChange;
use types::blob::BlobId;
use types::blob::BlobOperation;
use types::blob::BlobReference;
use types::blob::BlobRefusal;
use types::table::TableFault;

use super::ANSWER_TIME_MAX;
use super::Blobs;
use super::StoreError;
use super::store::Scratch;
use crate::faucet::Faucet;
use crate::faucet::FaucetError;
use crate::handle::Handle;

/// How many pieces of a body may wait to be encoded; the sender waits then.
const PIECES_MAX: usize = 16;
/// How long a certificate may take.
const CERTIFICATE_TIME_MAX: Duration = Duration::from_secs(120);
/// How long those who miss their shard are tried again, and how often.
const PUSH_TIME_MAX: Duration = Duration::from_secs(3_600);
const PUSH_PAUSE: Duration = Duration::from_secs(5);
const EVENTS_PAGE: usize = 256;

/// Why a blob is not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The body broke off.
    #[error("the body broke off: {0}")]
    Body(String),
    /// It is longer than this network allows.
    #[error("a blob has at most {limit} bytes here")]
    Length {
        /// The longest allowed.
        limit: u64,
    },
    /// It was registered and refused.
    #[error("the registration was refused: {0}")]
    Refused(BlobRefusal),
    /// It was registered and ended before it was certified.
    #[error("the blob has ended before it was certified")]
    Ended,
    /// It is registered, and the certificate did not come in time.
    #[error(
        "blob {id} is registered, and too few validators have taken their shards in time; this node \
         goes on handing them out: ask for its status"
    )]
    Late {
        /// Which blob.
        id: BlobId,
    },
    /// The node can not pay.
    #[error(transparent)]
    Faucet(#[from] FaucetError),
    /// There is no room, or the file system refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database fails.
    #[error(transparent)]
    Table(#[from] TableFault),
}

/// A blob that is encoded into files, one a shard, which go with it.
#[derive(Debug)]
pub(crate) struct Encoded {
    files: Vec<Scratch>,
    committed: Committed,
}

impl Encoded {
    /// What the blob is.
    pub(crate) const fn meta(&self) -> &BlobMeta {
        self.committed.meta()
    }
}

impl Blobs {
    /// Encodes a body as it comes.
    ///
    /// # Errors
    /// When it breaks off, is too long, or there is no room.
    pub(crate) async fn encode<E: std::fmt::Display>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        length_max: u64,
    ) -> Result<Encoded, PublishError> {
        let mut body = body;
        let (pieces, waiting) = mpsc::channel(PIECES_MAX);
        let blobs = self.clone();
        let work = tokio::task::spawn_blocking(move || encode(&blobs, waiting));
        let mut length = 0_u64;
        let mut broken = None;
        while let Some(piece) = body.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    broken = Some(PublishError::Body(error.to_string()));
                    break;
                }
            };
            length = length.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            if length > length_max {
                broken = Some(PublishError::Length { limit: length_max });
                break;
            }
            // The other side ends early only with an error, which is told below.
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        drop(pieces);
        let encoded = work.await.map_err(|_| broke_off())?;
        match broken {
            Some(error) => Err(error),
            None => encoded.map_err(PublishError::Store),
        }
    }

    /// Registers an encoded blob unless it is, and hands its shards out until it is certified. The
    /// answer says whether this call registered it.
    ///
    /// # Errors
    /// When it is refused, or not certified in time.
    pub(crate) async fn publish(
        &self,
        handle: &Handle,
        faucet: &Faucet,
        encoded: Encoded,
        (ticks, owner): (u32, Option<ScriptBuf>),
    ) -> Result<bool, PublishError> {
        let meta = *encoded.meta();
        let id = meta.id();
        let (known, height, event) = look(handle, &id)?;
        let live = known.filter(|row| row.is_live(height));
        if live.is_some_and(|row| row.certified.is_some()) {
            return Ok(false);
        }
        let is_new = live.is_none();
        if is_new {
            let end_height = height.saturating_add(ticks);
            let operation = BlobOperation::Register;
            let reference = BlobReference { operation, blob: id, layout: meta.layout, end_height };
            let price = handle.genesis().blobs.price_sat(meta.layout.encoded_length(), ticks);
            let txid = faucet.register(reference, Amount::from_sat(price), owner).await?;
            self.registered(handle, (id, txid), event).await?;
        }
        let encoded = Arc::new(encoded);
        self.adopt(&encoded).await?;
        let blobs = self.clone();
        let pushing = tokio::spawn({
            let (handle, encoded) = (handle.clone(), Arc::clone(&encoded));
            async move { blobs.push_all(&handle, &id, &encoded).await }
        });
        // It goes on by itself behind this answer, for an hour at most, and ends with the process:
        // who misses its shard then gets it by repair.
        drop(pushing);
        let certified = self.certified(handle, &id);
        match tokio::time::timeout(CERTIFICATE_TIME_MAX, certified).await {
            Ok(result) => result.map(|()| is_new),
            Err(_) => Err(PublishError::Late { id }),
        }
    }

    /// Puts this node's own shard where it is held.
    async fn adopt(&self, encoded: &Arc<Encoded>) -> Result<(), PublishError> {
        let id = encoded.meta().id();
        let Some(own) = self.own_shard(&id) else { return Ok(()) };
        if self.store().held(&id).is_some() {
            return Ok(());
        }
        let encoded = Arc::clone(encoded);
        let adopted = self.blocking(move |store| {
            let proof = encoded.committed.proof(own).and_then(|proof| proof.verify(&id).ok());
            match (proof, encoded.files.get(own.index())) {
                (Some(proof), Some(file)) => store.adopt(proof, file.path()),
                _ => Ok(()),
            }
        });
        adopted.await??;
        self.held(id);
        Ok(())
    }

    /// Waits for what becomes of a registration.
    async fn registered(
        &self,
        handle: &Handle,
        (id, txid): (BlobId, Txid),
        mut after: u64,
    ) -> Result<(), PublishError> {
        let mut events = handle.events();
        let wait = async {
            loop {
                let newest = *events.borrow_and_update();
                while after < newest {
                    let page = query::events(handle.read()?.as_ref(), after, EVENTS_PAGE)?;
                    let Some(last) = page.last() else { break };
                    after = last.sequence;
                    for event in page {
                        match event.kind {
                            EventKind::Blob(outcome) if outcome.blob == id => {
                                match outcome.change {
                                    BlobChange::Registered { .. } => return Ok(()),
                                    // Somebody else's registration came first: as good as this one.
                                    BlobChange::Refused { reason: BlobRefusal::Known { .. } } => {
                                        return Ok(());
                                    }
                                    BlobChange::Refused { reason } => {
                                        return Err(PublishError::Refused(reason));
                                    }
                                    _ => {}
                                }
                            }
                            _ => {}
                        }
                    }
                }
                if events.changed().await.is_err() {
                    return Err(PublishError::Late { id });
                }
            }
        };
        tracing::debug!(blob = %id, %txid, "blob registration sent");
        match tokio::time::timeout(CERTIFICATE_TIME_MAX, wait).await {
            Ok(result) => result,
            Err(_) => Err(PublishError::Late { id }),
        }
    }

    async fn certified(&self, handle: &Handle, id: &BlobId) -> Result<(), PublishError> {
        let mut events = handle.events();
        loop {
            events.borrow_and_update();
            let (known, height, _) = look(handle, id)?;
            match known {
                Some(row) if row.certified.is_some() => return Ok(()),
                Some(row) if row.is_live(height) => {}
                _ => return Err(PublishError::Ended),
            }
            if events.changed().await.is_err() {
                return Err(PublishError::Late { id: *id });
            }
        }
    }

    /// Hands shards out to all who have not acknowledged theirs, again and again.
    async fn push_all(&self, handle: &Handle, id: &BlobId, encoded: &Encoded) {
        let began = tokio::time::Instant::now();
        while began.elapsed() < PUSH_TIME_MAX {
            let Ok((Some(row), height, _)) = look(handle, id) else { return };
            if !row.is_live(height) {
                return;
            }
            let missing = |shard: &ShardIndex| {
                let keeper = self.shards().keeper(id, *shard);
                !row.held_by.contains(keeper) && Some(*shard) != self.own_shard(id)
            };
            let missing: Vec<ShardIndex> = self.shards().shards().filter(missing).collect();
            if missing.is_empty() {
                return;
            }
            let pushes = missing.iter().map(|shard| self.push(id, *shard, encoded));
            for (shard, pushed) in missing.iter().zip(futures_util::future::join_all(pushes).await)
            {
                if pushed.is_none() {
                    tracing::debug!(blob = %id, %shard, "shard not taken yet");
                }
            }
            tokio::time::sleep(PUSH_PAUSE).await;
        }
    }

    /// Hands one shard to its keeper, from where it stands there.
    async fn push(&self, id: &BlobId, shard: ShardIndex, encoded: &Encoded) -> Option<()> {
        let keeper: Author = self.shards().keeper(id, shard);
        let url = format!("{}/v1/blobs/{id}/shards/{shard}", self.url(keeper)?);
        let proof = hex::encode(encoded.committed.proof(shard)?.to_bytes());
        let length = encoded.meta().layout.shard_length();
        let path = encoded.files.get(shard.index())?.path().to_owned();
        let file = Arc::new(self.blocking(move |_| File::open(path)).await.ok()?.ok()?);
        let mut offset = 0;
        loop {
            let (file, piece_length) = (Arc::clone(&file), piece_length(length - offset));
            let piece = self.blocking(move |_| {
                let mut piece = vec![0; piece_length];
                file.read_exact_at(&mut piece, offset).map(|()| piece)
            });
            let piece = piece.await.ok()?.ok()?;
            let request = self
                .0
                .http
                .put(format!("{url}?offset={offset}"))
                .header(SHARD_PROOF_HEADER, &proof)
                .timeout(ANSWER_TIME_MAX * 3)
                .body(piece);
            let answer = request.send().await.ok()?;
            if !answer.status().is_success() {
                return None;
            }
            let ShardUpload { received, held } = answer.json().await.ok()?;
            if held {
                return Some(());
            }
            // An answer that does not bring this forward ends the try.
            if received > length || received == offset {
                return None;
            }
            offset = received;
        }
    }
}

fn piece_length(left: u64) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(UPLOAD_PIECE_BYTES_MAX)
}

/// Encodes what comes out of the channel into files, until it ends.
fn encode(blobs: &Blobs, mut waiting: mpsc::Receiver<Bytes>) -> Result<Encoded, StoreError> {
    let files: Vec<Scratch> = blobs.shards().shards().map(|_| blobs.store().scratch()).collect();
    let opened: Result<Vec<File>, _> = files.iter().map(|file| File::create(file.path())).collect();
    let mut opened = opened?;
    let mut encoder = Encoder::new(blobs.shards());
    let mut failed: Option<std::io::Error> = None;
    let mut sink = |segment: &blobs::Segment| {
        for (shard, file) in blobs.shards().shards().zip(&mut opened) {
            if let Err(error) = file.write_all(segment.chunk(shard).unwrap_or_default()) {
                failed.get_or_insert(error);
            }
        }
    };
    let mut since_check = 0;
    while let Some(piece) = waiting.blocking_recv() {
        encoder.push(&piece, &mut sink).map_err(std::io::Error::other)?;
        since_check += piece.len();
        if since_check > UPLOAD_PIECE_BYTES_MAX {
            since_check = 0;
            blobs.store().check_disk(0)?;
        }
    }
    let committed = encoder.finish(&mut sink).map_err(std::io::Error::other)?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(Encoded { files, committed }),
    }
}

/// What is known of a blob, at which height, and up to which event.
fn look(handle: &Handle, id: &BlobId) -> Result<(Option<BlobRow>, types::Height, u64), TableFault> {
    let read = handle.read()?;
    let row = query::blob(read.as_ref(), id)?;
    let summary = query::summary(read.as_ref())?;
    let height = summary.as_ref().map_or(types::Height::ZERO, |summary| summary.tip.height);
    Ok((row, height, summary.map_or(0, |summary| summary.last_event)))
}

fn broke_off() -> StoreError {
    std::io::Error::other("encoding broke off").into()
}
