//! `meanwhile blob` as a person uses it: store, read, prove, extend and delete, with a validator away.
#![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]

mod common;

use std::path::Path;

use blobs::test_utils::bytes;
use client::api::blobs::BlobState;
use client::api::blobs::BlobStatus;
use client::api::blobs::StoredBlob;
use common::Devnet;
use common::run;
use common::text;

/// Runs `meanwhile blob ...` and gives what it prints.
fn blob(arguments: &[&str]) -> Result<String, String> {
    let output = run(&[&["blob"], arguments].concat());
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_file_goes_onto_the_network_and_comes_back_proven_while_a_validator_is_away() {
    let devnet = Devnet::with(&["--block-interval", "1h"]);
    let url = devnet.url(0);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (source, key, read) = (path("source"), path("key"), path("read"));
    std::fs::write(&source, bytes(1, 5_000_000)).unwrap();
    let node = ["--url", &url];
    let paid = ["--url", &url, "--key", name(&key), "--json"];
    let on = |first: &[&str], rest: &[&str]| blob(&[first, rest].concat());

    let quote = on(&["store", name(&source), "--dry-run"], &paid).unwrap();
    assert!(quote.contains(r#""encodedLength":10000"#), "{quote}");
    assert!(!key.exists());
    devnet.kill(2);
    let stored = on(&["store", name(&source), "--ticks", "10", "--hurry"], &paid).unwrap();
    let StoredBlob::NewlyCreated(status) = serde_json::from_str(&stored).unwrap() else {
        panic!("{stored}")
    };
    let id = status.blob_id.to_string();
    let again = on(&["store", name(&source)], &paid).unwrap();
    assert!(again.contains("alreadyCertified"), "{again}");

    on(&["read", &id, "-o", name(&read)], &node).unwrap();
    assert!(std::fs::read(&read).unwrap() == bytes(1, 5_000_000));
    assert!(on(&["read", &id, "-o", name(&read)], &node).unwrap_err().contains("exists"));

    let (proof, genesis) = (path("proof"), devnet.dir().join("genesis.json"));
    on(&["proof", &id, "-o", name(&proof)], &node).unwrap();
    let verify = |file: &Path| {
        blob(&["verify", name(file), name(&proof), "--genesis", name(&genesis), "--json"])
    };
    assert!(verify(&source).unwrap().contains(&id));
    let other = path("other");
    std::fs::write(&other, bytes(2, 5_000_000)).unwrap();
    assert!(verify(&other).unwrap_err().contains("its bytes are others"));

    let stranger = path("stranger");
    let refused = on(&["delete", &id, "--key", name(&stranger)], &node).unwrap_err();
    assert!(refused.contains("is not owned by the key"), "{refused}");
    let longer = on(&["extend", &id, "--ticks", "5"], &paid).unwrap();
    let longer: BlobStatus = serde_json::from_str(&longer).unwrap();
    assert_eq!(longer.end_height, status.end_height.and_then(|end| end.checked_add(5)));
    let ended = on(&["delete", &id], &paid).unwrap();
    let ended: BlobStatus = serde_json::from_str(&ended).unwrap();
    assert_eq!(ended.state, BlobState::Deleted);
    assert!(on(&["extend", &id, "--ticks", "5"], &paid).is_err());
}
