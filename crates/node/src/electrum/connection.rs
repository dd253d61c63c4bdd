//! One client's connection: a line, its answer, the next line; notices in between.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::jsonrpc;
use crate::jsonrpc::Call;
use crate::jsonrpc::Incoming;
use crate::jsonrpc::RpcError;
use crate::jsonrpc::Unread;
use crate::jsonrpc::Version;
use crate::metrics::Answered;
use crate::metrics::Closed;
use crate::metrics::Door;

use super::ANSWER_BYTES_MAX;
use super::ANSWER_SHORT_MAX;
use super::BATCH_MAX;
use super::IDLE_TIME_MAX;
use super::LINE_BYTES_MAX;
use super::LINE_TIME_MAX;
use super::NOTICES_MAX;
use super::Shared;
use super::WRITE_TIME_MAX;
use super::lines::Lines;
use super::methods;
use super::methods::Session;
use super::watcher::Notice;

/// The answer would be larger than the bound.
const TOO_LARGE: i32 = -101;
/// The node has no room for the answer now.
const BUSY: i32 = -102;

struct Connection {
    shared: Arc<Shared>,
    write: OwnedWriteHalf,
    session: Session,
}

/// An answer that waits to be written, with its place when it is a long one.
struct Answer {
    text: String,
    _place: Option<OwnedSemaphorePermit>,
}

/// Serves a client until it leaves, breaks a bound, or the node stops.
pub(super) async fn run(stream: TcpStream, shared: Arc<Shared>) -> Closed {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let (read, write) = stream.into_split();
    let (sender, mut notices) = mpsc::channel(NOTICES_MAX);
    let session = Session::open(Arc::clone(&shared), id, sender).await;
    let mut lines = Lines::new(read, Arc::clone(&shared.long_lines));
    let shutdown = shared.shutdown.clone();
    let mut connection = Connection { shared, write, session };
    let closed = tokio::select! {
        () = shutdown.cancelled() => Closed::Stopped,
        closed = connection.serve(&mut lines, &mut notices) => closed,
    };
    connection.part(closed).await;
    connection.session.close().await;
    closed
}

impl Connection {
    async fn serve(
        &mut self,
        lines: &mut Lines<OwnedReadHalf>,
        notices: &mut mpsc::Receiver<Notice>,
    ) -> Closed {
        let mut moved = Instant::now();
        loop {
            let idle = moved + IDLE_TIME_MAX;
            let deadline = lines.since().map_or(idle, |since| since + LINE_TIME_MAX);
            let written = tokio::select! {
                line = lines.next() => match line {
                    Ok(line) => self.answer(&line).await,
                    Err(closed) => return closed,
                },
                notice = notices.recv() => match notice {
                    Some(notice) => self.write(&notice_json(&notice).to_string()).await,
                    // The watcher had more for this client than it took.
                    None => return Closed::Slow,
                },
                () = tokio::time::sleep_until(deadline) => return Closed::Idle,
            };
            if let Err(closed) = written {
                return closed;
            }
            moved = Instant::now();
        }
    }

