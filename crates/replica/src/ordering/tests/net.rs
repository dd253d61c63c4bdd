//! A small network of ordering halves: messages take a fixed time, and some are lost on purpose.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use consensus::Leaders;
use consensus::Ordered;
use store::MemoryStore;
use types::Round;
use types::Rules;
use types::test_utils::TestNetwork;

use super::*;
use crate::receive::Received;
use crate::receive::receive;
use crate::serve::serve;
use crate::tables::tables;

/// How long a message takes.
pub(super) const DELAY: Span = Span::from_millis(5);

/// Says which messages are lost.
pub(super) type Loss = fn(from: u16, to: u16, message: &Message) -> bool;

pub(super) struct Node {
    pub(super) ordering: Option<Ordering>,
    pub(super) store: MemoryStore,
    pub(super) commits: Vec<Ordered>,
    pub(super) returned: Vec<Item>,
    pub(super) evidence: usize,
    pub(super) start: Start,
    pub(super) sent: Vec<(Author, Message)>,
}

pub(super) struct Net {
    pub(super) network: TestNetwork,
    pub(super) nodes: Vec<Node>,
    pub(super) now: Moment,
    pub(super) pacing: Pacing,
    pub(super) loss: Loss,
    pub(super) leaders: Leaders,
    /// Every own vertex that was ever sent, by author and round.
    pub(super) vertices: BTreeMap<(Author, Round), BTreeSet<VertexRef>>,
    queue: BTreeMap<(Moment, u64), (Author, Author, Message)>,
    sequence: u64,
}

pub(super) fn author(number: u16) -> Author {
    Author::new(number)
}

impl Net {
    /// Leaders in turn: the common coin costs milliseconds a round and changes nothing here.
    pub(super) fn new(validators: u16) -> Self {
        Self::with(validators, Leaders::RoundRobin)
    }

    pub(super) fn with(validators: u16, leaders: Leaders) -> Self {
        let node = |_| Node {
            ordering: None,
            store: MemoryStore::new(tables()),
            commits: Vec::new(),
            returned: Vec::new(),
            evidence: 0,
            start: Start::First,
            sent: Vec::new(),
        };
        let mut net = Self {
            network: TestNetwork::new(validators),
            nodes: (0..validators).map(node).collect(),
            now: Moment::ZERO,
            pacing: Pacing::default(),
            loss: |_, _, _| false,
            leaders,
            vertices: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
        };
        (0..validators).for_each(|own| net.start(own));
        net
    }

    pub(super) fn config(&self, own: u16) -> OrderingConfig {
        let committee = Arc::clone(&self.network.committee);
        let genesis = &self.network.genesis;
        let start = self.nodes[usize::from(own)].start;
        let config = OrderingConfig::new(committee, Some(author(own)), genesis, start);
        let parameters = Parameters { leaders: self.leaders, ..config.parameters };
        OrderingConfig { pacing: self.pacing, parameters, ..config }
    }

    /// Opens a node from its store and connects it with everybody.
    pub(super) fn start(&mut self, own: u16) {
        let node = usize::from(own);
        let ordering = Ordering::open(self.config(own), &self.nodes[node].store).unwrap();
        self.nodes[node].ordering = Some(ordering);
        self.input(own, Input::Wake);
        for peer in 0..u16::try_from(self.nodes.len()).unwrap() {
            if peer != own && self.nodes[usize::from(peer)].ordering.is_some() {
                self.input(own, Input::Connected(author(peer)));
                self.input(peer, Input::Connected(author(own)));
            }
        }
    }

    /// Takes a node away, as a power cut does.
    pub(super) fn crash(&mut self, own: u16) {
        let node = &mut self.nodes[usize::from(own)];
        node.ordering = None;
        node.store.crash();
        self.queue.retain(|_, (from, to, _)| ![*from, *to].contains(&author(own)));
        for peer in 0..u16::try_from(self.nodes.len()).unwrap() {
            self.input(peer, Input::Gone(author(own)));
        }
    }

    /// Takes a node away together with its disk; it comes back without either.
    pub(super) fn lose_disk(&mut self, own: u16, start: Start) {
        self.crash(own);
        let node = &mut self.nodes[usize::from(own)];
        node.store = MemoryStore::new(tables());
        node.commits.clear();
        node.start = start;
    }

    pub(super) fn ordering(&self, own: u16) -> &Ordering {
        self.nodes[usize::from(own)].ordering.as_ref().unwrap()
    }

    pub(super) fn status(&self, own: u16) -> OrderingStatus {
        self.ordering(own).status(self.now)
    }

    fn wall(&self) -> TimestampMs {
        TimestampMs::new(1_750_000_000_000 + self.now.value() / 1_000)
    }

    pub(super) fn input(&mut self, own: u16, input: Input) {
        let (now, wall) = (self.now, self.wall());
        let node = &mut self.nodes[usize::from(own)];
        let Some(ordering) = &mut node.ordering else { return };
        ordering.handle(now, wall, input);
        while let Some(step) = self.step(own) {
            for action in step {
                self.act(own, action);
            }
        }
    }

