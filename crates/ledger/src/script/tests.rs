//! The direct way against libbitcoinconsensus: on every case of the table below, and on whatever
//! proptest makes of them.

use std::sync::Arc;

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
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::hashes::hash160;
use bitcoin::hashes::sha256d;
use bitcoin::opcodes::OP_TRUE;
use bitcoin::secp256k1::All;
use bitcoin::secp256k1::Keypair;
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::secp256k1::SecretKey;
use bitcoin::secp256k1::ecdsa;
use bitcoin::sighash::Annex;
use bitcoin::sighash::Prevouts;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use proptest::prelude::*;

use super::FLAGS;
use super::Library;
use super::ScriptCheck;
use super::ScriptFailure;
use super::ScriptVerdict;
use super::direct::Direct;
use super::direct::Plain;

/// The order of the group, for making high S out of low S.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];
const ANNEX: [u8; 3] = [0x50, 1, 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P2pk,
    P2pkh,
    P2wpkh,
    NestedP2wpkh,
    P2tr,
}

impl Kind {
    const ALL: [Self; 5] = [Self::P2pk, Self::P2pkh, Self::P2wpkh, Self::NestedP2wpkh, Self::P2tr];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyForm {
    Compressed,
    Uncompressed,
    Hybrid,
}

/// How one input differs from a plain, valid spend.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Twist {
    None,
    Sighash(u8),
    FlipSignature(usize),
    CutSignature,
    PadDer,
    LongLengthDer,
    HighS,
    Key(KeyForm),
    FlipKey(usize),
    OtherKey,
    ExtraFirst(Vec<u8>),
    ExtraLast(Vec<u8>),
    EmptyWitness,
    EmptySignature,
    ScriptSig(Vec<u8>),
    FlipProgram(usize),
    WrongAmount,
    UnsignedAnnex,
    SignedAnnex,
}

struct Case {
    kind: Kind,
    twist: Twist,
}

struct Built {
    check: ScriptCheck,
}

impl Built {
    fn library(&self, index: usize) -> bool {
        library(&self.check).accepts_in_full(index, FLAGS)
    }

    fn direct(&self, index: usize) -> bool {
        let ScriptCheck { transaction, spent, verifier, .. } = &self.check;
        Direct::new(transaction, spent, verifier).accepts(index)
    }

    fn library_verdict(&self) -> Option<usize> {
        (0..self.check.spent.len()).find(|index| !self.library(*index))
    }
}

fn secret(index: usize) -> SecretKey {
    let mut bytes = [0x11; 32];
    bytes[31] = u8::try_from(index).unwrap() + 1;
    SecretKey::from_slice(&bytes).unwrap()
}

fn key_bytes(secp: &Secp256k1<All>, secret: SecretKey, form: KeyForm) -> Vec<u8> {
    let key = secret.public_key(secp);
    match form {
        KeyForm::Compressed => key.serialize().to_vec(),
        KeyForm::Uncompressed => key.serialize_uncompressed().to_vec(),
        KeyForm::Hybrid => {
            let mut bytes = key.serialize_uncompressed().to_vec();
            bytes[0] = 6 + (bytes[64] & 1);
            bytes
        }
    }
}

fn key_form(case: &Case) -> KeyForm {
    match case.twist {
        Twist::Key(form) => form,
        _ => KeyForm::Compressed,
    }
}

/// Who signs: the owner, mostly.
fn signer(index: usize, case: &Case) -> SecretKey {
    secret(if case.twist == Twist::OtherKey { index + 100 } else { index })
}

fn spent_output(secp: &Secp256k1<All>, index: usize, case: &Case) -> TxOut {
    let key = key_bytes(secp, secret(index), key_form(case));
    let hash = hash160::Hash::hash(&key).to_byte_array().to_vec();
    let script_pubkey = match case.kind {
        Kind::P2pk => ScriptBuf::from_bytes([push(&key), vec![0xac]].concat()),
        Kind::P2pkh => {
            ScriptBuf::from_bytes([vec![0x76, 0xa9, 20], hash, vec![0x88, 0xac]].concat())
        }
        Kind::P2wpkh => program(secp, index, case),
        Kind::NestedP2wpkh => program(secp, index, case).to_p2sh(),
        Kind::P2tr => {
            let key = Keypair::from_secret_key(secp, &secret(index)).x_only_public_key().0;
            ScriptBuf::from_bytes([vec![0x51, 32], key.serialize().to_vec()].concat())
        }
    };
    TxOut { value: Amount::from_sat(50_000), script_pubkey }
}

