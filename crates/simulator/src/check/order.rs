//! All validators write and tell one order: the same commits at the same indices, without gaps, each
//! vertex once and after everything that it refers to.
//!
//! A commit counts from the moment when it is written: the power may go before it is told, and what
//! is on the disk is not told again after a restart.
//!
//! Source: `docs/consensus.md`, the properties; not the rule by which they are reached.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use consensus::Ordered;
use types::Author;
use types::Commit;
use types::CommitIndex;
use types::Digest;
use types::Round;
use types::VertexRef;

use super::Verdict;
use super::ensure;

/// The one order, as long as the longest that anybody wrote.
#[derive(Debug)]
pub(crate) struct Order {
    gc_depth: u64,
    commits: Vec<Commit>,
    ordered: BTreeMap<VertexRef, CommitIndex>,
    places: BTreeMap<(Round, Author), Digest>,
    /// What each validator did since it started.
    lives: Vec<Life>,
}

/// How far one validator came since it started.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    /// The last commit that it wrote.
    wrote: Option<CommitIndex>,
    /// The last commit that it told.
    told: Option<CommitIndex>,
}

impl Order {
    pub(crate) fn new(validators: usize, gc_depth: u64) -> Self {
        let lives = vec![Life::default(); validators];
        let (ordered, places) = (BTreeMap::new(), BTreeMap::new());
        Self { gc_depth, commits: Vec::new(), ordered, places, lives }
    }

    /// The commits so far.
    pub(crate) fn commits(&self) -> &[Commit] {
        &self.commits
    }

    /// Which commit a vertex is in.
    pub(crate) fn commit_of(&self, vertex: &VertexRef) -> Option<CommitIndex> {
        self.ordered.get(vertex).copied()
    }

    /// The digest that chains over all commits.
    pub(crate) fn digest(&self) -> Digest {
        self.commits.last().map_or(Digest::ZERO, Commit::digest)
    }

    /// A validator lost its memory: it may write and tell again what its disk lost.
    pub(crate) fn restarted(&mut self, by: Author) {
        if let Some(life) = self.lives.get_mut(by.index()) {
            *life = Life::default();
        }
    }

    /// A validator writes its next commit.
    pub(crate) fn wrote(&mut self, by: Author, ordered: &Ordered) -> Verdict {
        let commit = &ordered.commit;
        let index = commit.index;
        if let Some(life) = self.lives.get_mut(by.index()) {
            follows(by, "wrote", life.wrote, index)?;
            life.wrote = Some(index);
        }
        let named: Vec<_> = ordered.vertices.iter().map(|vertex| vertex.reference()).collect();
        ensure(named == commit.vertices, || {
            format!("validator {by}: commit {index} came with other vertices than it names")
        })?;
        match self.at(index) {
            Some(known) => ensure(known == commit, || {
                format!("agreement: validator {by} wrote {commit:?}, somebody else {known:?}")
            }),
            None => self.extend(by, ordered),
        }
    }

    /// A validator tells its next commit, which it wrote before.
    pub(crate) fn told(&mut self, by: Author, ordered: &Ordered) -> Verdict {
        let commit = &ordered.commit;
        let index = commit.index;
        if let Some(life) = self.lives.get_mut(by.index()) {
            follows(by, "told", life.told, index)?;
            life.told = Some(index);
            ensure(life.wrote >= Some(index), || {
                format!("validator {by} told {index} and wrote up to {:?}", life.wrote)
            })?;
        }
        let named = ordered.vertices.iter().map(|vertex| vertex.reference());
        ensure(named.eq(commit.vertices.iter().copied()), || {
            format!("validator {by}: commit {index} came with other vertices than it names")
        })?;
        ensure(self.at(index) == Some(commit), || {
            format!("agreement: validator {by} told {commit:?}, and wrote {:?}", self.at(index))
        })
    }

    fn at(&self, index: CommitIndex) -> Option<&Commit> {
        let place = usize::try_from(index.value()).unwrap_or(usize::MAX);
        place.checked_sub(1).and_then(|place| self.commits.get(place))
    }

