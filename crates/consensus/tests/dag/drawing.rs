//! A small language for drawn DAGs.
//!
//! A statement draws vertices: `vertices -> [parents] ~ [late]`. Statements end with the line or a
//! semicolon; `~ [late]` may be left out.
//!
//! - `A3` is validator 0 at round 3, `B3` validator 1; `ABC3` draws three vertices, `*3` everybody's,
//!   `*1..4` everybody's in rounds 1 to 4. `D2'` is a twin of `D2`, `D2''` another one.
//! - `A3!` carries payload; `A3@500` claims the time 500.
//! - Parents: `[*]` is all of the round before, for each author the vertex drawn first; `[-D2]` all
//!   but `D2`; `[*, D2']` all with `D2'` in place of `D2`; `[A2, B2, C2]` exactly these.
//!
//! Leaders are given as `1:A 2:BC`: A leads round 1, B and C the two slots of round 2.

use std::collections::BTreeMap;
use std::string::String;
use std::sync::Arc;
use std::sync::LazyLock;
use std::vec::Vec;

use consensus::Consensus;
use consensus::ForcedLeaders;
use consensus::Leaders;
use consensus::Output;
use consensus::Parameters;
use types::Author;
use types::Committee;
use types::Encode as _;
use types::Header;
use types::Item;
use types::Payload;
use types::Round;
use types::Signature;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::test_utils::TestNetwork;

static FOUR: LazyLock<TestNetwork> = LazyLock::new(|| TestNetwork::new(4));
static FIVE: LazyLock<TestNetwork> = LazyLock::new(|| TestNetwork::new(5));
static SEVEN: LazyLock<TestNetwork> = LazyLock::new(|| TestNetwork::new(7));

/// A network of 4, 5 or 7, made once.
pub(crate) fn network(validators: usize) -> &'static TestNetwork {
    match validators {
        4 => &FOUR,
        5 => &FIVE,
        7 => &SEVEN,
        other => panic!("no network of {other}"),
    }
}

/// Parameters for tables: one slot a round, garbage far away.
pub(crate) const fn wave(wave: u64) -> Parameters {
    Parameters { wave, leaders_per_round: 1, gc_depth: 100, leaders: Leaders::Coin }
}

/// What a vertex is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    pub(crate) author: u16,
    pub(crate) round: u64,
    pub(crate) parents: Vec<VertexRef>,
    pub(crate) late: Vec<VertexRef>,
    pub(crate) timestamp: u64,
    pub(crate) filled: bool,
}

impl Sketch {
    /// Makes the vertex, without a signature and without a share: leaders are forced.
    pub(crate) fn vertex(self, committee: &Committee) -> Verified<Vertex> {
        let items = self.filled.then(|| Item::DevelopmentTicks(1));
        let payload = Payload::new(items.into_iter().collect()).unwrap();
        let encoded = payload.to_bytes();
        let header = Header {
            chain: *committee.chain(),
            epoch: committee.epoch(),
            author: Author::new(self.author),
            round: Round::new(self.round),
            parents: self.parents,
            late: self.late,
            coin_share: None,
            payload_root: Payload::root(&encoded),
            payload_length: u32::try_from(encoded.len()).unwrap(),
            timestamp: TimestampMs::new(self.timestamp),
        };
        Verified::new_for_test(Vertex::new(header, payload, Signature::new([0; 64])))
    }
}

/// A drawn DAG.
#[derive(Debug)]
pub(crate) struct Drawing {
    pub(crate) committee: Arc<Committee>,
    /// In the order in which they were drawn.
    pub(crate) vertices: Vec<Verified<Vertex>>,
    names: BTreeMap<String, VertexRef>,
}

impl Drawing {
    pub(crate) fn new(validators: usize, text: &str) -> Self {
        let committee = Arc::clone(&network(validators).committee);
        let mut drawing = Self { committee, vertices: Vec::new(), names: BTreeMap::new() };
        for author in drawing.committee.authors() {
            let committee = &drawing.committee;
            let first = VertexRef::genesis(committee.chain(), committee.epoch(), author);
            drawing.names.insert(name_of(author.value(), 0, 0), first);
        }
        drawing.add(text);
        drawing
    }

