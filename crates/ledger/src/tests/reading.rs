//! What the readers give.

use bitcoin::ScriptBuf;
use bitcoin::Transaction;
use bitcoin::hashes::Hash;
use bitcoin::hashes::sha256d;
use types::Height;

use super::*;
use crate::query;
use crate::query::MerkleProof;
use crate::rows::ScriptHash;
use crate::test_utils::anyone;
use crate::test_utils::outpoint;
use crate::test_utils::spend;

fn script(number: u8) -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x01, number, 0x75, 0x51])
}

fn pay(transaction: &mut Transaction, number: u8, amount_sat: u64) {
    let mut output = anyone(amount_sat);
    output.script_pubkey = script(number);
    transaction.output.push(output);
}

#[test]
fn a_scripts_history_and_totals_follow_sealing() {
    let mut chain = ledger();
    let name = ScriptHash::of(&script(1));
    let mut first = spend(&[chain.allocation(0)], &[]);
    pay(&mut first, 1, 5 * BITCOIN);
    pay(&mut first, 1, 6 * BITCOIN);
    chain.commit(&[&first]);
    chain.ticks(1);
    let mut second = spend(&[outpoint(&first, 0)], &[]);
    pay(&mut second, 1, 4 * BITCOIN);
    chain.commit(&[&second]);

    let history = query::history(&chain.tables, &name, None, 10).unwrap();
    let txids: Vec<_> = history.iter().map(|entry| entry.txid).collect();
    assert_eq!(txids, [second.compute_txid(), first.compute_txid()], "newest first");
    assert!(history[0].place.is_none() && history[1].place.is_some());
    let rest = query::history(&chain.tables, &name, Some(history[0].order), 10).unwrap();
    assert_eq!(rest, history[1..]);

    let stats = query::script_stats(&chain.tables, &name).unwrap();
    assert_eq!((stats.sealed.transactions, stats.sealed.funded), (1, 2));
    assert_eq!(stats.sealed.balance_sat(), 11 * BITCOIN);
    assert_eq!((stats.unsealed.funded_sat, stats.unsealed.spent_sat), (4 * BITCOIN, 5 * BITCOIN));

    let utxos = query::utxos(&chain.tables, &name, None, 10).unwrap();
    assert_eq!(utxos.iter().map(|utxo| utxo.amount_sat).sum::<u64>(), 10 * BITCOIN);
    let behind = query::utxos(&chain.tables, &name, Some(&utxos[0].outpoint), 10).unwrap();
    assert_eq!(behind, utxos[1..]);

    chain.ticks(1);
    let stats = query::script_stats(&chain.tables, &name).unwrap();
    assert_eq!((stats.sealed.transactions, stats.unsealed.transactions), (2, 0));
    assert_eq!(stats.sealed.balance_sat(), 10 * BITCOIN);
}

#[test]
fn a_transaction_is_found_with_what_it_spends() {
    let mut chain = ledger();
    let payment = spend(&[chain.allocation(0)], &[BITCOIN]);
    chain.commit(&[&payment]);
    let txid = payment.compute_txid();
    let record = query::transaction(&chain.tables, &txid).unwrap().unwrap();
    assert_eq!(record.transaction, payment);
    assert_eq!((record.commit.value(), record.place), (1, None));
    let spent = query::spent_outputs(&chain.tables, &payment).unwrap();
    assert_eq!(spent[0].as_ref().unwrap().value.to_sat(), 50 * BITCOIN);
    let waiting = query::unsealed(&chain.tables, 0, 10).unwrap();
    assert_eq!((waiting[0].txid, waiting[0].fee_sat), (txid, 49 * BITCOIN));
    let unknown = bitcoin::Txid::all_zeros();
    assert_eq!(query::transaction(&chain.tables, &unknown), Ok(None));
    assert_eq!(query::outcome(&chain.tables, &unknown), Ok(None));
}

fn climb(mut hash: sha256d::Hash, proof: &MerkleProof) -> sha256d::Hash {
    let mut position = proof.place.position;
    for sibling in &proof.branch {
        let pair = if position & 1 == 0 { [hash, *sibling] } else { [*sibling, hash] };
        hash = sha256d::Hash::hash(&pair.map(|hash| hash.to_byte_array()).concat());
        position /= 2;
    }
    hash
}

#[test]
fn pages_and_proofs_cover_a_block_of_many_pages() {
    let mut chain = ledger();
    let mut coin = chain.allocation(0);
    let chained: Vec<Transaction> = (1..=600_u64)
        .map(|number| {
            let transaction = spend(&[coin], &[50 * BITCOIN - number * 1_000]);
            coin = outpoint(&transaction, 0);
            transaction
        })
        .collect();
    chain.commit(&chained.iter().collect::<Vec<_>>());
    chain.ticks(1);
    let tip = chain.ledger.tip();
    let all = query::block_txids(&chain.tables, tip.height, 0, 10_000).unwrap();
    assert_eq!(all.len(), 601);
    for (from, limit) in [(0, 25), (250, 25), (256, 256), (511, 2), (599, 25), (601, 5)] {
        let page = query::block_txids(&chain.tables, tip.height, from, limit).unwrap();
        let start = usize::try_from(from).unwrap();
        assert_eq!(page, all[start..(start + limit).min(601)], "from {from}");
    }
    let root = query::block(&chain.tables, tip.height).unwrap().unwrap().header.merkle_root;
    for position in [0, 1, 255, 256, 599, 600] {
        let proof = query::merkle_proof(&chain.tables, &all[position]).unwrap().unwrap();
        assert_eq!(climb(all[position].to_raw_hash(), &proof), root.to_raw_hash());
    }
}

#[test]
fn blocks_are_found_by_height_and_by_hash() {
    let chain = ledger();
    let tip = chain.ledger.tip();
    let record = query::block_by_hash(&chain.tables, &tip.hash).unwrap().unwrap();
    assert_eq!(record.height, tip.height);
    assert_eq!(query::block(&chain.tables, tip.height.next()), Ok(None));
    assert_eq!(
        query::height(&chain.tables, &record.header.prev_blockhash),
        Ok(Some(Height::new(tip.height.value() - 1)))
    );
    let summary = query::summary(&chain.tables).unwrap().unwrap();
    assert_eq!((summary.tip, summary.chain), (tip, chain.genesis.chain()));
}

#[test]
fn events_are_read_on_from_any_number() {
    let mut chain = ledger();
    let payment = spend(&[chain.allocation(0)], &[BITCOIN]);
    let early = spend(&[outpoint(&payment, 7)], &[BITCOIN]);
    chain.commit(&[&payment, &early]);
    chain.ticks(2);
    let all = query::events(&chain.tables, 0, 100).unwrap();
    let numbers: Vec<u64> = all.iter().map(|event| event.sequence).collect();
    // Two outcomes, two blocks, and the checkpoint of the commit that sealed them.
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!(query::events(&chain.tables, 2, 1), Ok(all[2..3].to_vec()));
    assert_eq!(query::events(&chain.tables, u64::MAX, 1), Ok(vec![]));
}
