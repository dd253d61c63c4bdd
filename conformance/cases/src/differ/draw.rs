//! Draws transactions: mostly sound ones, spoilt in one way or another.

use bitcoin::Amount;
use bitcoin::EcdsaSighashType;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::TapSighashType;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use rand::Rng;
use rand::RngExt;
use rand::seq::IndexedRandom;

use crate::Failure;
use crate::differ::kinds::Coin;
use crate::differ::kinds::Keys;
use crate::differ::kinds::Kind;
use crate::differ::kinds::Manner;

/// The two clocks that locks are held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// The height of the next block.
    pub(crate) height: u32,
    /// The median-time-past of the tip.
    pub(crate) median: u32,
}

/// What a transaction makes.
pub(crate) struct Drawn {
    pub(crate) transaction: Transaction,
    /// The kinds of its outputs; none where nobody can spend.
    pub(crate) kinds: Vec<Option<Kind>>,
    /// What was done to it.
    pub(crate) twist: Twist,
}

/// What is done to a sound transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Twist {
    None,
    /// Before it is signed.
    PaysMore,
    OutputTooLarge,
    OutputNegative,
    TotalTooLarge,
    InputTwice,
    InputMissing,
    InputNull,
    NoOutputs,
    LockHeight,
    LockTime,
    RelativeHeight,
    RelativeTime,
    AnyVersion,
    ManySigops,
    /// After it is signed.
    FlipWitness,
    FlipScriptSig,
    DropWitness,
    AddWitness,
    SwapWitnesses,
    DummyNotNull,
    HighS,
    Annex,
    PushInScriptSig,
}

impl Twist {
    pub(crate) const ALL: [Self; 24] = [
        Self::None,
        Self::PaysMore,
        Self::OutputTooLarge,
        Self::OutputNegative,
        Self::TotalTooLarge,
        Self::InputTwice,
        Self::InputMissing,
        Self::InputNull,
        Self::NoOutputs,
        Self::LockHeight,
        Self::LockTime,
        Self::RelativeHeight,
        Self::RelativeTime,
        Self::AnyVersion,
        Self::ManySigops,
        Self::FlipWitness,
        Self::FlipScriptSig,
        Self::DropWitness,
        Self::AddWitness,
        Self::SwapWitnesses,
        Self::DummyNotNull,
        Self::HighS,
        Self::Annex,
        Self::PushInScriptSig,
    ];
}

/// Draws a transaction that spends these coins.
pub(crate) fn transaction(
    rng: &mut impl Rng,
    keys: &Keys,
    coins: &[Coin],
    clocks: Clocks,
    twist: Twist,
) -> Result<Drawn, Failure> {
    let mut coins = coins.to_vec();
    let total: u64 = coins.iter().map(|coin| coin.output.value.to_sat()).sum();
    let count = rng.random_range(1..5_u64);
    let fee = rng.random_range(0..2_000_u64).min(total);
    let mut kinds = Vec::new();
    let mut output = Vec::new();
    for _ in 0..count {
        let kind = kind(rng, clocks);
        let value = Amount::from_sat((total - fee) / count);
        output.push(TxOut { value, script_pubkey: keys.script(kind)? });
        kinds.push(Some(kind));
    }
    if rng.random_range(0..4) == 0 {
        let script_pubkey = ScriptBuf::new_op_return([rng.random(); 20]);
        output.push(TxOut { value: Amount::ZERO, script_pubkey });
        kinds.push(None);
    }
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: coins.iter().map(|coin| input(coin.outpoint)).collect(),
        output,
    };
    open_locks(rng, &mut transaction, &coins);
    twist_before(rng, &mut transaction, &mut coins, (clocks, twist));
    for place in 0..coins.len() {
        let manner = manner(rng);
        keys.sign(&mut transaction, &coins, place, manner)?;
    }
    twist_after(rng, &mut transaction, twist);
    kinds.resize(transaction.output.len(), None);
    Ok(Drawn { transaction, kinds, twist })
}

fn input(previous_output: OutPoint) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}

