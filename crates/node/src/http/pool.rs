//! The pool as HTTP shows it: fetched from the node, indexed once, shared by the requests of the
//! next moment.
//!
//! **Invariant.** Whoever submits over HTTP and then asks sees what was submitted: a submission
//! makes the kept view stale. What is shown is at most [`FRESH_MAX`] old otherwise.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use bitcoin::OutPoint;
use bitcoin::TxOut;
use bitcoin::Txid;
use ledger::ScriptHash;
use tokio::sync::Mutex;
use tokio::sync::watch;

use crate::handle::Handle;
use crate::handle::MempoolView;
use crate::handle::PooledTransaction;
use crate::handle::SubmitError;

/// How old a view of the pool may be when nothing was submitted here since.
const FRESH_MAX: Duration = Duration::from_millis(100);

/// One view of the pool with its indices.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    view: MempoolView,
    places: HashMap<Txid, usize>,
    spends: HashMap<OutPoint, (Txid, u32)>,
    scripts: OnceLock<HashMap<ScriptHash, Vec<usize>>>,
}

/// Fetches views and keeps the last one.
#[derive(Debug)]
pub(crate) struct Pools {
    handle: Handle,
    submissions: watch::Sender<u64>,
    // The lock is held across the fetch on purpose: of many requests that find the view stale one
    // fetches and the others wait for what it gets. What waits is bounded by the gate.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    pool: Arc<Pool>,
    fetched: Instant,
    submissions: u64,
}

impl Pools {
    /// Keeps nothing yet.
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, submissions: watch::Sender::new(0), kept: Mutex::new(None) }
    }

    /// Something was submitted: what is kept is stale.
    pub(crate) fn submitted(&self) {
        self.submissions.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Changes whenever something was submitted.
    pub(crate) fn submissions(&self) -> watch::Receiver<u64> {
        self.submissions.subscribe()
    }

    /// The pool as it stands, or as it last stood while the node is too busy to say. Cancel safe.
    ///
    /// # Errors
    /// When the node is stopping, or was busy from the start.
    pub(crate) async fn now(&self) -> Result<Arc<Pool>, SubmitError> {
        let mut kept = self.kept.lock().await;
        let submissions = *self.submissions.borrow();
        if let Some(kept) = kept.as_ref()
            && kept.submissions == submissions
            && kept.fetched.elapsed() < FRESH_MAX
        {
            return Ok(Arc::clone(&kept.pool));
        }
        let pool = match (self.handle.mempool().await, kept.as_ref()) {
            (Ok(view), _) => Arc::new(Pool::new(view)),
            (Err(SubmitError::Busy), Some(kept)) => return Ok(Arc::clone(&kept.pool)),
            (Err(error), _) => return Err(error),
        };
        let shared = Arc::clone(&pool);
        *kept = Some(Kept { pool, fetched: Instant::now(), submissions });
        Ok(shared)
    }
}

impl Pool {
    /// Indexes a view.
    pub(crate) fn new(view: MempoolView) -> Self {
        let mut places = HashMap::with_capacity(view.transactions.len());
        let mut spends = HashMap::new();
        for (place, pooled) in view.transactions.iter().enumerate() {
            places.insert(pooled.txid, place);
            for (input, vin) in pooled.transaction.input.iter().zip(0_u32..) {
                spends.insert(input.previous_output, (pooled.txid, vin));
            }
        }
        Self { view, places, spends, scripts: OnceLock::new() }
    }

    /// What waits, oldest first.
    pub(crate) fn transactions(&self) -> &[PooledTransaction] {
        &self.view.transactions
    }

    /// One transaction.
    pub(crate) fn get(&self, txid: &Txid) -> Option<&PooledTransaction> {
        self.places.get(txid).and_then(|place| self.view.transactions.get(*place))
    }

    /// Which transaction of the pool spends an output, with which input.
    pub(crate) fn spender(&self, outpoint: &OutPoint) -> Option<(Txid, u32)> {
        self.spends.get(outpoint).copied()
    }

