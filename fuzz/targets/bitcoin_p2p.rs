//! Messages of Bitcoin's network.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let sent = node::test_utils::read_bitcoin(bytes);
    assert_eq!(node::test_utils::read_bitcoin(&sent), sent, "read differently the second time");
});