fn push(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    let head = if length > 75 { vec![0x4c, length] } else { vec![length] };
    [head, bytes.to_vec()].concat()
}

/// The P2WPKH program of an input's owner.
fn program(secp: &Secp256k1<All>, index: usize, case: &Case) -> ScriptBuf {
    let key = key_bytes(secp, secret(index), key_form(case));
    let hash = hash160::Hash::hash(&key).to_byte_array();
    ScriptBuf::from_bytes([vec![0, 20], hash.to_vec()].concat())
}

/// The hash before BIP 143, for any type byte.
fn legacy_digest(transaction: &Transaction, index: usize, spent: &TxOut, kind: u8) -> Message {
    let digest = SighashCache::new(transaction)
        .legacy_signature_hash(index, &spent.script_pubkey, u32::from(kind))
        .unwrap();
    Message::from_digest(digest.to_byte_array())
}

/// BIP 143's hash for any type byte: unusual ones differ from their standard kin in the last word.
fn segwit_digest(
    transaction: &Transaction,
    index: usize,
    program: &ScriptBuf,
    value: Amount,
    kind: u8,
) -> Message {
    let usual = EcdsaSighashType::from_consensus(u32::from(kind));
    let code = program.p2wpkh_script_code().unwrap();
    let mut bytes = Vec::new();
    SighashCache::new(transaction)
        .segwit_v0_encode_signing_data_to(&mut bytes, index, &code, value, usual)
        .unwrap();
    let tail = bytes.len() - 4;
    bytes[tail..].copy_from_slice(&u32::from(kind).to_le_bytes());
    Message::from_digest(sha256d::Hash::hash(&bytes).to_byte_array())
}

