//! One operator's part of the common coin's key: a polynomial of degree f, committed to in public,
//! and a share of it for each operator, encrypted.
//!
//! A share is masked with a hash of the Diffie-Hellman point of the dealing's ephemeral key and the
//! receiver's ceremony key. The mask is used once, for 32 bytes, and the commitments say whether
//! what comes out is right, so that nothing else needs to authenticate it. The dealer proves that
//! it knows the ephemeral secret: otherwise it could repeat another dealer's ephemeral key, provoke
//! a complaint, and read the other one's share with what the complaint reveals.

use alloc::vec::Vec;

use blstrs::G1Affine;
use blstrs::G1Projective;
use blstrs::G2Affine;
use blstrs::G2Projective;
use blstrs::Scalar;
use ff::Field as _;
use group::Group as _;
use serde::Deserialize;
use serde::Serialize;

use crate::bls;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Encode;
use crate::encoding::Writer;
use crate::error::KeyError;
use crate::ids::Author;
use crate::keys::SecretKey;

use super::card::CeremonySecret;
use super::error::CeremonyError;
use super::plan::CheckedPlan;
use super::proof;
use super::proof::HexArray;
use super::proof::Proof;
use super::proof::SecretScalar;

/// The version of a dealing's meaning.
pub const DEALING_VERSION: u32 = 1;

const WHAT: &str = "dealing";
const CONSTANT_DOMAIN: &str = "meanwhile/types/dkg-constant-proof/v1";
const EPHEMERAL_DOMAIN: &str = "meanwhile/types/dkg-ephemeral-proof/v1";
const SIGNATURE_DOMAIN: &str = "meanwhile/types/dkg-dealing-signature/v1";

/// What one operator deals to all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dealing {
    /// The version of this file's meaning: 1.
    pub version: u32,
    /// The hash of the plan that it belongs to.
    pub plan: Digest,
    /// Who deals.
    pub dealer: Author,
    /// The coefficients of the polynomial as points of G2, the constant one first: f + 1.
    pub commitments: Vec<HexArray<96>>,
    /// The point of G1 that shares are encrypted with.
    pub ephemeral: HexArray<48>,
    /// The masked value of the polynomial for each operator.
    pub shares: Vec<HexArray<32>>,
    /// Proves that the constant coefficient is known.
    pub constant_proof: Proof,
    /// Proves that the logarithm of `ephemeral` is known.
    pub ephemeral_proof: Proof,
    /// The dealer's signature of all above.
    pub signature: HexArray<64>,
}

/// The commitments of a dealing, or of several together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitments(Vec<G2Projective>);

