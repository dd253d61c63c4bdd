//! JSON-RPC as Electrum's and Bitcoin Core's clients speak it: versions 1 and 2, alone and in
//! batches.
//!
//! **Invariant.** Reading never fails in a way that leaves a request without an answer: what is no
//! request is an error with an id as far as one was given. Depth is bounded by the reader of JSON,
//! length by whoever reads lines or bodies, and the number in a batch here.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// What a program decides by, where Electrum and Core mean the same.
pub(crate) mod code {
    /// The bytes are not JSON.
    pub(crate) const PARSE: i32 = -32_700;
    /// The JSON is no request.
    pub(crate) const INVALID_REQUEST: i32 = -32_600;
    /// There is no such method.
    pub(crate) const METHOD_NOT_FOUND: i32 = -32_601;
    /// The parameters are not the method's.
    pub(crate) const INVALID_PARAMS: i32 = -32_602;
    /// The node failed.
    pub(crate) const INTERNAL: i32 = -32_603;
}

/// What arrived at one time.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// One request.
    One(Result<Call, Unread>),
    /// Several, to be answered together in their order.
    Batch(Vec<Result<Call, Unread>>),
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    /// Whose answer it is: given back as it came.
    pub(crate) id: Value,
    /// In which version it was asked, and so is answered.
    pub(crate) version: Version,
    /// Whether an answer is wanted at all.
    pub(crate) wants_answer: bool,
    /// What is asked for.
    pub(crate) method: String,
    /// With what.
    pub(crate) params: Params,
}

/// Something that is no request.
#[derive(Debug)]
pub(crate) struct Unread {
    /// Its id, if it has one.
    pub(crate) id: Value,
    /// What is wrong with it.
    pub(crate) error: RpcError,
}

/// In which version of JSON-RPC something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// An answer has a result and an error, one of them null.
    One,
    /// An answer has a result or an error.
    Two,
}

/// The parameters of a request, by place or by name.
#[derive(Debug)]
pub(crate) enum Params {
    /// By place.
    List(Vec<Value>),
    /// By name.
    Named(Map<String, Value>),
}

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcError {
    /// What a program decides by.
    pub(crate) code: i32,
    /// What a person reads.
    pub(crate) message: String,
}

/// Reads what arrived.
///
/// # Errors
/// When it is no JSON, an empty batch, or a batch of more than `batch_max`.
pub(crate) fn read(bytes: &[u8], batch_max: usize) -> Result<Incoming, RpcError> {
    let value = serde_json::from_slice(bytes);
    let value: Value = value.map_err(|_| RpcError::new(code::PARSE, "Parse error"))?;
    match value {
        Value::Array(calls) if calls.is_empty() => {
            Err(RpcError::new(code::INVALID_REQUEST, "an empty batch"))
        }
        Value::Array(calls) if calls.len() > batch_max => Err(RpcError::new(
            code::INVALID_REQUEST,
            format!("a batch of {} requests; at most {batch_max}", calls.len()),
        )),
        Value::Array(calls) => Ok(Incoming::Batch(calls.into_iter().map(call).collect())),
        value => Ok(Incoming::One(call(value))),
    }
}

fn call(value: Value) -> Result<Call, Unread> {
    let invalid = |id: Value, what: &str| {
        Err(Unread { id, error: RpcError::new(code::INVALID_REQUEST, what) })
    };
    let Value::Object(mut fields) = value else {
        return invalid(Value::Null, "Invalid Request object");
    };
    let version = match fields.get("jsonrpc") {
        Some(Value::String(text)) if text == "2.0" => Version::Two,
        _ => Version::One,
    };
    let id = fields.remove("id");
    let wants_answer = id.is_some() || version == Version::One;
    let id = id.unwrap_or(Value::Null);
    let method = match fields.remove("method") {
        Some(Value::String(method)) => method,
        None => return invalid(id, "Missing method"),
        Some(_) => return invalid(id, "Method must be a string"),
    };
    let params = match fields.remove("params") {
        None | Some(Value::Null) => Params::List(Vec::new()),
        Some(Value::Array(list)) => Params::List(list),
        Some(Value::Object(named)) => Params::Named(named),
        Some(_) => return invalid(id, "Params must be an array or object"),
    };
    Ok(Call { id, version, wants_answer, method, params })
}

impl Params {
    /// A parameter that has to be there.
    ///
    /// # Errors
    /// When it is not, or is of another type.
    pub(crate) fn required<T: DeserializeOwned>(
        &mut self,
        place: usize,
        name: &str,
    ) -> Result<T, RpcError> {
        self.optional(place, name)?.ok_or_else(|| {
            RpcError::new(code::INVALID_PARAMS, format!("missing parameter {place}: {name}"))
        })
    }

