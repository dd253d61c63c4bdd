//! A development network on this machine: one folder, one process that watches the validators, and
//! a process for each validator.
//!
//! [`layout`] makes the folder, [`state`] says who runs where, [`supervisor`] owns the processes,
//! [`control`] is how other commands reach the supervisor.
//!
//! **Invariant:** a validator never outlives the supervisor: it ends when the pipe at its standard
//! input closes, which the system does for us even when the supervisor is killed. Only processes
//! that the supervisor started itself are ever ended.

pub(crate) mod control;
pub(crate) mod layout;
pub(crate) mod ports;
pub(crate) mod state;
pub(crate) mod supervisor;
pub(crate) mod wallets;