fn high_s(signature: &ecdsa::Signature) -> Vec<u8> {
    let compact = signature.serialize_compact();
    let mut s = [0; 32];
    let mut borrow = 0_i16;
    for place in (0..32).rev() {
        let difference = i16::from(ORDER[place]) - i16::from(compact[32 + place]) - borrow;
        borrow = i16::from(difference < 0);
        s[place] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let flipped = [&compact[..32], &s].concat();
    ecdsa::Signature::from_compact(&flipped).unwrap().serialize_der().to_vec()
}

/// A signature and, where the output has only its hash, the key.
fn ecdsa_items(
    secp: &Secp256k1<All>,
    transaction: &Transaction,
    index: usize,
    spent: &TxOut,
    case: &Case,
) -> Vec<Vec<u8>> {
    let kind = match case.twist {
        Twist::Sighash(kind) => kind,
        _ => 1,
    };
    let digest = match case.kind {
        Kind::P2pk | Kind::P2pkh => legacy_digest(transaction, index, spent, kind),
        _ => segwit_digest(transaction, index, &program(secp, index, case), spent.value, kind),
    };
    let signature = secp.sign_ecdsa(&digest, &signer(index, case));
    let mut der = match case.twist {
        Twist::HighS => high_s(&signature),
        _ => signature.serialize_der().to_vec(),
    };
    match case.twist {
        Twist::PadDer => {
            let length = der[3] + 1;
            der[1] += 1;
            der[3] = length;
            der.insert(4, 0);
        }
        Twist::LongLengthDer => der.insert(1, 0x81),
        _ => {}
    }
    der.push(kind);
    match case.kind {
        Kind::P2pk => vec![der],
        _ => vec![der, key_bytes(secp, signer(index, case), key_form(case))],
    }
}

fn p2tr_witness(
    secp: &Secp256k1<All>,
    transaction: &Transaction,
    index: usize,
    spent: &[TxOut],
    case: &Case,
) -> Vec<Vec<u8>> {
    let written = match case.twist {
        Twist::Sighash(kind) => Some(kind),
        _ => None,
    };
    let kind = TapSighashType::from_consensus_u8(written.unwrap_or(0));
    let kind = kind.unwrap_or(TapSighashType::All);
    let annex = (case.twist == Twist::SignedAnnex).then(|| Annex::new(&ANNEX).unwrap());
    let sighash = SighashCache::new(transaction).taproot_signature_hash(
        index,
        &Prevouts::All(spent),
        annex,
        None,
        kind,
    );
    let digest = sighash.map_or([9; 32], |sighash| sighash.to_byte_array());
    let keypair = Keypair::from_secret_key(secp, &signer(index, case));
    let signature = secp.sign_schnorr_no_aux_rand(&Message::from_digest(digest), &keypair);
    let mut bytes = signature.serialize().to_vec();
    bytes.extend(written);
    vec![bytes]
}

fn flip(bytes: &mut [u8], place: usize) {
    let bits = bytes.len() * 8;
    if bits > 0 {
        bytes[(place % bits) / 8] ^= 1 << (place % 8);
    }
}

fn twist_items(witness: &mut Vec<Vec<u8>>, case: &Case) {
    match &case.twist {
        Twist::FlipSignature(place) => flip(&mut witness[0], *place),
        Twist::CutSignature => {
            witness[0].pop();
        }
        Twist::FlipKey(place) => flip(witness.last_mut().unwrap(), *place),
        Twist::ExtraFirst(bytes) => witness.insert(0, bytes.clone()),
        Twist::ExtraLast(bytes) => witness.push(bytes.clone()),
        Twist::EmptyWitness => witness.clear(),
        Twist::EmptySignature => witness[0].clear(),
        Twist::UnsignedAnnex | Twist::SignedAnnex => witness.push(ANNEX.to_vec()),
        _ => {}
    }
}

/// Signs a transaction with one input a case and two outputs, then twists it.
fn build(cases: &[Case]) -> Built {
    let secp = Secp256k1::new();
    let mut spent: Vec<TxOut> =
        cases.iter().enumerate().map(|(index, case)| spent_output(&secp, index, case)).collect();
    let input = (0..cases.len()).map(|index| TxIn {
        previous_output: OutPoint {
            txid: Txid::from_byte_array([7; 32]),
            vout: u32::try_from(index).unwrap(),
        },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    });
    let output = TxOut {
        value: Amount::from_sat(40_000),
        script_pubkey: ScriptBuf::from_bytes(vec![OP_TRUE.to_u8()]),
    };
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: input.collect(),
        output: vec![output.clone(), output],
    };
    let unsigned = transaction.clone();
    for (index, case) in cases.iter().enumerate() {
        let mut items = match case.kind {
            Kind::P2tr => p2tr_witness(&secp, &unsigned, index, &spent, case),
            _ => ecdsa_items(&secp, &unsigned, index, &spent[index], case),
        };
        twist_items(&mut items, case);
        let input = &mut transaction.input[index];
        if matches!(case.kind, Kind::P2pk | Kind::P2pkh) {
            let pushes: Vec<u8> = items.iter().flat_map(|item| push(item)).collect();
            input.script_sig = ScriptBuf::from_bytes(pushes);
            continue;
        }
        input.witness = Witness::from_slice(&items);
        if case.kind == Kind::NestedP2wpkh {
            let pushed = push(program(&secp, index, case).as_bytes());
            input.script_sig = ScriptBuf::from_bytes(pushed);
        }
    }
    for (index, case) in cases.iter().enumerate() {
        match &case.twist {
            Twist::ScriptSig(bytes) => {
                transaction.input[index].script_sig = ScriptBuf::from_bytes(bytes.clone());
            }
            Twist::FlipProgram(place) => {
                let mut script = spent[index].script_pubkey.to_bytes();
                flip(&mut script[2..], *place);
                spent[index].script_pubkey = ScriptBuf::from_bytes(script);
            }
            Twist::WrongAmount => spent[index].value = Amount::from_sat(50_001),
            _ => {}
        }
    }
    Built { check: ScriptCheck::new(Arc::new(transaction), spent) }
}

fn single(kind: Kind, twist: Twist) -> Built {
    build(&[Case { kind, twist }])
}

#[test]
fn plain_spends_take_the_direct_way() {
    for kind in Kind::ALL {
        for sighash in [1, 2, 3, 0x81, 0x82, 0x83] {
            let built = single(kind, Twist::Sighash(sighash));
            assert!(built.direct(0) && built.library(0), "{kind:?} {sighash:#x}");
        }
    }
    let built = single(Kind::P2tr, Twist::None);
    assert!(built.direct(0) && built.library(0));
    assert_eq!(built.check.run(), ScriptVerdict::Valid);
}

