//! Every rule outside the script engine at its edge: the last value that it lets pass and the first
//! that it does not.

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use types::Height;

use crate::rules;
use crate::rules::Age;
use crate::rules::BlockContext;
use crate::rules::Limits;
use crate::rules::SkipReason;
use crate::rules::SpentCoin;
use crate::test_utils::anyone;
use crate::test_utils::spend;

const MOST: u64 = 2_100_000_000_000_000;
const HEIGHT: u32 = 1_000;
const MEDIAN: u32 = 1_700_000_000;

fn limits() -> Limits {
    Limits::new(4_000_000, 400)
}

fn context() -> BlockContext {
    BlockContext { height: Height::new(HEIGHT), median_time_past: MEDIAN }
}

fn outpoints(count: u32) -> Vec<OutPoint> {
    (0..count).map(|vout| OutPoint { txid: Txid::from_byte_array([7; 32]), vout }).collect()
}

fn coin(value: u64, script: &[u8]) -> SpentCoin {
    let script_pubkey = ScriptBuf::from_bytes(script.to_vec());
    let output = TxOut { value: Amount::from_sat(value), script_pubkey };
    SpentCoin { output, coinbase: None, age: Age::Irrelevant }
}

/// What the rules say of a transaction that spends coins of these values.
fn judged(values: &[u64], transaction: &Transaction) -> Result<u64, SkipReason> {
    let coins: Vec<SpentCoin> = values.iter().map(|value| coin(*value, &[0x51])).collect();
    judged_with(&coins, transaction)
}

fn judged_with(coins: &[SpentCoin], transaction: &Transaction) -> Result<u64, SkipReason> {
    rules::check_transaction(transaction, &limits())?;
    let judgement = rules::check_inputs(transaction, coins, &context(), &limits())?;
    Ok(judgement.fee.to_sat())
}

#[test]
fn amounts_lie_within_twenty_one_million() {
    let one = |values: &[u64]| judged(&[MOST], &spend(&outpoints(1), values));
    assert_eq!(one(&[MOST]), Ok(0));
    assert_eq!(one(&[MOST + 1]), Err(SkipReason::OutputTooLarge));
    assert_eq!(one(&[1 << 63]), Err(SkipReason::OutputNegative));
    assert_eq!(one(&[u64::MAX]), Err(SkipReason::OutputNegative));
    assert_eq!(one(&[MOST, 1]), Err(SkipReason::OutputTotalTooLarge));
    assert_eq!(one(&[MOST - 1, 1]), Ok(0));
    let two = spend(&outpoints(2), &[0]);
    assert_eq!(judged(&[MOST - 1, 1], &two), Ok(MOST));
    assert_eq!(judged(&[MOST, 1], &two), Err(SkipReason::InputValuesOutOfRange));
    assert_eq!(judged(&[MOST + 1, 0], &two), Err(SkipReason::InputValuesOutOfRange));
}

#[test]
fn nothing_is_paid_out_that_was_not_taken_in() {
    let transaction = spend(&outpoints(2), &[60, 40]);
    assert_eq!(judged(&[50, 50], &transaction), Ok(0));
    assert_eq!(judged(&[50, 51], &transaction), Ok(1));
    assert_eq!(judged(&[50, 49], &transaction), Err(SkipReason::InBelowOut));
    assert_eq!(judged(&[100], &transaction), Err(SkipReason::InputsMissingOrSpent));
}

#[test]
fn inputs_and_outputs_are_there_and_name_outputs_once() {
    let refused = |transaction: &Transaction| rules::check_transaction(transaction, &limits());
    assert_eq!(refused(&spend(&[], &[1])), Err(SkipReason::InputsEmpty));
    assert_eq!(refused(&spend(&outpoints(1), &[])), Err(SkipReason::OutputsEmpty));
    let twice = [outpoints(2), outpoints(1)].concat();
    assert_eq!(refused(&spend(&twice, &[1])), Err(SkipReason::InputsDuplicate));
    let null = [outpoints(1), vec![OutPoint::null()]].concat();
    assert_eq!(refused(&spend(&null, &[1])), Err(SkipReason::InputNull));
    assert_eq!(refused(&spend(&[OutPoint::null()], &[1])), Err(SkipReason::Coinbase));
}

