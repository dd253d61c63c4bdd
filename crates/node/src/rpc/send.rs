//! Calls that bring transactions in, or ask what would become of them.
//!
//! Source: Bitcoin Core, `src/rpc/mempool.cpp`, `src/node/transaction.cpp`.

use bitcoin::Amount;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::consensus::encode;
use ledger::mempool::FeeRate;
use ledger::mempool::PACKAGE_MAX;
use serde_json::Value;
use serde_json::json;

use crate::handle::SubmitError;
use crate::handle::Submitted;
use crate::http;
use crate::http::Reader;
use crate::http::View;
use crate::jsonrpc::Params;
use crate::jsonrpc::RpcError;

use super::methods::core_code;
use super::methods::read;
use super::methods::refused;

/// The most that a transaction may pay unless the caller says so, in satoshi a thousand virtual
/// bytes: a tenth of a bitcoin.
const FEE_RATE_MAX: u64 = 10_000_000;
/// Core gives rates that are absurd back in these words.
const FEE_TOO_HIGH: &str = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
const BURNS_TOO_MUCH: &str =
    "Unspendable output exceeds maximum configured by user (maxburnamount)";
const IN_CHAIN: &str = "Transaction outputs already in utxo set";

pub(super) async fn raw(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let transaction = decoded(&params.required::<String>(0, "hexstring")?)?;
    let rate_max = rate_max(params, 1)?;
    let burn_max = amount(params, 2, "maxburnamount")?.unwrap_or(Amount::ZERO);
    params.at_most(3)?;
    if burns(&transaction, burn_max) {
        return Err(RpcError::new(core_code::VERIFY, BURNS_TOO_MUCH));
    }
    let fee = fee(reader, &transaction).await?;
    if is_too_high(&transaction, fee, rate_max) {
        return Err(RpcError::new(core_code::VERIFY, FEE_TOO_HIGH));
    }
    let txid = transaction.compute_txid();
    match reader.submit(transaction).await {
        Ok(Submitted::AlreadyFinal { .. }) if is_sealed(reader, txid).await? => {
            Err(RpcError::new(core_code::IN_CHAIN, IN_CHAIN))
        }
        Ok(_) => Ok(json!(txid)),
        Err(SubmitError::Rejected(rejection)) => refusal(txid, rejection.reason),
        Err(error) => Err(refused(&error.into())),
    }
}

/// What a refusal means to whoever sent: what the pool knows already is no failure.
fn refusal(txid: Txid, reason: String) -> Result<Value, RpcError> {
    if reason.contains("txn-already-") {
        return Ok(json!(txid));
    }
    let missing = reason.starts_with("bad-txns-inputs-missingorspent");
    Err(RpcError::new(if missing { core_code::VERIFY } else { core_code::REJECTED }, reason))
}

pub(super) async fn test(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let raws: Vec<String> = params.required(0, "rawtxs")?;
    let rate_max = rate_max(params, 1)?;
    params.at_most(2)?;
    let transactions = several(&raws)?;
    let judged = reader.handle().judge(transactions.clone()).await;
    let judged = judged.map_err(|error| refused(&error.into()))?;
    let fees = fees(reader, transactions.clone()).await?;
    let shown = transactions.iter().zip(judged).zip(fees).map(|((transaction, result), fee)| {
        let mut object = json!({
            "txid": transaction.compute_txid(),
            "wtxid": transaction.compute_wtxid(),
        });
        let reason = match result {
            Ok(Submitted::Accepted) if is_too_high(transaction, fee, rate_max) => {
                "max-fee-exceeded".to_owned()
            }
            Ok(Submitted::Accepted) => {
                let fee = fee.unwrap_or(Amount::ZERO);
                let rate = FeeRate::of(fee, vsize(transaction));
                object["allowed"] = json!(true);
                object["vsize"] = json!(transaction.vsize());
                object["fees"] = json!({
                    "base": fee.to_btc(),
                    "effective-feerate": crate::objects::btc_per_kvb(rate),
                    "effective-includes": [transaction.compute_wtxid()],
                });
                return object;
            }
            Ok(Submitted::AlreadyPooled) => "txn-already-in-mempool".to_owned(),
            Ok(Submitted::AlreadyFinal { .. }) => "txn-already-known".to_owned(),
            // Core names the inputs that are not there in words of its own here.
            Err(rejection) if rejection.reason.starts_with("bad-txns-inputs-missingorspent") => {
                "missing-inputs".to_owned()
            }
            Err(rejection) => rejection.reason,
        };
        object["allowed"] = json!(false);
        let words = reason.split(',').next().unwrap_or_default();
        object["reject-reason"] = json!(words);
        object["reject-details"] = json!(reason);
        object
    });
    Ok(shown.collect())
}

pub(super) async fn package(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let raws: Vec<String> = params.required(0, "package")?;
    let rate_max = rate_max(params, 1)?;
    let burn_max = amount(params, 2, "maxburnamount")?.unwrap_or(Amount::ZERO);
    params.at_most(3)?;
    let transactions = several(&raws)?;
    if transactions.iter().any(|transaction| burns(transaction, burn_max)) {
        return Err(RpcError::new(core_code::VERIFY, BURNS_TOO_MUCH));
    }
    let fees = fees(reader, transactions.clone()).await?;
    if transactions.iter().zip(fees).any(|(one, fee)| is_too_high(one, fee, rate_max)) {
        return Err(RpcError::new(core_code::VERIFY, FEE_TOO_HIGH));
    }
    let answer = reader.submit_package(transactions).await;
    Ok(json!(http::package_result(answer.map_err(|error| refused(&error.into()))?)))
}

