//! Signs two vertices for a round and shows them to different others. The twins differ in their
//! payload, their time or their parents; who sees which, and when, is one of several plans, and it
//! builds on both.

use types::Author;
use types::Header;
use types::Item;
use types::Payload;
use types::Round;
use types::Span;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use super::Byzantine;
use super::Parcel;
use super::Workshop;
use crate::schedule::Schedule;

#[derive(Debug)]
pub(super) struct Equivocator {
    show: Show,
    /// The first round that gets a twin.
    start: Round,
    /// One round in so many gets a twin.
    one_in: u32,
    /// Its last twin: it builds on that one, too.
    last: Option<VertexRef>,
}

/// Who sees which twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// One half sees the one, the other half the other.
    Halves,
    /// All see the first one, and the second one much later.
    Late,
    /// f + 1 see the second one instead.
    Few,
    /// A single one sees the second one instead.
    One,
    /// All see both, in different orders.
    Both,
}

const SHOWS: [Show; 5] = [Show::Halves, Show::Late, Show::Few, Show::One, Show::Both];

impl Equivocator {
    pub(super) fn new(rounds: u64, chance: &mut Schedule) -> Self {
        let show = SHOWS.get(chance.below(SHOWS.len())).copied().unwrap_or(Show::Halves);
        Self { show, start: start(rounds, chance), one_in: rhythm(chance), last: None }
    }
}

impl Byzantine for Equivocator {
    fn send(&mut self, vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Vec<Parcel> {
        if vertex.round() < self.start || !shop.chance.one_in(self.one_in) {
            return shop.to_all(vertex);
        }
        let last = self.last;
        let twin = twin(vertex, shop, |edge| match last {
            Some(last) if last.round == edge.round && last.author == edge.author => last,
            _ => edge,
        });
        self.last = Some(twin.reference());
        show(self.show, vertex, &twin, shop)
    }
}

/// The first round that gets a twin. Once it was found out, an equivocator can do little: when it
/// begins is left to chance.
pub(super) fn start(rounds: u64, chance: &mut Schedule) -> Round {
    let below = usize::try_from(rounds).unwrap_or(usize::MAX);
    Round::new(1 + u64::try_from(chance.below(below)).unwrap_or(0))
}

pub(super) fn rhythm(chance: &mut Schedule) -> u32 {
    1 + u32::try_from(chance.below(3)).unwrap_or(0)
}

/// A plan by chance.
pub(super) fn any_show(chance: &mut Schedule) -> Show {
    SHOWS.get(chance.below(SHOWS.len())).copied().unwrap_or(Show::Halves)
}

/// Signs another vertex for the same round. `exchange` may put another edge in the place of one.
pub(super) fn twin(
    vertex: &Verified<Vertex>,
    shop: &mut Workshop<'_>,
    exchange: impl Fn(VertexRef) -> VertexRef,
) -> Verified<Vertex> {
    let header = vertex.header();
    let quorum = shop.network.committee.quorums().quorum();
    let mut parents: Vec<VertexRef> = header.parents.iter().copied().map(&exchange).collect();
    let mut payload = vertex.payload().clone();
    match shop.chance.below(3) {
        0 if parents.len() > quorum => {
            let place = shop.chance.below(parents.len());
            parents.remove(place);
        }
        1 => {
            let garbage = shop.chance.number().to_le_bytes().to_vec();
            let items = vec![Item::Transaction(garbage.into())];
            payload = Payload::new(items).unwrap_or_default();
        }
        _ => {}
    }
    let late = header.late.iter().copied().map(exchange).collect();
    let timestamp = header.timestamp.saturating_add(1);
    shop.sign_twin(Header { parents, late, timestamp, ..header.clone() }, payload)
}

/// Sends twins as a plan says.
pub(super) fn show(
    show: Show,
    vertex: &Verified<Vertex>,
    twin: &Verified<Vertex>,
    shop: &mut Workshop<'_>,
) -> Vec<Parcel> {
    let others = shop.shuffled();
    let count = match show {
        Show::Halves => others.len() / 2,
        Show::Late | Show::Both => others.len(),
        Show::Few => usize::from(shop.network.committee.quorums().faults()) + 1,
        Show::One => 1,
    };
    let mut parcels = Vec::new();
    for (place, to) in others.into_iter().enumerate() {
        let late = shop.chance.delays(2, 30);
        let mut send = |to: Author, vertex, after| parcels.push(Parcel::vertex(to, vertex, after));
        match show {
            Show::Halves | Show::Few | Show::One if place < count => send(to, twin, Span::ZERO),
            Show::Halves | Show::Few | Show::One => send(to, vertex, Span::ZERO),
            Show::Late => {
                send(to, vertex, Span::ZERO);
                send(to, twin, late);
            }
            Show::Both if place % 2 == 0 => {
                send(to, vertex, Span::ZERO);
                send(to, twin, Span::ZERO);
            }
            Show::Both => {
                send(to, twin, Span::ZERO);
                send(to, vertex, Span::ZERO);
            }
        }
    }
    parcels
}
