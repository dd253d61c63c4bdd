//! Tells who has subscribed to what, in order.
//!
//! One task owns every subscription. It follows the event log and this node's pool, works out which
//! scripts that somebody follows may have changed, asks where they stand now, and tells whoever is
//! to know, blocks first.
//!
//! **Invariants.** The log is the buffer: the task reads on from where it was, so no block and no
//! change is lost however late it comes. It never waits for a client: a connection whose notices
//! are full is dropped here, which closes it. A status is told when it differs from the last one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use bitcoin::block::Header;
use ledger::EventKind;
use ledger::ScriptHash;
use ledger::query;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use types::Height;
use types::table::TableFault;

use crate::http::Failure;
use crate::http::Reader;
use crate::http::View;

use super::history::Follower;
use super::history::Standing;
use super::history::Status;

/// How many requests of connections wait for the task; a connection with one more waits.
const COMMANDS_MAX: usize = 1_024;
/// How many events one pass reads.
const EVENTS_PAGE: usize = 2_000;
/// How many headers one pass reads for one connection.
const HEADERS_PAGE: usize = 500;
/// With so few scripts all of them are asked: that is cheaper than looking at each transaction.
const FEW_SCRIPTS: usize = 64;
/// How many scripts one read asks about.
const SCRIPTS_PAGE: usize = 1_000;
/// How long changes are gathered before the next pass.
const GATHER: Duration = Duration::from_millis(20);
/// How long the task pauses when the store or the pool can not be read.
const PAUSE: Duration = Duration::from_millis(500);

/// Names a connection.
pub(super) type ConnectionId = u64;

/// What a connection is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A block was sealed.
    Header {
        /// Its height.
        height: Height,
        /// Its header.
        header: Header,
    },
    /// A script has another status.
    Script {
        /// Which script.
        script: ScriptHash,
        /// Its status.
        status: Status,
    },
}

/// What a connection wants.
#[derive(Debug)]
pub(super) enum Command {
    /// It is there and takes notices.
    Open(ConnectionId, mpsc::Sender<Notice>),
    /// It follows the chain from behind a height on.
    Headers(ConnectionId, Height),
    /// It follows a script, whose standing it was told.
    Script(ConnectionId, Box<Followed>),
    /// It follows a script no more.
    Unfollow(ConnectionId, ScriptHash),
    /// It is gone.
    Close(ConnectionId),
}

/// A script as it stood when a connection asked.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    /// Which script.
    pub(super) script: ScriptHash,
    /// Has taken in what was there.
    pub(super) follower: Follower,
    /// What was told.
    pub(super) standing: Standing,
    /// The last event that was there.
    pub(super) event: u64,
}

/// Reaches the task.
#[derive(Clone, Debug)]
pub(super) struct Watcher {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
struct Connected {
    notices: mpsc::Sender<Notice>,
    scripts: HashSet<ScriptHash>,
    /// The last height that it was told, if it follows the chain.
    height: Option<Height>,
}

#[derive(Debug)]
struct Watched {
    follower: Follower,
    standing: Standing,
    /// Who follows it, and what each was told last.
    told: BTreeMap<ConnectionId, Status>,
}

struct Task {
    reader: Reader,
    events: watch::Receiver<u64>,
    submissions: watch::Receiver<u64>,
    connections: HashMap<ConnectionId, Connected>,
    scripts: HashMap<ScriptHash, Watched>,
    /// The last event that was looked at; none while nobody follows anything.
    position: Option<u64>,
    /// Scripts to be asked about.
    due: BTreeSet<ScriptHash>,
}

/// What one pass found.
struct Pass {
    position: u64,
    is_last: bool,
    tip: Height,
    sealed: bool,
    touched: Vec<ScriptHash>,
}

impl Watcher {
    /// Makes the list and the task that owns it; the caller runs the task until `shutdown`.
    pub(super) fn new(
        reader: Reader,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (commands, queue) = mpsc::channel(COMMANDS_MAX);
        let task = Task {
            events: reader.handle().events(),
            submissions: reader.submissions(),
            reader,
            connections: HashMap::new(),
            scripts: HashMap::new(),
            position: None,
            due: BTreeSet::new(),
        };
        (Self { commands }, task.run(queue, shutdown))
    }

