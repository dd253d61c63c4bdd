//! What a checkpoint says about the ledger, and the hashes that it is made of.
//!
//! The next commit depends on the coins and on a little more; a checkpoint commits to all of it:
//!
//! - `utxo_hash`: the coins **as of the last sealed block**, exactly as Bitcoin Core hashes them. So
//!   it is Core's number at every checkpoint, also while final transactions wait to be sealed.
//! - `state_hash`: those waiting transactions (two places in one chain of hashes over all final
//!   transactions), which outputs were spent by whom and who was rejected (a second hash of a set,
//!   since a resubmitted transaction is answered with its outcome for ever), the results of the block
//!   that is being filled, and the counters.
//!
//! Source: `docs/checkpoints.md`, What is hashed.

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Wtxid;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use types::BitcoinHash;
use types::Checkpoint;
use types::CommitIndex;
use types::Digest;
use types::Epoch;
use types::Hasher;
use types::Height;
use types::Results;
use types::TimestampMs;
use types::blob::BlobId;
use types::encoding::Encode;
use types::encoding::Writer;

use crate::blobs::BlobRow;
use crate::muhash::MuHash;
use crate::overlay::is_unspendable;
use crate::rows::State;

const SPENT: u8 = 1;
const REJECTED: u8 = 2;
const BLOB: u8 = 3;

/// The two hashes of sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hashes {
    /// The coins as of the tip.
    pub(crate) coins: MuHash,
    /// What `coins` comes to, as of the tip.
    pub(crate) utxo_hash: BitcoinHash,
    /// Spent outputs of sealed transactions, rejected transactions, and what is known of blobs.
    pub(crate) past: MuHash,
}

/// What the next commit depends on beside the coins, the chain of headers and the commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carry {
    /// The agreed time of the commit that sealed the last block.
    pub(crate) last_tick: TimestampMs,
    /// The number of the last event, the checkpoint's own included.
    pub(crate) last_event: u64,
    /// The number of the next final transaction.
    pub(crate) next_order: u64,
    /// No transaction below this number is unsealed.
    pub(crate) first_unsealed: u64,
    /// The chain of hashes up to the last final transaction that is sealed.
    pub(crate) sealed_chain: Digest,
    /// The chain of hashes up to the last final transaction.
    pub(crate) final_chain: Digest,
    /// Outcomes since the last block.
    pub(crate) block_results: Results,
    /// The hash over spent outputs and rejected transactions.
    pub(crate) past_hash: BitcoinHash,
}

impl Hashes {
    /// The hashes of nothing.
    pub(crate) fn empty() -> Self {
        let coins = MuHash::default();
        Self { utxo_hash: coins.finish(), coins, past: MuHash::default() }
    }

    /// The transaction's outputs are coins of a block.
    pub(crate) fn add_outputs(&mut self, txid: Txid, transaction: &Transaction, code: u32) {
        for (vout, output) in (0_u32..).zip(&transaction.output) {
            if !is_unspendable(&output.script_pubkey) {
                self.coins.insert(&coin_bytes(&OutPoint { txid, vout }, code, output));
            }
        }
    }

    /// A sealed transaction has spent a coin.
    pub(crate) fn spend(&mut self, outpoint: &OutPoint, code: u32, output: &TxOut) {
        self.coins.remove(&coin_bytes(outpoint, code, output));
    }

    /// A sealed transaction's input is to be remembered.
    pub(crate) fn add_spent(&mut self, outpoint: &OutPoint, by: &Txid, input: u32) {
        self.past.insert(&spent_bytes(outpoint, by, input));
    }

    /// A rejected transaction is to be remembered.
    pub(crate) fn add_rejected(&mut self, txid: &Txid, winner: &Txid, commit: CommitIndex) {
        self.past.insert(&rejected_bytes(txid, winner, commit));
    }

