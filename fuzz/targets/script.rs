//! The scripts of a transaction that spends an arbitrary output. Whatever the direct way accepts,
//! the library with all rules must accept: that is asserted by the code under test in its own tests;
//! here only a verdict is asked for, twice, and it must be the same.
#![no_main]

use std::sync::Arc;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use ledger::ScriptCheck;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (Vec<u8>, Vec<u8>, Vec<Vec<u8>>, u8)| {
    let (script_pubkey, script_sig, witness, inputs) = parts;
    let output = TxOut {
        value: Amount::from_sat(1_000),
        script_pubkey: ScriptBuf::from_bytes(script_pubkey),
    };
    let input = TxIn {
        previous_output: OutPoint::default(),
        script_sig: ScriptBuf::from_bytes(script_sig),
        sequence: Sequence::ZERO,
        witness: Witness::from_slice(&witness),
    };
    let count = usize::from(inputs % 3);
    let transaction = Arc::new(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input; count],
        output: vec![output.clone()],
    });
    let check = ScriptCheck::new(transaction, vec![output; count]);
    assert_eq!(check.run(), check.run());
});
