//! What a validator holds stays within the named bounds, whatever the others do.

use types::Author;
use types::Round;

use super::Verdict;
use super::ensure;

/// What one validator holds at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// The garbage line.
    pub(crate) line: Round,
    /// The highest round with vertices of a quorum.
    pub(crate) highest: Round,
    /// The round of the last leader that was committed.
    pub(crate) committed: Round,
    /// Vertices in the DAG.
    pub(crate) vertices: usize,
    /// Bytes of them.
    pub(crate) bytes: usize,
    /// The most vertices of one author that is honest at one round.
    pub(crate) honest_twins: usize,
    /// Vertices that are being fetched.
    pub(crate) fetching: usize,
    /// Vertices that wait for others.
    pub(crate) suspended: usize,
}

/// The bounds, and the most that anybody held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) validators: usize,
    pub(crate) gc_depth: u64,
    /// How many vertices a validator may want at a time because of one author.
    pub(crate) fetching_per_author: usize,
    /// How many vertices of one author may wait for others.
    pub(crate) suspended_per_author: usize,
    pub(crate) peak: Holding,
}

impl Bounds {
    pub(crate) fn new(validators: usize, gc_depth: u64) -> Self {
        Self {
            validators,
            gc_depth,
            fetching_per_author: replica::ordering::FETCH_WANTED_PER_AUTHOR_MAX,
            suspended_per_author: consensus::SUSPENDED_PER_AUTHOR_MAX,
            peak: Holding::default(),
        }
    }

    /// Looks at what an honest validator holds.
    pub(crate) fn look(&mut self, by: Author, holding: &Holding) -> Verdict {
        let peak = &mut self.peak;
        peak.vertices = peak.vertices.max(holding.vertices);
        peak.bytes = peak.bytes.max(holding.bytes);
        peak.fetching = peak.fetching.max(holding.fetching);
        let line = holding.committed.saturating_sub(self.gc_depth);
        ensure(holding.line == line, || {
            let actual = holding.line;
            format!("bounds: validator {by} draws its line at {actual}, due is {line}")
        })?;
        ensure(holding.honest_twins < 2, || {
            format!("bounds: validator {by} holds two vertices of an honest one at a round")
        })?;
        let suspended = self.suspended_per_author * self.validators;
        ensure(holding.suspended <= suspended, || {
            format!(
                "bounds: {} vertices wait at validator {by}, bound {suspended}",
                holding.suspended
            )
        })?;
        let fetching = self.fetching_per_author * self.validators;
        ensure(holding.fetching <= fetching, || {
            format!("bounds: validator {by} wants {}, bound {fetching}", holding.fetching)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_that_is_exceeded_is_noticed() {
        let fine = Holding { vertices: 9, bytes: 99, ..Holding::default() };
        let committed = Holding { committed: Round::new(70), line: Round::new(50), ..fine };
        let mut bounds = Bounds::new(4, 20);
        let (fetching, suspended) =
            (4 * bounds.fetching_per_author, 4 * bounds.suspended_per_author);
        let full = Holding { fetching, suspended, ..fine };
        bounds.look(Author::ZERO, &fine).unwrap();
        bounds.look(Author::ZERO, &committed).unwrap();
        bounds.look(Author::ZERO, &full).unwrap();
        assert_eq!((bounds.peak.vertices, bounds.peak.bytes), (9, 99));
        for (holding, word) in [
            (Holding { line: Round::new(49), ..committed }, "due is"),
            (Holding { honest_twins: 2, ..fine }, "two vertices"),
            (Holding { fetching: fetching + 1, ..fine }, "wants"),
            (Holding { suspended: suspended + 1, ..fine }, "wait at"),
        ] {
            let violation = bounds.look(Author::ZERO, &holding).unwrap_err();
            assert!(violation.0.contains(word), "{violation:?}");
        }
    }
}
