//! Blobs on the chain: who may ask for what and at which price, what makes a certificate, what ends a
//! blob, and that all of it is in what validators sign.

use std::collections::BTreeMap;

use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::hashes::Hash as _;
use bitcoin::script::PushBytesBuf;
use proptest::prelude::*;
use types::Author;
use types::BitcoinHash;
use types::Encode as _;
use types::Height;
use types::Item;
use types::blob::BlobChange;
use types::blob::BlobClaim;
use types::blob::BlobId;
use types::blob::BlobLayout;
use types::blob::BlobOperation;
use types::blob::BlobOutcome;
use types::blob::BlobReference;
use types::blob::BlobRefusal;
use types::blob::BlobStatement;
use types::blob::Encoding;
use types::blob::ShardCount;
use types::results;

use super::*;
use crate::Applied;
use crate::Batch;
use crate::BatchItem;
use crate::blobs;
use crate::blobs::BLOB_EXPIRIES_PER_BLOCK_MAX;
use crate::blobs::BlobRow;
use crate::checkpoint;
use crate::muhash::MuHash;
use crate::query;
use crate::test_utils::item;
use crate::test_utils::outpoint;
use crate::test_utils::spend;

const HANDLE_SAT: u64 = 1_000;
const LENGTH: u64 = 1 << 20;

pub(super) fn blob(number: u8) -> BlobId {
    BlobId::new([number; 32])
}

fn layout(shards: u16, length: u64) -> BlobLayout {
    BlobLayout::new(Encoding::Segmented, ShardCount::new(shards).unwrap(), length).unwrap()
}

pub(super) fn reference(operation: BlobOperation, number: u8, end_height: u32) -> BlobReference {
    let end_height = Height::new(end_height);
    BlobReference { operation, blob: blob(number), layout: layout(4, LENGTH), end_height }
}

fn data(bytes: &[u8]) -> TxOut {
    let push = PushBytesBuf::try_from(bytes.to_vec()).unwrap();
    TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new_op_return(push) }
}

/// A transaction that asks, with a handle, its change, and this fee.
pub(super) fn asks(
    reference: &BlobReference,
    inputs: &[(OutPoint, u64)],
    fee_sat: u64,
) -> Transaction {
    let coins: Vec<OutPoint> = inputs.iter().map(|(coin, _)| *coin).collect();
    let held: u64 = inputs.iter().map(|(_, amount)| amount).sum();
    let mut transaction = spend(&coins, &[HANDLE_SAT, held - HANDLE_SAT - fee_sat]);
    transaction.output.insert(0, data(&reference.to_bytes()));
    transaction
}

/// Applies a commit of these items, each by its author.
pub(super) fn commit_by(chain: &mut TestLedger, items: &[(u16, Item)]) -> Applied {
    chain.now = chain.now.next();
    let items = items.iter().map(|(author, item)| BatchItem::new(Author::new(*author), item));
    let batch = Batch { items: items.collect(), ..chain.batch(&[]) };
    let applied = chain.ledger.apply(&chain.tables, &batch, &chain.cache).unwrap();
    chain.tables.write(applied.changes.clone());
    applied
}

fn row(chain: &TestLedger, number: u8) -> BlobRow {
    query::blob(&chain.tables, &blob(number)).unwrap().unwrap()
}

pub(super) fn says(chain: &TestLedger, number: u8, claim: BlobClaim) -> Item {
    let registration = row(chain, number).registration;
    Item::BlobStatement(BlobStatement { claim, registration, blob: blob(number) })
}

fn changes(applied: &Applied) -> Vec<BlobChange> {
    applied.blobs.iter().map(|outcome| outcome.change).collect()
}

fn height(chain: &TestLedger) -> u32 {
    chain.ledger.tip().height.value()
}

/// The price of the test blobs for so many ticks.
fn price(chain: &TestLedger, ticks: u32) -> u64 {
    chain.genesis.blobs.price_sat(layout(4, LENGTH).encoded_length(), ticks)
}

