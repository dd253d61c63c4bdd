//! What wallets make stays below the bound; what a hostile validator makes does not.

use types::test_utils::TestNetwork;

use super::*;
use crate::rules::SkipReason;
use crate::test_utils::TestLedger;
use crate::test_utils::item;
use crate::test_utils::script_load;
use crate::test_utils::script_load::Load;

/// Core's largest standard weight.
const STANDARD_WEIGHT: u64 = 400_000;

#[test]
fn the_largest_standard_transactions_of_every_usual_kind_stay_below_the_bound() {
    let mut most = 0;
    for kind in script_load::usual() {
        let weight = |inputs| kind.load(inputs, 1).transaction.weight().to_wu();
        let each = weight(2) - weight(1);
        for tenths in 1..=10 {
            let inputs = (STANDARD_WEIGHT * tenths / 10 - 200) / each;
            let outputs = STANDARD_WEIGHT * (10 - tenths) / 10 / (34 * 4);
            let inputs = usize::try_from(inputs).unwrap();
            let load = kind.load(inputs, usize::try_from(outputs).unwrap().max(1));
            assert!(load.transaction.weight().to_wu() <= STANDARD_WEIGHT, "{}", kind.name);
            let share = load.share_percent;
            assert!(share < 80, "{}: {inputs} in, {outputs} out: {share} %", kind.name);
            most = most.max(share);
        }
        assert!(kind.load(1, 1).share_percent < 40, "{} alone", kind.name);
    }
    assert!(most > 60, "the bound could be lower: {most} %");
}

/// Payloads that would take from ten seconds to an hour.
fn refused() -> Vec<(&'static str, Load)> {
    let kinds = script_load::hostile();
    let full = kinds.iter().map(|kind| (kind.name, kind.full()));
    let mut refused: Vec<_> = full.filter(|(_, load)| load.share_percent >= 100).collect();
    // Every part of a check with taproot in it signs all spent scripts.
    let taproot = script_load::usual().pop().unwrap();
    let mut long = taproot.clone();
    long.input.witness = Witness::new();
    long.spent.script_pubkey = vec![0x51; 10_000].into();
    let Load { mut transaction, mut spent, .. } = long.full();
    for place in (0..transaction.input.len()).step_by(32) {
        transaction.input[place].witness = Witness::from_slice(&[[7; 64]]);
        spent[place] = taproot.spent.clone();
    }
    refused.push(("long scripts beside taproot", Load::new(transaction, spent)));
    refused
}

#[test]
fn the_ledger_passes_over_what_asks_for_too_much_and_never_runs_it() {
    let refused = refused();
    assert_eq!(refused.len(), 9, "all of them are refused");
    for (name, Load { transaction, spent, .. }) in refused {
        let mut stage = TestLedger::new(TestNetwork::new(1).genesis);
        for (input, output) in transaction.input.iter().zip(&spent) {
            stage.plant(input.previous_output, output.clone());
        }
        let batch = stage.batch(&[item(&transaction)]);
        let checks = stage.ledger.script_checks(&stage.tables, &batch, &stage.cache).unwrap();
        assert!(checks.is_empty(), "{name}");
        let applied = stage.commit(&[&transaction]);
        let reasons: Vec<SkipReason> = applied.skipped.iter().map(|one| one.reason).collect();
        let told = [SkipReason::TooMuchWork, SkipReason::TooManySigops];
        assert!(reasons.len() == 1 && told.contains(&reasons[0]), "{name}: {reasons:?}");
    }
}

#[test]
fn what_stays_below_the_bound_is_judged_by_its_scripts() {
    let kind = &script_load::hostile()[0];
    let Load { transaction, spent, .. } = kind.load(3, 1);
    let mut stage = TestLedger::new(TestNetwork::new(1).genesis);
    for (input, output) in transaction.input.iter().zip(&spent) {
        stage.plant(input.previous_output, output.clone());
    }
    assert_eq!(stage.commit(&[&transaction]).finals, [transaction.compute_txid()]);
}

#[test]
fn only_what_can_run_counts() {
    let of = |bytes: &[u8]| Opcodes::of(Script::from_bytes(bytes));
    assert_eq!(of(&[0xac, 0xad, 0xba, 0xa6, 0xaa]), Opcodes { checks: 3, hashes: 2 });
    assert_eq!(of(&[0x51, 1, 7, 1, 8, 0x52, 0xae]), Opcodes { checks: 2, hashes: 0 });
    // A number that was not written right before may be any.
    assert_eq!(of(&[0x52, 0x76, 0xae]), Opcodes { checks: 20, hashes: 0 });
    // Pushed bytes and what stands behind a broken push are no opcodes.
    assert_eq!(of(&[2, 0xac, 0xac, 0xac, 9, 0xac]).checks, 1);
}
