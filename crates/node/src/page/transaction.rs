//! One transaction and its way: pool, vertex, commit, block.

use axum::extract::State;
use axum::response::Html;
use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::Script;
use bitcoin::TxOut;
use bitcoin::Txid;
use client::esplora::script_type;
use ledger::Outcome;
use ledger::query;
use maud::Markup;
use maud::html;
use types::TimestampMs;

use crate::http::Failure;
use crate::http::Found;
use crate::http::NETWORK;
use crate::http::Place;
use crate::http::Services;
use crate::http::View;
use crate::http::parse;
use crate::http::parse::Segments;

use super::format::amount;
use super::format::counted;
use super::format::grouped;
use super::format::grouped_length;
use super::format::shortened;
use super::format::time;
use super::layout::Page;

/// How many inputs and how many outputs are listed.
const ROWS_MAX: usize = 200;
/// How many reasons for being passed over are listed.
const SKIPPED_MAX: usize = 20;

struct Shown {
    txid: Txid,
    found: Option<Found>,
    prevouts: Vec<Option<TxOut>>,
    spenders: Vec<Option<Txid>>,
    conflict: Option<Txid>,
    skipped: Vec<String>,
    final_at: Option<TimestampMs>,
}

pub(crate) async fn get(
    State(services): State<Services>,
    Segments(txid): Segments<String>,
) -> Result<Html<String>, Failure> {
    let txid = parse::txid(&txid)?;
    let shown = services.read(move |view| look(view, txid)).await?;
    let sealed = shown.found.as_ref().is_some_and(|found| found.place.height().is_some());
    let changing = !sealed && shown.conflict.is_none();
    let name = &services.handle().genesis().name;
    let text = txid.to_string();
    let title = format!("Transaction {}", shortened(&text));
    Ok(Page::new(&title).of(name).searched(&text).changing(changing).render(&render(&shown)))
}

fn look(view: &View, txid: Txid) -> Result<Shown, Failure> {
    let conflict = match view.outcome(&txid)? {
        Some(Outcome::Rejected { conflict, .. }) => Some(conflict),
        Some(Outcome::Final { .. }) | None => None,
    };
    let skipped = query::skipped(view.tables(), &txid, SKIPPED_MAX)?;
    let found = view.find(&txid)?;
    if found.is_none() && conflict.is_none() && skipped.is_empty() {
        return Err(Failure::not_found(format!("this node knows no transaction {txid}")));
    }
    let (mut prevouts, mut spenders, mut final_at) = (Vec::new(), Vec::new(), None);
    if let Some(found) = &found {
        prevouts = view.prevouts(&found.transaction)?;
        for vout in (0_u32..).take(found.transaction.output.len().min(ROWS_MAX)) {
            spenders.push(view.spender(&OutPoint { txid, vout })?.map(|(txid, _)| txid));
        }
        if let Some(commit) = found.place.commit() {
            final_at = query::commit(view.tables(), commit)?.map(|commit| commit.timestamp);
        }
    }
    let skipped = skipped.into_iter().rev().map(|(_, reason)| reason.to_string()).collect();
    Ok(Shown { txid, found, prevouts, spenders, conflict, skipped, final_at })
}

fn render(shown: &Shown) -> Markup {
    html! {
        h1 { "Transaction" }
        p.identity { (shown.txid) }
        @if let Some(conflict) = shown.conflict {
            p.notice.bad {
                "This transaction can never become final: an input went to "
                a.cut href={ "/tx/" (conflict) } { (shortened(&conflict.to_string())) } "."
            }
        }
        @if !shown.skipped.is_empty() && shown.found.as_ref().is_none_or(|found| found.place.commit().is_none()) {
            p.notice {
                "It was ordered and passed over " (counted(shown.skipped.len(), "time", "times"))
                ", the last time because of "
                code { (shown.skipped.last().map_or("", String::as_str)) }
                ". It may still become final."
            }
        }
        @if let Some(found) = &shown.found {
            (way(found, shown.final_at))
            (facts(found, shown))
            div.money {
                section { h2 { "From" } (inputs(found, &shown.prevouts)) }
                section { h2 { "To" } (outputs(found, &shown.spenders)) }
            }
        }
    }
}

/// The four steps. What lies behind is done, the one where it stands is now, the rest ahead.
fn way(found: &Found, final_at: Option<TimestampMs>) -> Markup {
    let reached = match found.place {
        Place::Pool { proposed: false } => 0,
        Place::Pool { proposed: true } => 1,
        Place::Final { .. } => 2,
        Place::Sealed { .. } => 3,
    };
    let class = |step: usize| {
        if reached == 3 || step < reached {
            "done"
        } else if step == reached {
            "now"
        } else {
            "ahead"
        }
    };
    let current = |step: usize| (step == reached).then_some("step");
    html! {
        ol.way aria-label="Its way" {
            li class=(class(0)) aria-current=[current(0)] { b { "In the pool" } "Checked and kept by a validator" }
            li class=(class(1)) aria-current=[current(1)] { b { "Proposed" } "Carried by a vertex that the others receive" }
            li class=(class(2)) aria-current=[current(2)] {
                b { "Final" }
                @if let Some(commit) = found.place.commit() {
                    "By commit " a href={ "/commit/" (commit) } { (grouped(commit.value())) }
                    ": nothing can undo it"
                } @else { "Once a commit orders it" }
            }
            li class=(class(3)) aria-current=[current(3)] {
                b { "Sealed" }
                @if let Some(height) = found.place.height() {
                    "In block " a href={ "/block/" (height) } { (grouped(height.value())) }
                } @else { "In the next block" }
            }
        }
        @if let Some(final_at) = final_at {
            p.note { "Final at " (time(final_at)) ", agreed time." }
        }
    }
}

