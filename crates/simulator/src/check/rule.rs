//! The order anew, from nothing but the vertices and the coins: the rule of `docs/consensus.md` read
//! by the letter and followed as slowly as that is. Shares no code with what it judges, the draw of
//! the leaders included.
//!
//! The vertices are all that any honest validator held, the coins all that any of them knew. Whoever
//! knows less decides less, and nothing else: what everybody told must be the beginning of what comes
//! out here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use types::Author;
use types::Commit;
use types::Digest;
use types::Epoch;
use types::Hasher;
use types::Quorums;
use types::Round;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::coin::CoinSignature;

use super::Verdict;
use super::ensure;

/// The parameters of the rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    pub(crate) quorums: Quorums,
    /// w.
    pub(crate) wave: u64,
    /// l.
    pub(crate) slots: u16,
    /// G.
    pub(crate) gc_depth: u64,
}

/// Everything that is known in the end.
#[derive(Debug)]
pub(crate) struct Rule<'a> {
    parameters: Parameters,
    vertices: &'a BTreeMap<VertexRef, Verified<Vertex>>,
    leaders: &'a BTreeMap<Round, Vec<Author>>,
    supports: BTreeMap<(VertexRef, Author, Round), Option<VertexRef>>,
    decided: BTreeMap<(Round, u16), Slot>,
}

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Commit(VertexRef),
    Skip,
    Undecided,
}

/// What the rule orders: each leader with its slot and everything that its commit orders.
type Commits = Vec<(VertexRef, u16, Vec<VertexRef>)>;

/// Holds what everybody told against the rule.
pub(crate) fn check(
    parameters: Parameters,
    vertices: &BTreeMap<VertexRef, Verified<Vertex>>,
    leaders: &BTreeMap<Round, Vec<Author>>,
    told: &[Commit],
) -> Verdict {
    let (supports, decided) = (BTreeMap::new(), BTreeMap::new());
    let mut rule = Rule { parameters, vertices, leaders, supports, decided };
    let due = rule.commits()?;
    for (place, commit) in told.iter().enumerate() {
        let index = commit.index;
        let Some((leader, slot, ordered)) = due.get(place) else {
            return ensure(false, || format!("the rule: commit {index} does not follow from it"));
        };
        ensure(*leader == commit.leader && *slot == commit.slot, || {
            let (told, at) = (commit.leader, commit.slot);
            format!("the rule: commit {index} is {leader} at slot {slot}, told was {told} at {at}")
        })?;
        ensure(*ordered == commit.vertices, || {
            format!("the rule: commit {index} orders other vertices than was told")
        })?;
    }
    Ok(())
}

/// The seed that a coin makes.
pub(crate) fn seed(epoch: Epoch, round: Round, coin: &CoinSignature) -> Digest {
    let hasher = Hasher::new("meanwhile/types/coin-seed/v1");
    hasher.value(&epoch).value(&round).value(coin).finish()
}

/// The leaders that a seed names, by the text of the rule: a permutation by numbers that the seed is
/// stretched to.
pub(crate) fn leaders(seed: &Digest, validators: u16, slots: u16) -> Vec<Author> {
    let numbers = (0_u64..).flat_map(|block| {
        let block = Hasher::new("meanwhile/consensus/leader-stream/v1").value(seed).value(&block);
        let block = *block.finish().as_bytes();
        (0..8).map(move |place| {
            let at = 4 * place;
            u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
        })
    });
    let mut numbers = numbers.map(u64::from);
    let mut authors: Vec<Author> = (0..validators).map(Author::new).collect();
    let mut named = Vec::new();
    for _ in 0..slots {
        let left = u64::try_from(authors.len() - named.len()).unwrap_or(1);
        let limit = (1 << 32) - (1 << 32) % left;
        let drawn = numbers.find(|number| *number < limit).map_or(0, |number| number % left);
        let place = named.len();
        authors.swap(place, place + usize::try_from(drawn).unwrap_or(0));
        named.push(authors[place]);
    }
    named
}

