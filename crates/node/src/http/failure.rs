//! One kind of failure for every route, shown in the way of whoever asked: JSON under `/v1`, one
//! line of text under `/api` as electrs does, a page for people.
//!
//! A handler returns a [`Failure`]; it travels in the response's extensions to the layer that
//! knows how to show it. So timeouts, limits and panics read like everything else.

use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse;
use axum::response::Response;
use client::api::ErrorBody;
use client::api::ErrorCode;
use client::api::ErrorDetail;
use tracing::error;
use types::table::TableFault;

use crate::faucet::FaucetError;
use crate::handle::SubmitError;
use crate::page;

/// How many seconds a client is asked to wait.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What a program decides by.
    pub(crate) code: ErrorCode,
    /// What happened.
    pub(crate) reason: String,
    /// What to do next.
    pub(crate) hint: Option<&'static str>,
}

/// Goes with an answer that is no success and has a body of its own all the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole;

/// In whose way failures are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// `{"error": {"code", "reason", "hint"}}`.
    Json,
    /// One line.
    Text,
    /// A page.
    Page,
}

impl Failure {
    /// The request can not be read.
    pub(crate) fn malformed(reason: impl Into<String>, hint: &'static str) -> Self {
        Self { code: ErrorCode::Malformed, reason: reason.into(), hint: Some(hint) }
    }

    /// There is no such thing.
    pub(crate) fn not_found(reason: impl Into<String>) -> Self {
        Self { code: ErrorCode::NotFound, reason: reason.into(), hint: None }
    }

    /// It is not kept here.
    pub(crate) fn gone(reason: impl Into<String>) -> Self {
        let hint = Some("ask a node that keeps more of the past");
        Self { code: ErrorCode::Gone, reason: reason.into(), hint }
    }

    /// There is no room for it here.
    pub(crate) fn no_room(reason: impl Into<String>) -> Self {
        let hint = Some("ask another validator, or the operator of this one for more room");
        Self { code: ErrorCode::NoRoom, reason: reason.into(), hint }
    }

    /// The node can not do it now.
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        let hint = Some("try again after the time that Retry-After gives");
        Self { code: ErrorCode::Unavailable, reason: reason.into(), hint }
    }

    /// The node did not answer in time.
    pub(crate) fn timeout() -> Self {
        Self {
            code: ErrorCode::Timeout,
            reason: "the answer took too long".to_owned(),
            hint: Some("ask for less at one time, or try again"),
        }
    }

    /// The node failed. What failed is for the log, not for strangers.
    pub(crate) fn internal() -> Self {
        Self {
            code: ErrorCode::Internal,
            reason: "the node failed to answer".to_owned(),
            hint: Some("the node's log says what happened"),
        }
    }

    /// The status line that goes with it.
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            ErrorCode::Malformed | ErrorCode::Refused => StatusCode::BAD_REQUEST,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Gone => StatusCode::GONE,
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::TooMany => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            ErrorCode::Internal | ErrorCode::Other => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What an answer that axum made by itself means, if it is a failure.
    fn of_status(status: StatusCode) -> Option<Self> {
        let (code, reason, hint) = match status {
            StatusCode::NOT_FOUND => (
                ErrorCode::NotFound,
                "there is no such route",
                Some("the routes are listed in docs/api.md"),
            ),
            StatusCode::METHOD_NOT_ALLOWED => (
                ErrorCode::MethodNotAllowed,
                "this route does not take this method",
                Some("the header Allow names the methods that it takes"),
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                (ErrorCode::TooLarge, "the body is too large", Some("send less at one time"))
            }
            _ if status.is_client_error() => {
                (ErrorCode::Malformed, "the request can not be read", None)
            }
            _ if status.is_server_error() => return Some(Self::internal()),
            _ => return None,
        };
        Some(Self { code, reason: reason.to_owned(), hint })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives a failure the body that its reader expects; leaves everything else as it is.
pub(crate) fn show(manner: Manner, mut response: Response) -> Response {
    if response.extensions().get::<Whole>().is_some() {
        return response;
    }
    let told = response.extensions_mut().remove::<Failure>();
    let Some(failure) = told.or_else(|| Failure::of_status(response.status())) else {
        return response;
    };
    let retry = matches!(failure.code, ErrorCode::TooMany | ErrorCode::Unavailable);
    let (kind, body) = match manner {
        Manner::Json => ("application/json", json(&failure)),
        Manner::Text => ("text/plain; charset=utf-8", failure.reason),
        Manner::Page => ("text/html; charset=utf-8", page::failure(&failure)),
    };
    *response.body_mut() = body.into();
    let headers = response.headers_mut();
    headers.remove(axum::http::header::CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if retry {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

fn json(failure: &Failure) -> String {
    let body = ErrorBody {
        error: ErrorDetail {
            code: failure.code,
            reason: failure.reason.clone(),
            hint: failure.hint.map(str::to_owned),
        },
    };
    serde_json::to_string(&body).unwrap_or_default()
}

impl From<TableFault> for Failure {
    fn from(fault: TableFault) -> Self {
        error!(%fault, "store can not be read");
        Self::internal()
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Rejected(rejection) => Self {
                code: ErrorCode::Refused,
                reason: rejection.reason,
                hint: Some("the transaction was not taken; the reason is in Bitcoin Core's words"),
            },
            SubmitError::Busy | SubmitError::Stopping | SubmitError::NoValidator => {
                Self::unavailable(error.to_string())
            }
            SubmitError::Follower => Self {
                code: ErrorCode::Unavailable,
                reason: error.to_string(),
                hint: Some("send it to one of the validators"),
            },
            SubmitError::NotDevelopment => Self::not_found(error.to_string()),
            SubmitError::Store(fault) => fault.into(),
        }
    }
}

impl From<FaucetError> for Failure {
    fn from(error: FaucetError) -> Self {
        let reason = error.to_string();
        match error {
            FaucetError::Network => {
                Self::malformed(reason, "ask the wallet for an address on regtest")
            }
            FaucetError::TooSmall { .. } | FaucetError::TooLarge { .. } => {
                Self::malformed(reason, "ask for another amount")
            }
            FaucetError::Empty => Self {
                code: ErrorCode::Unavailable,
                reason,
                hint: Some("ask for less, ask another validator, or wait for the next commit"),
            },
            FaucetError::Busy => Self::unavailable(reason),
            FaucetError::Refused(SubmitError::Rejected(_)) => Self::unavailable(reason),
            FaucetError::Refused(error) => error.into(),
            FaucetError::Key => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_retry_on_500_and_503_are_told_when() {
        let response = show(Manner::Json, Failure::unavailable("full").into_response());
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn answers_of_the_framework_are_shown_like_our_own() {
        let response = StatusCode::METHOD_NOT_ALLOWED.into_response();
        let response = show(Manner::Text, response);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
        let good = show(Manner::Text, StatusCode::OK.into_response());
        assert!(!good.headers().contains_key(CONTENT_TYPE));
    }

    #[test]
    fn an_answer_with_a_body_of_its_own_keeps_it() {
        let mut response = (StatusCode::GONE, "proof").into_response();
        response.extensions_mut().insert(Whole);
        let response = show(Manner::Json, response);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    }

    #[test]
    fn a_fault_of_the_store_tells_strangers_nothing() {
        let failure = Failure::from(TableFault { reason: "/var/secret: EIO".to_owned() });
        assert!(!json(&failure).contains("secret"));
    }
}
