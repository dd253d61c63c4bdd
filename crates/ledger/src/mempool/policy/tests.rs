//! Standardness, form by form.

use bitcoin::Amount;
use bitcoin::ScriptBuf;
use bitcoin::TxIn;
use bitcoin::Witness;
use proptest::prelude::*;

use super::*;

fn script(bytes: &[u8]) -> ScriptBuf {
    ScriptBuf::from_bytes(bytes.to_vec())
}

fn key(first: u8, length: usize) -> Vec<u8> {
    let mut key = vec![9; length];
    key[0] = first;
    key
}

fn push(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn multisig(needed: u8, keys: &[Vec<u8>], count: u8) -> ScriptBuf {
    let keys: Vec<u8> = keys.iter().flat_map(|key| push(key)).collect();
    script(&[&[0x50 + needed][..], &keys, &[0x50 + count, 0xae]].concat())
}

fn spent(script_pubkey: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(1_000), script_pubkey }
}

fn witness(items: &[Vec<u8>]) -> TxIn {
    TxIn { witness: Witness::from_slice(items), ..TxIn::default() }
}

#[test]
fn the_usual_forms_are_known() {
    let forms = [
        (script(&[&[0x76, 0xa9, 20][..], &[1; 20], &[0x88, 0xac]].concat()), Form::PublicKeyHash),
        (script(&[&[0xa9, 20][..], &[1; 20], &[0x87]].concat()), Form::ScriptHash),
        (script(&[&[0, 20][..], &[1; 20]].concat()), Form::WitnessKeyHash),
        (script(&[&[0, 32][..], &[1; 32]].concat()), Form::WitnessScriptHash),
        (script(&[&[0x51, 32][..], &[1; 32]].concat()), Form::Taproot),
        (script(&ANCHOR), Form::Anchor),
        (script(&[&[0x52, 32][..], &[1; 32]].concat()), Form::WitnessUnknown),
        (script(&[0x51, 2, 1, 1]), Form::WitnessUnknown),
        (script(&[&[0, 21][..], &[1; 21]].concat()), Form::NonStandard),
        (script(&[push(&key(2, 33)), vec![0xac]].concat()), Form::PublicKey),
        (script(&[push(&key(4, 65)), vec![0xac]].concat()), Form::PublicKey),
        (script(&[push(&key(4, 33)), vec![0xac]].concat()), Form::NonStandard),
        (script(&[0x6a]), Form::DataCarrier),
        (script(&[0x6a, 2, 1, 1, 0x60]), Form::DataCarrier),
        (script(&[0x6a, 0x61]), Form::NonStandard),
        (script(&[0x6a, 5, 1]), Form::NonStandard),
        (script(&[0x51]), Form::NonStandard),
        (script(&[]), Form::NonStandard),
    ];
    for (script, expected) in forms {
        assert_eq!(form(&script), expected, "{script:?}");
    }
}

#[test]
fn bare_multisig_goes_up_to_three_keys() {
    let keys = |count| vec![key(3, 33); count];
    assert_eq!(form(&multisig(1, &keys(1), 1)), Form::Multisig);
    assert_eq!(form(&multisig(2, &keys(3), 3)), Form::Multisig);
    assert_eq!(form(&multisig(1, &keys(4), 4)), Form::NonStandard);
    assert_eq!(form(&multisig(3, &keys(2), 2)), Form::NonStandard);
    assert_eq!(form(&multisig(1, &keys(2), 3)), Form::NonStandard);
    assert_eq!(form(&multisig(1, &[key(5, 33)], 1)), Form::NonStandard);
}

#[test]
fn dust_is_cores_dust() {
    let limits = MempoolLimits::default();
    let least = [
        (script(&[&[0x76, 0xa9, 20][..], &[1; 20], &[0x88, 0xac]].concat()), 546),
        (script(&[&[0xa9, 20][..], &[1; 20], &[0x87]].concat()), 540),
        (script(&[&[0, 20][..], &[1; 20]].concat()), 294),
        (script(&[&[0, 32][..], &[1; 32]].concat()), 330),
        (script(&[&[0x51, 32][..], &[1; 32]].concat()), 330),
        (script(&ANCHOR), 240),
    ];
    for (script_pubkey, least) in least {
        let output =
            |sat| TxOut { value: Amount::from_sat(sat), script_pubkey: script_pubkey.clone() };
        assert!(is_dust(&output(least - 1), &limits), "{script_pubkey:?}");
        assert!(!is_dust(&output(least), &limits), "{script_pubkey:?}");
    }
    assert!(!is_dust(&TxOut { value: Amount::ZERO, script_pubkey: script(&[0x6a]) }, &limits));
}

