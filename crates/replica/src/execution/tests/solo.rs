//! A network of one validator: both halves over one store.

use std::collections::BTreeMap;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::absolute;
use bitcoin::transaction;
use ledger::ScriptHash;
use ledger::query;
use store::MemoryStore;
use store::Store;
use types::Encode as _;
use types::Header;
use types::Moment;
use types::Payload;
use types::Round;
use types::Span;
use types::TimestampMs;
use types::VertexRef;
use types::genesis::Allocation;
use types::genesis::HexBytes;
use types::test_utils::TestNetwork;

use super::*;
use crate::checks::InPlace;
use crate::ordering;
use crate::ordering::Ordering;
use crate::ordering::OrderingConfig;

/// A coin that anybody may spend, and what it is worth.
pub(crate) type Spendable = (OutPoint, u64);

pub(crate) struct Solo {
    pub(crate) network: TestNetwork,
    pub(crate) store: MemoryStore,
    pub(crate) ordering: Option<Ordering>,
    pub(crate) execution: Option<Execution>,
    pub(crate) now: Moment,
    pub(crate) summaries: Vec<Summary>,
    pub(crate) unsynced_before_answer: usize,
    pub(crate) loses_commits: bool,
    pub(crate) proposals_lost: bool,
    pub(crate) proven: Vec<CommitIndex>,
    pub(crate) doubles: Vec<DoubleVote>,
    pub(crate) diverged: Option<Divergence>,
    answers: BTreeMap<SubmissionId, Result<Accepted, Reject>>,
    packages: BTreeMap<SubmissionId, Result<PackageAnswer, Reject>>,
}

pub(crate) fn script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51]).to_p2wsh()
}

/// Spends a coin to the same script.
pub(crate) fn payment((outpoint, amount_sat): Spendable, fee_sat: u64) -> Transaction {
    let witness = Witness::from_slice(&[&[0x51_u8][..]]);
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness,
        }],
        output: vec![TxOut {
            value: Amount::from_sat(amount_sat - fee_sat),
            script_pubkey: script(),
        }],
    }
}

pub(crate) fn first_output(transaction: &Transaction) -> Spendable {
    let outpoint = OutPoint { txid: transaction.compute_txid(), vout: 0 };
    (outpoint, transaction.output[0].value.to_sat())
}

impl Solo {
    pub(crate) fn new() -> Self {
        let network = TestNetwork::with(1, |genesis| {
            let script = HexBytes(script().into_bytes());
            genesis.allocations = vec![Allocation { script, amount_sat: 1_000_000 }; 4];
        });
        let store = MemoryStore::new(&crate::all_tables());
        store.write(Ledger::genesis(&network.genesis).unwrap(), Durability::Synced).unwrap();
        let mut solo = Self::over(network, store);
        solo.open();
        solo
    }

    pub(crate) fn over(network: TestNetwork, store: MemoryStore) -> Self {
        Self {
            network,
            store,
            ordering: None,
            execution: None,
            now: Moment::ZERO,
            summaries: Vec::new(),
            unsynced_before_answer: 0,
            loses_commits: false,
            proposals_lost: false,
            proven: Vec::new(),
            doubles: Vec::new(),
            diverged: None,
            answers: BTreeMap::new(),
            packages: BTreeMap::new(),
        }
    }

    /// Another process over a copy of the disk.
    pub(crate) fn twin(&self) -> Self {
        let store = MemoryStore::new(&crate::all_tables());
        for table in crate::all_tables() {
            let mut changes = types::table::Changes::default();
            let rows = self.store.scan(table, &[], &[], usize::MAX).unwrap();
            rows.into_iter().for_each(|(key, value)| changes.put(table, key, value));
            store.write(changes, Durability::Synced).unwrap();
        }
        let mut twin = Self::over(self.network.clone(), store);
        twin.open();
        twin
    }

    pub(crate) fn config(&self) -> ExecutionConfig {
        ExecutionConfig {
            genesis: Arc::new(self.network.genesis.clone()),
            own: Some(Author::ZERO),
            limits: MempoolLimits::default(),
        }
    }

    pub(crate) fn open(&mut self) {
        let committee = self.network.committee.clone();
        let (genesis, start) = (&self.network.genesis, ordering::Start::First);
        let config = OrderingConfig::new(committee, Some(Author::ZERO), genesis, start);
        self.ordering = Some(Ordering::open(config, &self.store).unwrap());
        self.execution = Some(Execution::open(self.config(), &self.store).unwrap());
    }

    pub(crate) fn crash(&mut self) {
        self.ordering = None;
        self.execution = None;
        self.store.crash();
        self.open();
    }

    pub(crate) fn ordering(&self) -> &Ordering {
        self.ordering.as_ref().unwrap()
    }

    pub(crate) fn execution(&self) -> &Execution {
        self.execution.as_ref().unwrap()
    }

    pub(crate) fn coins(&self) -> Vec<Spendable> {
        let utxos = query::utxos(&self.store, &ScriptHash::of(&script()), None, 10).unwrap();
        utxos.into_iter().map(|utxo| (utxo.outpoint, utxo.amount_sat)).collect()
    }

    pub(crate) fn submit(&mut self, number: u64, transaction: &Transaction) {
        let input = Input::Submit { id: SubmissionId(number), transaction: transaction.clone() };
        self.execution.as_mut().unwrap().handle(input);
        self.drain();
    }