#[test]
fn a_single_without_its_output_is_signed_as_the_library_says() {
    for kind in Kind::ALL {
        for sighash in [3, 0x83] {
            let twists = [Twist::None, Twist::None, Twist::Sighash(sighash)];
            let built = build(&twists.map(|twist| Case { kind, twist }));
            let expected = kind != Kind::P2tr;
            assert_eq!((built.library(2), built.direct(2)), (expected, expected), "{kind:?}");
        }
    }
}

#[test]
fn what_only_policy_forbids_is_valid() {
    let valid = [
        (Kind::P2wpkh, Twist::Key(KeyForm::Uncompressed)),
        (Kind::P2wpkh, Twist::Key(KeyForm::Hybrid)),
        (Kind::P2pkh, Twist::Key(KeyForm::Uncompressed)),
        (Kind::P2pk, Twist::Key(KeyForm::Hybrid)),
        (Kind::P2pkh, Twist::Sighash(0x44)),
        (Kind::NestedP2wpkh, Twist::Sighash(0)),
        (Kind::P2wpkh, Twist::Sighash(0)),
        (Kind::P2wpkh, Twist::Sighash(0x44)),
        (Kind::P2tr, Twist::SignedAnnex),
    ];
    for (kind, twist) in valid {
        let built = single(kind, twist.clone());
        assert!(!built.direct(0), "{twist:?} is none of the direct way's business");
        assert_eq!(built.check.run(), ScriptVerdict::Valid, "{kind:?} {twist:?}");
    }
    for kind in [Kind::P2pk, Kind::P2pkh, Kind::P2wpkh, Kind::NestedP2wpkh] {
        let high = single(kind, Twist::HighS);
        assert!(high.direct(0) && high.library(0), "{kind:?}: a high S takes the direct way");
    }
}

#[test]
fn failures_have_cores_words() {
    let failures = [
        (Kind::P2wpkh, Twist::FlipSignature(80), ScriptFailure::EvaluatedFalse),
        (Kind::P2wpkh, Twist::WrongAmount, ScriptFailure::EvaluatedFalse),
        (Kind::P2wpkh, Twist::EmptySignature, ScriptFailure::EvaluatedFalse),
        (Kind::P2wpkh, Twist::FlipProgram(3), ScriptFailure::Unknown),
        (Kind::P2wpkh, Twist::OtherKey, ScriptFailure::Unknown),
        (Kind::P2tr, Twist::OtherKey, ScriptFailure::Schnorr),
        (Kind::P2wpkh, Twist::EmptyWitness, ScriptFailure::WitnessEmpty),
        (Kind::P2wpkh, Twist::ExtraFirst(vec![]), ScriptFailure::WitnessMismatch),
        (Kind::P2wpkh, Twist::ScriptSig(vec![0x51]), ScriptFailure::WitnessMalleated),
        (Kind::P2tr, Twist::FlipSignature(80), ScriptFailure::Schnorr),
        (Kind::P2tr, Twist::Sighash(0), ScriptFailure::Schnorr),
        (Kind::P2tr, Twist::CutSignature, ScriptFailure::SchnorrSize),
        (Kind::P2tr, Twist::EmptyWitness, ScriptFailure::WitnessEmpty),
        (Kind::P2tr, Twist::ExtraLast(vec![1]), ScriptFailure::Unknown),
        (Kind::P2tr, Twist::UnsignedAnnex, ScriptFailure::Unknown),
    ];
    for (kind, twist, reason) in failures {
        let verdict = single(kind, twist.clone()).check.run();
        assert_eq!(verdict, ScriptVerdict::Invalid { input: 0, reason }, "{kind:?} {twist:?}");
    }
}

#[test]
fn the_first_bad_input_is_named() {
    let cases = [
        Case { kind: Kind::P2tr, twist: Twist::None },
        Case { kind: Kind::P2wpkh, twist: Twist::None },
        Case { kind: Kind::P2wpkh, twist: Twist::EmptyWitness },
        Case { kind: Kind::P2tr, twist: Twist::EmptyWitness },
    ];
    let expected = ScriptVerdict::Invalid { input: 2, reason: ScriptFailure::WitnessEmpty };
    let verdict = build(&cases).check.run();
    assert_eq!(verdict, expected);
    assert_eq!(verdict.to_string(), "Witness program was passed an empty witness, input 2");
}

