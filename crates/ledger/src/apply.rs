//! Applies commits, one after the other.
//!
//! **Invariant:** what comes out depends on the batch and on the rows before it only. The script
//! cache saves work and changes nothing: a verdict that is not there is found on the spot.
//! **Invariant:** a txid has at most one outcome, for ever. It is final when it applies, rejected
//! once another final transaction has spent one of its inputs; every other failure is passed over.
//!
//! Source: `docs/ledger.md`, Applying a commit.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Wtxid;
use bitcoin::hashes::Hash;
use types::Author;
use types::BitcoinHash;
use types::Checkpoint;
use types::CommitIndex;
use types::Digest;
use types::Epoch;
use types::Genesis;
use types::Height;
use types::Results;
use types::blob::BlobOutcome;
use types::encoding::Encode;
use types::table::Changes;
use types::table::TableFault;
use types::table::TableRead;

use crate::batch::Batch;
use crate::batch::Content;
use crate::batch::PreparedTransaction;
use crate::blobs::BlobRules;
use crate::checkpoint;
use crate::checkpoint::Hashes;
use crate::error::LedgerError;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::Outcome;
use crate::overlay::Overlay;
use crate::rows;
use crate::rows::CheckpointRow;
use crate::rows::Coin;
use crate::rows::CommitRow;
use crate::rows::RejectedRow;
use crate::rows::State;
use crate::rows::TransactionRow;
use crate::rows::Unsealed;
use crate::rules;
use crate::rules::BlockContext;
use crate::rules::Judgement;
use crate::rules::Limits;
use crate::rules::Lookup;
use crate::rules::SkipReason;
use crate::rules::SpentCoin;
use crate::script::ScriptCache;
use crate::script::ScriptCheck;
use crate::script::Verifier;
use crate::seal;
use crate::seal::Occasion;
pub use crate::seal::SealedBlock;
use crate::sigops;

mod blobs;

/// The most blocks that one item of development ticks seals.
pub const DEVELOPMENT_TICKS_MAX: u16 = 1_000;
/// Apply passes over what would take the unsealed weight above this many times the backlog at
/// which pools refuse: no validator fills the stores of others past it.
const BACKLOG_FACTOR: u64 = 2;

/// The state after a commit, and how to reach the next one.
#[derive(Clone, Debug)]
pub struct Ledger {
    parameters: Parameters,
    state: State,
    hashes: Hashes,
}

/// The sealed end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
    /// Its header's time, in seconds.
    pub time: u32,
    /// The median of its time and the ten before, in seconds.
    pub median_time_past: u32,
}

/// Final transactions that wait to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// How many.
    pub transactions: u64,
    /// Their weight.
    pub weight: u64,
    /// The weight above which pools refuse new transactions.
    pub weight_max: u64,
}

/// What applying a commit has brought about. Nothing is so until `changes` are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The rows to write, in one atomic step, before the next commit is applied.
    pub changes: Changes,
    /// What the event log gained.
    pub events: Vec<Event>,
    /// What became final, in order.
    pub finals: Vec<Txid>,
    /// Which outputs these have spent.
    pub spent: Vec<(OutPoint, Txid)>,
    /// What can never become final any more.
    pub rejected: Vec<Rejected>,
    /// What was passed over.
    pub skipped: Vec<Skipped>,
    /// What was sealed.
    pub blocks: Vec<SealedBlock>,
    /// What became of blobs, in order.
    pub blobs: Vec<BlobOutcome>,
    /// The checkpoint that the state is now, if it is one.
    pub checkpoint: Option<Checkpoint>,
    /// How many occurrences had their outcome already, or statements had been heard.
    pub repeated: u32,
    /// How many items were no transaction, ticks that were not obeyed, or statements about no live
    /// blob.
    pub ignored: u32,
}

/// A transaction that lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Which one.
    pub txid: Txid,
    /// Who won.
    pub conflict: Txid,
}

/// An occurrence of a transaction that was passed over. The txid may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Which txid.
    pub txid: Txid,
    /// Which witness.
    pub wtxid: Wtxid,
    /// Whose vertex carried it.
    pub author: Author,
    /// Why.
    pub reason: SkipReason,
}

/// What a genesis says about the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) limits: Limits,
    interval_ms: u64,
    backlog_weight: u64,
    development: bool,
    checkpoint_every: u64,
    epoch: Epoch,
    blobs: BlobRules,
    /// Who is paid, by author.
    payouts: Vec<ScriptBuf>,
}

