//! `key_io_valid.json` and `key_io_invalid.json`: addresses and private keys as text.
//!
//! Our doors take addresses of regtest alone, whose prefixes the test networks share but for the
//! one of segwit addresses.

use bitcoin::Address;
use bitcoin::Network;
use bitcoin::PrivateKey;
use bitcoin::address::NetworkUnchecked;
use serde_json::Value;

use crate::Failure;
use crate::data;
use crate::tally::Tally;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Valid,
    Invalid,
}

pub(crate) fn run(file: File) -> Result<Tally, Failure> {
    let name = match file {
        File::Valid => "key_io_valid.json",
        File::Invalid => "key_io_invalid.json",
    };
    let mut tally = Tally::new(name);
    let Value::Array(rows) = data::file(name)? else { return Err("the file is no list".into()) };
    for row in rows {
        let text = row[0].as_str().ok_or("a row without text")?;
        match file {
            File::Invalid => {
                let address = text.parse::<Address<NetworkUnchecked>>().is_ok();
                tally.check(!address && key(text).is_none(), || row.to_string());
            }
            File::Valid => check_valid(&mut tally, text, &row)?,
        }
    }
    Ok(tally)
}

fn check_valid(tally: &mut Tally, text: &str, row: &Value) -> Result<(), Failure> {
    let expected = hex::decode(row[1].as_str().ok_or("a row without bytes")?)?;
    let facts = &row[2];
    let chain = facts["chain"].as_str().ok_or("a row without a chain")?;
    if facts["isPrivkey"] == true {
        let fits = key(text).is_some_and(|key| {
            key.inner.secret_bytes().as_slice() == expected
                && Some(key.compressed) == facts["isCompressed"].as_bool()
                && (key.network == bitcoin::NetworkKind::Main) == (chain == "main")
        });
        tally.check(fits, || row.to_string());
        return Ok(());
    }
    let fits = text.parse::<Address<NetworkUnchecked>>().is_ok_and(|address| {
        // A prefix of base58 is one of all test networks; one of segwit is a network's own.
        let ours = chain == "regtest" || (chain != "main" && !is_segwit(text));
        address.is_valid_for_network(Network::Regtest) == ours
            && address.assume_checked().script_pubkey().as_bytes() == expected
    });
    tally.check(fits, || row.to_string());
    Ok(())
}

/// A private key as the node's configuration reads it: in its one encoding.
fn key(text: &str) -> Option<PrivateKey> {
    PrivateKey::from_wif(text).ok().filter(|key| key.to_wif() == text)
}

fn is_segwit(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["bc1", "tb1", "bcrt1"].iter().any(|prefix| lower.starts_with(prefix))
}
