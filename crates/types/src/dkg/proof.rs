//! Scalars, points and proofs of the ceremony: all of it on BLS12-381.
//!
//! Proofs are Schnorr's, made non-interactive by a hash that covers the statement and what it is
//! said about. Nonces follow from the secret and the statement, so that no proof is ever made twice
//! with one nonce and different challenges, and none depends on a random number generator.

use core::fmt;
use core::hint::black_box;

use blstrs::G1Affine;
use blstrs::G1Projective;
use blstrs::G2Affine;
use blstrs::G2Projective;
use blstrs::Scalar;
use ff::Field;
use ff::PrimeField;
use group::Group;
use group::GroupEncoding;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de;

use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Encode;
use crate::encoding::Writer;

/// A fixed number of bytes, written as hex. Whether they are a point or a scalar shows when they
/// are used: whoever signed something malformed can then be named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HexArray<const N: usize>(pub [u8; N]);

/// A proof of knowledge of a discrete logarithm, or of the equality of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    challenge: HexArray<32>,
    response: HexArray<32>,
}

/// Two points that are claimed to be the same multiple of two bases.
pub(super) struct SameExponent<'a> {
    /// The multiple of the group's generator.
    pub(super) public: &'a G1Projective,
    /// The other base.
    pub(super) base: &'a G1Projective,
    /// The multiple of the other base.
    pub(super) shared: &'a G1Projective,
}

/// A secret scalar; overwritten when dropped, never printed.
pub(super) struct SecretScalar(Scalar);

impl SecretScalar {
    pub(super) const fn new(scalar: Scalar) -> Self {
        Self(scalar)
    }

    /// Derives a scalar from a secret seed.
    pub(super) fn derive(
        domain: &'static str,
        seed: &[u8; 32],
        context: &Digest,
        index: u16,
    ) -> Self {
        Self(scalar(domain, &[seed, context.as_bytes(), &index.to_le_bytes()]))
    }

    pub(super) const fn expose(&self) -> &Scalar {
        &self.0
    }
}

impl Drop for SecretScalar {
    fn drop(&mut self) {
        self.0 = Scalar::ZERO;
        // The write is looked at, so that it is not left out as one that nobody reads.
        black_box(&self.0);
    }
}

impl fmt::Debug for SecretScalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretScalar(..)")
    }
}

/// A nonzero scalar that follows from fields of fixed lengths.
fn scalar(domain: &'static str, fields: &[&[u8]]) -> Scalar {
    (0_u64..)
        .find_map(|attempt| {
            let hasher =
                fields.iter().fold(Hasher::new(domain), |hasher, field| hasher.bytes(field));
            let digest = hasher.value(&attempt).finish();
            let scalar: Option<Scalar> = Scalar::from_repr(*digest.as_bytes()).into();
            scalar.filter(|scalar| !bool::from(scalar.is_zero()))
        })
        .expect("two of five digests are scalars below the group order")
}

/// The nonce of the one proof that `secret` makes about `context` in `domain`.
fn nonce(domain: &'static str, secret: &Scalar, context: &Digest) -> SecretScalar {
    let length = u8::try_from(domain.len()).unwrap_or(u8::MAX);
    let secret = zeroize::Zeroizing::new(secret.to_bytes_be());
    let fields = [secret.as_slice(), context.as_bytes(), &[length], domain.as_bytes()];
    SecretScalar(scalar("meanwhile/types/dkg-nonce/v1", &fields))
}

/// A point of G1 other than the identity.
pub(super) fn g1(bytes: &HexArray<48>) -> Option<G1Projective> {
    let point: Option<G1Affine> = G1Affine::from_compressed(&bytes.0).into();
    point.map(G1Projective::from).filter(|point| !bool::from(point.is_identity()))
}

/// A point of G2 other than the identity.
pub(super) fn g2(bytes: &HexArray<96>) -> Option<G2Projective> {
    let point: Option<G2Affine> = G2Affine::from_compressed(&bytes.0).into();
    point.map(G2Projective::from).filter(|point| !bool::from(point.is_identity()))
}

/// A small multiple of a public point: a hundred times faster than one by a whole scalar.
pub(super) fn times(point: &G2Projective, factor: u32) -> G2Projective {
    let mut product = G2Projective::identity();
    for bit in (0..u32::BITS - factor.leading_zeros()).rev() {
        product = product.double();
        if factor >> bit & 1 == 1 {
            product += point;
        }
    }
    product
}