/// Transactions in hex that are judged together.
fn several(raws: &[String]) -> Result<Vec<Transaction>, RpcError> {
    if raws.is_empty() || raws.len() > PACKAGE_MAX {
        return Err(RpcError::new(
            core_code::INVALID_PARAMETER,
            format!("Array must contain between 1 and {PACKAGE_MAX} transactions."),
        ));
    }
    raws.iter().map(|raw| decoded(raw)).collect()
}

/// Whether more than the caller lets go is paid to what nobody can spend.
fn burns(transaction: &Transaction, most: Amount) -> bool {
    transaction.output.iter().any(|one| one.script_pubkey.is_op_return() && one.value > most)
}

/// A transaction in hex.
fn decoded(hex: &str) -> Result<Transaction, RpcError> {
    encode::deserialize_hex::<Transaction>(hex)
        .ok()
        .filter(|transaction| !transaction.input.is_empty())
        .ok_or_else(|| {
            RpcError::new(
                core_code::DESERIALIZATION,
                "TX decode failed. Make sure the tx has at least one input.",
            )
        })
}

/// The most that the caller lets a transaction pay; zero is no limit.
fn rate_max(params: &mut Params, place: usize) -> Result<Option<FeeRate>, RpcError> {
    let given = amount(params, place, "maxfeerate")?.map(Amount::to_sat);
    Ok(match given.unwrap_or(FEE_RATE_MAX) {
        0 => None,
        rate => Some(FeeRate::from_sat_per_kvb(rate)),
    })
}

/// An amount in bitcoin, as a number or as text.
fn amount(params: &mut Params, place: usize, name: &str) -> Result<Option<Amount>, RpcError> {
    let text = match params.optional::<Value>(place, name)? {
        None => return Ok(None),
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => String::new(),
    };
    // A number may come as 1e-5: text with a point is what an amount is read from.
    let plain = text.parse::<f64>().map(|number| format!("{number:.8}")).unwrap_or_default();
    let amount = Amount::from_str_in(&plain, bitcoin::Denomination::Bitcoin);
    amount
        .map(Some)
        .map_err(|_| RpcError::new(core_code::TYPE, format!("Invalid amount for {name}: {text:?}")))
}

fn is_too_high(transaction: &Transaction, fee: Option<Amount>, rate_max: Option<FeeRate>) -> bool {
    let (Some(fee), Some(most)) = (fee, rate_max) else { return false };
    fee > most.fee(vsize(transaction))
}

fn vsize(transaction: &Transaction) -> u64 {
    transaction.weight().to_vbytes_ceil()
}

/// What a transaction pays, as far as everything that it spends is known.
async fn fee(reader: &Reader, transaction: &Transaction) -> Result<Option<Amount>, RpcError> {
    let mut fees = fees(reader, vec![transaction.clone()]).await?;
    Ok(fees.pop().flatten())
}

/// What transactions pay; they may spend each other's outputs.
async fn fees(
    reader: &Reader,
    transactions: Vec<Transaction>,
) -> Result<Vec<Option<Amount>>, RpcError> {
    let work = move |view: &View| {
        let own = |outpoint: &bitcoin::OutPoint| {
            let parent = transactions.iter().find(|one| one.compute_txid() == outpoint.txid)?;
            parent.output.get(usize::try_from(outpoint.vout).ok()?).cloned()
        };
        let mut fees = Vec::with_capacity(transactions.len());
        for transaction in &transactions {
            let prevouts = view.prevouts(transaction)?;
            let inputs = transaction.input.iter().zip(prevouts);
            let mut spent = inputs.map(|(input, known)| {
                known.or_else(|| own(&input.previous_output)).map(|output| output.value.to_sat())
            });
            let spent = spent.try_fold(0_u64, |sum, value| sum.checked_add(value?));
            let paid = transaction.output.iter().map(|output| output.value.to_sat());
            let paid = paid.fold(0, u64::saturating_add);
            fees.push(spent.and_then(|spent| spent.checked_sub(paid)).map(Amount::from_sat));
        }
        Ok(fees)
    };
    read(reader, work).await
}

async fn is_sealed(reader: &Reader, txid: Txid) -> Result<bool, RpcError> {
    read(reader, move |view| Ok(view.is_sealed(&txid)?)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_as_numbers_and_as_text() {
        let read = |value: Value| amount(&mut Params::List(vec![value]), 0, "n");
        for (value, sat) in [
            (json!(0.1), 10_000_000),
            (json!("0.1"), 10_000_000),
            (json!(1e-8), 1),
            (json!(0), 0),
            (json!(21), 2_100_000_000),
        ] {
            assert_eq!(read(value.clone()), Ok(Some(Amount::from_sat(sat))), "{value}");
        }
        for value in [json!("x"), json!(-1), json!([]), json!("NaN"), json!(1e300)] {
            assert_eq!(read(value.clone()).unwrap_err().code, core_code::TYPE, "{value}");
        }
        assert_eq!(rate_max(&mut Params::List(vec![json!(0)]), 0), Ok(None));
    }

    #[test]
    fn what_is_known_already_is_no_failure() {
        let txid = bitcoin::hashes::Hash::all_zeros();
        assert!(refusal(txid, "txn-already-in-mempool".to_owned()).is_ok());
        let missing = refusal(txid, "bad-txns-inputs-missingorspent, 1".to_owned());
        assert_eq!(missing.unwrap_err().code, core_code::VERIFY);
        let dust = refusal(txid, "dust".to_owned());
        assert_eq!(dust.unwrap_err().code, core_code::REJECTED);
        assert_eq!(decoded("00").unwrap_err().code, core_code::DESERIALIZATION);
    }
}
