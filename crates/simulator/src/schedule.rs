//! What the seed decides about the network and the power: how long messages take, when the network
//! falls apart, when validators go down.

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use types::Author;
use types::Moment;
use types::Span;

use crate::options::Network;
use crate::options::Options;

/// How long a message takes on average.
pub(crate) const DELAY: Span = Span::from_millis(50);

/// Chance for one run.
#[derive(Debug)]
pub(crate) struct Schedule {
    network: Network,
    seed: u64,
    random: ChaCha8Rng,
    drawn: u64,
    drawn_sum: u64,
}

impl Schedule {
    pub(crate) fn new(options: &Options) -> Self {
        let random = ChaCha8Rng::seed_from_u64(options.seed);
        let Options { network, seed, .. } = *options;
        Self { network, seed, random, drawn: 0, drawn_sum: 0 }
    }

    /// How long the next message takes. One in eight may take long; the mean is one delay.
    pub(crate) fn delay(&mut self) -> Span {
        let unit = DELAY.value();
        let span = if self.is_orderly() {
            unit
        } else if self.one_in(8) {
            self.random.random_range(0..=unit * 11 / 2)
        } else {
            self.random.random_range(0..=unit * 3 / 2)
        };
        self.drawn += 1;
        self.drawn_sum += span;
        Span::new(span)
    }

    /// The mean of all delays so far, in microseconds.
    pub(crate) fn mean_delay(&self) -> f64 {
        match self.drawn {
            0 => crate::report::to_f64(DELAY.value()),
            drawn => crate::report::to_f64(self.drawn_sum) / crate::report::to_f64(drawn),
        }
    }

    /// Decides between things that happen at one moment. Two messages of one link get the same
    /// number, so that they stay in their order.
    pub(crate) fn tie(&self, at: Moment, from: Author, to: Author) -> u64 {
        let link = (u64::from(from.value()) << 16) | u64::from(to.value());
        mix(mix(self.seed ^ at.value()) ^ link)
    }

    /// How long execution waits until it takes what ordering gave it.
    pub(crate) fn execution_lag(&mut self) -> Span {
        match self.network {
            Network::Fifo => Span::ZERO,
            _ => Span::new(self.random.random_range(0..=DELAY.value() / 2)),
        }
    }

    /// Whether the network keeps time: then nothing else is disturbed either.
    pub(crate) fn is_orderly(&self) -> bool {
        self.network == Network::Fifo
    }

    /// A time in whole delays, and a fraction so that it falls between other things.
    pub(crate) fn delays(&mut self, least: u64, most: u64) -> Span {
        let unit = DELAY.value();
        Span::new(self.random.random_range(least * unit..=most * unit))
    }

    /// A number below `limit`; zero when there is none.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { self.random.random_range(0..limit) }
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: u32) -> bool {
        self.random.random_ratio(1, times)
    }

    /// Puts things into an order of chance.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for place in (1..things.len()).rev() {
            let other = self.below(place + 1);
            things.swap(place, other);
        }
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        self.random.random()
    }

    /// `count` different authors of `validators`.
    pub(crate) fn some_of(&mut self, validators: u16, count: usize) -> Vec<Author> {
        let mut authors: Vec<_> = (0..validators).map(Author::new).collect();
        while authors.len() > count {
            let place = self.below(authors.len());
            authors.swap_remove(place);
        }
        authors
    }
}

/// The finaliser of SplitMix64: spreads a number over all others.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_exact_on_an_orderly_network_and_one_on_average_on_a_random_one() {
        let mut fifo = Schedule::new(&Options::new(4));
        assert_eq!(fifo.delay(), DELAY);
        let options = Options { network: Network::Random, ..Options::new(4) };
        let mut random = Schedule::new(&options);
        let longest = (0..20_000).map(|_| random.delay()).max().unwrap();
        assert!(longest > Span::new(5 * DELAY.value()));
        assert!((random.mean_delay() / 50_000.0 - 1.0).abs() < 0.05, "{}", random.mean_delay());
    }

    #[test]
    fn messages_of_a_link_keep_their_order_and_links_take_turns() {
        let schedule = Schedule::new(&Options::new(4));
        let tie = |at, from| schedule.tie(Moment::new(at), Author::new(from), Author::new(3));
        assert_eq!(tie(5, 0), tie(5, 0));
        let firsts: std::collections::BTreeSet<_> =
            (0..50).map(|at| (0..3).min_by_key(|from| tie(at, *from))).collect();
        assert_eq!(firsts.len(), 3);
    }
}
