//! Clients: they pay each other with real transactions, hand one to several validators, and now and
//! then try to spend one coin twice.
//!
//! **Invariant:** a client spends a coin only where the transaction that made it is applied, so an
//! honest transaction that is refused, or accepted and never final, is a broken promise.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute;
use bitcoin::transaction;
use ledger::ScriptHash;
use ledger::mempool::Reject;
use ledger::mempool::RejectKind;
use ledger::query;
use replica::execution::Accepted;
use replica::execution::SubmissionId;
use types::Author;
use types::CommitIndex;
use types::Genesis;
use types::genesis::Allocation;
use types::genesis::HexBytes;
use types::table::TableFault;
use types::table::TableRead;

use crate::check::Outcomes;
use crate::check::Verdict;
use crate::check::Violation;
use crate::report::Transactions;
use crate::schedule::Schedule;

/// How many coins the clients begin with.
const COINS: usize = 48;
const COIN_SAT: u64 = 100_000_000;
/// What a transaction pays; its rival pays twice as much.
const FEE_SAT: u64 = 1_000;
/// One in so many coins is spent twice.
const CONFLICT_ONE_IN: u32 = 6;
/// One in so many transactions is handed to two validators.
const TWICE_ONE_IN: u32 = 6;
const OP_TRUE: u8 = 0x51;
const OP_TWO: u8 = 0x52;
/// How many coins there are for poisoners.
const POISON_COINS: usize = 8;

/// All clients together.
#[derive(Debug, Default)]
pub(crate) struct Load {
    coins: Vec<Coin>,
    payments: Vec<Payment>,
    payment_of: BTreeMap<Txid, usize>,
    submissions: BTreeMap<SubmissionId, (Author, Txid)>,
    /// What was handed to a validator that lost its power before it answered.
    unanswered: Vec<Txid>,
    accepted: BTreeSet<Txid>,
    refused: BTreeSet<Txid>,
    next_submission: u64,
    last_final: CommitIndex,
}

#[derive(Clone, Copy, Debug)]
struct Coin {
    outpoint: OutPoint,
    amount_sat: u64,
    since: CommitIndex,
}

/// One coin and the transactions that spend it: one, or two rivals.
#[derive(Debug)]
struct Payment {
    since: CommitIndex,
    rivals: Vec<Transaction>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Submitted,
    Accepted,
    Final,
}

/// A transaction on its way to a validator.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) to: Author,
    pub(crate) id: SubmissionId,
    pub(crate) transaction: Transaction,
}

/// Gives the clients their coins, and poisoners theirs.
pub(crate) fn allocate(genesis: &mut Genesis) {
    let coin = |script: ScriptBuf| {
        let script = HexBytes(script.into_bytes());
        Allocation { script, amount_sat: COIN_SAT }
    };
    genesis.allocations = vec![coin(script()); COINS];
    genesis.allocations.resize(COINS + POISON_COINS, coin(poison_script().to_p2wsh()));
}

/// Pays whoever asks, in the form in which wallets of today are paid.
fn script() -> ScriptBuf {
    witness_script().to_p2wsh()
}

fn witness_script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![OP_TRUE])
}

/// As the clients' script, and another one: whoever spends a client's coin makes it a liar.
fn poison_script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![OP_TWO])
}

/// The coins that clients begin with.
pub(crate) fn client_coins(read: &dyn TableRead) -> Result<Vec<OutPoint>, TableFault> {
    let utxos = query::utxos(read, &ScriptHash::of(&script()), None, COINS)?;
    Ok(utxos.into_iter().map(|utxo| utxo.outpoint).collect())
}

/// The coins that poisoners begin with.
pub(crate) fn poison_coins(read: &dyn TableRead) -> Result<Vec<OutPoint>, TableFault> {
    let script = ScriptHash::of(&poison_script().to_p2wsh());
    let utxos = query::utxos(read, &script, None, POISON_COINS)?;
    Ok(utxos.into_iter().map(|utxo| utxo.outpoint).collect())
}

