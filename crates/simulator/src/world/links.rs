//! Messages on their way, and who is connected with whom.

use std::rc::Rc;

use replica::InvalidMessage;
use replica::Received;
use replica::ordering::Input;
use replica::receive;
use replica::serve;
use replica::wire::Message;
use replica::wire::Range;
use types::Author;
use types::Encode as _;
use types::Moment;
use types::Verified;
use types::Vertex;

use super::Event;
use super::Packet;
use super::World;
use crate::trace::Note;
use crate::trace::digest_of_bytes;

/// How the network is cut in two.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) sides: Vec<bool>,
    pub(super) until: Moment,
    pub(super) loss: Loss,
}

/// What becomes of messages that meet a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// They wait for its end, as in a connection that does not notice.
    Held,
    /// They are lost, and both ends are told.
    Lost,
}

impl Cut {
    pub(super) fn parts(&self, left: Author, right: Author) -> bool {
        self.sides.get(left.index()) != self.sides.get(right.index())
    }
}

impl World {
    pub(super) fn send_to_all(&mut self, from: Author, message: &Message) {
        let packet = Rc::new(Packet::new(message));
        for to in self.network.committee.authors() {
            self.post(from, to, &packet);
        }
    }

    pub(super) fn send(&mut self, from: Author, to: Author, message: &Message) {
        let packet = Rc::new(Packet::new(message));
        self.post(from, to, &packet);
    }

    fn post(&mut self, from: Author, to: Author, packet: &Rc<Packet>) {
        if !self.is_linked(from, to) {
            return;
        }
        let cut = self.cut.as_ref().filter(|cut| cut.parts(from, to));
        let start = cut.map_or(self.now, |cut| cut.until.max(self.now));
        let at = start.after(self.schedule.delay());
        let tie = self.schedule.tie(at, from, to);
        let life = self.node(to).life;
        let packet = Rc::clone(packet);
        self.at(at, tie, Event::Deliver { from, to, life, packet });
    }

    pub(super) fn deliver(&mut self, from: Author, to: Author, life: u32, packet: &Packet) {
        let node = self.node(to);
        if node.life != life || !node.is_up() {
            return;
        }
        self.messages += 1;
        self.trace.note(self.now, to, Note::Arrived { from }, &packet.digest);
        match self.take(from, packet) {
            Ok(Received::Hello(_)) => {}
            Ok(Received::Input(input)) => self.input(to, input),
            Ok(Received::Request(request)) => match serve(&self.node(to).store, &request) {
                Ok(answer) => self.send(to, from, &answer),
                Err(fault) => self.broken(to, &fault),
            },
            Err(error) => self.broken(from, &format!("sends what is not valid: {error}")),
        }
    }

    /// As [`receive`], but vertices that were signed in this run are not verified again.
    fn take(&self, from: Author, packet: &Packet) -> Result<Received, InvalidMessage> {
        let message = Message::decode(&packet.bytes)?;
        let known = |vertices: &[bytes::Bytes]| -> Option<Vec<Verified<Vertex>>> {
            vertices.iter().map(|bytes| self.signed.get(bytes).cloned()).collect()
        };
        let input = match &message {
            Message::Vertex(bytes) => {
                self.signed.get(bytes).map(|vertex| Input::Vertex { from, vertex: vertex.clone() })
            }
            Message::Vertices(vertices) => {
                known(vertices).map(|vertices| Input::Vertices { from, vertices })
            }
            Message::Range(range) => known(&range.vertices).map(|vertices| {
                let Range { from: start, next, coins, .. } = range;
                let range = Range { from: *start, next: *next, coins: coins.clone(), vertices };
                Input::Range { from, range }
            }),
            _ => None,
        };
        let rules = self.network.genesis.consensus.rules();
        match input {
            Some(input) => Ok(Received::Input(input)),
            None => receive(from, message, &self.network.committee, rules),
        }
    }

    /// Connects a validator with everybody whom it can reach.
    pub(super) fn link_all(&mut self, own: Author) {
        for peer in self.network.committee.authors() {
            self.link(own, peer);
        }
    }

    pub(super) fn link(&mut self, left: Author, right: Author) {
        let is_apart = self.cut.as_ref();
        let is_apart = is_apart.is_some_and(|cut| cut.loss == Loss::Lost && cut.parts(left, right));
        let both_up = self.node(left).is_up() && self.node(right).is_up();
        if left == right || is_apart || !both_up || self.is_linked(left, right) {
            return;
        }
        self.set_linked(left, right, true);
        self.input(left, Input::Connected(right));
        // The power of one of them may have gone meanwhile.
        if self.is_linked(left, right) {
            self.input(right, Input::Connected(left));
        }
    }

    pub(super) fn unlink(&mut self, left: Author, right: Author) {
        if self.is_linked(left, right) {
            self.set_linked(left, right, false);
            self.input(left, Input::Gone(right));
            self.input(right, Input::Gone(left));
        }
    }

    fn is_linked(&self, left: Author, right: Author) -> bool {
        self.node(left).linked.get(right.index()).copied().unwrap_or_default()
    }

    fn set_linked(&mut self, left: Author, right: Author, is_linked: bool) {
        for (one, other) in [(left, right), (right, left)] {
            if let Some(linked) = self.node_mut(one).linked.get_mut(other.index()) {
                *linked = is_linked;
            }
        }
    }
}

impl Packet {
    fn new(message: &Message) -> Self {
        let bytes = message.to_bytes();
        Self { digest: digest_of_bytes(&bytes), bytes: bytes.into() }
    }
}
