//! Snapshots: what comes out of one goes on exactly as what went in, and nothing that was changed
//! is taken.

use bitcoin::Sequence;
use bitcoin::Transaction;
use types::Checkpoint;
use types::Encode as _;
use types::Item;
use types::blob::BlobClaim;
use types::blob::BlobOperation;
use types::table::TableRead;

use super::*;
use crate::Ledger;
use crate::query;
use crate::snapshot::Export;
use crate::snapshot::Import;
use crate::snapshot::Part;
use crate::snapshot::SnapshotError;
use crate::test_utils::item;
use crate::test_utils::outpoint;
use crate::test_utils::spend;

/// A chain that stands at a checkpoint, with sealed, unsealed, spent and rejected transactions.
fn eventful() -> TestLedger {
    let mut chain = ledger_with(|genesis| {
        genesis.ledger.checkpoint_every = 2;
        genesis.allocations.push(genesis.allocations[0].clone());
    });
    let first = spend(&[chain.allocation(0)], &[20 * BITCOIN, 29 * BITCOIN]);
    let loser = spend(&[chain.allocation(0)], &[BITCOIN]);
    chain.commit(&[&first, &loser]);
    chain.ticks(3);
    let second = spend(&[outpoint(&first, 0)], &[10 * BITCOIN, 9 * BITCOIN]);
    known_blobs(&mut chain);
    // In the pool of unsealed ones: a chain, and one that spends an allocation.
    let third = spend(&[outpoint(&second, 1), outpoint(&first, 1)], &[30 * BITCOIN]);
    let fourth = spend(&[chain.allocation(1)], &[BITCOIN, BITCOIN]);
    chain.commit(&[&second, &third]);
    chain.commit(&[&fourth]);
    assert_eq!(chain.ledger.backlog().transactions, 3);
    chain
}

/// A blob with a certificate, one without, and one that has ended.
fn known_blobs(chain: &mut TestLedger) {
    let end = chain.ledger.tip().height.value() + 20;
    let mut coin = (chain.allocation(4), 50 * BITCOIN);
    for (number, end) in [(1, end), (2, end), (3, end - 19)] {
        let wanted = blobs::reference(BlobOperation::Register, number, end);
        let transaction = blobs::asks(&wanted, &[coin], 1_000);
        coin = (outpoint(&transaction, 2), transaction.output[2].value.to_sat());
        chain.commit(&[&transaction]);
    }
    let held = blobs::says(chain, 1, BlobClaim::Held);
    let held = [0, 1, 2].map(|author| (author, held.clone()));
    blobs::commit_by(chain, &held);
    chain.ticks(1);
    chain.commit(&[]);
}

fn parts(chain: &TestLedger) -> (Checkpoint, Vec<Part>) {
    let mut export = Export::new(&chain.tables).unwrap();
    let mut parts = Vec::new();
    while let Some(part) = export.next_part(&chain.tables).unwrap() {
        assert_eq!(Part::from_bytes(&part.to_bytes()).as_ref(), Ok(&part));
        parts.push(part);
    }
    (*export.checkpoint(), parts)
}

fn import(
    genesis: &Genesis,
    checkpoint: Checkpoint,
    parts: impl IntoIterator<Item = Part>,
) -> Result<MemoryTables, SnapshotError> {
    let mut tables = MemoryTables::default();
    let mut import = Import::new(genesis, checkpoint);
    for part in parts {
        let changes = import.take(&tables, part)?;
        tables.write(changes);
    }
    let changes = import.finish(&tables)?;
    tables.write(changes);
    Ok(tables)
}

fn restored(chain: &TestLedger) -> TestLedger {
    let (checkpoint, parts) = parts(chain);
    let tables = import(&chain.genesis, checkpoint, parts).unwrap();
    let ledger = Ledger::open(&chain.genesis, &tables).unwrap();
    let (genesis, now) = (chain.genesis.clone(), chain.now);
    TestLedger { genesis, tables, ledger, cache: crate::ScriptCache::new(), now }
}

/// What a commit did, apart from the rows: those of history are not the same.
fn same(chain: &mut TestLedger, twin: &mut TestLedger, items: &[Item]) {
    let mut one = chain.commit_items(items);
    let mut other = twin.commit_items(items);
    one.changes = types::table::Changes::default();
    other.changes = types::table::Changes::default();
    assert_eq!(one, other);
    assert_eq!(chain.ledger.checkpoint_now(), twin.ledger.checkpoint_now());
}

