//! A validator's secrets on disk, one file each, and the public card that goes into a genesis.
//!
//! **Invariant:** secrets are written with mode 0400 and never printed; the card holds none.

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
use serde::Deserialize;
use serde::Serialize;
use types::PublicKey;
use types::SecretKey;
use types::bls;
use types::coin::CoinSecret;
use types::genesis::GenesisValidator;
use types::genesis::HexBytes;

use crate::error::Failure;
use crate::files;

/// The file that holds the Bitcoin key which fees are paid to, as WIF.
pub(crate) const PAYOUT_FILE: &str = "payout.wif";
/// The file that holds the public card.
pub(crate) const CARD_FILE: &str = "card.json";
/// The file that stands for "these keys have never signed". The node takes it away before they sign
/// for the first time; an empty store without it is one that was lost.
pub(crate) const UNUSED_FILE: &str = "unused";
const UNUSED_TEXT: &str = "These keys have never signed. The node deletes this file before they do; \
                           do not put it back.\n";

/// The secrets that a validator makes by itself.
#[derive(Debug)]
pub(crate) struct Secrets {
    vertex: SecretKey,
    transport: SecretKey,
    checkpoint: bls::SecretKey,
    payout: PrivateKey,
}

/// What a validator tells others before there is a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    /// What it is called.
    pub(crate) name: String,
    /// Signs its vertices.
    pub(crate) vertex_key: PublicKey,
    /// Identifies its node.
    pub(crate) transport_key: PublicKey,
    /// Signs checkpoints.
    pub(crate) checkpoint_key: bls::PublicKey,
    /// Proves that the secret of `checkpoint_key` is held.
    pub(crate) checkpoint_possession: bls::Possession,
    /// The script that fees are paid to.
    pub(crate) payout_script: HexBytes,
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
            payout: private_key()?,
        })
    }

    /// The public half.
    pub(crate) fn card(&self, name: String) -> Card {
        Card {
            name,
            vertex_key: self.vertex.public(),
            transport_key: self.transport.public(),
            checkpoint_key: self.checkpoint.public(),
            checkpoint_possession: self.checkpoint.prove_possession(),
            payout_script: HexBytes(payout_script(&self.payout).into_bytes()),
        }
    }

    /// Writes every secret into its own file in `dir`, and when all are there the mark that they
    /// have never signed: a folder whose keys are in use refuses before it could get one.
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
}

impl Card {
    /// The entry of a genesis, once the key for the common coin is known.
    pub(crate) fn into_validator(self, coin_key: bls::PublicKey) -> GenesisValidator {
        GenesisValidator {
            name: self.name,
            vertex_key: self.vertex_key,
            transport_key: self.transport_key,
            checkpoint_key: self.checkpoint_key,
            checkpoint_possession: self.checkpoint_possession,
            coin_key,
            payout_script: self.payout_script,
        }
    }
}

/// Writes a validator's value for the common coin.
///
/// # Errors
/// When it is there already or the file system refuses.
pub(crate) fn write_coin(path: &Path, secret: &CoinSecret) -> Result<(), Failure> {
    write_hex(path, secret.to_bytes().as_slice())
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
    fn a_card_proves_its_checkpoint_key_and_survives_its_file() {
        let card = Secrets::generate().unwrap().card("one".to_owned());
        assert!(card.checkpoint_key.verify_possession(&card.checkpoint_possession).is_ok());
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
