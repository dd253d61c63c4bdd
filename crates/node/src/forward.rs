//! A follower proposes nothing: what is submitted there goes on to a validator, and the
//! validator's answer comes back.
//!
//! **Invariant:** the validators are asked in the configured order, one after the other; only one
//! that gives no answer is passed over. Handing a transaction over twice is harmless.

use bitcoin::Transaction;
use client::ClientError;
use client::api::ErrorCode;
use client::api::TxState;

use crate::config::Forwarding;
use crate::handle::Rejection;
use crate::handle::SubmitError;

/// Hands a transaction on. Cancel safe: whoever goes away only misses the answer.
///
/// # Errors
/// What the validator refuses it for, or that none answers.
pub(crate) async fn submit(
    forwarding: &Forwarding,
    transaction: &Transaction,
) -> Result<TxState, SubmitError> {
    if forwarding.clients.is_empty() {
        return Err(SubmitError::Follower);
    }
    let mut busy = false;
    for client in &forwarding.clients {
        let error = match client.submit(transaction).await {
            Ok(submitted) => return Ok(submitted.status),
            Err(error) => error,
        };
        match error {
            ClientError::Refused { code: ErrorCode::Refused, reason, .. } => {
                return Err(Rejection { reason }.into());
            }
            error if error.is_passing() => {
                busy |= matches!(error, ClientError::Refused { .. });
                tracing::debug!(validator = client.url(), %error, "a submission was not taken");
            }
            error => {
                tracing::warn!(validator = client.url(), %error, "follower.submit_to is of no use");
            }
        }
    }
    Err(if busy { SubmitError::Busy } else { SubmitError::NoValidator })
}
