//! Whole networks with known secrets, for tests of every crate and for the simulator.
//!
//! The simulator is part of the program, so this module is too. What skips a check stays behind the
//! feature `test-utils`, which the program never switches on.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::bls;
use crate::coin;
use crate::coin::CoinSecret;
use crate::committee::Committee;
use crate::committee::Quorums;
use crate::digest::Hasher;
use crate::dkg::Card;
use crate::dkg::CardDetails;
use crate::dkg::CeremonySecret;
use crate::dkg::CheckedPlan;
use crate::dkg::Dealing;
use crate::dkg::PLAN_VERSION;
use crate::dkg::Plan;
use crate::genesis::Allocation;
use crate::genesis::BlobParameters;
use crate::genesis::ConsensusParameters;
use crate::genesis::Genesis;
use crate::genesis::GenesisValidator;
use crate::genesis::HexBytes;
use crate::genesis::LedgerParameters;
use crate::ids::Author;
use crate::ids::Epoch;
use crate::ids::TimestampMs;
use crate::keys::SecretKey;
use crate::payload::Payload;
use crate::vertex::Header;
use crate::vertex::Verified;
use crate::vertex::Vertex;

/// One validator's secrets.
#[derive(Clone, Debug)]
pub struct TestSecrets {
    /// Signs vertices.
    pub vertex: SecretKey,
    /// Identifies the node.
    pub transport: SecretKey,
    /// Signs checkpoints.
    pub checkpoint: bls::SecretKey,
    /// Makes shares of the common coin.
    pub coin: CoinSecret,
}

/// A network whose every secret is known: the same one for the same size, each time.
#[derive(Clone, Debug)]
pub struct TestNetwork {
    /// Its parameters.
    pub genesis: Genesis,
    /// Its committee.
    pub committee: Arc<Committee>,
    /// The secrets, by author.
    pub secrets: Vec<TestSecrets>,
}

impl TestNetwork {
    /// Makes a network of `validators` members. Each owns 50 BTC under the script `OP_TRUE`.
    pub fn new(validators: u16) -> Self {
        Self::with(validators, |_| {})
    }

    /// Makes a network whose genesis is changed before its committee is formed.
    ///
    /// # Panics
    /// When the changed genesis is refused.
    pub fn with(validators: u16, change: impl FnOnce(&mut Genesis)) -> Self {
        let threshold = Quorums::new(validators).coin_threshold();
        let threshold = u16::try_from(threshold).expect("a threshold is at most n");
        let dealt = coin::deal(&[7; 32], validators, threshold).expect("t is between 1 and n");
        let secrets: Vec<TestSecrets> = dealt
            .secrets
            .into_iter()
            .zip(0_u16..)
            .map(|(coin, author)| TestSecrets {
                vertex: SecretKey::from_seed(&seed("vertex", author)),
                transport: SecretKey::from_seed(&seed("transport", author)),
                checkpoint: bls::SecretKey::from_seed(&seed("checkpoint", author)),
                coin,
            })
            .collect();
        let members = secrets.iter().zip(dealt.publics).zip(0_u16..);
        let members = members.map(|((secrets, coin), author)| member(author, secrets, coin));
        let mut genesis = Genesis {
            version: 1,
            name: format!("test of {validators}"),
            development: true,
            start_ms: TimestampMs::new(1_750_000_000_000),
            epoch: Epoch::ZERO,
            consensus: ConsensusParameters {
                leaders_per_round: validators.min(2),
                ..ConsensusParameters::default()
            },
            ledger: LedgerParameters::default(),
            blobs: BlobParameters::default(),
            validators: members.collect(),
            coin_group: dealt.group,
            allocations: (0..validators)
                .map(|_| Allocation { script: HexBytes(vec![0x51]), amount_sat: 5_000_000_000 })
                .collect(),
        };
        change(&mut genesis);
        let committee = Arc::new(genesis.check().expect("the test network is well formed"));
        Self { genesis, committee, secrets }
    }

    /// Signs a header for its author, as a validator does.
    ///
    /// # Panics
    /// When the author is no member.
    pub fn sign(&self, header: Header, payload: Payload) -> Verified<Vertex> {
        let secrets = &self.secrets[header.author.index()];
        let signature = secrets.vertex.sign(&Header::signing_bytes(&header.digest()));
        Verified::own(header, payload, signature)
    }