impl Parameters {
    pub(crate) fn new(genesis: &Genesis) -> Result<Self, LedgerError> {
        let scripts = genesis.validators.iter();
        let payouts: Vec<ScriptBuf> = scripts
            .map(|validator| ScriptBuf::from_bytes(validator.payout_script.0.clone()))
            .collect();
        let costs = payouts.iter().map(|script| sigops::script_cost(script));
        let (place, cost) = costs.enumerate().max_by_key(|(_, cost)| *cost).unwrap_or((0, 0));
        let limits = Limits::new(genesis.ledger.max_block_weight, cost);
        if limits.transaction_sigops_cost < limits.block_sigops_cost / 2 {
            return Err(LedgerError::ScriptTooCostly { what: "payout script", place });
        }
        let backlog_blocks = u64::from(genesis.ledger.backlog_blocks);
        Ok(Self {
            limits,
            interval_ms: genesis.ledger.block_interval_ms,
            backlog_weight: genesis.ledger.max_block_weight.saturating_mul(backlog_blocks),
            development: genesis.development,
            checkpoint_every: genesis.ledger.checkpoint_every.max(1),
            epoch: genesis.epoch,
            blobs: BlobRules::new(genesis),
            payouts,
        })
    }
}

impl Ledger {
    /// The rows of an empty store: a deterministic prefix of blocks, their coins and indices.
    ///
    /// # Errors
    /// When the genesis asks for what no block can hold.
    pub fn genesis(genesis: &Genesis) -> Result<Changes, LedgerError> {
        crate::genesis::genesis(genesis)
    }

    /// Takes up the ledger where its rows stand.
    ///
    /// # Errors
    /// When the store fails, is empty or belongs to another network.
    pub fn open(genesis: &Genesis, read: &dyn TableRead) -> Result<Self, LedgerError> {
        let state: Option<State> = rows::read_row(read, rows::STATE, rows::STATE_KEY)?;
        let state = state.ok_or(LedgerError::Empty)?;
        let expected = genesis.chain();
        if state.chain != expected {
            return Err(LedgerError::WrongChain { expected, actual: state.chain });
        }
        let hashes: Option<Hashes> = rows::read_row(read, rows::STATE, rows::HASHES_KEY)?;
        let hashes = hashes.ok_or(LedgerError::Empty)?;
        Ok(Self { parameters: Parameters::new(genesis)?, state, hashes })
    }

    /// The last commit that was applied.
    pub const fn applied(&self) -> CommitIndex {
        self.state.applied
    }

    /// The digest of the last commit that was applied, zero at genesis.
    pub const fn digest(&self) -> Digest {
        self.state.digest
    }

    /// The sealed end of the chain.
    pub fn tip(&self) -> Tip {
        Tip {
            height: self.state.height,
            hash: self.state.hash,
            time: self.state.tip_time(),
            median_time_past: self.state.median_time_past(),
        }
    }

    /// The block that a transaction is judged for now.
    pub fn next_block(&self) -> BlockContext {
        context(&self.state)
    }

    /// The limits of one transaction.
    pub const fn limits(&self) -> &Limits {
        &self.parameters.limits
    }

    /// What waits to be sealed.
    pub const fn backlog(&self) -> Backlog {
        Backlog {
            transactions: self.state.unsealed_count,
            weight: self.state.unsealed_weight,
            weight_max: self.parameters.backlog_weight,
        }
    }

    /// The state as it stands now, in the form of a checkpoint, whether one is due or not.
    pub fn checkpoint_now(&self) -> Checkpoint {
        checkpoint::of_state(&self.state, &self.hashes, self.parameters.epoch)
    }

    /// How many outcomes no checkpoint covers yet.
    pub const fn uncovered_outcomes(&self) -> u64 {
        self.state.checkpoint_results.count()
    }

    /// The number of the last event.
    pub const fn last_event(&self) -> u64 {
        self.state.last_event
    }

