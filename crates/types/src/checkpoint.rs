//! Checkpoints: what the ledger is after a commit, what validators sign of it, and the proof that
//! their signatures add up to.
//!
//! A [`Checkpoint`] names the order and the whole state behind it in a few hundred bytes. Every
//! validator signs the digest of the one that it computed itself; the signatures of a quorum add up
//! to one [`CheckpointProof`], which is checked with a single pairing. Two quorums share an honest
//! validator, which signs one digest a commit: so no two checkpoints of one commit are ever proven.
//!
//! Source: `docs/checkpoints.md`.

use alloc::vec;
use alloc::vec::Vec;

use serde::Deserialize;
use serde::Serialize;

use crate::bitcoin_hash::BitcoinHash;
use crate::bls;
use crate::committee::Committee;
use crate::committee::VALIDATORS_MAX;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;
use crate::error::KeyError;
use crate::genesis::HexBytes;
use crate::ids::Author;
use crate::ids::CommitIndex;
use crate::ids::Epoch;
use crate::ids::Height;

const VERSION: u8 = 1;

/// The state after one commit, and the order that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The network.
    pub chain: Digest,
    /// The committee in force.
    pub epoch: Epoch,
    /// The commit after which this is the state.
    pub commit: CommitIndex,
    /// The digest that chains over everything ordered up to that commit.
    pub commit_digest: Digest,
    /// The digest of the checkpoint before; zero for the first one.
    pub previous: Digest,
    /// The Merkle root over the outcomes since the checkpoint before.
    pub results_root: Digest,
    /// The height of the last sealed block.
    pub height: Height,
    /// The hash of the last sealed block.
    pub tip: BitcoinHash,
    /// MuHash3072 over the coins as of the last sealed block: what Bitcoin Core's
    /// `gettxoutsetinfo muhash` answers there.
    pub utxo_hash: BitcoinHash,
    /// The hash of everything else that the next commit depends on.
    pub state_hash: Digest,
}

/// One validator's signature on a checkpoint, as its vertex carries it. The bytes of the signature
/// may be anything until they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointVote {
    /// Which commit.
    pub commit: CommitIndex,
    /// The digest of the checkpoint that the validator computed.
    pub digest: Digest,
    /// Its signature.
    pub signature: bls::Signature,
}

/// Who signed, one bit a validator: bit i % 8 of byte i / 8, and no byte more than the committee
/// takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signers(HexBytes);

/// The signatures of a quorum on one checkpoint, added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointProof {
    /// Who signed.
    pub signers: Signers,
    /// The sum of their signatures.
    pub signature: bls::Signature,
}

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The bits do not fit the committee.
    #[error("the list of signers is not one of {validators} validators")]
    Signers {
        /// The size of the committee.
        validators: u16,
    },
    /// Too few signed.
    #[error("{actual} validators signed, {quorum} are needed")]
    NoQuorum {
        /// How many are needed.
        quorum: usize,
        /// How many signed.
        actual: usize,
    },
    /// The signature is not the sum of theirs.
    #[error("the validators named did not sign this checkpoint")]
    Signature,
}

/// What a validator signs to vouch for the checkpoint with this digest.
pub fn vote_message(digest: &Digest) -> Digest {
    Hasher::new("meanwhile/types/checkpoint-vote/v1").value(digest).finish()
}

impl Checkpoint {
    /// What names it, and what is signed.
    pub fn digest(&self) -> Digest {
        Hasher::new("meanwhile/types/checkpoint/v1").value(self).finish()
    }

    /// Whether outcomes were decided since the checkpoint before.
    pub fn has_outcomes(&self) -> bool {
        self.results_root != crate::results::empty_root()
    }
}

impl CheckpointVote {
    /// How many bytes a vote takes.
    pub const ENCODED_LENGTH: usize = 8 + 32 + 48;

    /// Checks the signature by itself.
    ///
    /// # Errors
    /// When it is not the validator's.
    pub fn verify(&self, key: &bls::PublicKey) -> Result<(), KeyError> {
        bls::verify_digest(key, &vote_message(&self.digest), &self.signature)
    }
}

impl Signers {
    /// Names signers in a committee of `validators`; who is no member is left out.
    pub fn new(authors: impl IntoIterator<Item = Author>, validators: u16) -> Self {
        let mut bytes = vec![0; bytes_for(validators)];
        for author in authors.into_iter().filter(|author| author.value() < validators) {
            if let Some(byte) = bytes.get_mut(author.index() / 8) {
                *byte |= 1 << (author.index() % 8);
            }
        }
        Self(HexBytes(bytes))
    }

    /// The signers, ascending, if the bits fit a committee of `validators`.
    pub fn authors(&self, validators: u16) -> Option<Vec<Author>> {
        let bytes = &self.0.0;
        if bytes.len() != bytes_for(validators) {
            return None;
        }
        let bits = bytes.len() * 8;
        let is_set = |place: &usize| bytes[place / 8] & (1 << (place % 8)) != 0;
        let set = (0..bits).filter(is_set).map(|place| u16::try_from(place).ok());
        let authors: Option<Vec<u16>> = set.collect();
        let authors = authors?;
        let fits = authors.iter().all(|author| *author < validators);
        fits.then(|| authors.into_iter().map(Author::new).collect())
    }
}

fn bytes_for(validators: u16) -> usize {
    usize::from(validators).div_ceil(8)
}

impl CheckpointProof {
    /// Adds up votes for one digest, of distinct authors. What comes out is to be checked: one
    /// wrong signature spoils the sum.
    ///
    /// # Errors
    /// When there are none, or a signature is no point.
    pub fn aggregate(
        votes: &[(Author, bls::Signature)],
        committee: &Committee,
    ) -> Result<Self, KeyError> {
        let signature = bls::Signature::aggregate(votes.iter().map(|(_, signature)| signature))?;
        let authors = votes.iter().map(|(author, _)| *author);
        Ok(Self { signers: Signers::new(authors, committee.quorums().validators()), signature })
    }

