//! `script_tests.json`: one input, one output, any scripts.
//!
//! Source: Core's `script_tests.cpp`.

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::XOnlyPublicKey;
use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::taproot::LeafVersion;
use bitcoin::taproot::TaprootBuilder;
use bitcoin::transaction::Version;
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

/// The public key of the secret 1, which Core's test takes as the internal key.
const INTERNAL_KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const TAPROOT_OUTPUT: &str = "0x51 0x20 #TAPROOTOUTPUT#";

pub(crate) fn run() -> Result<Tally, Failure> {
    let mut tally = Tally::new("script_tests.json");
    let mut stage = Stage::new();
    for row in data::rows("script_tests.json")? {
        judge(&mut stage, &mut tally, &parse(&row)?);
    }
    Ok(tally)
}

/// What the witness of a row says, beside its elements.
#[derive(Default)]
struct Spending {
    witness: Witness,
    amount: Amount,
    taproot: Option<ScriptBuf>,
}

fn parse(row: &[Value]) -> Result<Row, Failure> {
    let (spending, texts) = match row.split_first() {
        Some((Value::Array(witness), rest)) => (spending(witness)?, rest),
        _ => (Spending::default(), row),
    };
    let text = |place: usize| texts.get(place).and_then(Value::as_str).ok_or("a row is too short");
    let script_pubkey = match (text(1)?, spending.taproot) {
        (TAPROOT_OUTPUT, Some(script)) => script,
        (other, _) => asm::script(other)?,
    };
    let credit = transaction(
        OutPoint::null(),
        ScriptBuf::from_bytes(vec![0, 0]),
        Witness::new(),
        TxOut { value: spending.amount, script_pubkey },
    );
    let outpoint = OutPoint { txid: credit.compute_txid(), vout: 0 };
    let output = TxOut { value: spending.amount, script_pubkey: ScriptBuf::new() };
    let transaction = transaction(outpoint, asm::script(text(0)?)?, spending.witness, output);
    let verdict = match text(3)? {
        "OK" => Verdict::Valid,
        error => Verdict::Fails(Some(error.to_owned())),
    };
    Ok(Row {
        name: Value::from(row).to_string(),
        transaction,
        spent: vec![(outpoint, credit.output[0].clone())],
        flags: Flags::parse(text(2)?)?.filled(),
        verdict,
    })
}

fn spending(elements: &[Value]) -> Result<Spending, Failure> {
    let (amount, elements) = elements.split_last().ok_or("a witness without an amount")?;
    let amount = Amount::from_btc(amount.as_f64().ok_or("an amount is no number")?)?;
    let (mut stack, mut taproot): (Vec<Vec<u8>>, _) = (Vec::new(), None);
    for element in elements {
        let element = element.as_str().ok_or("a witness element is no text")?;
        if let Some(script) = element.strip_prefix("#SCRIPT#") {
            stack.push(asm::script(script)?.into_bytes());
        } else if element == "#CONTROLBLOCK#" {
            let script = ScriptBuf::from_bytes(stack.last().cloned().unwrap_or_default());
            let secp = Secp256k1::new();
            let internal: XOnlyPublicKey = INTERNAL_KEY.parse()?;
            let builder = TaprootBuilder::new().add_leaf(0, script.clone())?;
            let spend = builder.finalize(&secp, internal).map_err(|_| "one leaf is a tree")?;
            let block = spend.control_block(&(script, LeafVersion::TapScript));
            stack.push(block.ok_or("the leaf is in the tree")?.serialize());
            taproot = Some(ScriptBuf::new_p2tr_tweaked(spend.output_key()));
        } else {
            stack.push(hex::decode(element)?);
        }
    }
    Ok(Spending { witness: Witness::from_slice(&stack), amount, taproot })
}

fn transaction(
    previous_output: OutPoint,
    script_sig: ScriptBuf,
    witness: Witness,
    output: TxOut,
) -> Transaction {
    let input = TxIn { previous_output, script_sig, sequence: Sequence::MAX, witness };
    Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![output],
    }
}
