//! The rows of an empty ledger: Bitcoin's regtest genesis block, then the blocks that pay the
//! allocations and make them mature.
//!
//! Source: `docs/ledger.md`, Genesis.

use bitcoin::Amount;
use bitcoin::Network;
use bitcoin::ScriptBuf;
use bitcoin::TxOut;
use bitcoin::Weight;
use bitcoin::consensus::encode;
use bitcoin::constants::genesis_block;
use bytes::Bytes;
use types::CommitIndex;
use types::Digest;
use types::Genesis;
use types::Height;
use types::Results;
use types::encoding::Encode;
use types::table::Changes;
use types::table::Row;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use crate::apply::Parameters;
use crate::checkpoint::Hashes;
use crate::error::LedgerError;
use crate::overlay::Overlay;
use crate::rows;
use crate::rows::BlockRow;
use crate::rows::Place;
use crate::rows::State;
use crate::rows::TransactionRow;
use crate::rules::BLOCK_RESERVED_WEIGHT;
use crate::rules::COINBASE_MATURITY;
use crate::seal;
use crate::seal::Contents;
use crate::sigops;

/// The last height whose subsidy is 50 BTC.
const ALLOCATION_BLOCKS_MAX: u32 = 149;
const SUBSIDY_SAT: u64 = 5_000_000_000;
/// How many blocks of the prefix share a second. Of seven the last would not lie above the median
/// of the eleven before.
const BLOCKS_A_SECOND: u32 = 5;
/// The first blocks have fewer than eleven before them and stand a second apart.
const SPREAD_BLOCKS: u32 = 11;

/// The rows of an empty store.
pub(crate) fn genesis(genesis: &Genesis) -> Result<Changes, LedgerError> {
    let parameters = Parameters::new(genesis)?;
    let payouts = pack(genesis, &parameters)?;
    let mut overlay = Overlay::new(&Nothing);
    let mut state = root(&mut overlay, genesis);
    let mut hashes = Hashes::empty();
    let allocating = u32::try_from(payouts.len()).unwrap_or(u32::MAX);
    let length = allocating.saturating_add(COINBASE_MATURITY - 1);
    let start = u32::try_from(genesis.start_ms.value() / 1_000).unwrap_or(u32::MAX);
    let mut payouts = payouts.into_iter();
    for height in 1..=length {
        let before_start =
            1 + (length - height) / BLOCKS_A_SECOND + SPREAD_BLOCKS.saturating_sub(height);
        let contents = Contents {
            commit: CommitIndex::ZERO,
            time: start.saturating_sub(before_start),
            payouts: payouts.next().unwrap_or_default(),
            sealed: Vec::new(),
        };
        seal::append(&mut overlay, (&mut state, &mut hashes), &contents)?;
    }
    hashes.settle();
    overlay.changes.put(rows::STATE, rows::HASHES_KEY, hashes.to_bytes());
    Ok(overlay.finish(&state).0)
}

/// The state at height 0 and its rows, for tables that go on from a snapshot.
pub(crate) fn first_block(genesis: &Genesis) -> (State, Changes) {
    let mut overlay = Overlay::new(&Nothing);
    let state = root(&mut overlay, genesis);
    (state, overlay.changes)
}

/// Shares the allocations among coinbases, in order, as many into each as it may pay and hold.
fn pack(genesis: &Genesis, parameters: &Parameters) -> Result<Vec<Vec<TxOut>>, LedgerError> {
    let limits = &parameters.limits;
    let weight_max = limits.block_weight.saturating_sub(BLOCK_RESERVED_WEIGHT);
    let mut blocks: Vec<Vec<TxOut>> = Vec::new();
    let (mut amount, mut weight, mut sigops_cost) = (u64::MAX, 0, 0);
    for (place, allocation) in genesis.allocations.iter().enumerate() {
        let output = TxOut {
            value: Amount::from_sat(allocation.amount_sat),
            script_pubkey: ScriptBuf::from_bytes(allocation.script.0.clone()),
        };
        let own_weight = Weight::to_wu(output.weight());
        let own_sigops_cost = sigops::script_cost(&output.script_pubkey);
        amount = u64::saturating_add(amount, allocation.amount_sat);
        weight += own_weight;
        sigops_cost += own_sigops_cost;
        let fits = amount <= SUBSIDY_SAT
            && weight <= weight_max
            && sigops_cost <= limits.block_sigops_cost;
        match blocks.last_mut() {
            Some(block) if fits => block.push(output),
            _ => {
                blocks.push(vec![output]);
                (amount, weight, sigops_cost) =
                    (allocation.amount_sat, own_weight, own_sigops_cost);
            }
        }
        if own_weight > weight_max || own_sigops_cost > limits.block_sigops_cost {
            return Err(LedgerError::ScriptTooCostly { what: "allocation", place });
        }
    }
    let limit = ALLOCATION_BLOCKS_MAX;
    if u32::try_from(blocks.len()).unwrap_or(u32::MAX) > limit {
        return Err(LedgerError::TooManyAllocationBlocks { limit });
    }
    Ok(blocks)
}

/// Height 0. Its coinbase can not be spent, so it has a row but no coin.
fn root(overlay: &mut Overlay<'_>, genesis: &Genesis) -> State {
    let block = genesis_block(Network::Regtest);
    let time = block.header.time;
    let row = BlockRow {
        commit: CommitIndex::ZERO,
        header: block.header,
        transactions: 1,
        size: u64::try_from(block.total_size()).unwrap_or(u64::MAX),
        weight: block.weight().to_wu(),
        median_time_past: time,
    };
    overlay.add_block(Height::ZERO, &row);
    for transaction in &block.txdata {
        let txid = transaction.compute_txid();
        let row = TransactionRow {
            commit: CommitIndex::ZERO,
            order: 0,
            raw: Bytes::from(encode::serialize(transaction)),
        };
        overlay.changes.put(rows::TRANSACTIONS, rows::txid_key(&txid), row.to_bytes());
        overlay.add_place(txid, Place { height: Height::ZERO, position: 0 });
        seal::add_txids(overlay, Height::ZERO, &[txid]);
    }
    State {
        chain: genesis.chain(),
        applied: CommitIndex::ZERO,
        digest: Digest::ZERO,
        last_tick: genesis.start_ms,
        height: Height::ZERO,
        hash: block.block_hash(),
        times: vec![u64::from(time)],
        last_event: 0,
        next_order: 1,
        first_unsealed: 0,
        unsealed_count: 0,
        unsealed_weight: 0,
        block_results: Results::default(),
        checkpoint_results: Results::default(),
        checkpoint: Digest::ZERO,
        checkpoint_event: 0,
        sealed_chain: Digest::ZERO,
        final_chain: Digest::ZERO,
    }
}

/// A store without rows.
struct Nothing;

impl TableRead for Nothing {
    fn get(&self, _: Table, _: &[u8]) -> Result<Option<Bytes>, TableFault> {
        Ok(None)
    }

    fn scan(&self, _: Table, _: &[u8], _: &[u8], _: usize) -> Result<Vec<Row>, TableFault> {
        Ok(Vec::new())
    }

    fn scan_back(&self, _: Table, _: &[u8], _: &[u8], _: usize) -> Result<Vec<Row>, TableFault> {
        Ok(Vec::new())
    }
}
