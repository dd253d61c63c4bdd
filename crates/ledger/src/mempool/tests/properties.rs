//! Whatever happens to a pool, its invariants hold.

use std::collections::BTreeSet;

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::Txid;
use bytes::Bytes;
use proptest::prelude::*;
use types::encoding::Decode;

use super::COINS;
use super::OTHER;
use super::OWN;
use super::World;
use super::output;
use super::spend;
use crate::PreparedTransaction;
use crate::mempool::Entry;
use crate::mempool::MempoolLimits;
use crate::mempool::MempoolTotals;
use crate::mempool::State;
use crate::mempool::entry::Row;

/// One thing that happens to a pool.
#[derive(Clone, Debug)]
enum Step {
    Submit { inputs: Vec<usize>, fee: u64 },
    Take { bytes: usize, items: usize },
    OrderTaken,
    Return,
    OrderOther(usize),
    Seal,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let submit = (proptest::collection::vec(0_usize..60, 1..3), 200_u64..5_000);
    prop_oneof![
        10 => submit.prop_map(|(inputs, fee)| Step::Submit { inputs, fee }),
        2 => (0_usize..2_000, 0_usize..6).prop_map(|(bytes, items)| Step::Take { bytes, items }),
        2 => Just(Step::OrderTaken),
        1 => Just(Step::Return),
        2 => (0_usize..60).prop_map(Step::OrderOther),
        1 => Just(Step::Seal),
        1 => Just(Step::Restart),
    ]
}

struct Run {
    world: World,
    /// Everything that was ever tried, so that later ones may spend it.
    made: Vec<Transaction>,
    taken: Vec<Bytes>,
    handed_out: BTreeSet<Txid>,
    finals: BTreeSet<Txid>,
}

impl Run {
    fn input(&self, choice: usize) -> (OutPoint, u64) {
        match choice.checked_sub(COINS) {
            None => self.world.coin(choice),
            Some(choice) if !self.made.is_empty() => {
                output(&self.made[choice % self.made.len()], u32::from(choice % 2 == 0))
            }
            Some(choice) => self.world.coin(choice % COINS),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Submit { inputs, fee } => {
                let inputs: Vec<_> = inputs.iter().map(|choice| self.input(*choice)).collect();
                let payment = spend(&inputs, 2, *fee);
                if self.world.submit(&payment).is_ok() {
                    self.made.push(payment);
                }
            }
            Step::Take { bytes, items } => {
                let taken = self.world.mempool.take(*bytes, *items);
                let size: usize = taken.iter().map(|raw| raw.len() + 5).sum();
                assert!(size <= *bytes && taken.len() <= *items);
                self.note(&taken);
            }
            Step::OrderTaken => {
                let taken = std::mem::take(&mut self.taken);
                let items: Vec<_> = taken.into_iter().map(types::Item::Transaction).collect();
                let applied = self.world.commit_items(OWN, &items);
                self.finals.extend(applied.finals);
            }
            Step::Return => {
                let taken = std::mem::take(&mut self.taken);
                self.world.mempool.returned(&taken);
            }
            Step::OrderOther(choice) => {
                let input = self.input(*choice);
                let other = spend(&[input], 3, 300);
                let applied = self.world.commit(OTHER, &[other]);
                self.finals.extend(applied.finals);
            }
            Step::Seal => {
                self.world.seal(1);
            }
            Step::Restart => {
                self.taken.clear();
                self.world.restart();
            }
        }
    }

    /// A parent is handed out before its child, and nothing twice at a time.
    fn note(&mut self, taken: &[Bytes]) {
        for raw in taken {
            let payment = PreparedTransaction::decode(raw).unwrap();
            for input in &payment.transaction.input {
                let parent = input.previous_output.txid;
                let entry = self.world.mempool.get(&parent);
                assert!(entry.is_none_or(|entry| entry.state() == State::Proposed));
            }
            self.handed_out.insert(payment.txid);
            self.taken.push(raw.clone());
        }
    }

    fn check(&self) {
        let pool = &self.world.mempool.pool;
        let entries: Vec<&Entry> = self.world.mempool.iter().collect();
        assert_eq!(entries.len(), pool.entries.len());
        let mut totals = MempoolTotals::default();
        for entry in &entries {
            let txid = entry.txid();
            assert!(!self.finals.contains(&txid), "what is final has left");
            totals.transactions += 1;
            totals.vsize += entry.vsize();
            totals.fees += entry.fee();
            totals.memory += entry.memory();
            for outpoint in entry.outpoints() {
                assert_eq!(pool.spends.get(&outpoint), Some(&txid), "nobody else spends it");
                let parent = pool.entries.get(&outpoint.txid);
                assert_eq!(parent.is_some(), entry.parents.contains(&outpoint.txid));
                assert!(parent.is_none_or(|parent| {
                    parent.children.contains(&txid) && parent.arrival < entry.arrival
                }));
            }
            assert_eq!(pool.parked.contains(&entry.arrival), entry.state == State::Parked);
            assert!(pool.with_ancestors([txid]).len() <= super::super::ANCESTORS_MAX);
        }
        assert_eq!(self.world.mempool.totals(), totals);
        assert_eq!(
            pool.spends.len(),
            entries.iter().map(|entry| entry.spent().len()).sum::<usize>()
        );
        assert!(totals.memory <= self.world.mempool.limits().bytes_max);
        assert_eq!(self.world.rows.rows(super::super::POOL).count(), entries.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_invariants_hold(
        steps in proptest::collection::vec(step(), 1..40),
        room in 4_000_u64..40_000,
    ) {
        let limits = MempoolLimits { bytes_max: room, ..MempoolLimits::default() };
        let mut run = Run {
            world: World::with(limits, |_| {}),
            made: vec![],
            taken: vec![],
            handed_out: BTreeSet::new(),
            finals: BTreeSet::new(),
        };
        for step in &steps {
            run.step(step);
            run.check();
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Row::from_bytes(&bytes);
        let mut world = World::new();
        world.mempool.returned(&[Bytes::from(bytes)]);
        prop_assert!(world.names().is_empty());
    }

    #[test]
    fn any_transaction_is_admitted_or_refused(
        raw in proptest::collection::vec(any::<u8>(), 60..200),
        place in 0_usize..200,
        value in any::<u8>(),
    ) {
        let mut world = World::new();
        let payment = spend(&[world.coin(0)], 2, 1_000);
        let mut bytes = bitcoin::consensus::encode::serialize(&payment);
        let place = place % bytes.len();
        bytes[place] = value;
        for bytes in [bytes, raw] {
            if let Ok(prepared) = PreparedTransaction::decode(&Bytes::from(bytes)) {
                let _ = world.submit(&prepared.transaction);
            }
        }
    }
}
