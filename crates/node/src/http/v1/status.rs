//! `GET /v1/status` and `GET /v1/commits/{index}`.

use axum::Json;
use axum::extract::State;
use client::api::CommitInfo;
use client::api::Recovering;
use client::api::Status;
use client::api::ValidatorState;
use client::api::ValidatorStatus;
use replica::ordering;
use types::CommitIndex;

use crate::handle::Handle;
use crate::http::failure::Failure;
use crate::http::parse;
use crate::http::parse::Segments;
use crate::http::services::Services;
use crate::status::NodeStatus;
use crate::status::PeerState;
use crate::status::PeerStatus;

pub(crate) async fn get(State(services): State<Services>) -> Json<Status> {
    Json(build(services.handle()))
}

/// The network as this node sees it.
pub(crate) fn build(handle: &Handle) -> Status {
    let genesis = handle.genesis();
    let now = handle.status();
    // The two halves tell of themselves apart; what is applied is ordered.
    let commit = now.commit.max(now.applied);
    let validators = now.peers.iter().map(|peer| {
        let own = peer.state == PeerState::Own;
        let (state, behind_rounds) = match peer.state {
            PeerState::Own | PeerState::Live => (ValidatorState::Live, 0),
            PeerState::Behind { rounds } => (ValidatorState::Behind, rounds),
            PeerState::Silent => (ValidatorState::Silent, now.round.distance_from(peer.round)),
        };
        ValidatorStatus {
            index: peer.author,
            name: peer.name.clone(),
            state,
            behind_rounds,
            behind_commits: behind_commits(&now, peer),
            round: peer.round,
            // Nobody tells a node its own commit.
            commit: if own { commit } else { peer.commit },
            last_seen_ms: peer.heard_ms,
        }
    });
    Status {
        chain: *handle.committee().chain(),
        name: genesis.name.clone(),
        development: genesis.development,
        epoch: genesis.epoch,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        validator: handle.own(),
        round: now.round,
        commit,
        proven: now.proven,
        height: now.height,
        lag_commits: commit.distance_from(now.applied),
        last_event: now.last_event,
        recovering: now.recovering.map(recovering),
        evidence: now.evidence,
        lsps: handle.lsp_urls().to_vec(),
        validators: validators.collect(),
    }
}

fn recovering(state: ordering::Recovering) -> Recovering {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let ordering::Recovering { answers, needed, until } = state;
    Recovering { answers: count(answers), needed: count(needed), from_round: until }
}

/// By how many commits the last word of a validator lies below what is ordered here. What it says
/// is up to a second old, so a wave's worth of commits is no lag.
fn behind_commits(now: &NodeStatus, peer: &PeerStatus) -> Option<u64> {
    match peer.state {
        PeerState::Own | PeerState::Live => Some(0),
        _ if peer.commit == CommitIndex::ZERO => None,
        _ => Some(now.commit.distance_from(peer.commit)),
    }
}

pub(crate) async fn commit(
    State(services): State<Services>,
    Segments(index): Segments<String>,
) -> Result<Json<CommitInfo>, Failure> {
    let index = CommitIndex::new(parse::number(&index)?);
    services
        .read_ledger(move |view| {
            let commit = replica::tables::commit(view.tables(), index)?;
            let Some(commit) = commit else {
                let base = ledger::query::base(view.tables())?;
                return Err(match base.filter(|base| index <= base.commit) {
                    Some(base) => Failure::gone(format!(
                        "this node began with a snapshot at commit {}",
                        base.commit
                    )),
                    None => Failure::not_found("there is no such commit yet"),
                });
            };
            let applied = view.summary()?.applied >= index;
            Ok(Json(CommitInfo {
                index,
                digest: commit.digest(),
                previous: commit.previous,
                leader: commit.leader.into(),
                slot: commit.slot,
                timestamp_ms: commit.timestamp,
                vertices: commit.vertices.into_iter().map(Into::into).collect(),
                applied,
            }))
        })
        .await
}
