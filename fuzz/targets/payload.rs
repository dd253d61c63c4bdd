//! A payload and the transactions in it.
#![no_main]

use fuzz::judge;
use ledger::BatchItem;
use libfuzzer_sys::fuzz_target;
use types::Author;
use types::ITEMS_MAX;
use types::Payload;

fuzz_target!(|bytes: &[u8]| {
    let Some(payload) = judge::<Payload>(bytes) else { return };
    assert!(payload.items().len() <= ITEMS_MAX);
    assert_eq!(payload.encoded_length(), bytes.len());
    for item in payload.items() {
        BatchItem::new(Author::ZERO, item);
    }
});
