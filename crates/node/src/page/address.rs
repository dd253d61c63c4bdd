//! One address: what it holds and what touched it.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Html;
use bitcoin::Amount;
use bitcoin::Txid;
use ledger::ScriptHash;
use ledger::Totals;
use ledger::query;
use ledger::query::HistoryEntry;
use maud::Markup;
use maud::html;
use serde::Deserialize;

use crate::http::Failure;
use crate::http::Services;
use crate::http::View;
use crate::http::parse;
use crate::http::parse::Segments;
use crate::http::script_totals;

use super::format::amount;
use super::format::grouped;
use super::format::shortened;
use super::layout::Page;

/// How many transactions one page lists.
const PAGE: usize = 50;
/// How many transactions of the pool are listed.
const POOLED_MAX: usize = 50;

#[derive(Debug, Default, Deserialize)]
struct AddressQuery {
    before: Option<u64>,
}

struct Shown {
    address: String,
    sealed: Totals,
    others: Totals,
    pooled: Vec<Txid>,
    entries: Vec<HistoryEntry>,
    first: bool,
}

pub(crate) async fn get(
    State(services): State<Services>,
    Segments(address): Segments<String>,
    uri: Uri,
) -> Result<Html<String>, Failure> {
    let AddressQuery { before } = parse::query(&uri)?;
    let (address, script) = parse::address(&address)?;
    let (text, script) = (address.to_string(), ScriptHash::of(&script));
    let title = format!("Address {}", shortened(&text));
    let searched = text.clone();
    let shown = services.read(move |view| look(view, text, script, before)).await?;
    let name = &services.handle().genesis().name;
    let page = Page::new(&title).of(name).searched(&searched).changing(shown.first);
    Ok(page.render(&render(&shown)))
}

fn look(
    view: &View,
    address: String,
    script: ScriptHash,
    before: Option<u64>,
) -> Result<Shown, Failure> {
    let (sealed, others) = script_totals(view, &script)?;
    let first = before.is_none();
    let pooled = if first { view.pooled(&script, POOLED_MAX)? } else { Vec::new() };
    let entries = query::history(view.tables(), &script, before, PAGE)?;
    Ok(Shown { address, sealed, others, pooled, entries, first })
}

fn render(shown: &Shown) -> Markup {
    let all = shown.sealed.plus(&shown.others);
    html! {
        h1 { "Address" }
        p.identity { (shown.address) }
        dl.figures {
            div {
                dt { "Holds" }
                dd { (amount(Amount::from_sat(all.balance_sat()))) small { "what is not sealed included" } }
            }
            div {
                dt { "Was paid" }
                dd { (amount(Amount::from_sat(all.funded_sat))) small { "in " (grouped(all.funded)) " outputs" } }
            }
            div {
                dt { "Paid out" }
                dd { (amount(Amount::from_sat(all.spent_sat))) small { "from " (grouped(all.spent)) " outputs" } }
            }
            div {
                dt { "Transactions" }
                dd { (grouped(all.transactions)) small { (grouped(shown.others.transactions)) " not sealed yet" } }
            }
        }
        h2 { "Transactions" }
        (table(shown))
        nav.pages aria-label="Pages of transactions" {
            @if !shown.first { a href={ "/address/" (shown.address) } { "Newest" } }
            @if let Some(last) = shown.entries.last() && shown.entries.len() == PAGE {
                a href={ "/address/" (shown.address) "?before=" (last.order) } { "Older" }
            }
        }
    }
}

fn table(shown: &Shown) -> Markup {
    html! {
        div.scroll {
            table {
                caption { "Newest first" }
                thead {
                    tr {
                        th scope="col" { "Transaction" }
                        th scope="col" { "State" }
                        th.number scope="col" { "Paid in" }
                        th.number scope="col" { "Paid out" }
                    }
                }
                tbody {
                    @for txid in &shown.pooled {
                        tr {
                            td { (link(txid)) }
                            td { span.state.plain { "in the pool" } }
                            td.number {} td.number {}
                        }
                    }
                    @for entry in &shown.entries {
                        tr {
                            td { (link(&entry.txid)) }
                            td {
                                @if let Some(place) = entry.place {
                                    "block " a href={ "/block/" (place.height) } { (grouped(place.height.value())) }
                                } @else { span.state.good { "final" } }
                            }
                            td.number { (moved(entry.change.funded_sat)) }
                            td.number { (moved(entry.change.spent_sat)) }
                        }
                    }
                    @if shown.entries.is_empty() && shown.pooled.is_empty() {
                        tr { td.empty colspan="4" { "Nothing has touched this address yet." } }
                    }
                }
            }
        }
    }
}

fn link(txid: &Txid) -> Markup {
    html! { a.cut href={ "/tx/" (txid) } { (shortened(&txid.to_string())) } }
}

fn moved(sat: u64) -> Markup {
    html! { @if sat > 0 { (amount(Amount::from_sat(sat))) } }
}