#[test]
fn a_ledger_from_a_snapshot_goes_on_as_the_one_it_was_made_of() {
    let mut chain = eventful();
    let mut twin = restored(&chain);
    assert_eq!(twin.ledger.tip(), chain.ledger.tip());
    assert_eq!(twin.ledger.backlog(), chain.ledger.backlog());
    assert_eq!(twin.ledger.last_event(), chain.ledger.last_event());
    assert_eq!(twin.ledger.checkpoint_now(), chain.ledger.checkpoint_now());
    let coins = |chain: &TestLedger| -> Vec<_> {
        let rows = chain.tables.rows(rows::COINS);
        rows.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    assert_eq!(coins(&chain), coins(&twin));
    // Old and new, repeated and conflicting, locked and free: the same for both.
    let first = spend(&[chain.allocation(0)], &[20 * BITCOIN, 29 * BITCOIN]);
    let loser = spend(&[chain.allocation(0)], &[BITCOIN]);
    let late = spend(&[chain.allocation(0)], &[2 * BITCOIN]);
    let second = spend(&[outpoint(&first, 0)], &[10 * BITCOIN, 9 * BITCOIN]);
    let child = spend(&[outpoint(&second, 0)], &[8 * BITCOIN]);
    let mut locked = spend(&[chain.allocation(2)], &[BITCOIN]);
    locked.input[0].sequence = Sequence::from_height(3);
    let mut in_time = spend(&[chain.allocation(3)], &[BITCOIN]);
    in_time.input[0].sequence = Sequence::from_512_second_intervals(1);
    let fresh = spend(&[outpoint(&child, 0)], &[7 * BITCOIN]);
    let all: [&Transaction; 8] =
        [&first, &loser, &late, &second, &child, &locked, &in_time, &fresh];
    let items: Vec<Item> = all.into_iter().map(item).collect();
    same(&mut chain, &mut twin, &items);
    same(&mut chain, &mut twin, &[Item::DevelopmentTicks(2)]);
    same(&mut chain, &mut twin, &items);
    same(&mut chain, &mut twin, &[]);
    assert_eq!(
        query::full_block(&twin.tables, twin.ledger.tip().height),
        query::full_block(&chain.tables, chain.ledger.tip().height)
    );
}

#[test]
fn a_snapshot_can_be_made_from_a_ledger_that_began_with_one() {
    let mut chain = eventful();
    let mut twin = restored(&chain);
    same(&mut chain, &mut twin, &[Item::DevelopmentTicks(1)]);
    assert_eq!(parts(&restored(&twin)).0, parts(&chain).0);
}

#[test]
fn what_is_not_kept_is_said_to_be_so() {
    let chain = eventful();
    let twin = restored(&chain);
    let base = query::base(&twin.tables).unwrap().unwrap();
    assert_eq!(base.commit, chain.ledger.applied());
    assert_eq!(base.height, chain.ledger.tip().height);
    assert_eq!(base.event, chain.ledger.last_event());
    assert_eq!(query::base(&chain.tables), Ok(None));
    assert_eq!(query::full_block(&twin.tables, base.height), Ok(None));
    assert!(query::block(&twin.tables, base.height).unwrap().is_some(), "its header is there");
    assert_eq!(query::events(&twin.tables, 0, 10), Ok(Vec::new()));
    let allocation = twin_allocation(&chain);
    assert_eq!(query::merkle_proof(&twin.tables, &allocation), Ok(None));
    assert!(query::place(&twin.tables, &allocation).unwrap().is_some());
}

fn twin_allocation(chain: &TestLedger) -> bitcoin::Txid {
    chain.allocation(3).txid
}

#[test]
fn nothing_is_exported_between_checkpoints() {
    let mut chain = eventful();
    chain.commit(&[]);
    let applied = chain.ledger.applied();
    let error = Export::new(&chain.tables).map(|_| ()).unwrap_err();
    assert_eq!(error, SnapshotError::NotAtCheckpoint { applied });
}

#[test]
fn every_changed_byte_of_every_part_is_refused() {
    let chain = eventful();
    let (checkpoint, parts) = parts(&chain);
    let mut refused = 0;
    for (place, part) in parts.iter().enumerate() {
        let bytes = part.to_bytes();
        // Headers are many and alike; the others are gone through byte by byte.
        let step = if matches!(part, Part::Headers(_)) { 97 } else { 3 };
        for at in (0..bytes.len()).step_by(step) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            let Ok(part) = Part::from_bytes(&changed) else { continue };
            let mut parts = parts.clone();
            parts[place] = part;
            let result = import(&chain.genesis, checkpoint, parts);
            assert!(result.is_err(), "part {place}, byte {at}");
            refused += 1;
        }
    }
    assert!(refused > 200, "{refused}");
    for missing in 0..parts.len() {
        let mut fewer = parts.clone();
        fewer.remove(missing);
        assert!(import(&chain.genesis, checkpoint, fewer).is_err(), "without part {missing}");
        let mut twice = parts.clone();
        twice.insert(missing, parts[missing].clone());
        assert!(import(&chain.genesis, checkpoint, twice).is_err(), "part {missing} twice");
    }
}

#[test]
fn the_coins_of_a_snapshot_must_be_those_that_were_signed() {
    let chain = eventful();
    let (mut checkpoint, parts) = parts(&chain);
    checkpoint.utxo_hash = types::BitcoinHash::new([1; 32]);
    let error = import(&chain.genesis, checkpoint, parts).map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("the coins: the snapshot comes to"), "{error}");
    assert!(chain.tables.get(rows::STATE, rows::BASE_KEY).unwrap().is_none());
}
