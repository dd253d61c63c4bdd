//! `GET /v1/dag?from=R`: a window of the graph of vertices, with the commit of each.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use bytes::Bytes;
use client::api::Dag;
use client::api::DagVertex;
use replica::tables;
use replica::tables::VERTICES;
use serde::Deserialize;
use types::Commit;
use types::CommitIndex;
use types::Round;
use types::Unverified;
use types::VertexRef;
use types::table::TableFault;
use types::table::TableRead;

use crate::http::failure::Failure;
use crate::http::parse;
use crate::http::services::Services;
use crate::status::NodeStatus;

/// How many rounds one answer holds.
const ROUNDS_MAX: u64 = 50;
/// How many vertices one answer holds.
const VERTICES_MAX: usize = 2_000;
/// How many vertices are read at one time: each may be as large as its payload.
const PAGE: usize = 16;
/// How many commits are looked through for those that ordered the vertices.
const COMMITS_MAX: u64 = 2_000;
/// How many rounds a leader may lie above a vertex that it orders, as far as this view looks.
const LEADER_DISTANCE_MAX: u64 = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DagQuery {
    from: Option<Round>,
}

/// Which commit ordered a vertex, and whether the vertex leads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LeaderOf {
    commit: CommitIndex,
    leads: bool,
}

pub(crate) async fn get(State(services): State<Services>, uri: Uri) -> Result<Json<Dag>, Failure> {
    let query: DagQuery = parse::query(&uri)?;
    let status = services.handle().status();
    let from = query.from.unwrap_or_else(|| status.round.saturating_sub(ROUNDS_MAX - 1));
    services
        .read_ledger(move |view| Ok(Json(graph(view.tables(), &status, from, ROUNDS_MAX)?)))
        .await
}

/// At most `rounds` rounds of the graph from a round on.
///
/// # Errors
/// When the store fails.
pub(crate) fn graph(
    read: &dyn TableRead,
    status: &NodeStatus,
    from: Round,
    rounds: u64,
) -> Result<Dag, TableFault> {
    let from = from.max(Round::new(1));
    let until = from.saturating_add(rounds);
    let vertices = vertices(read, from, until)?;
    let ordered = ordered(read, from, until)?;
    let vertices = vertices.into_iter().map(|(reference, vertex, bytes)| {
        let place = ordered.get(&reference);
        DagVertex {
            id: reference.into(),
            parents: vertex.claimed().header().parents.iter().copied().map(Into::into).collect(),
            late: vertex.claimed().header().late.iter().copied().map(Into::into).collect(),
            items: to_u64(vertex.claimed().payload().items().len()),
            bytes: to_u64(bytes),
            commit: place.map(|place| place.commit),
            leader: place.is_some_and(|place| place.leads),
        }
    });
    Ok(Dag { from, round: status.round, commit: status.commit, vertices: vertices.collect() })
}

fn vertices(
    read: &dyn TableRead,
    from: Round,
    until: Round,
) -> Result<Vec<(VertexRef, Unverified, usize)>, TableFault> {
    let mut vertices = Vec::new();
    let mut key = from.value().to_be_bytes().to_vec();
    loop {
        let page = read.scan(VERTICES, &[], &key, PAGE)?;
        let is_last = page.len() < PAGE;
        for (place, bytes) in page {
            let vertex = decode(&bytes)?;
            let reference = vertex.claimed().reference();
            if reference.round >= until || vertices.len() >= VERTICES_MAX {
                return Ok(vertices);
            }
            vertices.push((reference, vertex, bytes.len()));
            // The first place behind this one.
            key = [&place[..], &[0]].concat();
        }
        if is_last {
            return Ok(vertices);
        }
    }
}

fn decode(bytes: &Bytes) -> Result<Unverified, TableFault> {
    Unverified::decode(bytes)
        .map_err(|error| TableFault { reason: format!("a stored vertex does not decode: {error}") })
}

/// The commits that ordered vertices of the window: commits ascend by their leaders' rounds, and a
/// leader lies at or above what it orders.
fn ordered(
    read: &dyn TableRead,
    from: Round,
    until: Round,
) -> Result<BTreeMap<VertexRef, LeaderOf>, TableFault> {
    let mut ordered = BTreeMap::new();
    let Some(last) = tables::last_commit(read)? else { return Ok(ordered) };
    let first = first_at(read, last.index, from)?;
    let mut next = first;
    while next <= last.index && next.distance_from(first) < COMMITS_MAX {
        let Some(commit) = tables::commit(read, next)? else { break };
        if commit.leader.round >= until.saturating_add(LEADER_DISTANCE_MAX) {
            break;
        }
        note(&mut ordered, &commit, from, until);
        next = next.next();
    }
    Ok(ordered)
}

fn note(ordered: &mut BTreeMap<VertexRef, LeaderOf>, commit: &Commit, from: Round, until: Round) {
    for vertex in &commit.vertices {
        if (from..until).contains(&vertex.round) {
            let leads = *vertex == commit.leader;
            ordered.insert(*vertex, LeaderOf { commit: commit.index, leads });
        }
    }
}

/// The first commit whose leader stands at `round` or above.
fn first_at(
    read: &dyn TableRead,
    last: CommitIndex,
    round: Round,
) -> Result<CommitIndex, TableFault> {
    let (mut low, mut high) = (CommitIndex::new(1), last.next());
    while low < high {
        let middle = low.saturating_add(high.distance_from(low) / 2);
        // What is not there any more, or not yet, says nothing: look above it.
        let below = tables::commit(read, middle)?.is_none_or(|one| one.leader.round < round);
        if below {
            low = middle.next();
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