#[test]
fn signature_operations_count_as_size() {
    assert_eq!(vsize(400, 0), 100);
    assert_eq!(vsize(401, 0), 101);
    assert_eq!(vsize(400, 80), 400);
    assert_eq!(vsize(u64::MAX, u64::MAX), u64::MAX.div_ceil(4));
}

#[test]
fn witnesses_have_usual_sizes() {
    let wsh = spent(script(&[&[0, 32][..], &[1; 32]].concat()));
    assert!(witness_is_standard(&witness(&[vec![1; 80], vec![1; 3_600]]), &wsh));
    assert!(!witness_is_standard(&witness(&[vec![1; 81], vec![1; 3_600]]), &wsh));
    assert!(!witness_is_standard(&witness(&[vec![1; 80], vec![1; 3_601]]), &wsh));
    assert!(!witness_is_standard(&witness(&vec![vec![]; 102]), &wsh));
    let taproot = spent(script(&[&[0x51, 32][..], &[1; 32]].concat()));
    let control = |leaf| [&[leaf][..], &[1; 32]].concat();
    assert!(witness_is_standard(&witness(&[vec![1; 64]]), &taproot));
    assert!(!witness_is_standard(&witness(&[vec![1; 64], vec![0x50]]), &taproot), "annex");
    assert!(witness_is_standard(&witness(&[vec![1; 80], vec![1; 9_999], control(0xc1)]), &taproot));
    assert!(!witness_is_standard(&witness(&[vec![1; 81], vec![1; 9], control(0xc1)]), &taproot));
    assert!(witness_is_standard(&witness(&[vec![1; 81], vec![1; 9], control(0xc2)]), &taproot));
    assert!(!witness_is_standard(&witness(&[vec![1; 64], vec![]]), &taproot));
    let pkh = spent(script(&[&[0x76, 0xa9, 20][..], &[1; 20], &[0x88, 0xac]].concat()));
    assert!(!witness_is_standard(&witness(&[vec![1]]), &pkh));
    assert!(!witness_is_standard(&witness(&[vec![1]]), &spent(script(&ANCHOR))));
    assert!(witness_is_standard(&TxIn::default(), &spent(script(&ANCHOR))));
}

#[test]
fn a_redeem_script_is_bounded_in_signature_operations() {
    let p2sh = spent(script(&[&[0xa9, 20][..], &[1; 20], &[0x87]].concat()));
    let transaction = |redeem: &[u8]| Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn { script_sig: script(&push(redeem)), ..TxIn::default() }],
        output: vec![],
    };
    let spent = [p2sh];
    assert_eq!(check_inputs(&transaction(&[0xac; 15]), &spent), Ok(()));
    let refused = Err(RejectCode::NonStandardInputs);
    assert_eq!(check_inputs(&transaction(&[0xac; 16]), &spent), refused);
}

#[test]
fn the_last_push_is_what_lies_on_top() {
    assert_eq!(last_push(&script(&[1, 7, 0x60])), Some(&[16][..]));
    assert_eq!(last_push(&script(&[0x4f])), Some(&[0x81][..]));
    assert_eq!(last_push(&script(&[0])), Some(&[][..]));
    assert_eq!(last_push(&script(&[1, 7])), Some(&[7][..]));
    assert_eq!(last_push(&script(&[5, 7])), None);
    assert_eq!(last_push(&script(&[])), None);
    assert_eq!(last_push(&script(&[0x61])), None);
}

proptest! {
    #[test]
    fn any_bytes_have_a_form(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        script_sig in proptest::collection::vec(any::<u8>(), 0..80),
        items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 0..4),
    ) {
        let output = spent(script(&bytes));
        let input = TxIn { script_sig: script(&script_sig), ..witness(&items) };
        let _ = (form(&output.script_pubkey), witness_is_standard(&input, &output));
        let _ = (is_dust(&output, &MempoolLimits::default()), sigops_outside_witness(&input, &output));
    }
}
