//! Keys without a dealer: the operators of a network make the common coin's key together, over
//! files, and nobody ever holds the group's secret.
//!
//! Source: `docs/ceremony.md`. It is joint Feldman: each operator deals a polynomial of degree f of
//! its own, with public commitments to its coefficients and an encrypted share for each operator;
//! the coin's polynomial is the sum of the good ones. Rounds: a [`Plan`] of [`Card`]s, a
//! [`Dealing`] and a [`Response`] of each operator, and the [`Transcript`] of all, from which
//! anybody computes the [`Genesis`](crate::Genesis).
//!
//! **Invariants:** a transcript has one outcome, whoever computes it; a dealing counts exactly when
//! every honest operator's share of it fits; what an operator signs names the plan, so nothing can
//! be taken from one ceremony into another.

mod card;
mod dealing;
mod error;
mod plan;
mod proof;
mod response;
#[cfg(test)]
mod tests;
mod transcript;

use alloc::vec::Vec;

pub use card::CARD_NAME_BYTES_MAX;
pub use card::Card;
pub use card::CardDetails;
pub use card::CardFault;
pub use card::CeremonySecret;
pub use dealing::Commitments;
pub use dealing::DEALING_VERSION;
pub use dealing::Dealing;
pub use dealing::DealingFault;
pub use error::CeremonyError;
pub use error::Operator;
pub use plan::CheckedPlan;
pub use plan::PLAN_VERSION;
pub use plan::Plan;
pub use proof::HexArray;
pub use proof::Proof;
pub use response::Complaint;
pub use response::Received;
pub use response::Response;
pub use response::Verdict;
pub use transcript::Excluded;
pub use transcript::Exclusion;
pub use transcript::FalseComplaint;
pub use transcript::Outcome;
pub use transcript::TRANSCRIPT_VERSION;
pub use transcript::Transcript;

use crate::digest::Digest;
use crate::keys::PublicKey;
use crate::keys::SecretKey;
use crate::keys::Signature;

/// What an operator signs: the domain's text and a digest.
fn signing_bytes(domain: &'static str, digest: &Digest) -> Vec<u8> {
    [domain.as_bytes(), digest.as_bytes()].concat()
}

fn sign(domain: &'static str, digest: &Digest, key: &SecretKey) -> HexArray<64> {
    HexArray(*key.sign(&signing_bytes(domain, digest)).as_bytes())
}

fn is_signed(
    domain: &'static str,
    digest: &Digest,
    key: &PublicKey,
    signature: &HexArray<64>,
) -> bool {
    key.verify(&signing_bytes(domain, digest), &Signature::new(signature.0)).is_ok()
}
