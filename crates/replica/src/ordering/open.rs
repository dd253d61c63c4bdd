//! How the ordering half comes back from its store.

use bytes::Bytes;
use consensus::Consensus;
use consensus::Parameters;
use consensus::VerifiedCoin;
use types::Commit;
use types::Moment;
use types::Round;
use types::Unverified;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::table::Change;
use types::table::Changes;
use types::table::TableFault;
use types::table::TableRead;

use super::Action;
use super::Fetch;
use super::Ordering;
use super::OrderingConfig;
use super::Pace;
use super::Peers;
use super::Proposer;
use super::Recall;
use super::catch_up::CatchUp;
use crate::error::OpenError;
use crate::step::Step;
use crate::tables;

/// How many vertices are read at a time.
const PAGE_ROWS: usize = 64;

pub(super) fn open(config: OrderingConfig, read: &dyn TableRead) -> Result<Ordering, OpenError> {
    let recent = recent_commits(&config.parameters, read)?;
    let own_newest = tables::own_newest(read)?.filter(|newest| config.own == Some(newest.author));
    let newest = own_newest.map(|newest| stored(&config, read, &newest)).transpose()?;
    let committee = config.committee.clone();
    let consensus = Consensus::restore(committee, config.own, config.parameters, &recent);
    let signed = newest.as_ref().map_or(Round::ZERO, |vertex| vertex.round());
    // A follower signs nothing and has nothing to remember.
    let remembers = newest.is_some() || config.own.is_none();
    let mut ordering = Ordering {
        peers: Peers::new(config.committee.size(), config.own),
        fetch: Fetch::default(),
        catch_up: CatchUp::default(),
        proposer: Proposer::new(config.pacing, signed),
        recall: Recall::new(config.start, remembers, config.committee.quorums()),
        newest,
        executed: None,
        pace: Pace::Idle,
        alarm: None,
        status_due: Moment::ZERO,
        deadline: Some(Moment::ZERO),
        step: Step::default(),
        consensus,
        config,
    };
    for author in tables::equivocators(read)? {
        ordering.consensus.leave_out(author);
    }
    insert_stored(&mut ordering, read)?;
    forget_stored(&mut ordering.step);
    Ok(ordering)
}

/// What was read needs not be written again; commits and coins that were found anew do.
fn forget_stored(step: &mut Step<Action>) {
    let mut persist = Changes::default();
    for Change { table, key, value } in std::mem::take(&mut step.persist) {
        if let Some(value) = value.filter(|_| table != tables::VERTICES) {
            persist.put(table, key, value);
        }
    }
    step.persist = persist;
    step.then.retain(|action| !matches!(action, Action::Ahead(_)));
}

/// The commits whose leaders lie above the last one's garbage line, ascending.
fn recent_commits(
    parameters: &Parameters,
    read: &dyn TableRead,
) -> Result<Vec<Commit>, TableFault> {
    let mut recent = Vec::new();
    let mut next = tables::last_commit(read)?;
    let line = next
        .as_ref()
        .map_or(Round::ZERO, |last| last.leader.round.saturating_sub(parameters.gc_depth));
    while let Some(commit) = next.filter(|commit| commit.leader.round > line) {
        next = match commit.index.previous().filter(|index| index.value() > 0) {
            Some(index) => {
                let before = tables::commit(read, index)?;
                Some(before.ok_or_else(|| tables::torn("the chain of commits"))?)
            }
            None => None,
        };
        recent.push(commit);
    }
    recent.reverse();
    Ok(recent)
}

fn insert_stored(ordering: &mut Ordering, read: &dyn TableRead) -> Result<(), OpenError> {
    let first = tables::first_of(ordering.consensus.gc_round().next());
    let mut from = tables::vertex_key(&first);
    loop {
        let page = tables::vertices_from(read, &from, PAGE_ROWS)?;
        let is_last = page.len() < PAGE_ROWS;
        for (key, encoded) in page {
            let reference = tables::vertex_of_key(&key)?;
            let vertex = verified(&ordering.config, &reference, &encoded)?;
            from = [&key[..], &[0]].concat();
            reveal_stored(ordering, &vertex, read)?;
            ordering.consensus.insert(vertex);
            ordering.drain(None);
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Takes the stored coin that the vertex carries a share of, if it is looked for: then shares need
/// not be combined again.
fn reveal_stored(
    ordering: &mut Ordering,
    vertex: &Vertex,
    read: &dyn TableRead,
) -> Result<(), OpenError> {
    let due = ordering.config.parameters.rules().decided_by(vertex.round());
    let Some(round) = due.filter(|round| ordering.consensus.awaits_coin(*round)) else {
        return Ok(());
    };
    if let Some(signature) = tables::coin(read, round)? {
        let coin = VerifiedCoin::verify(round, signature, &ordering.config.committee);
        ordering.consensus.reveal(coin.map_err(|_| tables::torn("a common coin"))?);
        ordering.drain(None);
    }
    Ok(())
}

fn stored(
    config: &OrderingConfig,
    read: &dyn TableRead,
    reference: &VertexRef,
) -> Result<Verified<Vertex>, OpenError> {
    let encoded = tables::vertex(read, reference)?;
    let encoded = encoded.ok_or_else(|| tables::torn("the newest own vertex"))?;
    verified(config, reference, &encoded)
}

/// A damaged disk is noticed here rather than by the others.
fn verified(
    config: &OrderingConfig,
    reference: &VertexRef,
    encoded: &Bytes,
) -> Result<Verified<Vertex>, OpenError> {
    let rules = config.parameters.rules();
    let reference = *reference;
    let vertex =
        Unverified::decode(encoded).map_err(|reason| OpenError::Torn { reference, reason })?;
    vertex
        .verify(&config.committee, rules)
        .map_err(|reason| OpenError::Invalid { reference, reason })
}