    /// The script checks that the batch will ask for and the cache does not answer, as far as can
    /// be told before it is applied. They may run anywhere, in any order.
    ///
    /// # Errors
    /// When the store fails.
    pub fn script_checks(
        &self,
        read: &dyn TableRead,
        batch: &Batch,
        cache: &ScriptCache,
    ) -> Result<Vec<ScriptCheck>, TableFault> {
        let mut checks = Vec::new();
        let verifier = Verifier::default();
        let mut known: BTreeMap<Txid, &PreparedTransaction> = BTreeMap::new();
        let mut asked = BTreeSet::new();
        for prepared in batch.transactions() {
            let sound = rules::check_transaction(&prepared.transaction, self.limits()).is_ok();
            let wanted = sound && cache.get(&prepared.wtxid).is_none();
            if wanted && asked.insert(prepared.wtxid) {
                let spent = outputs(read, prepared, &known)?.filter(|spent| {
                    let spent: Vec<&TxOut> = spent.iter().collect();
                    let transaction = &prepared.transaction;
                    rules::check_script_cost(transaction, &spent, self.limits()).is_ok()
                });
                checks.extend(spent.map(|spent| ScriptCheck::of(prepared, spent, &verifier)));
            }
            known.insert(prepared.txid, prepared);
        }
        Ok(checks)
    }

    /// Applies the next commit. Writes nothing: `changes` must be written before the next one.
    ///
    /// # Errors
    /// When the store fails; the ledger is as before.
    ///
    /// # Panics
    /// When the batch is not the next one.
    pub fn apply(
        &mut self,
        read: &dyn TableRead,
        batch: &Batch,
        cache: &ScriptCache,
    ) -> Result<Applied, TableFault> {
        assert_eq!(batch.index, self.state.applied.next(), "commits are applied in order");
        let mut step = Step {
            parameters: &self.parameters,
            batch,
            cache,
            state: self.state.clone(),
            hashes: self.hashes.clone(),
            overlay: Overlay::new(read),
            rejected: BTreeSet::new(),
            applied: Applied::default(),
        };
        for item in &batch.items {
            match &item.content {
                Content::Transaction(prepared) => step.transaction(item.author, prepared)?,
                Content::DevelopmentTicks(count) => step.development_ticks(*count)?,
                Content::Malformed => step.applied.ignored += 1,
                Content::CheckpointVote => {}
                Content::BlobStatement(statement) => {
                    step.blob_statement(item.author, statement)?;
                }
            }
        }
        step.tick()?;
        let (state, hashes, applied) = step.finish(&self.hashes);
        self.state = state;
        self.hashes = hashes;
        Ok(applied)
    }
}

fn context(state: &State) -> BlockContext {
    BlockContext { height: state.height.next(), median_time_past: state.median_time_past() }
}

/// The outputs that a transaction spends, when all are there or made earlier in the batch.
fn outputs(
    read: &dyn TableRead,
    prepared: &PreparedTransaction,
    known: &BTreeMap<Txid, &PreparedTransaction>,
) -> Result<Option<Vec<TxOut>>, TableFault> {
    let mut outputs = Vec::with_capacity(prepared.transaction.input.len());
    for input in &prepared.transaction.input {
        let outpoint = &input.previous_output;
        let output = if let Some(parent) = known.get(&outpoint.txid) {
            let place = usize::try_from(outpoint.vout).unwrap_or(usize::MAX);
            parent.transaction.output.get(place).cloned()
        } else {
            let key = rows::outpoint_key(outpoint);
            let coin: Option<Coin> = rows::read_row(read, rows::COINS, &key)?;
            coin.map(|coin| coin.output)
        };
        let Some(output) = output else { return Ok(None) };
        outputs.push(output);
    }
    Ok(Some(outputs))
}

/// One commit on its way.
struct Step<'a> {
    parameters: &'a Parameters,
    batch: &'a Batch,
    cache: &'a ScriptCache,
    state: State,
    hashes: Hashes,
    overlay: Overlay<'a>,
    rejected: BTreeSet<Txid>,
    applied: Applied,
}

/// How an occurrence of a transaction ends.
enum Verdict {
    Applies(Judgement),
    /// The txid is final already.
    Repeated,
    Conflict(Txid),
    Skip(SkipReason),
}