    fn extend(&mut self, by: Author, ordered: &Ordered) -> Verdict {
        let commit = &ordered.commit;
        let index = commit.index;
        let previous = self.commits.last();
        let next = previous.map_or(CommitIndex::new(1), |last| last.index.next());
        ensure(index == next, || format!("no gaps: validator {by} wrote {index}, due is {next}"))?;
        ensure(commit.previous == self.digest(), || format!("commit {index} breaks the chain"))?;
        let slot = |commit: &Commit| (commit.leader.round, commit.slot);
        ensure(previous.is_none_or(|last| slot(last) < slot(commit)), || {
            format!("commit {index} has its leader at or before the one before")
        })?;
        ensure(previous.is_none_or(|last| last.timestamp <= commit.timestamp), || {
            format!("commit {index} goes back in agreed time")
        })?;
        ensure(commit.vertices.contains(&commit.leader), || {
            format!("commit {index} does not order its leader")
        })?;
        ensure(commit.vertices.is_sorted_by(|left, right| left < right), || {
            format!("commit {index} is not in its order")
        })?;
        self.check_history(ordered)?;
        self.ordered.extend(commit.vertices.iter().map(|vertex| (*vertex, index)));
        self.places.extend(commit.vertices.iter().map(|vertex| (place(vertex), vertex.digest)));
        self.commits.push(commit.clone());
        Ok(())
    }

    /// Nothing is ordered twice, no two twins are, and nothing goes before what it refers to. Of
    /// twins one stands for the other: which one is for the rule to say.
    fn check_history(&self, ordered: &Ordered) -> Verdict {
        let Ordered { commit, vertices } = ordered;
        let index = commit.index;
        let line = commit.leader.round.saturating_sub(self.gc_depth);
        let now: BTreeSet<_> = commit.vertices.iter().map(place).collect();
        ensure(now.len() == commit.vertices.len(), || format!("commit {index} orders twins"))?;
        for vertex in vertices {
            let reference = vertex.reference();
            let before = self.places.get(&place(&reference));
            ensure(before.is_none(), || {
                format!("commit {index} orders {reference} again, after {before:?}")
            })?;
            let header = vertex.header();
            for edge in header.parents.iter().chain(&header.late) {
                let is_due = edge.round > Round::ZERO && edge.round > line;
                let place = place(edge);
                let is_kept = self.places.contains_key(&place) || now.contains(&place);
                ensure(!is_due || is_kept, || {
                    format!("commit {index} orders {reference} without {edge}")
                })?;
            }
        }
        Ok(())
    }
}

/// Nothing is passed over and nothing done twice between two starts.
fn follows(by: Author, what: &str, before: Option<CommitIndex>, index: CommitIndex) -> Verdict {
    ensure(before.is_none_or(|before| before.next() == index), || {
        format!("no gaps: validator {by} {what} commit {index} after {before:?}")
    })
}

const fn place(vertex: &VertexRef) -> (Round, Author) {
    (vertex.round, vertex.author)
}

#[cfg(test)]
mod tests {
    use types::Header;
    use types::Payload;
    use types::TimestampMs;
    use types::Verified;
    use types::Vertex;
    use types::test_utils::TestNetwork;

    use super::*;

    /// A chain of three vertices of one author; each is the leader of a commit.
    fn vertices() -> Vec<Verified<Vertex>> {
        let network = TestNetwork::new(1);
        let author = Author::ZERO;
        let chain = *network.committee.chain();
        let epoch = network.committee.epoch();
        let mut parents = vec![VertexRef::genesis(&chain, epoch, author)];
        let mut vertices = Vec::new();
        for round in (1..=3).map(Round::new) {
            let payload = Payload::default();
            let encoded = types::Encode::to_bytes(&payload);
            let header = Header {
                chain,
                epoch,
                author,
                round,
                parents,
                late: Vec::new(),
                coin_share: None,
                payload_root: Payload::root(&encoded),
                payload_length: u32::try_from(encoded.len()).unwrap(),
                timestamp: TimestampMs::ZERO,
            };
            let vertex = network.sign(header, payload);
            parents = vec![vertex.reference()];
            vertices.push(vertex);
        }
        vertices
    }

    fn commit(order: &Order, vertices: &[Verified<Vertex>]) -> Ordered {
        let references: Vec<_> = vertices.iter().map(|vertex| vertex.reference()).collect();
        let next = order.commits.len() + 1;
        let commit = Commit {
            index: CommitIndex::new(u64::try_from(next).unwrap()),
            previous: order.digest(),
            leader: *references.last().unwrap(),
            slot: 0,
            vertices: references,
            timestamp: TimestampMs::ZERO,
        };
        Ordered { commit, vertices: vertices.to_vec() }
    }

    fn refused(order: &mut Order, by: u16, ordered: &Ordered, word: &str) {
        let violation = order.wrote(Author::new(by), ordered).unwrap_err();
        assert!(violation.0.contains(word), "{violation:?}");
    }