    /// Answers what stands in one line.
    async fn answer(&mut self, line: &[u8]) -> Result<(), Closed> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let answer = match jsonrpc::read(line, BATCH_MAX) {
            Ok(Incoming::One(call)) => self.one(call).await.map(|answer| answer.to_string()),
            Ok(Incoming::Batch(calls)) => self.batch(calls).await,
            Err(error) => Some(self.unread(Unread { id: Value::Null, error }).to_string()),
        };
        let Some(text) = answer else { return Ok(()) };
        let answer = self.bounded(text);
        self.write(&answer.text).await
    }

    async fn one(&mut self, call: Result<Call, Unread>) -> Option<Value> {
        let mut call = match call {
            Ok(call) => call,
            Err(unread) => return Some(self.unread(unread)),
        };
        let result = self.session.call(&mut call).await;
        self.count(result.is_ok());
        // Electrum's protocol is version 2 whether a client says so or not.
        call.wants_answer.then(|| jsonrpc::answer(Version::Two, &call.id, result))
    }

    async fn batch(&mut self, calls: Vec<Result<Call, Unread>>) -> Option<String> {
        let mut text = String::new();
        for call in calls {
            let answer = if text.len() > ANSWER_BYTES_MAX {
                let id = call.map_or_else(|unread| unread.id, |call| call.id);
                Some(self.unread(Unread { id, error: too_large() }))
            } else {
                self.one(call).await
            };
            if let Some(answer) = answer {
                text.push(if text.is_empty() { '[' } else { ',' });
                text.push_str(&answer.to_string());
            }
        }
        if text.is_empty() {
            return None;
        }
        text.push(']');
        Some(text)
    }

    fn unread(&self, unread: Unread) -> Value {
        self.count(false);
        jsonrpc::answer(Version::Two, &unread.id, Err(unread.error))
    }

    fn count(&self, is_ok: bool) {
        let result = if is_ok { Answered::Ok } else { Answered::Error };
        self.shared.reader.handle().metrics().request_answered(Door::Electrum, result);
    }

    /// Gives a long answer a place to wait in, or says that there is none.
    fn bounded(&self, text: String) -> Answer {
        let mut place = None;
        if text.len() > ANSWER_SHORT_MAX {
            place = Arc::clone(&self.shared.long_answers).try_acquire_owned().ok();
        }
        let error = if text.len() > 2 * ANSWER_BYTES_MAX {
            too_large()
        } else if text.len() > ANSWER_SHORT_MAX && place.is_none() {
            RpcError::new(BUSY, "too many long answers wait to be read; try again in a moment")
        } else {
            return Answer { text, _place: place };
        };
        // A request is answered with its own id, a batch with none.
        let id = serde_json::from_str::<Value>(&text).map_or(Value::Null, |mut answer| {
            answer.get_mut("id").map_or(Value::Null, Value::take)
        });
        let text = jsonrpc::answer(Version::Two, &id, Err(error)).to_string();
        Answer { text, _place: None }
    }

    async fn write(&mut self, text: &str) -> Result<(), Closed> {
        let line = [text.as_bytes(), b"\n"].concat();
        match timeout(WRITE_TIME_MAX, self.write.write_all(&line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Closed::Left),
            Err(_) => Err(Closed::Slow),
        }
    }

    /// Says why the connection is closed, as far as the client takes it.
    async fn part(&mut self, closed: Closed) {
        let reason = match closed {
            Closed::Left | Closed::Stopped | Closed::Fault | Closed::Malformed => return,
            Closed::Idle => "closed: nothing was asked for too long".to_owned(),
            Closed::Slow => {
                format!("closed: {NOTICES_MAX} notices waited to be read; read faster")
            }
            Closed::Oversized => format!("closed: a line takes at most {LINE_BYTES_MAX} bytes"),
            Closed::Busy => "closed: too many long lines at one time; try again".to_owned(),
        };
        let error = Err(RpcError::new(BUSY, reason));
        let text = jsonrpc::answer(Version::Two, &Value::Null, error).to_string();
        // Whoever did not read so far may not read this: what is sent without waiting is enough.
        drop(self.write.try_write(&[text.as_bytes(), b"\n"].concat()));
    }
}

fn too_large() -> RpcError {
    RpcError::new(
        TOO_LARGE,
        format!("the answer would take more than {ANSWER_BYTES_MAX} bytes: ask for less"),
    )
}

fn notice_json(notice: &Notice) -> Value {
    let (method, params) = match notice {
        Notice::Header { height, header } => {
            ("blockchain.headers.subscribe", json!([methods::header_json(*height, header)]))
        }
        Notice::Script { script, status } => (
            "blockchain.scripthash.subscribe",
            json!([methods::script_json(script), methods::status_json(*status)]),
        ),
    };
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}