/// What anybody can see is wrong with a dealing that its dealer has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DealingFault {
    /// The polynomial has another degree than f.
    #[error("{actual} commitments, {expected} due: the polynomial has the wrong degree")]
    CommitmentCount {
        /// f + 1.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// Somebody has no share, or there is one too many.
    #[error("{actual} shares, {expected} due")]
    ShareCount {
        /// n.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// A commitment is no point of the group.
    #[error("commitment {index} is no point of the group")]
    Commitment {
        /// Which one, from 0.
        index: usize,
    },
    /// The ephemeral key is no point of the group.
    #[error("the ephemeral key is no point of the group")]
    Ephemeral,
    /// The constant coefficient is not proven to be known.
    #[error("the proof of the constant coefficient does not fit")]
    ConstantProof,
    /// The ephemeral secret is not proven to be known.
    #[error("the proof of the ephemeral key does not fit")]
    EphemeralProof,
}

impl Dealing {
    /// The hash that the dealer signs and that responses name.
    pub fn digest(&self) -> Digest {
        Hasher::new("meanwhile/types/dkg-dealing/v1")
            .value(&self.statement())
            .value(&self.constant_proof)
            .value(&self.ephemeral_proof)
            .finish()
    }

    /// What the proofs are about: everything but themselves.
    fn statement(&self) -> Digest {
        let mut writer = Writer::default();
        writer.u32(self.version);
        self.plan.encode(&mut writer);
        self.dealer.encode(&mut writer);
        writer.list(&self.commitments);
        self.ephemeral.encode(&mut writer);
        writer.list(&self.shares);
        Hasher::new("meanwhile/types/dkg-statement/v1").bytes(writer.as_bytes()).finish()
    }

    /// The ephemeral point, which a dealing without a public fault has.
    pub(super) fn ephemeral_point(&self) -> Option<G1Projective> {
        proof::g1(&self.ephemeral)
    }

    /// What the share of `receiver` says under a Diffie-Hellman point.
    pub(super) fn open(&self, receiver: Author, shared: &G1Projective) -> Option<SecretScalar> {
        let masked = self.shares.get(receiver.index())?;
        let mask = mask(&self.plan, self.dealer, receiver, &self.ephemeral, shared);
        let bytes = zeroize::Zeroizing::new(xor(&masked.0, &mask));
        let share: Option<Scalar> = Scalar::from_bytes_be(&bytes).into();
        share.map(SecretScalar::new)
    }

    /// Proves what it says now.
    fn proven(mut self, coefficients: &[SecretScalar], ephemeral: &SecretScalar) -> Self {
        let statement = self.statement();
        if let Some(constant) = coefficients.first() {
            self.constant_proof = proof::prove_knowledge::<G2Projective>(
                CONSTANT_DOMAIN,
                &statement,
                constant.expose(),
            );
        }
        self.ephemeral_proof = proof::prove_knowledge::<G1Projective>(
            EPHEMERAL_DOMAIN,
            &statement,
            ephemeral.expose(),
        );
        self
    }

    fn signed(mut self, vertex: &SecretKey) -> Self {
        self.signature = super::sign(SIGNATURE_DOMAIN, &self.digest(), vertex);
        self
    }
}

impl CheckedPlan {
    /// Makes an operator's dealing: the same one however often it is made.
    ///
    /// # Errors
    /// When the secrets are not those of the operator's card.
    pub fn deal(
        &self,
        author: Author,
        ceremony: &CeremonySecret,
        vertex: &SecretKey,
    ) -> Result<Dealing, CeremonyError> {
        self.check_secrets(author, ceremony, vertex)?;
        let coefficients = self.coefficients(ceremony, self.quorums().coin_threshold());
        Ok(self.deal_polynomial(author, &coefficients, ceremony, vertex))
    }

    /// Makes the dealing of a hostile operator: well proven and signed, with a wrong share for
    /// `victim`. For tests.
    pub(crate) fn deal_corrupt(
        &self,
        author: Author,
        ceremony: &CeremonySecret,
        vertex: &SecretKey,
        victim: Author,
    ) -> Dealing {
        let coefficients = self.coefficients(ceremony, self.quorums().coin_threshold());
        let mut dealing = self.deal_polynomial(author, &coefficients, ceremony, vertex);
        if let Some(share) = dealing.shares.get_mut(victim.index()) {
            share.0[31] ^= 1;
        }
        dealing.proven(&coefficients, &ceremony.ephemeral(self.digest())).signed(vertex)
    }

    fn coefficients(&self, ceremony: &CeremonySecret, count: usize) -> Vec<SecretScalar> {
        (0..u16::MAX).take(count).map(|index| ceremony.coefficient(self.digest(), index)).collect()
    }

    fn deal_polynomial(
        &self,
        author: Author,
        coefficients: &[SecretScalar],
        ceremony: &CeremonySecret,
        vertex: &SecretKey,
    ) -> Dealing {
        let secret = ceremony.ephemeral(self.digest());
        let ephemeral = compress(&(G1Projective::generator() * secret.expose()));
        let shares = self.authors().zip(self.receivers()).map(|(receiver, key)| {
            let share = SecretScalar::new(evaluate(coefficients, receiver));
            let shared = key * secret.expose();
            let mask = mask(self.digest(), author, receiver, &ephemeral, &shared);
            let bytes = zeroize::Zeroizing::new(share.expose().to_bytes_be());
            HexArray(xor(&bytes, &mask))
        });
        let commitments = coefficients.iter().map(|coefficient| {
            let point = G2Projective::generator() * coefficient.expose();
            HexArray(G2Affine::from(point).to_compressed())
        });
        let nothing = HexArray([0; 32]);
        let unproven = Proof::from_parts(nothing, nothing);
        let dealing = Dealing {
            version: DEALING_VERSION,
            plan: *self.digest(),
            dealer: author,
            commitments: commitments.collect(),
            ephemeral,
            shares: shares.collect(),
            constant_proof: unproven,
            ephemeral_proof: unproven,
            signature: HexArray([0; 64]),
        };
        dealing.proven(coefficients, &secret).signed(vertex)
    }

    /// Checks that a dealing is its dealer's and of this ceremony.
    ///
    /// # Errors
    /// When it is of another version, plan or signer. Then it is no dealing of that operator at
    /// all, and says nothing about it.
    pub fn authenticate_dealing(&self, dealing: &Dealing) -> Result<(), CeremonyError> {
        let (actual, known) = (dealing.version, DEALING_VERSION);
        if actual != known {
            return Err(CeremonyError::Version { what: WHAT, actual, known });
        }
        self.check_signed(WHAT, dealing.dealer, &dealing.plan, |key| {
            super::is_signed(SIGNATURE_DOMAIN, &dealing.digest(), key, &dealing.signature)
        })
    }

    /// Checks what anybody can see of a dealing, and gives its commitments.
    ///
    /// # Errors
    /// Says what the dealer, who signed it, did wrong.
    pub fn judge_dealing(&self, dealing: &Dealing) -> Result<Commitments, DealingFault> {
        let (expected, actual) = (self.quorums().coin_threshold(), dealing.commitments.len());
        if actual != expected {
            return Err(DealingFault::CommitmentCount { expected, actual });
        }
        let (expected, actual) = (self.receivers().len(), dealing.shares.len());
        if actual != expected {
            return Err(DealingFault::ShareCount { expected, actual });
        }
        let points: Result<Vec<G2Projective>, DealingFault> = dealing
            .commitments
            .iter()
            .enumerate()
            .map(|(index, point)| proof::g2(point).ok_or(DealingFault::Commitment { index }))
            .collect();
        let points = points?;
        let ephemeral = dealing.ephemeral_point().ok_or(DealingFault::Ephemeral)?;
        let statement = dealing.statement();
        let proof = &dealing.constant_proof;
        let constant = points.first();
        if !constant.is_some_and(|it| proof::is_known(CONSTANT_DOMAIN, &statement, it, proof)) {
            return Err(DealingFault::ConstantProof);
        }
        let proof = &dealing.ephemeral_proof;
        if !proof::is_known(EPHEMERAL_DOMAIN, &statement, &ephemeral, proof) {
            return Err(DealingFault::EphemeralProof);
        }
        Ok(Commitments(points))
    }

    /// Checks that secrets are those of an operator's card.
    ///
    /// # Errors
    /// Says which key is another one.
    pub fn check_secrets(
        &self,
        author: Author,
        ceremony: &CeremonySecret,
        vertex: &SecretKey,
    ) -> Result<(), CeremonyError> {
        let operator = self.operator(author);
        let card = self.card(author);
        let foreign = |what| CeremonyError::ForeignSecret { what, operator: operator.clone() };
        if card.is_none_or(|card| card.vertex_key != vertex.public()) {
            return Err(foreign("vertex key"));
        }
        if card.is_none_or(|card| card.ceremony_key != ceremony.public()) {
            return Err(foreign("ceremony key"));
        }
        Ok(())
    }
}

impl Commitments {
    /// Whether a share is the committed polynomial's value for `receiver`.
    pub(super) fn fits(&self, receiver: Author, share: &SecretScalar) -> bool {
        G2Projective::generator() * share.expose() == self.at(u32::from(receiver.value()) + 1)
    }

    /// Adds the polynomial of another dealing.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, point) in self.0.iter_mut().zip(&other.0) {
            *sum += point;
        }
    }

    /// The key of the polynomial's value at zero: the group's.
    pub(super) fn group_key(&self) -> Result<bls::PublicKey, KeyError> {
        key(&self.at(0))
    }

    /// The key of an operator's value.
    pub(super) fn operator_key(&self, author: Author) -> Result<bls::PublicKey, KeyError> {
        key(&self.at(u32::from(author.value()) + 1))
    }

    fn at(&self, place: u32) -> G2Projective {
        self.0
            .iter()
            .rev()
            .fold(G2Projective::identity(), |value, point| proof::times(&value, place) + point)
    }
}

