//! Makes vertices and remembers everything dear: signatures, shares, coins.
//!
//! All of it is a pure function of its inputs, so a memory over all validators and all schedules
//! changes nothing but the time it takes.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use consensus::CoinOutcome;
use consensus::CoinTask;
use consensus::Leaders;
use consensus::Parameters;
use consensus::VerifiedCoin;
use types::Author;
use types::Committee;
use types::Digest;
use types::Encode as _;
use types::Header;
use types::Payload;
use types::Round;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::coin;
use types::coin::CoinShare;
use types::test_utils::TestNetwork;

use super::leaders;

/// How many signed vertices are remembered before the memory starts anew.
const SIGNED_MAX: usize = 200_000;

/// A network's secrets and parameters, and what has been made with them.
#[derive(Debug)]
pub struct Foundry {
    network: TestNetwork,
    parameters: Parameters,
    payload: Payload,
    payload_root: Digest,
    payload_length: u32,
    signed: HashMap<Digest, Verified<Vertex>>,
    shares: BTreeMap<(Author, Round), CoinShare>,
    leaders: BTreeMap<Round, Vec<Author>>,
    coins: BTreeMap<Round, VerifiedCoin>,
}

/// What distinguishes one vertex from another.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    pub(super) author: Author,
    pub(super) round: Round,
    pub(super) parents: Vec<VertexRef>,
    pub(super) late: Vec<VertexRef>,
    /// Tells twins with the same edges apart.
    pub(super) mark: u64,
}

impl Foundry {
    /// A network of `validators`; another `seed` gives another common coin.
    pub fn new(validators: u16, seed: u64, parameters: Parameters) -> Self {
        let network = TestNetwork::with(validators, |genesis| {
            genesis.name = format!("lockstep {seed}");
            genesis.consensus.wave = parameters.wave;
            genesis.consensus.leaders_per_round = parameters.leaders_per_round;
        });
        let payload = Payload::default();
        let encoded = payload.to_bytes();
        Self {
            network,
            parameters,
            payload_root: Payload::root(&encoded),
            payload_length: u32::try_from(encoded.len()).unwrap_or_default(),
            payload,
            signed: HashMap::new(),
            shares: BTreeMap::new(),
            leaders: BTreeMap::new(),
            coins: BTreeMap::new(),
        }
    }

    /// The validators.
    pub const fn committee(&self) -> &Arc<Committee> {
        &self.network.committee
    }

    /// How they order.
    pub const fn parameters(&self) -> Parameters {
        self.parameters
    }

    pub(super) fn quorum(&self) -> usize {
        self.committee().quorums().quorum()
    }

    pub(super) fn faults(&self) -> usize {
        usize::from(self.committee().quorums().faults())
    }

    pub(super) fn first_vertex(&self, author: Author) -> VertexRef {
        VertexRef::genesis(self.committee().chain(), self.committee().epoch(), author)
    }

    /// Who will lead a round, in slot order. Nobody in the network could know it so early.
    pub(super) fn leaders(&mut self, round: Round) -> Vec<Author> {
        let (validators, slots) =
            (self.committee().quorums().validators(), self.parameters.leaders_per_round);
        if self.parameters.leaders == Leaders::RoundRobin {
            return leaders::in_turn(round, validators, slots);
        }
        if let Some(named) = self.leaders.get(&round) {
            return named.clone();
        }
        let committee = Arc::clone(self.committee());
        let authors = committee.authors().take(committee.quorums().coin_threshold());
        let shares: Vec<_> = authors.map(|author| (author, self.share(author, round))).collect();
        let message = committee.coin_message(round);
        let signature = coin::recover(&shares, &message, committee.coin_group())
            .expect("shares made with the network's own secrets fit");
        let seed = coin::coin_seed(committee.epoch(), round, &signature);
        let named = leaders::drawn(&seed, validators, slots);
        self.leaders.insert(round, named.clone());
        named
    }

    fn share(&mut self, author: Author, round: Round) -> CoinShare {
        let network = &self.network;
        *self.shares.entry((author, round)).or_insert_with(|| network.coin_share(author, round))
    }

    /// Combines shares. All shares here are right, so a round's first combination stands for all.
    pub(super) fn combine(&mut self, task: &CoinTask) -> CoinOutcome {
        let known = self.coins.get(&task.round()).and_then(|coin| task.known(coin));
        known.unwrap_or_else(|| {
            let outcome = task.run(self.committee());
            self.coins.extend(outcome.coin().map(|coin| (task.round(), coin)));
            outcome
        })
    }

    /// Signs a vertex. Where leaders go in turn nobody looks at shares, and one serves for all.
    pub(super) fn vertex(&mut self, sketch: Sketch) -> Verified<Vertex> {
        let Sketch { author, round, parents, late, mark } = sketch;
        let due = self.parameters.rules().decided_by(round);
        let coin_share = due.map(|due| match self.parameters.leaders {
            Leaders::Coin => self.share(author, due),
            Leaders::RoundRobin => self.share(Author::ZERO, Round::new(1)),
        });
        let header = Header {
            chain: *self.committee().chain(),
            epoch: self.committee().epoch(),
            author,
            round,
            parents,
            late,
            coin_share,
            payload_root: self.payload_root,
            payload_length: self.payload_length,
            timestamp: TimestampMs::new(round.value() * 100 + mark),
        };
        let digest = header.digest();
        if let Some(vertex) = self.signed.get(&digest) {
            return vertex.clone();
        }
        if self.signed.len() >= SIGNED_MAX {
            self.signed.clear();
        }
        let vertex = self.network.sign(header, self.payload.clone());
        self.signed.insert(digest, vertex.clone());
        vertex
    }
}