fn kind(rng: &mut impl Rng, clocks: Clocks) -> Kind {
    let near = rng.random_range(0..6_u32);
    match rng.random_range(0..16) {
        0 => Kind::Cltv((clocks.height + near).saturating_sub(3)),
        1 => Kind::Cltv((clocks.median + near).saturating_sub(3)),
        2 => Kind::Csv(near),
        3 => Kind::Csv((1 << 22) | near.saturating_sub(3)),
        _ => *Kind::PLAIN.choose(rng).unwrap_or(&Kind::P2wpkh),
    }
}

fn manner(rng: &mut impl Rng) -> Manner {
    const ECDSA: [EcdsaSighashType; 6] = [
        EcdsaSighashType::All,
        EcdsaSighashType::None,
        EcdsaSighashType::Single,
        EcdsaSighashType::AllPlusAnyoneCanPay,
        EcdsaSighashType::NonePlusAnyoneCanPay,
        EcdsaSighashType::SinglePlusAnyoneCanPay,
    ];
    const TAPROOT: [TapSighashType; 7] = [
        TapSighashType::Default,
        TapSighashType::All,
        TapSighashType::None,
        TapSighashType::Single,
        TapSighashType::AllPlusAnyoneCanPay,
        TapSighashType::NonePlusAnyoneCanPay,
        TapSighashType::SinglePlusAnyoneCanPay,
    ];
    Manner {
        ecdsa: *ECDSA.choose(rng).unwrap_or(&EcdsaSighashType::All),
        taproot: *TAPROOT.choose(rng).unwrap_or(&TapSighashType::Default),
    }
}

/// Sets lock times and sequences as the coins' scripts ask for them, mostly.
fn open_locks(rng: &mut impl Rng, transaction: &mut Transaction, coins: &[Coin]) {
    for (place, coin) in coins.iter().enumerate() {
        match coin.kind {
            Kind::Cltv(lock) => {
                transaction.lock_time = LockTime::from_consensus(lock);
                transaction.input[place].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
            }
            Kind::Csv(lock) if rng.random_range(0..8) > 0 => {
                transaction.input[place].sequence = Sequence::from_consensus(lock);
            }
            _ => {}
        }
    }
}

fn twist_before(
    rng: &mut impl Rng,
    transaction: &mut Transaction,
    coins: &mut Vec<Coin>,
    (clocks, twist): (Clocks, Twist),
) {
    let near = rng.random_range(0..6_u32);
    let place = rng.random_range(0..transaction.input.len());
    let most = Amount::MAX_MONEY.to_sat();
    match twist {
        Twist::PaysMore => {
            let extra = rng.random_range(1..3_000);
            transaction.output[0].value += Amount::from_sat(extra);
        }
        Twist::OutputTooLarge => transaction.output[0].value = Amount::from_sat(most + 1),
        Twist::OutputNegative => transaction.output[0].value = Amount::from_sat(u64::MAX),
        Twist::TotalTooLarge => {
            let output = TxOut { value: Amount::from_sat(most), script_pubkey: ScriptBuf::new() };
            transaction.output.extend([output.clone(), output]);
        }
        Twist::InputTwice => {
            transaction.input.push(transaction.input[place].clone());
            coins.push(coins[place].clone());
        }
        Twist::InputMissing => {
            let txid = Txid::from_byte_array(rng.random());
            transaction.input[place].previous_output = OutPoint { txid, vout: 0 };
        }
        Twist::InputNull => {
            transaction.input.push(input(OutPoint::null()));
            coins.push(Coin { kind: Kind::Anyone, ..coins[place].clone() });
        }
        Twist::NoOutputs => transaction.output.clear(),
        Twist::LockHeight | Twist::LockTime => {
            let base = if twist == Twist::LockHeight { clocks.height } else { clocks.median };
            transaction.lock_time = LockTime::from_consensus((base + near).saturating_sub(3));
            let last = [Sequence::MAX, Sequence::ENABLE_LOCKTIME_NO_RBF][usize::from(near > 1)];
            transaction.input.iter_mut().for_each(|input| input.sequence = last);
        }
        Twist::RelativeHeight => {
            transaction.input[place].sequence = Sequence::from_consensus(near);
        }
        Twist::RelativeTime => {
            transaction.input[place].sequence = Sequence::from_consensus((1 << 22) | near);
        }
        Twist::AnyVersion => {
            let versions = [0, 1, 2, 3, 4, -1, i32::MIN, i32::MAX];
            transaction.version = Version(*versions.choose(rng).unwrap_or(&0));
            transaction.input[place].sequence = Sequence::from_consensus(near);
        }
        Twist::ManySigops => {
            let script_pubkey = ScriptBuf::from_bytes(vec![0xac; 10_000 - usize::from(near == 0)]);
            let output = TxOut { value: Amount::ZERO, script_pubkey };
            let count = rng.random_range(1..4);
            transaction.output.extend(std::iter::repeat_n(output, count));
        }
        _ => {}
    }
}