#[test]
fn a_lock_time_is_reached_strictly_below_its_clock() {
    let final_with = |lock: u32, sequence: Sequence| {
        let mut transaction = spend(&outpoints(1), &[1]);
        transaction.lock_time = LockTime::from_consensus(lock);
        transaction.input[0].sequence = sequence;
        rules::check_finality(&transaction, &context()).is_ok()
    };
    let cases = [
        (0, true),
        (HEIGHT - 1, true),
        (HEIGHT, false),
        (499_999_999, false),
        (500_000_000, true),
        (MEDIAN - 1, true),
        (MEDIAN, false),
        (u32::MAX, false),
    ];
    for (lock, reached) in cases {
        assert_eq!(final_with(lock, Sequence::ENABLE_LOCKTIME_NO_RBF), reached, "{lock}");
        assert_eq!(final_with(lock, Sequence::ZERO), reached, "{lock}");
        assert!(final_with(lock, Sequence::MAX), "{lock}: the last sequence switches locks off");
    }
}

#[test]
fn a_relative_lock_counts_whole_blocks_and_whole_spans_of_512_seconds() {
    const DISABLED: u32 = 1 << 31;
    const TIME: u32 = 1 << 22;
    let sealed = |height: u32, median: u32| Age::Sealed {
        height: Height::new(height),
        median_time_past_before: median,
    };
    let cases = [
        (2, 10, sealed(HEIGHT - 10, 0), true),
        (2, 10, sealed(HEIGHT - 9, 0), false),
        (2, 0, Age::Unsealed, true),
        (2, 1, Age::Unsealed, false),
        (2, TIME, Age::Unsealed, true),
        (2, TIME | 1, Age::Unsealed, false),
        (2, TIME | 2, sealed(1, MEDIAN - 1_024), true),
        (2, TIME | 2, sealed(1, MEDIAN - 1_023), false),
        (2, TIME | 0xffff, sealed(1, MEDIAN - (0xffff << 9)), true),
        (2, 0xffff, sealed(1, 0), false),
        // What lies above the mask is no part of the count.
        (2, 0x3f_0000 | 10, sealed(HEIGHT - 10, 0), true),
        (2, DISABLED | 10, sealed(HEIGHT, MEDIAN), true),
        (1, 10, sealed(HEIGHT, MEDIAN), true),
        (0, 10, sealed(HEIGHT, MEDIAN), true),
        // Versions are unsigned to BIP 68.
        (-1, 10, sealed(HEIGHT, MEDIAN), false),
        (i32::MIN, 10, sealed(HEIGHT, MEDIAN), false),
        (3, 10, sealed(HEIGHT - 10, 0), true),
    ];
    for (version, sequence, age, reached) in cases {
        let mut transaction = spend(&outpoints(1), &[1]);
        transaction.version = Version(version);
        transaction.input[0].sequence = Sequence::from_consensus(sequence);
        let coins = [SpentCoin { age, ..coin(1, &[0x51]) }];
        let expected = if reached { Ok(0) } else { Err(SkipReason::NonBip68Final) };
        let case = format!("version {version}, sequence {sequence:#x}, {age:?}");
        assert_eq!(judged_with(&coins, &transaction), expected, "{case}");
    }
}

#[test]
fn a_coinbase_moves_in_the_hundredth_block_after_its_own() {
    let spent_from = |height: u32| {
        let coins = [SpentCoin { coinbase: Some(Height::new(height)), ..coin(1, &[0x51]) }];
        judged_with(&coins, &spend(&outpoints(1), &[1]))
    };
    assert_eq!(spent_from(HEIGHT - 100), Ok(0));
    assert_eq!(spent_from(HEIGHT - 99), Err(SkipReason::PrematureCoinbaseSpend));
}

