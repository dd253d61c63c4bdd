//! What a node's API takes and answers, and a typed async client for it.
//!
//! This crate decides nothing and keeps nothing: it turns calls into HTTP and answers into types.
//! It never waits without a deadline, never takes an answer of unbounded size, and never calls
//! anything but the node that it was given.
//!
//! The main types are [`Client`]; the answers of our own routes in [`api`]; those of the Esplora
//! routes in [`esplora`], which wallets parse; and [`ClientError`], which says what to do next.
//!
//! ```no_run
//! use client::Client;
//! use client::api::EventQuery;
//! use futures_util::StreamExt;
//!
//! # async fn example(transaction: bitcoin::Transaction) -> Result<(), client::ClientError> {
//! let client = Client::new("http://127.0.0.1:3000")?;
//! let wait = std::time::Duration::from_secs(10);
//! let outcome = client.submit_and_wait(&transaction, wait).await?;
//! println!("{}: {:?}", outcome.txid, outcome.status);
//!
//! let mut events = std::pin::pin!(client.events(EventQuery::default()));
//! while let Some(event) = events.next().await {
//!     println!("{:?}", event?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The types alone need no network:
//!
//! ```
//! let body = r#"{"txid":"0000000000000000000000000000000000000000000000000000000000000001",
//!     "status":"final","commit":7,"skipped":[]}"#;
//! let status: client::api::TxStatus = serde_json::from_str(body)?;
//! assert!(status.status.is_outcome());
//! # Ok::<(), serde_json::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod api;
pub mod blobs;
pub mod esplora;

mod backoff;
mod calls;
mod error;
mod events;
mod http;
mod sse;

pub use error::ClientError;
pub use http::Client;
pub use http::Deadlines;
