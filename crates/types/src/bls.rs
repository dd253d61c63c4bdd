//! BLS12-381 signatures that add up: many validators sign one message, one check judges them all.
//!
//! Signatures are points of G1 (48 bytes), public keys of G2 (96 bytes). Keys are aggregated, so
//! each key must come with a proof of possession, which rules out keys that were made from the
//! keys of others (IETF draft-irtf-cfrg-bls-signature, 3.3).

use core::fmt;
use core::ops::Range;

use alloc::vec::Vec;

use blst::BLST_ERROR;
use blst::MultiPoint as _;
use blst::blst_fp12;
use blst::blst_p1;
use blst::min_sig;
use blst::p1_affines;
use blstrs::G1Projective;
use blstrs::G2Affine;
use group::prime::PrimeCurveAffine as _;

use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;
use crate::error::KeyError;
use crate::error::WrongSignature;

pub(crate) const SIGNATURE_DST: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
const POSSESSION_DST: &[u8] = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

/// A secret BLS key; wiped when dropped, never printed.
#[derive(Clone)]
pub struct SecretKey(min_sig::SecretKey);

/// A public BLS key whose point has been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(min_sig::PublicKey);

/// A BLS signature: one validator's, or the sum of several.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 48]);

/// The proof that somebody holds the secret of a public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Possession(Signature);

impl SecretKey {
    /// Makes the key that belongs to 32 bytes of secret randomness.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(min_sig::SecretKey::key_gen(seed, b"meanwhile/types/bls/v1").expect("32 bytes do"))
    }

    /// Reads a scalar.
    ///
    /// # Errors
    /// When it is zero or not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        min_sig::SecretKey::from_bytes(bytes).map(Self).map_err(|_| KeyError::Malformed)
    }

    /// The scalar, for the one file that keeps it.
    pub fn to_bytes(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk())
    }

    /// Signs a message that starts with a domain, or a digest that was made with one.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, SIGNATURE_DST, &[]).to_bytes())
    }

    /// Proves that this key is held.
    pub fn prove_possession(&self) -> Possession {
        let public = self.0.sk_to_pk().to_bytes();
        Possession(Signature(self.0.sign(&public, POSSESSION_DST, &[]).to_bytes()))
    }
}

impl PublicKey {
    /// Reads a key.
    ///
    /// # Errors
    /// When it is no point of the group, or the identity.
    pub fn from_bytes(bytes: &[u8; 96]) -> Result<Self, KeyError> {
        min_sig::PublicKey::key_validate(bytes).map(Self).map_err(|_| KeyError::Malformed)
    }

    /// The compressed point.
    pub fn to_bytes(&self) -> [u8; 96] {
        self.0.to_bytes()
    }

    /// Checks that whoever gave this key holds its secret.
    ///
    /// # Errors
    /// When the proof does not fit.
    pub fn verify_possession(&self, proof: &Possession) -> Result<(), KeyError> {
        check(&proof.0, &self.to_bytes(), POSSESSION_DST, &self.0)
    }

    /// Checks one validator's signature.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        check(signature, message, SIGNATURE_DST, &self.0)
    }

    /// The key that judges the sum of one message's signatures by all `keys`. Sound only for keys
    /// whose possession was proven.
    ///
    /// # Errors
    /// When there are none.
    pub fn aggregate<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Result<Self, KeyError> {
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(KeyError::TooFewShares { needed: 1, actual: 0 })?;
        let mut sum = min_sig::AggregatePublicKey::from_public_key(&first.0);
        for key in keys {
            sum.add_public_key(&key.0, false).map_err(|_| KeyError::Malformed)?;
        }
        Ok(Self(sum.to_public_key()))
    }
}

impl Signature {
    /// Wraps the bytes of a signature; whether they are a point shows when it is checked.
    pub const fn new(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// The compressed point.
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// Adds up signatures of one message.
    ///
    /// # Errors
    /// When there are none, or one is no point of the group.
    pub fn aggregate<'a>(signatures: impl IntoIterator<Item = &'a Self>) -> Result<Self, KeyError> {
        let mut sum: Option<min_sig::AggregateSignature> = None;
        for signature in signatures {
            let point = min_sig::Signature::sig_validate(&signature.0, true)
                .map_err(|_| KeyError::Malformed)?;
            match &mut sum {
                None => sum = Some(min_sig::AggregateSignature::from_signature(&point)),
                Some(sum) => {
                    sum.add_signature(&point, false).map_err(|_| KeyError::Malformed)?;
                }
            }
        }
        let sum = sum.ok_or(KeyError::TooFewShares { needed: 1, actual: 0 })?;
        Ok(Self(sum.to_signature().to_bytes()))
    }
}

