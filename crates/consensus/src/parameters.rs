//! The parameters of the rule and the bounds of the machine.
//!
//! Source: `docs/consensus.md`, Parameters and Bounds. Parameters are genesis data, the same for
//! everybody; bounds are this machine's own and change no order.

use types::Quorums;
use types::Round;
use types::Rules;
use types::genesis::ConsensusParameters;

/// How far above the highest round with a quorum a vertex may stand, in rounds.
pub const WINDOW: u64 = 100;
/// How many vertices of one author may wait for vertices that they refer to.
pub const SUSPENDED_PER_AUTHOR_MAX: usize = 256;
/// How many vertices of one author and round are held unless others refer to them. An equivocator
/// can make any number of twins; those that matter are referred to.
pub const TWINS_UNWANTED_MAX: usize = 4;
/// How many rounds' shares of the common coin are being combined at a time. Undecided rounds have no
/// bound of their own; what is held back here is put out once outcomes come, the lowest first.
pub const COIN_TASKS_MAX: usize = 64;

/// How vertices are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// w: rounds from a leader to its decision, 4 or 5.
    pub wave: u64,
    /// l: leader slots a round.
    pub leaders_per_round: u16,
    /// G: rounds below a committed leader after which unordered vertices are dropped.
    pub gc_depth: u64,
    /// Who names the leaders.
    pub leaders: Leaders,
}

/// Who names the leaders of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaders {
    /// The common coin, afterwards: live under any schedule of messages.
    Coin,
    /// The round's number, beforehand: for comparison only, a scheduler who knows it can stop it.
    RoundRobin,
}

impl Parameters {
    /// What the stateless validity of a vertex depends on.
    pub const fn rules(&self) -> Rules {
        Rules { wave: self.wave }
    }

    /// V(r): the round whose vertices vote for the leaders of round r.
    pub(crate) const fn vote_round(&self, round: Round) -> Round {
        round.saturating_add(self.wave - 2)
    }

    /// D(r): the round whose vertices certify the leaders of round r.
    pub(crate) const fn decision_round(&self, round: Round) -> Round {
        round.saturating_add(self.wave - 1)
    }

    /// The round whose leaders are decided by vertices of `round`, if there is one.
    pub(crate) fn decided_by(&self, round: Round) -> Option<Round> {
        self.rules().decided_by(round)
    }

    /// The first round that may hold an anchor for the leaders of round r.
    pub(crate) const fn anchor_round(&self, round: Round) -> Round {
        round.saturating_add(self.wave)
    }

    /// The line at or below which nothing is ordered any more once a leader of `round` is.
    pub(crate) const fn garbage_line(&self, round: Round) -> Round {
        round.saturating_sub(self.gc_depth)
    }

    /// Parameters come from a checked genesis; others are a fault of the program.
    pub(crate) fn assert_usable(&self, quorums: Quorums) {
        assert!(self.wave == 4 || self.wave == 5, "a wave has 4 or 5 rounds");
        assert!(self.leaders_per_round > 0, "a round has a leader slot");
        assert!(self.leaders_per_round <= quorums.validators(), "a leader has one slot a round");
        assert!(self.gc_depth >= self.wave, "a wave outlives the garbage collection");
    }
}

impl From<ConsensusParameters> for Parameters {
    fn from(genesis: ConsensusParameters) -> Self {
        let ConsensusParameters { wave, leaders_per_round, gc_depth } = genesis;
        Self { wave, leaders_per_round, gc_depth, leaders: Leaders::Coin }
    }
}
