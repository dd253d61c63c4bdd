//! The last rounds, drawn: a column a round, a row a validator.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use client::api::Dag;
use client::api::DagVertex;
use client::api::VertexId;
use maud::Markup;
use maud::PreEscaped;
use maud::html;

/// How many rounds are drawn.
pub(crate) const ROUNDS: u64 = 20;
/// The most validators for whom a drawing still says something.
const AUTHORS_MAX: usize = 24;
/// The most validators whose edges are drawn: beyond, lines hide the vertices.
const EDGES_MAX: usize = 10;

const COLUMN: u64 = 44;
const ROW: u64 = 34;
const LEFT: u64 = 96;
const TOP: u64 = 18;

/// Draws the graph; nothing when there are too many validators or no vertices.
pub(crate) fn figure(dag: &Dag, names: &[String]) -> Markup {
    if dag.vertices.is_empty() || names.len() > AUTHORS_MAX {
        return html! {};
    }
    html! {
        figure.dag {
            div tabindex="0" role="group" aria-label="The last rounds, drawn" {
                (PreEscaped(drawing(dag, names)))
            }
            figcaption {
                "One column a round, newest at the right; one row a validator. A line leads to a "
                "vertex of the round before, a dashed one to an older vertex that comes in late. "
                "Grey vertices carry transactions, or votes on checkpoints. Coloured ones lead a "
                "commit: they are named by the common coin, after the fact, and everything below "
                "them is in order then."
            }
        }
    }
}

fn drawing(dag: &Dag, names: &[String]) -> String {
    let rows = u64::try_from(names.len()).unwrap_or(0);
    let first = dag.from.value();
    let last = dag.vertices.last().map_or(first, |vertex| vertex.id.round.value());
    let (width, height) = (LEFT + (last - first + 1) * COLUMN, TOP + rows * ROW + 26);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Vertices of rounds \
         {first} to {last}\">"
    );
    for (name, row) in names.iter().zip(0_u64..) {
        let y = TOP + row * ROW + 4;
        let name: String = name.chars().take(13).collect();
        let name = html! { (name) }.into_string();
        let _ = write!(svg, "<text x=\"0\" y=\"{y}\">{name}</text>");
    }
    let known: BTreeMap<_, _> = dag.vertices.iter().map(|one| (key(&one.id), one)).collect();
    if names.len() <= EDGES_MAX {
        for vertex in &dag.vertices {
            edges(&mut svg, first, vertex, &known);
        }
    }
    for vertex in &dag.vertices {
        let (x, y) = place(first, &vertex.id);
        let class = if vertex.leader {
            "vertex leader"
        } else if vertex.items > 0 {
            "vertex filled"
        } else {
            "vertex"
        };
        let radius = if vertex.leader { 7 } else { 5 };
        let title = title(vertex, names);
        let _ = write!(
            svg,
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\">\
             <title>{title}</title></circle>"
        );
    }
    for round in (first..=last).filter(|round| round.is_multiple_of(5)) {
        let (x, y) = (LEFT + (round - first) * COLUMN, TOP + rows * ROW + 8);
        let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{round}</text>");
    }
    svg.push_str("</svg>");
    svg
}

fn edges(
    svg: &mut String,
    first: u64,
    vertex: &DagVertex,
    known: &BTreeMap<(u64, u16, [u8; 32]), &DagVertex>,
) {
    let (x, y) = place(first, &vertex.id);
    for (edges, class) in [(&vertex.parents, "edge"), (&vertex.late, "edge late")] {
        for edge in edges.iter().filter(|edge| known.contains_key(&key(edge))) {
            let (to_x, to_y) = place(first, edge);
            let _ = write!(svg, "<path class=\"{class}\" d=\"M{x} {y}L{to_x} {to_y}\"/>");
        }
    }
}

fn title(vertex: &DagVertex, names: &[String]) -> String {
    let author = names.get(vertex.id.author.index()).map_or("", String::as_str);
    let text = match (vertex.commit, vertex.leader) {
        (Some(commit), true) => format!("leads commit {commit}"),
        (Some(commit), false) => format!("ordered by commit {commit}"),
        (None, _) => "not ordered yet".to_owned(),
    };
    let title = format!("{author}, round {}: {} items, {text}", vertex.id.round, vertex.items);
    html! { (title) }.into_string()
}

fn place(first: u64, id: &VertexId) -> (u64, u64) {
    let column = id.round.value().saturating_sub(first);
    (LEFT + column * COLUMN, TOP + u64::from(id.author.value()) * ROW)
}

fn key(id: &VertexId) -> (u64, u16, [u8; 32]) {
    (id.round.value(), id.author.value(), *id.digest.as_bytes())
}

#[cfg(test)]
mod tests {
    use types::Author;
    use types::CommitIndex;
    use types::Digest;
    use types::Round;

    use super::*;

    fn vertex(round: u64, author: u16, parents: Vec<VertexId>) -> DagVertex {
        let digest = Digest::ZERO;
        DagVertex {
            id: VertexId { round: Round::new(round), author: Author::new(author), digest },
            parents,
            late: Vec::new(),
            items: 0,
            bytes: 100,
            commit: None,
            leader: false,
        }
    }

    #[test]
    fn a_drawing_holds_every_vertex_and_only_edges_that_stay_inside() {
        let outside = vertex(6, 0, Vec::new()).id;
        let first = vertex(7, 0, vec![outside]);
        let second = vertex(8, 0, vec![first.id]);
        let dag = Dag {
            from: Round::new(7),
            round: Round::new(8),
            commit: CommitIndex::ZERO,
            vertices: vec![first, second],
        };
        let text = figure(&dag, &["<b>".to_owned()]).into_string();
        assert_eq!(text.matches("<circle").count(), 2);
        assert_eq!(text.matches("<path").count(), 1);
        assert!(text.contains("&lt;b&gt;") && !text.contains("<b>"));
    }
}
