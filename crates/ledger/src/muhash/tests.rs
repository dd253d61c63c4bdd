//! Bitcoin Core's vectors (`muhash_tests` in its `crypto_tests.cpp`), a known set of coins hashed by
//! big-number arithmetic of another language, and the laws that make the hash one of a set.

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::TxOut;
use bitcoin::Txid;

use super::*;
use crate::checkpoint::coin_bytes;
use crate::checkpoint::coin_code;
use types::Height;

/// Core's `FromInt`.
fn member(number: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = number;
    bytes
}

#[test]
fn core_vector_of_two_in_and_one_out() {
    let mut hash = MuHash::default();
    hash.insert(&member(0));
    hash.insert(&member(1));
    hash.remove(&member(2));
    let expected = "10d312b100cbd32ada024a6646e40d3482fcff103668d2625f10002a607d5863";
    assert_eq!(hash.finish().to_string(), expected);
    hash.settle();
    assert_eq!(hash.finish().to_string(), expected);
}

#[test]
fn core_vector_of_the_product() {
    let mut hash = MuHash::default();
    hash.insert(&member(1));
    hash.insert(&member(2));
    let bytes = hash.to_bytes();
    assert_eq!(
        hex::encode(&bytes[..32]),
        "1fa093295ea30a6a3acdc7b3f770fa538eff537528e990e2910e40bbcfd7f669"
    );
    assert_eq!(MuHash::from_bytes(&bytes), Ok(hash));
}

#[test]
fn an_empty_set_has_the_hash_that_core_gives_for_no_coins() {
    let expected = "dd5ad2a105c2d29495f577245c357409002329b9f4d6182c0af3dc2f462555c8";
    assert_eq!(MuHash::default().finish().to_string(), expected);
}

#[test]
fn a_known_set_of_coins_has_its_hash() {
    let mut hash = MuHash::default();
    for number in 0..5_u8 {
        let outpoint =
            OutPoint { txid: Txid::from_byte_array([number; 32]), vout: u32::from(number) };
        let code = coin_code(Height::new(100 + u32::from(number)), number % 2 == 1);
        let script = [vec![0x51], vec![number; usize::from(number)]].concat();
        let output = TxOut {
            value: Amount::from_sat(1_000 * u64::from(number)),
            script_pubkey: ScriptBuf::from_bytes(script),
        };
        hash.insert(&coin_bytes(&outpoint, code, &output));
    }
    let expected = "0c1b7d44b20cf0a06000b8ee266306cdfc21f777013d13342beaeb1596d46470";
    assert_eq!(hash.finish().to_string(), expected);
}

#[test]
fn order_does_not_matter_and_who_left_is_gone() {
    let mut one = MuHash::default();
    let mut other = MuHash::default();
    for number in 0..20 {
        one.insert(&member(number));
    }
    for number in (0..20).rev() {
        other.remove(&member(number + 100));
        other.insert(&member(number));
    }
    assert_ne!(one.finish(), other.finish());
    for number in 0..20 {
        other.insert(&member(number + 100));
    }
    assert_eq!(one.finish(), other.finish());
    let (mut left, mut right) = (MuHash::default(), MuHash::default());
    (0..7).for_each(|number| left.insert(&member(number)));
    (7..20).for_each(|number| right.insert(&member(number)));
    left.combine(&right);
    assert_eq!(left, one);
}

#[test]
fn a_number_times_its_inverse_is_one() {
    let mut least = [0; LIMBS];
    least[0] = 2;
    let mut most = [u64::MAX; LIMBS];
    most[0] = 0_u64.wrapping_sub(OFFSET) - 1;
    for number in [Number::ONE, Number(least), Number(most), Number::of(b"member")] {
        assert_eq!(number.times(&number.inverse()), Number::ONE, "{number:?}");
    }
}

#[test]
fn sums_that_run_out_at_the_top_come_back_below_p() {
    let mut number = Number([u64::MAX; LIMBS]);
    number.reduce_once();
    let mut expected = [0; LIMBS];
    expected[0] = OFFSET - 1;
    assert_eq!(number.0, expected);
    // (p - 1)^2 is 1.
    let mut most = [u64::MAX; LIMBS];
    most[0] = 0_u64.wrapping_sub(OFFSET) - 1;
    let most = Number(most);
    assert_eq!(most.times(&most), Number::ONE);
    let bytes = [[0xff; BYTES], [0; BYTES]].concat();
    assert!(MuHash::from_bytes(&bytes).is_err(), "there is one encoding");
}
