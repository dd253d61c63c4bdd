//! The secrets of a validator, each in a file of its own that only its owner may read.
//!
//! **Invariant:** a secret is never printed and never comes from a flag or the environment; one
//! that does not belong to the validator it is used for is refused at the start.

use std::path::Path;

use bitcoin::NetworkKind;
use bitcoin::PrivateKey;
use types::Author;
use types::Committee;
use types::SecretKey;
use types::bls;
use types::coin::CoinSecret;

use crate::config::ConfigError;

mod mark;

pub use mark::UnusedMark;

/// The file with the secret that signs vertices.
pub const VERTEX_FILE: &str = "vertex.key";
/// The file with the secret that identifies the node on the network.
pub const TRANSPORT_FILE: &str = "transport.key";
/// The file with the secret that signs checkpoints.
pub const CHECKPOINT_FILE: &str = "checkpoint.key";
/// The file with the validator's value for the common coin.
pub const COIN_FILE: &str = "coin.key";

/// The file that stands for "these keys have never signed": made with them, deleted before they do.
pub const UNUSED_FILE: &str = "unused";

/// The permission bits that let others than the owner in.
const OTHERS: u32 = 0o077;
/// 64 hex digits and a line end; a WIF is shorter.
const SECRET_FILE_BYTES_MAX: u64 = 128;

/// The secrets of one validator.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs vertices.
    pub vertex: SecretKey,
    /// Identifies the node on the network.
    pub transport: SecretKey,
    /// Signs checkpoints.
    pub checkpoint: bls::SecretKey,
    /// Makes shares of the common coin.
    pub coin: CoinSecret,
}

impl Keys {
    /// Reads the four secrets of `author` and holds them against the committee.
    ///
    /// # Errors
    /// When a file is missing, readable by others, malformed, or another validator's.
    pub fn load(dir: &Path, author: Author, committee: &Committee) -> Result<Self, ConfigError> {
        let vertex = dir.join(VERTEX_FILE);
        let transport = dir.join(TRANSPORT_FILE);
        let checkpoint = dir.join(CHECKPOINT_FILE);
        let coin = dir.join(COIN_FILE);
        let keys = Self {
            vertex: SecretKey::from_seed(&*read_secret(&vertex)?),
            transport: SecretKey::from_seed(&*read_secret(&transport)?),
            checkpoint: bls::SecretKey::from_bytes(&*read_secret(&checkpoint)?)
                .map_err(|_| malformed(&checkpoint, "the number is outside the group"))?,
            coin: CoinSecret::from_bytes(&*read_secret(&coin)?)
                .map_err(|_| malformed(&coin, "the number is outside the group"))?,
        };
        let member = committee.validator(author);
        let matches = |file: &Path, field, same: bool| match same {
            true => Ok(()),
            false => Err(ConfigError::SecretForeign { file: file.to_owned(), author, field }),
        };
        let known = |check: fn(&types::Validator, &Self) -> bool| {
            member.is_some_and(|member| check(member, &keys))
        };
        let same = known(|member, keys| member.vertex_key == keys.vertex.public());
        matches(&vertex, "vertex_key", same)?;
        let same = known(|member, keys| member.transport_key == keys.transport.public());
        matches(&transport, "transport_key", same)?;
        let same = known(|member, keys| member.checkpoint_key == keys.checkpoint.public());
        matches(&checkpoint, "checkpoint_key", same)?;
        let same = known(|member, keys| member.coin_key == keys.coin.public());
        matches(&coin, "coin_key", same)?;
        Ok(keys)
    }
}

/// Reads the secret that identifies a node on the network.
///
/// # Errors
/// When the file is missing, readable by others or malformed.
pub fn load_transport(dir: &Path) -> Result<SecretKey, ConfigError> {
    Ok(SecretKey::from_seed(&*read_secret(&dir.join(TRANSPORT_FILE))?))
}

/// Makes the one secret of a follower, unless it is there. Says whether it was made.
///
/// # Errors
/// When the system gives no randomness or the file can not be written.
pub fn ensure_transport(dir: &Path) -> Result<bool, ConfigError> {
    let file = dir.join(TRANSPORT_FILE);
    if file.exists() {
        return Ok(false);
    }
    let unwritable = |reason: String| ConfigError::SecretUnwritable { file: file.clone(), reason };
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|error| unwritable(error.to_string()))?;
    let text = zeroize::Zeroizing::new(hex::encode(seed.as_slice()));
    write_secret(dir, &file, &text).map_err(|error| unwritable(error.to_string()))?;
    Ok(true)
}

/// Writes beside and renames, so that a secret is whole or not there.
fn write_secret(dir: &Path, file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;

    std::fs::create_dir_all(dir)?;
    let beside = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut written = options.open(&beside)?;
    written.write_all(text.as_bytes())?;
    #[cfg(unix)]
    written.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o400))?;
    written.sync_all()?;
    std::fs::rename(&beside, file)?;
    std::fs::File::open(dir)?.sync_all()
}

/// Reads a Bitcoin key for a test network, written as WIF.
///
/// # Errors
/// When the file is missing, readable by others or no such key.
pub fn read_wif(file: &Path) -> Result<PrivateKey, ConfigError> {
    let text = read_private(file)?;
    // The library takes any last byte for "compressed"; Core knows one.
    let key = PrivateKey::from_wif(text.trim())
        .ok()
        .filter(|key| key.to_wif() == text.trim())
        .ok_or_else(|| wif(file, "it is no key in wallet import format"))?;
    match key.network {
        NetworkKind::Test => Ok(key),
        NetworkKind::Main => Err(wif(file, "it is a key of Bitcoin's main network")),
    }
}

fn wif(file: &Path, reason: &str) -> ConfigError {
    ConfigError::Value {
        key: "development.faucet_key_file".to_owned(),
        reason: format!("{}: {reason}", file.display()),
        remedy: "give a key of a test network, written as WIF".to_owned(),
    }
}

fn read_secret(file: &Path) -> Result<zeroize::Zeroizing<[u8; 32]>, ConfigError> {
    let text = read_private(file)?;
    let mut secret = zeroize::Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), secret.as_mut_slice())
        .map_err(|_| malformed(file, "not 64 hex digits"))?;
    Ok(secret)
}

fn read_private(file: &Path) -> Result<zeroize::Zeroizing<String>, ConfigError> {
    let unreadable = |error: std::io::Error| ConfigError::Unreadable {
        file: file.to_owned(),
        what: "a secret",
        reason: error.to_string(),
    };
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    refuse_exposed(file, &metadata)?;
    if metadata.len() > SECRET_FILE_BYTES_MAX {
        return Err(malformed(file, "the file is too long for a secret"));
    }
    std::fs::read_to_string(file).map(zeroize::Zeroizing::new).map_err(unreadable)
}

#[cfg(unix)]
fn refuse_exposed(file: &Path, metadata: &std::fs::Metadata) -> Result<(), ConfigError> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    Err(ConfigError::SecretExposed { file: file.to_owned(), mode })
}

#[cfg(not(unix))]
fn refuse_exposed(_file: &Path, _metadata: &std::fs::Metadata) -> Result<(), ConfigError> {
    Ok(())
}

fn malformed(file: &Path, reason: &'static str) -> ConfigError {
    ConfigError::SecretMalformed { file: file.to_owned(), reason }
}

#[cfg(test)]
mod tests;