    pub(crate) fn answer(&mut self, number: u64) -> Result<Accepted, Reject> {
        self.answers.remove(&SubmissionId(number)).expect("it was answered")
    }

    pub(super) fn submit_package(
        &mut self,
        number: u64,
        transactions: &[&Transaction],
    ) -> Result<PackageAnswer, Reject> {
        let transactions = transactions.iter().map(|one| (*one).clone()).collect();
        let id = SubmissionId(number);
        self.execution.as_mut().unwrap().handle(Input::SubmitPackage { id, transactions });
        self.drain();
        self.packages.remove(&id).expect("it was answered")
    }

    /// Lets so many rounds be built at full pace.
    pub(crate) fn rounds(&mut self, count: u64) {
        for _ in 0..count {
            self.now = self.now.after(Span::from_millis(1_000));
            self.order(ordering::Input::Wake);
            self.drain();
        }
    }

    /// Lets execution do all that it can.
    pub(crate) fn drain(&mut self) {
        loop {
            let execution = self.execution.as_mut().unwrap();
            let Some(step) = execution.poll_step(&self.store, &InPlace).unwrap() else { return };
            for action in step.write(&self.store).unwrap() {
                match action {
                    Action::Answer { id, result } => {
                        if result == Ok(Accepted::Pooled) {
                            self.unsynced_before_answer = self.store.unsynced_writes();
                        }
                        assert!(self.answers.insert(id, result).is_none(), "answered twice");
                    }
                    Action::AnswerPackage { id, result } => {
                        self.unsynced_before_answer = self.store.unsynced_writes();
                        assert!(self.packages.insert(id, result).is_none(), "answered twice");
                    }
                    Action::Propose(_) if self.proposals_lost => {}
                    Action::Propose(items) => self.order(ordering::Input::Submit(items)),
                    Action::Executed(commit) => self.order(ordering::Input::Executed(commit)),
                    Action::Applied(summary) => self.summaries.push(summary),
                    Action::SignCheckpoint { commit, digest } => {
                        let key = &self.network.secrets[0].checkpoint;
                        let message = types::checkpoint::vote_message(&digest);
                        let signature = key.sign(message.as_bytes());
                        let input = Input::CheckpointSigned { commit, signature };
                        self.execution.as_mut().unwrap().handle(input);
                    }
                    Action::CheckVotes(task) => {
                        let outcome = task.run(&self.network.committee);
                        let input = Input::VotesChecked(outcome);
                        self.execution.as_mut().unwrap().handle(input);
                    }
                    Action::CheckpointProven(commit) => self.proven.push(commit),
                    Action::Pace(pace) => self.order(ordering::Input::Pace(pace)),
                    Action::DoubleVote(double) => self.doubles.push(double),
                    Action::Diverged(divergence) => self.diverged = Some(*divergence),
                }
            }
        }
    }

    fn order(&mut self, input: ordering::Input) {
        let wall = self.network.genesis.start_ms.saturating_add(self.now.value() / 1_000);
        self.ordering.as_mut().unwrap().handle(self.now, wall, input);
        while let Some(step) = self.ordering.as_mut().unwrap().poll_step() {
            for action in step.write(&self.store).unwrap() {
                self.act(action, wall);
            }
        }
    }

    fn act(&mut self, action: ordering::Action, wall: TimestampMs) {
        let execution = self.execution.as_mut().unwrap();
        match action {
            ordering::Action::Sign(draft) => {
                let secrets = &self.network.secrets[0];
                let vertex = draft.sign(&secrets.vertex, &secrets.coin, &self.network.committee);
                let input = ordering::Input::Signed(vertex);
                self.ordering.as_mut().unwrap().handle(self.now, wall, input);
            }
            ordering::Action::Coin(task) => {
                let input = ordering::Input::Coin(task.run(&self.network.committee));
                self.ordering.as_mut().unwrap().handle(self.now, wall, input);
            }
            ordering::Action::Commit(_) if self.loses_commits => {}
            ordering::Action::Commit(ordered) => execution.handle(Input::Commit(ordered)),
            ordering::Action::Returned(items) => execution.handle(Input::Returned(items)),
            ordering::Action::Taken(room) => execution.handle(Input::Taken(room)),
            ordering::Action::Ahead(vertex) => execution.handle(Input::Ahead(vertex)),
            ordering::Action::Broadcast(_) | ordering::Action::Send { .. } => {}
            ordering::Action::Evidence(_) | ordering::Action::Alarm(_) => panic!("{action:?}"),
        }
    }

    /// A signed vertex with these items.
    pub(crate) fn vertex_with(&self, items: Vec<Item>) -> Verified<Vertex> {
        let committee = &self.network.committee;
        let payload = Payload::new(items).unwrap();
        let encoded = payload.to_bytes();
        let header = Header {
            chain: *committee.chain(),
            epoch: committee.epoch(),
            author: Author::ZERO,
            round: Round::new(1),
            parents: vec![VertexRef::genesis(committee.chain(), committee.epoch(), Author::ZERO)],
            late: Vec::new(),
            coin_share: None,
            payload_root: Payload::root(&encoded),
            payload_length: u32::try_from(encoded.len()).unwrap(),
            timestamp: TimestampMs::ZERO,
        };
        self.network.sign(header, payload)
    }
}
