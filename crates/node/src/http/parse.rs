//! Reads what stands in paths and queries. Nothing here is long: axum bounds the whole address.

use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use bitcoin::Address;
use bitcoin::BlockHash;
use bitcoin::Network;
use bitcoin::ScriptBuf;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::address::NetworkUnchecked;
use bitcoin::consensus::encode;
use ledger::ScriptHash;
use serde::de::DeserializeOwned;
use types::Digest;
use types::Height;

use super::failure::Failure;

pub(crate) use axum::extract::Path as Segments;

/// The network whose address formats are in use: `docs/ledger.md`, Genesis.
pub(crate) const NETWORK: Network = Network::Regtest;
/// How many bytes of hex a transaction may take: four million weight units of nothing but
/// witness, twice for the hex, and room for line ends.
pub(crate) const TRANSACTION_BODY_MAX: usize = 2 * 4_000_000 + 1_024;

/// A transaction's id.
///
/// # Errors
/// When the text is none.
pub(crate) fn txid(text: &str) -> Result<Txid, Failure> {
    Txid::from_str(text)
        .map_err(|_| Failure::malformed("not a txid", "a txid has 64 hexadecimal digits"))
}

/// A block's hash.
///
/// # Errors
/// When the text is none.
pub(crate) fn block_hash(text: &str) -> Result<BlockHash, Failure> {
    BlockHash::from_str(text).map_err(|_| {
        Failure::malformed("not a block hash", "a block hash has 64 hexadecimal digits")
    })
}

/// A script's hash, in Esplora's byte order.
///
/// # Errors
/// When the text is none.
pub(crate) fn script_hash(text: &str) -> Result<ScriptHash, Failure> {
    let digest = Digest::from_str(text).map_err(|_| {
        Failure::malformed(
            "not a script hash",
            "a script hash is SHA-256 of the script, 64 hexadecimal digits",
        )
    })?;
    Ok(ScriptHash::new(*digest.as_bytes()))
}

/// A block's height. More than a block can have is still a number: there is no such block.
///
/// # Errors
/// When the text is no number.
pub(crate) fn height(text: &str) -> Result<Height, Failure> {
    number::<u128>(text).map(|value| Height::new(u32::try_from(value).unwrap_or(u32::MAX)))
}

/// A number.
///
/// # Errors
/// When the text is none, or one that does not fit.
pub(crate) fn number<T: FromStr>(text: &str) -> Result<T, Failure> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| {
        Failure::malformed("not a number", "write it in decimal digits, without a sign")
    })
}

/// An address of this network, and the script that it stands for.
///
/// # Errors
/// Says whether it is no address, or one of another network.
pub(crate) fn address(text: &str) -> Result<(Address, ScriptBuf), Failure> {
    let address: Address<NetworkUnchecked> = text.parse().map_err(|_| {
        Failure::malformed("not a Bitcoin address", "addresses here begin with bcrt1, m, n or 2")
    })?;
    let address = address.require_network(NETWORK).map_err(|_| {
        Failure::malformed(
            "an address of another network",
            "addresses here begin with bcrt1, m, n or 2",
        )
    })?;
    let script = address.script_pubkey();
    Ok((address, script))
}

/// A query as its typed form.
///
/// # Errors
/// When a field is unknown or can not be read.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    let query = Query::try_from_uri(uri).map_err(|rejection| {
        Failure::malformed(
            format!("the query can not be read: {}", rejection.body_text()),
            "the parameters of this route are listed in docs/api.md",
        )
    })?;
    Ok(query.0)
}

/// A transaction in hex, as the whole of a body.
///
/// # Errors
/// In Core's words.
pub(crate) fn transaction(body: &[u8]) -> Result<Transaction, Failure> {
    let hint = "the body is one transaction with its witness, in hexadecimal digits";
    let failed = || Failure::malformed("TX decode failed", hint);
    let bytes = hex::decode(body.trim_ascii()).map_err(|_| failed())?;
    let transaction: Transaction = encode::deserialize(&bytes).map_err(|_| failed())?;
    if transaction.input.is_empty() {
        return Err(Failure::malformed(
            "TX decode failed. Make sure the tx has at least one input.",
            hint,
        ));
    }
    Ok(transaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        for text in ["", "+1", "-1", "1.0", "0x1", " 1", "٣"] {
            assert!(number::<u64>(text).is_err(), "{text:?}");
        }
        assert_eq!(number::<u64>("0012"), Ok(12));
        assert!(number::<u64>("18446744073709551616").is_err());
        assert_eq!(height("18446744073709551616"), Ok(Height::MAX));
    }

    #[test]
    fn an_address_of_another_network_is_told_from_nonsense() {
        let other = address("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4").unwrap_err();
        assert_eq!(other.reason, "an address of another network");
        assert_eq!(address("hello").unwrap_err().reason, "not a Bitcoin address");
    }

    #[test]
    fn a_body_that_is_no_transaction_is_refused_in_the_words_of_core() {
        for body in ["", "zz", "00", "0100000000", "\u{ff}"] {
            let failure = transaction(body.as_bytes()).unwrap_err();
            assert!(failure.reason.starts_with("TX decode failed"), "{body:?}");
        }
    }
}
