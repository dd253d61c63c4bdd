//! `GET /v1/events?after=N`: the event log as server-sent events, from where the reader stopped.
//!
//! The store is the buffer: a page is read when the reader has taken the page before, so a reader
//! that is slow, or slept for a week, costs nothing and misses nothing. Each event's id is its
//! sequence number; a reader that passes much over gets an id without data now and then, so that a
//! lost connection resumes from there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Uri;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::response::sse::Event as Message;
use axum::response::sse::KeepAlive;
use axum::response::sse::Sse;
use bitcoin::Txid;
use bitcoin::hashes::Hash as _;
use client::api::BlobChange;
use client::api::ErrorCode;
use client::api::Event;
use client::api::EventKind;
use client::api::EventName;
use client::api::EventQuery;
use client::api::TxState;
use futures_util::Stream;
use futures_util::StreamExt as _;
use futures_util::stream;
use ledger::Outcome;
use ledger::ScriptHash;
use ledger::query;
use tokio::sync::watch;
use tracing::debug;
use types::blob::BlobOutcome;
use types::table::TableFault;

use crate::http::failure::Failure;
use crate::http::gate::Counted;
use crate::http::parse;
use crate::http::services::Services;
use crate::http::view::View;

/// How many events are read at one time.
const PAGE: usize = 256;
/// How often a quiet stream says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a stream waits before it reads again after the store or the node was busy.
const PAUSE: Duration = Duration::from_secs(1);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells proxies not to hold events back.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Which events a reader wants.
#[derive(Clone, Copy, Debug)]
struct Filter {
    script: Option<ScriptHash>,
    txid: Option<Txid>,
    kind: Option<EventName>,
}

/// One reader's place in the log.
struct Reader {
    services: Services,
    filter: Filter,
    after: u64,
    ready: VecDeque<Message>,
    newest: watch::Receiver<u64>,
}

struct Page {
    messages: VecDeque<Message>,
    last: u64,
}