    /// What is known of a blob has changed.
    pub(crate) fn change_blob(&mut self, blob: &BlobId, before: Option<&BlobRow>, after: &BlobRow) {
        if let Some(before) = before {
            self.past.remove(&before.member(BLOB, blob));
        }
        self.past.insert(&after.member(BLOB, blob));
    }

    /// A checkpoint is due. Only blobs ever leave this hash, so there is something to settle when
    /// one of them has changed, and nothing otherwise.
    pub(crate) fn settle_past(&mut self) {
        self.past.settle();
    }

    /// A block is complete.
    pub(crate) fn settle(&mut self) {
        self.coins.settle();
        self.utxo_hash = self.coins.finish();
    }
}

/// What Core puts in front of an output: the height of its block and whether a coinbase made it.
pub(crate) const fn coin_code(height: Height, is_coinbase: bool) -> u32 {
    height.value() << 1 | if is_coinbase { 1 } else { 0 }
}

/// A coin as Core hashes it.
pub(crate) fn coin_bytes(outpoint: &OutPoint, code: u32, output: &TxOut) -> Vec<u8> {
    let mut bytes = encode::serialize(outpoint);
    bytes.extend_from_slice(&code.to_le_bytes());
    bytes.extend_from_slice(&encode::serialize(output));
    bytes
}

pub(crate) fn spent_bytes(outpoint: &OutPoint, by: &Txid, input: u32) -> Vec<u8> {
    let mut bytes = vec![SPENT];
    bytes.extend_from_slice(&encode::serialize(outpoint));
    bytes.extend_from_slice(by.as_byte_array());
    bytes.extend_from_slice(&input.to_le_bytes());
    bytes
}

pub(crate) fn rejected_bytes(txid: &Txid, winner: &Txid, commit: CommitIndex) -> Vec<u8> {
    let mut bytes = vec![REJECTED];
    bytes.extend_from_slice(txid.as_byte_array());
    bytes.extend_from_slice(winner.as_byte_array());
    bytes.extend_from_slice(&commit.value().to_le_bytes());
    bytes
}

/// The next link of the chain over final transactions.
pub(crate) fn chained(before: &Digest, order: u64, commit: CommitIndex, wtxid: &Wtxid) -> Digest {
    Hasher::new("meanwhile/ledger/final/v1")
        .value(before)
        .value(&order)
        .value(&commit)
        .bytes(wtxid.as_byte_array())
        .finish()
}

impl Carry {
    /// What is carried on from a state with these hashes.
    pub(crate) fn of(state: &State, hashes: &Hashes) -> Self {
        Self {
            last_tick: state.last_tick,
            last_event: state.last_event,
            next_order: state.next_order,
            first_unsealed: state.first_unsealed,
            sealed_chain: state.sealed_chain,
            final_chain: state.final_chain,
            block_results: state.block_results.clone(),
            past_hash: hashes.past.finish(),
        }
    }

    /// The checkpoint's `state_hash`.
    pub(crate) fn hash(&self) -> Digest {
        Hasher::new("meanwhile/ledger/carry/v1").value(self).finish()
    }
}

/// The checkpoint of a state, after the commit that it names as applied.
pub(crate) fn of_state(state: &State, hashes: &Hashes, epoch: Epoch) -> Checkpoint {
    Checkpoint {
        chain: state.chain,
        epoch,
        commit: state.applied,
        commit_digest: state.digest,
        previous: state.checkpoint,
        results_root: state.checkpoint_results.root(),
        height: state.height,
        tip: BitcoinHash::new(state.hash.to_byte_array()),
        utxo_hash: hashes.utxo_hash,
        state_hash: Carry::of(state, hashes).hash(),
    }
}

impl Encode for Carry {
    fn encode(&self, writer: &mut Writer) {
        self.last_tick.encode(writer);
        writer.u64(self.last_event);
        writer.u64(self.next_order);
        writer.u64(self.first_unsealed);
        self.sealed_chain.encode(writer);
        self.final_chain.encode(writer);
        self.block_results.encode(writer);
        self.past_hash.encode(writer);
    }
}
