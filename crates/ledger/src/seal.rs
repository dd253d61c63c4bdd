//! Seals final transactions into one Bitcoin block that Bitcoin Core accepts.
//!
//! **Invariant:** transactions are sealed in the order in which they became final, so a parent
//! always stands before its child; the first one that does not fit ends the block. **Invariant:**
//! every byte follows from the commit and the state before it.
//!
//! Source: `docs/ledger.md`, Blocks; BIP 34, 113, 141.

use bitcoin::Amount;
use bitcoin::BlockHash;
use bitcoin::CompactTarget;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxMerkleNode;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::WitnessCommitment;
use bitcoin::WitnessMerkleNode;
use bitcoin::Wtxid;
use bitcoin::absolute;
use bitcoin::block;
use bitcoin::hashes::Hash;
use bitcoin::hashes::HashEngine;
use bitcoin::hashes::sha256d;
use bitcoin::merkle_tree;
use bitcoin::script::PushBytesBuf;
use bitcoin::transaction;
use types::CommitIndex;
use types::Digest;
use types::Height;
use types::Results;
use types::TimestampMs;
use types::table::TableFault;

use crate::batch::PreparedTransaction;
use crate::checkpoint::Hashes;
use crate::checkpoint::chained;
use crate::checkpoint::coin_code;
use crate::event::EventKind;
use crate::overlay::Overlay;
use crate::rows;
use crate::rows::BlockRow;
use crate::rows::MEDIAN_TIMES;
use crate::rows::Place;
use crate::rows::State;
use crate::rows::TXIDS_PAGE;
use crate::rows::TransactionRow;
use crate::rows::Unsealed;
use crate::rules::Limits;
use crate::sigops;

const BLOCK_VERSION: i32 = 0x2000_0000;
const BLOCK_BITS: u32 = 0x207f_ffff;
/// A header's weight and the most that the count of transactions behind it takes.
const FRAME_WEIGHT: u64 = (80 + 9) * 4;
const WITNESS_COMMITMENT: [u8; 4] = [0xaa, 0x21, 0xa9, 0xed];
/// Marks the output that carries the results root.
const RESULTS_MARK: [u8; 4] = *b"mwr1";
const WITNESS_RESERVED: [u8; 32] = [0; 32];
/// How far a header's time may run ahead of agreed time, in seconds. Bitcoin Core refuses two
/// hours.
const HEADER_AHEAD_MAX: u64 = 3_600;
const SCAN_ROWS: usize = 512;

/// A block that was just sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBlock {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
    /// Its header.
    pub header: block::Header,
    /// Its transactions, the coinbase first.
    pub txids: Vec<Txid>,
}

/// When and for whom a block is sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) commit: CommitIndex,
    pub(crate) timestamp: TimestampMs,
    /// Who earns the fees; none burns them.
    pub(crate) payout: Option<&'a ScriptBuf>,
}

/// What stands in a block.
pub(crate) struct Contents {
    pub(crate) commit: CommitIndex,
    /// The header's time, in seconds.
    pub(crate) time: u32,
    /// What the coinbase pays.
    pub(crate) payouts: Vec<TxOut>,
    pub(crate) sealed: Vec<(u64, Unsealed)>,
}

/// The time of a header sealed now, or none while headers run too far ahead of agreed time.
pub(crate) fn header_time(state: &State, timestamp: TimestampMs) -> Option<u32> {
    let now = timestamp.value() / 1_000;
    let least = u64::from(state.median_time_past()) + 1;
    let time = now.max(least);
    if time > now.saturating_add(HEADER_AHEAD_MAX) {
        return None;
    }
    u32::try_from(time).ok()
}

/// Seals what fits, or nothing at all while headers run too far ahead of agreed time.
pub(crate) fn seal(
    overlay: &mut Overlay<'_>,
    (state, hashes): (&mut State, &mut Hashes),
    limits: &Limits,
    occasion: &Occasion<'_>,
) -> Result<Option<SealedBlock>, TableFault> {
    let Some(time) = header_time(state, occasion.timestamp) else { return Ok(None) };
    // The largest coinbase: with a payout, whose amount takes the same bytes whatever it is.
    let payout =
        occasion.payout.map(|script| TxOut { value: Amount::ZERO, script_pubkey: script.clone() });
    let draft = coinbase(state, payout.as_slice(), &[]);
    let room = Room {
        weight: limits.block_weight.saturating_sub(FRAME_WEIGHT + draft.weight().to_wu()),
        sigops_cost: limits.block_sigops_cost.saturating_sub(sigops::legacy_cost(&draft)),
    };
    let sealed = pick(overlay, state, room)?;
    let fees = sealed.iter().map(|(_, unsealed)| unsealed.fee_sat);
    let fees = Amount::from_sat(fees.fold(0, u64::saturating_add));
    let payouts = payout.filter(|_| fees > Amount::ZERO);
    let payouts = payouts.map(|payout| TxOut { value: fees, ..payout });
    let contents =
        Contents { commit: occasion.commit, time, payouts: payouts.into_iter().collect(), sealed };
    state.last_tick = occasion.timestamp;
    let block = append(overlay, (state, hashes), &contents)?;
    let kind = EventKind::Block { height: block.height, hash: block.hash };
    overlay.add_event(state, occasion.commit, kind);
    Ok(Some(block))
}