    /// Draws more.
    pub(crate) fn add(&mut self, text: &str) {
        for statement in text.split(['\n', ';']).map(str::trim).filter(|text| !text.is_empty()) {
            self.statement(statement);
        }
    }

    pub(crate) fn reference(&self, name: &str) -> VertexRef {
        *self.names.get(name).unwrap_or_else(|| panic!("{name} is not drawn"))
    }

    pub(crate) fn vertex(&self, name: &str) -> Verified<Vertex> {
        let reference = self.reference(name);
        let found = self.vertices.iter().find(|vertex| vertex.reference() == reference);
        found.unwrap().clone()
    }

    pub(crate) fn name(&self, reference: &VertexRef) -> &str {
        let named = self.names.iter().find(|(_, named)| *named == reference);
        named.map_or("?", |(name, _)| name)
    }

    pub(crate) fn names(&self, references: &[VertexRef]) -> String {
        references.iter().map(|reference| self.name(reference)).collect::<Vec<_>>().join(" ")
    }

    fn statement(&mut self, statement: &str) {
        let (subjects, edges) = statement.split_once("->").unwrap();
        let (parents, late) = edges.split_once('~').unwrap_or((edges, "[]"));
        let subjects = subjects.trim();
        let digit = subjects.find(|letter: char| letter.is_ascii_digit()).unwrap();
        let (authors, rest) = subjects.split_at(digit);
        let end = rest.find(['\'', '!', '@']).unwrap_or(rest.len());
        let (rounds, marks) = rest.split_at(end);
        let (first, last) = rounds.split_once("..").unwrap_or((rounds, rounds));
        let timestamp = marks.split_once('@').map(|(_, time)| time.parse().unwrap());
        for round in first.parse().unwrap()..=last.parse::<u64>().unwrap() {
            for author in self.authors(authors) {
                let twin = marks.matches('\'').count();
                let default = round * 1000 + u64::from(author) * 10 + u64::try_from(twin).unwrap();
                let sketch = Sketch {
                    author,
                    round,
                    parents: self.parents(round - 1, list(parents)),
                    late: sorted(list(late).map(|name| self.reference(name)).collect()),
                    timestamp: timestamp.unwrap_or(default),
                    filled: marks.contains('!'),
                };
                let vertex = sketch.vertex(&self.committee);
                let name = name_of(author, round, twin);
                let before = self.names.insert(name, vertex.reference());
                assert_eq!(before, None, "drawn twice: {statement}");
                self.vertices.push(vertex);
            }
        }
    }

    fn authors(&self, letters: &str) -> Vec<u16> {
        if letters == "*" {
            return self.committee.authors().map(Author::value).collect();
        }
        letters.bytes().map(|letter| u16::from(letter - b'A')).collect()
    }

    fn parents<'a>(&self, round: u64, names: impl Iterator<Item = &'a str>) -> Vec<VertexRef> {
        let names: Vec<&str> = names.collect();
        let whole = names.iter().any(|name| *name == "*" || name.starts_with('-'));
        let mut parents: BTreeMap<u16, VertexRef> = BTreeMap::new();
        for author in self.committee.authors().filter(|_| whole) {
            if let Some(first) = self.names.get(&name_of(author.value(), round, 0)) {
                parents.insert(author.value(), *first);
            }
        }
        for name in names.into_iter().filter(|name| *name != "*") {
            if let Some(without) = name.strip_prefix('-') {
                let removed = parents.remove(&self.reference(without).author.value());
                assert!(removed.is_some(), "{without} is no parent anyway");
            } else {
                let parent = self.reference(name);
                parents.insert(parent.author.value(), parent);
            }
        }
        let quorum = self.committee.quorums().quorum();
        assert!(parents.len() >= quorum, "{} parents at round {round}", parents.len());
        parents.into_values().collect()
    }
}

