//! What an operator tells the others before there is a network: its public keys, each proven.

use alloc::string::String;
use core::fmt;

use blstrs::G1Affine;
use blstrs::G1Projective;
use group::Group as _;
use serde::Deserialize;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::bls;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Encode;
use crate::encoding::Writer;
use crate::genesis::GenesisValidator;
use crate::genesis::HexBytes;
use crate::keys::PublicKey;
use crate::keys::SecretKey;

use super::proof;
use super::proof::HexArray;
use super::proof::Proof;
use super::proof::SecretScalar;

/// The longest name of an operator.
pub const CARD_NAME_BYTES_MAX: usize = 64;

const PROOF_DOMAIN: &str = "meanwhile/types/dkg-card-proof/v1";
const SIGNATURE_DOMAIN: &str = "meanwhile/types/dkg-card-signature/v1";

/// An operator's secret of the ceremony: it opens the shares that are dealt to it, and makes its
/// own polynomial of each plan. Needed until the ceremony ends, and then deleted.
#[derive(Clone)]
pub struct CeremonySecret(Zeroizing<[u8; 32]>);

/// The public keys of one operator. Its vertex key signs the whole, so that nobody can alter a card
/// on its way; the ceremony key carries a proof that its secret is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What the operator is called.
    pub name: String,
    /// Signs its vertices, and what it says in the ceremony.
    pub vertex_key: PublicKey,
    /// Identifies its node.
    pub transport_key: PublicKey,
    /// Signs checkpoints.
    pub checkpoint_key: bls::PublicKey,
    /// Proves that the secret of `checkpoint_key` is held.
    pub checkpoint_possession: bls::Possession,
    /// The Bitcoin script that fees are paid to.
    pub payout_script: HexBytes,
    /// Shares dealt to this operator are encrypted to this point of G1.
    pub ceremony_key: HexArray<48>,
    /// Proves that the secret of `ceremony_key` is held.
    pub ceremony_proof: Proof,
    /// The vertex key's signature of all above.
    pub signature: HexArray<64>,
}

/// What an operator puts on its card besides the keys that sign and prove it.
#[derive(Clone, Debug)]
pub struct CardDetails {
    /// What it is called.
    pub name: String,
    /// Identifies its node.
    pub transport_key: PublicKey,
    /// Signs checkpoints.
    pub checkpoint_key: bls::PublicKey,
    /// Proves that the secret of `checkpoint_key` is held.
    pub checkpoint_possession: bls::Possession,
    /// The Bitcoin script that fees are paid to.
    pub payout_script: HexBytes,
}

/// Why a card is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardFault {
    /// The name can not be shown.
    #[error("the name is empty, too long or holds control characters")]
    Name,
    /// The vertex key did not sign the card as it is.
    #[error("the signature does not fit: the card was altered, or copied incompletely")]
    Signature,
    /// The ceremony key is no point of the group.
    #[error("the ceremony key is no point of the group")]
    CeremonyKey,
    /// The operator did not prove that it holds the ceremony key.
    #[error("the proof of possession does not fit the ceremony key")]
    CeremonyProof,
    /// The operator did not prove that it holds the checkpoint key.
    #[error("the proof of possession does not fit the checkpoint key")]
    CheckpointPossession,
}

impl CeremonySecret {
    /// Wraps 32 bytes of secret randomness.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*seed))
    }

    /// The 32 secret bytes, for the one file that keeps them.
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// The point that shares are encrypted to.
    pub fn public(&self) -> HexArray<48> {
        let point = G1Projective::generator() * self.opening().expose();
        HexArray(G1Affine::from(point).to_compressed())
    }

    /// What opens shares.
    pub(super) fn opening(&self) -> SecretScalar {
        SecretScalar::derive("meanwhile/types/dkg-opening/v1", &self.0, &Digest::ZERO, 0)
    }

    /// A coefficient of the polynomial that this operator deals under a plan: the same one each
    /// time, and another one under every other plan.
    pub(super) fn coefficient(&self, plan: &Digest, index: u16) -> SecretScalar {
        SecretScalar::derive("meanwhile/types/dkg-coefficient/v1", &self.0, plan, index)
    }

    /// What encrypts the shares that this operator deals under a plan.
    pub(super) fn ephemeral(&self, plan: &Digest) -> SecretScalar {
        SecretScalar::derive("meanwhile/types/dkg-ephemeral/v1", &self.0, plan, 0)
    }
}

