//! What validators signed that nobody may sign.

use axum::extract::State;
use axum::response::Html;
use client::api::Evidence;
use client::api::EvidenceKind;
use maud::Markup;
use maud::html;

use crate::http::EVIDENCE_MAX;
use crate::http::Failure;
use crate::http::Services;
use crate::http::evidence_page;

use super::format::grouped;
use super::format::shortened;
use super::layout::Page;

pub(crate) async fn get(State(services): State<Services>) -> Result<Html<String>, Failure> {
    let genesis = services.handle().genesis().clone();
    let reading = genesis.clone();
    let (evidence, next) =
        services.read_ledger(move |view| Ok(evidence_page(view.tables(), &reading, None)?)).await?;
    let page = Page::new("Evidence").of(&genesis.name).changing(true);
    Ok(page.render(&render(&evidence, next.is_some())))
}

fn render(evidence: &[Evidence], has_more: bool) -> Markup {
    html! {
        h1 { "Evidence" }
        p.lead {
            "Validators that signed two vertices of one round, or a wrong share of the common coin. "
            "The signatures prove it to everybody who has the genesis. Being slow, away or silent is "
            "never held against anybody and never stands here."
        }
        div.scroll {
            table {
                caption {
                    @if has_more { "The first " (EVIDENCE_MAX) " pieces that this node keeps" }
                    @else { "All that this node keeps" }
                }
                thead {
                    tr {
                        th scope="col" { "Validator" }
                        th scope="col" { "What it signed" }
                        th.number scope="col" { "Round" }
                        th scope="col" { "Digests of the signed headers" }
                    }
                }
                tbody {
                    @for one in evidence {
                        tr {
                            th scope="row" { (one.name) }
                            td { span.state.bad { (what(one.kind)) } }
                            td.number { (grouped(one.round.value())) }
                            td {
                                @for vertex in &one.vertices {
                                    span.cut { (shortened(&vertex.digest.to_string())) } " "
                                }
                            }
                        }
                    }
                    @if evidence.is_empty() {
                        tr { td.empty colspan="4" { "None: nobody was seen to sign what nobody may." } }
                    }
                }
            }
        }
        p {
            "Headers and signatures: " a href="/v1/evidence" { "JSON" } ". "
            code { "meanwhile evidence" } " checks the signatures against a genesis of one's own."
        }
    }
}

const fn what(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Equivocation => "two vertices of one round",
        EvidenceKind::WrongCoinShare => "a wrong share of the common coin",
    }
}
