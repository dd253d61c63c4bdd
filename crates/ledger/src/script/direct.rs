//! The short way for the two commonest spends: one key, one signature, nothing unusual.
//!
//! libbitcoinconsensus parses the transaction again for every input; this way does not, and shares
//! one sighash cache over the inputs. It answers "accepted" or "I do not know": an unusual key,
//! sighash type, encoding or element count is for the library to judge, and so is every failure.
//! Sources: BIP 141 and BIP 143 (P2WPKH), BIP 340 and BIP 341 (P2TR by key).

use bitcoin::EcdsaSighashType;
use bitcoin::Script;
use bitcoin::TapSighashType;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::hashes::Hash;
use bitcoin::hashes::hash160;
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::PublicKey;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::secp256k1::VerifyOnly;
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::secp256k1::ecdsa;
use bitcoin::secp256k1::schnorr;
use bitcoin::sighash::Prevouts;
use bitcoin::sighash::SighashCache;

const COMPRESSED_KEY_BYTES: usize = 33;
const SCHNORR_BYTES: usize = 64;

/// Judges single inputs of one transaction.
pub(super) struct Direct<'a> {
    transaction: &'a Transaction,
    spent: &'a [TxOut],
    sighashes: SighashCache<&'a Transaction>,
    secp: Secp256k1<VerifyOnly>,
}

impl<'a> Direct<'a> {
    /// `spent` has one output an input.
    pub(super) fn new(transaction: &'a Transaction, spent: &'a [TxOut]) -> Self {
        let sighashes = SighashCache::new(transaction);
        Self { transaction, spent, sighashes, secp: Secp256k1::verification_only() }
    }

    /// Whether the input is a plain spend by key with a signature that fits. No means nothing.
    pub(super) fn accepts(&mut self, index: usize) -> bool {
        let spent = &self.spent[index];
        if !self.transaction.input[index].script_sig.is_empty() {
            return false;
        }
        if spent.script_pubkey.is_p2wpkh() {
            return self.accepts_p2wpkh(index).is_some();
        }
        spent.script_pubkey.is_p2tr() && self.accepts_p2tr(index).is_some()
    }

    fn accepts_p2wpkh(&mut self, index: usize) -> Option<()> {
        let witness = &self.transaction.input[index].witness;
        let spent = &self.spent[index];
        let (2, Some(signature), Some(key)) = (witness.len(), witness.nth(0), witness.nth(1))
        else {
            return None;
        };
        if key.len() != COMPRESSED_KEY_BYTES || !key_matches(key, &spent.script_pubkey) {
            return None;
        }
        let key = PublicKey::from_slice(key).ok()?;
        let (kind, der) = signature.split_last()?;
        let kind = EcdsaSighashType::from_standard(u32::from(*kind)).ok()?;
        let signature = ecdsa::Signature::from_der(der).ok()?;
        // BIP 66 knows one encoding of a signature, and this is it.
        if *signature.serialize_der() != *der {
            return None;
        }
        let sighash = self
            .sighashes
            .p2wpkh_signature_hash(index, &spent.script_pubkey, spent.value, kind)
            .ok()?;
        let message = Message::from_digest(sighash.to_byte_array());
        self.secp.verify_ecdsa(&message, &signature, &key).ok()
    }

    fn accepts_p2tr(&mut self, index: usize) -> Option<()> {
        let witness = &self.transaction.input[index].witness;
        let (1, Some(signature)) = (witness.len(), witness.nth(0)) else { return None };
        let (signature, kind) = match signature.len() {
            SCHNORR_BYTES => (signature, TapSighashType::Default),
            // A written-out type 0 is a second encoding of the default and forbidden.
            _ => match signature.split_last() {
                Some((kind, signature)) if signature.len() == SCHNORR_BYTES && *kind != 0 => {
                    (signature, TapSighashType::from_consensus_u8(*kind).ok()?)
                }
                _ => return None,
            },
        };
        let key = self.spent[index].script_pubkey.as_bytes().get(2..)?;
        let key = XOnlyPublicKey::from_slice(key).ok()?;
        let signature = schnorr::Signature::from_slice(signature).ok()?;
        let sighash = self
            .sighashes
            .taproot_key_spend_signature_hash(index, &Prevouts::All(self.spent), kind)
            .ok()?;
        let message = Message::from_digest(sighash.to_byte_array());
        self.secp.verify_schnorr(&signature, &message, &key).ok()
    }
}

/// Whether a P2WPKH program commits to `key`.
pub(super) fn key_matches(key: &[u8], program: &Script) -> bool {
    let hash = hash160::Hash::hash(key);
    program.as_bytes().get(2..) == Some(hash.as_byte_array().as_slice())
}
