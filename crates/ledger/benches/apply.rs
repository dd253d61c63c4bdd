//! How fast one validator applies, held against bare signature verification on the same cores.
//!
//! `cargo bench -p meanwhile-ledger --features test-utils [-- --transactions N --threads N]`
//!
//! Payments with one P2WPKH input and two outputs lie encoded in memory. Worker threads decode them
//! and judge their scripts ahead; one thread applies commits in order and writes into tables in
//! memory. The bare figure is secp256k1's verification of the same signatures on as many threads,
//! from the bytes of signatures and keys, with the digests at hand. Both are taken seven times, in
//! turn, and the pair with the middle ratio counts. At the end the state is carried into other tables by a
//! snapshot, which is held against the time that applying took.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::disallowed_types, reason = "a bench measures time")]

use std::collections::BTreeMap;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::RwLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use bitcoin::Amount;
use bitcoin::CompressedPublicKey;
use bitcoin::EcdsaSighashType;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::Wtxid;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::All;
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::PublicKey;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::secp256k1::SecretKey;
use bitcoin::secp256k1::ecdsa::Signature;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use ledger::Batch;
use ledger::BatchItem;
use ledger::Ledger;
use ledger::ScriptCache;
use ledger::ScriptCheck;
use ledger::ScriptVerdict;
use ledger::snapshot::Export;
use ledger::snapshot::Import;
use ledger::snapshot::Part;
use ledger::test_utils::MemoryTables;
use ledger::test_utils::TestLedger;
use ledger::test_utils::item;
use ledger::test_utils::spend;
use types::Author;
use types::Decode as _;
use types::Digest;
use types::Encode as _;
use types::Item;
use types::test_utils::TestNetwork;

const KEYS: usize = 1_000;
/// How often both figures are taken.
const PAIRS: usize = 7;
const PER_COMMIT: usize = 500;
/// How many commits the workers may be ahead of the one that is applied.
const AHEAD: usize = 8;
const COIN_SAT: u64 = 100_000;
/// How many blocks are sealed before the snapshot.
const SEALED_TICKS: u16 = 100;
const OUTPUTS_PER_FAN: usize = 2_000;

struct Key {
    secret: SecretKey,
    public: PublicKey,
    script: ScriptBuf,
}

/// What is verified bare: a digest, and a signature and a key as a transaction carries them.
struct Signed {
    message: Message,
    signature: Vec<u8>,
    key: [u8; 33],
}

struct Load {
    stage: TestLedger,
    items: Vec<Item>,
    signed: Vec<Signed>,
}

/// A commit with its verdicts, ready to be applied.
struct Ready {
    batch: Batch,
    verdicts: Vec<(Wtxid, ScriptVerdict)>,
}

fn main() {
    let transactions = flag("--transactions").unwrap_or(20_000);
    let threads = flag("--threads")
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let load = load(transactions);
    let mut pairs: Vec<(Duration, Duration)> =
        (0..PAIRS).map(|_| (verify_bare(&load.signed, threads), apply(&load, threads))).collect();
    pairs.sort_by(|one, other| ratio(one.0, one.1).total_cmp(&ratio(other.0, other.1)));
    let (bare, applied) = pairs[PAIRS / 2];
    let rate = |time: Duration| rate(load.items.len(), time);
    let Alone { parts, kept, exported, imported } = alone(&load);
    println!(
        "{{\"transactions\": {}, \"threads\": {threads}, \"verified_per_s\": {:.0}, \
         \"applied_per_s\": {:.0}, \"ratio\": {:.3}, \"alone_us\": {}, \
         \"kept_bytes\": {kept}, \"exported_s\": {exported:.2}, \"imported_s\": {imported:.2}, \
         \"replayed_to_imported\": {:.1}}}",
        load.items.len(),
        rate(bare),
        rate(applied),
        ratio(bare, applied),
        parts,
        applied.as_secs_f64() / imported,
    );
}

fn flag(name: &str) -> Option<usize> {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == name)?;
    arguments.get(place + 1)?.parse().ok()
}

fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

fn ratio(bare: Duration, applied: Duration) -> f64 {
    bare.as_secs_f64() / applied.as_secs_f64()
}

fn keys(secp: &Secp256k1<All>) -> Vec<Key> {
    let secret = |number: usize| {
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        SecretKey::from_slice(&bytes).expect("far below the order")
    };
    let key = |secret: SecretKey| {
        let public = secret.public_key(secp);
        let script = ScriptBuf::new_p2wpkh(&CompressedPublicKey(public).wpubkey_hash());
        Key { secret, public, script }
    };
    (0..KEYS).map(|number| key(secret(number))).collect()
}

