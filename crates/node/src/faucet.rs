//! Hands out money on a development network: one task owns the faucet's coins and serves any
//! number of requests at once.
//!
//! Its state is a cache: the coins come from the ledger's index, so a restart loses nothing. A
//! request that finds no coin free while payments are under way waits for their change; the queue
//! behind it is bounded by [`REQUESTS_MAX`] and a full queue refuses. Never part of any other
//! network: without a key there is no faucet.

mod keys;
mod purse;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::PrivateKey;
use bitcoin::ScriptBuf;
use bitcoin::Txid;
use ledger::ScriptHash;
use ledger::query;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;
use types::Author;
use types::Moment;
use types::blob::BlobReference;
use types::table::TableFault;

use crate::handle::Handle;
use crate::handle::SubmitError;
use crate::handle::Submitted;

use self::keys::Coin;
use self::keys::Keys;
use self::keys::Owner;
use self::purse::COINS_MAX;
use self::purse::Purse;

pub(crate) use self::keys::recipient;

/// The most that one request gets: 10 BTC.
pub(crate) const AMOUNT_MAX: Amount = Amount::from_sat(1_000_000_000);
/// How many requests wait for the faucet's task.
const REQUESTS_MAX: usize = 256;
/// How many payments are submitted at one time.
const SUBMISSIONS_MAX: usize = 128;
/// How long an empty purse waits before it asks the store again.
const REFILL_PAUSE: Duration = Duration::from_millis(200);
/// How many coins one question to the store gives.
const PAGE: usize = 1_000;
/// How many coins one refill looks at: those of other validators are passed over.
const REFILL_MAX: usize = 50_000;

/// Asks the faucet. Clones ask the same one.
#[derive(Clone, Debug)]
pub(crate) struct Faucet {
    requests: mpsc::Sender<Request>,
}

/// Why the faucet does not pay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FaucetError {
    /// The address is one of another network.
    #[error("this address belongs to another network; addresses here begin with bcrt1, m, n or 2")]
    Network,
    /// So little can not be paid: it would be dust.
    #[error("{amount_sat} sat are too few: the least for this address is {least_sat} sat")]
    TooSmall {
        /// What was asked for.
        amount_sat: u64,
        /// What is the least.
        least_sat: u64,
    },
    /// One request gets no more than [`AMOUNT_MAX`].
    #[error("{amount_sat} sat are too many: one request gets at most {most_sat} sat")]
    TooLarge {
        /// What was asked for.
        amount_sat: u64,
        /// What is the most.
        most_sat: u64,
    },
    /// The faucet has no coin left that covers it.
    #[error("the faucet of this validator has no coins free that cover the amount")]
    Empty,
    /// Too many wait already.
    #[error("the faucet is busy")]
    Busy,
    /// The node did not take the payment.
    #[error("the payment was not taken: {0}")]
    Refused(#[from] SubmitError),
    /// The key can not sign.
    #[error("the faucet's key can not sign")]
    Key,
}

/// What is paid for.
#[derive(Debug)]
enum Payment {
    /// Money to a script.
    To { script: ScriptBuf, amount: Amount },
    /// A blob's reference at its price; the script owns the blob's handle.
    Blob { reference: BlobReference, price: Amount, owner: Option<ScriptBuf> },
}

#[derive(Debug)]
struct Request {
    payment: Payment,
    answer: oneshot::Sender<Result<Txid, FaucetError>>,
}

struct Submission {
    coins: Vec<Coin>,
    change: Option<Coin>,
    txid: Txid,
    answer: oneshot::Sender<Result<Txid, FaucetError>>,
    result: Result<Submitted, SubmitError>,
}

struct Task {
    handle: Handle,
    keys: Arc<Keys>,
    purse: Purse,
    started: Instant,
    refilled: Option<Instant>,
    submissions: JoinSet<Submission>,
    waiting: Option<Request>,
}

impl Faucet {
    /// Makes the faucet and the task that serves it until `shutdown`; the caller runs the task.
    ///
    /// # Errors
    /// When the key can not be used.
    pub(crate) fn new(
        handle: Handle,
        key: &PrivateKey,
        own: Author,
        shutdown: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), FaucetError> {
        let keys = Arc::new(Keys::new(key, own)?);
        let validators = handle.committee().quorums().validators();
        let (requests, queue) = mpsc::channel(REQUESTS_MAX);
        info!(change = %keys.change_address(), "faucet is open");
        let task = Task {
            handle,
            keys,
            purse: Purse::new(own, validators),
            started: Instant::now(),
            refilled: None,
            submissions: JoinSet::new(),
            waiting: None,
        };
        Ok((Self { requests }, task.run(queue, shutdown)))
    }

    /// Pays `amount` to `script`; answers once the node keeps the payment. Cancel safe: the
    /// payment goes on without the caller.
    ///
    /// # Errors
    /// Says why nothing was paid.
    pub(crate) async fn pay(&self, script: ScriptBuf, amount: Amount) -> Result<Txid, FaucetError> {
        check_amount(&script, amount)?;
        self.ask(Payment::To { script, amount }).await
    }

    /// Pays for a blob, and gives its handle to `owner`, or keeps it. Cancel safe, as [`Faucet::pay`].
    ///
    /// # Errors
    /// Says why nothing was paid.
    pub(crate) async fn register(
        &self,
        reference: BlobReference,
        price: Amount,
        owner: Option<ScriptBuf>,
    ) -> Result<Txid, FaucetError> {
        let amount_sat = price.to_sat();
        if price > AMOUNT_MAX {
            return Err(FaucetError::TooLarge { amount_sat, most_sat: AMOUNT_MAX.to_sat() });
        }
        self.ask(Payment::Blob { reference, price, owner }).await
    }

