//! One block.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Html;
use bitcoin::Amount;
use bitcoin::Txid;
use ledger::query;
use ledger::query::BlockRecord;
use maud::Markup;
use maud::html;
use serde::Deserialize;
use types::Height;

use crate::http::Failure;
use crate::http::Services;
use crate::http::View;
use crate::http::parse;
use crate::http::parse::Segments;

use super::format::amount;
use super::format::grouped;
use super::format::shortened;
use super::format::time;
use super::layout::Page;
use super::layout::header_time;

/// How many transactions one page lists.
const PAGE: u32 = 50;

#[derive(Debug, Default, Deserialize)]
struct BlockQuery {
    #[serde(default)]
    start: u32,
}

struct Shown {
    block: BlockRecord,
    next: Option<Height>,
    start: u32,
    rows: Vec<Row>,
}

struct Row {
    txid: Txid,
    inputs: usize,
    outputs: usize,
    paid: Amount,
    coinbase: bool,
}

pub(crate) async fn get(
    State(services): State<Services>,
    Segments(block): Segments<String>,
    uri: Uri,
) -> Result<Html<String>, Failure> {
    let BlockQuery { start } = parse::query(&uri)?;
    let named = block.clone();
    let shown = services.read_ledger(move |view| look(view, &named, start)).await?;
    let title = format!("Block {}", grouped(shown.block.height.value()));
    let name = &services.handle().genesis().name;
    Ok(Page::new(&title).of(name).searched(&block).render(&render(&shown)))
}

/// A block by its height or its hash.
fn look(view: &View, named: &str, start: u32) -> Result<Shown, Failure> {
    let block = if named.len() == 64 {
        view.block_by_hash(&parse::block_hash(named)?)?
    } else {
        view.block(parse::height(named)?)?
    };
    let block = block.ok_or_else(|| Failure::not_found("there is no such block yet"))?;
    let limit = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let mut rows = Vec::new();
    for txid in query::block_txids(view.tables(), block.height, start, limit)? {
        let Some(found) = view.find(&txid)? else { continue };
        let outputs = found.transaction.output.iter();
        let paid = outputs.fold(0_u64, |sum, output| sum.saturating_add(output.value.to_sat()));
        rows.push(Row {
            txid,
            inputs: found.transaction.input.len(),
            outputs: found.transaction.output.len(),
            paid: Amount::from_sat(paid),
            coinbase: found.transaction.is_coinbase(),
        });
    }
    let next = view.block(block.height.next())?.map(|block| block.height);
    Ok(Shown { block, next, start, rows })
}

fn render(shown: &Shown) -> Markup {
    let block = &shown.block;
    html! {
        h1 { "Block " (grouped(block.height.value())) }
        p.identity { (block.hash) }
        dl.facts {
            dt { "Sealed" }
            dd {
                (time(header_time(block.header.time)))
                @if block.commit.value() > 0 {
                    ", by commit " a href={ "/commit/" (block.commit) } { (grouped(block.commit.value())) }
                } @else { ", with the genesis" }
            }
            dt { "Transactions" } dd { (grouped(block.transactions)) }
            dt { "Size" }
            dd { (grouped(block.size)) " bytes " span.unit { "(weight " (grouped(block.weight)) ")" } }
            dt { "Merkle root" } dd { span.mono { (block.header.merkle_root) } }
            dt { "Before" }
            dd {
                @if let Some(previous) = block.height.previous() {
                    a href={ "/block/" (previous) } { "Block " (grouped(previous.value())) }
                } @else { "Nothing: it is the first" }
            }
            dt { "After" }
            dd {
                @if let Some(next) = shown.next {
                    a href={ "/block/" (next) } { "Block " (grouped(next.value())) }
                } @else { "Nothing yet: it is the newest" }
            }
            dt { "More" } dd { a href={ "/api/block/" (block.hash) } { "JSON" } }
        }
        h2 { "Transactions" }
        (table(shown))
        (pages(shown))
    }
}

fn table(shown: &Shown) -> Markup {
    html! {
        div.scroll {
            table {
                caption { "In the order of the block" }
                thead {
                    tr {
                        th.number scope="col" { "Place" }
                        th scope="col" { "Transaction" }
                        th.number scope="col" { "Inputs" }
                        th.number scope="col" { "Outputs" }
                        th.number scope="col" { "Moves" }
                    }
                }
                tbody {
                    @for (row, place) in shown.rows.iter().zip(shown.start..) {
                        tr {
                            td.number { (grouped(place)) }
                            td {
                                a.cut href={ "/tx/" (row.txid) } { (shortened(&row.txid.to_string())) }
                                @if row.coinbase { " " span.unit { "coinbase" } }
                            }
                            td.number { (row.inputs) }
                            td.number { (row.outputs) }
                            td.number { (amount(row.paid)) }
                        }
                    }
                    @if shown.rows.is_empty() {
                        tr { td.empty colspan="5" { "The block holds no more transactions." } }
                    }
                }
            }
        }
    }
}

fn pages(shown: &Shown) -> Markup {
    let height = shown.block.height;
    let next = shown.start.saturating_add(PAGE);
    html! {
        nav.pages aria-label="Pages of transactions" {
            @if shown.start > 0 {
                a href={ "/block/" (height) "?start=" (shown.start.saturating_sub(PAGE)) } { "Earlier ones" }
            }
            @if next < shown.block.transactions {
                a href={ "/block/" (height) "?start=" (next) } { "Later ones" }
            }
        }
    }
}
