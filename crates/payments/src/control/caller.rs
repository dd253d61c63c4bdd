//! Asks a daemon. Blocking: a command has nothing else to do.

use std::hash::Hasher as _;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::PaymentsError;

use super::Envelope;
use super::LINE_BYTES_MAX;
use super::Reply;
use super::Request;
use super::VERSION;

/// How long a caller waits for an answer: a channel that is opened on the way may take a while.
const ANSWER_WAIT: Duration = Duration::from_secs(120);
/// A Unix socket's path may have 107 bytes.
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// Asks the daemon of one folder.
#[derive(Clone, Debug)]
pub struct Caller {
    dir: PathBuf,
}

/// Answers that go on until the daemon ends.
#[derive(Debug)]
pub struct Follow {
    reader: BufReader<UnixStream>,
}

/// Where a daemon listens: in its folder, or in the system's folder for temporary files when the path
/// would be longer than a socket's may be.
pub fn socket_path(dir: &Path) -> PathBuf {
    let path = dir.join("control.sock");
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return path;
    }
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    // Not for safety: the folder and the socket have modes for that. FNV-1a spreads names well enough.
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(dir.as_os_str().as_bytes());
    std::env::temp_dir().join(format!("meanwhile-{:016x}.sock", hasher.finish()))
}

struct Fnv(u64);

impl std::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Caller {
    /// A caller of the daemon of a folder.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Whether a daemon answers.
    pub fn is_running(&self) -> bool {
        self.connect().is_ok()
    }

    /// Asks and reads the answer.
    ///
    /// # Errors
    /// When no daemon listens, or it refuses.
    pub fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, PaymentsError> {
        self.follow(request)?.next_answer()?.ok_or_else(|| answer("it ended without one"))
    }

    /// Asks and gives the answers one by one.
    ///
    /// # Errors
    /// When no daemon listens.
    pub fn follow(&self, request: Request) -> Result<Follow, PaymentsError> {
        let mut stream = self.connect()?;
        let following = matches!(request, Request::Payments { follow: true });
        let wait = (!following).then_some(ANSWER_WAIT);
        stream.set_read_timeout(wait).map_err(answer)?;
        let envelope = Envelope { v: VERSION, request };
        let line = serde_json::to_string(&envelope).map_err(answer)?;
        stream.write_all(format!("{line}\n").as_bytes()).map_err(answer)?;
        Ok(Follow { reader: BufReader::new(stream) })
    }

    fn connect(&self) -> Result<UnixStream, PaymentsError> {
        UnixStream::connect(socket_path(&self.dir))
            .map_err(|_| PaymentsError::NotRunning { dir: self.dir.clone() })
    }
}

impl Follow {
    /// The next answer, none when the daemon has ended.
    ///
    /// # Errors
    /// When the daemon refuses or its answer can not be read.
    pub fn next_answer<T: DeserializeOwned>(&mut self) -> Result<Option<T>, PaymentsError> {
        let mut line = String::new();
        self.reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).map_err(answer)?;
        if !line.ends_with('\n') {
            return Ok(None);
        }
        match serde_json::from_str(&line).map_err(answer)? {
            Reply::Ok(value) => serde_json::from_value(value).map(Some).map_err(answer),
            Reply::Error(refusal) => Err(refusal.into()),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn answer(error: impl ToString) -> PaymentsError {
    PaymentsError::Answer { reason: error.to_string() }
}
