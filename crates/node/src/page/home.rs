//! The network as it is now.

use std::time::Duration;

use axum::extract::State;
use axum::response::Html;
use client::api::Dag;
use client::api::Status;
use client::api::ValidatorState;
use client::api::ValidatorStatus;
use ledger::EventKind;
use ledger::Outcome;
use ledger::query;
use ledger::query::BlockRecord;
use ledger::query::Summary;
use maud::Markup;
use maud::html;
use types::CommitIndex;
use types::Round;
use types::TimestampMs;

use crate::http::Failure;
use crate::http::Services;
use crate::http::View;
use crate::http::graph;
use crate::http::status;

use super::dag;
use super::format::age;
use super::format::amount;
use super::format::grouped;
use super::format::grouped_length;
use super::format::lasted;
use super::format::shortened;
use super::layout::Page;
use super::layout::header_time;
use super::layout::now;

/// How many blocks are listed.
const BLOCKS: usize = 8;
/// How many transactions are listed.
const TRANSACTIONS: usize = 8;
/// How many events are looked through for them.
const EVENTS: u64 = 200;

struct Home {
    summary: Summary,
    applied_at: Option<TimestampMs>,
    blocks: Vec<BlockRecord>,
    transactions: Vec<Latest>,
    dag: Dag,
}

struct Latest {
    txid: bitcoin::Txid,
    commit: CommitIndex,
    paid: bitcoin::Amount,
    sealed: bool,
}

pub(crate) async fn get(State(services): State<Services>) -> Result<Html<String>, Failure> {
    let status = status(services.handle());
    let pool = services.handle().status().pool_transactions;
    let node = services.handle().status();
    let from = Round::new(node.round.value().saturating_sub(dag::ROUNDS - 1));
    let home = services
        .read_ledger(move |view| {
            let summary = view.summary()?;
            Ok(Home {
                applied_at: query::commit(view.tables(), summary.applied)?
                    .map(|commit| commit.timestamp),
                blocks: blocks(view, &summary)?,
                transactions: transactions(view, &summary)?,
                // A vertex may stand one round above the highest round of a quorum.
                dag: graph(view.tables(), &node, from, dag::ROUNDS + 1)?,
                summary,
            })
        })
        .await?;
    let interval = services.handle().genesis().ledger.block_interval_ms;
    let main = render(&status, &home, pool, Duration::from_millis(interval));
    Ok(Page::new(&status.name).of(&status.name).changing(true).render(&main))
}

fn blocks(view: &View, summary: &Summary) -> Result<Vec<BlockRecord>, Failure> {
    let mut blocks = Vec::with_capacity(BLOCKS);
    let mut next = Some(summary.tip.height);
    while let Some(height) = next
        && blocks.len() < BLOCKS
    {
        blocks.extend(view.block(height)?);
        next = height.previous();
    }
    Ok(blocks)
}

fn transactions(view: &View, summary: &Summary) -> Result<Vec<Latest>, Failure> {
    let after = summary.last_event.saturating_sub(EVENTS);
    let limit = usize::try_from(EVENTS).unwrap_or(usize::MAX);
    let mut latest = Vec::with_capacity(TRANSACTIONS);
    for event in query::events(view.tables(), after, limit)?.into_iter().rev() {
        if latest.len() == TRANSACTIONS {
            break;
        }
        let EventKind::Outcome { txid, outcome: Outcome::Final { commit } } = event.kind else {
            continue;
        };
        let Some(found) = view.find(&txid)? else { continue };
        let outputs = found.transaction.output.iter();
        let paid = outputs.fold(0_u64, |sum, output| sum.saturating_add(output.value.to_sat()));
        let sealed = found.place.height().is_some();
        latest.push(Latest { txid, commit, paid: bitcoin::Amount::from_sat(paid), sealed });
    }
    Ok(latest)
}

fn render(status: &Status, home: &Home, pool: usize, interval: Duration) -> Markup {
    let names: Vec<String> = status.validators.iter().map(|one| one.name.clone()).collect();
    html! {
        h1 { "The network now" }
        p.lead { (sentence(status)) }
        (notices(status))
        (figures(status, home, pool, interval))
        h2 { "Validators" }
        (validators(status))
        h2 { "The last rounds" }
        (dag::figure(&home.dag, &names))
        div.pair {
            section { h2 { "Latest transactions" } (transaction_table(home)) }
            section { h2 { "Latest blocks" } (block_table(home)) }
        }
    }
}

fn sentence(status: &Status) -> String {
    let live = status.validators.iter().filter(|one| one.state == ValidatorState::Live).count();
    let all = status.validators.len();
    let faults = all.saturating_sub(1) / 3;
    if live == all {
        return match all {
            1 => "The only validator takes part.".to_owned(),
            _ => format!("All {} validators take part.", grouped_length(all)),
        };
    }
    let part = format!("{} of {} validators take part", grouped_length(live), grouped_length(all));
    if live + faults >= all {
        format!("{part}, which is enough to go on.")
    } else {
        let needed = grouped_length(all - faults);
        format!("{part}; {needed} are needed to go on. Nothing is lost until they are back.")
    }
}

