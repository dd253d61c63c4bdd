//! What each payment has come to, kept durably, and told once.
//!
//! LDK repeats events after a restart. The journal is where a repetition ends: a payment moves along
//! the states of [`State`] and never back, each move is one synced line of JSON at the end of a file,
//! and only a move is told. A line that a power cut tore is dropped; whatever it said is learned from
//! LDK again.
//!
//! **Invariant:** a move is on disk before anybody hears of it, and before LDK hears that its event is
//! handled. A state that ends a payment is never left.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::Msat;
use crate::PaymentsError;
use crate::lock;

/// A file that has so many times more lines than payments is written anew when it is opened.
const LINES_PER_PAYMENT_MAX: usize = 4;
const PRIVATE: u32 = 0o600;

/// Which way the money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To somebody else.
    Outbound,
    /// To us.
    Inbound,
}

/// What a payment has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// On its way from this wallet: going offline now may lose it, though never the money.
    Sending,
    /// The service provider holds it for the recipient: it is safe to go offline.
    Held,
    /// The recipient has the money.
    Claimed,
    /// It was held, nobody claimed it, and the money is back.
    Returned,
    /// The money is ours.
    Received,
    /// It never left, or never arrived.
    Failed,
}

/// The block by which a held payment has to be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimBy {
    /// The last height at which the recipient may claim it.
    pub height: u32,
    /// About when that is, in seconds since 1970, if blocks come as they came lately. A network that
    /// stalls moves it further away.
    pub about_unix_s: u64,
}

/// One payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// What names it, in hex.
    pub payment_id: String,
    /// Which way the money goes.
    pub direction: Direction,
    /// How much the recipient gets.
    pub amount_msat: Msat,
    /// What it cost beyond that, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_msat: Option<Msat>,
    /// What it has come to.
    pub state: State,
    /// Until when it is held, while it is.
    pub claim_by: Option<ClaimBy>,
    /// The hash of the secret that pays it out, once it is known, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_hash: Option<String>,
    /// The offer that was paid, by its hash, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why it did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it came to this, in milliseconds since 1970.
    pub updated_ms: u64,
}

/// All payments of one wallet.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    payments: BTreeMap<String, Payment>,
    /// The identifiers in the order in which the payments began.
    order: Vec<String>,
}

impl State {
    /// Whether the payment has come to its end.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Claimed | Self::Returned | Self::Received | Self::Failed)
    }

    /// The name as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Held => "held",
            Self::Claimed => "claimed",
            Self::Returned => "returned",
            Self::Received => "received",
            Self::Failed => "failed",
        }
    }
}

impl Journal {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When the file system refuses, or a line that is not the last says something else.
    pub fn open(path: &Path) -> Result<Self, PaymentsError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(PaymentsError::at(path, source)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let (lines, torn) = text.split_at(whole);
        let mut payments = BTreeMap::new();
        let mut order = Vec::new();
        let mut count = 0_usize;
        for line in lines.lines() {
            let payment: Payment = serde_json::from_str(line).map_err(|error| {
                let reason = format!("line {}: {error}", count + 1);
                PaymentsError::Contents { path: path.to_owned(), reason }
            })?;
            if !payments.contains_key(&payment.payment_id) {
                order.push(payment.payment_id.clone());
            }
            payments.insert(payment.payment_id.clone(), payment);
            count += 1;
        }
        if !torn.is_empty() || count > payments.len().saturating_mul(LINES_PER_PAYMENT_MAX) {
            let rows = order.iter().filter_map(|id| payments.get(id));
            let lines: Result<Vec<String>, _> = rows.map(line).collect();
            lock::replace(path, lines?.concat().as_bytes(), PRIVATE)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path);
        let file = file.map_err(|source| PaymentsError::at(path, source))?;
        Ok(Self { path: path.to_owned(), file, payments, order })
    }