/// A transaction whose spending of these scripts costs signature operations.
fn cost(script_sig: &[u8], witness: &[&[u8]], spent: &[u8], outputs: &[&[u8]]) -> u64 {
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: outpoints(1)[0],
            script_sig: ScriptBuf::from_bytes(script_sig.to_vec()),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(witness),
        }],
        output: outputs
            .iter()
            .map(|script| TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::from_bytes(script.to_vec()),
            })
            .collect(),
    };
    let coins = [coin(1, spent)];
    rules::check_inputs(&transaction, &coins, &context(), &limits()).unwrap().sigops_cost
}

#[test]
fn signature_operations_cost_what_bip_141_says() {
    const CHECK: &[u8] = &[0xac];
    const TWO_OF_THREE: &[u8] = &[0x52, 0x53, 0xae];
    let hash = |script: &[u8]| ScriptBuf::from_bytes(script.to_vec()).to_p2sh().into_bytes();
    let witness = |script: &[u8]| ScriptBuf::from_bytes(script.to_vec()).to_p2wsh().into_bytes();
    let nested = |program: &[u8]| [&[u8::try_from(program.len()).unwrap()], program].concat();
    let key = [&[0x00, 0x14][..], &[5; 20]].concat();
    let taproot = [&[0x51, 0x20][..], &[5; 32]].concat();
    let program = witness(TWO_OF_THREE);
    assert_eq!(cost(&[], &[], CHECK, &[&[0x51]]), 0, "a spent script counts where it was made");
    assert_eq!(cost(&[], &[], &[0x51], &[CHECK, TWO_OF_THREE]), 4 + 80);
    assert_eq!(cost(CHECK, &[], &[0x51], &[&[0x51]]), 4);
    assert_eq!(cost(&nested(TWO_OF_THREE), &[], &hash(TWO_OF_THREE), &[&[0x51]]), 12);
    assert_eq!(cost(&[], &[&[1], &[2]], &key, &[&[0x51]]), 1);
    assert_eq!(cost(&nested(&key), &[&[1], &[2]], &hash(&key), &[&[0x51]]), 1);
    assert_eq!(cost(&[], &[&[1], TWO_OF_THREE], &program, &[&[0x51]]), 3);
    assert_eq!(cost(&nested(&program), &[TWO_OF_THREE], &hash(&program), &[&[0x51]]), 3);
    assert_eq!(cost(&[], &[&[1]], &taproot, &[&[0x51]]), 0);
}

#[test]
fn a_transaction_fits_into_a_block_with_its_signature_operations_and_its_weight() {
    let checks = |count: usize| {
        let mut transaction = spend(&outpoints(1), &[]);
        transaction.output = (0..count / 10_000).map(|_| anyone(0)).collect();
        transaction.output.push(anyone(0));
        let mut left = count;
        for output in &mut transaction.output {
            let here = left.min(10_000);
            output.script_pubkey = ScriptBuf::from_bytes(vec![0xac; here]);
            left -= here;
        }
        judged(&[0], &transaction)
    };
    // 80,000 less the coinbase's 400, at 4 each.
    assert_eq!(checks(19_900), Ok(0));
    assert_eq!(checks(19_901), Err(SkipReason::TooManySigops));

    let of_weight = |stripped: usize, witness: usize| {
        let mut transaction = spend(&outpoints(1), &[0]);
        if witness > 0 {
            // A marker, a flag, a count and a length of five bytes belong to it.
            transaction.input[0].witness = Witness::from_slice(&[vec![0; witness - 8]]);
        }
        let room = stripped - transaction.base_size() - 3;
        transaction.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x6a; room]);
        (transaction.weight().to_wu(), judged(&[0], &transaction))
    };
    let most = limits().transaction_weight;
    let stripped = usize::try_from(most / 4).unwrap();
    assert_eq!(of_weight(stripped, 0), (most, Ok(0)));
    assert_eq!(of_weight(stripped + 1, 0), (most + 4, Err(SkipReason::Oversize)));
    assert_eq!(of_weight(stripped - 50_000, 200_000), (most, Ok(0)));
    assert_eq!(of_weight(stripped - 50_000, 200_001), (most + 1, Err(SkipReason::Oversize)));
}