    /// A parameter that may be left out or null.
    ///
    /// # Errors
    /// When it is of another type.
    pub(crate) fn optional<T: DeserializeOwned>(
        &mut self,
        place: usize,
        name: &str,
    ) -> Result<Option<T>, RpcError> {
        let value = match self {
            Self::List(list) => list.get_mut(place).map(Value::take),
            Self::Named(named) => named.remove(name),
        };
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value).map(Some).map_err(|error| {
                RpcError::new(
                    code::INVALID_PARAMS,
                    format!("parameter {place} ({name}) can not be read: {error}"),
                )
            }),
        }
    }

    /// Says no to more parameters than a method has. By name, whatever was not taken is too many.
    ///
    /// # Errors
    /// When there are more.
    pub(crate) fn at_most(&self, most: usize) -> Result<(), RpcError> {
        let is_fine = match self {
            Self::List(list) => list.len() <= most,
            Self::Named(named) => named.is_empty(),
        };
        if is_fine {
            return Ok(());
        }
        Err(RpcError::new(code::INVALID_PARAMS, format!("the method takes at most {most}")))
    }
}

impl RpcError {
    /// An error.
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.message, self.code)
    }
}

/// An answer in the version of its request.
pub(crate) fn answer(version: Version, id: &Value, result: Result<Value, RpcError>) -> Value {
    let (result, error) = match result {
        Ok(result) => (result, Value::Null),
        Err(error) => (Value::Null, error.to_json()),
    };
    match version {
        Version::One => json!({ "result": result, "error": error, "id": id }),
        Version::Two if error.is_null() => json!({ "jsonrpc": "2.0", "result": result, "id": id }),
        Version::Two => json!({ "jsonrpc": "2.0", "error": error, "id": id }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Result<Call, Unread> {
        match read(text.as_bytes(), 10).unwrap() {
            Incoming::One(call) => call,
            Incoming::Batch(_) => panic!("no batch"),
        }
    }

    #[test]
    fn both_versions_are_read_and_answered_in_kind() {
        let old = one(r#"{"method":"a","id":7}"#).unwrap();
        assert_eq!((old.version, old.wants_answer), (Version::One, true));
        let text = answer(old.version, &old.id, Ok(json!(1))).to_string();
        assert_eq!(text, r#"{"error":null,"id":7,"result":1}"#);
        let new = one(r#"{"jsonrpc":"2.0","method":"a","id":"x"}"#).unwrap();
        let text = answer(new.version, &new.id, Err(RpcError::new(1, "no"))).to_string();
        assert_eq!(text, r#"{"error":{"code":1,"message":"no"},"id":"x","jsonrpc":"2.0"}"#);
        assert!(!one(r#"{"jsonrpc":"2.0","method":"a"}"#).unwrap().wants_answer);
    }

    #[test]
    fn parameters_come_by_place_or_by_name() {
        for text in [r#"{"method":"a","params":[5,null]}"#, r#"{"method":"a","params":{"n":5}}"#] {
            let mut params = one(text).unwrap().params;
            assert_eq!(params.required::<u32>(0, "n"), Ok(5));
            assert_eq!(params.optional::<String>(1, "other"), Ok(None));
            assert_eq!(params.required::<u32>(0, "n").unwrap_err().code, code::INVALID_PARAMS);
            assert_eq!(params.at_most(2), Ok(()));
        }
        let mut params = one(r#"{"method":"a","params":["x",1,2]}"#).unwrap().params;
        assert_eq!(params.required::<u32>(0, "n").unwrap_err().code, code::INVALID_PARAMS);
        assert!(params.at_most(2).is_err());
    }

    #[test]
    fn what_is_no_request_is_told_with_its_id() {
        for (text, id) in [
            ("1", Value::Null),
            (r#"{"id":3}"#, json!(3)),
            (r#"{"id":3,"method":1}"#, json!(3)),
            (r#"{"id":3,"method":"a","params":1}"#, json!(3)),
        ] {
            let unread = one(text).unwrap_err();
            assert_eq!((unread.id, unread.error.code), (id, code::INVALID_REQUEST), "{text}");
        }
        assert_eq!(read(b"{", 10).unwrap_err().code, code::PARSE);
        assert!(read(b"[]", 10).is_err() && read(b"[1,2,3]", 2).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes, 10);
        }
    }
}