/// A chain with one blob that ends in ten ticks, and its registration.
fn registered() -> (TestLedger, Transaction) {
    let mut chain = ledger();
    let end = height(&chain) + 10;
    let coin = (chain.allocation(0), 50 * BITCOIN);
    let fee = price(&chain, 10);
    let transaction = asks(&reference(BlobOperation::Register, 1, end), &[coin], fee);
    let applied = chain.commit(&[&transaction]);
    let end_height = Height::new(end);
    assert_eq!(changes(&applied), [BlobChange::Registered { end_height }]);
    (chain, transaction)
}

fn change_of(transaction: &Transaction) -> (OutPoint, u64) {
    (outpoint(transaction, 2), transaction.output[2].value.to_sat())
}

fn handle_of(transaction: &Transaction) -> (OutPoint, u64) {
    (outpoint(transaction, 1), HANDLE_SAT)
}

#[test]
fn the_certifying_acknowledgement_is_the_third_of_four() {
    let (mut chain, registration) = registered();
    let held = says(&chain, 1, BlobClaim::Held);
    assert_eq!(changes(&commit_by(&mut chain, &[(3, held.clone()), (0, held.clone())])), []);
    let applied = commit_by(&mut chain, &[(2, held.clone())]);
    let end_height = row(&chain, 1).end_height;
    let certified = BlobOutcome {
        blob: blob(1),
        registered_by: BitcoinHash::new(registration.compute_txid().to_byte_array()),
        commit: chain.ledger.applied(),
        change: BlobChange::Certified { end_height },
    };
    assert_eq!(applied.blobs, [certified]);
    assert_eq!(row(&chain, 1).certified.unwrap().first, chain.ledger.applied());
    // The fourth is remembered, and is no second certificate.
    assert_eq!(changes(&commit_by(&mut chain, &[(1, held)])), []);
    let holders: Vec<u16> = row(&chain, 1).held_by.authors().map(|author| author.value()).collect();
    assert_eq!(holders, [0, 1, 2, 3]);
}

#[test]
fn one_validator_counts_once_however_often_it_speaks() {
    let (mut chain, _) = registered();
    let held = says(&chain, 1, BlobClaim::Held);
    for _ in 0..3 {
        let items = [(0, held.clone()), (0, held.clone()), (2, held.clone())];
        assert_eq!(changes(&commit_by(&mut chain, &items)), []);
    }
    assert_eq!(row(&chain, 1).held_by.count(), 2);
    let stranger = commit_by(&mut chain, &[(4, held)]);
    assert_eq!((stranger.ignored, row(&chain, 1).held_by.count()), (1, 2));
}

#[test]
fn a_statement_is_about_one_registration_of_a_live_blob() {
    let (mut chain, _) = registered();
    let BlobRow { registration, .. } = row(&chain, 1);
    let statements = [
        BlobStatement { claim: BlobClaim::Held, registration: registration + 1, blob: blob(1) },
        BlobStatement { claim: BlobClaim::Held, registration, blob: blob(2) },
    ];
    for statement in statements {
        let applied = commit_by(&mut chain, &[(0, Item::BlobStatement(statement))]);
        assert_eq!(applied.ignored, 1, "{statement:?}");
    }
    let held = says(&chain, 1, BlobClaim::Held);
    chain.ticks(10);
    let late = commit_by(&mut chain, &[(0, held)]);
    assert_eq!((late.ignored, row(&chain, 1).held_by.count()), (1, 0));
}

#[test]
fn a_fee_below_the_price_leaves_the_transaction_final_and_the_blob_unknown() {
    let mut chain = ledger();
    let end = height(&chain) + 10;
    let coin = (chain.allocation(0), 50 * BITCOIN);
    let price_sat = price(&chain, 10);
    let wanted = reference(BlobOperation::Register, 1, end);
    let cheap = asks(&wanted, &[coin], price_sat - 1);
    let applied = chain.commit(&[&cheap]);
    assert_eq!(applied.finals, [cheap.compute_txid()]);
    let reason = BlobRefusal::Unpaid { price_sat, fee_sat: price_sat - 1 };
    assert_eq!(changes(&applied), [BlobChange::Refused { reason }]);
    assert!(reason.to_string().contains(&format!("{price_sat} sat")));
    assert_eq!(query::blob(&chain.tables, &blob(1)), Ok(None));
    let paid = asks(&wanted, &[change_of(&cheap)], price_sat);
    let end_height = Height::new(end);
    assert_eq!(changes(&chain.commit(&[&paid])), [BlobChange::Registered { end_height }]);
}

