//! Judges one transaction against Bitcoin's consensus rules, scripts apart.
//!
//! Apply and the mempool call the same functions, so that what is admitted is what applies. All
//! soft forks are in force from the first block. A transaction is judged for a block at tip + 1
//! whose predecessor has the tip's median-time-past; what is final but unsealed counts as standing
//! at tip + 1. The words of every refusal are Bitcoin Core's.
//!
//! Source: `docs/ledger.md`, Rules; BIP 30, 34, 68, 112, 113, 141.

use std::collections::BTreeSet;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::TxOut;
use types::DecodeError;
use types::Height;
use types::encoding::Decode;
use types::encoding::Encode;
use types::encoding::Reader;
use types::encoding::Writer;
use types::table::TableFault;
use types::table::TableRead;

use crate::overlay::Overlay;
use crate::sigops;
use crate::work;

/// What a block of weight 4,000,000 may cost in signature operations.
const SIGOPS_COST_CORE: u64 = 80_000;
const BLOCK_WEIGHT_CORE: u64 = 4_000_000;
/// How many blocks must stand on a coinbase before its outputs move: a spend is valid in the block
/// at the coinbase's height + 100.
pub const COINBASE_MATURITY: u32 = 100;
/// Weight that a block keeps free for its header, its transaction count and its coinbase.
pub const BLOCK_RESERVED_WEIGHT: u64 = 8_000;

const SEQUENCE_DISABLED: u32 = 1 << 31;
const SEQUENCE_IS_TIME: u32 = 1 << 22;
const SEQUENCE_MASK: u32 = 0xffff;
const SEQUENCE_TIME_SHIFT: u32 = 9;
const WITNESS_SCALE: u64 = 4;
const LOCKTIME_THRESHOLD: u32 = 500_000_000;

/// Why an occurrence of a transaction is passed over. Displays as Bitcoin Core's reject reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum SkipReason {
    /// No inputs.
    #[error("bad-txns-vin-empty")]
    InputsEmpty,
    /// No outputs.
    #[error("bad-txns-vout-empty")]
    OutputsEmpty,
    /// It could never stand in a block.
    #[error("bad-txns-oversize")]
    Oversize,
    /// An output's value has its sign bit set.
    #[error("bad-txns-vout-negative")]
    OutputNegative,
    /// An output is above 21 million bitcoin.
    #[error("bad-txns-vout-toolarge")]
    OutputTooLarge,
    /// All outputs together are above 21 million bitcoin.
    #[error("bad-txns-txouttotal-toolarge")]
    OutputTotalTooLarge,
    /// It names an output twice.
    #[error("bad-txns-inputs-duplicate")]
    InputsDuplicate,
    /// An input names no output.
    #[error("bad-txns-prevout-null")]
    InputNull,
    /// Only a sealed block carries a coinbase.
    #[error("coinbase")]
    Coinbase,
    /// Its lock time is not reached.
    #[error("non-final")]
    NonFinal,
    /// A relative lock time of an input is not reached.
    #[error("non-BIP68-final")]
    NonBip68Final,
    /// An input does not exist, yet.
    #[error("bad-txns-inputs-missingorspent")]
    InputsMissingOrSpent,
    /// It spends a coinbase that is not mature.
    #[error("bad-txns-premature-spend-of-coinbase")]
    PrematureCoinbaseSpend,
    /// The inputs' values are out of range.
    #[error("bad-txns-inputvalues-outofrange")]
    InputValuesOutOfRange,
    /// It pays out more than it takes in.
    #[error("bad-txns-in-belowout")]
    InBelowOut,
    /// It costs more signature operations than a block may hold.
    #[error("bad-txns-too-many-sigops")]
    TooManySigops,
    /// A script or a witness does not verify.
    #[error("mandatory-script-verify-flag-failed")]
    Script,
    /// Too much final weight waits to be sealed.
    #[error("sealing-backlog-full")]
    BacklogFull,
    /// Its scripts ask for more work than its size allows.
    #[error("bad-txns-too-much-script-work")]
    TooMuchWork,
}

/// The block that a transaction is judged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockContext {
    /// Its height: tip + 1.
    pub height: Height,
    /// The median-time-past of the tip, in seconds.
    pub median_time_past: u32,
}

/// The limits of one transaction that follow from the genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest weight of a transaction.
    pub transaction_weight: u64,
    /// The largest cost in signature operations of a transaction.
    pub transaction_sigops_cost: u64,
    /// The largest weight of a block.
    pub block_weight: u64,
    /// The largest cost in signature operations of a block.
    pub block_sigops_cost: u64,
}

/// How old a spent output is, as relative locks count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// No relative lock applies to the input: see [`relative_lock_applies`].
    Irrelevant,
    /// Final but unsealed, or waiting in the pool: it counts as standing at tip + 1.
    Unsealed,
    /// Sealed.
    Sealed {
        /// In the block of this height.
        height: Height,
        /// The median-time-past of the block before that one, in seconds.
        median_time_past_before: u32,
    },
}