/// Proves that the logarithm of `secret` times the generator is known.
pub(super) fn prove_knowledge<P>(domain: &'static str, context: &Digest, secret: &Scalar) -> Proof
where
    P: Group<Scalar = Scalar> + GroupEncoding,
{
    let nonce = nonce(domain, secret, context);
    let public = P::generator() * secret;
    let commitment = P::generator() * nonce.expose();
    let challenge = knowledge_challenge(domain, context, &public, &commitment);
    Proof::new(challenge, *nonce.expose() + challenge * secret)
}

/// Whether whoever made the proof knows the logarithm of `public`.
pub(super) fn is_known<P>(domain: &'static str, context: &Digest, public: &P, proof: &Proof) -> bool
where
    P: Group<Scalar = Scalar> + GroupEncoding,
{
    proof.scalars().is_some_and(|(challenge, response)| {
        let commitment = P::generator() * response - *public * challenge;
        knowledge_challenge(domain, context, public, &commitment) == challenge
    })
}

/// Proves that `public` and `shared` are `secret` times the generator and `base`.
pub(super) fn prove_same(
    domain: &'static str,
    context: &Digest,
    statement: &SameExponent<'_>,
    secret: &Scalar,
) -> Proof {
    let nonce = nonce(domain, secret, context);
    let commitments = [G1Projective::generator() * nonce.expose(), statement.base * nonce.expose()];
    let challenge = same_challenge(domain, context, statement, &commitments);
    Proof::new(challenge, *nonce.expose() + challenge * secret)
}

/// Whether the two logarithms are the same.
pub(super) fn is_same(
    domain: &'static str,
    context: &Digest,
    statement: &SameExponent<'_>,
    proof: &Proof,
) -> bool {
    proof.scalars().is_some_and(|(challenge, response)| {
        let commitments = [
            G1Projective::generator() * response - statement.public * challenge,
            statement.base * response - statement.shared * challenge,
        ];
        same_challenge(domain, context, statement, &commitments) == challenge
    })
}

fn knowledge_challenge<P: GroupEncoding>(
    domain: &'static str,
    context: &Digest,
    public: &P,
    commitment: &P,
) -> Scalar {
    let (public, commitment) = (public.to_bytes(), commitment.to_bytes());
    scalar(domain, &[context.as_bytes(), public.as_ref(), commitment.as_ref()])
}

fn same_challenge(
    domain: &'static str,
    context: &Digest,
    statement: &SameExponent<'_>,
    commitments: &[G1Projective; 2],
) -> Scalar {
    let points =
        [statement.public, statement.base, statement.shared, &commitments[0], &commitments[1]];
    let [public, base, shared, first, second] =
        points.map(|point| G1Affine::from(*point).to_compressed());
    scalar(domain, &[context.as_bytes(), &public, &base, &shared, &first, &second])
}

impl Proof {
    /// Puts the two halves of a proof together, whatever they prove.
    pub const fn from_parts(challenge: HexArray<32>, response: HexArray<32>) -> Self {
        Self { challenge, response }
    }

    fn new(challenge: Scalar, response: Scalar) -> Self {
        Self {
            challenge: HexArray(challenge.to_bytes_be()),
            response: HexArray(response.to_bytes_be()),
        }
    }

    fn scalars(&self) -> Option<(Scalar, Scalar)> {
        let read = |bytes: &HexArray<32>| Option::from(Scalar::from_bytes_be(&bytes.0));
        Some((read(&self.challenge)?, read(&self.response)?))
    }
}

impl Encode for Proof {
    fn encode(&self, writer: &mut Writer) {
        self.challenge.encode(writer);
        self.response.encode(writer);
    }
}

impl<const N: usize> Encode for HexArray<N> {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.0);
    }
}

impl<const N: usize> fmt::Debug for HexArray<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..", hex::encode(&self.0[..N.min(6)]))
    }
}

impl<const N: usize> Serialize for HexArray<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for HexArray<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(text.as_bytes(), &mut bytes).map_err(de::Error::custom)?;
        Ok(Self(bytes))
    }
}