#[test]
fn what_a_network_does_not_keep_is_refused_with_the_numbers() {
    let mut chain = ledger_with(|genesis| {
        genesis.blobs.length_max = LENGTH;
        genesis.blobs.ticks_max = 20;
    });
    let tip = height(&chain);
    let good = reference(BlobOperation::Register, 1, tip + 20);
    type Row = (BlobReference, BlobRefusal);
    let far = Height::new(tip + 21);
    let rows: [Row; 5] = [
        (
            BlobReference { layout: layout(5, LENGTH), ..good },
            BlobRefusal::Shards { expected: 4, actual: 5 },
        ),
        (
            BlobReference { layout: layout(4, LENGTH + 1), ..good },
            BlobRefusal::Length { limit: LENGTH, actual: LENGTH + 1 },
        ),
        (
            BlobReference { end_height: Height::new(tip), ..good },
            BlobRefusal::Ended { end_height: Height::new(tip), height: Height::new(tip) },
        ),
        (
            BlobReference { end_height: far, ..good },
            BlobRefusal::TooFar { end_height: far, limit: Height::new(tip + 20) },
        ),
        (BlobReference { operation: BlobOperation::Extend, ..good }, BlobRefusal::Unknown),
    ];
    let mut coin = (chain.allocation(0), 50 * BITCOIN);
    for (reference, reason) in rows {
        let transaction = asks(&reference, &[coin], BITCOIN);
        coin = change_of(&transaction);
        assert_eq!(changes(&chain.commit(&[&transaction])), [BlobChange::Refused { reason }]);
    }
    let mut lone = asks(&good, &[coin], BITCOIN);
    lone.output.truncate(1);
    let reason = BlobRefusal::Handle;
    assert_eq!(changes(&chain.commit(&[&lone])), [BlobChange::Refused { reason }]);
    let coin = (chain.allocation(1), 50 * BITCOIN);
    let granted = chain.commit(&[&asks(&good, &[coin], BITCOIN)]);
    assert_eq!(changes(&granted), [BlobChange::Registered { end_height: good.end_height }]);
}

#[test]
fn only_one_output_of_data_in_its_one_form_asks_for_anything() {
    let chain = ledger();
    let wanted = reference(BlobOperation::Register, 1, 200);
    let plain = asks(&wanted, &[(chain.allocation(0), 50 * BITCOIN)], BITCOIN);
    assert_eq!(blobs::reference(&plain), Some(wanted));
    let mut second = plain.clone();
    second.output.push(data(b"more"));
    assert_eq!(blobs::reference(&second), None);
    let mut longer = plain.clone();
    longer.output[0] = data(&[wanted.to_bytes().as_slice(), &[0]].concat());
    assert_eq!(blobs::reference(&longer), None);
    let mut respelt = plain;
    let script = [&[0x6a, 0x4c, 53], wanted.to_bytes().as_slice()].concat();
    respelt.output[0].script_pubkey = ScriptBuf::from_bytes(script);
    assert_eq!(blobs::reference(&respelt), None);
    assert_eq!(blobs::reference(&spend(&[chain.allocation(0)], &[BITCOIN])), None);
}

