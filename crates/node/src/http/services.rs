//! What every handler shares: the node's handle, the gates, the faucet, and the way to the store.

use std::sync::Arc;

use bitcoin::Txid;
use tokio_util::sync::CancellationToken;

use crate::faucet::Faucet;
use crate::handle::Handle;

use super::failure::Failure;
use super::gate::Gate;
use super::gate::PUBLISHING_MAX;
use super::gate::READING_MAX;
use super::gate::SNAPSHOTS_MAX;
use super::gate::STREAMS_MAX;
use super::gate::WAITING_MAX;
use super::outcomes::Outcomes;
use super::pool::Pools;
use super::reader::Reader;
use super::view::View;

/// What every handler shares. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Services(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reader: Reader,
    faucet: Option<Faucet>,
    outcomes: Outcomes,
    streams: Gate,
    snapshots: Gate,
    waiting: Gate,
    publishing: Gate,
    reading: Gate,
    shutdown: CancellationToken,
}

impl Services {
    /// Puts the parts together. `shutdown` ends streams and waiting requests.
    pub(crate) fn new(
        reader: Reader,
        faucet: Option<Faucet>,
        outcomes: Outcomes,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            reader,
            faucet,
            outcomes,
            streams: Gate::new(STREAMS_MAX, None),
            snapshots: Gate::new(SNAPSHOTS_MAX, None),
            waiting: Gate::new(WAITING_MAX, None),
            publishing: Gate::new(PUBLISHING_MAX, None),
            reading: Gate::new(READING_MAX, None),
            shutdown,
        }))
    }

    /// The node.
    pub(crate) fn handle(&self) -> &Handle {
        self.0.reader.handle()
    }

    /// The faucet, on a development network whose key this node holds.
    pub(crate) fn faucet(&self) -> Option<&Faucet> {
        self.0.faucet.as_ref()
    }

    /// Tells when transactions have their outcomes.
    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.0.outcomes
    }

    /// The pool.
    pub(crate) fn pools(&self) -> &Pools {
        self.0.reader.pools()
    }

    /// Bounds the open event streams.
    pub(crate) fn streams(&self) -> &Gate {
        &self.0.streams
    }

    /// Bounds the snapshots that are read.
    pub(crate) fn snapshots(&self) -> &Gate {
        &self.0.snapshots
    }

    /// Bounds the submissions that wait for their outcome.
    pub(crate) fn waiting(&self) -> &Gate {
        &self.0.waiting
    }

    /// Bounds the blobs that are published.
    pub(crate) fn publishing(&self) -> &Gate {
        &self.0.publishing
    }

    /// Bounds the readers of blobs and shards.
    pub(crate) fn reading(&self) -> &Gate {
        &self.0.reading
    }

    /// Is cancelled when the server stops.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// Runs `work` over one view of the ledger and the pool, as [`Reader::read`].
    ///
    /// # Errors
    /// What `work` says, or that the node is busy or stopping.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.0.reader.read(work).await
    }

    /// Runs `work` over the ledger and one transaction of the pool, as [`Reader::read_one`].
    ///
    /// # Errors
    /// What `work` says, or that the node is busy or stopping.
    pub(crate) async fn read_one<T: Send + 'static>(
        &self,
        txid: Txid,
        work: impl FnOnce(&View) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.0.reader.read_one(txid, work).await
    }

    /// Runs `work` over the ledger, and over the whole pool if one transaction is in it, as
    /// [`Reader::read_around`].
    ///
    /// # Errors
    /// What `work` says, or that the node is busy or stopping.
    pub(crate) async fn read_around<T: Send + 'static>(
        &self,
        txid: Txid,
        work: impl FnOnce(&View) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.0.reader.read_around(txid, work).await
    }

    /// Runs `work` over the ledger alone, as [`Reader::read_ledger`].
    ///
    /// # Errors
    /// What `work` says, or that the node is busy or stopping.
    pub(crate) async fn read_ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.0.reader.read_ledger(work).await
    }
}