impl Step<'_> {
    fn transaction(
        &mut self,
        author: Author,
        prepared: &PreparedTransaction,
    ) -> Result<(), TableFault> {
        let txid = prepared.txid;
        match self.judge(prepared)? {
            Verdict::Applies(judgement) => self.finalize(prepared, &judgement)?,
            Verdict::Repeated => self.applied.repeated += 1,
            Verdict::Conflict(conflict) => self.reject(txid, conflict)?,
            Verdict::Skip(reason) => {
                let wtxid = prepared.wtxid;
                self.applied.skipped.push(Skipped { txid, wtxid, author, reason });
                let kind = EventKind::Skipped { txid, wtxid, author, reason };
                self.overlay.add_event(&mut self.state, self.batch.index, kind);
            }
        }
        Ok(())
    }

    fn judge(&mut self, prepared: &PreparedTransaction) -> Result<Verdict, TableFault> {
        let transaction = &*prepared.transaction;
        let limits = &self.parameters.limits;
        if let Err(reason) = rules::check_transaction(transaction, limits) {
            return Ok(Verdict::Skip(reason));
        }
        let mut coins = Vec::with_capacity(transaction.input.len());
        let mut conflict = None;
        for (place, input) in transaction.input.iter().enumerate() {
            let with_age = rules::relative_lock_applies(transaction, place);
            match self.overlay.lookup(&input.previous_output, with_age)? {
                // A final transaction is found by what it has spent: itself.
                Lookup::Spent { by } if by == prepared.txid => return Ok(Verdict::Repeated),
                Lookup::Spent { by } => conflict = conflict.or(Some(by)),
                Lookup::Coin(coin) => coins.push(coin),
                Lookup::Missing => {}
            }
        }
        if let Some(conflict) = conflict {
            return Ok(Verdict::Conflict(conflict));
        }
        let judgement =
            match rules::check_inputs(transaction, &coins, &context(&self.state), limits) {
                Ok(judgement) => judgement,
                Err(reason) => return Ok(Verdict::Skip(reason)),
            };
        let unsealed = self.state.unsealed_weight.saturating_add(judgement.weight);
        if unsealed > self.parameters.backlog_weight.saturating_mul(BACKLOG_FACTOR) {
            return Ok(Verdict::Skip(SkipReason::BacklogFull));
        }
        if self.scripts_allow(prepared, coins) {
            Ok(Verdict::Applies(judgement))
        } else {
            Ok(Verdict::Skip(SkipReason::Script))
        }
    }

    fn scripts_allow(&self, prepared: &PreparedTransaction, coins: Vec<SpentCoin>) -> bool {
        let verdict = self.cache.get(&prepared.wtxid).unwrap_or_else(|| {
            let spent = coins.into_iter().map(|coin| coin.output).collect();
            ScriptCheck::of(prepared, spent, &Verifier::default()).run()
        });
        verdict.is_valid()
    }

    fn finalize(
        &mut self,
        prepared: &PreparedTransaction,
        judgement: &Judgement,
    ) -> Result<(), TableFault> {
        let txid = prepared.txid;
        let order = self.state.next_order;
        self.state.next_order += 1;
        self.state.unsealed_count += 1;
        self.state.unsealed_weight += judgement.weight;
        let row = TransactionRow { commit: self.batch.index, order, raw: prepared.raw.clone() };
        self.overlay.add_transaction(&prepared.transaction, txid, &row, None)?;
        self.overlay.fresh.insert(txid, Arc::clone(&prepared.transaction));
        let unsealed = Unsealed {
            commit: self.batch.index,
            txid,
            wtxid: prepared.wtxid,
            weight: judgement.weight,
            size: u64::try_from(prepared.raw.len()).unwrap_or(u64::MAX),
            sigops_cost: judgement.sigops_cost,
            fee_sat: judgement.fee.to_sat(),
            spent: self.overlay.spent_coins(&prepared.transaction),
        };
        let state = &mut self.state;
        let before = &state.final_chain;
        state.final_chain = checkpoint::chained(before, order, self.batch.index, &prepared.wtxid);
        self.overlay.unsealed.insert(order, unsealed);
        self.applied.finals.push(txid);
        let spent = prepared.transaction.input.iter().map(|input| (input.previous_output, txid));
        self.applied.spent.extend(spent);
        self.outcome(txid, Outcome::Final { commit: self.batch.index });
        self.blob_request(prepared, judgement.fee)
    }

    fn reject(&mut self, txid: Txid, conflict: Txid) -> Result<(), TableFault> {
        let repeated = !self.rejected.insert(txid)
            || self.overlay.read().get(rows::REJECTED, txid.as_byte_array())?.is_some();
        if repeated {
            self.applied.repeated += 1;
            return Ok(());
        }
        self.applied.rejected.push(Rejected { txid, conflict });
        let commit = self.batch.index;
        let row = RejectedRow { winner: conflict, commit };
        self.overlay.changes.put(rows::REJECTED, rows::txid_key(&txid), row.to_bytes());
        self.hashes.add_rejected(&txid, &conflict, commit);
        self.outcome(txid, Outcome::Rejected { conflict });
        Ok(())
    }

    fn outcome(&mut self, txid: Txid, outcome: Outcome) {
        let (name, result) = (BitcoinHash::new(txid.to_byte_array()), outcome.in_receipts());
        self.state.block_results.push(&name, &result);
        self.state.checkpoint_results.push(&name, &result);
        let kind = EventKind::Outcome { txid, outcome };
        self.overlay.add_event(&mut self.state, self.batch.index, kind);
    }

    fn development_ticks(&mut self, count: u16) -> Result<(), TableFault> {
        if !self.parameters.development || count > DEVELOPMENT_TICKS_MAX {
            self.applied.ignored += 1;
            return Ok(());
        }
        for _ in 0..count {
            let sealed = self.applied.blocks.len();
            self.seal()?;
            if self.applied.blocks.len() == sealed {
                // Headers have run ahead as far as they may.
                self.applied.ignored += 1;
                break;
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), TableFault> {
        let due = self.state.last_tick.saturating_add(self.parameters.interval_ms);
        if self.batch.timestamp >= due {
            self.seal()?;
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<(), TableFault> {
        let occasion = Occasion {
            commit: self.batch.index,
            timestamp: self.batch.timestamp,
            payout: self.parameters.payouts.get(self.batch.leader.index()),
        };
        let limits = &self.parameters.limits;
        let block =
            seal::seal(&mut self.overlay, (&mut self.state, &mut self.hashes), limits, &occasion)?;
        let Some(block) = block else { return Ok(()) };
        let height = block.height;
        self.applied.blocks.push(block);
        self.expire_blobs(height)
    }

    /// Settles the hashes when a block was sealed, and takes a checkpoint when one is due.
    fn checkpoint(&mut self) {
        let has_sealed = !self.applied.blocks.is_empty();
        if has_sealed {
            self.hashes.settle();
        }
        let is_due = self.batch.index.value().is_multiple_of(self.parameters.checkpoint_every);
        if !is_due && !has_sealed {
            return;
        }
        self.hashes.settle_past();
        let state = &mut self.state;
        let first_event = state.checkpoint_event + 1;
        // Its own event counts, and names it: the number first, the event then.
        let last_event = state.last_event + 1;
        let counted = State { last_event, ..state.clone() };
        let checkpoint = checkpoint::of_state(&counted, &self.hashes, self.parameters.epoch);
        let digest = checkpoint.digest();
        self.overlay.add_event(state, self.batch.index, EventKind::Checkpoint { digest });
        let row = CheckpointRow { checkpoint, first_event, last_event };
        let key = rows::number_key(self.batch.index.value());
        self.overlay.changes.put(rows::CHECKPOINTS, key, row.to_bytes());
        state.checkpoint = digest;
        state.checkpoint_event = last_event;
        state.checkpoint_results = Results::default();
        self.applied.checkpoint = Some(checkpoint);
    }

    fn finish(mut self, before: &Hashes) -> (State, Hashes, Applied) {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        self.state.applied = self.batch.index;
        self.state.digest = self.batch.digest;
        self.checkpoint();
        let row = CommitRow {
            digest: self.batch.digest,
            timestamp: self.batch.timestamp,
            leader: self.batch.leader,
            finals: count(self.applied.finals.len()),
            rejected: count(self.applied.rejected.len()),
            skipped: count(self.applied.skipped.len()),
            repeated: self.applied.repeated,
            ignored: self.applied.ignored,
            blocks: count(self.applied.blocks.len()),
            last_event: self.state.last_event,
        };
        let key = rows::number_key(self.batch.index.value());
        self.overlay.changes.put(rows::COMMITS, key, row.to_bytes());
        if self.hashes != *before {
            self.overlay.changes.put(rows::STATE, rows::HASHES_KEY, self.hashes.to_bytes());
        }
        let (changes, events) = self.overlay.finish(&self.state);
        self.applied.changes = changes;
        self.applied.events = events;
        (self.state, self.hashes, self.applied)
    }
}
