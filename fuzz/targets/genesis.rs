//! A genesis file: read, checked, and turned into the first blocks.
#![no_main]

use ledger::Ledger;
use libfuzzer_sys::fuzz_target;
use types::Genesis;

fuzz_target!(|bytes: &[u8]| {
    let Ok(genesis) = serde_json::from_slice::<Genesis>(bytes) else { return };
    let Ok(committee) = genesis.check() else { return };
    assert_eq!(committee.size(), genesis.validators.len());
    assert_eq!(committee.chain(), &genesis.chain());
    let text = serde_json::to_vec(&genesis).expect("what was read can be written");
    let again: Genesis = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(again.chain(), genesis.chain());
    let _ = Ledger::genesis(&genesis);
});
