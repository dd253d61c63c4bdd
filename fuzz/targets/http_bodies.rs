//! Bodies and answers of HTTP, read by the types that the node and the client read them with.
#![no_main]

use client::api;
use client::esplora;
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is read can be written, and reads back as something that writes the same.
fn judge<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
    let Ok(text) = serde_json::to_vec(&value) else { return };
    let again: T = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(serde_json::to_vec(&again).ok(), Some(text));
}

fuzz_target!(|bytes: &[u8]| {
    judge::<api::FaucetRequest>(bytes);
    judge::<api::TicksRequest>(bytes);
    judge::<api::EventQuery>(bytes);
    judge::<api::Event>(bytes);
    judge::<api::Status>(bytes);
    judge::<api::TxStatus>(bytes);
    judge::<api::CommitInfo>(bytes);
    judge::<api::Dag>(bytes);
    judge::<api::ErrorBody>(bytes);
    judge::<esplora::Transaction>(bytes);
    judge::<esplora::Block>(bytes);
    judge::<esplora::Utxo>(bytes);
    judge::<esplora::PackageResult>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = bitcoin::consensus::encode::deserialize_hex::<bitcoin::Transaction>(text.trim());
    }
});
