//! What can go wrong between a caller and a node, told so that the caller knows what to do next.

use crate::api::ErrorCode;

/// Why a call did not give its answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not one that this client can call.
    #[error("{url} is not a node's address: {reason}; write it like http://127.0.0.1:3000")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No node answers there. The call may have had its effect all the same.
    #[error("no answer from {url}: {reason}; is the node running, and is this its address?")]
    Unreachable {
        /// What was called.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The node was too slow. The call may have had its effect all the same.
    #[error(
        "{url} gave no answer within {deadline_ms} ms; ask again, repeating a call is harmless"
    )]
    Late {
        /// What was called.
        url: String,
        /// How long this client waited.
        deadline_ms: u64,
    },
    /// The node refused the call.
    #[error("{}", refusal(reason, hint.as_deref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What a program decides by.
        code: ErrorCode,
        /// What happened, in Core's words where it has some.
        reason: String,
        /// What to do next, as the node says.
        hint: Option<String>,
        /// How long the node asks to wait before the next try.
        retry_after_s: Option<u64>,
    },
    /// The answer is not what this client can read.
    #[error("{url} gave an answer that can not be read: {reason}; is it a Meanwhile node?")]
    Malformed {
        /// What was called.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer is larger than this client takes.
    #[error("{url} gave more than {limit_bytes} bytes")]
    TooLarge {
        /// What was called.
        url: String,
        /// How much this client takes.
        limit_bytes: usize,
    },
}

impl ClientError {
    /// Whether the same call may succeed later without any change.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Late { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::BadUrl { .. } | Self::Malformed { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// Whether the node says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

fn refusal(reason: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{reason}; {hint}"),
        None => reason.to_owned(),
    }
}
