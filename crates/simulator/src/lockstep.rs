//! Schedules at the granularity of rounds, around the real machine of `consensus`.
//!
//! In each round a scheduler says, with full knowledge, which vertices of the round before each
//! validator has seen when it builds, who sits the round out, and which twins an equivocator shows
//! to whom. That is all that an asynchronous network can do to agreement, without the messages in
//! between: what a validator does is what its machine says. Everything arrives in the end.
//!
//! - [`starve`]: does a scheduler by delay alone stop leaders in turn, and does the common coin help?
//! - [`ambush`]: how many leaders are safe from a scheduler that sees the coin the moment it is
//!   public, with f equivocators? `docs/coin.md` says what both come to.
//! - [`Attack`]: schedules aimed at the quorums, at random but never blindly; what they catch is
//!   shown by the wrong rules in `mutants/`.
//! - [`Arena::exhaust`]: all schedules to a bounded depth.
//!
//! The keys are those of a test network, which everybody knows. Vertices carry no payload.

mod ambush;
mod attacks;
mod chart;
mod descent;
mod drawn;
mod exhaust;
mod foundry;
mod judge;
mod leaders;
mod net;
mod play;
mod starver;
mod study;
mod votes;

use consensus::Parameters;

pub use ambush::Ambushed;
pub use ambush::Fate;
pub use attacks::Attack;
pub use exhaust::Explored;
pub use foundry::Foundry;
pub use judge::Judged;
pub use judge::Promise;
pub use judge::Violation;
pub use starver::Progress;
pub use starver::Starver;
pub use study::Study;

use crate::options::Leaders;
use ambush::Ambush;
use starver::Starving;

/// One network under a scheduler by delay alone.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// n.
    pub validators: u16,
    /// w: 4 or 5.
    pub wave: u64,
    /// Who names the leaders, one a round.
    pub leaders: Leaders,
    /// How the expected leader is starved.
    pub starver: Starver,
    /// How many rounds are played.
    pub rounds: u64,
    /// Decides the coin, the guesses, and what is left open.
    pub seed: u64,
}

/// Plays a trial; gives what each round has come to.
pub fn starve(trial: &Trial) -> Vec<Progress> {
    let parameters = parameters(trial.wave, 1, trial.leaders);
    let foundry = Foundry::new(trial.validators, trial.seed, parameters);
    Starving::new(foundry, trial.starver, trial.seed).run(trial.rounds)
}

/// One round ambushed by a scheduler that sees the coin the moment it is public.
#[derive(Clone, Copy, Debug)]
pub struct Ambuscade {
    /// n.
    pub validators: u16,
    /// w: 4 or 5.
    pub wave: u64,
    /// Leader slots a round.
    pub slots: u16,
    /// Decides the coin.
    pub seed: u64,
}

/// Lays an ambush; gives what became of the round's leaders.
pub fn ambush(ambush: &Ambuscade) -> Ambushed {
    let parameters = parameters(ambush.wave, ambush.slots, Leaders::Coin);
    Ambush::new(Foundry::new(ambush.validators, ambush.seed, parameters)).run()
}

/// A kind of network that aimed schedules are played in.
#[derive(Clone, Copy, Debug)]
pub struct Arena {
    /// n.
    pub validators: u16,
    /// w: 4 or 5.
    pub wave: u64,
    /// Leader slots a round.
    pub slots: u16,
    /// Who names the leaders. The scheduler knows them beforehand in any case.
    pub leaders: Leaders,
    /// G.
    pub gc_depth: u64,
    /// How many equivocate, f at most.
    pub equivocators: usize,
    /// Whether the aimed leader is always among them, rather than half of the time.
    pub leader_lies: bool,
    /// At how many slots is aimed, each the anchor's place of the one before.
    pub aims: usize,
}

impl Arena {
    /// Its network.
    pub fn foundry(&self) -> Foundry {
        let parameters = Parameters {
            gc_depth: self.gc_depth,
            ..parameters(self.wave, self.slots, self.leaders)
        };
        Foundry::new(self.validators, 0, parameters)
    }

    /// Plays one aimed schedule and judges it.
    ///
    /// # Errors
    /// When a promise was broken.
    pub fn descend(&self, foundry: &mut Foundry, seed: u64) -> Result<Judged, Violation> {
        descent::descend(foundry, self, seed)
    }

    /// Plays every schedule up to the decision round of round 1, until `budget` are judged. Where
    /// the budget ends it, another `seed` goes other ways.
    ///
    /// # Errors
    /// When a promise was broken.
    pub fn exhaust(&self, budget: u64, seed: u64) -> Result<Explored, Violation> {
        exhaust::exhaust(self, budget, seed)
    }
}

fn parameters(wave: u64, leaders_per_round: u16, leaders: Leaders) -> Parameters {
    Parameters { wave, leaders_per_round, gc_depth: 500, leaders: leaders.into() }
}
