//! Whoever stands against the network: schedulers, who decide what arrives when, and Byzantine
//! validators, who sign what no honest one would. Each lives in a file of its own; a scheduler and up
//! to f validators combine freely.
//!
//! **Invariant:** everything that is sent arrives in the end: a scheduler holds a message until
//! something happens or [`HOLD_MAX`] passes, and its power ends when the goal of the run is reached.
//! **Invariant:** nobody here knows a common coin before an honest validator's share makes it known:
//! [`Sight::coins`] has it from that moment on.

use std::collections::BTreeMap;
use std::fmt;

use types::Author;
use types::Moment;
use types::Quorums;
use types::Round;
use types::Span;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use crate::options;
use crate::schedule::DELAY;
use crate::schedule::Schedule;

mod aimer;
mod equivocator;
mod garbage_sender;
mod laggards;
mod late_reveal;
mod poisoner;
mod share_forger;
mod share_withholder;
mod slow_readers;
mod starver;
mod swizzle;
mod twin_cartel;
mod withheld_round;
mod workshop;

#[cfg(test)]
mod tests;

pub(crate) use workshop::Byzantine;
pub(crate) use workshop::Cartel;
pub(crate) use workshop::Parcel;
pub(crate) use workshop::Workshop;

/// How long a message may be held.
pub(crate) const HOLD_MAX: Span = Span::new(DELAY.value() * 40);

/// Decides what arrives when. It reads every message.
pub(crate) trait Scheduler: fmt::Debug {
    /// Takes note of a vertex that was just signed, by whomever.
    fn made(&mut self, _vertex: &Verified<Vertex>, _sight: &Sight, _chance: &mut Schedule) {}

    /// A validator lost its power, and with it every message that was on its way to it.
    fn cut_off(&mut self, _author: Author) {}

    /// What becomes of a message. `usual` is the time that it takes without a reason.
    fn fate(&mut self, letter: &Letter<'_>, sight: &Sight, chance: &mut Schedule) -> Fate;
}

/// A message as its scheduler sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter<'a> {
    pub(crate) from: Author,
    pub(crate) to: Author,
    /// The valid vertices in it, whatever kind of message it is.
    pub(crate) vertices: &'a [Verified<Vertex>],
    /// The time that it takes without a reason.
    pub(crate) usual: Span,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives after a time.
    After(Span),
    /// It arrives once something happened, and after [`HOLD_MAX`] in any case.
    Hold(Until),
    /// It is lost, as in a queue that is full. Whoever misses it has to ask.
    Lost,
}

/// What a held message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// This validator has built a vertex of the round, or of a higher one.
    Built(Author, Round),
    /// Any honest validator has.
    Anybody(Round),
}

/// What an adversary sees beside messages.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) now: Moment,
    pub(crate) quorums: Quorums,
    /// w.
    pub(crate) wave: u64,
    /// The highest round that each validator has built.
    pub(crate) built: Vec<Round>,
    /// The leaders of every round whose coin follows from shares that are out, in slot order.
    pub(crate) coins: BTreeMap<Round, Vec<Author>>,
}

impl Sight {
    pub(crate) fn built(&self, author: Author) -> Round {
        self.built.get(author.index()).copied().unwrap_or_default()
    }

    /// V(r).
    pub(crate) const fn vote_round(&self, round: Round) -> Round {
        round.saturating_add(self.wave - 2)
    }

    /// The round whose coin the vertices of `round` carry shares of.
    pub(crate) fn coin_round(&self, round: Round) -> Option<Round> {
        let round = round.saturating_sub(self.wave - 1);
        (round > Round::ZERO).then_some(round)
    }

    pub(crate) fn faults(&self) -> usize {
        usize::from(self.quorums.faults())
    }
}

/// Makes the scheduler of a name that is not `mix`.
pub(crate) fn scheduler(
    name: options::Scheduler,
    quorums: Quorums,
    chance: &mut Schedule,
) -> Option<Box<dyn Scheduler>> {
    Some(match name {
        options::Scheduler::Mix => return None,
        options::Scheduler::Starver => Box::new(starver::Starver::default()),
        options::Scheduler::Laggards => Box::new(laggards::Laggards::new(quorums, chance)),
        options::Scheduler::WithheldRound => Box::new(withheld_round::WithheldRound::default()),
        options::Scheduler::LateReveal => Box::new(late_reveal::LateReveal::default()),
        options::Scheduler::Aimer => Box::new(aimer::Aimer::new(quorums, chance)),
        options::Scheduler::Swizzle => Box::new(swizzle::Swizzle::new(quorums)),
        options::Scheduler::SlowReaders => {
            Box::new(slow_readers::SlowReaders::new(quorums, chance))
        }
    })
}

/// A fault that makes a validator sign or send what it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Equivocator,
    ShareWithholder,
    ShareForger,
    GarbageSender,
    Poisoner,
    TwinCartel,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Equivocator,
        Self::ShareWithholder,
        Self::ShareForger,
        Self::GarbageSender,
        Self::Poisoner,
        Self::TwinCartel,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Equivocator => "equivocator",
            Self::ShareWithholder => "share withholder",
            Self::ShareForger => "share forger",
            Self::GarbageSender => "garbage sender",
            Self::Poisoner => "poisoner",
            Self::TwinCartel => "twin cartel",
        }
    }

    pub(crate) fn make(self, rounds: u64, chance: &mut Schedule) -> Box<dyn Byzantine> {
        match self {
            Self::Equivocator => Box::new(equivocator::Equivocator::new(rounds, chance)),
            Self::ShareWithholder => Box::new(share_withholder::ShareWithholder::new(chance)),
            Self::ShareForger => Box::new(share_forger::ShareForger::new(chance)),
            Self::GarbageSender => Box::new(garbage_sender::GarbageSender),
            Self::Poisoner => Box::new(poisoner::Poisoner::default()),
            Self::TwinCartel => Box::new(twin_cartel::TwinCartel::new(rounds, chance)),
        }
    }
}

/// The vertex of an author and round that a vertex supports by the rule, as an adversary finds it
/// out for itself: the direct parent a round above, the least among the parents' supports above
/// that.
pub(crate) fn support(
    vertices: &BTreeMap<VertexRef, Verified<Vertex>>,
    vertex: &Vertex,
    author: Author,
    round: Round,
) -> Option<VertexRef> {
    let parents = vertex.header().parents.iter();
    if vertex.round() == round.next() {
        return parents.copied().find(|parent| parent.author == author);
    }
    if vertex.round() <= round {
        return None;
    }
    let parents = parents.filter_map(|parent| vertices.get(parent));
    parents.filter_map(|parent| support(vertices, parent, author, round)).min()
}
