//! Messages on their way into the queue: the scheduler's decisions, and what it holds back.

use std::collections::BTreeMap;
use std::rc::Rc;

use types::Author;
use types::Moment;
use types::Round;
use types::Span;

use super::Event;
use super::Packet;
use super::World;
use crate::adversaries::Fate;
use crate::adversaries::HOLD_MAX;
use crate::adversaries::Letter;
use crate::adversaries::Until;
use crate::schedule::DELAY;

/// What is held, and what each of it waits for.
#[derive(Debug)]
pub(super) struct Held {
    next: u64,
    deliveries: BTreeMap<u64, Event>,
    built: Vec<BTreeMap<Round, Vec<u64>>>,
    anybody: BTreeMap<Round, Vec<u64>>,
}

impl Held {
    pub(super) fn new(validators: usize) -> Self {
        Self {
            next: 0,
            deliveries: BTreeMap::new(),
            built: vec![BTreeMap::new(); validators],
            anybody: BTreeMap::new(),
        }
    }

    fn hold(&mut self, delivery: Event, until: Until) -> u64 {
        let id = self.next;
        self.next += 1;
        self.deliveries.insert(id, delivery);
        match until {
            Until::Anybody(round) => self.anybody.entry(round).or_default().push(id),
            Until::Built(author, round) => {
                if let Some(waits) = self.built.get_mut(author.index()) {
                    waits.entry(round).or_default().push(id);
                }
            }
        }
        id
    }

    /// What waited for a vertex of `author` at `round`.
    fn freed(&mut self, author: Author, round: Round, is_honest: bool) -> Vec<u64> {
        let mut freed = Vec::new();
        let built = self.built.get_mut(author.index());
        let anybody = is_honest.then_some(&mut self.anybody);
        for waits in built.into_iter().chain(anybody) {
            let later = waits.split_off(&round.next());
            freed.extend(std::mem::replace(waits, later).into_values().flatten());
        }
        freed
    }
}

impl World<'_> {
    /// Sends a packet over a link. `kept` is how long its sender keeps it back.
    pub(super) fn post(&mut self, from: Author, to: Author, packet: &Rc<Packet>, kept: Span) {
        if !self.is_linked(from, to) {
            return;
        }
        let usual = self.schedule.delay();
        let fate = match &mut self.scheduler {
            None => Fate::After(usual),
            Some(scheduler) => {
                self.sight.now = self.now;
                let letter = Letter { from, to, vertices: &packet.vertices, usual };
                scheduler.fate(&letter, &self.sight, &mut self.schedule)
            }
        };
        let cut = self.cut.as_ref().filter(|cut| cut.parts(from, to));
        let start = cut.map_or(self.now, |cut| cut.until.max(self.now)).after(kept);
        let life = self.node(to).life;
        let delivery = Event::Deliver { from, to, life, packet: Rc::clone(packet) };
        match fate {
            Fate::After(span) => self.arrive(start.after(span), delivery),
            Fate::Hold(until) => {
                let id = self.held.hold(delivery, until);
                self.at(start.after(HOLD_MAX), 0, Event::Release(id));
            }
            Fate::Lost => {}
        }
    }

    /// A validator has built a vertex: what was held for that is on its way.
    pub(super) fn free(&mut self, author: Author, round: Round) {
        let is_honest = !self.is_faulty(author);
        for id in self.held.freed(author, round, is_honest) {
            self.release(id);
        }
    }

    pub(super) fn release(&mut self, id: u64) {
        if let Some(delivery) = self.held.deliveries.remove(&id) {
            let span = Span::new(self.schedule.delay().value() / 2);
            self.arrive(self.now.after(span), delivery);
        }
    }

    /// Everything that is on its way arrives within a few delays.
    pub(super) fn release_all(&mut self) {
        let held: Vec<u64> = self.held.deliveries.keys().copied().collect();
        held.into_iter().for_each(|id| self.release(id));
        let soon = self.now.after(Span::new(6 * DELAY.value()));
        let late = self.queue.split_off(&(soon, 0, 0));
        for ((at, tie, sequence), event) in late {
            match event {
                Event::Deliver { .. } => {
                    let span = self.schedule.delays(1, 6);
                    self.arrive(self.now.after(span), event);
                }
                event => {
                    self.queue.insert((at, tie, sequence), event);
                }
            }
        }
    }

    fn arrive(&mut self, at: Moment, delivery: Event) {
        let tie = match &delivery {
            Event::Deliver { from, to, .. } => self.schedule.tie(at, *from, *to),
            _ => 0,
        };
        self.at(at, tie, delivery);
    }
}