#[test]
fn who_spends_the_handle_extends_and_deletes_and_nobody_else() {
    let (mut chain, registration) = registered();
    let end = row(&chain, 1).end_height.value();
    let longer = reference(BlobOperation::Extend, 1, end + 5);
    let thief = asks(&longer, &[(chain.allocation(1), 50 * BITCOIN)], BITCOIN);
    let reason = BlobRefusal::Owner;
    assert_eq!(changes(&chain.commit(&[&thief])), [BlobChange::Refused { reason }]);

    let owner = [handle_of(&registration), change_of(&registration)];
    let cheap = asks(&longer, &owner, price(&chain, 5) - 1);
    assert!(matches!(
        changes(&chain.commit(&[&cheap]))[..],
        [BlobChange::Refused { reason: BlobRefusal::Unpaid { .. } }]
    ));
    // The handle is spent: a request that was refused does not give the blob a new one.
    let again = asks(&longer, &[handle_of(&cheap), change_of(&cheap)], BITCOIN);
    assert_eq!(changes(&chain.commit(&[&again])), [BlobChange::Refused { reason }]);
}

#[test]
fn an_extension_renews_the_certificate_and_moves_the_handle() {
    let (mut chain, registration) = registered();
    let held = says(&chain, 1, BlobClaim::Held);
    commit_by(&mut chain, &[(0, held.clone()), (1, held.clone()), (2, held)]);
    let before = row(&chain, 1);
    let end_height = before.end_height.saturating_add(5);
    let longer = reference(BlobOperation::Extend, 1, end_height.value());
    let owner = [handle_of(&registration), change_of(&registration)];
    let extension = asks(&longer, &owner, price(&chain, 5));
    let applied = chain.commit(&[&extension]);
    let extended = BlobChange::Extended { end_height };
    assert_eq!(changes(&applied), [extended, BlobChange::Certified { end_height }]);
    let after = row(&chain, 1);
    assert_eq!(after.handle, outpoint(&extension, 1));
    assert_eq!(after.certified.unwrap().first, before.certified.unwrap().first);
    assert_eq!(after.certified.unwrap().newest, chain.ledger.applied());
    assert_eq!((after.registration, after.end_height), (before.registration, end_height));

    let not_longer = reference(BlobOperation::Extend, 1, end_height.value());
    let owner = [handle_of(&extension), change_of(&extension)];
    let refused = chain.commit(&[&asks(&not_longer, &owner, BITCOIN)]);
    let reason = BlobRefusal::Ended { end_height, height: end_height };
    assert_eq!(changes(&refused), [BlobChange::Refused { reason }]);
}

#[test]
fn a_blob_ends_at_its_end_and_is_deleted_by_its_owner_before() {
    let (mut chain, registration) = registered();
    let end = row(&chain, 1).end_height;
    chain.ticks(9);
    assert!(row(&chain, 1).is_live(chain.ledger.tip().height));
    assert_eq!(changes(&chain.ticks(1)), [BlobChange::Expired]);
    assert!(!row(&chain, 1).is_live(end));
    assert_eq!(row(&chain, 1).forgotten_from(), end.next());
    assert_eq!(query::live_blobs(&chain.tables, None, 9), Ok(Vec::new()));

    // Another registration of the same bytes: what was said about the first one says nothing now.
    let again = reference(BlobOperation::Register, 1, end.value() + 10);
    let again = asks(&again, &[change_of(&registration)], BITCOIN);
    let first = says(&chain, 1, BlobClaim::Held);
    chain.commit(&[&again]);
    assert_eq!(commit_by(&mut chain, &[(0, first)]).ignored, 1);
    let delete =
        BlobReference { end_height: Height::ZERO, ..reference(BlobOperation::Delete, 1, 1) };
    let delete = asks(&delete, &[handle_of(&again), change_of(&again)], 0);
    assert_eq!(changes(&chain.commit(&[&delete])), [BlobChange::Deleted]);
    assert_eq!(row(&chain, 1).forgotten_from(), end.next());
    assert_eq!(changes(&chain.ticks(20)), []);
}