    /// One payment.
    pub fn payment(&self, payment_id: &str) -> Option<&Payment> {
        self.payments.get(payment_id)
    }

    /// All payments, the oldest first.
    pub fn payments(&self) -> impl DoubleEndedIterator<Item = &Payment> {
        self.order.iter().filter_map(|id| self.payments.get(id))
    }

    /// Notes what a payment has come to. Gives it back when that is news, after it is on disk; a
    /// repetition, and whatever would lead back, is none.
    ///
    /// # Errors
    /// When the file system refuses. The daemon has to stop then: what was written is not known.
    pub fn record(&mut self, payment: Payment) -> Result<Option<Payment>, PaymentsError> {
        let known = self.payments.get(&payment.payment_id);
        if let Some(known) = known {
            let back = payment.state < known.state || known.state.is_end();
            let same = payment.state == known.state && payment.claim_by == known.claim_by;
            if back || same {
                return Ok(None);
            }
        }
        let line = line(&payment)?;
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| PaymentsError::at(&self.path, source))?;
        if known.is_none() {
            self.order.push(payment.payment_id.clone());
        }
        self.payments.insert(payment.payment_id.clone(), payment.clone());
        Ok(Some(payment))
    }
}

fn line(payment: &Payment) -> Result<String, PaymentsError> {
    serde_json::to_string(payment)
        .map(|text| text + "\n")
        .map_err(|error| PaymentsError::Answer { reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(name: &str, state: State) -> Payment {
        Payment {
            payment_id: name.to_owned(),
            direction: Direction::Outbound,
            amount_msat: Msat::new(5_000),
            fee_msat: None,
            state,
            claim_by: None,
            payment_hash: None,
            to: None,
            reason: None,
            created_ms: 1,
            updated_ms: 2,
        }
    }

    #[test]
    fn a_move_is_told_once_even_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("payments.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        assert!(journal.record(payment("a", State::Sending)).unwrap().is_some());
        assert!(journal.record(payment("a", State::Held)).unwrap().is_some());
        assert!(journal.record(payment("a", State::Held)).unwrap().is_none());
        drop(journal);

        let mut journal = Journal::open(&path).unwrap();
        assert!(journal.record(payment("a", State::Held)).unwrap().is_none());
        assert!(journal.record(payment("a", State::Claimed)).unwrap().is_some());
        assert!(journal.record(payment("a", State::Claimed)).unwrap().is_none());
    }

    #[test]
    fn no_payment_moves_back_or_out_of_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("payments.jsonl")).unwrap();
        journal.record(payment("a", State::Held)).unwrap();
        assert!(journal.record(payment("a", State::Sending)).unwrap().is_none());
        journal.record(payment("a", State::Claimed)).unwrap();
        for state in [State::Sending, State::Held, State::Returned, State::Failed] {
            assert!(journal.record(payment("a", state)).unwrap().is_none(), "{state:?}");
        }
        assert_eq!(journal.payment("a").unwrap().state, State::Claimed);
    }

    #[test]
    fn a_torn_line_is_dropped_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("payments.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.record(payment("a", State::Sending)).unwrap();
        journal.record(payment("b", State::Sending)).unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in first..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut journal = Journal::open(&path).unwrap();
            assert_eq!(journal.payments().count(), 1, "cut at {cut}");
            assert!(journal.record(payment("b", State::Sending)).unwrap().is_some());
            drop(journal);
            assert_eq!(Journal::open(&path).unwrap().payments().count(), 2, "cut at {cut}");
        }
    }

    #[test]
    fn a_long_file_is_written_anew_with_the_same_contents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("payments.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        for height in 0..20 {
            let claim_by = Some(ClaimBy { height, about_unix_s: 0 });
            journal.record(Payment { claim_by, ..payment("a", State::Held) }).unwrap();
        }
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
        assert_eq!(journal.payment("a").unwrap().claim_by.unwrap().height, 19);
    }
}
