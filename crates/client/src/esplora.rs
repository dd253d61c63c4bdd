//! What the routes under `/api` answer, exactly as Blockstream's `electrs` serves it.
//!
//! Wallet libraries (`esplora-client`, `bdk_esplora`, LDK's transaction sync) parse these answers,
//! so field names, absent fields and the order of nothing are theirs to say, not ours. Two fields
//! are our own and ignored by everybody else: `final` and `commit` in [`Status`]. `confirmed` turns
//! true with the sealed block, `final` already with the commit.
//!
//! Source: Blockstream's electrs, `src/rest.rs` and `src/util/transaction.rs`.

use std::collections::BTreeMap;

use bitcoin::Amount;
use bitcoin::BlockHash;
use bitcoin::CompactTarget;
use bitcoin::ScriptBuf;
use bitcoin::TxMerkleNode;
use bitcoin::Txid;
use bitcoin::Wtxid;
use serde::Deserialize;
use serde::Serialize;
use types::CommitIndex;

/// How many transactions of the chain one page of `/txs` and `/txs/chain` holds.
pub const CHAIN_TXS_PAGE: usize = 25;
/// How many transactions of the pool `/txs` and `/txs/mempool` give at most.
pub const MEMPOOL_TXS_MAX: usize = 50;
/// How many blocks one page of `/blocks` holds.
pub const BLOCKS_PAGE: usize = 10;
/// How many entries `/mempool/recent` gives at most.
pub const MEMPOOL_RECENT_MAX: usize = 10;

/// A transaction: `/tx/{txid}`, and the entries of every list of transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its name.
    pub txid: Txid,
    /// Its version, as an unsigned number.
    pub version: u32,
    /// Its lock time.
    pub locktime: u32,
    /// Its inputs.
    pub vin: Vec<Input>,
    /// Its outputs.
    pub vout: Vec<Output>,
    /// Its size in bytes, witness included.
    pub size: u32,
    /// Its weight.
    pub weight: u64,
    /// What it pays, in satoshis; 0 for a coinbase.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub fee: Amount,
    /// Where it stands.
    pub status: Status,
}

/// An input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The transaction whose output it spends.
    pub txid: Txid,
    /// Which output; 4294967295 for a coinbase.
    pub vout: u32,
    /// The output that it spends; null for a coinbase.
    pub prevout: Option<Output>,
    /// Its script.
    pub scriptsig: ScriptBuf,
    /// Its script in words.
    pub scriptsig_asm: String,
    /// Its witness, each element in hex; absent when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Vec<String>>,
    /// Whether this is a coinbase's input.
    pub is_coinbase: bool,
    /// Its sequence number.
    pub sequence: u32,
    /// The redeem script in words, when it spends a script hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_redeemscript_asm: Option<String>,
    /// The witness script in words, when it spends a witness script hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_witnessscript_asm: Option<String>,
}

/// An output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its script.
    pub scriptpubkey: ScriptBuf,
    /// Its script in words.
    pub scriptpubkey_asm: String,
    /// What kind of script; see [`script_type`].
    pub scriptpubkey_type: String,
    /// Its address; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scriptpubkey_address: Option<String>,
    /// What it holds, in satoshis.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub value: Amount,
}

/// Where a transaction stands: `/tx/{txid}/status`, and inside other answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether a block has sealed it.
    pub confirmed: bool,
    /// The height of that block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_height: Option<u32>,
    /// The hash of that block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_hash: Option<BlockHash>,
    /// The time of that block, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_time: Option<u32>,
    /// Our own: whether a commit has made it final. Nothing can undo it then.
    #[serde(default, rename = "final")]
    pub is_final: bool,
    /// Our own: the commit that made it final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitIndex>,
}

/// A block: `/block/{hash}`, and the entries of `/blocks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Its hash.
    pub id: BlockHash,
    /// Its height.
    pub height: u32,
    /// Its version, as an unsigned number.
    pub version: u32,
    /// Its time, in seconds since 1970.
    pub timestamp: u32,
    /// How many transactions it holds.
    pub tx_count: u32,
    /// Its size in bytes.
    pub size: u32,
    /// Its weight.
    pub weight: u64,
    /// The Merkle root of its transactions.
    pub merkle_root: TxMerkleNode,
    /// The block before; null for the first.
    pub previousblockhash: Option<BlockHash>,
    /// The median time of the last eleven blocks, in seconds since 1970.
    pub mediantime: u32,
    /// Its nonce.
    pub nonce: u32,
    /// Its target, compact.
    pub bits: CompactTarget,
    /// Its difficulty.
    pub difficulty: f64,
}

