//! Threads that belong to somebody: their end, good or bad, is always noticed.

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::runtime::NodeError;

/// A thread that can be waited for with a deadline.
#[derive(Debug)]
pub(super) struct Owned {
    name: &'static str,
    ended: oneshot::Receiver<()>,
    handle: JoinHandle<()>,
}

/// Tells of the end, also when the thread unwinds.
struct Ending {
    name: &'static str,
    failed: mpsc::Sender<NodeError>,
    ended: Option<oneshot::Sender<()>>,
    is_clean: bool,
}

/// Starts a thread. What it returns as an error, or a panic, goes to `failed`.
pub(super) fn spawn(
    name: &'static str,
    failed: mpsc::Sender<NodeError>,
    work: impl FnOnce() -> Result<(), NodeError> + Send + 'static,
) -> Result<Owned, NodeError> {
    let (sender, ended) = oneshot::channel();
    let mut ending = Ending { name, failed, ended: Some(sender), is_clean: false };
    let body = move || {
        let result = work();
        ending.is_clean = true;
        if let Err(error) = result {
            tracing::error!(thread = name, %error, "the node has to stop");
            // A full queue holds a failure already, and one is enough.
            let _ = ending.failed.try_send(error);
        }
    };
    let handle = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| NodeError::Spawn { name, error })?;
    Ok(Owned { name, ended, handle })
}

/// A place where a thread waits for channels and deadlines at once.
pub(super) fn waiting_room() -> Result<Runtime, NodeError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| NodeError::Spawn { name: "waiting", error })
}

impl Owned {
    /// Waits for the end. A thread that does not end in time is left behind.
    pub(super) async fn join(self, deadline: Duration) -> Result<(), NodeError> {
        if timeout(deadline, self.ended).await.is_err() {
            return Err(NodeError::Stuck { what: self.name });
        }
        // It has told of its end, so this takes a moment only.
        self.handle.join().map_err(|_| NodeError::Broken { name: self.name })
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.is_clean {
            let _ = self.failed.try_send(NodeError::Broken { name: self.name });
        }
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(());
        }
    }
}
