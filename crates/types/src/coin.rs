//! The common coin: randomness of a round that f + 1 validators make together and nobody alone.
//!
//! Source: `docs/consensus.md`, Common coin. A secret polynomial of degree f over the scalars of
//! BLS12-381 gives validator i the value at i + 1; the value at 0 is the group's secret, which
//! nobody holds. A share is a BLS signature with that value; any f + 1 of them interpolate to the
//! one signature of the group, which anybody checks against the group's key.
//!
//! **Invariant:** whatever f + 1 valid shares are combined, the group signature is the same bytes.

use alloc::vec::Vec;
use core::fmt;

use blstrs::G1Affine;
use blstrs::G1Projective;
use blstrs::Scalar;
use ff::Field;
use ff::PrimeField;

use crate::bls;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;
use crate::error::KeyError;
use crate::error::WrongSignature;
use crate::ids::Author;
use crate::ids::Epoch;
use crate::ids::Round;

/// One validator's share of the common coin of a round, as bytes that may be no point at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoinShare([u8; 48]);

/// The group's signature for a round: certifies itself under the group's key.
pub type CoinSignature = bls::Signature;

/// One validator's secret value of the polynomial; never printed.
#[derive(Clone)]
pub struct CoinSecret(bls::SecretKey);

/// What a dealer makes: only development networks and tests let one party know every secret.
#[derive(Clone, Debug)]
pub struct Dealt {
    /// The key that judges the group's signatures.
    pub group: bls::PublicKey,
    /// The key that judges the shares of each validator, by author.
    pub publics: Vec<bls::PublicKey>,
    /// The secret of each validator, by author.
    pub secrets: Vec<CoinSecret>,
}

/// What the common coin of `round` signs. It names no content of the DAG, for views differ.
pub fn coin_message(chain: &Digest, epoch: Epoch, round: Round) -> Digest {
    Hasher::new("meanwhile/types/coin-message/v1").value(chain).value(&epoch).value(&round).finish()
}

/// The seed that names the leaders of `round`.
pub fn coin_seed(epoch: Epoch, round: Round, signature: &CoinSignature) -> Digest {
    Hasher::new("meanwhile/types/coin-seed/v1")
        .value(&epoch)
        .value(&round)
        .value(signature)
        .finish()
}

impl CoinSecret {
    /// Reads a scalar.
    ///
    /// # Errors
    /// When it is zero or not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        bls::SecretKey::from_bytes(bytes).map(Self)
    }

    /// The scalar, for the one file that keeps it.
    pub fn to_bytes(&self) -> zeroize::Zeroizing<[u8; 32]> {
        self.0.to_bytes()
    }

    /// The key that judges this validator's shares.
    pub fn public(&self) -> bls::PublicKey {
        self.0.public()
    }

    /// This validator's share of a message made by [`coin_message`].
    pub fn share(&self, message: &Digest) -> CoinShare {
        CoinShare(*self.0.sign(message.as_bytes()).as_bytes())
    }
}

