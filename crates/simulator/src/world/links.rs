//! Messages on their way, and who is connected with whom.

use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use replica::InvalidMessage;
use replica::Received;
use replica::ordering::Input;
use replica::receive;
use replica::serve;
use replica::wire::ClaimedCoin;
use replica::wire::Message;
use replica::wire::Range;
use types::Author;
use types::DecodeError;
use types::Encode as _;
use types::Moment;
use types::Span;
use types::Verified;
use types::Vertex;

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

impl World<'_> {
    pub(super) fn send_to_all(&mut self, from: Author, message: Message) {
        let packet = Rc::new(Packet::new(message, &self.signed));
        for to in self.network.committee.authors() {
            self.post(from, to, &packet, Span::ZERO);
        }
    }

    pub(super) fn send(&mut self, from: Author, to: Author, message: Message) {
        let packet = Rc::new(Packet::new(message, &self.signed));
        self.post(from, to, &packet, Span::ZERO);
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
                Ok(answer) => self.send(to, from, answer),
                Err(fault) => self.broken(to, &fault),
            },
            // A node counts such a frame and goes on.
            Err(error) => self.broken(from, &format!("sends what is not valid: {error}")),
        }
    }

    /// As [`receive`], but vertices that were signed in this run and common coins that were computed
    /// are not verified again.
    fn take(&self, from: Author, packet: &Packet) -> Result<Received, InvalidMessage> {
        let message =
            packet.message.clone().ok_or(DecodeError::InvalidValue { what: "message" })?;
        let is_known = |count: usize| packet.vertices.len() == count;
        let vertices = || packet.vertices.clone();
        let input = match &message {
            Message::Vertex(_) if is_known(1) => {
                let vertex = packet.vertices.first().cloned();
                vertex.map(|vertex| Input::Vertex { from, vertex })
            }
            Message::Vertices(encoded) if is_known(encoded.len()) => {
                Some(Input::Vertices { from, vertices: vertices() })
            }
            Message::Range(range) if is_known(range.vertices.len()) => {
                let Range { from: start, next, coins, .. } = range;
                let (start, next) = (*start, *next);
                let known = |coin: &ClaimedCoin| self.memo.claimed_coin(&self.network, *coin);
                let coins: Option<_> = coins.iter().map(known).collect();
                coins.map(|coins| {
                    let range = Range { from: start, next, coins, vertices: vertices() };
                    Input::Range { from, range }
                })
            }
            _ => None,
        };
        let rules = self.genesis.consensus.rules();
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

    pub(super) fn is_linked(&self, left: Author, right: Author) -> bool {
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
    fn new(message: Message, signed: &HashMap<Bytes, Verified<Vertex>>) -> Self {
        let digest = digest_of_bytes(&message.to_bytes());
        let vertices = vertices_of(&message, signed);
        Self { digest, message: Some(message), vertices }
    }

    /// What bytes of a Byzantine validator come to.
    pub(super) fn of_bytes(bytes: &Bytes, signed: &HashMap<Bytes, Verified<Vertex>>) -> Self {
        let digest = digest_of_bytes(bytes);
        let message = Message::decode(bytes).ok();
        let vertices = message.as_ref().map_or(Vec::new(), |said| vertices_of(said, signed));
        Self { digest, message, vertices }
    }
}

/// The vertices of a message that somebody has signed.
fn vertices_of(
    message: &Message,
    signed: &HashMap<Bytes, Verified<Vertex>>,
) -> Vec<Verified<Vertex>> {
    let encoded = match message {
        Message::Vertex(vertex) => std::slice::from_ref(vertex),
        Message::Vertices(vertices) => vertices,
        Message::Range(range) => &range.vertices,
        _ => &[],
    };
    encoded.iter().filter_map(|bytes| signed.get(bytes).cloned()).collect()
}