/// `/block/{hash}/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockStatus {
    /// Whether it belongs to the chain. There is no other chain here.
    pub in_best_chain: bool,
    /// Its height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// The block behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_best: Option<BlockHash>,
}

/// `/address/{address}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStats {
    /// The address.
    pub address: String,
    /// What sealed transactions did to it.
    pub chain_stats: ScriptStats,
    /// What the others did to it.
    pub mempool_stats: ScriptStats,
}

/// `/scripthash/{hash}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptHashStats {
    /// SHA-256 of the script, in natural byte order.
    pub scripthash: String,
    /// What sealed transactions did to it.
    pub chain_stats: ScriptStats,
    /// What the others did to it.
    pub mempool_stats: ScriptStats,
}

/// What some transactions did to one script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptStats {
    /// How many transactions touched it.
    pub tx_count: u64,
    /// How many outputs pay to it.
    pub funded_txo_count: u64,
    /// What they hold, in satoshis.
    pub funded_txo_sum: u64,
    /// How many of them are spent.
    pub spent_txo_count: u64,
    /// What those held, in satoshis.
    pub spent_txo_sum: u64,
}

/// An unspent output: the entries of `/address/{address}/utxo` and `/scripthash/{hash}/utxo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Utxo {
    /// The transaction.
    pub txid: Txid,
    /// Which of its outputs.
    pub vout: u32,
    /// Where that transaction stands.
    pub status: Status,
    /// What the output holds, in satoshis.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub value: Amount,
}

/// Who spends an output: `/tx/{txid}/outspend/{index}`, and the entries of `/tx/{txid}/outspends`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outspend {
    /// Whether somebody does.
    pub spent: bool,
    /// The spending transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txid: Option<Txid>,
    /// Which of its inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vin: Option<u32>,
    /// Where that transaction stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// `/tx/{txid}/merkle-proof`, in Electrum's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MerkleProof {
    /// The height of the block.
    pub block_height: u32,
    /// The hashes beside the way from the transaction to the root, from below.
    pub merkle: Vec<Txid>,
    /// Where the transaction stands in the block, from 0.
    pub pos: usize,
}

/// `/mempool`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MempoolStats {
    /// How many transactions wait.
    pub count: usize,
    /// Their virtual size together.
    pub vsize: u64,
    /// What they pay together, in satoshis.
    pub total_fee: u64,
    /// Pairs of a fee rate in satoshis a virtual byte and the virtual size of those that pay at
    /// least that and less than the pair before, descending.
    pub fee_histogram: Vec<(f32, u64)>,
}

/// The entries of `/mempool/recent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentTransaction {
    /// The transaction.
    pub txid: Txid,
    /// What it pays, in satoshis.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub fee: Amount,
    /// Its virtual size.
    pub vsize: u64,
    /// What its outputs hold together, in satoshis.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub value: Amount,
}

/// `/fee-estimates`: from a number of blocks, as text, to a fee rate in satoshis a virtual byte.
/// Never empty: wallets do not cope with that.
pub type FeeEstimates = BTreeMap<String, f64>;

/// `POST /txs/package`, as Core's `submitpackage` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackageResult {
    /// `success`, or what went wrong.
    pub package_msg: String,
    /// What became of each transaction.
    #[serde(rename = "tx-results")]
    pub tx_results: BTreeMap<Wtxid, PackageTransactionResult>,
    /// What the package replaced.
    #[serde(default, rename = "replaced-transactions")]
    pub replaced_transactions: Vec<Txid>,
}

/// What became of one transaction of a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackageTransactionResult {
    /// The transaction.
    pub txid: Txid,
    /// Another witness of it that was there already.
    #[serde(default, rename = "other-wtxid", skip_serializing_if = "Option::is_none")]
    pub other_wtxid: Option<Wtxid>,
    /// Its virtual size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vsize: Option<u32>,
    /// What it pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fees: Option<PackageFees>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a transaction of a package pays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackageFees {
    /// Its own fee, in bitcoin.
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    pub base: Amount,
    /// The fee rate that counted for it, in bitcoin for a thousand virtual bytes.
    #[serde(default, rename = "effective-feerate", skip_serializing_if = "Option::is_none")]
    pub effective_feerate: Option<f64>,
    /// Whose fees and sizes that rate includes.
    #[serde(default, rename = "effective-includes", skip_serializing_if = "Option::is_none")]
    pub effective_includes: Option<Vec<Wtxid>>,
}

mod build;

pub use build::BlockFacts;
pub use build::script_type;