    async fn ask(&self, payment: Payment) -> Result<Txid, FaucetError> {
        let (answer, reply) = oneshot::channel();
        let request = Request { payment, answer };
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => FaucetError::Busy,
            mpsc::error::TrySendError::Closed(_) => FaucetError::Refused(SubmitError::Stopping),
        })?;
        reply.await.unwrap_or(Err(FaucetError::Refused(SubmitError::Stopping)))
    }
}

fn check_amount(script: &ScriptBuf, amount: Amount) -> Result<(), FaucetError> {
    let least = script.minimal_non_dust();
    let amount_sat = amount.to_sat();
    if amount < least {
        return Err(FaucetError::TooSmall { amount_sat, least_sat: least.to_sat() });
    }
    if amount > AMOUNT_MAX {
        return Err(FaucetError::TooLarge { amount_sat, most_sat: AMOUNT_MAX.to_sat() });
    }
    Ok(())
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>, shutdown: CancellationToken) {
        loop {
            let room = self.waiting.is_none() && self.submissions.len() < SUBMISSIONS_MAX;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(done) = self.submissions.join_next() => {
                    if let Ok(done) = done {
                        self.settle(done);
                    }
                    if let Some(request) = self.waiting.take() {
                        self.begin(request).await;
                    }
                }
                request = queue.recv(), if room => match request {
                    Some(request) => self.begin(request).await,
                    None => break,
                },
            }
        }
        self.submissions.shutdown().await;
    }

    async fn begin(&mut self, request: Request) {
        if request.answer.is_closed() {
            return;
        }
        if self.purse.is_low() {
            self.refill().await;
        }
        let (amount, script) = self.keys.needed(&request.payment);
        let taken = self.purse.take(self.now(), amount, &script);
        let coins = match taken {
            Ok(coins) => coins,
            // Change of what is under way will come.
            Err(FaucetError::Empty) if !self.submissions.is_empty() => {
                self.waiting = Some(request);
                return;
            }
            Err(error) => return answer(request.answer, Err(error)),
        };
        let keys = Arc::clone(&self.keys);
        let Request { payment, answer: reply } = request;
        let change_output: u32 = match payment {
            Payment::To { .. } => 1,
            Payment::Blob { .. } => 2,
        };
        let built = match payment {
            Payment::To { script, amount } => keys.pay(&coins, script, amount),
            Payment::Blob { reference, price, owner } => {
                keys.register(&coins, &reference, price, owner)
            }
        };
        let transaction = match built {
            Ok(transaction) => transaction,
            Err(error) => {
                self.purse.put_back(&coins);
                return answer(reply, Err(error));
            }
        };
        let txid = transaction.compute_txid();
        let place = usize::try_from(change_output).unwrap_or(usize::MAX);
        let change = transaction.output.get(place).map(|output| Coin {
            outpoint: OutPoint { txid, vout: change_output },
            value: output.value,
            owner: Owner::Change,
        });
        let handle = self.handle.clone();
        self.submissions.spawn(async move {
            let result = handle.submit(transaction).await;
            Submission { coins, change, txid, answer: reply, result }
        });
    }

    fn settle(&mut self, done: Submission) {
        let Submission { coins, change, txid, answer: reply, result } = done;
        match result {
            Ok(_) => {
                if let Some(change) = change {
                    self.purse.change(change);
                }
                answer(reply, Ok(txid));
            }
            Err(error) => {
                // After a refusal of the payment itself a coin may be gone. The purse finds it
                // again in the ledger, after a while, if it is not.
                if !matches!(error, SubmitError::Rejected(_)) {
                    self.purse.put_back(&coins);
                }
                warn!(%txid, %error, "faucet payment not taken");
                answer(reply, Err(FaucetError::Refused(error)));
            }
        }
    }

    async fn refill(&mut self) {
        if self.refilled.is_some_and(|at| at.elapsed() < REFILL_PAUSE) {
            return;
        }
        self.refilled = Some(Instant::now());
        let (handle, keys, author) =
            (self.handle.clone(), Arc::clone(&self.keys), self.purse.own());
        let validators = self.handle.committee().quorums().validators();
        let read = move || load(&handle, &keys, &Purse::new(author, validators));
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(coins)) => self.purse.learn(self.now(), coins),
            Ok(Err(error)) => warn!(%error, "faucet can not read its coins"),
            Err(_) => {}
        }
    }

    fn now(&self) -> Moment {
        Moment::new(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

fn answer(reply: oneshot::Sender<Result<Txid, FaucetError>>, result: Result<Txid, FaucetError>) {
    // Whoever asked may be gone by now; the payment stands all the same.
    drop(reply.send(result));
}

/// The final, unspent coins that this faucet owns, up to what the purse holds.
fn load(handle: &Handle, keys: &Keys, purse: &Purse) -> Result<Vec<Coin>, TableFault> {
    let read = handle.read()?;
    let mut coins = Vec::new();
    for owner in [Owner::Change, Owner::Segwit, Owner::Taproot] {
        let script = ScriptHash::of(keys.script(owner));
        let (mut after, mut seen) = (None, 0);
        while seen < REFILL_MAX && coins.len() < COINS_MAX {
            let page = query::utxos(read.as_ref(), &script, after.as_ref(), PAGE)?;
            seen += page.len();
            after = page.last().map(|utxo| utxo.outpoint);
            let is_last = page.len() < PAGE;
            let found = page.into_iter().map(|utxo| Coin {
                outpoint: utxo.outpoint,
                value: Amount::from_sat(utxo.amount_sat),
                owner,
            });
            coins.extend(found.filter(|coin| purse.owns(coin)));
            if is_last {
                break;
            }
        }
    }
    Ok(coins)
}
