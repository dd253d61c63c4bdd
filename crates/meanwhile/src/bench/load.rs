//! Transactions that nobody executes: a number, the moment they were offered, and noise that does
//! not compress.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use types::Author;
use types::Item;
use types::PAYLOAD_BYTES_MAX;

use crate::error::Failure;

/// Author, number and moment.
const HEAD_BYTES: usize = 2 + 8 + 8;
/// How much of the load may wait at its source before more is refused.
const BACKLOG: Duration = Duration::from_secs(2);

/// What is offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadPlan {
    /// How many validators share the load.
    pub(crate) validators: u16,
    /// The size of a transaction.
    pub(crate) tx_bytes: usize,
    /// How many a second, over all validators.
    pub(crate) rate: u64,
    /// What is not counted at the beginning.
    pub(crate) warm_up: Duration,
    /// How long is measured.
    pub(crate) duration: Duration,
}

/// One validator's share of the load.
#[derive(Debug)]
pub(crate) struct Source {
    author: Author,
    tx_bytes: usize,
    rate: f64,
    noise: u64,
    made: u64,
    waiting: VecDeque<Item>,
    waiting_max: usize,
    refused: u64,
}

/// What a transaction of this load says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Who offered it.
    pub(crate) author: Author,
    /// When, in microseconds since the load began.
    pub(crate) offered_us: u64,
}

impl LoadPlan {
    /// Checks that there can be such a load.
    ///
    /// # Errors
    /// Says which number can not be.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let refuse = |what, reason: String| Err(Failure::Argument { what, reason });
        let most = PAYLOAD_BYTES_MAX / 2;
        if !(HEAD_BYTES..=most).contains(&self.tx_bytes) {
            return refuse("--tx-bytes", format!("{HEAD_BYTES} to {most} are possible"));
        }
        if self.validators == 0 || self.validators > 64 {
            return refuse("--validators", "1 to 64 fit one machine".to_owned());
        }
        if self.rate == 0 || self.rate > 10_000_000 {
            return refuse("--rate", "1 to 10000000 a second are possible".to_owned());
        }
        Ok(())
    }
}

impl Source {
    /// The share of one validator.
    pub(crate) fn new(plan: &LoadPlan, author: Author) -> Self {
        let rate = to_f64(plan.rate) / f64::from(plan.validators);
        let waiting_max = plan.rate * BACKLOG.as_secs() / u64::from(plan.validators);
        Self {
            author,
            tx_bytes: plan.tx_bytes,
            rate,
            noise: u64::from(author.value()).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            made: 0,
            waiting: VecDeque::new(),
            waiting_max: usize::try_from(waiting_max).unwrap_or(usize::MAX).max(1),
            refused: 0,
        }
    }

    /// Offers what has fallen due since the last time.
    pub(crate) fn advance(&mut self, since_start: Duration) {
        let due = to_u64(since_start.as_secs_f64() * self.rate);
        let offered_us = u64::try_from(since_start.as_micros()).unwrap_or(u64::MAX);
        while self.made < due {
            self.made += 1;
            if self.waiting.len() < self.waiting_max {
                let item = self.make(offered_us);
                self.waiting.push_back(item);
            } else {
                self.refused += 1;
            }
        }
    }

    /// Takes as much as there is room for.
    pub(crate) fn take(&mut self, bytes: usize, items: usize) -> Vec<Item> {
        let mut taken = Vec::new();
        let mut size = 0;
        while taken.len() < items
            && let Some(item) = self.waiting.front()
            && size + item.encoded_length() <= bytes
        {
            size += item.encoded_length();
            taken.extend(self.waiting.pop_front());
        }
        taken
    }

    /// Puts back what was not ordered.
    pub(crate) fn put_back(&mut self, items: Vec<Item>) {
        for item in items.into_iter().rev() {
            self.waiting.push_front(item);
        }
    }

    /// How many were offered, and how many of these found no place to wait.
    pub(crate) const fn offered_and_refused(&self) -> (u64, u64) {
        (self.made, self.refused)
    }

    fn make(&mut self, offered_us: u64) -> Item {
        let mut bytes = Vec::with_capacity(self.tx_bytes + 8);
        bytes.extend_from_slice(&self.author.value().to_le_bytes());
        bytes.extend_from_slice(&self.made.to_le_bytes());
        bytes.extend_from_slice(&offered_us.to_le_bytes());
        while bytes.len() < self.tx_bytes {
            // xorshift64: noise enough for a compressor.
            self.noise ^= self.noise << 13;
            self.noise ^= self.noise >> 7;
            self.noise ^= self.noise << 17;
            bytes.extend_from_slice(&self.noise.to_le_bytes());
        }
        bytes.truncate(self.tx_bytes);
        Item::Transaction(Bytes::from(bytes))
    }
}

/// Reads what a transaction of this load says about itself.
pub(crate) fn stamp(item: &Item) -> Option<Stamp> {
    let Item::Transaction(bytes) = item else { return None };
    let (author, rest) = bytes.split_first_chunk::<2>()?;
    let (_, rest) = rest.split_first_chunk::<8>()?;
    let (offered, _) = rest.split_first_chunk::<8>()?;
    Some(Stamp {
        author: Author::new(u16::from_le_bytes(*author)),
        offered_us: u64::from_le_bytes(*offered),
    })
}

/// A count as a float, for rates: exact far beyond any count here.
#[expect(clippy::as_conversions, reason = "there is no other way from u64 to f64")]
pub(crate) const fn to_f64(count: u64) -> f64 {
    count as f64
}

/// The whole part of a rate times a time.
#[expect(clippy::as_conversions, reason = "there is no other way from f64 to u64; it saturates")]
const fn to_u64(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> LoadPlan {
        LoadPlan {
            validators: 4,
            tx_bytes: 100,
            rate: 400,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(1),
        }
    }

    #[test]
    fn the_load_is_offered_at_its_rate_and_says_when() {
        let mut source = Source::new(&plan(), Author::new(2));
        source.advance(Duration::from_millis(500));
        let items = source.take(usize::MAX, usize::MAX);
        assert_eq!(items.len(), 50);
        let stamp = stamp(&items[0]).unwrap();
        assert_eq!(stamp, Stamp { author: Author::new(2), offered_us: 500_000 });
    }

    #[test]
    fn what_finds_no_place_is_refused_and_counted() {
        let mut source = Source::new(&plan(), Author::new(0));
        source.advance(Duration::from_secs(10));
        assert_eq!(source.offered_and_refused(), (1_000, 800));
    }

    #[test]
    fn no_more_is_taken_than_there_is_room_for() {
        let mut source = Source::new(&plan(), Author::new(0));
        source.advance(Duration::from_secs(1));
        assert_eq!(source.take(usize::MAX, 3).len(), 3);
        assert_eq!(source.take(250, 100).len(), 2);
        let back = source.take(usize::MAX, 1);
        source.put_back(back.clone());
        assert_eq!(source.take(usize::MAX, 1), back);
    }
}
