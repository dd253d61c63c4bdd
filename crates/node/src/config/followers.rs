//! What followers are allowed at a validator, and what a follower hands on.
//!
//! **Invariant:** without a word in the configuration nobody follows.

use std::collections::BTreeSet;

use client::Client;
use types::PublicKey;

use crate::config::Admit;
use crate::config::ConfigError;
use crate::config::FollowersConfig;
use crate::config::check::value;
use crate::config::check::within;

/// How many followers a validator lets connect when nobody says.
pub const FOLLOWERS_DEFAULT: u16 = 16;
/// The most followers that a configuration may allow: each costs bounded queues and two sockets.
pub const FOLLOWERS_MAX: u16 = 256;
/// The most keys that may be listed.
const KEYS_MAX: usize = 4_096;
/// The most nodes that submissions are handed on to.
const SUBMIT_TO_MAX: usize = 16;

/// Whom a validator lets follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Nobody: a key that is no validator's does not get past the TLS handshake.
    Nobody,
    /// Those whose keys are listed.
    Listed {
        /// Their keys.
        keys: BTreeSet<[u8; 32]>,
        /// How many at a time.
        count_max: usize,
    },
    /// Anybody who proves a key of his own.
    Any {
        /// How many at a time.
        count_max: usize,
    },
}

/// Where a follower hands submitted transactions on to, in order; nowhere when empty.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    /// The nodes.
    pub clients: Vec<Client>,
}

impl Admission {
    pub(super) fn check(
        config: Option<&FollowersConfig>,
        is_validator: bool,
    ) -> Result<Self, ConfigError> {
        let Some(config) = config else { return Ok(Self::Nobody) };
        if !is_validator {
            return Err(value(
                "network.followers",
                "nobody connects to a follower",
                "remove the section, or point others to a validator",
            ));
        }
        within("network.followers.count_max", config.count_max, 1, FOLLOWERS_MAX)?;
        let count_max = usize::from(config.count_max);
        if config.keys.len() > KEYS_MAX {
            return Err(value(
                "network.followers.keys",
                format_args!("{} keys", config.keys.len()),
                &format!("list at most {KEYS_MAX}"),
            ));
        }
        match config.admit {
            Admit::Listed if config.keys.is_empty() => Err(value(
                "network.followers.keys",
                "empty, so nobody could follow",
                "list the public keys that followers print at their start, or remove the section",
            )),
            Admit::Listed => {
                let keys = config.keys.iter().map(PublicKey::to_bytes).collect();
                Ok(Self::Listed { keys, count_max })
            }
            Admit::Any => Ok(Self::Any { count_max }),
        }
    }

    /// How many may be connected at a time.
    pub const fn count_max(&self) -> usize {
        match self {
            Self::Nobody => 0,
            Self::Listed { count_max, .. } | Self::Any { count_max } => *count_max,
        }
    }

    /// Whether the holder of this key may follow.
    pub fn admits(&self, key: &[u8; 32]) -> bool {
        match self {
            Self::Nobody => false,
            Self::Listed { keys, .. } => keys.contains(key),
            Self::Any { .. } => true,
        }
    }
}

impl Forwarding {
    pub(super) fn check(submit_to: &[String]) -> Result<Self, ConfigError> {
        let key = "follower.submit_to";
        if submit_to.len() > SUBMIT_TO_MAX {
            return Err(value(
                key,
                format_args!("{} addresses", submit_to.len()),
                &format!("name at most {SUBMIT_TO_MAX}"),
            ));
        }
        let clients = submit_to.iter().map(|url| Client::new(url));
        let clients: Result<_, _> = clients.collect();
        let clients = clients.map_err(|error| {
            value(key, error, "give the HTTP address of a validator, or leave the key out")
        })?;
        Ok(Self { clients })
    }
}
