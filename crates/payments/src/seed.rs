//! The seed of a wallet: twenty-four words of BIP 39, encrypted at rest with a passphrase.
//!
//! The file is `MWS1`, the work (a power of two), a salt, a nonce, and the words under
//! XChaCha20-Poly1305 with the key that scrypt makes of the passphrase; all before the words is
//! authenticated with them. A server that starts unattended has its words in a plain file that only
//! its owner may read.
//!
//! **Invariant:** a seed that is there is never overwritten, and its words leave this module only to
//! LDK or to a person who asked for them.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use chacha20poly1305::KeyInit as _;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::XNonce;
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::aead::Payload;
use ldk_node::bip39::Mnemonic;
use zeroize::Zeroizing;

use crate::PaymentsError;
use crate::lock;

/// What an encrypted file begins with: its kind and version.
const MAGIC: &[u8; 4] = b"MWS1";
/// How much work one guess of the passphrase is: 2^16 rounds, 64 MiB.
const WORK: u8 = 16;
/// The most work that a file may ask for, so that a strange one does not hold us up for hours.
const WORK_MAX: u8 = 20;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
/// What stands before the encrypted words.
const HEADER_BYTES: usize = MAGIC.len() + 1 + SALT_BYTES + NONCE_BYTES;
/// A file with a seed is smaller.
const FILE_BYTES_MAX: u64 = 4_096;
/// Twenty-four words stand for so many bytes.
const ENTROPY_BYTES: usize = 32;
const SECRET: u32 = 0o400;

/// What opens a seed. Its text is wiped from memory when it is dropped, and never shown.
pub struct Passphrase(Zeroizing<String>);

/// The words of a wallet.
pub struct Seed(Mnemonic);

impl Passphrase {
    /// A passphrase as a person typed it or a file has it; line ends around it are not part of it.
    pub fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        Self(Zeroizing::new(text.trim_matches(['\r', '\n']).to_owned()))
    }

    /// Reads the first line of a file.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn read(path: &Path) -> Result<Self, PaymentsError> {
        let text = read_bounded(path)?;
        Ok(Self::new(text.lines().next().unwrap_or_default().to_owned()))
    }

    /// Whether there is nothing to guess.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, for whoever hands it to another process of the same person.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Passphrase(..)")
    }
}

impl Seed {
    /// New words from the system's randomness.
    ///
    /// # Errors
    /// When there is none.
    pub fn generate() -> Result<Self, PaymentsError> {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        randomness(entropy.as_mut_slice())?;
        Mnemonic::from_entropy(entropy.as_slice()).map(Self).map_err(no_seed)
    }

    /// Words that somebody wrote down.
    ///
    /// # Errors
    /// When they are no seed: a word is unknown or the last one does not fit.
    pub fn parse(words: &str) -> Result<Self, PaymentsError> {
        Mnemonic::parse(words.trim()).map(Self).map_err(no_seed)
    }

    /// Opens an encrypted file.
    ///
    /// # Errors
    /// When it can not be read or the passphrase is another one.
    pub fn open(path: &Path, passphrase: &Passphrase) -> Result<Self, PaymentsError> {
        let bytes = fs::read(path).map_err(|source| PaymentsError::at(path, source))?;
        let words = decrypt(path, &bytes, passphrase)?;
        let words = std::str::from_utf8(&words).map_err(|_| PaymentsError::Contents {
            path: path.to_owned(),
            reason: "it holds no words".to_owned(),
        })?;
        Self::parse(words)
    }

    /// Reads a plain file that only its owner may read.
    ///
    /// # Errors
    /// When it can not be read, others may read it, or it holds no seed.
    pub fn read_plain(path: &Path) -> Result<Self, PaymentsError> {
        lock::check_private(path)?;
        Self::parse(&read_bounded(path)?)
    }

    /// Writes a new encrypted file that only its owner may read.
    ///
    /// # Errors
    /// When there is one, or the file system refuses.
    pub fn write(&self, path: &Path, passphrase: &Passphrase) -> Result<(), PaymentsError> {
        let words = self.words();
        lock::write_new(path, &encrypt(path, words.as_bytes(), passphrase)?, SECRET)
    }

    /// Writes a new plain file that only its owner may read.
    ///
    /// # Errors
    /// When there is one, or the file system refuses.
    pub fn write_plain(&self, path: &Path) -> Result<(), PaymentsError> {
        let line = Zeroizing::new(format!("{}\n", *self.words()));
        lock::write_new(path, line.as_bytes(), SECRET)
    }

    /// The words, for a person to write down.
    pub fn words(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string())
    }

    pub(crate) fn mnemonic(&self) -> Mnemonic {
        self.0.clone()
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seed(..)")
    }
}

