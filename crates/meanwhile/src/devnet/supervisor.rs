//! Owns the validators' processes: starts them, waits until they are ready, notices when one ends,
//! starts one again when asked, stops all.
//!
//! **Invariant:** nothing is restarted unasked: a validator that was killed stays down for everybody
//! to see. Stopping is graceful first (the pipe closes), then bounded by [`STOP_WAIT`].

use std::fmt;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Child;
use tokio::process::ChildStdin;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::timeout;

use crate::error::Failure;
use crate::files;
use crate::output::Progress;

use super::layout;
use super::layout::Folder;
use super::layout::state_path;
use super::ports;
use super::ports::Addresses;
use super::ports::LspAddresses;
use super::state::LspState;
use super::state::State;
use super::state::ValidatorState;

/// How long a validator may take to stop by itself before its process is ended.
const STOP_WAIT: Duration = Duration::from_secs(15);
/// How long the validators may take to be ready.
const READY_WAIT: Duration = Duration::from_secs(60);
/// How often it is asked whether they are.
const READY_EVERY: Duration = Duration::from_millis(50);
/// How long one such question may take.
const READY_ANSWER: Duration = Duration::from_secs(1);
/// A log file that is larger when its validator starts is put aside; one older one is kept.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
const LOG_TAIL_BYTES: u64 = 2_000;

/// Whose process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A validator's.
    Validator(u16),
    /// A Lightning service provider's.
    Lsp(u16),
}

/// A process that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Whose.
    pub(crate) who: Who,
    /// How, in words.
    pub(crate) how: String,
}

/// The processes of one development network.
#[derive(Debug)]
pub(crate) struct Supervisor {
    state_path: PathBuf,
    state: State,
    slots: Vec<Slot>,
    lsps: Vec<LspSlot>,
    ended: mpsc::UnboundedReceiver<Ended>,
    ended_sender: mpsc::UnboundedSender<Ended>,
}

#[derive(Debug)]
struct Slot {
    dir: PathBuf,
    config: PathBuf,
    addresses: Addresses,
    running: Option<Process>,
}

#[derive(Debug)]
struct LspSlot {
    dir: PathBuf,
    config: PathBuf,
    addresses: LspAddresses,
    running: Option<Process>,
}

#[derive(Debug)]
struct Process {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Prepares the validators of a folder; starts none.
    pub(crate) fn new(folder: &Folder, addresses: &[Addresses], lsps: &[LspAddresses]) -> Self {
        // At most one message for each start, and starts are asked for by a person.
        let (ended_sender, ended) = mpsc::unbounded_channel();
        let slots: Vec<Slot> = addresses
            .iter()
            .zip(0_u16..)
            .map(|(addresses, index)| Slot {
                dir: folder.validator_dir(index),
                config: folder.config_path(index),
                addresses: *addresses,
                running: None,
            })
            .collect();
        let validators = slots.iter().zip(0_u16..).map(|(slot, index)| ValidatorState {
            index,
            pid: None,
            http: format!("http://{}", slot.addresses.http),
            electrum: slot.addresses.electrum.to_string(),
            rpc: format!("http://{}", slot.addresses.rpc),
            rpc_cookie: slot.dir.join(layout::COOKIE_FILE),
            bitcoin_p2p: slot.addresses.bitcoin_p2p.to_string(),
            dir: slot.dir.clone(),
        });
        let lsps: Vec<LspSlot> = lsps
            .iter()
            .zip(0_u16..)
            .map(|(addresses, index)| LspSlot {
                dir: folder.lsp_dir(index),
                config: folder.lsp_config_path(index),
                addresses: *addresses,
                running: None,
            })
            .collect();
        let providers = lsps.iter().zip(0_u16..).map(|(slot, index)| LspState {
            index,
            pid: None,
            api: format!("http://{}", slot.addresses.api),
            lightning: slot.addresses.lightning.to_string(),
            config: slot.config.clone(),
            dir: slot.dir.clone(),
        });
        let state = State {
            validators: validators.collect(),
            lsp: None,
            lsps: providers.collect(),
            genesis: folder.genesis_path(),
            wallets: folder.wallets_path(),
            control: folder.control_path(),
            pid: Some(std::process::id()),
        };
        Self { state_path: state_path(folder.dir()), state, slots, lsps, ended, ended_sender }
    }

