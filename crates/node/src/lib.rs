//! One node of a network in the world outside: sockets, threads, HTTP, metrics and configuration
//! around the machines of `replica`.
//!
//! This crate decides nothing about order or money and never trusts a peer: what arrives is
//! bounded, decoded and verified before a machine sees it.
//!
//! The main types are [`Config`], which is read from a file and becomes [`Checked`]; [`Node`],
//! which is started with it; [`Running`], which owns every task and thread; and [`Handle`], through
//! which the HTTP side asks.
//!
//! ```
//! let config = node::Config::parse(node::Config::example())?;
//! assert_eq!(config.pacing.min_round_interval_ms, 10);
//! # Ok::<(), node::ConfigError>(())
//! ```
#![forbid(unsafe_code)]

mod blobs;
pub mod config;
mod door;
mod electrum;
pub mod failpoints;
mod http;
mod jsonrpc;
pub mod keys;
mod mesh;
pub mod metrics;
pub mod reindex;
pub mod snapshot;
pub mod status;

mod faucet;
mod forward;
mod handle;
mod objects;
mod p2p;
mod page;
mod rpc;
mod runtime;

#[cfg(feature = "test-utils")]
pub mod test_utils;

/// The ordering half alone, for measurements.
pub mod bench {
    pub use crate::runtime::bench::Given;
    pub use crate::runtime::bench::OrderingNode;
}

pub use config::Checked;
pub use config::Config;
pub use config::ConfigError;
pub use handle::Handle;
pub use handle::MempoolView;
pub use handle::PooledTransaction;
pub use handle::Rejection;
pub use handle::SubmitError;
pub use handle::Submitted;
pub use runtime::DoorAddresses;
pub use runtime::Node;
pub use runtime::NodeError;
pub use runtime::Running;
pub use status::NodeStatus;
pub use status::PeerState;
pub use status::PeerStatus;
