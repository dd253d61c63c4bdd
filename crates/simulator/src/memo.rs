//! What several runs have in common, so that it is computed once: networks, shares of the common
//! coin and the coins themselves. All of it follows from the options alone, so a run is the same
//! with an empty memory and with a full one.
//!
//! **Invariant:** every table is emptied when it is full.

use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::OutPoint;
use consensus::CoinOutcome;
use consensus::CoinTask;
use consensus::VerifiedCoin;
use ledger::Ledger;
use replica::execution::CheckpointOutcome;
use replica::execution::CheckpointTask;
use replica::wire::ClaimedCoin;
use store::Durability;
use store::MemoryStore;
use store::Store as _;
use types::Author;
use types::Digest;
use types::Genesis;
use types::Round;
use types::bls;
use types::checkpoint;
use types::coin;
use types::coin::CoinShare;
use types::coin::CoinSignature;
use types::table::Changes;
use types::test_utils::TestNetwork;

use crate::error::SimulationError;
use crate::load;
use crate::options::Options;

/// How many networks with different coins there are for one set of parameters: seeds share them.
pub(crate) const NETWORKS: u64 = 64;
const SETTINGS_MAX: usize = 512;
const SHARES_MAX: usize = 1 << 18;
const COINS_MAX: usize = 1 << 16;
const OUTCOMES_MAX: usize = 1 << 14;
/// How many commits lie between two checkpoints at most.
const CHECKPOINT_EVERY: u64 = 32;
const VOTES_MAX: usize = 1 << 16;
const CHECKED_MAX: usize = 1 << 12;

/// What was computed before. One a thread.
#[derive(Debug, Default)]
pub struct Memo {
    settings: HashMap<SettingKey, Arc<Setting>>,
    shares: HashMap<(Digest, Author, Round), CoinShare>,
    coins: HashMap<(Digest, Round), VerifiedCoin>,
    /// What became of tasks that hold shares which nobody owes.
    outcomes: HashMap<(Digest, CoinTask), CoinOutcome>,
    /// Signatures on checkpoints, by validator's key, which is another one in every network, and
    /// digest, which is too.
    votes: HashMap<(Author, Digest), bls::Signature>,
    checked: Vec<(CheckpointTask, CheckpointOutcome)>,
}

/// A network and what its ledger begins with.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) network: Arc<TestNetwork>,
    pub(crate) genesis: Arc<Genesis>,
    /// The rows of the ledger at genesis.
    pub(crate) rows: Changes,
    /// The coins that a poisoner spends.
    pub(crate) poison: Vec<OutPoint>,
    /// A coin of the clients, which nobody else may spend.
    pub(crate) foreign: Option<OutPoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SettingKey {
    validators: u16,
    wave: u64,
    slots: u16,
    gc_depth: u64,
    variant: u64,
}

impl Memo {
    /// The network that the options name.
    pub(crate) fn setting(&mut self, options: &Options) -> Result<Arc<Setting>, SimulationError> {
        let key = SettingKey {
            validators: options.validators,
            wave: options.wave,
            slots: options.slots,
            gc_depth: options.gc_depth,
            variant: options.seed % NETWORKS,
        };
        if let Some(known) = self.settings.get(&key) {
            return Ok(Arc::clone(known));
        }
        make_room(&mut self.settings, SETTINGS_MAX);
        let setting = Arc::new(Setting::new(key)?);
        self.settings.insert(key, Arc::clone(&setting));
        Ok(setting)
    }

    /// The share of the common coin that a validator owes for a round.
    pub(crate) fn share(
        &mut self,
        network: &TestNetwork,
        author: Author,
        round: Round,
    ) -> CoinShare {
        make_room(&mut self.shares, SHARES_MAX);
        let key = (*network.committee.chain(), author, round);
        *self.shares.entry(key).or_insert_with(|| network.coin_share(author, round))
    }

    /// A validator's signature on a checkpoint.
    pub(crate) fn vote(
        &mut self,
        network: &TestNetwork,
        author: Author,
        digest: &Digest,
    ) -> bls::Signature {
        make_room(&mut self.votes, VOTES_MAX);
        let message = checkpoint::vote_message(digest);
        let sign = || network.secrets[author.index()].checkpoint.sign(message.as_bytes());
        *self.votes.entry((author, *digest)).or_insert_with(sign)
    }

