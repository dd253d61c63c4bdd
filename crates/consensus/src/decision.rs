//! Which slots are decided, and how.
//!
//! Source: `docs/consensus.md`, Decision. Slots are decided from the highest down, for an anchor
//! lies above what it decides, and given out from the lowest up, without a gap.
//!
//! **Invariant:** a status once given never changes: counts only grow, the cone of a held vertex is
//! complete, and the slots that a scan passes are decided themselves.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use types::Author;
use types::Round;
use types::Vertex;
use types::VertexRef;

use crate::dag::Dag;
use crate::output::Alarm;
use crate::parameters::Parameters;
use crate::slot::Slot;
use crate::slot::Status;

/// For how many rounds a slot that was given out is still watched for contradictions.
const WATCHED_ROUNDS: u64 = 100;

/// One leader slot's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotPlace {
    pub(crate) round: Round,
    pub(crate) slot: u16,
}

/// The slots whose leaders are known, above the garbage line.
#[derive(Clone, Debug)]
pub(crate) struct Decisions {
    parameters: Parameters,
    quorum: usize,
    slots: BTreeMap<Round, Vec<Slot>>,
    /// The first slot that has not been given out.
    next: SlotPlace,
    /// Whether something may have become decidable since the last look.
    stirred: bool,
}

/// The first slot at or above a round that is not skipped.
#[derive(Clone, Copy, Debug)]
enum Anchor {
    /// It is undecided, or its leader is unknown.
    Open,
    /// It is committed.
    Committed(VertexRef),
}

impl Decisions {
    pub(crate) const fn new(parameters: Parameters, quorum: usize, next: SlotPlace) -> Self {
        Self { parameters, quorum, slots: BTreeMap::new(), next, stirred: false }
    }

    /// The first slot that has not been given out.
    pub(crate) const fn next(&self) -> SlotPlace {
        self.next
    }

    pub(crate) fn is_revealed(&self, round: Round) -> bool {
        self.slots.contains_key(&round)
    }

    /// Takes the leaders of a round and counts what is held above it.
    pub(crate) fn reveal(
        &mut self,
        round: Round,
        leaders: impl IntoIterator<Item = Author>,
        dag: &Dag,
    ) -> Option<Alarm> {
        let mut slots: Vec<Slot> =
            leaders.into_iter().map(|author| Slot::new(round, author)).collect();
        let mut at = round.next();
        while at <= self.parameters.decision_round(round) {
            for vertex in dag.at(at) {
                for slot in &mut slots {
                    slot.count(vertex, &self.parameters, self.quorum);
                }
            }
            at = at.next();
        }
        let alarm = slots.iter().find_map(|slot| slot.contradiction(self.quorum));
        self.slots.insert(round, slots);
        self.stirred = true;
        alarm
    }

    /// Counts a newly held vertex for the slots below it.
    pub(crate) fn count(&mut self, vertex: &Vertex) -> Option<Alarm> {
        let lowest = vertex.round().saturating_sub(self.parameters.wave - 1);
        for slot in self.slots.range_mut(lowest..vertex.round()).flat_map(|(_, slots)| slots) {
            slot.count(vertex, &self.parameters, self.quorum);
            // Supports below the vote round decide nothing.
            if let Some(alarm) = slot.contradiction(self.quorum) {
                return Some(alarm);
            }
            self.stirred |=
                slot.status == Status::Undecided && slot.direct(self.quorum) != Status::Undecided;
        }
        None
    }

    /// Decides what can be decided.
    pub(crate) fn evaluate(&mut self, dag: &Dag) {
        if !core::mem::take(&mut self.stirred) {
            return;
        }
        let mut anchors: BTreeMap<Round, Anchor> = BTreeMap::new();
        let Some((&highest, _)) = self.slots.last_key_value() else { return };
        let mut round = highest;
        while round >= self.next.round {
            let above = anchors.get(&round.next()).copied().unwrap_or(Anchor::Open);
            let anchor = match self.slots.get_mut(&round) {
                None => Anchor::Open,
                Some(slots) => {
                    let anchor_round = self.parameters.anchor_round(round);
                    let decider = anchors.get(&anchor_round).copied().unwrap_or(Anchor::Open);
                    for slot in slots.iter_mut().filter(|slot| slot.status == Status::Undecided) {
                        slot.status = decide(slot, decider, dag, &self.parameters, self.quorum);
                    }
                    first_not_skipped(slots, above)
                }
            };
            anchors.insert(round, anchor);
            // Round 0 has no slots, so the loop has ended before it.
            round = round.saturating_sub(1);
        }
    }

    /// The next decided slot, in slot order.
    pub(crate) fn take_decided(&mut self) -> Option<(SlotPlace, Status)> {
        let place = self.next;
        let slot = self.slots.get(&place.round)?.get(usize::from(place.slot))?;
        let status = slot.status;
        if status == Status::Undecided {
            return None;
        }
        self.next = after(place, &self.parameters);
        Some((place, status))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Forgets slots that were given out long ago. Those given out lately are counted on, so that a
    /// contradiction is noticed late rather than never.
    pub(crate) fn forget(&mut self, line: Round) {
        let kept = self.next.round.saturating_sub(WATCHED_ROUNDS).max(line.next());
        while self.slots.first_key_value().is_some_and(|(round, _)| *round < kept) {
            self.slots.pop_first();
        }
    }
}

/// The place after another one.
pub(crate) const fn after(place: SlotPlace, parameters: &Parameters) -> SlotPlace {
    let slot = place.slot.saturating_add(1);
    if slot < parameters.leaders_per_round {
        SlotPlace { round: place.round, slot }
    } else {
        SlotPlace { round: place.round.next(), slot: 0 }
    }
}

fn decide(
    slot: &Slot,
    decider: Anchor,
    dag: &Dag,
    parameters: &Parameters,
    quorum: usize,
) -> Status {
    let direct = slot.direct(quorum);
    match decider {
        Anchor::Committed(anchor) if direct == Status::Undecided => {
            let round = parameters.decision_round(slot.round());
            slot.indirect(|certificates| dag.cone_meets(anchor, round, certificates))
        }
        _ => direct,
    }
}

fn first_not_skipped(slots: &[Slot], above: Anchor) -> Anchor {
    slots.iter().map(|slot| slot.status).find(|status| *status != Status::Skipped).map_or(
        above,
        |status| match status {
            Status::Committed(leader) => Anchor::Committed(leader),
            Status::Undecided | Status::Skipped => Anchor::Open,
        },
    )
}