    fn step(&mut self, own: u16) -> Option<Vec<Action>> {
        let node = &mut self.nodes[usize::from(own)];
        let step = node.ordering.as_mut()?.poll_step()?;
        Some(step.write(&node.store).unwrap())
    }

    fn act(&mut self, own: u16, action: Action) {
        let node = &mut self.nodes[usize::from(own)];
        match action {
            Action::Sign(draft) => {
                let vertex = self.sign(own, *draft);
                self.input(own, Input::Signed(vertex));
            }
            Action::Coin(task) => {
                let outcome = task.run(&self.network.committee);
                self.input(own, Input::Coin(outcome));
            }
            Action::Broadcast(message) => {
                for to in 0..u16::try_from(self.nodes.len()).unwrap() {
                    self.send(own, to, message.clone());
                }
            }
            Action::Send { to, message } => self.send(own, to.value(), message),
            Action::Commit(ordered) => {
                let index = ordered.commit.index;
                node.commits.retain(|known| known.commit.index < index);
                node.commits.push(ordered);
            }
            Action::Returned(items) => node.returned.extend(items),
            Action::Evidence(_) => node.evidence += 1,
            Action::Taken(_) | Action::Ahead(_) => {}
            Action::Alarm(alarm) => panic!("{alarm:?}"),
        }
    }

    pub(super) fn sign(&self, own: u16, draft: Draft) -> Verified<Vertex> {
        let secrets = &self.network.secrets[usize::from(own)];
        draft.sign(&secrets.vertex, &secrets.coin, &self.network.committee)
    }

    pub(super) fn send(&mut self, from: u16, to: u16, message: Message) {
        if from == to {
            return;
        }
        if let Message::Vertex(bytes) = &message {
            let vertex = types::Unverified::decode(bytes).unwrap().claimed().reference();
            if vertex.author == author(from) {
                self.vertices.entry((vertex.author, vertex.round)).or_default().insert(vertex);
            }
        }
        self.nodes[usize::from(from)].sent.push((author(to), message.clone()));
        if !(self.loss)(from, to, &message) {
            self.sequence += 1;
            let at = (self.now.after(DELAY), self.sequence);
            self.queue.insert(at, (author(from), author(to), message));
        }
    }

    fn deliver(&mut self, from: Author, to: Author, message: Message) {
        let rules = Rules { wave: self.network.genesis.consensus.wave };
        match receive(from, message, &self.network.committee, rules).unwrap() {
            Received::Hello(_) => {}
            Received::Input(input) => self.input(to.value(), input),
            Received::Request(request) => {
                let node = &self.nodes[to.index()];
                if node.ordering.is_some() {
                    let answer = serve(&node.store, &request).unwrap();
                    self.send(to.value(), from.value(), answer);
                }
            }
        }
    }

    /// Lets `span` pass.
    pub(super) fn run(&mut self, span: Span) {
        let end = self.now.after(span);
        loop {
            let message = self.queue.first_key_value().map(|((at, _), _)| *at);
            let deadlines = self.nodes.iter().filter_map(|node| node.ordering.as_ref());
            let deadline = deadlines.filter_map(Ordering::next_deadline).min();
            let Some(at) = message.into_iter().chain(deadline).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            if message == Some(at) {
                let (_, (from, to, message)) = self.queue.pop_first().unwrap();
                self.deliver(from, to, message);
                continue;
            }
            for own in 0..u16::try_from(self.nodes.len()).unwrap() {
                let due = self.nodes[usize::from(own)].ordering.as_ref();
                if due.and_then(Ordering::next_deadline).is_some_and(|due| due <= self.now) {
                    self.input(own, Input::Wake);
                }
            }
        }
    }

    /// Gives every live node something to propose, so that rounds go on at full pace.
    pub(super) fn load(&mut self, number: u8) {
        for own in 0..u16::try_from(self.nodes.len()).unwrap() {
            let bytes = vec![number, u8::try_from(own).unwrap()];
            self.input(own, Input::Submit(vec![Item::Transaction(bytes.into())]));
        }
    }

    /// Lets `span` pass under load.
    pub(super) fn run_loaded(&mut self, span: Span) {
        let end = self.now.after(span);
        while self.now < end {
            self.load(7);
            self.run(Span::from_millis(20));
        }
    }

    /// Nobody ever sent two vertices of a round, and of all orders each is the beginning of another.
    pub(super) fn check(&self) {
        for (place, vertices) in &self.vertices {
            assert_eq!(vertices.len(), 1, "{place:?} was signed twice");
        }
        let stored = |node: &Node, index| tables::commit(&node.store, index).unwrap();
        let longest = self.nodes.iter().map(|node| {
            let last = tables::last_commit(&node.store).unwrap();
            last.map_or(0, |last| last.index.value())
        });
        for index in (1..=longest.max().unwrap()).map(CommitIndex::new) {
            let known: BTreeSet<_> = self
                .nodes
                .iter()
                .filter_map(|node| stored(node, index))
                .map(|c| c.digest())
                .collect();
            assert_eq!(known.len(), 1, "commit {index} differs");
        }
    }
}