/// A ledger that holds a coin for every payment, and the payments.
fn load(transactions: usize) -> Load {
    let secp = Secp256k1::new();
    let keys = keys(&secp);
    let mut stage = TestLedger::new(TestNetwork::new(1).genesis);
    let root = stage.allocation(0);
    let fans = transactions.div_ceil(OUTPUTS_PER_FAN);
    let each = COIN_SAT * u64::try_from(OUTPUTS_PER_FAN).expect("a small number");
    let root = spend(&[root], &vec![each; fans]);
    stage.commit(&[&root]);
    let (mut items, mut signed) = (Vec::new(), Vec::new());
    for vout in 0..u32::try_from(fans).expect("a small number") {
        let mut fan = spend(&[OutPoint { txid: root.compute_txid(), vout }], &[]);
        fan.output = (0..OUTPUTS_PER_FAN)
            .map(|number| TxOut {
                value: Amount::from_sat(COIN_SAT),
                script_pubkey: keys[number % KEYS].script.clone(),
            })
            .collect();
        assert_eq!(stage.commit(&[&fan]).finals.len(), 1, "the coins are there");
        let txid = fan.compute_txid();
        for (number, place) in (0..OUTPUTS_PER_FAN).zip(0_u32..) {
            if items.len() == transactions {
                break;
            }
            let previous = OutPoint { txid, vout: place };
            let (payment, proof) = pay(&secp, &keys, number, previous);
            items.push(item(&payment));
            signed.push(proof);
        }
    }
    Load { stage, items, signed }
}

fn pay(
    secp: &Secp256k1<All>,
    keys: &[Key],
    number: usize,
    previous_output: OutPoint,
) -> (Transaction, Signed) {
    let owner = &keys[number % KEYS];
    let output = |place: usize, value: u64| TxOut {
        value: Amount::from_sat(value),
        script_pubkey: keys[place % KEYS].script.clone(),
    };
    let mut payment = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![output(number + 1, COIN_SAT / 2), output(number + 7, COIN_SAT / 2 - 500)],
    };
    let sighash_type = EcdsaSighashType::All;
    let value = Amount::from_sat(COIN_SAT);
    let digest = SighashCache::new(&payment)
        .p2wpkh_signature_hash(0, &owner.script, value, sighash_type)
        .expect("the input is there");
    let message = Message::from_digest(digest.to_byte_array());
    let signature = secp.sign_ecdsa(&message, &owner.secret);
    let with_type = bitcoin::ecdsa::Signature { signature, sighash_type };
    payment.input[0].witness = Witness::p2wpkh(&with_type, &owner.public);
    let signature = signature.serialize_der().to_vec();
    (payment, Signed { message, signature, key: owner.public.serialize() })
}

fn verify_bare(signed: &[Signed], threads: usize) -> Duration {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for part in signed.chunks(signed.len().div_ceil(threads)) {
            scope.spawn(move || {
                let secp = Secp256k1::verification_only();
                let valid = part.iter().filter(|one| {
                    let signature = Signature::from_der(&one.signature);
                    let key = PublicKey::from_slice(&one.key);
                    let (Ok(signature), Ok(key)) = (signature, key) else { return false };
                    secp.verify_ecdsa(&one.message, &signature, &key).is_ok()
                });
                assert_eq!(valid.count(), part.len(), "every signature fits");
            });
        }
    });
    began.elapsed()
}

/// Decodes and judges one commit.
fn prepare(ledger: &Ledger, tables: &RwLock<MemoryTables>, base: &Batch, items: &[Item]) -> Ready {
    let items = items.iter().map(|item| BatchItem::new(Author::ZERO, item)).collect();
    let batch = Batch { items, ..base.clone() };
    let checks: Vec<ScriptCheck> = {
        let tables = tables.read().expect("nobody panics");
        ledger.script_checks(&*tables, &batch, &ScriptCache::new()).expect("tables do not fail")
    };
    let verdicts = checks.iter().map(|check| (check.wtxid(), check.run())).collect();
    Ready { batch, verdicts }
}