/// Encrypts bytes to a passphrase.
pub(crate) fn encrypt(
    path: &Path,
    bytes: &[u8],
    passphrase: &Passphrase,
) -> Result<Vec<u8>, PaymentsError> {
    let mut header = MAGIC.to_vec();
    header.push(WORK);
    let mut random = [0; SALT_BYTES + NONCE_BYTES];
    randomness(&mut random)?;
    header.extend_from_slice(&random);
    let (salt, nonce) = random.split_at(SALT_BYTES);
    let cipher = cipher(path, passphrase, WORK, salt)?;
    let nonce = XNonce::try_from(nonce).map_err(|_| damaged(path))?;
    let payload = Payload { msg: bytes, aad: &header };
    let sealed = cipher.encrypt(&nonce, payload).map_err(|_| damaged(path))?;
    Ok([header, sealed].concat())
}

/// Decrypts what [`encrypt`] made.
pub(crate) fn decrypt(
    path: &Path,
    bytes: &[u8],
    passphrase: &Passphrase,
) -> Result<Zeroizing<Vec<u8>>, PaymentsError> {
    let (header, sealed) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(|| damaged(path))?;
    let rest = header.strip_prefix(MAGIC).ok_or_else(|| damaged(path))?;
    let (work, rest) = rest.split_first().ok_or_else(|| damaged(path))?;
    if *work == 0 || *work > WORK_MAX {
        return Err(damaged(path));
    }
    let (salt, nonce) = rest.split_at(SALT_BYTES);
    let cipher = cipher(path, passphrase, *work, salt)?;
    let nonce = XNonce::try_from(nonce).map_err(|_| damaged(path))?;
    cipher
        .decrypt(&nonce, Payload { msg: sealed, aad: header })
        .map(Zeroizing::new)
        .map_err(|_| PaymentsError::Passphrase { path: path.to_owned() })
}

fn cipher(
    path: &Path,
    passphrase: &Passphrase,
    work: u8,
    salt: &[u8],
) -> Result<XChaCha20Poly1305, PaymentsError> {
    let parameters = scrypt::Params::new(work, 8, 1).map_err(|_| damaged(path))?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    scrypt::scrypt(passphrase.0.as_bytes(), salt, &parameters, key.as_mut_slice())
        .map_err(|_| damaged(path))?;
    XChaCha20Poly1305::new_from_slice(key.as_slice()).map_err(|_| damaged(path))
}

fn damaged(path: &Path) -> PaymentsError {
    let reason = "it is no encrypted seed, or it is damaged".to_owned();
    PaymentsError::Contents { path: path.to_owned(), reason }
}

/// Fills bytes from the system's randomness.
pub(crate) fn randomness(bytes: &mut [u8]) -> Result<(), PaymentsError> {
    getrandom::fill(bytes).map_err(|error| PaymentsError::Randomness { reason: error.to_string() })
}

fn read_bounded(path: &Path) -> Result<Zeroizing<String>, PaymentsError> {
    let mut text = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(|source| PaymentsError::at(path, source))?;
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|source| PaymentsError::at(path, source))?;
    Ok(text)
}

fn no_seed(error: ldk_node::bip39::Error) -> PaymentsError {
    PaymentsError::Mnemonic { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned())
    }

    #[test]
    fn a_seed_opens_with_its_passphrase_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed.enc");
        let seed = Seed::generate().unwrap();
        seed.write(&path, &passphrase("correct horse\n")).unwrap();

        let opened = Seed::open(&path, &passphrase("correct horse")).unwrap();
        assert_eq!(*opened.words(), *seed.words());
        let other = Seed::open(&path, &passphrase("correct house"));
        assert!(matches!(other, Err(PaymentsError::Passphrase { .. })), "{other:?}");
        assert_eq!(seed.words().split(' ').count(), 24);
    }

    #[test]
    fn a_seed_is_for_its_owner_only_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed.enc");
        let seed = Seed::generate().unwrap();
        seed.write(&path, &passphrase("a")).unwrap();
        let bytes = fs::read(&path).unwrap();

        assert!(Seed::generate().unwrap().write(&path, &passphrase("b")).is_err());
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SECRET);
        let words = seed.words();
        assert!(!bytes.windows(words.len()).any(|window| window == words.as_bytes()));
    }

    #[test]
    fn words_that_are_no_seed_and_files_that_anybody_may_read_are_refused() {
        assert!(Seed::parse("abandon abandon abandon").is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed");
        Seed::generate().unwrap().write_plain(&path).unwrap();
        assert!(Seed::read_plain(&path).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Seed::read_plain(&path).is_err());
    }
}