impl Rule<'_> {
    fn commits(&mut self) -> Result<Commits, super::Violation> {
        let mut commits = Vec::new();
        let mut output: BTreeSet<(Round, Author)> = BTreeSet::new();
        let mut round = Round::new(1);
        loop {
            for slot in 0..self.parameters.slots {
                let leader = match self.slot(round, slot)? {
                    Slot::Undecided => return Ok(commits),
                    Slot::Skip => continue,
                    Slot::Commit(leader) => leader,
                };
                let line = round.saturating_sub(self.parameters.gc_depth);
                let history = self.reach(leader, line, true);
                let mut ordered = Vec::new();
                for reference in history {
                    if output.insert((reference.round, reference.author)) {
                        ordered.push(reference);
                    }
                }
                commits.push((leader, slot, ordered));
            }
            round = round.next();
        }
    }

    fn slot(&mut self, round: Round, slot: u16) -> Result<Slot, super::Violation> {
        if let Some(known) = self.decided.get(&(round, slot)) {
            return Ok(*known);
        }
        // From above downwards, so that the recursion of an indirect decision stays flat.
        let highest = self.vertices.last_key_value().map_or(round, |(last, _)| last.round);
        let mut at = highest.max(round);
        while at >= round && at > Round::ZERO {
            for slot in (0..self.parameters.slots).rev() {
                if !self.decided.contains_key(&(at, slot)) {
                    let decided = self.decide(at, slot)?;
                    self.decided.insert((at, slot), decided);
                }
            }
            at = at.saturating_sub(1);
        }
        Ok(self.decided.get(&(round, slot)).copied().unwrap_or(Slot::Undecided))
    }

    fn decide(&mut self, round: Round, slot: u16) -> Result<Slot, super::Violation> {
        let leader = self.leaders.get(&round).and_then(|named| named.get(usize::from(slot)));
        let Some(author) = leader.copied() else { return Ok(Slot::Undecided) };
        let vote_round = round.saturating_add(self.parameters.wave - 2);
        let quorum = self.parameters.quorums.quorum();
        let candidates: Vec<VertexRef> = self.at(round).filter(|v| v.author == author).collect();
        let mut certificates: BTreeMap<VertexRef, Vec<VertexRef>> = BTreeMap::new();
        for vertex in self.at(vote_round.next()).collect::<Vec<_>>() {
            for leader in &candidates {
                if self.certifies(&vertex, leader, vote_round) {
                    certificates.entry(*leader).or_default().push(vertex);
                }
            }
        }
        ensure(certificates.len() < 2, || {
            format!("the rule: two twins at round {round} are certified")
        })?;
        let certified = certificates.into_iter().next();
        if let Some((leader, certifiers)) = &certified {
            let authors: BTreeSet<Author> = certifiers.iter().map(|v| v.author).collect();
            if authors.len() >= quorum {
                return Ok(Slot::Commit(*leader));
            }
        }
        let voters: Vec<VertexRef> = self.at(vote_round).collect();
        let mut blaming = BTreeSet::new();
        for voter in voters {
            if self.support(voter, author, round).is_none() {
                blaming.insert(voter.author);
            }
        }
        if blaming.len() >= quorum {
            return Ok(Slot::Skip);
        }
        let anchor = self.anchor(vote_round.saturating_add(2));
        let Some(anchor) = anchor else { return Ok(Slot::Undecided) };
        let cone = self.reach(anchor, vote_round, false);
        Ok(match certified {
            Some((leader, certifiers)) if certifiers.iter().any(|c| cone.contains(c)) => {
                Slot::Commit(leader)
            }
            _ => Slot::Skip,
        })
    }

    /// The first slot from a round on that is not skipped, if it is committed.
    fn anchor(&self, from: Round) -> Option<VertexRef> {
        let mut round = from;
        loop {
            for slot in 0..self.parameters.slots {
                match self.decided.get(&(round, slot))? {
                    Slot::Skip => {}
                    Slot::Undecided => return None,
                    Slot::Commit(anchor) => return Some(*anchor),
                }
            }
            round = round.next();
        }
    }

    fn at(&self, round: Round) -> impl Iterator<Item = VertexRef> {
        let first = VertexRef { round, author: Author::ZERO, digest: Digest::ZERO };
        let next = VertexRef { round: round.next(), ..first };
        self.vertices.range(first..next).map(|(reference, _)| *reference)
    }

    /// The one vertex of an author and round that a vertex supports, or none.
    fn support(&mut self, vertex: VertexRef, author: Author, round: Round) -> Option<VertexRef> {
        if let Some(known) = self.supports.get(&(vertex, author, round)) {
            return *known;
        }
        let parents = self.vertices.get(&vertex)?.header().parents.clone();
        let support = if vertex.round == round.next() {
            parents.into_iter().find(|parent| parent.author == author)
        } else {
            parents.into_iter().filter_map(|parent| self.support(parent, author, round)).min()
        };
        self.supports.insert((vertex, author, round), support);
        support
    }

    fn certifies(&mut self, vertex: &VertexRef, leader: &VertexRef, vote_round: Round) -> bool {
        let Some(vertex) = self.vertices.get(vertex) else { return false };
        let voters = vertex.header().parents.clone();
        let voters = voters.into_iter().filter(|voter| voter.round == vote_round);
        let votes: BTreeSet<Author> = voters
            .filter(|voter| self.support(*voter, leader.author, leader.round) == Some(*leader))
            .map(|voter| voter.author)
            .collect();
        votes.len() >= self.parameters.quorums.quorum()
    }

    /// Everything above a line that parents lead to, and late edges too when the history is asked
    /// for; ascending.
    fn reach(&self, from: VertexRef, line: Round, with_late: bool) -> BTreeSet<VertexRef> {
        let mut reached = BTreeSet::new();
        let mut walk = vec![from];
        while let Some(reference) = walk.pop() {
            if reference.round <= line || reached.contains(&reference) {
                continue;
            }
            let Some(vertex) = self.vertices.get(&reference) else { continue };
            reached.insert(reference);
            walk.extend(&vertex.header().parents);
            if with_late {
                walk.extend(&vertex.header().late);
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests;