/// Spends a poisoner's coin; another `variant` is a rival.
pub(crate) fn poison(coin: OutPoint, variant: u64) -> Transaction {
    let witness = Witness::from_slice(&[poison_script().as_bytes()]);
    transaction(coin, witness, COIN_SAT.saturating_sub(variant * FEE_SAT))
}

/// Spends a coin without the right to.
pub(crate) fn unsigned(coin: OutPoint) -> Transaction {
    transaction(coin, Witness::default(), COIN_SAT - FEE_SAT)
}

impl Load {
    /// The clients of a network that begins with what `read` holds.
    pub(crate) fn new(read: &dyn TableRead) -> Result<Self, TableFault> {
        let utxos = query::utxos(read, &ScriptHash::of(&script()), None, COINS)?;
        let coin = |utxo: query::Utxo| Coin {
            outpoint: utxo.outpoint,
            amount_sat: utxo.amount_sat,
            since: CommitIndex::ZERO,
        };
        Ok(Self { coins: utxos.into_iter().map(coin).collect(), ..Self::default() })
    }

    /// What the clients send next; `applied` says for each validator how far it can be asked.
    pub(crate) fn next(
        &mut self,
        schedule: &mut Schedule,
        applied: &[Option<CommitIndex>],
        outcomes: &mut Outcomes,
    ) -> Vec<Submission> {
        let mut submissions = Vec::new();
        for txid in std::mem::take(&mut self.unanswered) {
            match self.choose(schedule, applied, &txid, &[]) {
                Some(to) => submissions.extend(self.submit(to, &txid)),
                None => self.unanswered.push(txid),
            }
        }
        if self.coins.is_empty() {
            return submissions;
        }
        let coin = self.coins.swap_remove(schedule.below(self.coins.len()));
        let may_conflict = able(applied, coin.since).count() > 1;
        let rivals = match may_conflict && schedule.one_in(CONFLICT_ONE_IN) {
            true => vec![spend(&coin, FEE_SAT), spend(&coin, 2 * FEE_SAT)],
            false => vec![spend(&coin, FEE_SAT)],
        };
        let txids: Vec<_> = rivals.iter().map(Transaction::compute_txid).collect();
        for (txid, rival) in txids.iter().zip(&rivals) {
            self.payment_of.insert(*txid, self.payments.len());
            outcomes.made(rival);
        }
        self.payments.push(Payment { since: coin.since, rivals, state: State::Submitted });
        let mut asked = Vec::new();
        for txid in txids {
            let times = if schedule.one_in(TWICE_ONE_IN) { 2 } else { 1 };
            for _ in 0..times {
                if let Some(to) = self.choose(schedule, applied, &txid, &asked) {
                    asked.push(to);
                    submissions.extend(self.submit(to, &txid));
                } else if times == 1 {
                    self.unanswered.push(txid);
                }
            }
        }
        submissions
    }

    /// A validator that can judge the transaction and is none of `asked`.
    fn choose(
        &self,
        schedule: &mut Schedule,
        applied: &[Option<CommitIndex>],
        txid: &Txid,
        asked: &[Author],
    ) -> Option<Author> {
        let payment = self.payment_of.get(txid).and_then(|place| self.payments.get(*place))?;
        let free: Vec<_> =
            able(applied, payment.since).filter(|author| !asked.contains(author)).collect();
        free.get(schedule.below(free.len())).copied()
    }

    fn submit(&mut self, to: Author, txid: &Txid) -> Option<Submission> {
        let transaction = self.transaction(txid)?.clone();
        let id = SubmissionId(self.next_submission);
        self.next_submission += 1;
        self.submissions.insert(id, (to, *txid));
        Some(Submission { to, id, transaction })
    }

    fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        let payment = self.payments.get(*self.payment_of.get(txid)?)?;
        payment.rivals.iter().find(|rival| rival.compute_txid() == *txid)
    }

    /// A validator answered.
    pub(crate) fn answered(
        &mut self,
        id: SubmissionId,
        result: &Result<Accepted, Reject>,
    ) -> Verdict {
        let Some((by, txid)) = self.submissions.remove(&id) else {
            return Err(Violation(format!("submission {} was answered twice", id.0)));
        };
        let place = self.payment_of.get(&txid);
        let Some(payment) = place.and_then(|place| self.payments.get_mut(*place)) else {
            return Ok(());
        };
        match result {
            Ok(_) => {
                self.accepted.insert(txid);
                if payment.state == State::Submitted {
                    payment.state = State::Accepted;
                }
                Ok(())
            }
            Err(reject) if reject.code.kind() == RejectKind::Busy => {
                self.unanswered.push(txid);
                Ok(())
            }
            Err(_) if payment.rivals.len() > 1 => {
                self.refused.insert(txid);
                Ok(())
            }
            Err(reject) => {
                let reason = &reject.reason;
                Err(Violation(format!("validator {by} refuses an honest {txid}: {reason}")))
            }
        }
    }

    /// A validator lost its power: what it has not answered goes to another one.
    pub(crate) fn lost(&mut self, by: Author) {
        let unanswered = &mut self.unanswered;
        self.submissions.retain(|_, (to, txid)| {
            let is_lost = *to == by;
            if is_lost {
                unanswered.push(*txid);
            }
            !is_lost
        });
    }

    /// Transactions became final: what they made can be spent.
    pub(crate) fn settled(&mut self, finals: &[Txid], commit: CommitIndex) {
        for txid in finals {
            let Some(transaction) = self.transaction(txid) else { continue };
            let output = transaction.output.first();
            let amount_sat = output.map_or(0, |output| output.value.to_sat());
            let place = self.payment_of.get(txid);
            if let Some(payment) = place.and_then(|place| self.payments.get_mut(*place)) {
                payment.state = State::Final;
            }
            self.last_final = self.last_final.max(commit);
            if amount_sat > 10 * FEE_SAT {
                let outpoint = OutPoint { txid: *txid, vout: 0 };
                self.coins.push(Coin { outpoint, amount_sat, since: commit });
            }
        }
    }

    /// A transaction that was accepted and of which, and of whose rival, none is final.
    pub(crate) fn owed(&self) -> Option<Txid> {
        let payment = self.payments.iter().find(|payment| payment.state == State::Accepted)?;
        let mut txids = payment.rivals.iter().map(Transaction::compute_txid);
        txids.find(|txid| self.accepted.contains(txid))
    }

    /// The last commit in which something of the clients became final.
    pub(crate) const fn last_final(&self) -> CommitIndex {
        self.last_final
    }

    /// What became of everything.
    pub(crate) fn tally(&self, outcomes: &Outcomes) -> Transactions {
        let mut tally = Transactions::default();
        for txid in self.payment_of.keys() {
            let is_final = outcomes.commit_of(txid).is_some();
            let is_lost = outcomes.lost_to(txid).is_some() || self.refused.contains(txid);
            tally.submitted += 1;
            tally.accepted += u64::from(self.accepted.contains(txid));
            tally.finals += u64::from(is_final);
            tally.rejected += u64::from(is_lost && !is_final);
        }
        tally
    }
}

/// Validators that are up and have applied this commit.
fn able(applied: &[Option<CommitIndex>], since: CommitIndex) -> impl Iterator<Item = Author> {
    let authors = (0..).map(Author::new).zip(applied);
    authors
        .filter(move |(_, applied)| applied.is_some_and(|applied| applied >= since))
        .map(|(author, _)| author)
}

fn spend(coin: &Coin, fee_sat: u64) -> Transaction {
    let witness = Witness::from_slice(&[witness_script().as_bytes()]);
    transaction(coin.outpoint, witness, coin.amount_sat.saturating_sub(fee_sat))
}

fn transaction(previous_output: OutPoint, witness: Witness, amount_sat: u64) -> Transaction {
    let input = TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness,
    };
    let value = Amount::from_sat(amount_sat);
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![TxOut { value, script_pubkey: script() }],
    }
}
