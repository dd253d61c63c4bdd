//! The calls by name, and how what goes wrong is told in Core's codes.

use client::api::ErrorCode;
use serde_json::Value;
use types::table::TableFault;

use crate::http::Failure;
use crate::http::Reader;
use crate::http::View;
use crate::jsonrpc::Call;
use crate::jsonrpc::RpcError;
use crate::jsonrpc::code;

use super::chain;
use super::memory;
use super::send;

/// Core's codes.
pub(super) mod core_code {
    /// A value has another type.
    pub(crate) const TYPE: i32 = -3;
    /// There is no such transaction, block or address.
    pub(crate) const NOT_FOUND: i32 = -5;
    /// A parameter is out of range.
    pub(crate) const INVALID_PARAMETER: i32 = -8;
    /// The bytes are no transaction.
    pub(crate) const DESERIALIZATION: i32 = -22;
    /// A transaction can not be judged.
    pub(crate) const VERIFY: i32 = -25;
    /// A transaction is refused.
    pub(crate) const REJECTED: i32 = -26;
    /// A transaction is in a block.
    pub(crate) const IN_CHAIN: i32 = -27;
    /// The node is not able to answer now.
    pub(crate) const WARMING_UP: i32 = -28;
}

/// Carries a call out.
///
/// # Errors
/// In Core's codes and words.
pub(super) async fn call(reader: &Reader, call: &mut Call) -> Result<Value, RpcError> {
    let params = &mut call.params;
    match call.method.as_str() {
        "getblockchaininfo" => chain::blockchain_info(reader).await,
        "getnetworkinfo" => Ok(chain::network_info(reader)),
        "getblockcount" => chain::block_count(reader).await,
        "getbestblockhash" => chain::best_block_hash(reader).await,
        "getblockhash" => chain::block_hash(reader, params).await,
        "getblockheader" => chain::block_header(reader, params).await,
        "getblock" => chain::block(reader, params).await,
        "gettxout" => chain::output(reader, params).await,
        "getrawtransaction" => chain::raw_transaction(reader, params).await,
        "getmempoolinfo" => memory::info(reader).await,
        "getrawmempool" => memory::list(reader, params).await,
        "getmempoolentry" => memory::entry(reader, params).await,
        "estimatesmartfee" => memory::estimate(reader, params).await,
        "sendrawtransaction" => send::raw(reader, params).await,
        "testmempoolaccept" => send::test(reader, params).await,
        "submitpackage" => send::package(reader, params).await,
        _ => Err(RpcError::new(code::METHOD_NOT_FOUND, "Method not found")),
    }
}

/// Why a reader has no result: a fault that every server tells in its own way, or Core's error.
pub(super) enum Refusal {
    /// A failure of reading.
    Failure(Failure),
    /// Core's error.
    Error(RpcError),
}

/// Runs `work` over the ledger and the pool.
pub(super) async fn read<T: Send + 'static>(
    reader: &Reader,
    work: impl FnOnce(&View) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, RpcError> {
    told(reader.read(move |view| carried(work(view))).await)
}

/// Runs `work` over the ledger alone.
pub(super) async fn read_ledger<T: Send + 'static>(
    reader: &Reader,
    work: impl FnOnce(&View) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, RpcError> {
    told(reader.read_ledger(move |view| carried(work(view))).await)
}

/// What a reader can not answer travels inside of what it can.
fn carried<T>(result: Result<T, Refusal>) -> Result<Result<T, RpcError>, Failure> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Refusal::Error(error)) => Ok(Err(error)),
        Err(Refusal::Failure(failure)) => Err(failure),
    }
}

fn told<T>(read: Result<Result<T, RpcError>, Failure>) -> Result<T, RpcError> {
    read.unwrap_or_else(|failure| Err(refused(&failure)))
}

/// A failure in Core's codes.
pub(super) fn refused(failure: &Failure) -> RpcError {
    let code = match failure.code {
        ErrorCode::NotFound => core_code::NOT_FOUND,
        ErrorCode::Malformed => core_code::INVALID_PARAMETER,
        ErrorCode::Refused => core_code::REJECTED,
        ErrorCode::Unavailable | ErrorCode::TooMany | ErrorCode::Timeout => core_code::WARMING_UP,
        _ => code::INTERNAL,
    };
    RpcError::new(code, failure.reason.clone())
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<TableFault> for Refusal {
    fn from(fault: TableFault) -> Self {
        Self::Failure(fault.into())
    }
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Self {
        Self::Error(error)
    }
}