#[derive(Clone, Copy)]
struct Room {
    weight: u64,
    sigops_cost: u64,
}

impl Room {
    fn take(&mut self, unsealed: &Unsealed) -> bool {
        let weight = self.weight.checked_sub(unsealed.weight);
        let sigops_cost = self.sigops_cost.checked_sub(unsealed.sigops_cost);
        let (Some(weight), Some(sigops_cost)) = (weight, sigops_cost) else { return false };
        *self = Self { weight, sigops_cost };
        true
    }
}

fn pick(
    overlay: &Overlay<'_>,
    state: &State,
    mut room: Room,
) -> Result<Vec<(u64, Unsealed)>, TableFault> {
    let mut picked = Vec::new();
    let mut from = state.first_unsealed;
    loop {
        let key = rows::number_key(from);
        let page = overlay.read().scan(rows::UNSEALED, &[], &key, SCAN_ROWS)?;
        let last = page.len() < SCAN_ROWS;
        for (key, value) in page {
            let order = rows::number_at_end(rows::UNSEALED, &key)?;
            let unsealed: Unsealed = rows::decode_row(rows::UNSEALED, &value)?;
            if !room.take(&unsealed) {
                return Ok(picked);
            }
            picked.push((order, unsealed));
            from = order.saturating_add(1);
        }
        if last {
            break;
        }
    }
    for (order, unsealed) in &overlay.unsealed {
        if !room.take(unsealed) {
            break;
        }
        picked.push((*order, unsealed.clone()));
    }
    Ok(picked)
}

/// Puts a block on the tip.
pub(crate) fn append(
    overlay: &mut Overlay<'_>,
    (state, hashes): (&mut State, &mut Hashes),
    contents: &Contents,
) -> Result<SealedBlock, TableFault> {
    let wtxids: Vec<Wtxid> = contents.sealed.iter().map(|(_, row)| row.wtxid).collect();
    let coinbase = PreparedTransaction::new(coinbase(state, &contents.payouts, &wtxids));
    let sealed = contents.sealed.iter().map(|(_, row)| row.txid);
    let txids: Vec<Txid> = std::iter::once(coinbase.txid).chain(sealed).collect();
    let header = mine(block::Header {
        version: block::Version::from_consensus(BLOCK_VERSION),
        prev_blockhash: state.hash,
        merkle_root: merkle_root(&txids),
        time: contents.time,
        bits: CompactTarget::from_consensus(BLOCK_BITS),
        nonce: 0,
    });
    let height = state.height.next();
    let hash = header.block_hash();
    let weights = contents.sealed.iter().map(|(_, row)| row.weight).sum::<u64>();
    let sizes = contents.sealed.iter().map(|(_, row)| row.size).sum::<u64>();
    let frame = frame_size(txids.len());

    advance(state, contents, &header);
    for (order, _) in &contents.sealed {
        if overlay.unsealed.remove(order).is_none() {
            overlay.changes.remove(rows::UNSEALED, rows::number_key(*order));
        }
    }
    for (position, txid) in (0_u32..).zip(&txids) {
        overlay.add_place(*txid, Place { height, position });
    }
    for (order, row) in &contents.sealed {
        hash_sealed(overlay, (state, hashes), (height, *order), row)?;
    }
    let code = coin_code(height, true);
    hashes.add_outputs(coinbase.txid, &coinbase.transaction, code);
    let row = TransactionRow {
        commit: contents.commit,
        order: state.next_order,
        raw: coinbase.raw.clone(),
    };
    state.next_order += 1;
    overlay.add_transaction(&coinbase.transaction, coinbase.txid, &row, Some(height))?;
    add_txids(overlay, height, &txids);
    overlay.add_block(
        height,
        &BlockRow {
            commit: contents.commit,
            header,
            transactions: u32::try_from(txids.len()).unwrap_or(u32::MAX),
            size: frame + to_u64(coinbase.raw.len()) + sizes,
            weight: frame * 4 + coinbase.weight + weights,
            median_time_past: state.median_time_past(),
        },
    );
    Ok(SealedBlock { height, hash, header, txids })
}

