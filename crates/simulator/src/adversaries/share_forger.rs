//! Gives shares of the common coin that are points of the curve and wrong: its share for another
//! round, or, now and then, somebody else's for this one.

use replica::ordering::Draft;
use types::Round;
use types::Verified;
use types::Vertex;

use super::Byzantine;
use super::Workshop;
use crate::schedule::Schedule;

#[derive(Debug)]
pub(super) struct ShareForger {
    /// One share in so many is wrong.
    one_in: u32,
}

impl ShareForger {
    pub(super) fn new(chance: &mut Schedule) -> Self {
        Self { one_in: 1 + u32::try_from(chance.below(4)).unwrap_or(0) }
    }
}

impl Byzantine for ShareForger {
    fn sign(&mut self, draft: Draft, shop: &mut Workshop<'_>) -> Verified<Vertex> {
        let Draft { mut header, payload, coin_round } = draft;
        header.coin_share = coin_round.map(|round: Round| {
            if !shop.chance.one_in(self.one_in) {
                return shop.share(round);
            }
            let other = shop.others().first().copied();
            match other.filter(|_| shop.chance.one_in(3)) {
                Some(other) => shop.memo.share(shop.network, other, round),
                None => shop.share(round.next()),
            }
        });
        shop.sign(header, payload)
    }
}
