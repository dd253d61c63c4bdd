//! What a wallet sees of a payment, from the pool to the block.

use bitcoin::Amount;
use bitcoin::BlockHash;
use bitcoin::EcdsaSighashType;
use bitcoin::MerkleBlock;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::Message;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use client::esplora;
use ledger::ScriptHash;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_unconfirmed_and_final_before_its_block_and_confirmed_after() {
    let served = Served::start().await;
    let payee = address(10);
    let txid = served.pay(&payee, 50_000).await;
    let known = served.wait_final(txid).await;
    assert!(known.commit.is_some() && known.height.is_none());

    let before: esplora::Transaction = served.json(&format!("/api/tx/{txid}")).await;
    assert!(before.status.is_final && !before.status.confirmed);
    assert_eq!(before.status.commit, known.commit);
    assert!(before.fee.to_sat() > 0);
    let pool: Vec<Txid> = served.json("/api/mempool/txids").await;
    assert_eq!(pool, [txid]);
    let stats: esplora::AddressStats = served.json(&format!("/api/address/{payee}")).await;
    assert_eq!((stats.chain_stats.tx_count, stats.mempool_stats.funded_txo_sum), (0, 50_000));
    let recent: Vec<esplora::RecentTransaction> = served.json("/api/mempool/recent").await;
    assert_eq!(recent[0].txid, txid);

    let height = served.tick(1).await;
    let after: esplora::Status = served.json(&format!("/api/tx/{txid}/status")).await;
    assert_eq!((after.confirmed, after.block_height), (true, Some(height)));
    assert_eq!(after.block_hash, Some(block_hash(&served, height).await));
    let pool: Vec<Txid> = served.json("/api/mempool/txids").await;
    assert!(pool.is_empty());
    let stats: esplora::AddressStats = served.json(&format!("/api/address/{payee}")).await;
    assert_eq!((stats.chain_stats.funded_txo_sum, stats.mempool_stats.tx_count), (50_000, 0));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transaction_routes_agree_with_each_other() {
    let served = Served::start().await;
    let (txid, second) = (served.pay(&address(11), 60_000).await, address(11));
    let height = {
        served.wait_final(txid).await;
        served.tick(2).await
    };
    let json: esplora::Transaction = served.json(&format!("/api/tx/{txid}")).await;
    let hex = served.get(&format!("/api/tx/{txid}/hex")).await;
    let transaction: Transaction = deserialize_hex(hex.text()).unwrap();
    let raw = served.get(&format!("/api/tx/{txid}/raw")).await;
    assert_eq!(deserialize::<Transaction>(&raw.body).unwrap(), transaction);
    assert_eq!((transaction.compute_txid(), json.vout.len()), (txid, transaction.output.len()));
    assert!(json.vin[0].prevout.is_some());

    let header =
        served.get(&format!("/api/block/{}/header", json.status.block_hash.unwrap())).await;
    let header: Header = deserialize_hex(header.text()).unwrap();
    let proof = served.get(&format!("/api/tx/{txid}/merkleblock-proof")).await;
    let proof: MerkleBlock = deserialize_hex(proof.text()).unwrap();
    let (mut matches, mut places) = (Vec::new(), Vec::new());
    proof.extract_matches(&mut matches, &mut places).unwrap();
    assert_eq!((proof.header, matches.as_slice()), (header, [txid].as_slice()));
    let branch: esplora::MerkleProof = served.json(&format!("/api/tx/{txid}/merkle-proof")).await;
    assert_eq!(branch.block_height, height - 1);
    assert_eq!(u32::try_from(branch.pos), Ok(places[0]));

    let spends: Vec<esplora::Outspend> = served.json(&format!("/api/tx/{txid}/outspends")).await;
    assert_eq!(spends.len(), transaction.output.len());
    assert!(spends.iter().all(|spend| !spend.spent));
    let spent = transaction.input[0].previous_output;
    let path = format!("/api/tx/{}/outspend/{}", spent.txid, spent.vout);
    let spend: esplora::Outspend = served.json(&path).await;
    assert_eq!((spend.spent, spend.txid, spend.vin), (true, Some(txid), Some(0)));
    assert!(spend.status.unwrap().confirmed);

    let utxos: Vec<esplora::Utxo> = served.json(&format!("/api/address/{second}/utxo")).await;
    assert_eq!((utxos.len(), utxos[0].txid, utxos[0].value.to_sat()), (1, txid, 60_000));
    let script = ScriptHash::of(&second.script_pubkey());
    for path in ["txs", "txs/chain"] {
        let listed: Vec<esplora::Transaction> =
            served.json(&format!("/api/scripthash/{script}/{path}")).await;
        assert_eq!(listed, std::slice::from_ref(&json), "{path}");
    }
    let next: Vec<esplora::Transaction> =
        served.json(&format!("/api/scripthash/{script}/txs/chain/{txid}")).await;
    assert!(next.is_empty());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_block_routes_agree_with_each_other() {
    let served = Served::start().await;
    let txid = served.pay(&address(12), 70_000).await;
    served.wait_final(txid).await;
    let height = served.tick(1).await;
    assert_eq!(served.get("/api/blocks/tip/height").await.text(), height.to_string());
    let hash = block_hash(&served, height).await;
    assert_eq!(served.get("/api/blocks/tip/hash").await.text(), hash.to_string());

    let block: esplora::Block = served.json(&format!("/api/block/{hash}")).await;
    let raw = served.get(&format!("/api/block/{hash}/raw")).await;
    let full: bitcoin::Block = deserialize(&raw.body).unwrap();
    assert_eq!((full.block_hash(), full.txdata.len()), (hash, 2));
    assert!(full.check_merkle_root() && full.check_witness_commitment());
    assert_eq!(usize::try_from(block.size), Ok(raw.body.len()));
    assert_eq!(block.weight, full.weight().to_wu());
    let txids: Vec<Txid> = served.json(&format!("/api/block/{hash}/txids")).await;
    assert_eq!(txids[1], txid);
    assert_eq!(served.get(&format!("/api/block/{hash}/txid/1")).await.text(), txid.to_string());
    let listed: Vec<esplora::Transaction> = served.json(&format!("/api/block/{hash}/txs")).await;
    assert_eq!(listed.iter().map(|one| one.txid).collect::<Vec<_>>(), txids);
    assert_eq!(listed[0].vin[0].vout, u32::MAX);

    let page: Vec<esplora::Block> = served.json("/api/blocks").await;
    assert_eq!((page.len(), &page[0]), (esplora::BLOCKS_PAGE, &block));
    assert!(page.windows(2).all(|pair| pair[0].previousblockhash == Some(pair[1].id)));
    let first: Vec<esplora::Block> = served.json("/api/blocks/0").await;
    assert_eq!((first.len(), first[0].previousblockhash), (1, None));
    let status: esplora::BlockStatus =
        served.json(&format!("/api/block/{}/status", page[1].id)).await;
    assert_eq!((status.in_best_chain, status.next_best), (true, Some(hash)));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_again_is_no_failure_until_the_block_is_there() {
    let served = Served::start().await;
    let txid = served.pay(&address(13), 80_000).await;
    served.wait_final(txid).await;
    let hex = served.get(&format!("/api/tx/{txid}/hex")).await.text().to_owned();
    let again = served.post("/api/tx", hex.clone()).await;
    assert_eq!((again.status, again.text()), (StatusCode::OK, txid.to_string().as_str()));
    served.tick(1).await;
    let again = served.post("/api/tx", hex.clone()).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        again.text(),
        r#"sendrawtransaction RPC error: {"code":-27,"message":"Transaction outputs already in utxo set"}"#
    );
    // Our own route is idempotent throughout.
    let again = served.post("/v1/tx?wait=final", hex).await;
    assert_eq!(again.json::<TxStatus>().status, TxState::Final);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_spend_is_refused_in_words_that_wallets_know() {
    let served = Served::start().await;
    let txid = served.pay(&address(14), 90_000).await;
    served.wait_final(txid).await;
    let hex = served.get(&format!("/api/tx/{txid}/hex")).await;
    let mut transaction: Transaction = deserialize_hex(hex.text()).unwrap();
    transaction.output[0].value -= Amount::from_sat(1_000);
    let hex = serialize_hex(&transaction);
    let refused = served.post("/api/tx", hex.clone()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.text().starts_with(
            r#"sendrawtransaction RPC error: {"code":-25,"message":"bad-txns-inputs-missingorspent"#
        ),
        "{}",
        refused.text()
    );
    let refused = served.post("/v1/tx", hex).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let body: client::api::ErrorBody = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body.error.code, client::api::ErrorCode::Refused);
    assert!(body.error.reason.starts_with("bad-txns-inputs-missingorspent"));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_sends_through_every_door_and_waits_where_it_may() {
    let served = Served::start().await;
    let funded = served.pay(&address(15), 1_000_000).await;
    served.wait_final(funded).await;
    let first = spend(15, OutPoint { txid: funded, vout: 0 }, 1_000_000);
    let answer = served.post("/v1/tx?wait=final", serialize_hex(&first)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let status: TxStatus = answer.json();
    assert_eq!((status.txid, status.status), (first.compute_txid(), TxState::Final));
    assert!(status.commit.is_some());

    // A child goes in before its parent is sealed, and a second one behind it.
    let second = spend(15, OutPoint { txid: status.txid, vout: 0 }, 999_000);
    let answer = served.post("/v1/tx", serialize_hex(&second)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let third = spend(15, OutPoint { txid: second.compute_txid(), vout: 0 }, 998_000);
    let answer = served.post("/api/tx", serialize_hex(&third)).await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::OK, third.compute_txid().to_string().as_str())
    );
    // Whoever has sent it sees it, at once.
    let listed: Vec<esplora::Transaction> =
        served.json(&format!("/api/address/{}/txs", address(15))).await;
    assert_eq!(listed[0].txid, third.compute_txid());
    served.wait_final(third.compute_txid()).await;
    let utxos: Vec<esplora::Utxo> =
        served.json(&format!("/api/address/{}/utxo", address(15))).await;
    assert_eq!(utxos.iter().map(|utxo| utxo.value.to_sat()).collect::<Vec<_>>(), [997_000]);
    served.stop().await;
}

/// Pays what an address of these tests owns back to it, for a fee of 1,000 satoshi.
pub(crate) fn spend(number: u8, previous_output: OutPoint, value: u64) -> Transaction {
    spend_for(number, previous_output, value, 1_000)
}

/// Pays what an address of these tests owns back to it.
pub(crate) fn spend_for(
    number: u8,
    previous_output: OutPoint,
    value: u64,
    fee: u64,
) -> Transaction {
    let secp = Secp256k1::new();
    let secret = SecretKey::from_slice(&[number; 32]).unwrap();
    let script_pubkey = address(number).script_pubkey();
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(value - fee),
            script_pubkey: script_pubkey.clone(),
        }],
    };
    let sighash_type = EcdsaSighashType::All;
    let hash = SighashCache::new(&transaction)
        .p2wpkh_signature_hash(0, &script_pubkey, Amount::from_sat(value), sighash_type)
        .unwrap();
    let signature = secp.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &secret);
    let signature = bitcoin::ecdsa::Signature { signature, sighash_type };
    transaction.input[0].witness = Witness::p2wpkh(&signature, &secret.public_key(&secp));
    transaction
}

async fn block_hash(served: &Served, height: u32) -> BlockHash {
    served.get(&format!("/api/block-height/{height}")).await.text().parse().unwrap()
}