impl CoinShare {
    /// Wraps bytes.
    pub const fn new(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// Whether the bytes are a point on the curve. It may still lie outside the group.
    pub fn is_curve_point(&self) -> bool {
        bool::from(G1Affine::from_compressed_unchecked(&self.0).is_some())
    }

    /// Checks the share by itself, which costs as much as a whole recovery: done only to find out
    /// whose share spoilt one.
    ///
    /// # Errors
    /// When it is not the author's share of `message`.
    pub fn verify(&self, message: &Digest, key: &bls::PublicKey) -> Result<(), KeyError> {
        bls::verify_digest(key, message, &bls::Signature::new(self.0))
    }
}

/// Interpolates the group's signature of `message` from shares of distinct authors and checks it
/// once. All shares given are used: the caller passes exactly as many as the threshold.
///
/// # Errors
/// When an author appears twice, a share is no point, or the result does not verify: then at least
/// one share is wrong.
pub fn recover(
    shares: &[(Author, CoinShare)],
    message: &Digest,
    group: &bls::PublicKey,
) -> Result<CoinSignature, KeyError> {
    let places: Vec<Scalar> = shares.iter().map(|(author, _)| place(*author)).collect();
    let mut sum: Option<G1Projective> = None;
    for (index, (_, share)) in shares.iter().enumerate() {
        let point: Option<G1Affine> = G1Affine::from_compressed(&share.0).into();
        let point = G1Projective::from(point.ok_or(KeyError::Malformed)?);
        let term = point * weight_at_zero(&places, index)?;
        sum = Some(sum.map_or(term, |sum| sum + term));
    }
    let sum = sum.ok_or(KeyError::TooFewShares { needed: 1, actual: 0 })?;
    let signature = CoinSignature::new(G1Affine::from(sum).to_compressed());
    verify_signature(&signature, message, group)?;
    Ok(signature)
}

/// Checks a group signature that came ready made.
///
/// # Errors
/// When it is not the group's signature of `message`.
pub fn verify_signature(
    signature: &CoinSignature,
    message: &Digest,
    group: &bls::PublicKey,
) -> Result<(), KeyError> {
    bls::verify_digest(group, message, signature)
}

/// Checks group signatures of many messages that came ready made, all at once: for many, each costs a
/// small part of what it costs alone.
///
/// # Errors
/// When one is not the group's signature of its message.
pub fn verify_signatures(
    signed: &[(Digest, CoinSignature)],
    group: &bls::PublicKey,
) -> Result<(), WrongSignature> {
    bls::verify_digests(group, signed)
}

/// Deals a polynomial of degree `threshold - 1` to `validators`, from a seed that must be secret
/// and is worth as much as all the secrets together.
///
/// # Errors
/// When the threshold is zero or above the number of validators.
pub fn deal(seed: &[u8; 32], validators: u16, threshold: u16) -> Result<Dealt, KeyError> {
    if threshold == 0 || threshold > validators {
        return Err(KeyError::TooFewShares {
            needed: usize::from(threshold),
            actual: usize::from(validators),
        });
    }
    let coefficients: Vec<Scalar> =
        (0..threshold).map(|index| derive_scalar(seed, index)).collect();
    let group = public_of(&coefficients[0])?.public();
    let mut secrets = Vec::with_capacity(usize::from(validators));
    for author in 0..validators {
        let place = place(Author::new(author));
        let value = coefficients
            .iter()
            .rev()
            .fold(Scalar::ZERO, |value, coefficient| value * place + coefficient);
        secrets.push(CoinSecret(public_of(&value)?));
    }
    let publics = secrets.iter().map(CoinSecret::public).collect();
    Ok(Dealt { group, publics, secrets })
}

fn public_of(secret: &Scalar) -> Result<bls::SecretKey, KeyError> {
    bls::SecretKey::from_bytes(&secret.to_bytes_be())
}

fn derive_scalar(seed: &[u8; 32], index: u16) -> Scalar {
    (0_u64..)
        .find_map(|attempt| {
            let digest = Hasher::new("meanwhile/types/deal/v1")
                .bytes(seed)
                .bytes(&index.to_le_bytes())
                .value(&attempt)
                .finish();
            let scalar: Option<Scalar> = Scalar::from_repr(*digest.as_bytes()).into();
            scalar.filter(|scalar| !bool::from(scalar.is_zero()))
        })
        .expect("two of five digests are scalars below the group order")
}

fn place(author: Author) -> Scalar {
    Scalar::from(u64::from(author.value()) + 1)
}

/// The Lagrange weight of the place at `index` for the polynomial's value at zero.
fn weight_at_zero(places: &[Scalar], index: usize) -> Result<Scalar, KeyError> {
    let mut numerator = Scalar::ONE;
    let mut denominator = Scalar::ONE;
    for (other, place) in places.iter().enumerate() {
        if other != index {
            numerator *= place;
            denominator *= place - places[index];
        }
    }
    let inverse: Option<Scalar> = denominator.invert().into();
    // Two equal places leave a zero, which has no inverse.
    Ok(numerator * inverse.ok_or(KeyError::Malformed)?)
}

impl Encode for CoinShare {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.0);
    }
}

impl Decode for CoinShare {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

impl fmt::Debug for CoinShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CoinShare({}..)", hex::encode(&self.0[..6]))
    }
}