    /// Says what a connection wants. Cancel safe. The task is gone only when the node stops.
    pub(super) async fn tell(&self, command: Command) {
        drop(self.commands.send(command).await);
    }
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Command>, shutdown: CancellationToken) {
        loop {
            let is_idle = self.position.is_none();
            tokio::select! {
                () = shutdown.cancelled() => return,
                command = queue.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                changed = self.events.changed(), if !is_idle => {
                    if changed.is_err() {
                        return;
                    }
                }
                changed = self.submissions.changed(), if !self.scripts.is_empty() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            while let Ok(command) = queue.try_recv() {
                self.take(command);
            }
            let passed = tokio::select! {
                () = shutdown.cancelled() => return,
                passed = self.pass() => passed,
            };
            if let Err(failure) = passed {
                debug!(reason = failure.reason, "the watcher of scripts waits");
                tokio::time::sleep(PAUSE).await;
                self.events.mark_changed();
            } else if !self.scripts.is_empty() {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Open(id, notices) => {
                let connected = Connected { notices, scripts: HashSet::new(), height: None };
                self.connections.insert(id, connected);
            }
            Command::Headers(id, height) => {
                let newest = *self.events.borrow();
                self.follow_from(newest);
                if let Some(connected) = self.connections.get_mut(&id) {
                    connected.height.get_or_insert(height);
                }
            }
            Command::Script(id, followed) => self.follow(id, *followed),
            Command::Unfollow(id, script) => {
                if let Some(connected) = self.connections.get_mut(&id) {
                    connected.scripts.remove(&script);
                }
                self.unfollow(id, &script);
            }
            Command::Close(id) => self.close(id),
        }
        if self.scripts.is_empty() && self.connections.values().all(|one| one.height.is_none()) {
            self.position = None;
        }
    }

    fn follow_from(&mut self, event: u64) {
        self.position.get_or_insert(event);
    }

    fn follow(&mut self, id: ConnectionId, followed: Followed) {
        let Followed { script, follower, standing, event } = followed;
        let Some(connected) = self.connections.get_mut(&id) else { return };
        connected.scripts.insert(script);
        self.follow_from(event);
        let told = BTreeMap::new();
        let unknown = || Watched { follower, standing, told };
        let watched = self.scripts.entry(script).or_insert_with(unknown);
        watched.told.insert(id, standing.status);
        // Something may have happened between that look and now.
        self.due.insert(script);
    }

    fn unfollow(&mut self, id: ConnectionId, script: &ScriptHash) {
        if let Some(watched) = self.scripts.get_mut(script) {
            watched.told.remove(&id);
            if watched.told.is_empty() {
                self.scripts.remove(script);
                self.due.remove(script);
            }
        }
    }

    fn close(&mut self, id: ConnectionId) {
        let Some(connected) = self.connections.remove(&id) else { return };
        for script in &connected.scripts {
            self.unfollow(id, script);
        }
    }

    /// Looks at what happened next and tells of it. What is left wakes the task again.
    async fn pass(&mut self) -> Result<(), Failure> {
        let Some(position) = self.position else { return Ok(()) };
        self.events.borrow_and_update();
        self.submissions.borrow_and_update();
        let asks_all = self.scripts.len() <= FEW_SCRIPTS;
        let found = if asks_all {
            self.reader.read_ledger(move |view| Ok(look_at(view, position, false)?)).await?
        } else {
            self.reader.read(move |view| Ok(look_at(view, position, true)?)).await?
        };
        self.position = Some(found.position);
        if !found.is_last {
            self.events.mark_changed();
        }
        self.tell_headers(found.tip).await?;
        if asks_all {
            self.due.extend(self.scripts.keys());
        } else {
            let touched = found.touched.iter();
            self.due.extend(touched.filter(|script| self.scripts.contains_key(*script)));
            let moved = self.scripts.iter().filter(|(_, watched)| {
                watched.standing.is_pooled || (found.sealed && watched.standing.is_unsealed)
            });
            self.due.extend(moved.map(|(script, _)| *script));
        }
        self.ask().await
    }

    /// Asks where the scripts that are due stand, and tells what is new.
    async fn ask(&mut self) -> Result<(), Failure> {
        while !self.due.is_empty() {
            let scripts: Vec<ScriptHash> = self.due.iter().take(SCRIPTS_PAGE).copied().collect();
            let followers: Vec<_> = scripts
                .iter()
                .filter_map(|script| Some((*script, self.scripts.get(script)?.follower.clone())))
                .collect();
            let asked = self.reader.read(move |view| {
                let advance = |(script, mut follower): (ScriptHash, Follower)| {
                    let standing = follower.advance(view)?;
                    Ok((script, follower, standing))
                };
                Ok(followers.into_iter().map(advance).collect::<Result<Vec<_>, TableFault>>()?)
            });
            for (script, follower, standing) in asked.await? {
                let Some(watched) = self.scripts.get_mut(&script) else { continue };
                watched.follower = follower;
                watched.standing = standing;
                let status = standing.status;
                let new = watched.told.iter_mut().filter(|(_, told)| **told != status);
                let new: Vec<ConnectionId> = new
                    .map(|(id, told)| {
                        *told = status;
                        *id
                    })
                    .collect();
                for id in new {
                    self.notify(id, Notice::Script { script, status });
                }
            }
            for script in &scripts {
                self.due.remove(script);
            }
        }
        Ok(())
    }

    /// Tells every connection that follows the chain of the blocks that it was not told of.
    async fn tell_headers(&mut self, tip: Height) -> Result<(), Failure> {
        loop {
            let heights = self.connections.values().filter_map(|connected| connected.height);
            let Some(lowest) = heights.filter(|height| *height < tip).min() else {
                return Ok(());
            };
            let work =
                move |view: &View| Ok(query::blocks(view.tables(), lowest.next(), HEADERS_PAGE)?);
            let blocks = self.reader.read_ledger(work).await?;
            if blocks.is_empty() {
                return Ok(());
            }
            for block in blocks {
                let behind =
                    |one: &Connected| one.height.is_some_and(|height| height < block.height);
                let told = self.connections.iter().filter(|(_, connected)| behind(connected));
                let told: Vec<_> = told.map(|(id, _)| *id).collect();
                for id in told {
                    self.notify(id, Notice::Header { height: block.height, header: block.header });
                    if let Some(connected) = self.connections.get_mut(&id) {
                        connected.height = Some(block.height);
                    }
                }
            }
        }
    }

    fn notify(&mut self, id: ConnectionId, notice: Notice) {
        let Some(connected) = self.connections.get(&id) else { return };
        if connected.notices.try_send(notice).is_err() {
            // Full, or gone: without its sender the connection ends.
            self.close(id);
        }
    }
}

/// Reads on in the log. With `touched`, also says which scripts the transactions touch, and which
/// are in the pool.
fn look_at(view: &View, position: u64, touched: bool) -> Result<Pass, TableFault> {
    let events = query::events(view.tables(), position, EVENTS_PAGE)?;
    let summary = query::summary(view.tables())?;
    let mut pass = Pass {
        position: events.last().map_or(position, |event| event.sequence),
        is_last: events.len() < EVENTS_PAGE,
        tip: summary.map_or(Height::ZERO, |summary| summary.tip.height),
        sealed: false,
        touched: Vec::new(),
    };
    for event in events {
        let txid = match event.kind {
            EventKind::Outcome { txid, .. } => Some(txid),
            EventKind::Block { height, .. } => {
                pass.sealed = true;
                query::block_txids(view.tables(), height, 0, 1)?.first().copied()
            }
            _ => None,
        };
        if let Some(txid) = txid.filter(|_| touched)
            && let Some(found) = view.find(&txid)?
        {
            let prevouts = view.prevouts(&found.transaction)?;
            let outputs = found.transaction.output.iter().chain(prevouts.iter().flatten());
            pass.touched.extend(outputs.map(|output| ScriptHash::of(&output.script_pubkey)));
        }
    }
    if touched {
        pass.touched.extend(view.pooled_scripts()?);
    }
    Ok(pass)
}