fn facts(found: &Found, shown: &Shown) -> Markup {
    let transaction = &found.transaction;
    let paid = sum(transaction.output.iter().map(|output| output.value));
    let spent = shown.prevouts.iter().map(|prevout| prevout.as_ref().map(|one| one.value));
    let spent: Option<Vec<Amount>> = spent.collect();
    let fee = spent.and_then(|spent| sum(spent.into_iter()).checked_sub(paid));
    let vsize = u64::try_from(transaction.vsize()).unwrap_or(u64::MAX);
    html! {
        dl.facts {
            dt { "Moves" } dd { (amount(paid)) }
            @if transaction.is_coinbase() {
                dt { "Kind" } dd { "Coinbase: the fees of its block, or money of the genesis" }
            } @else if let Some(fee) = fee {
                dt { "Fee" }
                dd {
                    (grouped(fee.to_sat())) " sat "
                    span.unit { "(" (rate(fee, vsize)) " sat/vB)" }
                }
            }
            dt { "Size" }
            dd {
                (grouped(vsize)) " vB " span.unit {
                    "(" (grouped_length(transaction.total_size())) " bytes, weight "
                    (grouped(transaction.weight().to_wu())) ")"
                }
            }
            dt { "Version, lock time" }
            dd { (transaction.version.0) ", " (transaction.lock_time.to_consensus_u32()) }
            dt { "More" }
            dd {
                a href={ "/api/tx/" (shown.txid) } { "JSON" } " · "
                a href={ "/api/tx/" (shown.txid) "/hex" } { "hex" }
            }
        }
    }
}

/// A fee rate with one digit behind the point.
fn rate(fee: Amount, vsize: u64) -> String {
    let tenths = fee.to_sat().saturating_mul(10) / vsize.max(1);
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::ZERO, |sum, one| sum.checked_add(one).unwrap_or(Amount::MAX))
}

fn inputs(found: &Found, prevouts: &[Option<TxOut>]) -> Markup {
    let inputs = &found.transaction.input;
    html! {
        div.scroll {
            table {
                caption { (counted(inputs.len(), "input", "inputs")) }
                thead { tr { th scope="col" { "Owner" } th.number scope="col" { "Amount" } } }
                tbody {
                    @for (input, prevout) in inputs.iter().zip(prevouts).take(ROWS_MAX) {
                        tr {
                            @if let Some(prevout) = prevout {
                                td {
                                    (owner(&prevout.script_pubkey)) br;
                                    span.note { "output " (input.previous_output.vout) " of "
                                        a.cut href={ "/tx/" (input.previous_output.txid) } {
                                            (shortened(&input.previous_output.txid.to_string()))
                                        }
                                    }
                                }
                                td.number { (amount(prevout.value)) }
                            } @else if input.previous_output.is_null() {
                                td { "Newly made" } td.number {}
                            } @else {
                                td { span.cut { (shortened(&input.previous_output.txid.to_string())) } }
                                td.number { "not known yet" }
                            }
                        }
                    }
                    (rest(inputs.len(), 2))
                }
            }
        }
    }
}

fn outputs(found: &Found, spenders: &[Option<Txid>]) -> Markup {
    let outputs = &found.transaction.output;
    html! {
        div.scroll {
            table {
                caption { (counted(outputs.len(), "output", "outputs")) }
                thead {
                    tr {
                        th scope="col" { "Owner" }
                        th.number scope="col" { "Amount" }
                    }
                }
                tbody {
                    @for (output, spender) in outputs.iter().zip(spenders).take(ROWS_MAX) {
                        tr {
                            td {
                                (owner(&output.script_pubkey))
                                @if let Some(spender) = spender {
                                    br;
                                    span.note { "spent by "
                                        a.cut href={ "/tx/" (spender) } { (shortened(&spender.to_string())) }
                                    }
                                }
                            }
                            td.number { (amount(output.value)) }
                        }
                    }
                    (rest(outputs.len(), 2))
                }
            }
        }
    }
}

/// Says that a list is cut.
fn rest(length: usize, columns: u32) -> Markup {
    html! {
        @if length > ROWS_MAX {
            tr { td.empty colspan=(columns) { (grouped_length(length - ROWS_MAX)) " more: see the JSON" } }
        }
    }
}

/// Who owns an output: an address, or what kind of script it is.
pub(crate) fn owner(script: &Script) -> Markup {
    match Address::from_script(script, NETWORK) {
        Ok(address) => {
            let text = address.to_string();
            html! { a.cut href={ "/address/" (text) } title=(text) { (shortened(&text)) } }
        }
        Err(_) => html! { span.unit { "script " (script_type(script)) } },
    }
}