fn check(
    signature: &Signature,
    message: &[u8],
    domain: &[u8],
    key: &min_sig::PublicKey,
) -> Result<(), KeyError> {
    let point = min_sig::Signature::uncompress(&signature.0).map_err(|_| KeyError::Malformed)?;
    match point.verify(true, message, domain, &[], key, false) {
        BLST_ERROR::BLST_SUCCESS => Ok(()),
        _ => Err(KeyError::WrongSignature),
    }
}

/// Checks a group signature whose message is a digest.
pub(crate) fn verify_digest(
    key: &PublicKey,
    message: &Digest,
    signature: &Signature,
) -> Result<(), KeyError> {
    key.verify(message.as_bytes(), signature)
}

/// Checks signatures of many digests under one key for little more than the price of one check.
///
/// Each signature and each message is taken times a weight of 128 bits; the sum of the signatures
/// has to be the key's signature of the sum of the messages. Weights are hashes of everything that is
/// checked, so nobody can choose signatures that fit their weights: wrong ones whose faults cancel
/// out are found by trying 2^128 times.
pub(crate) fn verify_digests(
    key: &PublicKey,
    signed: &[(Digest, Signature)],
) -> Result<(), WrongSignature> {
    let [(message, signature)] = signed else {
        return Batch::new(key, signed)?.map_or(Ok(()), |batch| batch.verify());
    };
    verify_digest(key, message, signature).map_err(|error| WrongSignature { index: 0, error })
}

/// Signatures as points of the group, with what they should sign and their weights.
struct Batch<'a> {
    key: &'a PublicKey,
    signatures: Vec<min_sig::Signature>,
    messages: p1_affines,
    weights: Vec<u8>,
}

/// The bytes of one weight.
const WEIGHT_BYTES: usize = 16;

impl<'a> Batch<'a> {
    /// None when there is nothing to check.
    fn new(
        key: &'a PublicKey,
        signed: &[(Digest, Signature)],
    ) -> Result<Option<Self>, WrongSignature> {
        if signed.is_empty() {
            return Ok(None);
        }
        let mut signatures = Vec::with_capacity(signed.len());
        for (index, (_, signature)) in signed.iter().enumerate() {
            // A point outside the group would hide behind a weight that its order divides.
            let point = min_sig::Signature::sig_validate(&signature.0, true)
                .map_err(|_| WrongSignature { index, error: KeyError::Malformed })?;
            signatures.push(point);
        }
        let point = |(message, _): &(Digest, Signature)| {
            *G1Projective::hash_to_curve(message.as_bytes(), SIGNATURE_DST, &[]).as_ref()
        };
        let points: Vec<blst_p1> = signed.iter().map(point).collect();
        let messages = p1_affines::from(&points);
        Ok(Some(Self { key, signatures, messages, weights: weights(key, signed) }))
    }

    fn verify(&self) -> Result<(), WrongSignature> {
        let mut suspects = 0..self.signatures.len();
        if self.holds(&suspects) {
            return Ok(());
        }
        // Of two halves one is wrong: this costs as much again as the whole, however many there are.
        while suspects.len() > 1 {
            let middle = suspects.start + suspects.len() / 2;
            let lower = suspects.start..middle;
            suspects = if self.holds(&lower) { middle..suspects.end } else { lower };
        }
        Err(WrongSignature { index: suspects.start, error: KeyError::WrongSignature })
    }

    /// Whether the signatures of a range are right, all of them.
    fn holds(&self, range: &Range<usize>) -> bool {
        let bits = 8 * WEIGHT_BYTES;
        let weights = &self.weights[WEIGHT_BYTES * range.start..WEIGHT_BYTES * range.end];
        let signature = self.signatures[range.clone()].mult(weights, bits).to_signature();
        let message = p1_affines::from(&[self.messages[range.clone()].mult(weights, bits)]);
        let generator = G2Affine::generator();
        let left = blst_fp12::miller_loop(generator.as_ref(), (&signature).into());
        let right = blst_fp12::miller_loop((&self.key.0).into(), &message[0]);
        blst_fp12::finalverify(&left, &right)
    }
}

