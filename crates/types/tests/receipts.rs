//! Receipts that somebody has changed: none of them is believed, whatever was changed.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;
use types::receipt::Receipt;
use types::receipt::ReceiptError;
use types::receipt::verify_receipt_of;
use types::test_utils::TestNetwork;

static NETWORK: LazyLock<TestNetwork> = LazyLock::new(|| TestNetwork::new(4));

/// The frozen receipt: the second of three outcomes, with a link to the checkpoint that is proven.
fn text() -> String {
    let frozen: Value = serde_json::from_str(include_str!("../vectors/encodings.json")).unwrap();
    frozen["receipt"].as_str().unwrap().to_owned()
}

fn judge(network: &TestNetwork, text: &str) -> Result<(), ReceiptError> {
    verify_receipt_of(&network.committee, &Receipt::parse(text)?).map(|_| ())
}

/// Every place in a document where a value stands that is no object.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(value, &format!("{at}/{name}"), found));
        }
        Value::Array(values) => {
            found.push(at.to_owned());
            let values = values.iter().enumerate();
            values.for_each(|(index, value)| leaves(value, &format!("{at}/{index}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Changes a value so that it still has its kind, and its place in the text is kept.
fn change(value: &mut Value, seed: u64) {
    match value {
        Value::Number(number) => *value = (number.as_u64().unwrap() ^ (1 + seed % 1024)).into(),
        Value::String(text) => {
            let place = usize::try_from(seed).unwrap_or(0) % text.len();
            let digit = char::from_digit(u32::try_from(seed / 64 % 16).unwrap(), 16).unwrap();
            let old = text.chars().nth(place).unwrap();
            let digit = if digit == old { if old == '0' { '1' } else { '0' } } else { digit };
            text.replace_range(place..=place, &digit.to_string());
        }
        Value::Array(values) if values.is_empty() => {}
        Value::Array(values) => match seed % 3 {
            0 => drop(values.pop()),
            1 => values.push(values[0].clone()),
            _ => values.rotate_left(1),
        },
        _ => unreachable!("a receipt holds numbers, texts, lists and objects"),
    }
}

#[test]
fn the_frozen_receipt_is_believed() {
    assert_eq!(judge(&NETWORK, &text()), Ok(()));
    assert_eq!(judge(&NETWORK, &format!("{}\n", text())), Ok(()));
}

#[test]
fn another_network_does_not_believe_it() {
    let other = TestNetwork::with(4, |genesis| genesis.name.push('x'));
    assert!(matches!(judge(&other, &text()), Err(ReceiptError::WrongChain { .. })));
}

#[test]
fn every_single_changed_byte_is_noticed() {
    let network = &*NETWORK;
    let text = text();
    let mut judged = 0;
    for place in 0..text.len() {
        for mask in [0x01, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= mask;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(judge(network, &changed).is_err(), "byte {place} ^ {mask:#x}: {changed}");
            judged += 1;
        }
    }
    assert!(judged >= 1_000, "{judged}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_thousand_changed_fields_are_all_refused(pick in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let network = &*NETWORK;
        let text = text();
        let mut document: Value = serde_json::from_str(&text).unwrap();
        let mut places = Vec::new();
        leaves(&document, "", &mut places);
        let place = pick.get(&places);
        change(document.pointer_mut(place).unwrap(), seed);
        // Back into the order in which a receipt is written, so that the text is no give-away.
        let Ok(receipt) = serde_json::from_value::<Receipt>(document) else { return Ok(()) };
        let changed = receipt.to_text();
        prop_assume!(changed != text);
        prop_assert!(judge(network, &changed).is_err(), "{place}: {changed}");
    }

    #[test]
    fn changed_text_is_refused(
        cut in any::<prop::sample::Index>(),
        length in 0_usize..8,
        put in "[ -~]{0,8}",
    ) {
        let network = &*NETWORK;
        let text = text();
        let start = cut.index(text.len());
        let end = (start + length).min(text.len());
        let changed = [&text[..start], &put, &text[end..]].concat();
        prop_assume!(changed != text);
        prop_assert!(judge(network, &changed).is_err(), "{changed}");
    }
}
