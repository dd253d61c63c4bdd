//! What to pay, from what waits.
//!
//! Transactions are sealed in the order in which they became final, whatever they pay; a fee buys
//! the way out of the pool. So of the room in the next blocks what is final already comes first,
//! and what is left goes to the pool by its rates. While everything fits the least fee is enough:
//! an estimate is never empty.

use std::cmp::Reverse;

use super::limits::FeeRate;

/// What waits for blocks.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The rates and sizes of the pool's transactions, the best paying first.
    waiting: Vec<(FeeRate, u64)>,
    unsealed_vsize: u64,
    block_vsize: u64,
}

impl Demand {
    /// Takes what waits: the rates and virtual sizes of the pool, the virtual size of what is final
    /// and not sealed, and the virtual size of a block.
    pub fn new(
        waiting: impl IntoIterator<Item = (FeeRate, u64)>,
        unsealed_vsize: u64,
        block_vsize: u64,
    ) -> Self {
        let mut waiting: Vec<_> = waiting.into_iter().collect();
        waiting.sort_unstable_by_key(|(rate, _)| Reverse(*rate));
        Self { waiting, unsealed_vsize, block_vsize }
    }

    /// The least rate, and no less than `floor`, that stands among what fits into so many blocks.
    pub fn rate(&self, blocks: u16, floor: FeeRate) -> FeeRate {
        let room = self.block_vsize.saturating_mul(u64::from(blocks));
        let mut left = room.saturating_sub(self.unsealed_vsize);
        for (rate, vsize) in &self.waiting {
            match left.checked_sub(*vsize) {
                Some(less) => left = less,
                // The first that does not fit any more: who pays more stands before it.
                None => return floor.max(FeeRate::from_sat_per_kvb(rate.sat_per_kvb() + 1)),
            }
        }
        floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(sat_per_kvb: u64) -> FeeRate {
        FeeRate::from_sat_per_kvb(sat_per_kvb)
    }

    #[test]
    fn an_empty_pool_asks_for_the_least_fee() {
        assert_eq!(Demand::new([], 0, 1_000).rate(1, rate(1_000)), rate(1_000));
    }

    #[test]
    fn the_rate_lies_right_above_what_no_longer_fits() {
        let waiting = [(rate(9_000), 600), (rate(3_000), 600), (rate(5_000), 300), (rate(800), 1)];
        let demand = Demand::new(waiting, 0, 1_000);
        assert_eq!(demand.rate(1, rate(1_000)), rate(3_001));
        assert_eq!(demand.rate(2, rate(1_000)), rate(1_000));
    }

    #[test]
    fn what_is_final_takes_its_room_first() {
        let waiting = [(rate(9_000), 600), (rate(3_000), 600)];
        let demand = Demand::new(waiting, 1_500, 1_000);
        assert_eq!(demand.rate(1, rate(1_000)), rate(9_001));
        assert_eq!(demand.rate(2, rate(1_000)), rate(9_001));
        assert_eq!(demand.rate(3, rate(1_000)), rate(1_000));
    }
}