/// The value of a polynomial for an operator.
fn evaluate(coefficients: &[SecretScalar], receiver: Author) -> Scalar {
    let place = Scalar::from(u64::from(receiver.value()) + 1);
    coefficients
        .iter()
        .rev()
        .fold(Scalar::ZERO, |value, coefficient| value * place + coefficient.expose())
}

fn key(point: &G2Projective) -> Result<bls::PublicKey, KeyError> {
    bls::PublicKey::from_bytes(&G2Affine::from(*point).to_compressed())
}

fn compress(point: &G1Projective) -> HexArray<48> {
    HexArray(G1Affine::from(*point).to_compressed())
}

fn mask(
    plan: &Digest,
    dealer: Author,
    receiver: Author,
    ephemeral: &HexArray<48>,
    shared: &G1Projective,
) -> [u8; 32] {
    let mask = Hasher::new("meanwhile/types/dkg-mask/v1")
        .value(plan)
        .value(&dealer)
        .value(&receiver)
        .value(ephemeral)
        .value(&compress(shared))
        .finish();
    *mask.as_bytes()
}

fn xor(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    core::array::from_fn(|index| left[index] ^ right[index])
}

#[cfg(test)]
impl Dealing {
    /// Signs whatever it says now, as a hostile dealer would.
    pub(super) fn sign_again(self, vertex: &SecretKey) -> Self {
        self.signed(vertex)
    }
}

#[cfg(test)]
impl CheckedPlan {
    /// Deals a polynomial with so many coefficients.
    pub(super) fn deal_degree(
        &self,
        author: Author,
        ceremony: &CeremonySecret,
        vertex: &SecretKey,
        coefficients: usize,
    ) -> Dealing {
        let coefficients = self.coefficients(ceremony, coefficients);
        self.deal_polynomial(author, &coefficients, ceremony, vertex)
    }
}
