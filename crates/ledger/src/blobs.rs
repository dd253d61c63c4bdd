//! What the ledger knows of blobs, and which requests it grants.
//!
//! A transaction asks by one output, `OP_RETURN` with the 53 bytes of a [`BlobReference`]. Whatever
//! becomes of what it asks for, the transaction itself is judged by Bitcoin's rules alone: a request
//! is refused by an event with the reason, and nothing else follows.
//!
//! **Invariant:** a row changes in a commit only, and every change of it is in the hash of the past,
//! which checkpoints carry. So a snapshot proves what is known of blobs.
//!
//! Source: `docs/blobs.md`, On the chain.

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::Txid;
use types::Decode as _;
use types::Genesis;
use types::Height;
use types::blob::BlobOperation;
use types::blob::BlobReference;
use types::blob::BlobRefusal;
use types::genesis::BlobParameters;

use crate::overlay::is_unspendable;

mod row;

pub use row::BlobCertificate;
pub use row::BlobEnd;
pub use row::BlobEnding;
pub use row::BlobRow;
pub use row::ValidatorSet;

/// How many blobs one block lets expire; the others follow with the next block. A blob counts as
/// ended from its end on, whether its event is there or not.
pub const BLOB_EXPIRIES_PER_BLOCK_MAX: usize = 1_024;
/// Which output of a transaction is the handle of the blob that it registers or extends.
pub const HANDLE_OUTPUT: u32 = 1;

/// `OP_RETURN` and a push of as many bytes as a reference has.
const SCRIPT_START: [u8; 2] = [0x6a, 53];
const OP_RETURN: u8 = 0x6a;

/// What a genesis says about blobs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlobRules {
    validators: u16,
    parameters: BlobParameters,
}

/// A transaction that is final and asks for something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) reference: &'a BlobReference,
    pub(crate) transaction: &'a Transaction,
    pub(crate) fee_sat: u64,
    /// The tip's height.
    pub(crate) height: Height,
}

impl BlobRules {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let validators = u16::try_from(genesis.validators.len()).unwrap_or(u16::MAX);
        Self { validators, parameters: genesis.blobs }
    }

    /// Whether the request is granted, `known` being what is known of its blob.
    ///
    /// # Errors
    /// Says why not.
    pub(crate) fn judge(
        &self,
        request: &Request<'_>,
        known: Option<&BlobRow>,
    ) -> Result<(), BlobRefusal> {
        if known.is_some_and(|row| row.is_inconsistent()) {
            return Err(BlobRefusal::Inconsistent);
        }
        let live = known.filter(|row| row.is_live(request.height));
        match (request.reference.operation, live) {
            (BlobOperation::Register, Some(row)) => {
                Err(BlobRefusal::Known { end_height: row.end_height })
            }
            (BlobOperation::Register, None) => self.judge_registration(request),
            (BlobOperation::Extend | BlobOperation::Delete, None) => Err(BlobRefusal::Unknown),
            (BlobOperation::Extend, Some(row)) => {
                check_owner(request, row)?;
                check_handle(request.transaction)?;
                self.check_end(request, row.end_height)?;
                self.check_price(request, row.end_height)
            }
            (BlobOperation::Delete, Some(row)) => check_owner(request, row),
        }
    }

    fn judge_registration(&self, request: &Request<'_>) -> Result<(), BlobRefusal> {
        let layout = &request.reference.layout;
        let (expected, actual) = (self.validators, layout.shards().value());
        if expected != actual {
            return Err(BlobRefusal::Shards { expected, actual });
        }
        let (limit, actual) = (self.parameters.length_max, layout.length());
        if actual > limit {
            return Err(BlobRefusal::Length { limit, actual });
        }
        check_handle(request.transaction)?;
        self.check_end(request, request.height)?;
        self.check_price(request, request.height)
    }

    fn check_end(&self, request: &Request<'_>, above: Height) -> Result<(), BlobRefusal> {
        let end_height = request.reference.end_height;
        if end_height <= above {
            return Err(BlobRefusal::Ended { end_height, height: above });
        }
        let limit = request.height.saturating_add(self.parameters.ticks_max);
        if end_height > limit {
            return Err(BlobRefusal::TooFar { end_height, limit });
        }
        Ok(())
    }

    /// The price is for the ticks between `from` and the end that is asked for.
    fn check_price(&self, request: &Request<'_>, from: Height) -> Result<(), BlobRefusal> {
        let ticks = request.reference.end_height.distance_from(from);
        let encoded = request.reference.layout.encoded_length();
        let price_sat = self.parameters.price_sat(encoded, ticks);
        let fee_sat = request.fee_sat;
        if fee_sat < price_sat {
            return Err(BlobRefusal::Unpaid { price_sat, fee_sat });
        }
        Ok(())
    }
}

fn check_owner(request: &Request<'_>, row: &BlobRow) -> Result<(), BlobRefusal> {
    if request.reference.layout != row.layout {
        return Err(BlobRefusal::Layout);
    }
    let mut inputs = request.transaction.input.iter();
    match inputs.any(|input| input.previous_output == row.handle) {
        true => Ok(()),
        false => Err(BlobRefusal::Owner),
    }
}

fn check_handle(transaction: &Transaction) -> Result<(), BlobRefusal> {
    let place = usize::try_from(HANDLE_OUTPUT).unwrap_or(usize::MAX);
    let handle = transaction.output.get(place);
    match handle.is_some_and(|output| !is_unspendable(&output.script_pubkey)) {
        true => Ok(()),
        false => Err(BlobRefusal::Handle),
    }
}

/// The handle that a transaction makes.
pub(crate) const fn handle(txid: Txid) -> OutPoint {
    OutPoint { txid, vout: HANDLE_OUTPUT }
}

/// What a transaction asks for, if it asks for anything: it has one output of data, and that holds a
/// reference in its one encoding.
pub fn reference(transaction: &Transaction) -> Option<BlobReference> {
    let outputs = transaction.output.iter().map(|output| output.script_pubkey.as_bytes());
    let mut data = outputs.filter(|script| script.first() == Some(&OP_RETURN));
    let (Some(script), None) = (data.next(), data.next()) else { return None };
    BlobReference::from_bytes(script.strip_prefix(&SCRIPT_START)?).ok()
}
