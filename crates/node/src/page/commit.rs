//! One commit: a leader and the vertices that it orders.

use axum::extract::State;
use axum::response::Html;
use ledger::query;
use ledger::query::CommitRow;
use maud::Markup;
use maud::html;
use types::Commit;
use types::CommitIndex;
use types::Genesis;

use crate::http::Failure;
use crate::http::Services;
use crate::http::parse;
use crate::http::parse::Segments;

use super::format::counted;
use super::format::grouped;
use super::format::shortened;
use super::format::time;
use super::layout::Page;

/// How many vertices are listed.
const VERTICES_MAX: usize = 200;

pub(crate) async fn get(
    State(services): State<Services>,
    Segments(index): Segments<String>,
) -> Result<Html<String>, Failure> {
    let index = CommitIndex::new(parse::number(&index)?);
    let (commit, applied) = services
        .read_ledger(move |view| {
            let commit = replica::tables::commit(view.tables(), index)?;
            let commit = commit.ok_or_else(|| Failure::not_found("there is no such commit yet"))?;
            Ok((commit, query::commit(view.tables(), index)?))
        })
        .await?;
    let genesis = services.handle().genesis();
    let title = format!("Commit {}", grouped(index.value()));
    let page = Page::new(&title).of(&genesis.name).changing(applied.is_none());
    Ok(page.render(&render(genesis, &commit, applied.as_ref())))
}

fn render(genesis: &Genesis, commit: &Commit, applied: Option<&CommitRow>) -> Markup {
    let name = |author: types::Author| {
        genesis.validators.get(author.index()).map_or("", |one| one.name.as_str())
    };
    html! {
        h1 { "Commit " (grouped(commit.index.value())) }
        p.identity { (commit.digest()) }
        p.lead {
            "One leader and the vertices that it newly orders. The order is the same at every "
            "validator, and nothing changes it any more."
        }
        dl.facts {
            dt { "Agreed time" } dd { (time(commit.timestamp)) }
            dt { "Leader" }
            dd { (name(commit.leader.author)) ", round " (grouped(commit.leader.round.value())) ", slot " (commit.slot) }
            dt { "Outcomes" }
            dd { (outcomes(applied)) }
            dt { "Before" }
            dd {
                @if let Some(previous) = commit.index.previous().filter(|previous| previous.value() > 0) {
                    a href={ "/commit/" (previous) } { "Commit " (grouped(previous.value())) }
                } @else { "Nothing: it is the first" }
            }
            dt { "After" } dd { a href={ "/commit/" (commit.index.next()) } { "Commit " (grouped(commit.index.next().value())) } }
            dt { "More" } dd { a href={ "/v1/commits/" (commit.index) } { "JSON" } }
        }
        h2 { "Vertices" }
        div.scroll {
            table {
                caption { (counted(commit.vertices.len(), "vertex", "vertices")) ", in order" }
                thead {
                    tr {
                        th.number scope="col" { "Round" }
                        th scope="col" { "Validator" }
                        th scope="col" { "Digest" }
                    }
                }
                tbody {
                    @for vertex in commit.vertices.iter().take(VERTICES_MAX) {
                        tr {
                            td.number { (grouped(vertex.round.value())) }
                            td {
                                (name(vertex.author))
                                @if *vertex == commit.leader { " " span.state.good { "leader" } }
                            }
                            td { span.cut { (shortened(&vertex.digest.to_string())) } }
                        }
                    }
                }
            }
        }
    }
}

fn outcomes(applied: Option<&CommitRow>) -> Markup {
    let Some(row) = applied else {
        return html! { span.state.wait { "not applied yet" } };
    };
    html! {
        (grouped(row.finals)) " final, " (grouped(row.rejected)) " rejected, "
        (grouped(row.skipped)) " passed over, "
        (grouped(row.blocks)) @if row.blocks == 1 { " block" } @else { " blocks" } " sealed"
    }
}