    /// What comes of votes. Validators that heard the same ones ask the same.
    pub(crate) fn check(
        &mut self,
        network: &TestNetwork,
        task: &CheckpointTask,
    ) -> CheckpointOutcome {
        if let Some((_, known)) = self.checked.iter().rev().find(|(known, _)| known == task) {
            return known.clone();
        }
        let outcome = task.run(&network.committee);
        if self.checked.len() >= CHECKED_MAX {
            self.checked.clear();
        }
        self.checked.push((task.clone(), outcome.clone()));
        outcome
    }

    /// The common coin of a round, made from secrets that nobody in the network holds together.
    pub(crate) fn coin(&mut self, network: &TestNetwork, round: Round) -> CoinSignature {
        self.verified_coin(network, round).signature()
    }

    /// The coin of a round that a message claims, when it was computed here and is that one.
    pub(crate) fn claimed_coin(
        &self,
        network: &TestNetwork,
        (round, signature): ClaimedCoin,
    ) -> Option<VerifiedCoin> {
        let coin = self.coins.get(&(*network.committee.chain(), round))?;
        (coin.signature() == signature).then_some(*coin)
    }

    /// What [`CoinTask::run`] gives. Whichever right shares are combined, the coin is the same; wrong
    /// ones are run, once for the same shares.
    pub(crate) fn combine(&mut self, network: &TestNetwork, task: &CoinTask) -> CoinOutcome {
        let round = task.round();
        let mut shares = task.shares().iter();
        if shares.all(|(author, share)| self.share(network, *author, round) == *share)
            && let Some(outcome) = task.known(&self.verified_coin(network, round))
        {
            return outcome;
        }
        make_room(&mut self.outcomes, OUTCOMES_MAX);
        let key = (*network.committee.chain(), task.clone());
        self.outcomes.entry(key).or_insert_with(|| task.run(&network.committee)).clone()
    }

    fn verified_coin(&mut self, network: &TestNetwork, round: Round) -> VerifiedCoin {
        let key = (*network.committee.chain(), round);
        if let Some(known) = self.coins.get(&key) {
            return *known;
        }
        let threshold = network.committee.quorums().coin_threshold();
        let shares: Vec<_> = network
            .committee
            .authors()
            .take(threshold)
            .map(|author| (author, self.share(network, author, round)))
            .collect();
        let message = network.committee.coin_message(round);
        let signature = coin::recover(&shares, &message, network.committee.coin_group());
        let signature = signature.expect("right shares, as many as the threshold, recover");
        let coin = VerifiedCoin::verify(round, signature, &network.committee);
        let coin = coin.expect("what was recovered was checked");
        make_room(&mut self.coins, COINS_MAX);
        self.coins.insert(key, coin);
        coin
    }
}

impl Setting {
    fn new(key: SettingKey) -> Result<Self, SimulationError> {
        let SettingKey { validators, wave, slots, gc_depth, variant } = key;
        let network = TestNetwork::with(validators, |genesis| {
            genesis.name = format!("simulated {variant}");
            genesis.consensus.wave = wave;
            genesis.consensus.leaders_per_round = slots;
            genesis.consensus.gc_depth = gc_depth;
            // Each costs pairings, and a run is after many rounds.
            genesis.ledger.checkpoint_every = CHECKPOINT_EVERY;
            load::allocate(genesis);
        });
        let rows = Ledger::genesis(&network.genesis)?;
        let store = MemoryStore::new(&replica::all_tables());
        store.write(rows.clone(), Durability::Synced)?;
        let genesis = Arc::new(network.genesis.clone());
        let foreign = load::client_coins(&store)?.first().copied();
        let poison = load::poison_coins(&store)?;
        Ok(Self { network: Arc::new(network), genesis, rows, poison, foreign })
    }
}

fn make_room<K, V>(map: &mut HashMap<K, V>, most: usize) {
    if map.len() >= most {
        map.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_without_running_is_what_running_gives() {
        let network = TestNetwork::new(4);
        let round = Round::new(7);
        let mut memo = Memo::default();
        // Of two authors, each with its share of its own round.
        let wrong = [(0, 7), (1, 8)];
        for of in [[(0, 7), (1, 7)], [(2, 7), (3, 7)], wrong, [(1, 7), (3, 7)], wrong] {
            let shares = of.map(|(author, round)| {
                let author = Author::new(author);
                (author, network.coin_share(author, Round::new(round)))
            });
            let task = CoinTask::new_for_test(round, shares.to_vec());
            let ran = task.run(&network.committee);
            assert_eq!(memo.combine(&network, &task), ran, "{of:?}");
            assert_eq!(ran.coin().is_none(), of == wrong);
        }
        assert_eq!(memo.outcomes.len(), 1, "wrong ones are run once");
    }
}