/// Moves what a transaction spends and makes between the hashes, now that it stands in a block.
fn hash_sealed(
    overlay: &Overlay<'_>,
    (state, hashes): (&mut State, &mut Hashes),
    (height, order): (Height, u64),
    row: &Unsealed,
) -> Result<(), TableFault> {
    let transaction = overlay.transaction(&row.txid)?;
    let inputs = transaction.input.iter().zip(&row.spent);
    for (place, (input, coin)) in (0_u32..).zip(inputs) {
        let outpoint = &input.previous_output;
        let code = match coin.coinbase {
            Some(height) => coin_code(height, true),
            None => {
                // A parent is sealed before its child, at the latest in the same block.
                let sealed = overlay.place(&outpoint.txid)?;
                let sealed = sealed.ok_or_else(|| rows::corrupt(rows::PLACES))?;
                coin_code(sealed.height, false)
            }
        };
        hashes.spend(outpoint, code, &coin.output);
        hashes.add_spent(outpoint, &row.txid, place);
    }
    hashes.add_outputs(row.txid, &transaction, coin_code(height, false));
    state.sealed_chain = chained(&state.sealed_chain, order, row.commit, &row.wtxid);
    Ok(())
}

fn advance(state: &mut State, contents: &Contents, header: &block::Header) {
    state.height = state.height.next();
    state.hash = header.block_hash();
    state.times.push(u64::from(header.time));
    if state.times.len() > MEDIAN_TIMES {
        state.times.remove(0);
    }
    state.block_results = Results::default();
    for (order, row) in &contents.sealed {
        state.unsealed_count = state.unsealed_count.saturating_sub(1);
        state.unsealed_weight = state.unsealed_weight.saturating_sub(row.weight);
        state.first_unsealed = state.first_unsealed.max(order.saturating_add(1));
    }
}

/// Writes the list of a block's transactions, a page a row.
pub(crate) fn add_txids(overlay: &mut Overlay<'_>, height: Height, txids: &[Txid]) {
    for (page, txids) in (0_u32..).zip(txids.chunks(TXIDS_PAGE)) {
        let value: Vec<u8> = txids.iter().flat_map(Txid::as_byte_array).copied().collect();
        overlay.changes.put(rows::BLOCK_TXIDS, rows::page_key(height, page), value);
    }
}

/// The coinbase of the block behind the tip: BIP 34's height and the network's id, then what it
/// pays, the witness commitment and the results root.
pub(crate) fn coinbase(state: &State, payouts: &[TxOut], wtxids: &[Wtxid]) -> Transaction {
    let height = i64::from(state.height.next().value());
    // The id takes the script far above the 2 bytes that a coinbase needs at heights 1 to 16,
    // whose push is a single byte, and stays far below 100.
    let script_sig = bitcoin::script::Builder::new()
        .push_int(height)
        .push_slice(state.chain.as_bytes())
        .into_script();
    let mut output = payouts.to_vec();
    output.push(marked(WITNESS_COMMITMENT, &witness_commitment(wtxids)));
    output.push(marked(RESULTS_MARK, state.block_results.root().as_bytes()));
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[WITNESS_RESERVED]),
        }],
        output,
    }
}

fn marked(mark: [u8; 4], bytes: &[u8; 32]) -> TxOut {
    let mut data = PushBytesBuf::new();
    // Neither fails: 36 bytes are below every limit of a push.
    let _ = data.extend_from_slice(&mark);
    let _ = data.extend_from_slice(bytes);
    TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new_op_return(data) }
}

fn witness_commitment(wtxids: &[Wtxid]) -> [u8; 32] {
    let wtxids = wtxids.iter().map(|wtxid| wtxid.to_raw_hash());
    let leaves = std::iter::once(sha256d::Hash::all_zeros()).chain(wtxids);
    let root = merkle_tree::calculate_root(leaves).unwrap_or_else(sha256d::Hash::all_zeros);
    let root = WitnessMerkleNode::from_raw_hash(root);
    let mut engine = WitnessCommitment::engine();
    engine.input(root.as_byte_array());
    engine.input(&WITNESS_RESERVED);
    WitnessCommitment::from_engine(engine).to_byte_array()
}

fn merkle_root(txids: &[Txid]) -> TxMerkleNode {
    let leaves = txids.iter().map(|txid| txid.to_raw_hash());
    let root = merkle_tree::calculate_root(leaves).unwrap_or_else(sha256d::Hash::all_zeros);
    TxMerkleNode::from_raw_hash(root)
}

/// Finds the smallest nonce that meets the target: every second one does.
fn mine(mut header: block::Header) -> block::Header {
    let target = header.target();
    while !target.is_met_by(header.block_hash()) && header.nonce < u32::MAX {
        header.nonce += 1;
    }
    header
}

/// The bytes of a header and of the count of transactions behind it.
fn frame_size(transactions: usize) -> u64 {
    80 + to_u64(bitcoin::VarInt(to_u64(transactions)).size())
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The root that a coinbase carries, if it is one of ours.
pub(crate) fn results_root(coinbase: &Transaction) -> Option<Digest> {
    coinbase.output.iter().find_map(|output| {
        let data = output.script_pubkey.as_bytes().strip_prefix(&[0x6a, 0x24])?;
        let root = data.strip_prefix(&RESULTS_MARK)?;
        root.try_into().ok().map(Digest::new)
    })
}
