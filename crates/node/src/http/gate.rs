//! How much may go on at one time. What does not fit is refused at once with Retry-After: a queue
//! in front of a full node only makes everybody late.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use axum::extract::Request;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use futures_util::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use super::failure::Failure;

/// How many requests are worked on at one time, streams and waiting ones apart.
pub(crate) const REQUESTS_MAX: usize = 512;
/// How many event streams are open at one time.
pub(crate) const STREAMS_MAX: usize = 512;
/// How many submissions wait for their outcome at one time.
pub(crate) const WAITING_MAX: usize = 2_048;
/// How many snapshots are read at one time: each holds old values in the store.
pub(crate) const SNAPSHOTS_MAX: usize = 2;
/// How many blobs are published at one time: each takes disk and a processor.
pub(crate) const PUBLISHING_MAX: usize = 8;
/// How many readers of blobs and shards are served at one time.
pub(crate) const READING_MAX: usize = 256;
/// How many requests read the store at one time. More would only wait for the disk.
pub(crate) const READS_MAX: usize = 32;
/// How long a request may take, its body included.
pub(crate) const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);

/// A bound on how many of one kind go on at one time.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    time_max: Option<Duration>,
}

impl Gate {
    /// Lets `most` through at one time; each is ended after `time_max`.
    pub(crate) fn new(most: usize, time_max: Option<Duration>) -> Self {
        Self { permits: Arc::new(Semaphore::new(most)), time_max }
    }

    /// Goes through, or learns that there is no room.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map_err(|_| Failure::unavailable("the node serves too many requests already"))
    }

    /// Waits for room. Cancel safe.
    ///
    /// # Errors
    /// Never while the gate exists.
    pub(crate) async fn wait(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map_err(|_| Failure::internal())
    }
}

/// The layer that keeps a gate.
pub(crate) async fn keep(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let _permit = match gate.enter() {
        Ok(permit) => permit,
        Err(failure) => return failure.into_response(),
    };
    match gate.time_max {
        None => next.run(request).await,
        Some(time_max) => match tokio::time::timeout(time_max, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Failure::timeout().into_response(),
        },
    }
}

/// A stream that counts as open until it is dropped.
pub(crate) struct Counted<S> {
    inner: S,
    _permit: OwnedSemaphorePermit,
}

impl<S> Counted<S> {
    /// Ties a permit to a stream.
    pub(crate) fn new(inner: S, permit: OwnedSemaphorePermit) -> Self {
        Self { inner, _permit: permit }
    }
}

impl<S: Stream + Unpin> Stream for Counted<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        Pin::new(&mut self.inner).poll_next(context)
    }
}
