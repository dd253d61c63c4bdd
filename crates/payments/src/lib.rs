//! Payments that reach people who are offline: a wallet's daemon and a Lightning service provider's,
//! over LDK.
//!
//! LDK does channels, routing, HTLCs and keys. This crate gives it our chain (a node's Esplora routes
//! and its event log), keeps what each payment has come to, tells a person when it is safe to go
//! offline, and speaks with the commands over a socket. It never holds a passphrase longer than it
//! takes to open a seed, never prints a seed unasked, and never names the node's crates: the chain is
//! reached through [`client`] alone.
//!
//! The main types are [`wallet::Options`] and [`lsp::Checked`], which the two daemons start from, and
//! [`control::Caller`], which asks a running one.
//!
//! ```
//! use payments::Msat;
//!
//! let amount: Msat = "5000sat".parse()?;
//! assert_eq!(amount, Msat::new(5_000_000));
//! # Ok::<(), payments::MsatError>(())
//! ```
#![forbid(unsafe_code)]

pub mod control;
pub mod journal;
pub mod lsp;
pub mod seed;
pub mod service;
pub mod wallet;

mod chain;
mod error;
mod ldk;
mod lock;
mod msat;

pub use error::PaymentsError;
pub use msat::Msat;
pub use msat::MsatError;