#[test]
fn other_scripts_go_to_the_library() {
    let mut built = single(Kind::P2wpkh, Twist::EmptyWitness);
    built.check.spent[0].script_pubkey = ScriptBuf::from_bytes(vec![OP_TRUE.to_u8()]);
    assert_eq!(built.check.run(), ScriptVerdict::Valid);
    let mut built = single(Kind::P2wpkh, Twist::None);
    built.check.spent[0].script_pubkey = ScriptBuf::from_bytes(vec![OP_TRUE.to_u8()]);
    let reason = ScriptFailure::WitnessUnexpected;
    assert_eq!(built.check.run(), ScriptVerdict::Invalid { input: 0, reason });
}

#[test]
fn outputs_that_do_not_fit_the_inputs_are_refused() {
    let refused = ScriptVerdict::Invalid { input: 0, reason: ScriptFailure::Unknown };
    let mut built = single(Kind::P2tr, Twist::None);
    built.check.spent.clear();
    assert_eq!(built.check.run(), refused);
    let mut built = single(Kind::P2tr, Twist::Sighash(0));
    built.check.spent[0].value = Amount::from_sat(u64::MAX);
    assert!(!built.check.run().is_valid());
    let empty = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![],
        output: vec![],
    };
    assert_eq!(ScriptCheck::new(Arc::new(empty), vec![]).run(), refused);
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..40)
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        4 => Just(Twist::None),
        3 => any::<u8>().prop_map(Twist::Sighash),
        3 => any::<usize>().prop_map(Twist::FlipSignature),
        1 => Just(Twist::CutSignature),
        1 => Just(Twist::PadDer),
        1 => Just(Twist::LongLengthDer),
        1 => Just(Twist::HighS),
        1 => Just(Twist::Key(KeyForm::Uncompressed)),
        1 => Just(Twist::Key(KeyForm::Hybrid)),
        2 => any::<usize>().prop_map(Twist::FlipKey),
        1 => Just(Twist::OtherKey),
        1 => bytes().prop_map(Twist::ExtraFirst),
        1 => bytes().prop_map(Twist::ExtraLast),
        1 => Just(Twist::EmptyWitness),
        1 => Just(Twist::EmptySignature),
        1 => bytes().prop_map(Twist::ScriptSig),
        2 => any::<usize>().prop_map(Twist::FlipProgram),
        1 => Just(Twist::WrongAmount),
        1 => Just(Twist::UnsignedAnnex),
        1 => Just(Twist::SignedAnnex),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let kind = proptest::sample::select(Kind::ALL.to_vec());
    (kind, twist()).prop_map(|(kind, twist)| Case { kind, twist })
}

impl std::fmt::Debug for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?} with {:?}", self.kind, self.twist)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_direct_way_says_what_the_library_says_of_plain_inputs_and_nothing_of_others(
        cases in proptest::collection::vec(case(), 1..5)
    ) {
        let built = build(&cases);
        for (index, case) in cases.iter().enumerate() {
            let library = built.library(index);
            let check = &built.check;
            let input = &check.transaction.input[index];
            let plain = Plain::of(input, &check.spent[index]).is_some();
            prop_assert_eq!(library && plain, built.direct(index), "{:?}", case);
        }
        let expected = built.library_verdict();
        match built.check.run() {
            ScriptVerdict::Valid => prop_assert_eq!(expected, None),
            ScriptVerdict::Invalid { input, .. } => {
                prop_assert_eq!(expected, Some(usize::try_from(input).unwrap()));
            }
        }
    }

    #[test]
    fn any_bytes_get_a_verdict(
        script in bytes(),
        script_sig in bytes(),
        witness in proptest::collection::vec(bytes(), 0..4),
        value in any::<u64>(),
        program in 0_usize..4,
    ) {
        let mut built = single(Kind::P2wpkh, Twist::None);
        let script = match program {
            0 => script,
            1 => [vec![0, 20], vec![5; 20]].concat(),
            2 => [vec![0, 32], vec![5; 32]].concat(),
            _ => [vec![0x51, 32], vec![5; 32]].concat(),
        };
        let mut transaction = (*built.check.transaction).clone();
        transaction.input[0].script_sig = ScriptBuf::from_bytes(script_sig);
        transaction.input[0].witness = Witness::from_slice(&witness);
        built.check.spent[0].script_pubkey = ScriptBuf::from_bytes(script);
        built.check.spent[0].value = Amount::from_sat(value);
        let check = ScriptCheck::new(Arc::new(transaction), built.check.spent.clone());
        let full = library(&check).accepts_in_full(0, FLAGS);
        prop_assert_eq!(check.run().is_valid(), full);
    }

    #[test]
    fn any_transaction_that_decodes_gets_a_verdict(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(transaction) = encode::deserialize::<Transaction>(&raw) {
            let output = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() };
            let spent = vec![output; transaction.input.len()];
            let _ = ScriptCheck::new(Arc::new(transaction), spent).run();
        }
    }
}

