//! Takes requests and passes them to the task that owns the daemon's state.
//!
//! Whoever may open the socket is the owner, so nobody else is let in; still, every line has a bound,
//! every silent connection an end, and only [`CONNECTIONS_MAX`] are served at one time.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::PaymentsError;

use super::Code;
use super::Envelope;
use super::LINE_BYTES_MAX;
use super::Refusal;
use super::Reply;
use super::Request;
use super::VERSION;

/// How many connections are served at one time; the next ones are refused.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take to send its request.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// How long a reader may take for a line.
const WRITE_WAIT: Duration = Duration::from_secs(10);
/// How many answers wait for a slow reader of news; a slower one is cut off and asks again.
pub(crate) const ANSWERS_MAX: usize = 1_024;

/// A request and where its answers go: one, or many when it follows.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What is asked.
    pub(crate) request: Request,
    /// Where the answers go.
    pub(crate) answers: mpsc::Sender<Reply>,
}

/// Opens the socket that only its owner may use. The caller holds the folder, so whoever made an old
/// one is gone.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, PaymentsError> {
    std::fs::remove_file(path).ok();
    let bound = || {
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bound().map_err(|source: io::Error| PaymentsError::at(path, source))
}

/// Serves until told to stop; then connections that wait for an answer still get it.
pub(crate) async fn serve(
    listener: UnixListener,
    requests: mpsc::Sender<Asked>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    debug!(%error, "a connection was not taken");
                    continue;
                }
            },
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
        };
        let requests = requests.clone();
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                connections.spawn(async move {
                    answer(stream, &requests).await.ok();
                    drop(place);
                });
            }
            Err(_) => {
                let refusal = Refusal::new(Code::Busy, "too many callers at one time");
                connections.spawn(async move {
                    write(&mut { stream }, &Reply::Error(refusal)).await.ok();
                });
            }
        }
    }
    drop(requests);
    timeout(WRITE_WAIT, async { while connections.join_next().await.is_some() {} }).await.ok();
}

async fn answer(mut stream: UnixStream, requests: &mpsc::Sender<Asked>) -> io::Result<()> {
    let mut line = String::new();
    {
        let mut read = tokio::io::BufReader::new((&mut stream).take(LINE_BYTES_MAX));
        timeout(REQUEST_WAIT, read.read_line(&mut line)).await??;
    }
    let request = match parse(&line) {
        Ok(request) => request,
        Err(refusal) => return write(&mut stream, &Reply::Error(refusal)).await,
    };
    let (sender, mut answers) = mpsc::channel(ANSWERS_MAX);
    if requests.send(Asked { request, answers: sender }).await.is_err() {
        let refusal = Refusal::new(Code::Stopping, "the daemon is stopping");
        return write(&mut stream, &Reply::Error(refusal)).await;
    }
    let mut ignored = [0; 1];
    loop {
        let reply = tokio::select! {
            reply = answers.recv() => reply,
            // A caller says nothing more: an end of its side means that nobody reads.
            _ = stream.read(&mut ignored) => return Ok(()),
        };
        match reply {
            Some(reply) => write(&mut stream, &reply).await?,
            None => return Ok(()),
        }
    }
}

fn parse(line: &str) -> Result<Request, Refusal> {
    let envelope: Envelope = serde_json::from_str(line)
        .map_err(|error| Refusal::new(Code::Malformed, format!("not a request: {error}")))?;
    if envelope.v == VERSION {
        return Ok(envelope.request);
    }
    let reason = format!("version {} is asked, this daemon speaks {VERSION}", envelope.v);
    Err(Refusal::new(Code::Version, reason).hint("use the program that started the daemon"))
}

async fn write(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let text = serde_json::to_string(reply)?;
    timeout(WRITE_WAIT, stream.write_all(format!("{text}\n").as_bytes())).await?
}