fn weights(key: &PublicKey, signed: &[(Digest, Signature)]) -> Vec<u8> {
    let mut hasher = Hasher::new("meanwhile/types/signature-batch/v1").value(key);
    for (message, signature) in signed {
        hasher = hasher.value(message).value(signature);
    }
    let seed = hasher.finish();
    let mut weights = Vec::with_capacity(WEIGHT_BYTES * signed.len());
    for index in (0_u64..).take(signed.len()) {
        let weight = Hasher::new("meanwhile/types/signature-weight/v1").value(&seed).value(&index);
        weights.extend_from_slice(&weight.finish().as_bytes()[..WEIGHT_BYTES]);
    }
    weights
}

impl Encode for PublicKey {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.to_bytes());
    }
}

impl Decode for PublicKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_bytes(&reader.array()?)
            .map_err(|_| DecodeError::InvalidValue { what: "BLS public key" })
    }
}

impl Encode for Signature {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.0);
    }
}

impl Decode for Signature {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

impl Encode for Possession {
    fn encode(&self, writer: &mut Writer) {
        self.0.encode(writer);
    }
}

impl Decode for Possession {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(Signature::decode(reader)?))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bls::SecretKey(..)")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "bls::PublicKey({}..)", hex::encode(&self.to_bytes()[..6]))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "bls::Signature({}..)", hex::encode(&self.0[..6]))
    }
}

impl fmt::Debug for Possession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Possession({}..)", hex::encode(&self.0.0[..6]))
    }
}

macro_rules! serde_hex {
    ($name:ty, $length:literal, $from:expr, $to:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let bytes: [u8; $length] = $to(self);
                serializer.serialize_str(&hex::encode(bytes))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                let mut bytes = [0; $length];
                hex::decode_to_slice(text.as_bytes(), &mut bytes)
                    .map_err(serde::de::Error::custom)?;
                $from(&bytes).map_err(serde::de::Error::custom)
            }
        }
    };
}

serde_hex!(PublicKey, 96, PublicKey::from_bytes, |key: &PublicKey| key.to_bytes());
serde_hex!(
    Signature,
    48,
    |bytes: &[u8; 48]| Ok::<_, KeyError>(Signature(*bytes)),
    |signature: &Signature| signature.0
);
serde_hex!(
    Possession,
    48,
    |bytes: &[u8; 48]| Ok::<_, KeyError>(Possession(Signature(*bytes))),
    |proof: &Possession| proof.0.0
);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    #[test]
    fn a_sum_of_signatures_verifies_under_the_sum_of_keys() {
        let keys = [key(1), key(2), key(3)];
        let signatures = keys.each_ref().map(|key| key.sign(b"message"));
        let publics = keys.each_ref().map(SecretKey::public);
        let sum = Signature::aggregate(&signatures).unwrap();
        let group = PublicKey::aggregate(&publics).unwrap();
        assert_eq!(group.verify(b"message", &sum), Ok(()));
        assert_eq!(group.verify(b"other", &sum), Err(KeyError::WrongSignature));
        let two = Signature::aggregate(&signatures[..2]).unwrap();
        assert_eq!(group.verify(b"message", &two), Err(KeyError::WrongSignature));
    }

    #[test]
    fn a_proof_of_possession_fits_its_own_key_only() {
        let proof = key(1).prove_possession();
        assert_eq!(key(1).public().verify_possession(&proof), Ok(()));
        assert!(key(2).public().verify_possession(&proof).is_err());
        // A plain signature of the key's bytes is in another domain, so it is no proof.
        let forged = Possession(key(1).sign(&key(1).public().to_bytes()));
        assert!(key(1).public().verify_possession(&forged).is_err());
    }

    #[test]
    fn malformed_points_are_errors() {
        assert!(PublicKey::from_bytes(&[0xff; 96]).is_err());
        let mut identity = [0; 96];
        identity[0] = 0xc0;
        assert!(PublicKey::from_bytes(&identity).is_err());
        assert!(key(1).public().verify(b"m", &Signature::new([7; 48])).is_err());
        assert!(Signature::aggregate(&[Signature::new([7; 48])]).is_err());
        assert!(Signature::aggregate([]).is_err());
        assert!(PublicKey::aggregate([]).is_err());
    }
}
