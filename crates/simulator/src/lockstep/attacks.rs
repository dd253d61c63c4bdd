//! The attacks by name, each aimed at something that a wrong rule would get wrong.

use std::fmt;
use std::str::FromStr;

use super::Arena;
use super::Foundry;
use super::Judged;
use super::Violation;
use super::drawn;
use crate::options::Leaders;

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// At the quorums of four validators, with one equivocator.
    Quorums,
    /// At those of seven, with two.
    QuorumsOfSeven,
    /// At twins: as [`Attack::Quorums`], the leader always among the equivocators.
    Twins,
    /// By delay alone, nobody equivocates.
    Delay,
    /// At a slot and at its anchor, one after the other, with one equivocator.
    Anchors,
    /// At the search for an anchor, by a drawn schedule and its neighbours.
    Search,
    /// At the order of two slots a round, with one equivocator.
    Slots,
    /// At the garbage line, which follows closely, by delay alone.
    Garbage,
    /// At progress, where not everybody has the proof against an equivocator: the garbage line
    /// follows so closely that the proof falls below it.
    Proof,
    /// At the common coin, with leaders that it names.
    Coin,
}

impl Attack {
    /// Every attack.
    pub const ALL: [Self; 10] = [
        Self::Quorums,
        Self::QuorumsOfSeven,
        Self::Twins,
        Self::Delay,
        Self::Anchors,
        Self::Search,
        Self::Slots,
        Self::Garbage,
        Self::Proof,
        Self::Coin,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quorums => "quorums",
            Self::QuorumsOfSeven => "quorums-of-seven",
            Self::Twins => "twins",
            Self::Delay => "delay",
            Self::Anchors => "anchors",
            Self::Search => "search",
            Self::Slots => "slots",
            Self::Garbage => "garbage",
            Self::Proof => "proof",
            Self::Coin => "coin",
        }
    }

    /// Where it is played.
    pub const fn arena(self) -> Arena {
        let four = Arena {
            validators: 4,
            wave: 4,
            slots: 1,
            leaders: Leaders::RoundRobin,
            gc_depth: 100,
            equivocators: 1,
            leader_lies: false,
            aims: 1,
        };
        match self {
            Self::Quorums => four,
            Self::QuorumsOfSeven => Arena { validators: 7, equivocators: 2, ..four },
            Self::Twins => Arena { leader_lies: true, ..four },
            Self::Delay | Self::Search => Arena { equivocators: 0, ..four },
            Self::Anchors => Arena { aims: 2, ..four },
            Self::Slots => Arena { slots: 2, wave: 5, ..four },
            Self::Garbage => Arena { gc_depth: 4, equivocators: 0, ..four },
            Self::Proof => Arena { gc_depth: 4, ..four },
            Self::Coin => Arena { leaders: Leaders::Coin, ..four },
        }
    }

    /// Plays the schedule of a seed.
    ///
    /// # Errors
    /// When a promise was broken.
    pub fn play(self, foundry: &mut Foundry, seed: u64) -> Result<Judged, Violation> {
        match self {
            Self::Search => drawn::play(foundry, seed),
            _ => self.arena().descend(foundry, seed),
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Attack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|attack| attack.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is not one of {names}")
        })
    }
}
