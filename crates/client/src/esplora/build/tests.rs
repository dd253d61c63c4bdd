use bitcoin::BlockHash;
use bitcoin::CompactTarget;
use bitcoin::OutPoint;
use bitcoin::Sequence;
use bitcoin::TxMerkleNode;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::block::Version;
use bitcoin::script::Builder;
use bitcoin::script::PushBytesBuf;
use bitcoin::transaction;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::esplora::AddressStats;
use crate::esplora::BlockStatus;
use crate::esplora::MempoolStats;
use crate::esplora::MerkleProof;
use crate::esplora::Outspend;
use crate::esplora::RecentTransaction;
use crate::esplora::ScriptHashStats;
use crate::esplora::ScriptStats;
use crate::esplora::Utxo;

const NETWORK: Network = Network::Regtest;

fn p2wpkh() -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_byte_array([3; 20]))
}

fn output(value_sat: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(value_sat), script_pubkey }
}

fn txid(byte: u8) -> Txid {
    Txid::from_byte_array([byte; 32])
}

fn hash(byte: u8) -> BlockHash {
    BlockHash::from_byte_array([byte; 32])
}

fn payment() -> bitcoin::Transaction {
    bitcoin::Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: txid(9), vout: 1 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::from_slice(&[vec![1, 2], vec![3; 33]]),
        }],
        output: vec![output(900, p2wpkh()), output(0, ScriptBuf::new_op_return([1, 2, 3]))],
    }
}

fn sealed() -> Status {
    Status {
        confirmed: true,
        block_height: Some(102),
        block_hash: Some(hash(1)),
        block_time: Some(1_700_000_000),
        is_final: true,
        commit: Some(types::CommitIndex::new(5)),
    }
}

#[test]
fn a_transaction_is_told_as_electrs_tells_it() {
    let payment = payment();

    let answer = Transaction::new(&payment, &[Some(output(1_000, p2wpkh()))], NETWORK, sealed());

    let address = Address::from_script(&p2wpkh(), NETWORK).unwrap().to_string();
    let script = format!("0014{}", "03".repeat(20));
    let asm = format!("OP_0 OP_PUSHBYTES_20 {}", "03".repeat(20));
    let paid = |value: u64| {
        json!({
            "scriptpubkey": script,
            "scriptpubkey_asm": asm,
            "scriptpubkey_type": "v0_p2wpkh",
            "scriptpubkey_address": address,
            "value": value
        })
    };
    let expected = json!({
        "txid": payment.compute_txid().to_string(),
        "version": 2,
        "locktime": 0,
        "vin": [{
            "txid": "09".repeat(32),
            "vout": 1,
            "prevout": paid(1_000),
            "scriptsig": "",
            "scriptsig_asm": "",
            "witness": ["0102", "03".repeat(33)],
            "is_coinbase": false,
            "sequence": 4_294_967_293_u32
        }],
        "vout": [paid(900), {
            "scriptpubkey": "6a03010203",
            "scriptpubkey_asm": "OP_RETURN OP_PUSHBYTES_3 010203",
            "scriptpubkey_type": "op_return",
            "value": 0
        }],
        "size": payment.total_size(),
        "weight": payment.weight().to_wu(),
        "fee": 100,
        "status": {
            "confirmed": true,
            "block_height": 102,
            "block_hash": "01".repeat(32),
            "block_time": 1_700_000_000,
            "final": true,
            "commit": 5
        }
    });
    assert_eq!(serde_json::to_value(&answer).unwrap(), expected);
    assert_eq!(serde_json::from_value::<Transaction>(expected).unwrap(), answer);
}

#[test]
fn a_transaction_is_read_back_by_the_wallets_library() {
    let payment = payment();
    let answer = Transaction::new(&payment, &[Some(output(1_000, p2wpkh()))], NETWORK, sealed());

    let read: esplora_client::Tx = as_library(&answer);

    assert_eq!(read.to_tx(), payment);
    assert_eq!(read.fee, 100);
    assert!(read.status.confirmed);
    assert_eq!(read.status.block_hash, Some(hash(1)));
}

#[test]
fn a_coinbase_pays_no_fee_and_spends_no_output() {
    let mut coinbase = payment();
    coinbase.input[0].previous_output = OutPoint::null();

    let answer = Transaction::new(&coinbase, &[None], NETWORK, Status::default());

    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["fee"], json!(0));
    assert_eq!(json["vin"][0]["prevout"], Value::Null);
    assert_eq!(json["vin"][0]["is_coinbase"], json!(true));
    assert_eq!(json["vin"][0]["vout"], json!(u32::MAX));
    assert_eq!(json["status"], json!({"confirmed": false, "final": false}));
    let _: esplora_client::Tx = as_library(&answer);
}

#[test]
fn hostile_amounts_and_missing_outputs_only_cost_the_fee() {
    let mut payment = payment();
    payment.output = vec![output(u64::MAX, p2wpkh()), output(u64::MAX, p2wpkh())];

    let sums = Transaction::new(&payment, &[Some(output(1, p2wpkh()))], NETWORK, Status::default());
    let missing = Transaction::new(&payment, &[], NETWORK, Status::default());

    assert_eq!((sums.fee, missing.fee), (Amount::ZERO, Amount::ZERO));
    assert_eq!(missing.vin[0].prevout, None);
}

