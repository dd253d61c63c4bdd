//! What every handler shares: the node's handle, the gates, the faucet, and the way to the store.

use std::sync::Arc;

use bitcoin::Txid;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::faucet::Faucet;
use crate::handle::Handle;
use crate::handle::MempoolView;
use crate::handle::SubmitError;

use super::failure::Failure;
use super::gate::Gate;
use super::gate::READS_MAX;
use super::gate::SNAPSHOTS_MAX;
use super::gate::STREAMS_MAX;
use super::gate::WAITING_MAX;
use super::outcomes::Outcomes;
use super::pool::Pool;
use super::pool::Pools;
use super::view::View;

/// What every handler shares. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Services(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    handle: Handle,
    faucet: Option<Faucet>,
    outcomes: Outcomes,
    pools: Pools,
    reads: Gate,
    streams: Gate,
    snapshots: Gate,
    waiting: Gate,
    shutdown: CancellationToken,
}

impl Services {
    /// Puts the parts together. `shutdown` ends streams and waiting requests.
    pub(crate) fn new(
        handle: Handle,
        faucet: Option<Faucet>,
        outcomes: Outcomes,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            pools: Pools::new(handle.clone()),
            handle,
            faucet,
            outcomes,
            reads: Gate::new(READS_MAX, None),
            streams: Gate::new(STREAMS_MAX, None),
            snapshots: Gate::new(SNAPSHOTS_MAX, None),
            waiting: Gate::new(WAITING_MAX, None),
            shutdown,
        }))
    }

    /// The node.
    pub(crate) fn handle(&self) -> &Handle {
        &self.0.handle
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
        &self.0.pools
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

    /// Is cancelled when the server stops.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// Runs `work` over one view of the ledger and the pool, where blocking is allowed. Cancel
    /// safe: work that has begun ends by itself, and the reads that go on are counted.
    ///
    /// # Errors
    /// What `work` says, or that the node is busy or stopping.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        // The pool comes first: what leaves it for the ledger meanwhile is then seen twice, and
        // never not at all. The ledger is asked first, so it counts once.
        let pool = self.0.pools.now().await?;
        self.run(pool, work).await
    }

    /// Runs `work` over the ledger and one transaction of the pool: for questions about that
    /// transaction alone, which are frequent and need no copy of the pool. Cancel safe, as
    /// [`Self::read`].
    ///
    /// # Errors
    /// What `work` says, or that the node is busy or stopping.
    pub(crate) async fn read_one<T: Send + 'static>(
        &self,
        txid: Txid,
        work: impl FnOnce(&View) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        match self.0.handle.pooled(txid).await {
            Ok(Some(pooled)) => {
                let view = MempoolView { transactions: vec![pooled] };
                self.run(Arc::new(Pool::new(view)), work).await
            }
            Ok(None) => self.read_ledger(work).await,
            Err(SubmitError::Busy) => self.read(work).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Runs `work` over the ledger, and over the whole pool if one transaction is in it: what it
    /// spends may be there too. Cancel safe, as [`Self::read`].
    ///
    /// # Errors
    /// What `work` says, or that the node is busy or stopping.
    pub(crate) async fn read_around<T: Send + 'static>(
        &self,
        txid: Txid,
        work: impl FnOnce(&View) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        match self.0.handle.pooled(txid).await {
            Ok(None) => self.read_ledger(work).await,
            Ok(Some(_)) | Err(SubmitError::Busy) => self.read(work).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Runs `work` over the ledger alone: for what does not depend on the pool, so that it is
    /// answered however busy the node is. Cancel safe, as [`Self::read`].
    ///
    /// # Errors
    /// What `work` says.
    pub(crate) async fn read_ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.run(Arc::default(), work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        pool: Arc<Pool>,
        work: impl FnOnce(&View) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.0.reads.wait().await?;
        let handle = self.0.handle.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&View::new(handle.read()?, pool))
        });
        task.await.unwrap_or_else(|fault| {
            error!(%fault, "a read ended early");
            Err(Failure::internal())
        })
    }
}
