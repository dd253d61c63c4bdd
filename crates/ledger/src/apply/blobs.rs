//! What a commit does to blobs: requests of final transactions, statements of validators, and what a
//! block lets expire.

use bitcoin::Amount;
use bitcoin::Txid;
use bitcoin::hashes::Hash as _;
use types::Author;
use types::BitcoinHash;
use types::Height;
use types::blob::BlobChange;
use types::blob::BlobClaim;
use types::blob::BlobId;
use types::blob::BlobOperation;
use types::blob::BlobOutcome;
use types::blob::BlobReference;
use types::blob::BlobStatement;
use types::table::TableFault;

use super::Step;
use crate::batch::PreparedTransaction;
use crate::blobs;
use crate::blobs::BLOB_EXPIRIES_PER_BLOCK_MAX;
use crate::blobs::BlobCertificate;
use crate::blobs::BlobEnd;
use crate::blobs::BlobEnding;
use crate::blobs::BlobRow;
use crate::blobs::Request;
use crate::blobs::ValidatorSet;
use crate::event::EventKind;

impl Step<'_> {
    /// Grants or refuses what a transaction asks for that has just become final.
    pub(super) fn blob_request(
        &mut self,
        prepared: &PreparedTransaction,
        fee: Amount,
    ) -> Result<(), TableFault> {
        let Some(reference) = blobs::reference(&prepared.transaction) else { return Ok(()) };
        let known = self.overlay.blob(&reference.blob)?;
        let request = Request {
            reference: &reference,
            transaction: &prepared.transaction,
            fee_sat: fee.to_sat(),
            height: self.state.height,
        };
        let granted = self.parameters.blobs.judge(&request, known.as_ref());
        if let Err(reason) = granted {
            let change = BlobChange::Refused { reason };
            self.blob_outcome(reference.blob, prepared.txid, change);
            return Ok(());
        }
        match (reference.operation, known) {
            (BlobOperation::Register, known) => self.register(&reference, known, prepared.txid),
            (BlobOperation::Extend, Some(row)) => self.extend(&reference, row, prepared.txid),
            (BlobOperation::Delete, Some(row)) => {
                self.end_blob(reference.blob, row, BlobEnding::Deleted);
            }
            // Judging has refused what is not known.
            (BlobOperation::Extend | BlobOperation::Delete, None) => {}
        }
        Ok(())
    }

    fn register(&mut self, reference: &BlobReference, known: Option<BlobRow>, txid: Txid) {
        let end_height = reference.end_height;
        let row = BlobRow {
            // The event that tells of it comes right below.
            registration: self.state.last_event + 1,
            registered_by: txid,
            registered_in: self.batch.index,
            handle: blobs::handle(txid),
            layout: reference.layout,
            end_height,
            held_by: ValidatorSet::default(),
            disputed_by: ValidatorSet::default(),
            certified: None,
            ended: None,
        };
        self.set_blob(reference.blob, known.as_ref(), row);
        self.blob_outcome(reference.blob, txid, BlobChange::Registered { end_height });
    }

    fn extend(&mut self, reference: &BlobReference, known: BlobRow, txid: Txid) {
        let end_height = reference.end_height;
        let mut row = BlobRow { handle: blobs::handle(txid), end_height, ..known };
        if let Some(certificate) = &mut row.certified {
            certificate.newest = self.batch.index;
        }
        self.set_blob(reference.blob, Some(&known), row);
        let registered_by = known.registered_by;
        self.blob_outcome(reference.blob, registered_by, BlobChange::Extended { end_height });
        if row.certified.is_some() {
            self.blob_outcome(reference.blob, registered_by, BlobChange::Certified { end_height });
        }
    }

    /// Counts what a validator says. What is not about a live registration says nothing.
    pub(super) fn blob_statement(
        &mut self,
        author: Author,
        statement: &BlobStatement,
    ) -> Result<(), TableFault> {
        let known = self.overlay.blob(&statement.blob)?.filter(|row| {
            row.registration == statement.registration
                && row.is_live(self.state.height)
                && author.value() < row.layout.shards().value()
        });
        let Some(known) = known else {
            self.applied.ignored += 1;
            return Ok(());
        };
        let mut row = known;
        let is_new = match statement.claim {
            BlobClaim::Held => row.held_by.insert(author),
            BlobClaim::Inconsistent => row.disputed_by.insert(author),
        };
        if !is_new {
            self.applied.repeated += 1;
            return Ok(());
        }
        match statement.claim {
            BlobClaim::Held => self.acknowledged(statement.blob, &known, row),
            BlobClaim::Inconsistent => self.disputed(statement.blob, &known, row),
        }
        Ok(())
    }

    fn acknowledged(&mut self, blob: BlobId, known: &BlobRow, mut row: BlobRow) {
        let is_certified = row.held_by.count() >= row.layout.shards().certify();
        let is_first = row.certified.is_none() && is_certified;
        if is_first {
            let commit = self.batch.index;
            row.certified = Some(BlobCertificate { first: commit, newest: commit });
        }
        self.set_blob(blob, Some(known), row);
        if is_first {
            let change = BlobChange::Certified { end_height: row.end_height };
            self.blob_outcome(blob, row.registered_by, change);
        }
    }

    fn disputed(&mut self, blob: BlobId, known: &BlobRow, row: BlobRow) {
        self.set_blob(blob, Some(known), row);
        let statements = row.disputed_by.count();
        if statements == 1 {
            self.blob_outcome(blob, row.registered_by, BlobChange::Disputed);
        }
        if statements >= row.layout.shards().invalidate() {
            self.end_blob(blob, row, BlobEnding::Invalid);
        }
    }

    /// Ends the blobs whose time is over at this height.
    pub(super) fn expire_blobs(&mut self, height: Height) -> Result<(), TableFault> {
        for blob in self.overlay.blobs_due(height, BLOB_EXPIRIES_PER_BLOCK_MAX)? {
            if let Some(row) = self.overlay.blob(&blob)? {
                self.end_blob(blob, row, BlobEnding::Expired);
            }
        }
        Ok(())
    }

    fn end_blob(&mut self, blob: BlobId, known: BlobRow, ending: BlobEnding) {
        let end = BlobEnd { ending, commit: self.batch.index, height: self.state.height };
        self.set_blob(blob, Some(&known), BlobRow { ended: Some(end), ..known });
        self.blob_outcome(blob, known.registered_by, ending.change());
    }

    fn set_blob(&mut self, blob: BlobId, before: Option<&BlobRow>, after: BlobRow) {
        self.hashes.change_blob(&blob, before, &after);
        self.overlay.set_blob(blob, before, after);
    }

    fn blob_outcome(&mut self, blob: BlobId, by: Txid, change: BlobChange) {
        let registered_by = BitcoinHash::new(by.to_byte_array());
        let outcome = BlobOutcome { blob, registered_by, commit: self.batch.index, change };
        let leaf = outcome.leaf();
        self.state.block_results.push_leaf(leaf);
        self.state.checkpoint_results.push_leaf(leaf);
        self.applied.blobs.push(outcome);
        self.overlay.add_event(&mut self.state, self.batch.index, EventKind::Blob(outcome));
    }
}
