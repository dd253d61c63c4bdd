//! One call: a request, its deadline, and an answer of bounded size or an error that says why.

use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use reqwest::Method;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::Url;
use reqwest::header::RETRY_AFTER;
use serde::de::DeserializeOwned;

use crate::ClientError;
use crate::api::ErrorBody;
use crate::api::ErrorCode;

/// The largest answer that is taken, events apart.
const ANSWER_BYTES_MAX: usize = 32 * 1_024 * 1_024;

/// How much of an unreadable error page is shown.
const REASON_CHARS_MAX: usize = 300;

/// How long a client waits. Every wait has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For a connection.
    pub connect: Duration,
    /// For an answer, the connection included.
    pub answer: Duration,
    /// For the next sign of life of a stream of events; nodes send one every 15 seconds.
    pub silence: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            silence: Duration::from_secs(45),
        }
    }
}

/// Calls one node. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    deadlines: Deadlines,
}

/// What a request carries.
pub(crate) enum Body {
    Nothing,
    Text(String),
    Json(String),
    /// Bytes, with a header that belongs to them.
    Bytes(Bytes, (&'static str, String)),
}

impl Client {
    /// A client of the node at `url`, for example `http://127.0.0.1:3000`.
    ///
    /// # Errors
    /// When the address can not be one of a node.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::with_deadlines(url, Deadlines::default())
    }

    /// A client of the node at `url` that waits as long as `deadlines` say.
    ///
    /// # Errors
    /// When the address can not be one of a node.
    pub fn with_deadlines(url: &str, deadlines: Deadlines) -> Result<Self, ClientError> {
        let bad = |reason: String| ClientError::BadUrl { url: url.to_owned(), reason };
        let base = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if base.scheme() != "http" {
            return Err(bad("this client speaks plain http only".to_owned()));
        }
        if base.host_str().is_none_or(str::is_empty) {
            return Err(bad("it names no host".to_owned()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(deadlines.connect)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { http, base, deadlines })
    }

    /// The address that is called.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(crate) fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// The address of a route. `path` starts with a slash and holds nothing that needs escaping.
    pub(crate) fn route(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let front = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{front}{path}"));
        url
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let url = self.route(path);
        let bytes = self.call(Method::GET, &url, Body::Nothing, self.deadlines.answer).await?;
        decode(&url, &bytes)
    }

    pub(crate) async fn read_text(&self, path: &str) -> Result<String, ClientError> {
        let url = self.route(path);
        let bytes = self.call(Method::GET, &url, Body::Nothing, self.deadlines.answer).await?;
        text(&url, &bytes)
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Body,
    ) -> Result<T, ClientError> {
        let url = self.route(path);
        let bytes = self.call(Method::POST, &url, body, self.deadlines.answer).await?;
        decode(&url, &bytes)
    }

    /// Sends one request and reads its whole answer within `deadline`.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: &Url,
        body: Body,
        deadline: Duration,
    ) -> Result<Bytes, ClientError> {
        let request = self.http.request(method, url.clone());
        let request = match body {
            Body::Nothing => request,
            Body::Text(text) => request.header("content-type", "text/plain").body(text),
            Body::Json(json) => request.header("content-type", "application/json").body(json),
            Body::Bytes(bytes, (name, value)) => {
                let request = request.header("content-type", "application/octet-stream");
                request.header(name, value).body(bytes)
            }
        };
        let answer = async {
            let response = request.send().await.map_err(|error| unreachable(url, &error))?;
            let response = accepted(url, response).await?;
            read_body(url, response).await
        };
        within(url, deadline, answer).await
    }

    /// Reads an answer together with one of its headers.
    pub(crate) async fn read_with_header(
        &self,
        url: &Url,
        header: &'static str,
        deadline: Duration,
    ) -> Result<(Option<String>, Bytes), ClientError> {
        let answer = async {
            let request = self.http.get(url.clone());
            let response = request.send().await.map_err(|error| unreachable(url, &error))?;
            let response = accepted(url, response).await?;
            let value = response.headers().get(header).and_then(|value| value.to_str().ok());
            let value = value.map(str::to_owned);
            Ok((value, read_body(url, response).await?))
        };
        within(url, deadline, answer).await
    }

    /// Opens an answer that is read piece by piece; `deadline` is for its beginning.
    pub(crate) async fn open(
        &self,
        url: &Url,
        deadline: Duration,
    ) -> Result<Response, ClientError> {
        let answer = async {
            let request = self.http.get(url.clone());
            let response = request.send().await.map_err(|error| unreachable(url, &error))?;
            accepted(url, response).await
        };
        within(url, deadline, answer).await
    }

    /// Opens a stream of server-sent events; the answer's body is left to the caller.
    pub(crate) async fn open_stream(&self, url: &Url, after: u64) -> Result<Response, ClientError> {
        let request = self
            .http
            .get(url.clone())
            .header("accept", "text/event-stream")
            .header("last-event-id", after.to_string());
        let answer = async {
            let response = request.send().await.map_err(|error| unreachable(url, &error))?;
            accepted(url, response).await
        };
        within(url, self.deadlines.answer, answer).await
    }
}

/// Bounds a wait.
pub(crate) async fn within<T>(
    url: &Url,
    deadline: Duration,
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
            Err(ClientError::Late { url: url.to_string(), deadline_ms })
        }
    }
}

/// The innermost cause says what happened; the outer ones repeat the address.
pub(crate) fn unreachable(url: &Url, error: &reqwest::Error) -> ClientError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    ClientError::Unreachable { url: url.to_string(), reason: cause.to_string() }
}

pub(crate) fn decode<T: DeserializeOwned>(url: &Url, bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| malformed(url, error.to_string()))
}

pub(crate) fn malformed(url: &Url, reason: String) -> ClientError {
    ClientError::Malformed { url: url.to_string(), reason }
}

pub(crate) fn text(url: &Url, bytes: &[u8]) -> Result<String, ClientError> {
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(url, error.to_string()))?;
    Ok(text.trim().to_owned())
}

async fn accepted(url: &Url, response: Response) -> Result<Response, ClientError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after_s = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse().ok());
    let body = read_body(url, response).await?;
    Err(refused(status, retry_after_s, &body))
}

/// Our own routes say what went wrong in JSON, Esplora's in plain text.
fn refused(status: StatusCode, retry_after_s: Option<u64>, body: &[u8]) -> ClientError {
    if let Ok(ErrorBody { error }) = serde_json::from_slice(body) {
        return ClientError::Refused {
            status: status.as_u16(),
            code: error.code,
            reason: error.reason,
            hint: error.hint,
            retry_after_s,
        };
    }
    let text: String =
        String::from_utf8_lossy(body).trim().chars().take(REASON_CHARS_MAX).collect();
    let reason = if text.is_empty() { format!("the node answered {status}") } else { text };
    let code = ErrorCode::of_status(status.as_u16());
    ClientError::Refused { status: status.as_u16(), code, reason, hint: None, retry_after_s }
}

async fn read_body(url: &Url, mut response: Response) -> Result<Bytes, ClientError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(url, &error))? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(ClientError::TooLarge {
                url: url.to_string(),
                limit_bytes: ANSWER_BYTES_MAX,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