fn library(check: &ScriptCheck) -> Library<'_> {
    Library::new(&check.transaction, &check.spent)
}

/// An input of an odd kind: scripts with and without signature opcodes, locks and programs.
fn odd_input() -> impl Strategy<Value = (TxIn, TxOut)> {
    let opcode = prop_oneof![
        Just(0x51_u8),
        Just(0x00),
        Just(0x63),
        Just(0x68),
        Just(0x75),
        Just(0x91),
        Just(0xac),
        Just(0xae),
        Just(0xb1),
        Just(0xb2),
        Just(0xba),
        any::<u8>(),
    ];
    let script = proptest::collection::vec(opcode, 0..12);
    let witness = proptest::collection::vec(bytes(), 0..3);
    (script, bytes(), witness, 0..5_u8, any::<u8>(), any::<u32>()).prop_map(
        |(script, script_sig, mut witness, kind, first, sequence)| {
            let inner = ScriptBuf::from_bytes(script);
            let (script_pubkey, script_sig) = match kind {
                0 => (inner, ScriptBuf::from_bytes(script_sig)),
                1 => {
                    witness.push(inner.to_bytes());
                    (inner.to_p2wsh(), ScriptBuf::new())
                }
                2 => {
                    let push = bitcoin::script::PushBytesBuf::try_from(inner.to_bytes()).unwrap();
                    let sig = bitcoin::script::Builder::new().push_slice(push).into_script();
                    (inner.to_p2sh(), sig)
                }
                3 => {
                    let program = [vec![0x51, 32], vec![first; 32]].concat();
                    (ScriptBuf::from_bytes(program), ScriptBuf::new())
                }
                _ => {
                    let program = [vec![0x00, 20], vec![first; 20]].concat();
                    (ScriptBuf::from_bytes(program), ScriptBuf::new())
                }
            };
            let input = TxIn {
                previous_output: OutPoint::new(Txid::all_zeros(), u32::from(first)),
                script_sig,
                sequence: Sequence::from_consensus(sequence),
                witness: Witness::from_slice(&witness),
            };
            (input, TxOut { value: Amount::from_sat(1_000), script_pubkey })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_library_says_the_same_of_the_whole_and_of_what_an_input_can_see(
        inputs in proptest::collection::vec(odd_input(), 1..5),
        version in any::<i32>(),
        lock in any::<u32>(),
    ) {
        let (input, spent): (Vec<TxIn>, Vec<TxOut>) = inputs.into_iter().unzip();
        let output = vec![TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() }];
        let lock_time = LockTime::from_consensus(lock);
        let transaction = Transaction { version: Version(version), lock_time, input, output };
        let check = ScriptCheck::new(Arc::new(transaction), spent);
        let library = library(&check);
        for index in 0..check.spent.len() {
            let full = library.accepts_in_full(index, FLAGS);
            prop_assert_eq!(library.accepts(index, FLAGS), full, "input {}", index);
        }
    }

    #[test]
    fn parts_say_together_what_the_whole_says(cases in proptest::collection::vec(case(), 1..4)) {
        let built = build(&cases);
        let whole = built.check.run();
        let single = |index| built.check.run_part(index..index + 1);
        let parts = ScriptVerdict::joined((0..cases.len()).map(single));
        prop_assert_eq!(parts, whole);
        let parts = built.check.parts().map(|part| built.check.run_part(part));
        prop_assert_eq!(ScriptVerdict::joined(parts), whole);
    }
}

#[test]
fn many_inputs_are_cut_into_parts_that_cover_them_all() {
    let spent = vec![TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() }; 100];
    let mut built = single(Kind::P2wpkh, Twist::None);
    let mut transaction = (*built.check.transaction).clone();
    transaction.input = vec![transaction.input[0].clone(); 100];
    built.check = ScriptCheck::new(Arc::new(transaction), spent);
    let covered: Vec<usize> = built.check.parts().flatten().collect();
    assert_eq!(covered, (0..100).collect::<Vec<_>>());
    assert!(built.check.parts().count() > 1);
}