#[test]
fn inner_scripts_are_shown_in_words() {
    let inner = Builder::new().push_opcode(bitcoin::opcodes::OP_TRUE).into_script();
    let wrapped = inner.to_p2wsh();
    let mut input = payment().input[0].clone();
    let push = PushBytesBuf::try_from(wrapped.to_bytes()).unwrap();
    input.script_sig = Builder::new().push_slice(push).into_script();
    input.witness = Witness::from_slice(&[inner.to_bytes()]);

    let answer = Input::new(&input, Some(&output(1, wrapped.to_p2sh())), NETWORK);

    assert_eq!(answer.inner_redeemscript_asm, Some(wrapped.to_asm_string()));
    assert_eq!(answer.inner_witnessscript_asm.as_deref(), Some("OP_PUSHNUM_1"));
}

#[test]
fn script_types_have_esploras_names() {
    let key = [2; 32];
    let cases = [
        (ScriptBuf::new(), "empty"),
        (ScriptBuf::new_op_return([1]), "op_return"),
        (ScriptBuf::new_p2pkh(&bitcoin::PubkeyHash::from_byte_array([1; 20])), "p2pkh"),
        (ScriptBuf::new_p2sh(&bitcoin::ScriptHash::from_byte_array([1; 20])), "p2sh"),
        (p2wpkh(), "v0_p2wpkh"),
        (ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::from_byte_array(key)), "v0_p2wsh"),
        (ScriptBuf::from_bytes([&[0x51, 0x20], &key[..]].concat()), "v1_p2tr"),
        (ScriptBuf::from_bytes(vec![0x51]), "unknown"),
    ];
    for (script, expected) in cases {
        assert_eq!(script_type(&script), expected, "{script:?}");
    }
}

#[test]
fn a_block_is_read_back_by_the_wallets_library() {
    let header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: hash(2),
        merkle_root: TxMerkleNode::from_byte_array([4; 32]),
        time: 1_700_000_000,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 3,
    };
    let facts =
        BlockFacts { height: 7, tx_count: 2, size: 300, weight: 900, mediantime: 1_699_999_999 };

    let block = Block::new(&header, facts);

    let json = serde_json::to_value(&block).unwrap();
    assert_eq!(json["id"], json!(header.block_hash().to_string()));
    assert_eq!(json["bits"], json!(0x207f_ffff_u32));
    assert_eq!(json["version"], json!(0x2000_0000_u32));
    assert_eq!(serde_json::from_value::<Block>(json).unwrap(), block);
    let summary: esplora_client::BlockSummary = as_library(&block);
    assert_eq!((summary.time.height, summary.previousblockhash), (7, Some(hash(2))));
    let first = Block::new(&Header { prev_blockhash: hash(0), ..header }, facts);
    assert_eq!(serde_json::to_value(first).unwrap()["previousblockhash"], Value::Null);
}

#[test]
fn the_small_answers_are_read_back_by_the_wallets_library() {
    let status: esplora_client::TxStatus = as_library(&sealed());
    assert_eq!(status.block_height, Some(102));
    let _: esplora_client::TxStatus = as_library(&Status::default());
    let spent = Outspend { spent: true, txid: Some(txid(1)), vin: Some(0), status: Some(sealed()) };
    let read: esplora_client::OutputStatus = as_library(&spent);
    assert_eq!((read.spent, read.vin), (true, Some(0)));
    let unspent = serde_json::to_value(Outspend::default()).unwrap();
    assert_eq!(unspent, json!({"spent": false}));
    let proof = MerkleProof { block_height: 7, merkle: vec![txid(1)], pos: 1 };
    let read: esplora_client::MerkleProof = as_library(&proof);
    assert_eq!((read.block_height, read.pos), (7, 1));
    let status = BlockStatus { in_best_chain: true, height: Some(7), next_best: None };
    let read: esplora_client::BlockStatus = as_library(&status);
    assert!(read.in_best_chain);
}

#[test]
fn the_other_answers_have_esploras_field_names() {
    let utxo = Utxo { txid: txid(1), vout: 2, status: sealed(), value: Amount::from_sat(7) };
    let json = serde_json::to_value(utxo).unwrap();
    assert_eq!((&json["vout"], &json["value"]), (&json!(2), &json!(7)));
    let stats = ScriptStats {
        tx_count: 1,
        funded_txo_count: 1,
        funded_txo_sum: 7,
        ..ScriptStats::default()
    };
    let expected = json!({
        "tx_count": 1, "funded_txo_count": 1, "funded_txo_sum": 7, "spent_txo_count": 0,
        "spent_txo_sum": 0
    });
    let address =
        AddressStats { address: "a".to_owned(), chain_stats: stats, mempool_stats: stats };
    assert_eq!(
        serde_json::to_value(address).unwrap(),
        json!({"address": "a", "chain_stats": expected, "mempool_stats": expected})
    );
    let script =
        ScriptHashStats { scripthash: "s".to_owned(), chain_stats: stats, mempool_stats: stats };
    assert_eq!(serde_json::to_value(script).unwrap()["scripthash"], json!("s"));
    let pool =
        MempoolStats { count: 1, vsize: 140, total_fee: 141, fee_histogram: vec![(1.5, 140)] };
    assert_eq!(
        serde_json::to_value(pool).unwrap(),
        json!({"count": 1, "vsize": 140, "total_fee": 141, "fee_histogram": [[1.5, 140]]})
    );
    let (fee, value) = (Amount::from_sat(1), Amount::from_sat(2));
    let recent = RecentTransaction { txid: txid(1), fee, vsize: 3, value };
    assert_eq!(
        serde_json::to_value(recent).unwrap(),
        json!({"txid": "01".repeat(32), "fee": 1, "vsize": 3, "value": 2})
    );
}

/// Reads our answer as a wallet's library does.
fn as_library<T: for<'de> serde::Deserialize<'de>>(answer: &impl serde::Serialize) -> T {
    serde_json::from_str(&serde_json::to_string(answer).unwrap()).unwrap()
}
