//! Who the common coin names, worked out beforehand and apart from the machine.
//!
//! The scheduler of a simulation holds every secret, so it can know what nobody could. Whether it
//! uses that is the experiment. The draw is written anew from `docs/consensus.md`, Common coin, so
//! that it also judges the one that the machines use.

use types::Author;
use types::Digest;
use types::Hasher;
use types::Round;

/// The leaders that a seed names, in slot order.
pub(super) fn drawn(seed: &Digest, validators: u16, slots: u16) -> Vec<Author> {
    let mut numbers = Numbers { seed: *seed, block: 0, left: Vec::new() };
    let mut list: Vec<u16> = (0..validators).collect();
    for place in 0..slots.min(validators) {
        let other = place + numbers.below(validators - place);
        list.swap(usize::from(place), usize::from(other));
    }
    list.into_iter().take(usize::from(slots)).map(Author::new).collect()
}

/// The leaders that a round's number names, in slot order.
pub(super) fn in_turn(round: Round, validators: u16, slots: u16) -> Vec<Author> {
    let size = u64::from(validators);
    let named = (0..slots).map(|slot| (round.value() + u64::from(slot)) % size);
    named.filter_map(|place| u16::try_from(place).ok()).map(Author::new).collect()
}

struct Numbers {
    seed: Digest,
    block: u64,
    left: Vec<u32>,
}

impl Numbers {
    fn next(&mut self) -> u32 {
        loop {
            if let Some(number) = self.left.pop() {
                return number;
            }
            let hasher = Hasher::new("meanwhile/consensus/leader-stream/v1");
            let block = hasher.value(&self.seed).value(&self.block).finish();
            self.block += 1;
            let (words, _) = block.as_bytes().as_chunks::<4>();
            self.left = words.iter().rev().map(|word| u32::from_le_bytes(*word)).collect();
        }
    }

    /// A number below `bound`, each equally likely.
    fn below(&mut self, bound: u16) -> u16 {
        let bound = u64::from(bound.max(1));
        let fair = (1_u64 << 32) / bound * bound;
        loop {
            let number = u64::from(self.next());
            if number < fair {
                return u16::try_from(number % bound).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draw_is_the_one_that_the_network_froze() {
        for line in include_str!("../../../consensus/vectors/leaders.txt").lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [seed, validators, slots, expected] = fields[..] else { panic!("{line}") };
            let seed = seed.parse().unwrap();
            let drawn = drawn(&seed, validators.parse().unwrap(), slots.parse().unwrap());
            let drawn: Vec<String> = drawn.iter().map(ToString::to_string).collect();
            assert_eq!(drawn.join(","), expected, "{line}");
        }
    }
}
