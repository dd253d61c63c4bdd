//! What every handler shares: the node's handle, the gates, the faucet, and the way to the store.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::faucet::Faucet;
use crate::handle::Handle;

use super::failure::Failure;
use super::gate::Gate;
use super::gate::READS_MAX;
use super::gate::STREAMS_MAX;
use super::gate::WAITING_MAX;
use super::outcomes::Outcomes;
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
        let permit = self.0.reads.wait().await?;
        // The pool comes first: what leaves it for the ledger meanwhile is then seen twice, and
        // never not at all. The ledger is asked first, so it counts once.
        let pool = self.0.pools.now().await?;
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
