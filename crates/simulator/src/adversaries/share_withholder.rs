//! Keeps its vertices, and with them its shares of the common coin, from most others, or sends them
//! late. A vertex without its share is not valid, so it can not leave out the share alone.

use types::Span;
use types::Verified;
use types::Vertex;

use super::Byzantine;
use super::Parcel;
use super::Workshop;
use crate::schedule::Schedule;

#[derive(Debug)]
pub(super) struct ShareWithholder {
    /// Whether those who do not get a vertex at once get it late, or never from its author.
    is_late: bool,
}

impl ShareWithholder {
    pub(super) fn new(chance: &mut Schedule) -> Self {
        Self { is_late: chance.one_in(2) }
    }
}

impl Byzantine for ShareWithholder {
    fn send(&mut self, vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Vec<Parcel> {
        let faults = usize::from(shop.network.committee.quorums().faults());
        let lucky = shop.chance.below(faults + 2);
        let mut parcels = Vec::new();
        for (place, to) in shop.shuffled().into_iter().enumerate() {
            if place < lucky {
                parcels.push(Parcel::vertex(to, vertex, Span::ZERO));
            } else if self.is_late {
                let late = shop.chance.delays(3, 25);
                parcels.push(Parcel::vertex(to, vertex, late));
            }
        }
        parcels
    }
}
