//! A validator's secrets on disk, one file each, and the public card that goes into a genesis.
//!
//! **Invariant:** secrets are written with mode 0400 and never printed; the card holds none.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bitcoin::CompressedPublicKey;
use bitcoin::NetworkKind;
use bitcoin::PrivateKey;
use bitcoin::ScriptBuf;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::secp256k1::SecretKey as PayoutSecret;
use node::keys::CHECKPOINT_FILE;
use node::keys::TRANSPORT_FILE;
use node::keys::VERTEX_FILE;
use types::SecretKey;
use types::bls;
use types::coin::CoinSecret;
use types::dkg::Card;
use types::dkg::CardDetails;
use types::dkg::CeremonySecret;
use types::genesis::HexBytes;
use zeroize::Zeroizing;

use crate::error::Failure;
use crate::files;

/// The file that holds the Bitcoin key which fees are paid to, as WIF.
pub(crate) const PAYOUT_FILE: &str = "payout.wif";
/// The file that holds the secret of the ceremony that makes the common coin's key.
pub(crate) const CEREMONY_FILE: &str = "ceremony.key";
/// The file that holds the public card.
pub(crate) const CARD_FILE: &str = "card.json";
/// The file that stands for "these keys have never signed". The node takes it away before they sign
/// for the first time; an empty store without it is one that was lost.
pub(crate) const UNUSED_FILE: &str = "unused";
const UNUSED_TEXT: &str = "These keys have never signed. The node deletes this file before they do; \
                           do not put it back.\n";

/// The permission bits that let others than the owner in.
const OTHERS: u32 = 0o077;
/// 64 hex digits and a line end are less.
const SECRET_FILE_BYTES_MAX: u64 = 128;

/// The secrets that a validator makes by itself.
#[derive(Debug)]
pub(crate) struct Secrets {
    vertex: SecretKey,
    transport: SecretKey,
    checkpoint: bls::SecretKey,
    ceremony: CeremonySecret,
    payout: PrivateKey,
}

impl Secrets {
    /// Makes new secrets from the system's randomness.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn generate() -> Result<Self, Failure> {
        Ok(Self {
            vertex: SecretKey::from_seed(&random()?),
            transport: SecretKey::from_seed(&random()?),
            checkpoint: bls::SecretKey::from_seed(&random()?),
            ceremony: CeremonySecret::from_seed(&random()?),
            payout: private_key()?,
        })
    }

    /// The public half.
    pub(crate) fn card(&self, name: String) -> Card {
        let details = CardDetails {
            name,
            transport_key: self.transport.public(),
            checkpoint_key: self.checkpoint.public(),
            checkpoint_possession: self.checkpoint.prove_possession(),
            payout_script: HexBytes(payout_script(&self.payout).into_bytes()),
        };
        Card::new(details, &self.vertex, &self.ceremony)
    }

    /// Writes every secret of a running validator into its own file in `dir`, and when all are
    /// there the mark that they have never signed: a folder whose keys are in use refuses before it
    /// could get one.
    ///
    /// # Errors
    /// When one is there already or the file system refuses.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Failure> {
        files::create_dir(dir)?;
        write_hex(&dir.join(VERTEX_FILE), self.vertex.to_seed().as_slice())?;
        write_hex(&dir.join(TRANSPORT_FILE), self.transport.to_seed().as_slice())?;
        write_hex(&dir.join(CHECKPOINT_FILE), self.checkpoint.to_bytes().as_slice())?;
        files::write_secret(&dir.join(PAYOUT_FILE), &format!("{}\n", self.payout.to_wif()))?;
        files::write_private(&dir.join(UNUSED_FILE), UNUSED_TEXT)
    }

    /// Writes the secret that a ceremony needs and a dealer's network does not.
    ///
    /// # Errors
    /// When it is there already or the file system refuses.
    pub(crate) fn write_ceremony(&self, dir: &Path) -> Result<(), Failure> {
        write_hex(&dir.join(CEREMONY_FILE), self.ceremony.to_seed().as_slice())
    }
}

/// Writes a validator's value for the common coin.
///
/// # Errors
/// When it is there already or the file system refuses.
pub(crate) fn write_coin(path: &Path, secret: &CoinSecret) -> Result<(), Failure> {
    write_hex(path, secret.to_bytes().as_slice())
}

/// Reads a secret of 32 bytes that nobody else may read.
///
/// # Errors
/// When it is not there, others may read it, or it is no such secret.
pub(crate) fn read_hex(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let contents =
        |reason: &str| Failure::Contents { path: path.to_owned(), reason: reason.to_owned() };
    let metadata = std::fs::metadata(path).map_err(|source| files::at(path, source))?;
    if metadata.permissions().mode() & OTHERS != 0 {
        return Err(contents("others may read this secret: make it `chmod 400`"));
    }
    let text = Zeroizing::new(files::read_bounded(path, SECRET_FILE_BYTES_MAX)?);
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), secret.as_mut_slice())
        .map_err(|_| contents("not 64 hex digits"))?;
    Ok(secret)
}

/// 32 secret random bytes.
///
/// # Errors
/// When the system gives none.
pub(crate) fn random() -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::Randomness { reason: error.to_string() })?;
    Ok(seed)
}

/// A new Bitcoin key for a test network.
///
/// # Errors
/// When the system gives no randomness.
pub(crate) fn private_key() -> Result<PrivateKey, Failure> {
    // All but a vanishing share of 32 byte strings are keys, so the loop ends at once.
    loop {
        if let Ok(secret) = PayoutSecret::from_slice(&random()?) {
            return Ok(PrivateKey::new(secret, NetworkKind::Test));
        }
    }
}

fn payout_script(key: &PrivateKey) -> ScriptBuf {
    let public = key.inner.public_key(&Secp256k1::signing_only());
    ScriptBuf::new_p2wpkh(&CompressedPublicKey(public).wpubkey_hash())
}

fn write_hex(path: &Path, secret: &[u8]) -> Result<(), Failure> {
    files::write_secret(path, &format!("{}\n", hex::encode(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_proves_its_keys_and_survives_its_file() {
        let card = Secrets::generate().unwrap().card("one".to_owned());
        assert_eq!(card.check(), Ok(()));
        let text = serde_json::to_string(&card).unwrap();
        assert_eq!(serde_json::from_str::<Card>(&text).unwrap(), card);
    }

    #[test]
    fn a_second_set_of_secrets_never_overwrites_the_first() {
        let folder = tempfile::tempdir().unwrap();
        Secrets::generate().unwrap().write(folder.path()).unwrap();
        let before = files::read(&folder.path().join(VERTEX_FILE)).unwrap();
        let unused = folder.path().join(UNUSED_FILE);
        assert!(unused.exists(), "new keys are marked as unused");
        std::fs::remove_file(&unused).unwrap();
        assert!(Secrets::generate().unwrap().write(folder.path()).is_err());
        assert_eq!(files::read(&folder.path().join(VERTEX_FILE)).unwrap(), before);
        assert!(!unused.exists(), "keys in use never look unused again");
    }
}