    #[test]
    fn one_order_is_taken_from_everybody_and_again_after_a_restart() {
        let vertices = vertices();
        let mut order = Order::new(2, 100);
        let first = commit(&order, &vertices[..1]);
        order.wrote(Author::new(0), &first).unwrap();
        let second = commit(&order, &vertices[1..]);
        order.wrote(Author::new(0), &second).unwrap();
        order.wrote(Author::new(1), &first).unwrap();
        order.restarted(Author::new(0));
        order.wrote(Author::new(0), &second).unwrap();
        assert_eq!(order.commit_of(&vertices[2].reference()), Some(CommitIndex::new(2)));
        assert_eq!(order.commits().len(), 2);
    }

    #[test]
    fn a_commit_that_is_written_counts_also_when_the_power_goes_before_it_is_told() {
        let vertices = vertices();
        let mut order = Order::new(1, 100);
        let first = commit(&order, &vertices[..1]);
        order.wrote(Author::ZERO, &first).unwrap();
        order.told(Author::ZERO, &first).unwrap();
        let second = commit(&order, &vertices[1..2]);
        order.wrote(Author::ZERO, &second).unwrap();
        order.restarted(Author::ZERO);
        let third = commit(&order, &vertices[2..]);
        order.wrote(Author::ZERO, &third).unwrap();
        order.told(Author::ZERO, &third).unwrap();
    }

    #[test]
    fn telling_what_is_not_written_or_what_is_another_commit_is_noticed() {
        let vertices = vertices();
        let mut order = Order::new(1, 100);
        let first = commit(&order, &vertices[..1]);
        let other = commit(&order, &vertices[..2]);
        let violation = order.told(Author::ZERO, &first).unwrap_err();
        assert!(violation.0.contains("wrote up to"), "{violation:?}");
        order.restarted(Author::ZERO);
        order.wrote(Author::ZERO, &first).unwrap();
        let violation = order.told(Author::ZERO, &other).unwrap_err();
        assert!(violation.0.contains("agreement"), "{violation:?}");
        let violation = order.told(Author::ZERO, &first).unwrap_err();
        assert!(violation.0.contains("no gaps"), "{violation:?}");
    }

    #[test]
    fn another_commit_at_a_known_index_is_noticed() {
        let vertices = vertices();
        let mut order = Order::new(2, 100);
        let other = commit(&order, &vertices[..2]);
        let first = commit(&order, &vertices[..1]);
        order.wrote(Author::new(0), &first).unwrap();
        refused(&mut order, 1, &other, "agreement");
    }

    #[test]
    fn gaps_and_repetitions_of_one_validator_are_noticed() {
        let vertices = vertices();
        let mut order = Order::new(2, 100);
        let first = commit(&order, &vertices[..1]);
        order.wrote(Author::new(0), &first).unwrap();
        refused(&mut order, 0, &first, "no gaps");
        let mut far = commit(&order, &vertices[1..]);
        far.commit.index = CommitIndex::new(3);
        refused(&mut order, 1, &far, "no gaps");
    }

    #[test]
    fn a_broken_chain_an_older_leader_and_a_leader_that_is_not_ordered_are_noticed() {
        let vertices = vertices();
        let mut order = Order::new(4, 100);
        let mut bad = commit(&order, &vertices[..1]);
        bad.commit.previous = Digest::new([1; 32]);
        refused(&mut order, 0, &bad, "chain");
        let mut bad = commit(&order, &vertices[..1]);
        bad.commit.leader = vertices[2].reference();
        refused(&mut order, 1, &bad, "its leader");
        let two = commit(&order, &vertices[..2]);
        order.wrote(Author::new(2), &two).unwrap();
        let mut bad = commit(&order, &vertices[2..]);
        bad.commit.leader = vertices[0].reference();
        refused(&mut order, 2, &bad, "at or before");
    }

    #[test]
    fn a_vertex_twice_one_without_its_history_and_others_than_named_are_noticed() {
        let vertices = vertices();
        let mut order = Order::new(4, 100);
        let orphan = commit(&order, &vertices[1..2]);
        refused(&mut order, 0, &orphan, "without");
        let first = commit(&order, &vertices[..1]);
        order.wrote(Author::new(1), &first).unwrap();
        let again = commit(&order, &vertices[..2]);
        refused(&mut order, 1, &again, "again");
        let mut other = commit(&order, &vertices[1..]);
        other.vertices.pop();
        refused(&mut order, 2, &other, "other vertices");
        let mut unsorted = commit(&order, &vertices[1..]);
        unsorted.commit.vertices.reverse();
        unsorted.vertices.reverse();
        refused(&mut order, 3, &unsorted, "not in its order");
    }
}