/// One output that a transaction spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentCoin {
    /// The output.
    pub output: TxOut,
    /// The height of the coinbase that made it, if one did.
    pub coinbase: Option<Height>,
    /// How old it is.
    pub age: Age,
}

/// What the rules found out about a transaction that they accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Inputs less outputs.
    pub fee: Amount,
    /// Its weight.
    pub weight: u64,
    /// What it costs in signature operations.
    pub sigops_cost: u64,
}

impl SkipReason {
    /// Every reason. Its place here is its encoding: new ones go to the end.
    pub const ALL: [Self; 19] = [
        Self::InputsEmpty,
        Self::OutputsEmpty,
        Self::Oversize,
        Self::OutputNegative,
        Self::OutputTooLarge,
        Self::OutputTotalTooLarge,
        Self::InputsDuplicate,
        Self::InputNull,
        Self::Coinbase,
        Self::NonFinal,
        Self::NonBip68Final,
        Self::InputsMissingOrSpent,
        Self::PrematureCoinbaseSpend,
        Self::InputValuesOutOfRange,
        Self::InBelowOut,
        Self::TooManySigops,
        Self::Script,
        Self::BacklogFull,
        Self::TooMuchWork,
    ];
}

impl Encode for SkipReason {
    fn encode(&self, writer: &mut Writer) {
        let place = Self::ALL.iter().position(|reason| reason == self);
        let place = place.and_then(|place| u8::try_from(place).ok());
        writer.u8(place.unwrap_or(u8::MAX));
    }
}

impl Decode for SkipReason {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = reader.u8()?;
        let reason = Self::ALL.get(usize::from(tag)).copied();
        reason.ok_or(DecodeError::UnknownTag { what: "skip reason", tag })
    }
}

impl Limits {
    /// The limits that follow from the largest block weight, when a coinbase may cost up to
    /// `coinbase_sigops_cost`.
    pub fn new(block_weight: u64, coinbase_sigops_cost: u64) -> Self {
        let block_sigops_cost = block_weight.saturating_mul(SIGOPS_COST_CORE) / BLOCK_WEIGHT_CORE;
        Self {
            transaction_weight: block_weight.saturating_sub(BLOCK_RESERVED_WEIGHT),
            transaction_sigops_cost: block_sigops_cost.saturating_sub(coinbase_sigops_cost),
            block_weight,
            block_sigops_cost,
        }
    }
}

/// Checks everything that needs no other transaction, no state and no witness.
///
/// # Errors
/// In Core's words; no transaction with this txid can ever become valid.
pub fn check_transaction(transaction: &Transaction, limits: &Limits) -> Result<(), SkipReason> {
    if transaction.input.is_empty() {
        return Err(SkipReason::InputsEmpty);
    }
    if transaction.output.is_empty() {
        return Err(SkipReason::OutputsEmpty);
    }
    // Like everything here this looks past the witness, so that it holds for a txid.
    let stripped = u64::try_from(transaction.base_size()).unwrap_or(u64::MAX);
    if stripped.saturating_mul(WITNESS_SCALE) > limits.transaction_weight {
        return Err(SkipReason::Oversize);
    }
    check_output_values(transaction)?;
    let mut seen = BTreeSet::new();
    let mut named = transaction.input.iter().map(|input| input.previous_output);
    if transaction.input.len() > 1 && !named.all(|outpoint| seen.insert(outpoint)) {
        return Err(SkipReason::InputsDuplicate);
    }
    if transaction.is_coinbase() {
        return Err(SkipReason::Coinbase);
    }
    if transaction.input.iter().any(|input| input.previous_output.is_null()) {
        return Err(SkipReason::InputNull);
    }
    Ok(())
}

fn check_output_values(transaction: &Transaction) -> Result<(), SkipReason> {
    let mut total = 0_u64;
    for output in &transaction.output {
        let value = output.value.to_sat();
        if i64::try_from(value).is_err() {
            return Err(SkipReason::OutputNegative);
        }
        if output.value > Amount::MAX_MONEY {
            return Err(SkipReason::OutputTooLarge);
        }
        total = total.saturating_add(value);
        if total > Amount::MAX_MONEY.to_sat() {
            return Err(SkipReason::OutputTotalTooLarge);
        }
    }
    Ok(())
}

/// Whether the lock time is reached: BIP 65's counterpart in the transaction itself, by BIP 113's
/// clock.
///
/// # Errors
/// When it is not.
pub fn check_finality(transaction: &Transaction, context: &BlockContext) -> Result<(), SkipReason> {
    let lock = transaction.lock_time.to_consensus_u32();
    let reached = if lock < LOCKTIME_THRESHOLD {
        lock < context.height.value()
    } else {
        lock < context.median_time_past
    };
    if lock == 0 || reached || !transaction.is_lock_time_enabled() {
        Ok(())
    } else {
        Err(SkipReason::NonFinal)
    }
}