fn name_of(author: u16, round: u64, twin: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(author).unwrap());
    format!("{letter}{round}{}", "'".repeat(twin))
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner
        .unwrap_or_else(|| panic!("no list: {text}"))
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn sorted(mut references: Vec<VertexRef>) -> Vec<VertexRef> {
    references.sort_by_key(|reference| reference.author);
    references
}

/// Reads `1:A 2:BC`.
pub(crate) fn leaders(text: &str) -> ForcedLeaders {
    let mut forced = ForcedLeaders::default();
    for entry in text.split_whitespace() {
        let (round, letters) = entry.split_once(':').unwrap();
        let authors = letters.bytes().map(|letter| Author::new(u16::from(letter - b'A'))).collect();
        forced.named.insert(Round::new(round.parse().unwrap()), authors);
    }
    forced
}

/// A machine whose outputs are kept, by the names of a drawing.
#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) machine: Consensus,
    pub(crate) outputs: Vec<Output>,
}

impl Player {
    pub(crate) fn new(drawing: &Drawing, parameters: Parameters, forced: ForcedLeaders) -> Self {
        Self::of(drawing, None, parameters, forced)
    }

    pub(crate) fn of(
        drawing: &Drawing,
        own: Option<u16>,
        parameters: Parameters,
        forced: ForcedLeaders,
    ) -> Self {
        let own = own.map(Author::new);
        let machine = Consensus::new(Arc::clone(&drawing.committee), own, parameters);
        Self { machine: machine.with_forced_leaders(forced), outputs: Vec::new() }
    }

    pub(crate) fn insert(&mut self, vertex: &Verified<Vertex>) {
        self.machine.insert(vertex.clone());
        self.drain();
    }

    pub(crate) fn insert_all(&mut self, drawing: &Drawing) -> &mut Self {
        for vertex in &drawing.vertices {
            self.insert(vertex);
        }
        self
    }

    pub(crate) fn reveal(&mut self, round: u64) {
        self.machine.reveal_forced(Round::new(round));
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            self.outputs.push(output);
        }
    }

    /// The commits so far: `leader: vertices`.
    pub(crate) fn commits(&self, drawing: &Drawing) -> Vec<String> {
        let commits = self.outputs.iter().filter_map(|output| match output {
            Output::Commit(ordered) => Some(&ordered.commit),
            _ => None,
        });
        commits
            .map(|commit| {
                let leader = drawing.name(&commit.leader);
                format!("{leader}: {}", drawing.names(&commit.vertices))
            })
            .collect()
    }

    /// The names of the committed leaders so far.
    pub(crate) fn committed(&self, drawing: &Drawing) -> String {
        let commits = self.commits(drawing);
        let leaders = commits.iter().filter_map(|commit| commit.split(':').next());
        leaders.collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn decided(&self) -> u64 {
        self.machine.decided_round().value()
    }
}

/// Plays a whole drawing.
pub(crate) fn play(drawing: &Drawing, parameters: Parameters, forced: ForcedLeaders) -> Player {
    let mut player = Player::new(drawing, parameters, forced);
    player.insert_all(drawing);
    player
}

#[test]
fn the_language_draws_what_it_says() {
    let drawing = Drawing::new(4, "*1 -> [*]; D1' -> [*]; ABC2! -> [-A1, D1']");
    let vertex = drawing.vertex("B2");
    assert_eq!(drawing.names(&vertex.header().parents), "B1 C1 D1'");
    assert!(!vertex.payload().is_empty());
    assert!(drawing.vertex("A1").payload().is_empty());
    assert_eq!(drawing.vertices.len(), 8);
    let late = Drawing::new(4, "*1 -> [*]; ABC2..3 -> [*]; D4@77 -> [*] ~ [D1]");
    assert_eq!(late.names(&late.vertex("D4").header().late), "D1");
    assert_eq!(late.vertex("D4").header().timestamp, TimestampMs::new(77));
    assert_eq!(late.names(&late.vertex("D4").header().parents), "A3 B3 C3");
}
