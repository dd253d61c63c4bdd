//! What goes into the next own vertex, and when it is built. Policy: agreement needs none of it.
//!
//! A validator with payload, or who sees undecided payload or somebody a round ahead, builds as soon
//! as the round may be built and the last vertex is old enough; an idle network slows down.
//!
//! **Invariant:** one draft is out at a time, and its round is above every round that was ever
//! signed here.
//!
//! Source: `docs/consensus.md`, Round advance.

use consensus::Consensus;
use types::Author;
use types::Committee;
use types::Encode;
use types::Header;
use types::ITEMS_MAX;
use types::Item;
use types::Moment;
use types::PAYLOAD_BYTES_MAX;
use types::Payload;
use types::Round;
use types::TimestampMs;
use types::blob::BLOB_STATEMENTS_PER_VERTEX_MAX;

use super::Pace;
use super::Pacing;
use super::input::Draft;
use super::input::Room;

/// What may wait to be proposed: one payload.
pub const PROPOSAL_ROOM: Room =
    Room { bytes: PAYLOAD_BYTES_MAX - Payload::OVERHEAD, items: ITEMS_MAX };

/// The queue and the pace.
#[derive(Debug)]
pub(super) struct Proposer {
    pacing: Pacing,
    queue: Vec<Item>,
    used: Room,
    /// How many statements about blobs are in the queue: a payload has a bound for them.
    statements: usize,
    drafted: Option<Round>,
    built_at: Option<Moment>,
    /// The highest round that was ever signed here.
    signed: Round,
}

/// Whether a vertex is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Build this round now.
    Now(Round),
    /// Build at this moment, unless something happens before.
    At(Moment),
    /// Build when something happens.
    Never,
}

impl Proposer {
    pub(super) const fn new(pacing: Pacing, signed: Round) -> Self {
        let used = Room { bytes: 0, items: 0 };
        Self {
            pacing,
            queue: Vec::new(),
            used,
            statements: 0,
            drafted: None,
            built_at: None,
            signed,
        }
    }

    /// Takes items as long as they fit and gives back the rest.
    pub(super) fn queue(&mut self, items: Vec<Item>) -> Vec<Item> {
        let mut rest = Vec::new();
        for item in items {
            let bytes = self.used.bytes.saturating_add(item.encoded_length());
            let statements = self.statements + usize::from(matches!(item, Item::BlobStatement(_)));
            let fits = bytes <= PROPOSAL_ROOM.bytes
                && self.used.items < PROPOSAL_ROOM.items
                && statements <= BLOB_STATEMENTS_PER_VERTEX_MAX;
            if fits && rest.is_empty() {
                self.statements = statements;
                self.used = Room { bytes, items: self.used.items + 1 };
                self.queue.push(item);
            } else {
                rest.push(item);
            }
        }
        rest
    }

    /// Whether a vertex is due. `proposes` says whether its payload would be taken from the queue,
    /// `pace` what execution wants. Votes alone are no reason to hurry.
    pub(super) fn due(
        &self,
        consensus: &Consensus,
        now: Moment,
        (proposes, pace): (bool, Pace),
    ) -> Due {
        let next = consensus.next_round().filter(|round| *round > self.signed);
        let Some(round) = next.filter(|_| self.drafted.is_none()) else { return Due::Never };
        let Some(built_at) = self.built_at else { return Due::Now(round) };
        let is_urgent = (proposes && self.queue.iter().any(Item::wants_order))
            || pace == Pace::Hurry
            || consensus.has_undecided_payload()
            || consensus.vertices_at(round).next().is_some();
        let interval = match is_urgent {
            true => self.pacing.min_round_interval,
            false => self.pacing.idle_interval.max(self.pacing.min_round_interval),
        };
        let at = built_at.after(interval);
        if at <= now { Due::Now(round) } else { Due::At(at) }
    }

    /// Makes the vertex of a round that is due, and says how much of the queue went into it.
    pub(super) fn draft(
        &mut self,
        (consensus, committee): (&Consensus, &Committee),
        (author, round): (Author, Round),
        (now, wall): (Moment, TimestampMs),
        proposes: bool,
    ) -> (Draft, Room) {
        let (items, taken) = match proposes {
            true => {
                self.statements = 0;
                (std::mem::take(&mut self.queue), std::mem::take(&mut self.used))
            }
            false => Default::default(),
        };
        let payload = Payload::new(items).expect("the queue keeps the bounds of a payload");
        let encoded = payload.to_bytes();
        let edges = consensus.edges(round);
        let header = Header {
            chain: *committee.chain(),
            epoch: committee.epoch(),
            author,
            round,
            parents: edges.parents,
            late: edges.late,
            coin_share: None,
            payload_root: Payload::root(&encoded),
            payload_length: u32::try_from(encoded.len()).expect("a payload is below 4 GiB"),
            timestamp: wall,
        };
        self.drafted = Some(round);
        self.built_at = Some(now);
        (Draft { header, payload, coin_round: edges.coin_round }, taken)
    }

    /// Takes note of the signature. False when nothing of this round is out to be signed.
    pub(super) fn signed(&mut self, round: Round) -> bool {
        if self.drafted != Some(round) {
            return false;
        }
        self.drafted = None;
        self.signed = round;
        true
    }
}