/// Whether BIP 68 gives the input with this place a relative lock, so that its coin's [`Age`]
/// matters.
pub fn relative_lock_applies(transaction: &Transaction, input: usize) -> bool {
    // Versions are signed in the library and unsigned to BIP 68 as Core enforces it.
    let version = transaction.version.0.cast_unsigned();
    let sequence = transaction.input.get(input).map(|input| input.sequence.0);
    version >= 2 && sequence.is_some_and(|sequence| sequence & SEQUENCE_DISABLED == 0)
}

fn check_relative_lock(sequence: u32, age: Age, context: &BlockContext) -> Result<(), SkipReason> {
    let (height, median_time_past_before) = match age {
        Age::Irrelevant => return Ok(()),
        Age::Unsealed => (context.height, context.median_time_past),
        Age::Sealed { height, median_time_past_before } => (height, median_time_past_before),
    };
    let count = sequence & SEQUENCE_MASK;
    let reached = if sequence & SEQUENCE_IS_TIME == 0 {
        u64::from(context.height.value()) >= u64::from(height.value()) + u64::from(count)
    } else {
        let wait = u64::from(count) << SEQUENCE_TIME_SHIFT;
        u64::from(context.median_time_past) >= u64::from(median_time_past_before) + wait
    };
    if reached { Ok(()) } else { Err(SkipReason::NonBip68Final) }
}

/// Checks a transaction that has passed [`check_transaction`] against the outputs that it spends,
/// one a input, in the order of the inputs. Scripts are not run.
///
/// # Errors
/// In Core's words; the transaction may become valid later.
pub fn check_inputs(
    transaction: &Transaction,
    coins: &[SpentCoin],
    context: &BlockContext,
    limits: &Limits,
) -> Result<Judgement, SkipReason> {
    if coins.len() != transaction.input.len() {
        return Err(SkipReason::InputsMissingOrSpent);
    }
    check_finality(transaction, context)?;
    let mut total = 0_u64;
    for (place, (input, coin)) in transaction.input.iter().zip(coins).enumerate() {
        if relative_lock_applies(transaction, place) {
            check_relative_lock(input.sequence.0, coin.age, context)?;
        }
        if let Some(made) = coin.coinbase
            && context.height.distance_from(made) < COINBASE_MATURITY
        {
            return Err(SkipReason::PrematureCoinbaseSpend);
        }
        total = total.saturating_add(coin.output.value.to_sat());
        if coin.output.value > Amount::MAX_MONEY || total > Amount::MAX_MONEY.to_sat() {
            return Err(SkipReason::InputValuesOutOfRange);
        }
    }
    let spent = transaction.output.iter().map(|output| output.value.to_sat());
    let spent = spent.fold(0_u64, u64::saturating_add);
    let fee = total.checked_sub(spent).ok_or(SkipReason::InBelowOut)?;
    let weight = transaction.weight().to_wu();
    if weight > limits.transaction_weight {
        return Err(SkipReason::Oversize);
    }
    let spent: Vec<&TxOut> = coins.iter().map(|coin| &coin.output).collect();
    let sigops_cost = check_script_cost(transaction, &spent, limits)?;
    Ok(Judgement { fee: Amount::from_sat(fee), weight, sigops_cost })
}

/// Checks what the scripts of a transaction can cost that spends these outputs, before they run.
/// Gives its cost in signature operations.
///
/// # Errors
/// When they can cost too much.
pub(crate) fn check_script_cost(
    transaction: &Transaction,
    spent: &[&TxOut],
    limits: &Limits,
) -> Result<u64, SkipReason> {
    let sigops_cost = sigops::cost(transaction, spent.iter().copied());
    if sigops_cost > limits.transaction_sigops_cost {
        return Err(SkipReason::TooManySigops);
    }
    if work::is_excessive(transaction, spent) {
        return Err(SkipReason::TooMuchWork);
    }
    Ok(sigops_cost)
}

/// What the ledger knows about an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It can be spent.
    Coin(SpentCoin),
    /// A final transaction has spent it.
    Spent {
        /// Which one.
        by: bitcoin::Txid,
    },
    /// No final transaction has made it, yet.
    Missing,
}

/// Finds an output in the written state. `with_age` asks for its age, which costs more reads and
/// matters only where [`relative_lock_applies`].
///
/// # Errors
/// When the store fails.
pub fn lookup(
    read: &dyn TableRead,
    outpoint: &OutPoint,
    with_age: bool,
) -> Result<Lookup, TableFault> {
    Overlay::new(read).lookup(outpoint, with_age)
}
