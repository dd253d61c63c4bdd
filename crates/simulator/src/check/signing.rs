//! No honest validator ever sends two vertices of one round, restarts included.

use std::collections::BTreeMap;

use types::Author;
use types::Digest;
use types::Round;
use types::VertexRef;

use super::Verdict;
use super::ensure;

/// Every vertex that was ever sent.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    sent: BTreeMap<(Round, Author), Digest>,
}

impl Signing {
    /// A vertex left its author, or came from somebody else.
    pub(crate) fn sent(&mut self, vertex: &VertexRef) -> Verdict {
        let first = *self.sent.entry((vertex.round, vertex.author)).or_insert(vertex.digest);
        ensure(first == vertex.digest, || {
            let VertexRef { round, author, digest } = vertex;
            format!(
                "no equivocation: validator {author} sent {first:?} and {digest:?} for round {round}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_vertex_of_one_round_is_noticed_and_the_same_one_again_is_not() {
        let vertex = |round, digest: u8| VertexRef {
            round: Round::new(round),
            author: Author::new(2),
            digest: Digest::new([digest; 32]),
        };
        let mut signing = Signing::default();
        signing.sent(&vertex(1, 1)).unwrap();
        signing.sent(&vertex(2, 2)).unwrap();
        signing.sent(&vertex(1, 1)).unwrap();
        let violation = signing.sent(&vertex(1, 3)).unwrap_err();
        assert!(violation.0.contains("validator 2"), "{violation:?}");
    }
}