#[test]
fn two_of_four_end_an_inconsistent_blob_for_good() {
    let (mut chain, registration) = registered();
    let (held, wrong) =
        (says(&chain, 1, BlobClaim::Held), says(&chain, 1, BlobClaim::Inconsistent));
    commit_by(&mut chain, &[(0, held.clone()), (1, held.clone()), (2, held.clone())]);
    let first = commit_by(&mut chain, &[(0, wrong.clone()), (0, wrong.clone())]);
    assert_eq!(changes(&first), [BlobChange::Disputed]);
    assert_eq!(changes(&commit_by(&mut chain, &[(3, wrong.clone())])), [BlobChange::Invalid]);
    assert!(row(&chain, 1).is_inconsistent());
    assert_eq!(commit_by(&mut chain, &[(1, wrong), (3, held)]).ignored, 2);
    let again = reference(BlobOperation::Register, 1, height(&chain) + 30);
    let again = asks(&again, &[change_of(&registration)], BITCOIN);
    let reason = BlobRefusal::Inconsistent;
    assert_eq!(changes(&chain.commit(&[&again])), [BlobChange::Refused { reason }]);
    assert_eq!(changes(&chain.ticks(20)), []);
}

#[test]
fn what_became_of_a_blob_has_a_path_to_what_validators_sign() {
    let (mut chain, _) = registered();
    let held = says(&chain, 1, BlobClaim::Held);
    let items = [0, 1, 2].map(|author| (author, held.clone()));
    commit_by(&mut chain, &items);
    let newest = row(&chain, 1).certified.unwrap().newest;
    chain.ticks(1);
    let rows = query::checkpoints_from(&chain.tables, newest, 1).unwrap();
    let (outcome, path) = query::blob_path(&chain.tables, &rows[0], &blob(1)).unwrap().unwrap();
    assert!(matches!(outcome.change, BlobChange::Certified { .. }));
    let root = rows[0].checkpoint.results_root;
    assert_eq!(results::root_of_path(outcome.leaf(), &path), root);
    let txid = row(&chain, 1).registered_by;
    let (outcome, path) = query::results_path(&chain.tables, &rows[0], &txid).unwrap().unwrap();
    let name = BitcoinHash::new(txid.to_byte_array());
    assert_eq!(results::root_of_path(results::leaf(&name, &outcome.in_receipts()), &path), root);
}

