//! One validator of four that is fed commits and votes by hand.

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bytes::Bytes;
use consensus::Ordered;
use ledger::Outcome;
use ledger::ScriptHash;
use store::Durability;
use store::MemoryStore;
use store::Store as _;
use types::Commit;
use types::Encode as _;
use types::Epoch;
use types::Header;
use types::Payload;
use types::Round;
use types::TimestampMs;
use types::Verified;
use types::checkpoint::vote_message;
use types::genesis::Allocation;
use types::genesis::HexBytes;
use types::results::empty_root;
use types::test_utils::TestNetwork;

use super::super::tests::solo::payment;
use super::super::tests::solo::script;
use super::*;
use crate::checks::InPlace;
use crate::error::OpenError;
use crate::execution::Execution;
use crate::execution::ExecutionConfig;
use crate::execution::Input;

/// Validator 0, whose order is made up here.
struct Lone {
    network: TestNetwork,
    store: MemoryStore,
    execution: Execution,
    previous: Digest,
    round: u64,
    /// Checkpoints, and what was asked for beside the commits.
    checkpoints: Vec<Checkpoint>,
    actions: Vec<Action>,
}

impl Lone {
    fn new() -> Self {
        let network = TestNetwork::with(4, |genesis| {
            let script = HexBytes(script().into_bytes());
            genesis.allocations = vec![Allocation { script, amount_sat: 1_000_000 }; 4];
            genesis.ledger.checkpoint_every = 2;
        });
        let store = MemoryStore::new(&crate::all_tables());
        let rows = Ledger::genesis(&network.genesis).unwrap();
        store.write(rows, Durability::Synced).unwrap();
        let execution = Execution::open(config(&network), &store).unwrap();
        Self {
            network,
            store,
            execution,
            previous: Digest::ZERO,
            round: 0,
            checkpoints: Vec::new(),
            actions: Vec::new(),
        }
    }

    fn vertex(&mut self, author: u16, items: Vec<Item>) -> Verified<Vertex> {
        self.round += 1;
        let payload = Payload::new(items).unwrap();
        let encoded = payload.to_bytes();
        let header = Header {
            chain: self.network.genesis.chain(),
            epoch: Epoch::ZERO,
            author: Author::new(author),
            round: Round::new(self.round),
            parents: Vec::new(),
            late: Vec::new(),
            coin_share: None,
            payload_root: Payload::root(&encoded),
            payload_length: u32::try_from(encoded.len()).unwrap(),
            timestamp: TimestampMs::ZERO,
        };
        self.network.sign(header, payload)
    }

    /// Orders one vertex of an author and applies it.
    fn commit(&mut self, author: u16, items: Vec<Item>) {
        let vertex = self.vertex(author, items);
        let commit = Commit {
            index: self.execution.ledger().applied().next(),
            previous: self.previous,
            leader: vertex.reference(),
            slot: 0,
            vertices: vec![vertex.reference()],
            timestamp: TimestampMs::ZERO,
        };
        self.previous = commit.digest();
        self.execution.handle(Input::Commit(Ordered { commit, vertices: vec![vertex] }));
        self.drain();
    }

    /// Shows a vertex of an author before it is ordered.
    fn show(&mut self, author: u16, votes: &[CheckpointVote]) {
        let items = votes.iter().map(|vote| Item::CheckpointVote(*vote)).collect();
        let vertex = self.vertex(author, items);
        self.execution.handle(Input::Ahead(vertex));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(step) = self.execution.poll_step(&self.store, &InPlace).unwrap() {
            for action in step.write(&self.store).unwrap() {
                match action {
                    Action::CheckVotes(ref task) => {
                        let outcome = task.run(&self.network.committee);
                        self.execution.handle(Input::VotesChecked(outcome));
                        self.actions.push(action);
                    }
                    Action::Applied(summary) => self.checkpoints.extend(summary.checkpoint),
                    Action::Executed(_) => {}
                    action => self.actions.push(action),
                }
            }
        }
    }

    fn vote(&self, author: u16, digest: Digest, commit: u64) -> CheckpointVote {
        let key = &self.network.secrets[usize::from(author)].checkpoint;
        let signature = key.sign(vote_message(&digest).as_bytes());
        CheckpointVote { commit: CommitIndex::new(commit), digest, signature }
    }

    fn proven(&self) -> Vec<u64> {
        let proven = self.actions.iter().filter_map(|action| match action {
            Action::CheckpointProven(commit) => Some(commit.value()),
            _ => None,
        });
        proven.collect()
    }

    fn tasks(&self) -> usize {
        self.actions.iter().filter(|action| matches!(action, Action::CheckVotes(_))).count()
    }

    /// Two empty commits, and the digest of the checkpoint behind them.
    fn checkpoint(&mut self) -> Digest {
        self.commit(1, Vec::new());
        self.commit(2, Vec::new());
        self.checkpoints.last().unwrap().digest()
    }