/// What somebody should know who runs this node, and nothing on most days.
fn notices(status: &Status) -> Markup {
    html! {
        @if status.validator.is_none() {
            p { "This node follows: it holds and serves everything, and signs nothing." }
        }
        @if let Some(recovering) = status.recovering {
            p {
                "This validator lost its store and is silent for safety: "
                @match recovering.from_round {
                    Some(round) => { "it signs again from round " (grouped(round.value())) " on." }
                    None => {
                        (grouped(recovering.answers)) " of " (grouped(recovering.needed))
                        " validators have told it how far it was."
                    }
                }
            }
        }
        @if status.evidence > 0 {
            p {
                a href="/evidence" {
                    (grouped(status.evidence))
                    @if status.evidence == 1 { " piece" } @else { " pieces" }
                    " of signed evidence"
                }
                " that a validator broke the rules."
            }
        }
    }
}

fn figures(status: &Status, home: &Home, pool: usize, interval: Duration) -> Markup {
    let now = now();
    html! {
        dl.figures {
            div {
                dt { "Round" }
                dd { (grouped(status.round.value())) small { "of the graph of vertices" } }
            }
            div {
                dt { "Commits" }
                dd {
                    (grouped(status.commit.value()))
                    small {
                        @if status.lag_commits > 0 {
                            (grouped(status.lag_commits)) " wait to be applied"
                        } @else if let Some(time) = home.applied_at {
                            "last one " (age(now, time))
                        } @else { "none yet" }
                    }
                }
            }
            div {
                dt { "Blocks" }
                dd {
                    (grouped(home.summary.tip.height.value()))
                    small { "last one " (age(now, header_time(home.summary.tip.time))) }
                }
            }
            div {
                dt { "Final, not sealed yet" }
                dd {
                    (grouped(home.summary.unsealed_transactions))
                    small { "a block at most every " (seconds(interval)) }
                }
            }
            div {
                dt { "In the pool" }
                dd { (grouped_length(pool)) small { "of this node" } }
            }
        }
    }
}

fn seconds(interval: Duration) -> String {
    match interval.subsec_millis() {
        0 => format!("{}\u{a0}s", interval.as_secs()),
        _ => format!("{}\u{a0}ms", interval.as_millis()),
    }
}

fn validators(status: &Status) -> Markup {
    html! {
        div.scroll {
            table {
                caption {
                    "As this node sees them. Nothing is held against a validator that is slow or "
                    "silent."
                }
                thead {
                    tr {
                        th scope="col" { "Validator" }
                        th scope="col" { "State" }
                        th.number scope="col" { "Round" }
                        th.number scope="col" { "Commit" }
                    }
                }
                tbody {
                    @for one in &status.validators {
                        tr {
                            th scope="row" {
                                (one.name)
                                @if status.validator == Some(one.index) {
                                    " " span.unit { "(this node)" }
                                }
                            }
                            td { (state(one)) }
                            td.number { (grouped(one.round.value())) }
                            td.number { (grouped(one.commit.value())) }
                        }
                    }
                }
            }
        }
    }
}

fn state(one: &ValidatorStatus) -> Markup {
    let rounds = one.behind_rounds;
    match one.state {
        ValidatorState::Live => html! { span.state.good { "live" } },
        ValidatorState::Behind => html! {
            span.state.wait {
                "behind by " (grouped(rounds)) @if rounds == 1 { " round" } @else { " rounds" }
                @if let Some(commits) = one.behind_commits.filter(|commits| *commits > 0) {
                    ", " (grouped(commits)) @if commits == 1 { " commit" } @else { " commits" }
                }
            }
        },
        ValidatorState::Silent => html! {
            span.state.bad {
                @match one.last_seen_ms {
                    Some(millis) => { "silent for " (lasted(millis)) }
                    None => { "silent, not heard since this node started" }
                }
            }
        },
    }
}

fn transaction_table(home: &Home) -> Markup {
    html! {
        div.scroll {
            table {
                caption { "Final: nothing can undo them" }
                thead {
                    tr {
                        th scope="col" { "Transaction" }
                        th.number scope="col" { "Commit" }
                        th.number scope="col" { "Moves" }
                        th.extra scope="col" { "Block" }
                    }
                }
                tbody {
                    @for one in &home.transactions {
                        tr {
                            td { a.cut href={ "/tx/" (one.txid) } { (shortened(&one.txid.to_string())) } }
                            td.number {
                                a href={ "/commit/" (one.commit) } { (grouped(one.commit.value())) }
                            }
                            td.number { (amount(one.paid)) }
                            td.extra { @if one.sealed { "sealed" } @else { "next" } }
                        }
                    }
                    @if home.transactions.is_empty() {
                        tr { td.empty colspan="4" { "No transaction yet. A wallet may send the first one." } }
                    }
                }
            }
        }
    }
}

fn block_table(home: &Home) -> Markup {
    let now = now();
    html! {
        div.scroll {
            table {
                caption { "Sealed: what wallets count heights by" }
                thead {
                    tr {
                        th.number scope="col" { "Height" }
                        th.extra scope="col" { "Hash" }
                        th.number scope="col" { "Transactions" }
                        th.number scope="col" { "Sealed" }
                    }
                }
                tbody {
                    @for block in &home.blocks {
                        tr {
                            td.number { a href={ "/block/" (block.height) } { (grouped(block.height.value())) } }
                            td.extra { span.cut { "…" (tail(&block.hash.to_string())) } }
                            td.number { (grouped(block.transactions)) }
                            td.number { (age(now, header_time(block.header.time))) }
                        }
                    }
                }
            }
        }
    }
}

/// The end of a block's hash: its beginning is zeros everywhere.
fn tail(hash: &str) -> String {
    let skipped = hash.chars().count().saturating_sub(10);
    hash.chars().skip(skipped).collect()
}
