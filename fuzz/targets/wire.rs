//! A message from another validator, on to what a machine would take.
#![no_main]

use bytes::Bytes;
use fuzz::NETWORK;
use fuzz::RULES;
use libfuzzer_sys::fuzz_target;
use replica::wire::Message;
use types::Author;
use types::Encode;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(message) = Message::decode(&bytes) else { return };
    assert_eq!(message.to_bytes(), bytes, "taken, but not canonical");
    message.class();
    let _ = replica::receive(Author::ZERO, message, &NETWORK.committee, RULES);
});
