//! Random orders of random transactions, held against a ledger written apart from ours.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::Txid;
use proptest::prelude::*;
use types::Item;

use super::*;
use crate::event::EventKind;
use crate::event::Outcome;
use crate::query;
use crate::rows::ScriptHash;
use crate::test_utils::anyone;
use crate::test_utils::item;
use crate::test_utils::spend;

/// One random choice: which known outputs to spend, how to share them, when to order it.
#[derive(Clone, Debug)]
struct Draw {
    inputs: Vec<prop::sample::Index>,
    outputs: u8,
    fee: u16,
    place: prop::sample::Index,
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let draw = (
        prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        1..4_u8,
        any::<u16>(),
        any::<prop::sample::Index>(),
    );
    let draw = draw.prop_map(|(inputs, outputs, fee, place)| Draw { inputs, outputs, fee, place });
    prop::collection::vec(draw, 1..40)
}

/// Transactions over the allocations and over each other's outputs, conflicts among them, in an
/// order where children may stand before their parents and everything may come twice.
fn transactions(chain: &TestLedger, draws: &[Draw]) -> Vec<Transaction> {
    let mut known: Vec<(OutPoint, u64)> =
        (0..4).map(|number| (chain.allocation(number), 50 * BITCOIN)).collect();
    let mut order = Vec::new();
    for draw in draws {
        let chosen: BTreeMap<OutPoint, u64> =
            draw.inputs.iter().map(|index| *index.get(&known)).collect();
        let total: u64 = chosen.values().sum();
        let share = total.saturating_sub(u64::from(draw.fee)) / u64::from(draw.outputs);
        let inputs: Vec<OutPoint> = chosen.into_keys().collect();
        let transaction = spend(&inputs, &vec![share; usize::from(draw.outputs)]);
        let txid = transaction.compute_txid();
        known.extend((0..u32::from(draw.outputs)).map(|vout| (OutPoint { txid, vout }, share)));
        order.insert(draw.place.index(order.len() + 1), transaction.clone());
        order.push(transaction);
    }
    order
}

/// What ought to come out, by the plainest rule.
fn expected(chain: &TestLedger, order: &[Transaction]) -> BTreeMap<Txid, Option<Txid>> {
    let mut unspent: BTreeSet<OutPoint> = (0..4).map(|number| chain.allocation(number)).collect();
    let mut spent: BTreeMap<OutPoint, Txid> = BTreeMap::new();
    let mut outcomes = BTreeMap::new();
    for transaction in order {
        let txid = transaction.compute_txid();
        let inputs: Vec<OutPoint> =
            transaction.input.iter().map(|input| input.previous_output).collect();
        if outcomes.contains_key(&txid) {
            continue;
        }
        if let Some(winner) = inputs.iter().find_map(|input| spent.get(input)) {
            outcomes.insert(txid, Some(*winner));
        } else if inputs.iter().all(|input| unspent.remove(input)) {
            spent.extend(inputs.into_iter().map(|input| (input, txid)));
            let outputs = (0_u32..).zip(&transaction.output);
            unspent.extend(outputs.map(|(vout, _)| OutPoint { txid, vout }));
            outcomes.insert(txid, None);
        } else {
            // Missing: undo what the check above took away.
            let known = inputs.into_iter().filter(|input| {
                outcomes.get(&input.txid) == Some(&None)
                    || (0..4).any(|number| chain.allocation(number) == *input)
            });
            unspent.extend(known);
        }
    }
    outcomes
}