impl Card {
    /// Makes and signs a card.
    pub fn new(details: CardDetails, vertex: &SecretKey, ceremony: &CeremonySecret) -> Self {
        let vertex_key = vertex.public();
        let opening = ceremony.opening();
        let context = proof_context(&vertex_key);
        let proof =
            proof::prove_knowledge::<G1Projective>(PROOF_DOMAIN, &context, opening.expose());
        let mut card = Self {
            name: details.name,
            vertex_key,
            transport_key: details.transport_key,
            checkpoint_key: details.checkpoint_key,
            checkpoint_possession: details.checkpoint_possession,
            payout_script: details.payout_script,
            ceremony_key: ceremony.public(),
            ceremony_proof: proof,
            signature: HexArray([0; 64]),
        };
        card.signature = super::sign(SIGNATURE_DOMAIN, &card.digest(), vertex);
        card
    }

    /// What the vertex key signs.
    pub fn digest(&self) -> Digest {
        let mut writer = Writer::default();
        self.encode_unsigned(&mut writer);
        Hasher::new("meanwhile/types/dkg-card/v1").bytes(writer.as_bytes()).finish()
    }

    /// Checks everything that a card says about itself.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn check(&self) -> Result<(), CardFault> {
        self.receiver().map(|_| ())
    }

    /// Checks the card and gives the point that shares are encrypted to.
    pub(super) fn receiver(&self) -> Result<G1Projective, CardFault> {
        if !is_showable(&self.name, CARD_NAME_BYTES_MAX) {
            return Err(CardFault::Name);
        }
        let digest = self.digest();
        if !super::is_signed(SIGNATURE_DOMAIN, &digest, &self.vertex_key, &self.signature) {
            return Err(CardFault::Signature);
        }
        self.checkpoint_key
            .verify_possession(&self.checkpoint_possession)
            .map_err(|_| CardFault::CheckpointPossession)?;
        let receiver = proof::g1(&self.ceremony_key).ok_or(CardFault::CeremonyKey)?;
        let context = proof_context(&self.vertex_key);
        if !proof::is_known(PROOF_DOMAIN, &context, &receiver, &self.ceremony_proof) {
            return Err(CardFault::CeremonyProof);
        }
        Ok(receiver)
    }

    /// The entry of a genesis, once the key for the common coin is known.
    pub fn into_validator(self, coin_key: bls::PublicKey) -> GenesisValidator {
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

    fn encode_unsigned(&self, writer: &mut Writer) {
        writer.bytes(self.name.as_bytes());
        self.vertex_key.encode(writer);
        self.transport_key.encode(writer);
        self.checkpoint_key.encode(writer);
        self.checkpoint_possession.encode(writer);
        writer.bytes(&self.payout_script.0);
        self.ceremony_key.encode(writer);
        self.ceremony_proof.encode(writer);
    }
}

/// Whether a name can be shown on a terminal as it is.
pub(super) fn is_showable(name: &str, bytes_max: usize) -> bool {
    !name.is_empty() && name.len() <= bytes_max && !name.chars().any(char::is_control)
}

fn proof_context(vertex_key: &PublicKey) -> Digest {
    Hasher::new("meanwhile/types/dkg-card-context/v1").value(vertex_key).finish()
}

impl Encode for Card {
    fn encode(&self, writer: &mut Writer) {
        self.encode_unsigned(writer);
        self.signature.encode(writer);
    }
}

impl fmt::Debug for CeremonySecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CeremonySecret(..)")
    }
}