    /// Checks that a quorum of the committee signed the checkpoint with this digest.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify(&self, digest: &Digest, committee: &Committee) -> Result<(), ProofError> {
        let validators = committee.quorums().validators();
        let authors = self.signers.authors(validators).ok_or(ProofError::Signers { validators })?;
        let quorum = committee.quorums().quorum();
        if authors.len() < quorum {
            return Err(ProofError::NoQuorum { quorum, actual: authors.len() });
        }
        let members = authors.iter().filter_map(|author| committee.validator(*author));
        let keys = members.map(|member| &member.checkpoint_key);
        let key = bls::PublicKey::aggregate(keys).map_err(|_| ProofError::Signature)?;
        bls::verify_digest(&key, &vote_message(digest), &self.signature)
            .map_err(|_| ProofError::Signature)
    }
}

impl Encode for Checkpoint {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.chain.encode(writer);
        self.epoch.encode(writer);
        self.commit.encode(writer);
        self.commit_digest.encode(writer);
        self.previous.encode(writer);
        self.results_root.encode(writer);
        self.height.encode(writer);
        self.tip.encode(writer);
        self.utxo_hash.encode(writer);
        self.state_hash.encode(writer);
    }
}

impl Decode for Checkpoint {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("checkpoint", VERSION)?;
        Ok(Self {
            chain: Digest::decode(reader)?,
            epoch: Epoch::decode(reader)?,
            commit: CommitIndex::decode(reader)?,
            commit_digest: Digest::decode(reader)?,
            previous: Digest::decode(reader)?,
            results_root: Digest::decode(reader)?,
            height: Height::decode(reader)?,
            tip: BitcoinHash::decode(reader)?,
            utxo_hash: BitcoinHash::decode(reader)?,
            state_hash: Digest::decode(reader)?,
        })
    }
}

impl Encode for CheckpointVote {
    fn encode(&self, writer: &mut Writer) {
        self.commit.encode(writer);
        self.digest.encode(writer);
        self.signature.encode(writer);
    }
}

impl Decode for CheckpointVote {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            commit: CommitIndex::decode(reader)?,
            digest: Digest::decode(reader)?,
            signature: bls::Signature::decode(reader)?,
        })
    }
}

impl Encode for CheckpointProof {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.bytes(&self.signers.0.0);
        self.signature.encode(writer);
    }
}

impl Decode for CheckpointProof {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("checkpoint proof", VERSION)?;
        let signers = reader.bytes("signers", VALIDATORS_MAX.div_ceil(8))?;
        let signature = bls::Signature::decode(reader)?;
        Ok(Self { signers: Signers(HexBytes(signers.to_vec())), signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_utils::TestNetwork;

    fn votes(
        network: &TestNetwork,
        authors: &[u16],
        digest: &Digest,
    ) -> Vec<(Author, bls::Signature)> {
        let vote = |author: &u16| {
            let secrets = &network.secrets[usize::from(*author)];
            let signature = secrets.checkpoint.sign(vote_message(digest).as_bytes());
            (Author::new(*author), signature)
        };
        authors.iter().map(vote).collect()
    }

    #[test]
    fn a_quorum_proves_and_fewer_or_others_do_not() {
        let network = TestNetwork::new(4);
        let committee = &*network.committee;
        let digest = Digest::new([7; 32]);
        let proof = |authors: &[u16]| {
            CheckpointProof::aggregate(&votes(&network, authors, &digest), committee).unwrap()
        };
        for authors in [&[0, 1, 2][..], &[1, 2, 3], &[0, 1, 2, 3]] {
            assert_eq!(proof(authors).verify(&digest, committee), Ok(()));
        }
        let few = ProofError::NoQuorum { quorum: 3, actual: 2 };
        assert_eq!(proof(&[1, 3]).verify(&digest, committee), Err(few));
        let right = proof(&[0, 1, 2]);
        assert_eq!(right.verify(&Digest::ZERO, committee), Err(ProofError::Signature));
        let others = CheckpointProof { signers: proof(&[0, 1, 3]).signers, ..right };
        assert_eq!(others.verify(&digest, committee), Err(ProofError::Signature));
        let wide = Signers::new([0, 1, 2].map(Author::new), 9);
        let wide = CheckpointProof { signers: wide, ..right };
        assert_eq!(wide.verify(&digest, committee), Err(ProofError::Signers { validators: 4 }));
    }

    #[test]
    fn bits_above_the_committee_are_refused() {
        assert_eq!(Signers(HexBytes(vec![0b1_0111])).authors(4), None);
        let authors = Signers(HexBytes(vec![0b0111])).authors(4).unwrap();
        assert_eq!(authors, [0, 1, 2].map(Author::new));
        assert_eq!(Signers(HexBytes(vec![0b0111, 0])).authors(4), None);
        let last = Signers::new([Author::new(255)], 256);
        assert_eq!(last.authors(256), Some(vec![Author::new(255)]));
    }

    #[test]
    fn every_field_is_part_of_the_digest() {
        let base = Checkpoint::from_bytes(&{
            let mut bytes = vec![0; 1 + 32 + 4 + 8 + 32 * 3 + 4 + 32 * 3];
            bytes[0] = VERSION;
            bytes
        })
        .unwrap();
        let encoded = base.to_bytes();
        for place in 1..encoded.len() {
            let mut changed = encoded.clone();
            changed[place] ^= 1;
            let changed = Checkpoint::from_bytes(&changed).unwrap();
            assert_ne!(changed.digest(), base.digest(), "byte {place}");
        }
    }
}
