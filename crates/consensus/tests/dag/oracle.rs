//! What must be committed, said by the letter of the rule: everything is computed anew from the set
//! of vertices, by recursion from above, as slowly as that is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::vec::Vec;

use consensus::ForcedLeaders;
use consensus::Parameters;
use types::Author;
use types::Quorums;
use types::Round;
use types::Verified;
use types::Vertex;
use types::VertexRef;

/// A decided slot, or one that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Commit(VertexRef),
    Skip,
    Open,
}

/// A set of vertices that holds everything it refers to.
pub(crate) struct Oracle<'a> {
    quorums: Quorums,
    parameters: Parameters,
    forced: &'a ForcedLeaders,
    vertices: BTreeMap<VertexRef, Verified<Vertex>>,
    verdicts: RefCell<BTreeMap<(u64, usize), Verdict>>,
    supports: RefCell<BTreeMap<(VertexRef, Author, u64), Option<VertexRef>>>,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(
        quorums: Quorums,
        parameters: Parameters,
        forced: &'a ForcedLeaders,
        vertices: &[Verified<Vertex>],
    ) -> Self {
        let vertices = vertices.iter().map(|vertex| (vertex.reference(), vertex.clone())).collect();
        let (verdicts, supports) = (RefCell::default(), RefCell::default());
        Self { quorums, parameters, forced, vertices, verdicts, supports }
    }

    /// Each commit as its leader and what it orders.
    pub(crate) fn commits(&self) -> Vec<(VertexRef, Vec<VertexRef>)> {
        let mut commits = Vec::new();
        let mut put_out: BTreeSet<(Round, Author)> = BTreeSet::new();
        for round in 1.. {
            for slot in 0..usize::from(self.parameters.leaders_per_round) {
                let leader = match self.verdict(round, slot) {
                    Verdict::Open => return commits,
                    Verdict::Skip => continue,
                    Verdict::Commit(leader) => leader,
                };
                let line = round.saturating_sub(self.parameters.gc_depth);
                let mut ordered = Vec::new();
                for reference in self.history(leader) {
                    let place = (reference.round, reference.author);
                    if reference.round.value() > line && put_out.insert(place) {
                        ordered.push(reference);
                    }
                }
                commits.push((leader, ordered));
            }
        }
        commits
    }

    fn at(&self, round: u64) -> impl Iterator<Item = &Verified<Vertex>> {
        self.vertices.values().filter(move |vertex| vertex.round().value() == round)
    }

    fn leader_authors(&self, round: u64) -> Option<Vec<Author>> {
        let deciders = self.at(round + self.parameters.wave - 1).map(|vertex| vertex.author());
        let deciders: BTreeSet<Author> = deciders.collect();
        (deciders.len() >= self.quorums.coin_threshold()).then(|| {
            self.forced.of(Round::new(round), self.quorums, self.parameters.leaders_per_round)
        })
    }

    fn support(&self, vertex: &VertexRef, author: Author, round: u64) -> Option<VertexRef> {
        let key = (*vertex, author, round);
        if let Some(known) = self.supports.borrow().get(&key) {
            return *known;
        }
        let parents = &self.vertices[vertex].header().parents;
        let support = if vertex.round.value() == round + 1 {
            parents.iter().find(|parent| parent.author == author).copied()
        } else {
            parents.iter().filter_map(|parent| self.support(parent, author, round)).min()
        };
        self.supports.borrow_mut().insert(key, support);
        support
    }

    fn certifies(&self, vertex: &Vertex, leader: &VertexRef) -> bool {
        let votes = vertex.header().parents.iter().filter(|parent| {
            self.support(parent, leader.author, leader.round.value()) == Some(*leader)
        });
        votes.count() >= self.quorums.quorum()
    }

    fn verdict(&self, round: u64, slot: usize) -> Verdict {
        if let Some(known) = self.verdicts.borrow().get(&(round, slot)) {
            return *known;
        }
        let verdict = self.judge(round, slot);
        self.verdicts.borrow_mut().insert((round, slot), verdict);
        verdict
    }

    fn judge(&self, round: u64, slot: usize) -> Verdict {
        let Some(leaders) = self.leader_authors(round) else { return Verdict::Open };
        let author = leaders[slot];
        let (vote, decision) = (round + self.parameters.wave - 2, round + self.parameters.wave - 1);
        let candidates: Vec<VertexRef> =
            self.at(round).filter(|v| v.author() == author).map(|v| v.reference()).collect();
        let quorum = self.quorums.quorum();
        for leader in &candidates {
            let certifiers = self.at(decision).filter(|vertex| self.certifies(vertex, leader));
            if certifiers.map(|v| v.author()).collect::<BTreeSet<_>>().len() >= quorum {
                return Verdict::Commit(*leader);
            }
        }
        let blamers =
            self.at(vote).filter(|v| self.support(&v.reference(), author, round).is_none());
        if blamers.map(|v| v.author()).collect::<BTreeSet<_>>().len() >= quorum {
            return Verdict::Skip;
        }
        let highest = self.vertices.last_key_value().map_or(0, |(last, _)| last.round.value());
        for above in round + self.parameters.wave..=highest {
            for slot in 0..usize::from(self.parameters.leaders_per_round) {
                match self.verdict(above, slot) {
                    Verdict::Skip => {}
                    Verdict::Open => return Verdict::Open,
                    Verdict::Commit(anchor) => {
                        let cone = self.cone(anchor);
                        let certified = |leader: &&VertexRef| {
                            self.at(decision).any(|vertex| {
                                cone.contains(&vertex.reference()) && self.certifies(vertex, leader)
                            })
                        };
                        let leader = candidates.iter().find(certified);
                        return leader.map_or(Verdict::Skip, |leader| Verdict::Commit(*leader));
                    }
                }
            }
        }
        Verdict::Open
    }

    fn cone(&self, from: VertexRef) -> BTreeSet<VertexRef> {
        self.reach(from, false)
    }

    fn history(&self, from: VertexRef) -> BTreeSet<VertexRef> {
        self.reach(from, true)
    }

    fn reach(&self, from: VertexRef, with_late: bool) -> BTreeSet<VertexRef> {
        let mut reached = BTreeSet::new();
        let mut walk = Vec::from([from]);
        while let Some(reference) = walk.pop() {
            if let Some(vertex) = self.vertices.get(&reference)
                && reached.insert(reference)
            {
                walk.extend(&vertex.header().parents);
                walk.extend(vertex.header().late.iter().filter(|_| with_late));
            }
        }
        reached
    }
}
