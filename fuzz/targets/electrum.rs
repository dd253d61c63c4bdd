//! Lines of requests.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let requests = node::test_utils::read_electrum(bytes);
    // A request takes at least one byte and a comma or a line's end.
    assert!(requests <= bytes.len());
});
