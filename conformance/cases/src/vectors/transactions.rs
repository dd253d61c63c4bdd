//! `tx_valid.json` and `tx_invalid.json`: whole transactions.
//!
//! Source: Core's `transaction_tests.cpp`. The files say amounts only where a signature covers them;
//! elsewhere the inputs are worth what the outputs are, so that amounts decide nothing.

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::consensus::encode;
use serde_json::Value;

use crate::Failure;
use crate::asm;
use crate::asm::Flags;
use crate::data;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::vectors::Row;
use crate::vectors::Verdict;
use crate::vectors::judge;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Valid,
    Invalid,
}

pub(crate) fn run(file: File) -> Result<Tally, Failure> {
    let name = match file {
        File::Valid => "tx_valid.json",
        File::Invalid => "tx_invalid.json",
    };
    let mut tally = Tally::new(name);
    let mut stage = Stage::new();
    for row in data::rows(name)? {
        match parse(file, &row)? {
            Some(row) => judge(&mut stage, &mut tally, &row),
            // The file's bytes are no transaction to our decoder, which is a refusal.
            None => tally.check(file == File::Invalid, || Value::from(row).to_string()),
        }
    }
    Ok(tally)
}

fn parse(file: File, row: &[Value]) -> Result<Option<Row>, Failure> {
    let [Value::Array(inputs), Value::String(raw), Value::String(flags)] = row else {
        return Err(format!("a row of another form: {}", Value::from(row)).into());
    };
    let Ok(transaction) = encode::deserialize_hex::<Transaction>(raw) else { return Ok(None) };
    let (flags, verdict) = match (file, flags.as_str()) {
        (File::Invalid, "BADTX") => (Flags::default(), Verdict::BadTransaction),
        (File::Invalid, flags) => (Flags::parse(flags)?.filled(), Verdict::Fails(None)),
        (File::Valid, excluded) => {
            let excluded = Flags::parse(excluded)?;
            let consensus = asm::trimmed(Flags::all() & !excluded.consensus);
            (Flags { consensus, policy: Vec::new() }, Verdict::Valid)
        }
    };
    let spent = spent(inputs, &transaction)?;
    let name = Value::from(row).to_string();
    Ok(Some(Row { name, transaction, spent, flags, verdict }))
}

/// One output an input, in the order of the transaction's inputs where the file knows them.
fn spent(inputs: &[Value], transaction: &Transaction) -> Result<Vec<(OutPoint, TxOut)>, Failure> {
    let mut known = Vec::new();
    for input in inputs {
        let fields = input.as_array().ok_or("an input is no list")?;
        let text = |place: usize| fields.get(place).and_then(Value::as_str);
        let txid = text(0).ok_or("an input without a txid")?.parse()?;
        let vout = fields.get(1).and_then(Value::as_i64).ok_or("an input without a place")?;
        // Core's files write the place of no output as -1.
        let vout = u32::try_from(vout).unwrap_or(u32::MAX);
        let script_pubkey = asm::script(text(2).ok_or("an input without a script")?)?;
        let amount = fields.get(3).and_then(Value::as_u64).map(Amount::from_sat);
        known.push((OutPoint { txid, vout }, script_pubkey, amount));
    }
    let outputs = transaction.output.iter().map(|output| output.value.to_sat());
    let mut owed = outputs.fold(0, u64::saturating_add).min(Amount::MAX_MONEY.to_sat());
    let mut spent = Vec::new();
    for input in &transaction.input {
        let outpoint = input.previous_output;
        let Some((_, script, amount)) = known.iter().find(|(known, ..)| *known == outpoint) else {
            continue;
        };
        let value = amount.unwrap_or_else(|| Amount::from_sat(std::mem::take(&mut owed)));
        spent.push((outpoint, TxOut { value, script_pubkey: script.clone() }));
    }
    Ok(spent)
}
