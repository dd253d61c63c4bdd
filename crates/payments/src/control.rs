//! How commands reach a running daemon: lines of JSON over a Unix socket that only its owner may use.
//!
//! A request is one line, `{"v":1,"request":..}`; the answer is one line, `{"ok":..}` or
//! `{"error":..}`, or many where the request asks to follow. The version changes when a field changes
//! its meaning.

mod caller;
mod server;

use serde::Deserialize;
use serde::Serialize;

use crate::Msat;
use crate::PaymentsError;

pub use caller::Caller;
pub use caller::Follow;
pub use caller::socket_path;
pub(crate) use server::Asked;
pub(crate) use server::listen;
pub(crate) use server::serve;

/// The version of the protocol.
pub const VERSION: u16 = 1;
/// The longest line, either way.
pub(crate) const LINE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// One line to a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The version that the caller speaks.
    pub v: u16,
    /// What is asked.
    pub request: Request,
}

/// What a daemon can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How the daemon is.
    Status,
    /// A new address for coins.
    Address,
    /// What the wallet owns.
    Balance,
    /// Pays coins to an address.
    Send {
        /// To whom.
        address: String,
        /// How much; everything when absent.
        amount_sat: Option<u64>,
    },
    /// A way to be paid.
    Receive(Receive),
    /// Pays an offer or an invoice.
    Pay {
        /// The offer or invoice.
        to: String,
        /// How much, where it leaves that open.
        amount_msat: Option<Msat>,
        /// A word to the recipient.
        note: Option<String>,
        /// Only say what it would be.
        preview: bool,
        /// Pay although the same is on its way already.
        again: bool,
    },
    /// All payments; with `follow` every news from then on too.
    Payments {
        /// Whether to go on.
        follow: bool,
    },
    /// The channels.
    Channels,
    /// Opens a channel to the service provider, from the wallet's coins.
    OpenChannel {
        /// How large.
        amount_sat: u64,
    },
    /// Closes a channel; the money becomes coins again.
    CloseChannel {
        /// Which one, as the list of channels names it.
        channel_id: String,
        /// Without the other side's consent.
        force: bool,
    },
    /// Stops the daemon once what is on its way is safe.
    Stop,
}

/// A way to be paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Receive {
    /// A reusable offer that is good while this wallet is off.
    Offer,
    /// An invoice for one payment, which this wallet has to be on for. A wallet that can not take so
    /// much yet gets a channel with the payment.
    Invoice {
        /// How much; open when absent.
        amount_msat: Option<Msat>,
        /// What the payer reads.
        description: String,
    },
}

/// One line from a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What was asked for.
    Ok(serde_json::Value),
    /// It can not be done.
    Error(Refusal),
}

/// Why a daemon does not do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What a program decides by.
    pub code: Code,
    /// What is wrong.
    pub reason: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request can not be read.
    Malformed,
    /// The request is of another version.
    Version,
    /// There is no such thing.
    NotFound,
    /// The money does not suffice.
    Funds,
    /// It is not possible yet; later it is.
    NotReady,
    /// The same payment is on its way already.
    Pending,
    /// Too many ask at one time.
    Busy,
    /// The daemon is stopping.
    Stopping,
    /// LDK, the node or the service provider refuses.
    Refused,
}

impl Refusal {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<Refusal> for PaymentsError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, reason, hint } = refusal;
        Self::Refused { code, reason, hint }
    }
}

impl From<PaymentsError> for Refusal {
    fn from(error: PaymentsError) -> Self {
        match error {
            PaymentsError::Refused { code, reason, hint } => Self { code, reason, hint },
            PaymentsError::Ldk(ldk_node::NodeError::InsufficientFunds) => {
                Self::new(Code::Funds, "the money does not suffice")
            }
            other => Self::new(Code::Refused, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_and_unknown_fields_are_refused() {
        let line = r#"{"v":1,"request":{"pay":{"to":"lno1","amount_msat":5000,"note":null,"preview":false,"again":false}}}"#;
        let envelope: Envelope = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&envelope).unwrap(), line);
        let status: Envelope = serde_json::from_str(r#"{"v":1,"request":"status"}"#).unwrap();
        assert_eq!(status.request, Request::Status);
        for line in [
            r#"{"v":1,"request":{"payments":{"follow":true,"more":1}}}"#,
            r#"{"v":1,"request":"status","more":1}"#,
            r#"{"v":1,"request":"steal"}"#,
        ] {
            assert!(serde_json::from_str::<Envelope>(line).is_err(), "{line}");
        }
    }
}