    /// The share of the common coin that `author` owes for `round`.
    ///
    /// # Panics
    /// When the author is no member.
    pub fn coin_share(&self, author: Author, round: crate::ids::Round) -> coin::CoinShare {
        self.secrets[author.index()].coin.share(&self.committee.coin_message(round))
    }
}

/// The secrets of one operator of a ceremony.
#[derive(Clone, Debug)]
pub struct TestOperator {
    /// Signs what it says.
    pub vertex: SecretKey,
    /// Makes its dealing and opens its shares.
    pub ceremony: CeremonySecret,
}

/// A ceremony whose every secret is known: the same one for the same size, each time.
#[derive(Clone, Debug)]
pub struct TestCeremony {
    /// What the network is to be.
    pub plan: CheckedPlan,
    /// The operators, by author.
    pub operators: Vec<TestOperator>,
}

impl TestCeremony {
    /// Makes a ceremony of so many operators.
    pub fn new(operators: u16) -> Self {
        Self::with(operators, |_| {})
    }

    /// Makes a ceremony whose plan is changed before it is checked.
    ///
    /// # Panics
    /// When the changed plan is refused.
    pub fn with(operators: u16, change: impl FnOnce(&mut Plan)) -> Self {
        let members: Vec<TestOperator> = (0..operators)
            .map(|author| TestOperator {
                vertex: SecretKey::from_seed(&seed("vertex", author)),
                ceremony: CeremonySecret::from_seed(&seed("ceremony", author)),
            })
            .collect();
        let mut plan = Plan {
            version: PLAN_VERSION,
            name: format!("ceremony of {operators}"),
            start_ms: TimestampMs::new(1_750_000_000_000),
            consensus: ConsensusParameters {
                leaders_per_round: operators.min(2),
                ..ConsensusParameters::default()
            },
            ledger: LedgerParameters::default(),
            blobs: BlobParameters::default(),
            cards: members.iter().zip(0..).map(|(member, author)| card(author, member)).collect(),
            allocations: vec![Allocation {
                script: HexBytes(vec![0x51]),
                amount_sat: 5_000_000_000,
            }],
        };
        change(&mut plan);
        let plan = plan.check().expect("the test plan is well formed");
        Self { plan, operators: members }
    }

    /// The dealing of an operator.
    ///
    /// # Panics
    /// When there is no such operator.
    pub fn deal(&self, author: Author) -> Dealing {
        let operator = &self.operators[author.index()];
        let dealt = self.plan.deal(author, &operator.ceremony, &operator.vertex);
        dealt.expect("the secrets are those of the plan")
    }
}

/// The dealing of a hostile operator: well proven and signed, with a wrong share for `victim`.
pub fn corrupt_dealing(
    plan: &CheckedPlan,
    author: Author,
    operator: &TestOperator,
    victim: Author,
) -> Dealing {
    plan.deal_corrupt(author, &operator.ceremony, &operator.vertex, victim)
}

fn card(author: u16, operator: &TestOperator) -> Card {
    let checkpoint = bls::SecretKey::from_seed(&seed("checkpoint", author));
    let details = CardDetails {
        name: format!("operator-{author}"),
        transport_key: SecretKey::from_seed(&seed("transport", author)).public(),
        checkpoint_key: checkpoint.public(),
        checkpoint_possession: checkpoint.prove_possession(),
        payout_script: HexBytes(vec![0x51]),
    };
    Card::new(details, &operator.vertex, &operator.ceremony)
}

fn member(author: u16, secrets: &TestSecrets, coin_key: bls::PublicKey) -> GenesisValidator {
    GenesisValidator {
        name: format!("validator {author}"),
        vertex_key: secrets.vertex.public(),
        transport_key: secrets.transport.public(),
        checkpoint_key: secrets.checkpoint.public(),
        checkpoint_possession: secrets.checkpoint.prove_possession(),
        coin_key,
        payout_script: HexBytes(vec![0x51]),
    }
}

fn seed(what: &str, author: u16) -> [u8; 32] {
    *Hasher::new("meanwhile/types/test-network/v1")
        .bytes(what.as_bytes())
        .bytes(&author.to_le_bytes())
        .finish()
        .as_bytes()
}