pub(crate) async fn get(
    State(services): State<Services>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let wanted: EventQuery = parse::query(&uri)?;
    let after = match headers.get(LAST_EVENT_ID) {
        None => wanted.after,
        Some(id) => parse::number(id.to_str().unwrap_or_default())?,
    };
    let oldest = services.read_ledger(|view| Ok(query::oldest_event(view.tables())?)).await?;
    if after.saturating_add(1) < oldest {
        return Err(gone(oldest));
    }
    let script = wanted.scripthash.as_deref().map(parse::script_hash).transpose()?;
    let filter = Filter { script, txid: wanted.txid, kind: wanted.kind };
    let permit = services.streams().enter()?;
    let shutdown = services.shutdown().clone();
    let newest = services.handle().events();
    let reader = Reader { services, filter, after, ready: VecDeque::new(), newest };
    let messages = messages(reader).take_until(shutdown.cancelled_owned());
    let stream = Counted::new(Box::pin(messages), permit);
    let mut response =
        Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

fn messages(reader: Reader) -> impl Stream<Item = Result<Message, Infallible>> + Send {
    stream::unfold(reader, async |mut reader| {
        let message = reader.next().await?;
        Some((Ok(message), reader))
    })
}

impl Reader {
    /// The next message, or none when the node stops.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            // Whatever is written after this look wakes the wait below.
            let newest = *self.newest.borrow_and_update();
            if newest <= self.after {
                self.newest.changed().await.ok()?;
                continue;
            }
            let (after, filter) = (self.after, self.filter);
            let work = move |view: &View| page(view, after, filter);
            let page = self.services.read_ledger(work).await;
            match page {
                Ok(page) if page.last > after => {
                    self.ready = page.messages;
                    if self.ready.is_empty() && page.last.abs_diff(after) >= 64 {
                        self.ready.push_back(Message::default().id(page.last.to_string()));
                    }
                    self.after = page.last;
                }
                Ok(_) => tokio::time::sleep(PAUSE).await,
                // What comes next was removed before this reader took it: it connects again and is told.
                Err(failure) if failure.code == ErrorCode::Gone => return None,
                Err(failure) => {
                    debug!(reason = failure.reason, "event stream waits");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn page(view: &View, after: u64, filter: Filter) -> Result<Page, Failure> {
    let oldest = query::oldest_event(view.tables())?;
    if after.saturating_add(1) < oldest {
        return Err(gone(oldest));
    }
    let mut page = Page { messages: VecDeque::new(), last: after };
    for event in query::events(view.tables(), after, PAGE)? {
        page.last = event.sequence;
        if filter.passes(view, &event.kind)? {
            page.messages.extend(message(&shown(view, event)?));
        }
    }
    Ok(page)
}

fn gone(oldest: u64) -> Failure {
    Failure::gone(format!("the oldest event that is kept here is {oldest}"))
}

fn message(event: &Event) -> Option<Message> {
    let message =
        Message::default().id(event.sequence.to_string()).event(event.kind.name().as_str());
    message.json_data(event).ok()
}

impl Filter {
    fn passes(&self, view: &View, kind: &ledger::EventKind) -> Result<bool, TableFault> {
        let (name, txid) = match kind {
            ledger::EventKind::Outcome { txid, .. } => (EventName::Outcome, Some(txid)),
            ledger::EventKind::Skipped { txid, .. } => (EventName::Skipped, Some(txid)),
            ledger::EventKind::Block { .. } => (EventName::Block, None),
            ledger::EventKind::Checkpoint { .. } => (EventName::Checkpoint, None),
            ledger::EventKind::Blob(_) => (EventName::Blob, None),
        };
        if self.kind.is_some_and(|wanted| wanted != name)
            || self.txid.is_some_and(|wanted| Some(&wanted) != txid)
        {
            return Ok(false);
        }
        match (self.script, txid) {
            (None, _) => Ok(true),
            (Some(_), None) => Ok(false),
            (Some(script), Some(txid)) => touches(view, &script, txid),
        }
    }
}

/// Whether a transaction pays to or spends from a script, as far as it is known here.
fn touches(view: &View, script: &ScriptHash, txid: &Txid) -> Result<bool, TableFault> {
    let Some(found) = view.find(txid)? else { return Ok(false) };
    let mut outputs = found.transaction.output.iter();
    if outputs.any(|output| ScriptHash::of(&output.script_pubkey) == *script) {
        return Ok(true);
    }
    let prevouts = view.prevouts(&found.transaction)?;
    Ok(prevouts.iter().flatten().any(|output| ScriptHash::of(&output.script_pubkey) == *script))
}

fn shown(view: &View, event: ledger::Event) -> Result<Event, TableFault> {
    let kind = match event.kind {
        ledger::EventKind::Outcome { txid, outcome: Outcome::Final { .. } } => {
            EventKind::Outcome { txid, status: TxState::Final, conflict: None }
        }
        ledger::EventKind::Outcome { txid, outcome: Outcome::Rejected { conflict, .. } } => {
            EventKind::Outcome { txid, status: TxState::Rejected, conflict: Some(conflict) }
        }
        ledger::EventKind::Skipped { txid, wtxid, author, reason } => {
            EventKind::Skipped { txid, wtxid, author, reason: reason.to_string() }
        }
        ledger::EventKind::Block { height, hash } => {
            let block = view.block(height)?;
            let transactions = block.map_or(0, |block| u64::from(block.transactions));
            EventKind::Block { height, hash, transactions }
        }
        ledger::EventKind::Checkpoint { digest } => EventKind::Checkpoint { digest },
        ledger::EventKind::Blob(outcome) => blob(&outcome),
    };
    Ok(Event { sequence: event.sequence, commit: event.commit, kind })
}

fn blob(outcome: &BlobOutcome) -> EventKind {
    use types::blob::BlobChange as Change;
    let (change, end_height, reason) = match outcome.change {
        Change::Registered { end_height } => (BlobChange::Registered, Some(end_height), None),
        Change::Certified { end_height } => (BlobChange::Certified, Some(end_height), None),
        Change::Extended { end_height } => (BlobChange::Extended, Some(end_height), None),
        Change::Refused { reason } => (BlobChange::Refused, None, Some(reason.to_string())),
        Change::Deleted => (BlobChange::Deleted, None, None),
        Change::Expired => (BlobChange::Expired, None, None),
        Change::Disputed => (BlobChange::Disputed, None, None),
        Change::Invalid => (BlobChange::Invalid, None, None),
    };
    let registered_by = Txid::from_byte_array(*outcome.registered_by.as_bytes());
    EventKind::Blob { blob: outcome.blob, change, registered_by, end_height, reason }
}
