//! Every vertex that was signed in a run, byte for byte, and that nothing else is ever ordered.

use std::collections::BTreeMap;

use consensus::Ordered;
use types::Author;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use super::Verdict;
use super::ensure;

/// Every vertex that was signed, by whomever.
#[derive(Debug)]
pub(crate) struct Made {
    vertices: BTreeMap<VertexRef, Verified<Vertex>>,
    faulty: Vec<bool>,
}

impl Made {
    /// `faulty` says who may break the rule, by author.
    pub(crate) const fn new(faulty: Vec<bool>) -> Self {
        Self { vertices: BTreeMap::new(), faulty }
    }

    /// Somebody signed a vertex with its own key.
    pub(crate) fn signed(&mut self, vertex: &Verified<Vertex>) {
        self.vertices.insert(vertex.reference(), vertex.clone());
    }

    pub(crate) fn has(&self, vertex: &VertexRef) -> bool {
        self.vertices.contains_key(vertex)
    }

    pub(crate) fn get(&self, vertex: &VertexRef) -> Option<&Verified<Vertex>> {
        self.vertices.get(vertex)
    }

    pub(crate) fn is_faulty(&self, author: Author) -> bool {
        self.faulty.get(author.index()).copied().unwrap_or(true)
    }

    /// A commit orders vertices that their authors have signed, to the last byte.
    pub(crate) fn ordered(&self, ordered: &Ordered) -> Verdict {
        for vertex in &ordered.vertices {
            let reference = vertex.reference();
            let made = self.vertices.get(&reference);
            ensure(made.is_some_and(|made| made.encoded() == vertex.encoded()), || {
                let index = ordered.commit.index;
                format!("validity: commit {index} orders {reference}, which nobody made so")
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