fn apply(load: &Load, threads: usize) -> Duration {
    let commits: Vec<&[Item]> = load.items.chunks(PER_COMMIT).collect();
    let tables = RwLock::new(load.stage.tables.clone());
    let mut ledger = load.stage.ledger.clone();
    let judged_by = ledger.clone();
    let base = load.stage.batch(&[]);
    let (next, applied) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ready: Mutex<BTreeMap<usize, Ready>> = Mutex::new(BTreeMap::new());
    let changed = Condvar::new();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::SeqCst);
                    let Some(items) = commits.get(place) else { return };
                    {
                        let held = ready.lock().expect("nobody panics");
                        let wait = |_: &mut _| place >= applied.load(Ordering::SeqCst) + AHEAD;
                        drop(changed.wait_while(held, wait));
                    }
                    let one = prepare(&judged_by, &tables, &base, items);
                    ready.lock().expect("nobody panics").insert(place, one);
                    changed.notify_all();
                }
            });
        }
        let mut cache = ScriptCache::new();
        for (place, items) in commits.iter().enumerate() {
            let held = ready.lock().expect("nobody panics");
            let wait = |ready: &mut BTreeMap<usize, Ready>| !ready.contains_key(&place);
            let mut held = changed.wait_while(held, wait).expect("nobody panics");
            let mut one = held.remove(&place).expect("it is there");
            drop(held);
            for (wtxid, verdict) in one.verdicts {
                cache.insert(wtxid, verdict);
            }
            one.batch.index = ledger.applied().next();
            one.batch.digest = Digest::ZERO;
            let done = {
                let tables = tables.read().expect("nobody panics");
                ledger.apply(&*tables, &one.batch, &cache).expect("tables do not fail")
            };
            assert_eq!(done.finals.len(), items.len(), "every payment is final");
            tables.write().expect("nobody panics").write(done.changes);
            applied.fetch_add(1, Ordering::SeqCst);
            changed.notify_all();
        }
    });
    began.elapsed()
}

/// What is measured on one thread.
struct Alone {
    /// What each part costs by itself, in microseconds a transaction.
    parts: String,
    /// How many bytes of rows are kept for one transaction.
    kept: usize,
    /// How long a snapshot takes on its way out, in seconds.
    exported: f64,
    /// How long it takes on its way in, checked.
    imported: f64,
}

fn alone(load: &Load) -> Alone {
    let mut tables = load.stage.tables.clone();
    let mut ledger = load.stage.ledger.clone();
    let mut cache = ScriptCache::new();
    let mut parts =
        [("decode", 0.0), ("look_up", 0.0), ("judge", 0.0), ("apply", 0.0), ("write", 0.0)];
    for items in load.items.chunks(PER_COMMIT) {
        let mut watch = Instant::now();
        let mut lap = |part: usize| {
            parts[part].1 += watch.elapsed().as_secs_f64();
            watch = Instant::now();
        };
        let items = items.iter().map(|item| BatchItem::new(Author::ZERO, item)).collect();
        let mut batch = Batch { items, ..load.stage.batch(&[]) };
        batch.index = ledger.applied().next();
        lap(0);
        let checks = ledger.script_checks(&tables, &batch, &ScriptCache::new());
        let checks = checks.expect("tables do not fail");
        lap(1);
        for check in &checks {
            cache.insert(check.wtxid(), check.run());
        }
        lap(2);
        let done = ledger.apply(&tables, &batch, &cache).expect("tables do not fail");
        lap(3);
        tables.write(done.changes);
        lap(4);
    }
    let count = rate(load.items.len(), Duration::from_secs(1));
    let told = parts.map(|(name, total)| format!("\"{name}\": {:.1}", 1_000_000.0 * total / count));
    let kept = tables.bytes().saturating_sub(load.stage.tables.bytes()) / load.items.len().max(1);
    let (exported, imported) = snapshot(load, &mut ledger, &mut tables);
    Alone { parts: format!("{{{}}}", told.join(", ")), kept, exported, imported }
}

/// Carries the state into other tables, as a new node takes it in.
fn snapshot(load: &Load, ledger: &mut Ledger, tables: &mut MemoryTables) -> (f64, f64) {
    // Everything is sealed, as nearly all of a chain is; then commits go on until a checkpoint.
    let mut items = vec![BatchItem::new(Author::ZERO, &Item::DevelopmentTicks(SEALED_TICKS))];
    loop {
        let mut batch = Batch { items: std::mem::take(&mut items), ..load.stage.batch(&[]) };
        batch.index = ledger.applied().next();
        let done = ledger.apply(&*tables, &batch, &ScriptCache::new());
        let done = done.expect("tables do not fail");
        tables.write(done.changes);
        if done.checkpoint.is_some() {
            break;
        }
    }
    assert_eq!(ledger.backlog().transactions, 0, "there were blocks enough");
    let began = Instant::now();
    let mut export = Export::new(&*tables).expect("it stands at a checkpoint");
    let mut parts = Vec::new();
    while let Some(part) = export.next_part(&*tables).expect("tables do not fail") {
        parts.push(part.to_bytes());
    }
    let exported = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let mut other = MemoryTables::default();
    let mut import = Import::new(&load.stage.genesis, *export.checkpoint());
    for part in parts {
        let part = Part::from_bytes(&part).expect("it was just encoded");
        let changes = import.take(&other, part).expect("it is what was signed");
        other.write(changes);
    }
    let changes = import.finish(&other).expect("it is what was signed");
    other.write(changes);
    (exported, began.elapsed().as_secs_f64())
}