fn all_rows(tables: &MemoryTables) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let tables = crate::tables().iter().map(|table| (table, tables.rows(*table)));
    tables
        .flat_map(|(table, rows)| {
            rows.map(|(key, value)| (table.name().to_owned(), key.to_vec(), value.to_vec()))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_order_gives_one_outcome_a_txid_and_keeps_the_supply(
        draws in draws(),
        sizes in prop::collection::vec(1..12_usize, 1..10),
    ) {
        let mut chain = ledger();
        let mut twin = ledger();
        let before = supply(&chain.tables);
        let order = transactions(&chain, &draws);
        let expected = expected(&chain, &order);
        let mut rest = &order[..];
        let mut sizes = sizes.into_iter().cycle();
        while !rest.is_empty() {
            let size = sizes.next().unwrap().min(rest.len());
            let (now, later) = rest.split_at(size);
            rest = later;
            let mut items: Vec<Item> = now.iter().map(item).collect();
            if size % 3 == 0 {
                items.push(Item::DevelopmentTicks(1));
            }
            let applied = chain.commit_items(&items);
            // The twin runs its checks ahead and must not differ.
            let batch = twin.batch(&items);
            let checks = twin.ledger.script_checks(&twin.tables, &batch, &twin.cache).unwrap();
            for check in checks {
                twin.cache.insert(check.wtxid(), check.run());
            }
            prop_assert_eq!(applied, twin.commit_items(&items));
            prop_assert_eq!(supply(&chain.tables), before);
        }
        prop_assert_eq!(all_rows(&chain.tables), all_rows(&twin.tables));
        let checkpoint = chain.ledger.checkpoint_now();
        prop_assert_eq!(checkpoint.utxo_hash, checkpoints::utxo_hash_of_blocks(&chain));
        check_outcomes(&chain, &order, &expected)?;
        check_totals(&chain)?;
    }
}

fn check_outcomes(
    chain: &TestLedger,
    order: &[Transaction],
    expected: &BTreeMap<Txid, Option<Txid>>,
) -> Result<(), TestCaseError> {
    let mut told = BTreeMap::new();
    let events = query::events(&chain.tables, 0, usize::MAX).unwrap();
    for (place, event) in (1_u64..).zip(&events) {
        prop_assert_eq!(event.sequence, place);
        if let EventKind::Outcome { txid, outcome } = event.kind {
            let again = told.insert(txid, outcome);
            prop_assert!(again.is_none(), "one outcome a txid");
        }
    }
    for transaction in order {
        let txid = transaction.compute_txid();
        let outcome = query::outcome(&chain.tables, &txid).unwrap();
        prop_assert_eq!(outcome.as_ref(), told.get(&txid));
        let winner = outcome.map(|outcome| match outcome {
            Outcome::Final { .. } => None,
            Outcome::Rejected { conflict } => Some(conflict),
        });
        prop_assert_eq!(winner.as_ref(), expected.get(&txid));
    }
    Ok(())
}

fn check_totals(chain: &TestLedger) -> Result<(), TestCaseError> {
    let name = ScriptHash::of(&anyone(0).script_pubkey);
    let utxos = query::utxos(&chain.tables, &name, None, usize::MAX).unwrap();
    let held: u64 = utxos.iter().map(|utxo| utxo.amount_sat).sum();
    let stats = query::script_stats(&chain.tables, &name).unwrap();
    let all = stats.sealed.plus(&stats.unsealed);
    prop_assert_eq!(all.balance_sat(), held);
    prop_assert_eq!(all.funded - all.spent, u64::try_from(utxos.len()).unwrap());
    let history = query::history(&chain.tables, &name, None, usize::MAX).unwrap();
    prop_assert_eq!(all.transactions, u64::try_from(history.len()).unwrap());
    let waiting = query::unsealed(&chain.tables, 0, usize::MAX).unwrap();
    let weight: u64 = waiting.iter().map(|entry| entry.weight).sum();
    prop_assert_eq!(weight, chain.ledger.backlog().weight);
    Ok(())
}

/// A transaction over real and made-up outputs whose every number is anything.
fn wild(chain: &TestLedger, draw: &Wild) -> Transaction {
    let inputs: Vec<OutPoint> = (0_u32..)
        .zip(&draw.sequences)
        .map(|(number, _)| OutPoint {
            vout: draw.vout,
            ..chain.allocation((number + draw.vout) % 4)
        })
        .collect();
    let mut transaction = spend(&inputs, &draw.amounts);
    transaction.version = bitcoin::transaction::Version(draw.version);
    transaction.lock_time = bitcoin::absolute::LockTime::from_consensus(draw.lock_time);
    for (input, sequence) in transaction.input.iter_mut().zip(&draw.sequences) {
        input.sequence = bitcoin::Sequence(*sequence);
        input.script_sig = draw.script.clone().into();
        input.witness.push(&draw.script);
    }
    if let Some(output) = transaction.output.first_mut() {
        output.script_pubkey = draw.script.clone().into();
    }
    transaction
}

#[derive(Clone, Debug)]
struct Wild {
    version: i32,
    lock_time: u32,
    vout: u32,
    sequences: Vec<u32>,
    amounts: Vec<u64>,
    script: Vec<u8>,
}

fn wilds() -> impl Strategy<Value = Wild> {
    let amount = prop_oneof![any::<u64>(), 0..50 * BITCOIN];
    let draw = (
        any::<i32>(),
        prop_oneof![any::<u32>(), 0..200_u32],
        prop_oneof![any::<u32>(), 0..2_u32],
        prop::collection::vec(prop_oneof![any::<u32>(), 0..5_u32], 0..3),
        prop::collection::vec(amount, 0..3),
        prop::collection::vec(any::<u8>(), 0..40),
    );
    draw.prop_map(|(version, lock_time, vout, sequences, amounts, script)| Wild {
        version,
        lock_time,
        vout,
        sequences,
        amounts,
        script,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nothing_in_a_payload_breaks_the_ledger(
        draws in prop::collection::vec(wilds(), 1..12),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        junk in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut chain = ledger();
        let before = supply(&chain.tables);
        let mut items: Vec<Item> = draws.iter().map(|draw| item(&wild(&chain, draw))).collect();
        for (position, flip) in flips {
            let honest = spend(&[chain.allocation(0)], &[BITCOIN]);
            let mut bytes = bitcoin::consensus::encode::serialize(&honest);
            let position = position.index(bytes.len());
            bytes[position] ^= flip;
            items.push(Item::Transaction(bytes.into()));
        }
        items.push(Item::Transaction(junk.into()));
        items.push(Item::DevelopmentTicks(2));
        let batch = chain.batch(&items);
        let checks = chain.ledger.script_checks(&chain.tables, &batch, &chain.cache).unwrap();
        for check in checks {
            check.run();
        }
        let applied = chain.commit_items(&items);
        let told = applied.finals.len() + applied.rejected.len() + applied.skipped.len();
        let silent = usize::try_from(applied.repeated + applied.ignored).unwrap();
        prop_assert_eq!(told + silent + 1, items.len());
        prop_assert_eq!(supply(&chain.tables), lost(&chain, before));
    }
}

/// What is left of the supply when outputs that nobody can ever spend are taken away.
fn lost(chain: &TestLedger, before: u64) -> u64 {
    let txids = chain.tables.rows(rows::TRANSACTIONS).map(|(key, _)| key);
    let outputs = txids.flat_map(|txid| {
        let txid = bitcoin::hashes::Hash::from_slice(txid).unwrap();
        query::transaction(&chain.tables, &txid).unwrap().unwrap().transaction.output
    });
    let lost = outputs.filter(|output| output.script_pubkey.as_bytes().first() == Some(&0x6a));
    before - lost.map(|output| output.value.to_sat()).sum::<u64>()
}