    /// An output that a transaction of the pool makes.
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        let place = usize::try_from(outpoint.vout).ok()?;
        self.get(&outpoint.txid)?.transaction.output.get(place)
    }

    /// The transactions that pay to or spend from a script, oldest first. `prevout` says what an
    /// input spends; it is asked once for each input of the pool, by whoever comes first.
    ///
    /// # Errors
    /// When `prevout` fails.
    pub(crate) fn touching<E>(
        &self,
        script: &ScriptHash,
        prevout: impl Fn(&OutPoint) -> Result<Option<TxOut>, E>,
    ) -> Result<Vec<&PooledTransaction>, E> {
        let places = self.by_script(prevout)?.get(script).map(Vec::as_slice).unwrap_or_default();
        Ok(places.iter().filter_map(|place| self.view.transactions.get(*place)).collect())
    }

    /// The scripts that anything in the pool pays to or spends from. `prevout` as above.
    ///
    /// # Errors
    /// When `prevout` fails.
    pub(crate) fn scripts<E>(
        &self,
        prevout: impl Fn(&OutPoint) -> Result<Option<TxOut>, E>,
    ) -> Result<impl Iterator<Item = &ScriptHash>, E> {
        Ok(self.by_script(prevout)?.keys())
    }

    fn by_script<E>(
        &self,
        prevout: impl Fn(&OutPoint) -> Result<Option<TxOut>, E>,
    ) -> Result<&HashMap<ScriptHash, Vec<usize>>, E> {
        if let Some(scripts) = self.scripts.get() {
            return Ok(scripts);
        }
        let index = self.index(prevout)?;
        Ok(self.scripts.get_or_init(|| index))
    }

    fn index<E>(
        &self,
        prevout: impl Fn(&OutPoint) -> Result<Option<TxOut>, E>,
    ) -> Result<HashMap<ScriptHash, Vec<usize>>, E> {
        let mut scripts: HashMap<ScriptHash, Vec<usize>> = HashMap::new();
        let mut note = |output: &TxOut, place: usize| {
            let places = scripts.entry(ScriptHash::of(&output.script_pubkey)).or_default();
            if places.last() != Some(&place) {
                places.push(place);
            }
        };
        for (place, pooled) in self.view.transactions.iter().enumerate() {
            for output in &pooled.transaction.output {
                note(output, place);
            }
            for input in &pooled.transaction.input {
                if let Some(output) = prevout(&input.previous_output)? {
                    note(&output, place);
                }
            }
        }
        Ok(scripts)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bitcoin::Amount;
    use bitcoin::ScriptBuf;
    use bitcoin::Sequence;
    use bitcoin::Transaction;
    use bitcoin::TxIn;
    use bitcoin::Witness;
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;

    use super::*;

    fn pooled(previous_output: OutPoint, script: &ScriptBuf) -> PooledTransaction {
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value: Amount::from_sat(1_000), script_pubkey: script.clone() }],
        };
        PooledTransaction {
            txid: transaction.compute_txid(),
            wtxid: transaction.compute_wtxid(),
            fee_sat: 100,
            vsize: 100,
            proposed: false,
            transaction: Arc::new(transaction),
        }
    }

    #[test]
    fn a_script_sees_what_pays_it_and_what_spends_it_once() {
        let (own, other) = (ScriptBuf::from(vec![0x51]), ScriptBuf::from(vec![0x52]));
        let first = pooled(OutPoint::null(), &own);
        let output = OutPoint { txid: first.txid, vout: 0 };
        let second = pooled(output, &own);
        let third = pooled(OutPoint { txid: second.txid, vout: 0 }, &other);
        let txids = [first.txid, second.txid, third.txid];
        let pool = Pool::new(MempoolView { transactions: vec![first, second, third] });
        let prevout = |outpoint: &OutPoint| Ok::<_, Infallible>(pool.output(outpoint).cloned());
        let touching = |script: &ScriptBuf| -> Vec<Txid> {
            let found = pool.touching(&ScriptHash::of(script), prevout).unwrap();
            found.into_iter().map(|pooled| pooled.txid).collect()
        };
        assert_eq!(touching(&own), txids);
        assert_eq!(touching(&other), [txids[2]]);
        assert_eq!(pool.spender(&output), Some((txids[1], 0)));
        assert_eq!(pool.get(&txids[1]).map(|pooled| pooled.txid), Some(txids[1]));
    }
}