fn twist_after(rng: &mut impl Rng, transaction: &mut Transaction, twist: Twist) {
    let place = rng.random_range(0..transaction.input.len());
    let mut witness = transaction.input[place].witness.to_vec();
    match twist {
        Twist::FlipWitness => {
            let item = rng.random_range(0..witness.len().max(1));
            if let Some(item) = witness.get_mut(item) {
                flip(rng, item);
            }
        }
        Twist::FlipScriptSig => {
            let mut bytes = transaction.input[place].script_sig.to_bytes();
            flip(rng, &mut bytes);
            transaction.input[place].script_sig = ScriptBuf::from_bytes(bytes);
        }
        Twist::DropWitness => {
            witness.pop();
        }
        Twist::AddWitness => witness.insert(0, vec![1]),
        Twist::SwapWitnesses => {
            let other = rng.random_range(0..transaction.input.len());
            let (left, right) =
                (transaction.input[place].clone(), transaction.input[other].clone());
            transaction.input[place].script_sig = right.script_sig;
            transaction.input[other].script_sig = left.script_sig;
            transaction.input[other].witness = left.witness;
            witness = right.witness.to_vec();
        }
        Twist::DummyNotNull => {
            if let Some(first) = witness.first_mut().filter(|first| first.is_empty()) {
                first.push(1);
            }
        }
        Twist::HighS => {
            if let Some(high) = witness.first().and_then(|signature| high_s(signature)) {
                witness[0] = high;
            }
        }
        Twist::Annex => witness.push(vec![0x50, 1, 2]),
        Twist::PushInScriptSig => {
            let script_sig = [transaction.input[place].script_sig.as_bytes(), &[0x51]].concat();
            transaction.input[place].script_sig = ScriptBuf::from_bytes(script_sig);
        }
        _ => return,
    }
    transaction.input[place].witness = Witness::from_slice(&witness);
}

fn flip(rng: &mut impl Rng, bytes: &mut [u8]) {
    if !bytes.is_empty() {
        let place = rng.random_range(0..bytes.len());
        bytes[place] ^= 1 << rng.random_range(0..8_u8);
    }
}

/// The same signature with the other S, which only policy forbids.
fn high_s(signature: &[u8]) -> Option<Vec<u8>> {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36,
        0x41, 0x41,
    ];
    let (kind, der) = signature.split_last()?;
    let compact = bitcoin::secp256k1::ecdsa::Signature::from_der(der).ok()?.serialize_compact();
    let mut high = compact;
    let mut borrow = 0_u16;
    for place in (0..32).rev() {
        let less = u16::from(compact[32 + place]) + borrow;
        let from = u16::from(ORDER[place]);
        let digit = (from + 256 - less) % 256;
        borrow = u16::from(from < less);
        high[32 + place] = u8::try_from(digit).ok()?;
    }
    let signature = bitcoin::secp256k1::ecdsa::Signature::from_compact(&high).ok()?;
    let mut bytes = signature.serialize_der().to_vec();
    bytes.push(*kind);
    Some(bytes)
}
