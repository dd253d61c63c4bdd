//! The DAG of a run, to look at.

use std::collections::BTreeMap;
use std::fmt;

use types::Author;
use types::CommitIndex;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use crate::check::Order;

/// Every vertex that was sent. Shown as text, a line a vertex: parents, older edges behind a minus,
/// then how many items it carries and which commit orders it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dag {
    vertices: Vec<Drawn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Drawn {
    vertex: Verified<Vertex>,
    commit: Option<CommitIndex>,
    is_leader: bool,
}

impl Dag {
    pub(crate) fn new(sent: &BTreeMap<VertexRef, Verified<Vertex>>, order: &Order) -> Self {
        let leaders: std::collections::BTreeSet<_> =
            order.commits().iter().map(|commit| commit.leader).collect();
        let drawn = |(reference, vertex): (&VertexRef, &Verified<Vertex>)| Drawn {
            vertex: vertex.clone(),
            commit: order.commit_of(reference),
            is_leader: leaders.contains(reference),
        };
        Self { vertices: sent.iter().map(drawn).collect() }
    }

    /// How many vertices there are.
    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }

    /// The same as a graph in the language of Graphviz: committed leaders filled, ordered vertices
    /// solid, others dashed; dashed edges are older ones.
    pub fn to_dot(&self) -> String {
        let mut dot = String::from("digraph dag {\n  rankdir=RL;\n  node [shape=box];\n");
        let mut round = None;
        for Drawn { vertex, commit, is_leader } in &self.vertices {
            if round.replace(vertex.round()) != Some(vertex.round()) {
                let round = vertex.round();
                let same = self.vertices.iter().filter(|drawn| drawn.vertex.round() == round);
                let names: Vec<_> = same.map(|drawn| quoted(&drawn.vertex.reference())).collect();
                dot += &format!("  {{ rank=same; {} }}\n", names.join("; "));
            }
            let style = match (is_leader, commit) {
                (true, _) => "filled",
                (false, Some(_)) => "solid",
                (false, None) => "dashed",
            };
            let name = quoted(&vertex.reference());
            dot += &format!("  {name} [style={style}];\n");
            for parent in &vertex.header().parents {
                dot += &format!("  {name} -> {};\n", quoted(parent));
            }
            for late in &vertex.header().late {
                dot += &format!("  {name} -> {} [style=dashed];\n", quoted(late));
            }
        }
        dot + "}\n"
    }
}

impl fmt::Display for Dag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Drawn { vertex, commit, is_leader } in &self.vertices {
            let header = vertex.header();
            let parents = header.parents.iter().map(name);
            let late = header.late.iter().map(|late| format!("-{}", name(late)));
            let edges: Vec<_> = parents.chain(late).collect();
            write!(formatter, "{} -> [{}]", name(&vertex.reference()), edges.join(", "))?;
            match vertex.payload().items().len() {
                0 => {}
                items => write!(formatter, " items {items}")?,
            }
            if let Some(commit) = commit {
                write!(formatter, " commit {commit}")?;
            }
            writeln!(formatter, "{}", if *is_leader { " leader" } else { "" })?;
        }
        Ok(())
    }
}

fn quoted(reference: &VertexRef) -> String {
    format!("\"{}\"", name(reference))
}

/// A letter for the author and the round; beyond the alphabet, the author's number.
fn name(reference: &VertexRef) -> String {
    let VertexRef { round, author, .. } = reference;
    match letter(*author) {
        Some(letter) => format!("{letter}{round}"),
        None => format!("v{author}.{round}"),
    }
}

fn letter(author: Author) -> Option<char> {
    let offset = u32::from(author.value());
    (offset < 26).then(|| char::from_u32(u32::from('A') + offset)).flatten()
}
