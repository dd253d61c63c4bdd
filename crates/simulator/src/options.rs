//! What a run is asked for.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use types::Quorums;
use types::genesis::ConsensusParameters;

use crate::error::SimulationError;

/// The most rounds of one run: it is held in memory as a whole.
pub const ROUNDS_MAX: u64 = 100_000;
/// The most validators of one run.
const VALIDATORS_MAX: u64 = 128;
/// How deep the garbage line of one run may lie: what a genesis allows.
const GC_DEPTH_MIN: u64 = 20;
const GC_DEPTH_MAX: u64 = 100_000;

/// What a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// n.
    pub validators: u16,
    /// The run ends once every honest validator has decided all slots up to this round.
    pub rounds: u64,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// w: rounds from a leader to its decision, 4 or 5.
    pub wave: u64,
    /// l: leader slots a round.
    pub slots: u16,
    /// Who names the leaders.
    pub leaders: Leaders,
    /// How messages travel.
    pub network: Network,
    /// Who decides how they travel, on the network of an adversary.
    pub scheduler: Scheduler,
    /// What breaks.
    pub faults: Faults,
    /// What clients do.
    pub load: Load,
    /// G: how many rounds below a committed leader stay orderable.
    pub gc_depth: u64,
}

/// The text names nothing that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{actual}` is not one of {expected}")]
pub struct UnknownName {
    actual: String,
    expected: String,
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// Every choice.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().find(|choice| choice.name() == text);
                found.copied().ok_or_else(|| UnknownName {
                    actual: text.to_owned(),
                    expected: [$($text),+].join(", "),
                })
            }
        }
    };
}

choice!(
    /// Who names the leaders of a round.
    Leaders {
        /// The common coin, afterwards.
        Coin = "coin",
        /// The round's number, beforehand: for comparison only.
        RoundRobin = "round-robin",
    }
);
choice!(
    /// How messages travel.
    Network {
        /// Each takes exactly one delay.
        Fifo = "fifo",
        /// Each takes a time of its own, one delay on average; they overtake each other.
        Random = "random",
        /// As random, and now and then the network falls apart for a while.
        Partition = "partition",
        /// Somebody who reads every message, and knows each coin as soon as it can be known, decides
        /// what arrives when.
        Adversary = "adversary",
    }
);
choice!(
    /// Who decides on the network of an adversary.
    Scheduler {
        /// One of the others; the seed chooses.
        Mix = "mix",
        /// Guesses leaders and keeps their vertices from everybody until the votes are cast.
        Starver = "starver",
        /// Holds back all that f validators send or receive.
        Laggards = "laggards",
        /// Keeps every vertex of some rounds from more than f validators for a while.
        WithheldRound = "withheld-round",
        /// Delays the vertices whose shares would complete a common coin.
        LateReveal = "late-reveal",
        /// Shows each slot as committed to one side and as skipped to the other.
        Aimer = "aimer",
        /// Stops links one after the other, and restores them in another order.
        Swizzle = "swizzle",
        /// f validators read much slower than they are written to.
        SlowReaders = "slow-readers",
    }
);
choice!(
    /// What breaks.
    Faults {
        /// Nothing.
        None = "none",
        /// Validators lose their power at any moment, and with it what was not synced; they return.
        Crash = "crash",
        /// f validators never say anything.
        Silent = "silent",
        /// f validators sign two vertices a round and show them to different others.
        Equivocate = "equivocate",
        /// f validators keep their vertices, and with them their shares of the coin, from most.
        WithholdShares = "withhold-shares",
        /// f validators give shares of the coin that are wrong.
        ForgeShares = "forge-shares",
        /// f validators send bytes that are no messages, and vertices that lead nowhere.
        Garbage = "garbage",
        /// f validators propose what no ledger can take.
        Poison = "poison",
        /// f validators equivocate together and build on each other's twins.
        Cartel = "cartel",
        /// f validators lose their disks and return without a memory.
        LostDisk = "lost-disk",
        /// Up to f validators, each with a fault of its own, and perhaps crashes of the others; the
        /// seed chooses.
        Mix = "mix",
    }
);
choice!(
    /// What clients do.
    Load {
        /// Nothing: ordering alone.
        Off = "off",
        /// They send transactions, some of which conflict.
        Transactions = "transactions",
    }
);

impl Options {
    /// Forty rounds of a network of `validators` on an orderly network, with the parameters that a
    /// genesis has by default.
    pub fn new(validators: u16) -> Self {
        Self {
            validators,
            rounds: 40,
            seed: 0,
            wave: 5,
            slots: validators.clamp(1, 2),
            leaders: Leaders::Coin,
            network: Network::Fifo,
            scheduler: Scheduler::Mix,
            faults: Faults::None,
            load: Load::Transactions,
            gc_depth: ConsensusParameters::default().gc_depth,
        }
    }

    /// Whether there can be such a run.
    pub(crate) fn check(&self) -> Result<(), SimulationError> {
        let validators = u64::from(self.validators);
        in_range("validators", validators, 1, VALIDATORS_MAX)?;
        in_range("rounds", self.rounds, 1, ROUNDS_MAX)?;
        in_range("wave", self.wave, 4, 5)?;
        in_range("slots", u64::from(self.slots), 1, validators)?;
        if self.validators > 1 && Quorums::new(self.validators).coin_threshold() == 1 {
            return Err(SimulationError::TooFewForCoin { validators: self.validators });
        }
        in_range("gc depth", self.gc_depth, GC_DEPTH_MIN, GC_DEPTH_MAX)
    }
}

/// As flags of `meanwhile simulate`: the run again.
impl fmt::Display for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "--validators {} --rounds {} --seed {} --wave {} --slots {} --leaders {} --network {} \
             --scheduler {} --faults {} --load {} --gc-depth {}",
            self.validators,
            self.rounds,
            self.seed,
            self.wave,
            self.slots,
            self.leaders,
            self.network,
            self.scheduler,
            self.faults,
            self.load,
            self.gc_depth
        )
    }
}

fn in_range(what: &'static str, actual: u64, least: u64, most: u64) -> Result<(), SimulationError> {
    if (least..=most).contains(&actual) {
        Ok(())
    } else {
        Err(SimulationError::OutOfRange { what, actual, least, most })
    }
}

impl From<Leaders> for consensus::Leaders {
    fn from(leaders: Leaders) -> Self {
        match leaders {
            Leaders::Coin => Self::Coin,
            Leaders::RoundRobin => Self::RoundRobin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused_with_what_there_is() {
        for network in Network::ALL {
            assert_eq!(network.to_string().parse(), Ok(*network));
        }
        let error = "carrier-pigeon".parse::<Network>().unwrap_err().to_string();
        assert_eq!(error, "`carrier-pigeon` is not one of fifo, random, partition, adversary");
    }

    #[test]
    fn options_that_make_no_network_are_refused_with_their_numbers() {
        let options = Options { wave: 3, ..Options::new(4) };
        let error = options.check().unwrap_err().to_string();
        assert_eq!(error, "wave is 3, allowed are 4 to 5");
        assert!(Options { validators: 0, ..Options::new(4) }.check().is_err());
        assert!(Options::new(3).check().unwrap_err().to_string().contains("4 and more"));
        assert!(Options { slots: 5, ..Options::new(4) }.check().is_err());
        assert!(Options { rounds: 0, ..Options::new(4) }.check().is_err());
        assert!(Options { gc_depth: 4, ..Options::new(4) }.check().is_err());
    }
}
