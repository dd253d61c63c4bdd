//! REST: what anybody may read without the cookie.
//!
//! Source: Bitcoin Core, `src/rest.cpp`.

use axum::extract::Path;
use axum::extract::RawQuery;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use bitcoin::BlockHash;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use ledger::query;
use serde_json::Value;
use serde_json::json;
use types::Height;

use crate::http::View;
use crate::jsonrpc::RpcError;

use super::Shared;
use super::chain;
use super::methods::Refusal;
use super::methods::core_code;
use super::methods::read_ledger;

/// How many headers one answer has, as in Core.
const HEADERS_MAX: usize = 2_000;
/// How many it has when nobody says.
const HEADERS_DEFAULT: usize = 5;
const FORMATS: &str = "output format not found (available: .bin, .hex, .json)";

/// In which form an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Binary,
    Hex,
    Json,
}

/// An answer: bytes, of which hex is another form, or JSON.
enum Content {
    Bytes(Vec<u8>),
    Json(Value),
}

/// A request that can not be carried out, as Core tells it.
struct Wrong(StatusCode, String);

pub(super) async fn chain_info(State(shared): State<Shared>) -> Response {
    let bytes = shared.0.reader.handle().store_bytes();
    let info = move |view: &View| Ok(Content::Json(chain::chain_info(view, bytes)?));
    let answer = answer(&shared, Form::Json, info);
    answer.await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn headers(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let count = query
        .as_deref()
        .unwrap_or_default()
        .split('&')
        .find_map(|field| field.strip_prefix("count=").map(str::to_owned));
    headers_answer(&shared, &name, count).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn headers_counted(
    State(shared): State<Shared>,
    Path((count, name)): Path<(String, String)>,
) -> Response {
    headers_answer(&shared, &name, Some(count)).await.unwrap_or_else(IntoResponse::into_response)
}

async fn headers_answer(
    shared: &Shared,
    name: &str,
    count: Option<String>,
) -> Result<Response, Wrong> {
    let (name, form) = split(name)?;
    let hash = hash(name)?;
    let count = match count {
        None => HEADERS_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|count| (1..=HEADERS_MAX).contains(count))
            .ok_or_else(|| {
                Wrong::asked(format!(
                    "Header count is invalid or out of acceptable range (1-{HEADERS_MAX}): {text}"
                ))
            })?,
    };
    answer(shared, form, move |view| {
        let blocks = match query::height(view.tables(), &hash)? {
            None => Vec::new(),
            Some(height) => query::blocks(view.tables(), height, count)?,
        };
        if form == Form::Json {
            let shown = blocks.iter().map(|block| chain::header_json(view, block));
            return Ok(Content::Json(shown.collect::<Result<Vec<_>, _>>()?.into()));
        }
        let headers = blocks.iter().flat_map(|block| encode::serialize(&block.header));
        Ok(Content::Bytes(headers.collect()))
    })
    .await
}

pub(super) async fn block(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    block_answer(&shared, &name, 3).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn block_without_details(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Response {
    block_answer(&shared, &name, 1).await.unwrap_or_else(IntoResponse::into_response)
}

async fn block_answer(shared: &Shared, name: &str, verbosity: i64) -> Result<Response, Wrong> {
    let (name, form) = split(name)?;
    let (hash, text) = (hash(name)?, name.to_owned());
    answer(shared, form, move |view| {
        let unknown = || RpcError::new(core_code::NOT_FOUND, format!("{text} not found"));
        let record = view.block_by_hash(&hash)?.ok_or_else(unknown)?;
        if form == Form::Json {
            return Ok(Content::Json(chain::block_json(view, &record, verbosity)?));
        }
        let block = query::full_block(view.tables(), record.height)?.ok_or_else(unknown)?;
        Ok(Content::Bytes(encode::serialize(&block)))
    })
    .await
}

pub(super) async fn block_hash(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    block_hash_answer(&shared, &name).await.unwrap_or_else(IntoResponse::into_response)
}

async fn block_hash_answer(shared: &Shared, name: &str) -> Result<Response, Wrong> {
    let (name, form) = split(name)?;
    let height: u32 = name.parse().map_err(|_| Wrong::asked(format!("Invalid height: {name}")))?;
    answer(shared, form, move |view: &View| {
        let block = view.block(Height::new(height))?;
        let block = block
            .ok_or_else(|| RpcError::new(core_code::NOT_FOUND, "Block height out of range"))?;
        Ok(match form {
            Form::Json => Content::Json(json!({ "blockhash": block.hash })),
            // As text a hash is written the other way round.
            Form::Hex => {
                let mut bytes = block.hash.to_byte_array();
                bytes.reverse();
                Content::Bytes(bytes.to_vec())
            }
            Form::Binary => Content::Bytes(block.hash.to_byte_array().to_vec()),
        })
    })
    .await
}

async fn answer(
    shared: &Shared,
    form: Form,
    work: impl FnOnce(&View) -> Result<Content, Refusal> + Send + 'static,
) -> Result<Response, Wrong> {
    let Ok(_place) = shared.0.rest.try_acquire() else {
        return Err(Wrong(StatusCode::SERVICE_UNAVAILABLE, "Work queue depth exceeded".into()));
    };
    let content = read_ledger(&shared.0.reader, work).await.map_err(|error| {
        let status = match error.code {
            core_code::NOT_FOUND => StatusCode::NOT_FOUND,
            core_code::WARMING_UP => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Wrong(status, error.message)
    })?;
    Ok(match (content, form) {
        (Content::Json(value), _) => {
            ([(CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
        }
        (Content::Bytes(bytes), Form::Hex) => {
            ([(CONTENT_TYPE, "text/plain")], format!("{}\n", hex::encode(bytes))).into_response()
        }
        (Content::Bytes(bytes), _) => {
            ([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
        }
    })
}

/// A name and the form that its ending asks for.
fn split(name: &str) -> Result<(&str, Form), Wrong> {
    let (name, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let form = match ending {
        "bin" => Form::Binary,
        "hex" => Form::Hex,
        "json" => Form::Json,
        _ => return Err(Wrong(StatusCode::NOT_FOUND, FORMATS.to_owned())),
    };
    Ok((name, form))
}

fn hash(text: &str) -> Result<BlockHash, Wrong> {
    text.parse().map_err(|_| Wrong::asked(format!("Invalid hash: {text}")))
}

impl Wrong {
    fn asked(message: String) -> Self {
        Self(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (self.0, [(CONTENT_TYPE, "text/plain")], format!("{}\r\n", self.1)).into_response()
    }
}
