//! The one way to the ledger and the pool for every server of this node: HTTP, Electrum, Bitcoin's
//! own RPC and its network.
//!
//! **Invariant.** However many servers there are, no more than [`READS_MAX`] reads go on at one
//! time, each where blocking is allowed; the pool is fetched once for all who ask in one moment.

use std::sync::Arc;

use bitcoin::Transaction;
use bitcoin::Txid;
use ledger::mempool::PackageAnswer;
use tokio::sync::watch;
use tracing::error;

use crate::handle::Handle;
use crate::handle::MempoolView;
use crate::handle::SubmitError;
use crate::handle::Submitted;

use super::failure::Failure;
use super::gate::Gate;
use super::gate::READS_MAX;
use super::pool::Pool;
use super::pool::Pools;
use super::view::View;

/// Reads the ledger and the pool. Clones share what they keep and how much goes on at one time.
#[derive(Clone, Debug)]
pub(crate) struct Reader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    handle: Handle,
    pools: Pools,
    reads: Gate,
}

impl Reader {
    /// Reads what a node holds.
    pub(crate) fn new(handle: Handle) -> Self {
        let pools = Pools::new(handle.clone());
        Self(Arc::new(Inner { handle, pools, reads: Gate::new(READS_MAX, None) }))
    }

    /// The node.
    pub(crate) fn handle(&self) -> &Handle {
        &self.0.handle
    }

    /// The pool.
    pub(crate) fn pools(&self) -> &Pools {
        &self.0.pools
    }

    /// Changes whenever something was submitted here, whatever became of it.
    pub(crate) fn submissions(&self) -> watch::Receiver<u64> {
        self.0.pools.submissions()
    }

    /// Submits a transaction; whoever reads after this sees it. Cancel safe: a caller that goes
    /// away only misses the answer.
    ///
    /// # Errors
    /// When it is refused, or the node is busy or stopping.
    pub(crate) async fn submit(&self, transaction: Transaction) -> Result<Submitted, SubmitError> {
        let submitted = self.0.handle.submit(transaction).await;
        self.0.pools.submitted();
        submitted
    }

    /// Submits transactions that come together, parents first; whoever reads after this sees what
    /// was taken of them. Cancel safe, as [`Self::submit`].
    ///
    /// # Errors
    /// When the node follows only, is busy or is stopping.
    pub(crate) async fn submit_package(
        &self,
        transactions: Vec<Transaction>,
    ) -> Result<PackageAnswer, SubmitError> {
        let answer = self.0.handle.submit_package(transactions).await;
        self.0.pools.submitted();
        answer
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