    /// Who runs where.
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// Starts every validator and waits until all are ready.
    ///
    /// # Errors
    /// When one can not be started, ends, or is not ready in time.
    pub(crate) async fn start_all(&mut self) -> Result<(), Failure> {
        for index in 0..u16::try_from(self.slots.len()).unwrap_or(u16::MAX) {
            self.spawn(index)?;
        }
        self.state.write(&self.state_path)?;
        let urls = self.state.validators.iter().map(|v| format!("{}/ready", v.http)).collect();
        self.wait_ready("validators ready", urls).await?;
        for index in 0..u16::try_from(self.lsps.len()).unwrap_or(u16::MAX) {
            self.spawn_lsp(index)?;
        }
        self.state.write(&self.state_path)?;
        let urls: Vec<String> =
            self.state.lsps.iter().map(|lsp| format!("{}/ready", lsp.api)).collect();
        if urls.is_empty() {
            Ok(())
        } else {
            self.wait_ready("service providers ready", urls).await
        }
    }

    /// Starts the process of a Lightning service provider that is down.
    ///
    /// # Errors
    /// When there is none, it runs already, its ports are taken, or the system refuses.
    pub(crate) fn restart_lsp(&mut self, index: u16) -> Result<u32, Failure> {
        let refuse = |reason: String| Failure::Control { reason };
        let slot = self.lsps.get(usize::from(index));
        let slot = slot.ok_or_else(|| refuse(format!("there is no service provider {index}")))?;
        if slot.running.is_some() {
            return Err(refuse(format!("service provider {index} is running")));
        }
        ports::check_lsps_free(&[slot.addresses])?;
        let pid = self.spawn_lsp(index)?;
        self.state.write(&self.state_path)?;
        Ok(pid)
    }

    /// Starts the process of one validator that is down.
    ///
    /// # Errors
    /// When there is no such validator, it runs already, its ports are taken, or the system
    /// refuses.
    pub(crate) fn restart(&mut self, index: u16) -> Result<u32, Failure> {
        let slot = self.slots.get(usize::from(index)).ok_or_else(|| Failure::Control {
            reason: format!("there is no validator {index}; there are {}", self.slots.len()),
        })?;
        if slot.running.is_some() {
            return Err(Failure::Control { reason: format!("validator {index} is running") });
        }
        ports::check_free(&[slot.addresses])?;
        let pid = self.spawn(index)?;
        self.state.write(&self.state_path)?;
        Ok(pid)
    }

    /// Waits for a process to end.
    ///
    /// Cancel safe.
    pub(crate) async fn next_ended(&mut self) -> Ended {
        match self.ended.recv().await {
            Some(ended) => {
                self.note_ended(&ended);
                ended
            }
            // This value holds a sender, so the queue never closes.
            None => std::future::pending().await,
        }
    }

    /// Stops every validator: gracefully, then within [`STOP_WAIT`] by force.
    pub(crate) async fn stop_all(&mut self) {
        // The providers first, while the nodes that they ask are still there.
        let providers = self.lsps.iter_mut().filter_map(|slot| slot.running.take());
        for Process { stop, task } in providers.collect::<Vec<Process>>() {
            stop.send(()).ok();
            task.await.ok();
        }
        for lsp in &mut self.state.lsps {
            lsp.pid = None;
        }
        let running: Vec<Process> =
            self.slots.iter_mut().filter_map(|slot| slot.running.take()).collect();
        let mut tasks = Vec::new();
        for Process { stop, task } in running {
            // The task is gone already when its process has ended.
            stop.send(()).ok();
            tasks.push(task);
        }
        for task in tasks {
            task.await.ok();
        }
        for validator in &mut self.state.validators {
            validator.pid = None;
        }
        self.state.pid = None;
        self.state.write(&self.state_path).ok();
    }

