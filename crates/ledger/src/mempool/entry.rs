//! One transaction in the pool, and its row in the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::consensus::encode;
use bytes::Bytes;
use types::DecodeError;
use types::PAYLOAD_BYTES_MAX;
use types::encoding::Decode;
use types::encoding::Encode;
use types::encoding::Reader;
use types::encoding::Writer;

use super::limits::FeeRate;
use super::limits::Ratio;
use super::policy;
use crate::batch::PreparedTransaction;
use crate::rows::ScriptHash;

/// What an entry takes beside its own bytes, roughly: its place in every index.
const ENTRY_OVERHEAD: u64 = 1_000;
/// What an input or an output takes beside its own bytes, roughly.
const PART_OVERHEAD: u64 = 250;
const VERSION: u8 = 1;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It waits to be handed out for a vertex.
    Waiting,
    /// It was handed out.
    Proposed,
    /// It was ordered too early: it waits for a parent or a lock before it is proposed again.
    Parked,
}

/// One transaction in the pool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) transaction: PreparedTransaction,
    pub(super) spent: Arc<[TxOut]>,
    pub(super) fee: Amount,
    pub(super) sigops_cost: u64,
    pub(super) vsize: u64,
    pub(super) arrival: u64,
    pub(super) state: State,
    pub(super) proposals: u32,
    /// Whether it may be in a vertex. What a restart finds may be.
    pub(super) handed_out: bool,
    pub(super) parents: BTreeSet<Txid>,
    pub(super) children: BTreeSet<Txid>,
    pub(super) queue_key: Option<Ratio>,
    pub(super) evict_key: Option<Ratio>,
}

/// What the store keeps of an entry: enough to take it up again without its parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) arrival: u64,
    pub(super) sigops_cost: u64,
    pub(super) raw: Bytes,
    pub(super) spent: Vec<TxOut>,
}

impl Entry {
    pub(super) fn new(
        transaction: PreparedTransaction,
        spent: Arc<[TxOut]>,
        sigops_cost: u64,
        arrival: u64,
    ) -> Self {
        let sum = |outputs: &[TxOut]| {
            outputs.iter().map(|output| output.value.to_sat()).fold(0, u64::saturating_add)
        };
        let fee = sum(&spent).saturating_sub(sum(&transaction.transaction.output));
        Self {
            vsize: policy::vsize(transaction.weight, sigops_cost),
            transaction,
            spent,
            fee: Amount::from_sat(fee),
            sigops_cost,
            arrival,
            state: State::Waiting,
            proposals: 0,
            handed_out: false,
            parents: BTreeSet::new(),
            children: BTreeSet::new(),
            queue_key: None,
            evict_key: None,
        }
    }

    /// The transaction with its encoding and its names.
    pub fn transaction(&self) -> &PreparedTransaction {
        &self.transaction
    }

    /// Names it.
    pub fn txid(&self) -> Txid {
        self.transaction.txid
    }

    /// The outputs that it spends, one an input.
    pub fn spent(&self) -> &[TxOut] {
        &self.spent
    }

    /// What it pays.
    pub fn fee(&self) -> Amount {
        self.fee
    }

    /// The size that it pays for, in virtual bytes.
    pub fn vsize(&self) -> u64 {
        self.vsize
    }

    /// What it costs in signature operations.
    pub fn sigops_cost(&self) -> u64 {
        self.sigops_cost
    }

    /// What it pays a size.
    pub fn fee_rate(&self) -> FeeRate {
        FeeRate::of(self.fee, self.vsize)
    }

    /// Its number among all that this pool ever admitted, ascending.
    pub fn arrival(&self) -> u64 {
        self.arrival
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The transactions in the pool whose outputs it spends.
    pub fn parents(&self) -> impl Iterator<Item = &Txid> {
        self.parents.iter()
    }

    /// The transactions in the pool that spend its outputs.
    pub fn children(&self) -> impl Iterator<Item = &Txid> {
        self.children.iter()
    }

    /// The outputs that it spends, by name.
    pub(super) fn outpoints(&self) -> impl Iterator<Item = OutPoint> {
        self.transaction.transaction.input.iter().map(|input| input.previous_output)
    }

    /// The scripts that it pays to or takes from, each once.
    pub(super) fn scripts(&self) -> BTreeSet<ScriptHash> {
        let outputs = self.transaction.transaction.output.iter().chain(self.spent.iter());
        outputs.map(|output| ScriptHash::of(&output.script_pubkey)).collect()
    }

    pub(super) fn ratio(&self) -> Ratio {
        Ratio { fee: self.fee.to_sat(), size: self.vsize }
    }

    /// The memory that it takes, roughly.
    pub(super) fn memory(&self) -> u64 {
        let raw = u64::try_from(self.transaction.raw.len()).unwrap_or(u64::MAX);
        let parts = self.transaction.transaction.output.len().saturating_add(self.spent.len());
        let parts = u64::try_from(parts).unwrap_or(u64::MAX).saturating_mul(PART_OVERHEAD);
        let scripts = self.spent.iter().map(|output| output.script_pubkey.len()).sum::<usize>();
        let scripts = u64::try_from(scripts).unwrap_or(u64::MAX);
        raw.saturating_mul(2)
            .saturating_add(parts)
            .saturating_add(scripts)
            .saturating_add(ENTRY_OVERHEAD)
    }

    pub(super) fn row(&self) -> Row {
        Row {
            arrival: self.arrival,
            sigops_cost: self.sigops_cost,
            raw: self.transaction.raw.clone(),
            spent: self.spent.to_vec(),
        }
    }
}

impl Encode for Row {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u64(self.arrival);
        writer.u64(self.sigops_cost);
        writer.bytes(&self.raw);
        writer.bytes(&encode::serialize(&self.spent));
    }
}

impl Decode for Row {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("pool row", VERSION)?;
        let arrival = reader.u64()?;
        let sigops_cost = reader.u64()?;
        let raw = reader.bytes("pool transaction", PAYLOAD_BYTES_MAX)?;
        // The store's own bytes: what was admitted is bounded, the scripts that it spends are too.
        let spent = reader.bytes("pool spent outputs", SPENT_BYTES_MAX)?;
        let spent = encode::deserialize(&spent)
            .map_err(|_| DecodeError::InvalidValue { what: "pool spent outputs" })?;
        Ok(Self { arrival, sigops_cost, raw, spent })
    }
}

/// More than any admitted transaction's spent outputs take: 4 MB, as Bitcoin's codec allows.
pub(super) const SPENT_BYTES_MAX: usize = 4_000_000;