#[test]
fn one_block_lets_a_bounded_number_expire_and_the_next_the_rest() {
    let mut chain = ledger();
    let count = BLOB_EXPIRIES_PER_BLOCK_MAX + 2;
    let end = height(&chain) + 1;
    let mut coin = (chain.allocation(0), 50 * BITCOIN);
    let transactions: Vec<Transaction> = (0..count)
        .map(|number| {
            let mut wanted = reference(BlobOperation::Register, 0, end);
            let mut name = [0; 32];
            name[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
            wanted.blob = BlobId::new(name);
            let transaction = asks(&wanted, &[coin], 1_000);
            coin = change_of(&transaction);
            transaction
        })
        .collect();
    let items = transactions.iter().map(item).chain([Item::DevelopmentTicks(1)]);
    let items: Vec<Item> = items.collect();
    let applied = chain.commit_items(&items);
    let expired = applied.blobs.iter().filter(|outcome| outcome.change == BlobChange::Expired);
    assert_eq!(expired.count(), BLOB_EXPIRIES_PER_BLOCK_MAX);
    assert_eq!(changes(&chain.ticks(1)), [BlobChange::Expired, BlobChange::Expired]);
}

/// One random request or statement.
#[derive(Clone, Debug)]
enum Draw {
    Ask { operation: u8, number: u8, ticks: u32, with_handle: bool, fee_sat: u64 },
    Say { author: u16, number: u8, is_held: bool },
    Tick,
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let ask = (0..3_u8, 0..3_u8, 0..6_u32, any::<bool>(), 0..2_u64).prop_map(
        |(operation, number, ticks, with_handle, fee)| Draw::Ask {
            operation,
            number,
            ticks,
            with_handle,
            fee_sat: fee * 1_000,
        },
    );
    let say = (0..5_u16, 0..3_u8, 0..6_u8).prop_map(|(author, number, held)| Draw::Say {
        author,
        number,
        is_held: held > 0,
    });
    let draw = prop_oneof![3 => ask, 6 => say, 1 => Just(Draw::Tick)];
    prop::collection::vec(draw, 1..60)
}

/// What stands in the hash of the past, counted anew from the rows.
fn past(chain: &TestLedger) -> MuHash {
    let mut hash = MuHash::default();
    for (key, value) in chain.tables.rows(rows::SPENDS) {
        let spent = rows::outpoint_of_key(key).unwrap();
        let spender = query::Spender::from_bytes(value).unwrap();
        hash.insert(&checkpoint::spent_bytes(&spent, &spender.txid, spender.input));
    }
    for (key, value) in chain.tables.rows(rows::BLOBS) {
        let name = BlobId::new(key.as_ref().try_into().unwrap());
        hash.insert(&BlobRow::from_bytes(value).unwrap().member(3, &name));
    }
    hash
}

fn check_rows(chain: &TestLedger) -> Result<(), TestCaseError> {
    let mut ends = BTreeMap::new();
    for (key, value) in chain.tables.rows(rows::BLOBS) {
        let row = BlobRow::from_bytes(value).unwrap();
        if row.ended.is_none() {
            ends.insert((row.end_height, BlobId::new(key.as_ref().try_into().unwrap())), ());
        }
        prop_assert_eq!(row.certified.is_some(), row.held_by.count() >= 3);
        prop_assert_eq!(row.is_inconsistent(), row.disputed_by.count() >= 2);
    }
    let listed = query::live_blobs(&chain.tables, None, usize::MAX).unwrap();
    prop_assert_eq!(listed, ends.into_keys().collect::<Vec<_>>());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_asked_and_said_the_rows_the_list_of_ends_and_the_hash_agree(
        draws in draws(),
        size in 1..6_usize,
    ) {
        let mut chain = ledger_with(|genesis| genesis.ledger.checkpoint_every = 1);
        let mut coin = (chain.allocation(0), 50 * BITCOIN);
        let mut handles: BTreeMap<u8, (OutPoint, u64)> = BTreeMap::new();
        for draws in draws.chunks(size) {
            let mut items = Vec::new();
            for draw in draws {
                match draw {
                    Draw::Tick => items.push((0, Item::DevelopmentTicks(1))),
                    Draw::Say { author, number, is_held } => {
                        let known = query::blob(&chain.tables, &blob(*number)).unwrap();
                        let registration = known.map_or(1, |row| row.registration);
                        let claim =
                            if *is_held { BlobClaim::Held } else { BlobClaim::Inconsistent };
                        let blob = blob(*number);
                        let statement = BlobStatement { claim, registration, blob };
                        items.push((*author, Item::BlobStatement(statement)));
                    }
                    Draw::Ask { operation, number, ticks, with_handle, fee_sat } => {
                        let end = height(&chain) + ticks;
                        let (operation, end) = match operation {
                            0 => (BlobOperation::Register, end),
                            1 => (BlobOperation::Extend, end),
                            _ => (BlobOperation::Delete, 0),
                        };
                        let wanted = reference(operation, *number, end);
                        let handle = handles.remove(number).filter(|_| *with_handle);
                        let inputs: Vec<_> = handle.into_iter().chain([coin]).collect();
                        let transaction = asks(&wanted, &inputs, *fee_sat);
                        coin = change_of(&transaction);
                        handles.insert(*number, handle_of(&transaction));
                        items.push((0, item(&transaction)));
                    }
                }
            }
            items.push((0, Item::DevelopmentTicks(1)));
            let applied = commit_by(&mut chain, &items);
            check_rows(&chain)?;
            let checkpoint = applied.checkpoint.unwrap();
            let stored: checkpoint::Hashes =
                rows::read_row(&chain.tables, rows::STATE, rows::HASHES_KEY).unwrap().unwrap();
            prop_assert_eq!(&stored.past, &past(&chain));
            let mut count = types::Results::default();
            for event in &applied.events {
                match event.kind {
                    crate::EventKind::Blob(outcome) => count.push_leaf(outcome.leaf()),
                    crate::EventKind::Outcome { txid, outcome } => {
                        let name = BitcoinHash::new(txid.to_byte_array());
                        count.push(&name, &outcome.in_receipts());
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(checkpoint.results_root, count.root());
        }
    }
}
