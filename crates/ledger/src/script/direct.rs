//! The short way for the commonest spends: one key, one signature, nothing unusual.
//!
//! libbitcoinconsensus parses the transaction again for every input; this way does not, and shares
//! one sighash cache over the inputs. It answers "accepted" or "I do not know": an unusual key,
//! sighash type, encoding or element count is for the library to judge, and so is every failure.
//! Sources: BIP 16, BIP 66 and Core's `SignatureHash` (P2PK, P2PKH), BIP 141 and BIP 143 (P2WPKH),
//! BIP 340 and BIP 341 (P2TR by key).

use std::ops::Range;
use std::sync::Arc;

use bitcoin::EcdsaSighashType;
use bitcoin::Script;
use bitcoin::TapSighashType;
use bitcoin::Transaction;
use bitcoin::TxIn;
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
/// The most bytes that an opcode pushes which is their number.
const PUSH_BYTES_MAX: usize = 75;
/// Where the hash stands in a P2PKH script.
const PUBLIC_KEY_HASH: Range<usize> = 3..23;

/// What libsecp256k1 needs to verify: made once for many checks.
#[derive(Clone, Debug)]
pub(crate) struct Verifier(Arc<Secp256k1<VerifyOnly>>);

impl Default for Verifier {
    fn default() -> Self {
        Self(Arc::new(Secp256k1::verification_only()))
    }
}

/// Judges single inputs of one transaction.
pub(super) struct Direct<'a> {
    transaction: &'a Transaction,
    spent: &'a [TxOut],
    sighashes: SighashCache<&'a Transaction>,
    secp: &'a Secp256k1<VerifyOnly>,
}

impl<'a> Direct<'a> {
    /// `spent` has one output an input.
    pub(super) fn new(
        transaction: &'a Transaction,
        spent: &'a [TxOut],
        verifier: &'a Verifier,
    ) -> Self {
        Self { transaction, spent, sighashes: SighashCache::new(transaction), secp: &verifier.0 }
    }

    /// Whether the input is a plain spend by key with a signature that fits. No means nothing.
    pub(super) fn accepts(&mut self, index: usize) -> bool {
        let (input, spent) = (&self.transaction.input[index], &self.spent[index]);
        let accepted = match Plain::of(input, spent) {
            Some(Plain::Legacy { signature, key }) => self.accepts_legacy(index, signature, key),
            Some(Plain::Witness { signature, key, program }) => {
                self.accepts_witness(index, signature, key, program)
            }
            Some(Plain::Taproot { signature }) => self.accepts_taproot(index, signature),
            None => None,
        };
        accepted.is_some()
    }

    fn accepts_legacy(&self, index: usize, signature: &[u8], key: &[u8]) -> Option<()> {
        let script = &self.spent[index].script_pubkey;
        let named = script.as_bytes().get(PUBLIC_KEY_HASH)?;
        if script.is_p2pkh() && named != hash160::Hash::hash(key).as_byte_array() {
            return None;
        }
        let kind = u32::from(*signature.last()?);
        let digest = self.sighashes.legacy_signature_hash(index, script, kind).ok()?;
        self.verify_ecdsa(digest.to_byte_array(), signature, key)
    }

    fn accepts_witness(
        &mut self,
        index: usize,
        signature: &[u8],
        key: &[u8],
        program: &Script,
    ) -> Option<()> {
        let spent = &self.spent[index];
        let nested = !spent.script_pubkey.is_p2wpkh();
        if !key_matches(key, program) || (nested && program.to_p2sh() != spent.script_pubkey) {
            return None;
        }
        let kind = EcdsaSighashType::from_standard(u32::from(*signature.last()?)).ok()?;
        let digest =
            self.sighashes.p2wpkh_signature_hash(index, program, spent.value, kind).ok()?;
        self.verify_ecdsa(digest.to_byte_array(), signature, key)
    }

