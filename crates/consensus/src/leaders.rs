//! Who leads a round.
//!
//! Source: `docs/consensus.md`, Common coin. The seed of a round is stretched to a stream of
//! numbers: block i is SHA-256 over the domain `meanwhile/consensus/leader-stream/v1`, the seed and
//! i (u64, little endian); a block is eight numbers (u32, little endian). A number below `bound`,
//! each equally likely, is the next number x of the stream with x < 2^32 - (2^32 mod bound), taken
//! modulo `bound`; others are passed over. The leaders are the first l places of a Fisher-Yates
//! permutation: place k changes with place k + (a number below n - k), for k from 0.
//!
//! **Invariant:** the draw is frozen in `vectors/leaders.txt`; another draw is another network.

#[cfg(any(test, feature = "test-utils"))]
use alloc::collections::BTreeMap;
#[cfg(any(test, feature = "test-utils"))]
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use types::Author;
use types::Digest;
use types::Hasher;
use types::Quorums;
use types::Round;

/// Who names the leaders, and when.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    Coin,
    RoundRobin,
    #[cfg(any(test, feature = "test-utils"))]
    Forced(ForcedLeaders),
}

/// The numbers that a seed is stretched to.
struct Stream {
    seed: Digest,
    block: Digest,
    next_block: u64,
    position: usize,
}

impl Stream {
    const fn new(seed: Digest) -> Self {
        Self { seed, block: Digest::ZERO, next_block: 0, position: 32 }
    }

    fn number(&mut self) -> u32 {
        if self.position == 32 {
            self.block = Hasher::new("meanwhile/consensus/leader-stream/v1")
                .value(&self.seed)
                .value(&self.next_block)
                .finish();
            self.next_block += 1;
            self.position = 0;
        }
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.block.as_bytes()[self.position..self.position + 4]);
        self.position += 4;
        u32::from_le_bytes(bytes)
    }

    /// A number below `bound`, which is not zero, each equally likely.
    fn below(&mut self, bound: u16) -> usize {
        const NUMBERS: u64 = 1 << 32;
        let bound = u64::from(bound);
        let limit = NUMBERS - NUMBERS % bound;
        loop {
            let number = u64::from(self.number());
            if number < limit {
                return usize::try_from(number % bound).expect("below a u16");
            }
        }
    }
}

/// The leaders that a seed names, in slot order.
pub(crate) fn draw(seed: Digest, quorums: Quorums, leaders: u16) -> Vec<Author> {
    let mut stream = Stream::new(seed);
    let mut places: Vec<Author> = (0..quorums.validators()).map(Author::new).collect();
    for place in 0..leaders.min(quorums.validators()) {
        let index = usize::from(place);
        let other = index + stream.below(quorums.validators() - place);
        places.swap(index, other);
    }
    places.truncate(usize::from(leaders));
    places
}

/// The leaders that a round's number names, in slot order.
pub(crate) fn in_turn(round: Round, quorums: Quorums, leaders: u16) -> Vec<Author> {
    let size = u64::from(quorums.validators());
    let place = |slot: u16| (round.value() % size + u64::from(slot)) % size;
    (0..leaders)
        .map(|slot| Author::new(u16::try_from(place(slot)).expect("below the committee's size")))
        .collect()
}

/// Leaders that a test names, in place of the common coin. As with the coin, they are known once
/// vertices of f + 1 authors stand at the decision round.
#[cfg(any(test, feature = "test-utils"))]
#[derive(Clone, Debug, Default)]
pub struct ForcedLeaders {
    /// The leaders of some rounds, in slot order: as many as a round has slots.
    pub named: BTreeMap<Round, Vec<Author>>,
    /// Where the leaders of all other rounds are drawn from.
    pub seed: Digest,
    /// Rounds whose leaders stay unknown until `Consensus::reveal_forced` names them.
    pub hidden: BTreeSet<Round>,
}

#[cfg(any(test, feature = "test-utils"))]
impl ForcedLeaders {
    /// The leaders of a round, in slot order.
    pub fn of(&self, round: Round, quorums: Quorums, leaders: u16) -> Vec<Author> {
        let seed = Hasher::new("meanwhile/consensus/forced-leaders/v1")
            .value(&self.seed)
            .value(&round)
            .finish();
        self.named.get(&round).cloned().unwrap_or_else(|| draw(seed, quorums, leaders))
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    #[test]
    fn the_draw_is_frozen() {
        for line in include_str!("../vectors/leaders.txt").lines() {
            let mut fields = line.split_whitespace();
            let mut field = || fields.next().unwrap();
            let (seed, validators, leaders) = (field(), field(), field());
            let drawn = draw(
                seed.parse().unwrap(),
                Quorums::new(validators.parse().unwrap()),
                leaders.parse().unwrap(),
            );
            let drawn: Vec<String> = drawn.iter().map(std::string::ToString::to_string).collect();
            assert_eq!(drawn.join(","), field(), "{line}");
        }
    }

    #[test]
    fn leaders_are_distinct_and_every_validator_leads_equally_often() {
        let quorums = Quorums::new(7);
        let mut counts = [[0_u32; 7]; 2];
        for index in 0..7_000_u64 {
            let seed = Hasher::new("test").value(&index).finish();
            let drawn = draw(seed, quorums, 2);
            assert_ne!(drawn[0], drawn[1]);
            counts[0][drawn[0].index()] += 1;
            counts[1][drawn[1].index()] += 1;
        }
        // A standard deviation is below 30.
        assert!(counts.iter().flatten().all(|count| count.abs_diff(1_000) < 150), "{counts:?}");
    }

    #[test]
    fn a_whole_permutation_can_be_drawn() {
        let mut drawn = draw(Digest::new([5; 32]), Quorums::new(256), 256);
        drawn.sort();
        assert_eq!(drawn, (0..256).map(Author::new).collect::<Vec<_>>());
    }

    #[test]
    fn leaders_in_turn_go_round() {
        let quorums = Quorums::new(4);
        let leaders = |round| in_turn(Round::new(round), quorums, 2);
        assert_eq!(leaders(3), [Author::new(3), Author::new(0)]);
        assert_eq!(leaders(u64::MAX), [Author::new(3), Author::new(0)]);
    }
}