    fn coin(&self) -> (OutPoint, u64) {
        let script = ScriptHash::of(&script());
        let utxo = query::utxos(&self.store, &script, None, 1).unwrap()[0];
        (utxo.outpoint, utxo.amount_sat)
    }
}

fn config(network: &TestNetwork) -> ExecutionConfig {
    ExecutionConfig {
        genesis: std::sync::Arc::new(network.genesis.clone()),
        own: Some(Author::ZERO),
        limits: ledger::mempool::MempoolLimits::default(),
    }
}

fn item(transaction: &Transaction) -> Item {
    Item::Transaction(Bytes::from(bitcoin::consensus::encode::serialize(transaction)))
}

#[test]
fn a_checkpoint_is_signed_proposed_and_proven_by_a_quorum() {
    let mut lone = Lone::new();
    let digest = lone.checkpoint();
    let commit = CommitIndex::new(2);
    assert!(lone.actions.iter().any(|action| matches!(
        action,
        Action::SignCheckpoint { commit: at, digest: named } if (*at, *named) == (commit, digest)
    )));
    let own = lone.vote(0, digest, 2);
    lone.execution.handle(Input::CheckpointSigned { commit, signature: own.signature });
    lone.drain();
    let wanted = Item::CheckpointVote(own);
    assert!(
        lone.actions
            .iter()
            .any(|action| matches!(action, Action::Propose(items) if items.contains(&wanted)))
    );
    lone.show(1, &[lone.vote(1, digest, 2)]);
    assert_eq!(lone.proven(), [0; 0], "two are no quorum of four");
    // The third one is heard in order only, and again: it counts once.
    let third = Item::CheckpointVote(lone.vote(3, digest, 2));
    lone.commit(3, vec![third.clone(), third]);
    assert_eq!(lone.proven(), [2]);
    assert_eq!(lone.tasks(), 1, "one pairing check");
    let proof = tables::proof(&lone.store, commit).unwrap().unwrap();
    assert_eq!(proof.verify(&digest, &lone.network.committee), Ok(()));
    assert_eq!(tables::last_proven(&lone.store), Ok(commit));
}

#[test]
fn a_wrong_signature_costs_its_sender_the_vote_and_nobody_else() {
    let mut lone = Lone::new();
    let digest = lone.checkpoint();
    let wrong = CheckpointVote { commit: CommitIndex::new(2), ..lone.vote(2, Digest::ZERO, 2) };
    lone.show(1, &[CheckpointVote { digest, ..wrong }]);
    lone.show(2, &[lone.vote(2, digest, 2)]);
    lone.show(3, &[lone.vote(3, digest, 2)]);
    assert_eq!(lone.proven(), [0; 0]);
    let own = lone.vote(0, digest, 2);
    let commit = CommitIndex::new(2);
    lone.execution.handle(Input::CheckpointSigned { commit, signature: own.signature });
    lone.drain();
    assert_eq!(lone.proven(), [2], "without the wrong one");
    // From now on the other three are enough, and they are asked first: no second attempt.
    let digest = lone.checkpoint();
    let tasks = lone.tasks();
    lone.show(1, &[CheckpointVote { commit: CommitIndex::new(4), digest, ..wrong }]);
    let own = lone.vote(0, digest, 4);
    let commit = CommitIndex::new(4);
    lone.execution.handle(Input::CheckpointSigned { commit, signature: own.signature });
    lone.show(2, &[lone.vote(2, digest, 4)]);
    lone.show(3, &[lone.vote(3, digest, 4)]);
    assert_eq!(lone.proven(), [2, 4]);
    assert!(lone.tasks() <= tasks + 2);
}

#[test]
fn two_states_signed_for_one_commit_are_evidence_once() {
    let mut lone = Lone::new();
    let digest = lone.checkpoint();
    let other = Digest::new([9; 32]);
    let first = lone.vote(1, digest, 2);
    for _ in 0..3 {
        lone.show(1, &[first, lone.vote(1, other, 2)]);
    }
    let doubles: Vec<_> = lone
        .actions
        .iter()
        .filter(|action| matches!(action, Action::DoubleVote(double) if double.first == first))
        .collect();
    assert_eq!(doubles.len(), 1);
    let rows = lone.store.snapshot().unwrap();
    assert_eq!(rows.scan(tables::VOTE_EVIDENCE, &[], &[], 10).unwrap().len(), 1);
    // One whose second signature is wrong has proven nothing.
    let forged = CheckpointVote { digest: other, ..lone.vote(2, digest, 2) };
    lone.show(2, &[lone.vote(2, digest, 2), forged]);
    assert_eq!(rows.scan(tables::VOTE_EVIDENCE, &[], &[], 10).unwrap().len(), 1);
}