    fn note_ended(&mut self, ended: &Ended) {
        match ended.who {
            Who::Validator(index) => {
                let index = usize::from(index);
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.running = None;
                }
                if let Some(validator) = self.state.validators.get_mut(index) {
                    validator.pid = None;
                }
            }
            Who::Lsp(index) => {
                let index = usize::from(index);
                if let Some(slot) = self.lsps.get_mut(index) {
                    slot.running = None;
                }
                if let Some(lsp) = self.state.lsps.get_mut(index) {
                    lsp.pid = None;
                }
            }
        }
        self.state.write(&self.state_path).ok();
    }

    fn spawn(&mut self, index: u16) -> Result<u32, Failure> {
        let slot = &mut self.slots[usize::from(index)];
        let ended = self.ended_sender.clone();
        let started = launch("node", &slot.dir, &slot.config, Who::Validator(index), ended)?;
        slot.running = Some(started.process);
        self.state.validators[usize::from(index)].pid = Some(started.pid);
        Ok(started.pid)
    }

    fn spawn_lsp(&mut self, index: u16) -> Result<u32, Failure> {
        let slot = &mut self.lsps[usize::from(index)];
        let ended = self.ended_sender.clone();
        let started = launch("lsp", &slot.dir, &slot.config, Who::Lsp(index), ended)?;
        slot.running = Some(started.process);
        self.state.lsps[usize::from(index)].pid = Some(started.pid);
        Ok(started.pid)
    }

    fn dir_of(&self, who: Who) -> &Path {
        match who {
            Who::Validator(index) => &self.slots[usize::from(index)].dir,
            Who::Lsp(index) => &self.lsps[usize::from(index)].dir,
        }
    }

    async fn wait_ready(
        &mut self,
        what: &'static str,
        mut waiting: Vec<String>,
    ) -> Result<(), Failure> {
        let total = waiting.len();
        let mut progress = Progress::new(what, u64::try_from(total).unwrap_or(u64::MAX));
        let http = reqwest::Client::builder().timeout(READY_ANSWER).build();
        let http = http.map_err(|error| Failure::Runtime(io::Error::other(error)))?;
        let deadline = Instant::now() + READY_WAIT;
        let mut clock = interval(READY_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(url) = waiting.last() {
            tokio::select! {
                ended = self.next_ended() => {
                    let log = log_path(self.dir_of(ended.who));
                    let tail = tail(&log);
                    let (who, how) = (ended.who.to_string(), ended.how);
                    return Err(Failure::ProcessEnded { who, how, log, tail });
                }
                _ = clock.tick() => {}
            }
            let answer = http.get(url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                waiting.pop();
                let ready = total - waiting.len();
                progress.at(u64::try_from(ready).unwrap_or(u64::MAX), "");
            } else if Instant::now() > deadline {
                return Err(Failure::NotReady {
                    seconds: READY_WAIT.as_secs(),
                    ready: total - waiting.len(),
                    validators: total,
                });
            }
        }
        progress.finish();
        Ok(())
    }
}

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator(index) => write!(formatter, "validator {index}"),
            Self::Lsp(index) => write!(formatter, "service provider {index}"),
        }
    }
}

/// A process that was started.
struct Started {
    process: Process,
    pid: u32,
}

/// Starts a process that ends when the pipe at its standard input closes.
fn launch(
    command: &str,
    dir: &Path,
    config: &Path,
    who: Who,
    ended: mpsc::UnboundedSender<Ended>,
) -> Result<Started, Failure> {
    let log = open_log(&log_path(dir))?;
    let executable = std::env::current_exe().map_err(Failure::Spawn)?;
    let mut child = Command::new(executable)
        .arg(command)
        .arg("--config")
        .arg(config)
        .arg("--parent-pipe")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().map_err(Failure::Spawn)?)
        .stderr(log)
        // Ctrl-C on the terminal reaches the supervisor only, which stops the others in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(Failure::Spawn)?;
    let pid = child.id().unwrap_or_default();
    // Waiting for a child closes its standard input, so the pipe is kept apart.
    let pipe = child.stdin.take();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let how = keep(child, pipe, stopped).await;
        ended.send(Ended { who, how }).ok();
    });
    Ok(Started { process: Process { stop, task }, pid })
}

/// Waits for a process until it ends or has to.
async fn keep(
    mut child: Child,
    pipe: Option<ChildStdin>,
    stopped: oneshot::Receiver<()>,
) -> String {
    let result = tokio::select! {
        result = child.wait() => result,
        // A supervisor that is gone without a word stops its validators too.
        _ = stopped => {
            drop(pipe);
            match timeout(STOP_WAIT, child.wait()).await {
                Ok(result) => result,
                Err(_) => {
                    child.kill().await.ok();
                    child.wait().await
                }
            }
        }
    };
    result.map_or_else(|error| format!("was lost: {error}"), describe)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "stopped".to_owned(),
        (Some(code), _) => format!("failed with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("log.txt")
}

fn open_log(path: &Path) -> Result<File, Failure> {
    if path.metadata().is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
        let aside = path.with_extension("old.txt");
        std::fs::rename(path, &aside).map_err(|source| files::at(path, source))?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map_err(|source| files::at(path, source))
}

/// The last lines of a log, as far as they can be read.
fn tail(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    read().unwrap_or_else(|error| format!("(the log can not be read: {error})"))
}