impl fmt::Debug for CoinSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CoinSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> Digest {
        coin_message(&Digest::new([9; 32]), Epoch::new(0), Round::new(7))
    }

    fn shares(dealt: &Dealt, authors: &[u16]) -> Vec<(Author, CoinShare)> {
        authors
            .iter()
            .map(|author| {
                (Author::new(*author), dealt.secrets[usize::from(*author)].share(&message()))
            })
            .collect()
    }

    #[test]
    fn every_set_of_threshold_shares_recovers_the_same_signature() {
        let dealt = deal(&[1; 32], 7, 3).unwrap();
        let first = recover(&shares(&dealt, &[0, 1, 2]), &message(), &dealt.group).unwrap();
        for authors in [[6, 5, 4], [0, 3, 6], [2, 1, 0]] {
            let again = recover(&shares(&dealt, &authors), &message(), &dealt.group).unwrap();
            assert_eq!(again, first);
        }
    }

    #[test]
    fn fewer_than_the_threshold_recover_nothing() {
        let dealt = deal(&[1; 32], 7, 3).unwrap();
        assert!(recover(&shares(&dealt, &[0, 1]), &message(), &dealt.group).is_err());
        assert!(recover(&[], &message(), &dealt.group).is_err());
    }

    #[test]
    fn a_wrong_share_is_noticed_and_its_author_found() {
        let dealt = deal(&[1; 32], 4, 2).unwrap();
        let mut given = shares(&dealt, &[1, 2]);
        given[1].1 = dealt.secrets[3].share(&message());
        assert!(recover(&given, &message(), &dealt.group).is_err());
        assert_eq!(given[0].1.verify(&message(), &dealt.publics[1]), Ok(()));
        assert!(given[1].1.verify(&message(), &dealt.publics[2]).is_err());
    }

    #[test]
    fn an_author_counts_once() {
        let dealt = deal(&[1; 32], 4, 2).unwrap();
        assert!(recover(&shares(&dealt, &[1, 1]), &message(), &dealt.group).is_err());
    }

    #[test]
    fn a_threshold_of_one_makes_every_share_the_signature() {
        let dealt = deal(&[1; 32], 1, 1).unwrap();
        let given = shares(&dealt, &[0]);
        let signature = recover(&given, &message(), &dealt.group).unwrap();
        assert_eq!(signature.as_bytes(), given[0].1.as_bytes());
    }

    /// The coins of so many rounds, with the key that judges them.
    fn coins(count: usize) -> (Vec<(Digest, CoinSignature)>, bls::PublicKey) {
        let dealt = deal(&[1; 32], 1, 1).unwrap();
        let coin = |round| {
            let message = coin_message(&Digest::new([9; 32]), Epoch::new(0), Round::new(round));
            (message, CoinSignature::new(dealt.secrets[0].share(&message).0))
        };
        ((0..).take(count).map(coin).collect(), dealt.group)
    }

    #[test]
    fn none_one_and_many_right_signatures_pass() {
        for count in [0, 1, 2, 3, 31, 32, 33, 100] {
            let (signed, group) = coins(count);
            assert_eq!(verify_signatures(&signed, &group), Ok(()), "{count}");
        }
    }

    #[test]
    fn a_point_outside_the_group_and_bytes_that_are_no_point_are_malformed() {
        let outside = (1..=u8::MAX).find_map(|last| {
            let mut bytes = [0; 48];
            (bytes[0], bytes[47]) = (0x80, last);
            let share = CoinShare::new(bytes);
            let is_in_group = bool::from(G1Affine::from_compressed(&bytes).is_some());
            (share.is_curve_point() && !is_in_group).then_some(bytes)
        });
        let mut infinity = [0; 48];
        infinity[0] = 0xc0;
        for bytes in [outside.unwrap(), infinity, [0; 48], [255; 48]] {
            let (mut signed, group) = coins(5);
            signed[3].1 = CoinSignature::new(bytes);
            let malformed = WrongSignature { index: 3, error: KeyError::Malformed };
            assert_eq!(verify_signatures(&signed, &group), Err(malformed));
        }
    }

    #[test]
    fn faults_that_cancel_out_in_a_plain_sum_do_not_pass() {
        let (mut signed, group) = coins(4);
        let point = |signed: &(Digest, CoinSignature)| {
            G1Projective::from(G1Affine::from_compressed(signed.1.as_bytes()).unwrap())
        };
        let fault = point(&signed[0]);
        let faulty = [point(&signed[1]) + fault, point(&signed[2]) - fault];
        for (signed, faulty) in signed[1..3].iter_mut().zip(faulty) {
            signed.1 = CoinSignature::new(G1Affine::from(faulty).to_compressed());
        }
        assert_eq!(verify_signatures(&signed, &group).unwrap_err().error, KeyError::WrongSignature);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_signature_of_something_else_is_found_wherever_it_stands(
            count in 1_usize..70,
            place in any::<prop::sample::Index>(),
        ) {
            let (mut signed, group) = coins(count + 1);
            let (_, other) = signed.pop().unwrap();
            let index = place.index(count);
            signed[index].1 = other;
            let wrong = WrongSignature { index, error: KeyError::WrongSignature };
            prop_assert_eq!(verify_signatures(&signed, &group), Err(wrong));
        }

        #[test]
        fn swapped_signatures_do_not_pass(
            count in 2_usize..70,
            places in any::<[prop::sample::Index; 2]>(),
        ) {
            let (mut signed, group) = coins(count);
            let [first, second] = places.map(|place| place.index(count));
            prop_assume!(first != second);
            (signed[first].1, signed[second].1) = (signed[second].1, signed[first].1);
            let wrong = verify_signatures(&signed, &group).unwrap_err();
            prop_assert!([first, second].contains(&wrong.index));
        }
    }
}