    fn verify_ecdsa(&self, digest: [u8; 32], signature: &[u8], key: &[u8]) -> Option<()> {
        let key = PublicKey::from_slice(key).ok()?;
        let (_, der) = signature.split_last()?;
        let mut signature = ecdsa::Signature::from_der(der).ok()?;
        // BIP 66 knows one encoding of a signature, and this is it.
        if *signature.serialize_der() != *der {
            return None;
        }
        // A high S is against policy only; the verification below wants it low.
        signature.normalize_s();
        self.secp.verify_ecdsa(&Message::from_digest(digest), &signature, &key).ok()
    }

    fn accepts_taproot(&mut self, index: usize, signature: &[u8]) -> Option<()> {
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

/// An input of a form that the direct way judges. Where it has one and the signature fits by
/// consensus rules, the direct way says yes: the library is asked about an invalid one only.
pub(crate) enum Plain<'a> {
    /// P2PK and P2PKH: the digest covers the whole transaction again.
    Legacy { signature: &'a [u8], key: &'a [u8] },
    /// P2WPKH, by itself or behind a script hash.
    Witness { signature: &'a [u8], key: &'a [u8], program: &'a Script },
    /// P2TR by key.
    Taproot { signature: &'a [u8] },
}

impl<'a> Plain<'a> {
    /// Looks at the form only: whether keys and signatures fit is another matter.
    pub(crate) fn of(input: &'a TxIn, spent: &'a TxOut) -> Option<Self> {
        let (witness, script) = (&input.witness, &spent.script_pubkey);
        if witness.is_empty() {
            return Self::legacy(input.script_sig.as_bytes(), script);
        }
        if script.is_p2tr() && input.script_sig.is_empty() && witness.len() == 1 {
            return Some(Self::Taproot { signature: witness.nth(0)? });
        }
        let program = if script.is_p2wpkh() && input.script_sig.is_empty() {
            script
        } else if script.is_p2sh() {
            let (length, program) = input.script_sig.as_bytes().split_first()?;
            let program = Script::from_bytes(program);
            Some(program)
                .filter(|program| program.is_p2wpkh() && usize::from(*length) == program.len())?
        } else {
            return None;
        };
        let (signature, key) = (witness.nth(0)?, witness.nth(1)?);
        let sound = witness.len() == 2 && is_usual(signature) && key.len() == COMPRESSED_KEY_BYTES;
        sound.then_some(Self::Witness { signature, key, program })
    }

    fn legacy(script_sig: &'a [u8], script: &'a Script) -> Option<Self> {
        let (signature, rest) = split_push(script_sig)?;
        let key = if script.is_p2pkh() {
            split_push(rest).filter(|(_, rest)| rest.is_empty())?.0
        } else if script.is_p2pk() && rest.is_empty() {
            split_push(script.as_bytes())?.0
        } else {
            return None;
        };
        let sound = is_usual(signature) && key.len() == COMPRESSED_KEY_BYTES;
        sound.then_some(Self::Legacy { signature, key })
    }
}

/// What the shortest kind of push pushes, and what stands behind it.
fn split_push(script: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = script.split_first()?;
    let length = usize::from(*length);
    if length > PUSH_BYTES_MAX { None } else { rest.split_at_checked(length) }
}

/// Whether a signature has a usual length and one of the six types. It is longer than anything that
/// a plain script pushes, so no digest has to look for it there.
fn is_usual(signature: &[u8]) -> bool {
    let kind = signature.last().map(|kind| EcdsaSighashType::from_standard(u32::from(*kind)));
    signature.len() > COMPRESSED_KEY_BYTES && matches!(kind, Some(Ok(_)))
}

/// Whether a P2WPKH program commits to `key`.
pub(super) fn key_matches(key: &[u8], program: &Script) -> bool {
    let hash = hash160::Hash::hash(key);
    program.as_bytes().get(2..) == Some(hash.as_byte_array().as_slice())
}
