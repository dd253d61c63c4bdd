//! How other commands reach the supervisor of a running development network: one line of JSON each
//! way over a Unix socket that only its owner may use.

use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::Failure;
use crate::files;

/// The longest request or answer.
const LINE_BYTES_MAX: u64 = 4_096;
/// How long the supervisor waits for the request of somebody who has connected.
const REQUEST_WAIT: Duration = Duration::from_secs(2);
/// How long a command waits for the supervisor's answer: longer than a stop may take.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// How many requests may wait; the next one waits in the system's own queue.
const REQUESTS_MAX: usize = 8;

/// What the supervisor is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    /// Start the validator of this number, whose process has ended.
    Restart(u16),
    /// Start the Lightning service provider of this number, whose process has ended.
    RestartLsp(u16),
    /// Stop everything.
    Stop,
}

/// What the supervisor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    /// It is done.
    Done(String),
    /// It can not be done.
    Refused(String),
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What is asked.
    pub(crate) request: Request,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// Asks the supervisor behind a socket.
///
/// # Errors
/// When nobody listens there or the request is refused.
pub(crate) fn ask(socket: &Path, dir: &Path, request: Request) -> Result<String, Failure> {
    let stream = BlockingStream::connect(socket)
        .map_err(|_| Failure::DevnetNotRunning { dir: dir.to_owned() })?;
    let line = exchange(stream, request).map_err(|source| files::at(socket, source))?;
    match serde_json::from_str(&line) {
        Ok(Answer::Done(text)) => Ok(text),
        Ok(Answer::Refused(reason)) => Err(Failure::Control { reason }),
        Err(_) => Err(Failure::Control { reason: format!("unknown answer `{}`", line.trim()) }),
    }
}

/// Takes requests until the receiver is dropped. Run as a task of its own; ends when aborted.
pub(crate) async fn serve(listener: UnixListener, requests: mpsc::Sender<Asked>) {
    while let Ok((stream, _)) = listener.accept().await {
        // One at a time: the requests of one person at a keyboard.
        if answer(stream, &requests).await.is_err() && requests.is_closed() {
            return;
        }
    }
}

/// The queue between [`serve`] and the supervisor.
pub(crate) fn queue() -> (mpsc::Sender<Asked>, mpsc::Receiver<Asked>) {
    mpsc::channel(REQUESTS_MAX)
}

fn exchange(mut stream: BlockingStream, request: Request) -> io::Result<String> {
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    let text = serde_json::to_string(&request)?;
    stream.write_all(format!("{text}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line)
}

async fn answer(stream: UnixStream, requests: &mpsc::Sender<Asked>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = tokio::io::BufReader::new(read.take(LINE_BYTES_MAX));
    timeout(REQUEST_WAIT, read.read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            let (sender, receiver) = oneshot::channel();
            let asked = Asked { request, answer: sender };
            requests.send(asked).await.map_err(io::Error::other)?;
            receiver.await.map_err(io::Error::other)?
        }
        Err(error) => Answer::Refused(format!("not a request: {error}")),
    };
    let text = serde_json::to_string(&answer)?;
    write.write_all(format!("{text}\n").as_bytes()).await
}