#[test]
fn votes_outside_the_window_and_too_many_of_one_vertex_are_passed_over() {
    let mut lone = Lone::new();
    lone.checkpoint();
    let far = 2 + VOTES_AHEAD + 1;
    let votes: Vec<_> = [1, far].map(|commit| lone.vote(1, Digest::ZERO, commit)).to_vec();
    lone.show(1, &votes);
    assert_eq!(lone.execution.votes.heard.len(), 0);
    let votes: Vec<_> = (3..103).map(|commit| lone.vote(1, Digest::ZERO, commit)).collect();
    lone.show(1, &votes);
    assert_eq!(lone.execution.votes.heard.len(), VOTES_PER_VERTEX_MAX);
    for author in [1, 2, 3] {
        for _ in 0..2 * VOTES_BEHIND {
            let next = lone.execution.ledger().applied().value() + 2;
            let vote = Item::CheckpointVote(lone.vote(author, Digest::ZERO, next));
            lone.commit(author, vec![vote]);
        }
    }
    let votes = &lone.execution.votes;
    let bound = usize::try_from(VOTES_BEHIND + VOTES_AHEAD).unwrap();
    assert!(votes.heard.len() <= bound && votes.checkpoints.len() <= bound);
    assert!(votes.doubles.len() <= bound);
}

#[test]
fn the_network_paces_on_until_the_outcome_is_proven_and_not_for_ever() {
    let mut lone = Lone::new();
    let pay = payment(lone.coin(), 10_000);
    lone.commit(1, vec![item(&pay)]);
    assert!(matches!(lone.actions.pop(), Some(Action::Pace(Pace::Hurry))));
    lone.commit(2, Vec::new());
    let digest = lone.checkpoints.last().unwrap().digest();
    assert!(lone.checkpoints.last().unwrap().has_outcomes());
    for author in [1, 2, 3] {
        lone.show(author, &[lone.vote(author, digest, 2)]);
    }
    assert_eq!(lone.proven(), [2]);
    assert!(matches!(lone.actions.pop(), Some(Action::Pace(Pace::Idle))));
    // A checkpoint without outcomes is no reason to hurry.
    lone.checkpoint();
    assert!(!lone.actions.iter().any(|action| matches!(action, Action::Pace(Pace::Hurry))));
    assert_eq!(lone.checkpoints.last().unwrap().results_root, empty_root());
    let pay = payment(lone.coin(), 10_000);
    lone.commit(1, vec![item(&pay)]);
    // The next commit is the checkpoint that covers the outcome; it counts from there.
    (0..HURRY_COMMITS_MAX + 1).for_each(|_| lone.commit(1, Vec::new()));
    assert!(!matches!(lone.actions.last(), Some(Action::Pace(Pace::Idle))), "too early");
    lone.commit(1, Vec::new());
    assert!(matches!(lone.actions.pop(), Some(Action::Pace(Pace::Idle))), "nobody votes");
}

#[test]
fn whose_state_is_proven_wrong_stops_and_keeps_the_evidence() {
    let mut honest = Lone::new();
    let mut sabotaged = Lone::new();
    let coin = honest.coin();
    let pay = payment(coin, 10_000);
    // A damaged disk: the coin is gone.
    let mut changes = types::table::Changes::default();
    let key =
        [bitcoin::consensus::encode::serialize(&coin.0.txid), coin.0.vout.to_be_bytes().to_vec()];
    let coins = *ledger::tables().iter().find(|table| table.name() == "ledger_coins").unwrap();
    changes.remove(coins, key.concat());
    sabotaged.store.write(changes, Durability::Synced).unwrap();
    for lone in [&mut honest, &mut sabotaged] {
        lone.commit(1, vec![item(&pay)]);
        lone.commit(2, Vec::new());
    }
    let outcome = |lone: &Lone| query::outcome(&lone.store, &pay.compute_txid()).unwrap();
    assert!(matches!(outcome(&honest), Some(Outcome::Final { .. })));
    assert_eq!(outcome(&sabotaged), None, "the sabotage has had its effect");
    let digest = honest.checkpoints[0].digest();
    assert_ne!(sabotaged.checkpoints[0].digest(), digest);
    for author in [1, 2, 3] {
        sabotaged.show(author, &[honest.vote(author, digest, 2)]);
    }
    let Some(Action::Diverged(divergence)) = sabotaged.actions.pop() else {
        panic!("{:?}", sabotaged.actions)
    };
    assert_eq!((divergence.own, divergence.proven), (sabotaged.checkpoints[0], digest));
    assert_eq!(divergence.proof.verify(&digest, &honest.network.committee), Ok(()));
    assert_eq!(sabotaged.store.unsynced_writes(), 0, "the evidence is synced");
    // It does nothing more, and does not start again.
    sabotaged.commit(1, Vec::new());
    assert_eq!(sabotaged.execution.ledger().applied(), CommitIndex::new(2));
    let reopened = Execution::open(config(&sabotaged.network), &sabotaged.store);
    assert_eq!(reopened.err(), Some(OpenError::Diverged { commit: CommitIndex::new(2) }));
    assert_eq!(tables::divergence(&sabotaged.store).unwrap().as_ref(), Some(&*divergence));
    assert!(honest.actions.iter().all(|action| !matches!(action, Action::Diverged(_))));
}
