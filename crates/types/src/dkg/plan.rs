//! The plan of a ceremony: everything about the network except the keys that the ceremony makes.

use alloc::string::String;
use alloc::vec::Vec;

use blstrs::G1Projective;
use serde::Deserialize;
use serde::Serialize;

use crate::bls;
use crate::committee::Quorums;
use crate::committee::VALIDATORS_MAX;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Encode;
use crate::encoding::Writer;
use crate::error::KeyError;
use crate::genesis::Allocation;
use crate::genesis::BlobParameters;
use crate::genesis::ConsensusParameters;
use crate::genesis::Genesis;
use crate::genesis::GenesisError;
use crate::genesis::LedgerParameters;
use crate::ids::Author;
use crate::ids::Epoch;
use crate::ids::TimestampMs;
use crate::keys::PublicKey;

use super::card;
use super::card::Card;
use super::error::CeremonyError;
use super::error::Operator;

/// The version of a plan's meaning.
pub const PLAN_VERSION: u32 = 1;
/// The longest name of a network.
const NAME_BYTES_MAX: usize = 64;

/// What a network is to be. Anybody may write it; whoever deals under it signs its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this file's meaning: 1.
    pub version: u32,
    /// What the network is called.
    pub name: String,
    /// When the network begins, in milliseconds since 1970.
    pub start_ms: TimestampMs,
    /// How vertices are ordered.
    pub consensus: ConsensusParameters,
    /// How commits become blocks.
    pub ledger: LedgerParameters,
    /// What blobs cost and how large they may be. As in a genesis, the defaults need not be named
    /// and add nothing to the hash.
    #[serde(default, skip_serializing_if = "BlobParameters::is_default")]
    pub blobs: BlobParameters,
    /// The operators, in the order of their places in the committee.
    pub cards: Vec<Card>,
    /// Who owns the money.
    pub allocations: Vec<Allocation>,
}

/// A plan whose every card and number has been checked.
#[derive(Clone, Debug)]
pub struct CheckedPlan {
    plan: Plan,
    digest: Digest,
    quorums: Quorums,
    receivers: Vec<G1Projective>,
}

impl Plan {
    /// The hash that everything signed in this ceremony names.
    pub fn digest(&self) -> Digest {
        Hasher::new("meanwhile/types/dkg-plan/v1").value(self).finish()
    }

    /// Checks everything that can be checked.
    ///
    /// # Errors
    /// Says what is wrong, and with whose card.
    pub fn check(self) -> Result<CheckedPlan, CeremonyError> {
        if self.version != PLAN_VERSION {
            return Err(CeremonyError::Version {
                what: "plan",
                actual: self.version,
                known: PLAN_VERSION,
            });
        }
        if !card::is_showable(&self.name, NAME_BYTES_MAX) {
            return Err(CeremonyError::PlanName);
        }
        let count = self.cards.len();
        let group = self.cards.first().ok_or(CeremonyError::NoCards)?.checkpoint_key.clone();
        if count > VALIDATORS_MAX {
            let size = KeyError::CommitteeSize { actual: count, max: VALIDATORS_MAX };
            return Err(GenesisError::from(size).into());
        }
        let receivers: Result<Vec<G1Projective>, CeremonyError> = self
            .cards
            .iter()
            .zip((0..=u16::MAX).map(Author::new))
            .map(|(card, author)| {
                card.receiver().map_err(|fault| CeremonyError::Card {
                    operator: Operator { author, name: card.name.clone() },
                    fault,
                })
            })
            .collect();
        let receivers = receivers?;
        // The coin's keys are not known yet. The checkpoint keys stand in for them, so that one
        // rule judges plans and genesis files alike.
        let stand_ins = self.cards.iter().map(|card| card.checkpoint_key.clone()).collect();
        let committee = self.genesis(group, stand_ins).check()?;
        Ok(CheckedPlan {
            digest: self.digest(),
            quorums: committee.quorums(),
            plan: self,
            receivers,
        })
    }

    /// The genesis that this plan becomes with the coin's keys.
    pub(super) fn genesis(
        &self,
        coin_group: bls::PublicKey,
        coin_keys: Vec<bls::PublicKey>,
    ) -> Genesis {
        let members = self.cards.iter().cloned().zip(coin_keys);
        Genesis {
            version: 1,
            name: self.name.clone(),
            development: false,
            start_ms: self.start_ms,
            epoch: Epoch::ZERO,
            consensus: self.consensus,
            ledger: self.ledger,
            blobs: self.blobs,
            validators: members.map(|(card, key)| card.into_validator(key)).collect(),
            coin_group,
            allocations: self.allocations.clone(),
        }
    }
}

impl CheckedPlan {
    /// What was checked.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan's hash.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The numbers that follow from how many operators there are.
    pub const fn quorums(&self) -> Quorums {
        self.quorums
    }

    /// Every operator's place, ascending.
    pub fn authors(&self) -> impl DoubleEndedIterator<Item = Author> + ExactSizeIterator + use<> {
        (0..self.quorums.validators()).map(Author::new)
    }

    /// The place of the operator whose card names this vertex key.
    pub fn author_of(&self, vertex_key: &PublicKey) -> Option<Author> {
        self.authors()
            .zip(&self.plan.cards)
            .find_map(|(author, card)| (card.vertex_key == *vertex_key).then_some(author))
    }

    /// One operator, for whoever reads about it.
    pub fn operator(&self, author: Author) -> Operator {
        let name = self.plan.cards.get(author.index()).map(|card| card.name.clone());
        Operator { author, name: name.unwrap_or_default() }
    }

    pub(super) fn card(&self, author: Author) -> Option<&Card> {
        self.plan.cards.get(author.index())
    }

    pub(super) fn receivers(&self) -> &[G1Projective] {
        &self.receivers
    }

    pub(super) fn receiver(&self, author: Author) -> Option<&G1Projective> {
        self.receivers.get(author.index())
    }

    /// Checks that somebody of this ceremony signed something of this ceremony.
    pub(super) fn check_signed(
        &self,
        what: &'static str,
        author: Author,
        plan: &Digest,
        is_signed: impl FnOnce(&PublicKey) -> bool,
    ) -> Result<(), CeremonyError> {
        let validators = self.quorums.validators();
        let unknown = CeremonyError::UnknownOperator { what, author, validators };
        let card = self.card(author).ok_or(unknown)?;
        let operator = self.operator(author);
        if *plan != self.digest {
            let (actual, expected) = (*plan, self.digest);
            return Err(CeremonyError::OtherPlan { what, operator, actual, expected });
        }
        match is_signed(&card.vertex_key) {
            true => Ok(()),
            false => Err(CeremonyError::Signature { what, operator }),
        }
    }
}

impl Encode for Plan {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.version);
        writer.bytes(self.name.as_bytes());
        self.start_ms.encode(writer);
        writer.u64(self.consensus.wave);
        writer.u16(self.consensus.leaders_per_round);
        writer.u64(self.consensus.gc_depth);
        writer.u64(self.ledger.block_interval_ms);
        writer.u64(self.ledger.max_block_weight);
        writer.u32(self.ledger.backlog_blocks);
        writer.u64(self.ledger.checkpoint_every);
        writer.list(&self.cards);
        writer.list(&self.allocations);
        self.blobs.encode_unless_default(writer);
    }
}
