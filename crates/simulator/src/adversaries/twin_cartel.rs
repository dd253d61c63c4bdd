//! f equivocators who refer to each other's twins: each twin stands on the twins of the others of the
//! round before, so that whole lives of their own grow beside the honest one. With one member it is
//! an equivocator with two lives.

use types::Round;
use types::Verified;
use types::Vertex;

use super::Byzantine;
use super::Parcel;
use super::Workshop;
use super::equivocator;
use super::equivocator::Show;
use crate::schedule::Schedule;

#[derive(Debug)]
pub(super) struct TwinCartel {
    show: Show,
    start: Round,
}

impl TwinCartel {
    pub(super) fn new(rounds: u64, chance: &mut Schedule) -> Self {
        let show = equivocator::any_show(chance);
        Self { show, start: equivocator::start(rounds / 2, chance) }
    }
}

impl Byzantine for TwinCartel {
    fn send(&mut self, vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Vec<Parcel> {
        if vertex.round() < self.start {
            return shop.to_all(vertex);
        }
        let twins = std::mem::take(&mut shop.cartel.twins);
        let exchange = |edge| twins.get(&edge).copied().unwrap_or(edge);
        let twin = equivocator::twin(vertex, shop, exchange);
        shop.cartel.twins = twins;
        shop.cartel.twins.insert(vertex.reference(), twin.reference());
        while shop.cartel.twins.len() > 1024 {
            shop.cartel.twins.pop_first();
        }
        equivocator::show(self.show, vertex, &twin, shop)
    }
}
