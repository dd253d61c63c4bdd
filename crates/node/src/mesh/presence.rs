//! Which peers are connected: joins the states of each peer's two links into one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use replica::wire::Class;
use tokio::sync::mpsc;
use types::Author;

use crate::mesh::CLASSES;
use crate::mesh::Notice;
use crate::metrics::Metrics;

/// A link stands or broke.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkChange {
    pub(super) peer: Author,
    pub(super) class: Class,
    pub(super) up: bool,
}

/// Runs until every link has ended.
pub(super) async fn run(
    mut changes: mpsc::Receiver<LinkChange>,
    notices: mpsc::Sender<Notice>,
    metrics: Arc<Metrics>,
) {
    let mut standing: BTreeMap<Author, BTreeSet<Class>> = BTreeMap::new();
    let mut connected: BTreeSet<Author> = BTreeSet::new();
    while let Some(change) = changes.recv().await {
        let channels = standing.entry(change.peer).or_default();
        if change.up {
            channels.insert(change.class);
        } else {
            channels.remove(&change.class);
        }
        let complete = channels.len() == CLASSES.len();
        let changed =
            if complete { connected.insert(change.peer) } else { connected.remove(&change.peer) };
        if !changed {
            continue;
        }
        metrics.peers_connected(connected.len());
        let peer = change.peer;
        let notice = if complete {
            tracing::info!(%peer, "peer connected");
            Notice::Connected(peer)
        } else {
            tracing::info!(%peer, "peer gone");
            Notice::Gone(peer)
        };
        // The other end goes away only when the node stops.
        if notices.send(notice).await.is_err() {
            return;
        }
    }
}
