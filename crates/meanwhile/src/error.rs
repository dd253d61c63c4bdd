//! Everything that can end a command, each with what to do next.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use client::blobs::BlobError;
use client::blobs::PurseError;
use types::BlobId;
use types::blob::proof::BlobProofError;
use types::dkg::CeremonyError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody reads what is printed any more.
    #[error("the output is closed: {0}")]
    Stdout(#[source] io::Error),
    /// A value could not be written as JSON.
    #[error("could not write JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// A file or folder could not be used.
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    /// A file says something that can not be used.
    #[error("{path}: {reason}", path = path.display())]
    Contents { path: PathBuf, reason: String },
    /// An argument can not be used.
    #[error("{what}: {reason}")]
    Argument { what: &'static str, reason: String },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {reason}")]
    Randomness { reason: String },
    /// A genesis is refused.
    #[error("the genesis is refused: {0}")]
    Genesis(#[from] types::genesis::GenesisError),
    /// A step of a ceremony can not be done.
    #[error(transparent)]
    Ceremony(Box<CeremonyError>),
    /// A file of a ceremony is refused.
    #[error("{path}: {source}", path = path.display())]
    CeremonyFile { path: PathBuf, source: Box<CeremonyError> },
    /// The secrets are those of nobody in the plan.
    #[error("no card of the plan has the vertex key in {dir}", dir = dir.display())]
    NotInPlan { dir: PathBuf },
    /// The operator has answered other dealings before.
    #[error("{path}: these keys already signed another response for this plan", path = path.display())]
    OtherResponse { path: PathBuf },
    /// A genesis does not follow from a transcript.
    #[error(
        "{genesis} does not follow from {transcript}: they differ in {fields}",
        genesis = genesis.display(),
        transcript = transcript.display()
    )]
    OtherGenesis { genesis: PathBuf, transcript: PathBuf, fields: String },
    /// A node's configuration is refused.
    #[error(transparent)]
    Config(#[from] node::ConfigError),
    /// A node could not start, or had to stop.
    #[error(transparent)]
    Node(#[from] node::NodeError),
    /// A node could not be asked, or refuses.
    #[error(transparent)]
    Client(#[from] client::ClientError),
    /// Something about a blob can not be done.
    #[error(transparent)]
    Blob(#[from] BlobFailure),
    /// A transaction lost against another one.
    #[error("transaction {txid} is rejected: {winner} spent its input first")]
    Rejected { txid: bitcoin::Txid, winner: String },
    /// A receipt or a checkpoint does not hold.
    #[error("{path} is not proven: {reason}", path = path.display())]
    FalseReceipt { path: PathBuf, reason: types::receipt::ReceiptError },
    /// There is no receipt of a transaction yet.
    #[error("there is no receipt of {txid} yet: it is {state}")]
    NoReceipt { txid: bitcoin::Txid, state: &'static str },
    /// A snapshot was not taken.
    #[error(transparent)]
    Import(#[from] node::snapshot::ImportError),
    /// A ledger was not made anew.
    #[error(transparent)]
    Reindex(#[from] node::reindex::ReindexError),
    /// A simulation can not be run.
    #[error("no such simulation: {0}")]
    Simulation(#[from] simulator::SimulationError),
    /// A simulation showed that something is wrong.
    #[error("a promise was broken in {count} runs")]
    Violations { count: usize },
    /// A node told evidence that proves nothing.
    #[error("{count} pieces of evidence prove nothing")]
    Unproven { count: usize },
    /// A node could not be started as it stands.
    #[error("{count} checks failed")]
    NotReadyToStart { count: usize },
    /// A key is refused.
    #[error("a key is refused: {0}")]
    Key(#[from] types::KeyError),
    /// Somebody else listens where a validator has to.
    #[error("port {port} on 127.0.0.1, wanted for the {what} of validator {index}, is in use")]
    PortBusy { port: u16, what: &'static str, index: u16 },
    /// Somebody else listens where the service provider has to.
    #[error("port {port} on 127.0.0.1, wanted for the Lightning service provider, is in use")]
    LspPortBusy { port: u16 },
    /// A wallet or a service provider could not do it.
    #[error(transparent)]
    Payments(#[from] payments::PaymentsError),
    /// The daemon that was started did not come up.
    #[error("the daemon did not start; its log {log} says:\n{tail}", log = log.display())]
    DaemonEnded { log: PathBuf, tail: String },
    /// A payment did not arrive.
    #[error("payment {payment_id} {state}{reason}")]
    Unpaid { payment_id: String, state: &'static str, reason: String },
    /// The ports that follow from the first one do not exist.
    #[error("port {first} leaves no room for {validators} validators below 65536")]
    PortRange { first: u16, validators: u16 },
    /// A development network runs in this folder.
    #[error("a development network is already running in {dir}", dir = dir.display())]
    DevnetRunning { dir: PathBuf },
    /// No development network runs in this folder.
    #[error("no development network is running in {dir}", dir = dir.display())]
    DevnetNotRunning { dir: PathBuf },
    /// The folder was made by a version of this program that kept its data differently.
    #[error(
        "the network in {dir} was made by version {found} of this program, this is {this}",
        dir = dir.display()
    )]
    OtherVersion { dir: PathBuf, found: String, this: &'static str },
    /// The folder holds something else.
    #[error("{dir} is not empty and holds no development network", dir = dir.display())]
    ForeignFolder { dir: PathBuf },
    /// A flag asks for what the network in the folder was not born with.
    #[error("the network in {dir} has {what} {found}, not {asked}", dir = dir.display())]
    OtherParameters { dir: PathBuf, what: &'static str, found: String, asked: String },
    /// The running development network refuses a request.
    #[error("the development network refuses: {reason}")]
    Control { reason: String },
    /// A process ended before it was ready.
    #[error(
        "{who} {how} before it was ready; the end of {log} says:\n{tail}",
        log = log.display()
    )]
    ProcessEnded { who: String, how: String, log: PathBuf, tail: String },
    /// Validators took too long to come up.
    #[error("after {seconds} s {ready} of {validators} validators are ready")]
    NotReady { seconds: u64, ready: usize, validators: usize },
    /// A process could not be started.
    #[error("could not start a validator: {0}")]
    Spawn(#[source] io::Error),
    /// The asynchronous runtime could not be started.
    #[error("could not start: {0}")]
    Runtime(#[source] io::Error),
}

/// Why a command about blobs failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobFailure {
    /// A blob is not stored or read.
    #[error(transparent)]
    Client(#[from] BlobError),
    /// The key that pays has not enough.
    #[error("{source}; send money to {address}")]
    Purse { address: String, source: PurseError },
    /// A blob is somebody else's.
    #[error(
        "the blob's handle {handle} is not owned by the key in {path}: name the file that stored it \
         with `--key`",
        path = path.display()
    )]
    OtherOwner { path: PathBuf, handle: bitcoin::OutPoint },
    /// A proof does not hold.
    #[error("{path} is not proven: {reason}; believe nothing that it says", path = path.display())]
    FalseProof { path: PathBuf, reason: BlobProofError },
    /// A file is not the blob of a proof.
    #[error("{path} is not blob {blob}: its bytes are others", path = path.display())]
    OtherBytes { path: PathBuf, blob: BlobId },
    /// What was asked for did not happen in time.
    #[error(
        "after {waited_s} s the node still says that the blob is {state:?}; a request that the chain \
         refuses is an event with its reason: `meanwhile events`"
    )]
    NothingChanged { state: client::api::blobs::BlobState, waited_s: u64 },
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        Self::Blob(error.into())
    }
}

impl From<CeremonyError> for Failure {
    fn from(error: CeremonyError) -> Self {
        Self::Ceremony(Box::new(error))
    }
}

impl Failure {
    /// A file of a ceremony is refused.
    pub(crate) fn in_ceremony_file(path: &Path, error: CeremonyError) -> Self {
        Self::CeremonyFile { path: path.to_owned(), source: Box::new(error) }
    }

    /// What to do next.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Ceremony(error) | Self::CeremonyFile { source: error, .. } => {
                ceremony_advice(error)
            }
            Self::DevnetRunning { dir } => Some(format!(
                "Use it (`meanwhile status`), stop it (`meanwhile devnet stop --dir {dir}`), \
                 or give another `--dir` and `--http-port`.",
                dir = dir.display()
            )),
            Self::DevnetNotRunning { dir } => {
                Some(format!("Start it: `meanwhile devnet --dir {}`.", dir.display()))
            }
            other => other.payments_advice().or_else(|| other.standing_advice()).map(str::to_owned),
        }
    }

    /// What to do next about wallets and service providers.
    fn payments_advice(&self) -> Option<&'static str> {
        match self {
            Self::LspPortBusy { .. } => Some(
                "Give another first port, for example `--http-port 3100`, or leave the providers \
                 out with `--no-lsp`.",
            ),
            Self::Payments(payments::PaymentsError::NotRunning { .. }) => {
                Some("Start it with `meanwhile wallet start`.")
            }
            Self::DaemonEnded { .. } => {
                Some("Start it without `--background` to see what it says.")
            }
            Self::Unpaid { .. } => {
                Some("The money is where it was. `meanwhile wallet payments` says more.")
            }
            _ => None,
        }
    }

    /// What to do next, where it is the same each time.
    fn standing_advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Ceremony(_)
            | Self::CeremonyFile { .. }
            | Self::DevnetRunning { .. }
            | Self::DevnetNotRunning { .. } => return None,
            Self::Stdout(_) | Self::Json(_) | Self::Key(_) | Self::Control { .. } => return None,
            Self::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                "It is kept. Choose another folder, or move it away yourself."
            }
            Self::Simulation(_) => "See `meanwhile simulate --help` for what there is.",
            Self::Violations { .. } => {
                "Please report it with the command that replays it and the version."
            }
            Self::Client(client::ClientError::Unreachable { .. }) => {
                "Start one with `meanwhile devnet`, or name another with `--url` or MEANWHILE_URL."
            }
            Self::NotReadyToStart { .. } => "Do what the lines say, then check again.",
            Self::Unproven { .. } => "Trust your own genesis, and ask another node.",
            Self::Client(_) | Self::Blob(_) => return None,
            Self::Rejected { .. } => {
                "It can never become final. Make a new one from coins that are left."
            }
            Self::FalseReceipt { .. } => {
                "Believe nothing that it says. Ask for it anew, and for the genesis of its network."
            }
            Self::Import(node::snapshot::ImportError::NotEmpty { .. }) => {
                "Give the new node an empty data folder."
            }
            Self::Import(_) => {
                "Nothing was taken. Export it anew, and see that the genesis is that of its network."
            }
            Self::Reindex(_) => {
                "Stop the node first. Cut short, the next run or the node's start goes on from there."
            }
            Self::NoReceipt { .. } => "Ask again with `--wait`.",
            Self::File { .. } => "Check that the path is right and that you may use it.",
            Self::Contents { .. } => "Correct the file and try again.",
            Self::Argument { .. } => "See `--help` of this command for examples.",
            Self::Randomness { .. } => "Without it no key is safe, so none was made.",
            Self::NotInPlan { .. } => {
                "Give the folder that `meanwhile keys new` wrote your card in, or have the plan \
                 made again with your card."
            }
            Self::OtherResponse { .. } => {
                "It stands, and it is what the others need. If a dealer sent different dealings to \
                 different operators, give all of them to `meanwhile genesis finish`."
            }
            Self::OtherGenesis { .. } => {
                "Do not use it. Take the genesis that `meanwhile genesis finish` computes."
            }
            Self::Genesis(_) => "Correct the parameters and try again.",
            Self::PortBusy { .. } | Self::PortRange { .. } => {
                "Give another first port, for example `--http-port 3100`: all others follow from it \
                 but those that are named (`--electrum-port`, `--rpc-port`, `--bitcoin-p2p-port`)."
            }
            Self::OtherVersion { .. } => {
                "Start anew with `--reset` (deletes that network), or give another `--dir`."
            }
            Self::ForeignFolder { .. } => "Give another `--dir`; nothing was touched.",
            Self::OtherParameters { .. } => {
                "Leave the flag out to resume, or start anew with `--reset` (deletes that network)."
            }
            Self::ProcessEnded { .. } | Self::NotReady { .. } => {
                "The log files in the validators' folders say more."
            }
            Self::Spawn(_) | Self::Runtime(_) => {
                "The system refused it; check its limits on processes and memory."
            }
            // What is left says by itself what to do, or has its advice above.
            _ => return None,
        })
    }

    /// The exit code: a closed output is no failure of ours.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Stdout(source) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}

/// What to do when a ceremony can not go on.
fn ceremony_advice(error: &CeremonyError) -> Option<String> {
    Some(match error {
        CeremonyError::Missing { what, operator } => format!(
            "Ask {operator} for its {what} and give the file too. If it never comes, start again \
             without that operator: `meanwhile genesis plan` with the other cards."
        ),
        CeremonyError::Signature { operator, .. } => {
            format!("It says nothing about {operator}. Get the file again, from that operator.")
        }
        CeremonyError::OtherPlan { .. } => {
            "All must use one plan: read its fingerprint to each other, and repeat the step with \
             the right one."
                .to_owned()
        }
        CeremonyError::Twice { operator, .. } => format!(
            "No program does that by accident. Start again without {operator}: `meanwhile genesis \
             plan` with the other cards."
        ),
        CeremonyError::UnknownDealing { dealer, operator, .. } => format!(
            "{dealer} gave out two different dealings. Get the other one from {operator} and give \
             both files: the dealer is left out then."
        ),
        CeremonyError::TooFewDealings { .. } => {
            "Start again without them: `meanwhile genesis plan` with the other cards.".to_owned()
        }
        CeremonyError::Card { operator, .. } => {
            format!("Ask {operator} for its card again and have the plan made anew.")
        }
        CeremonyError::ForeignSecret { .. } | CeremonyError::OwnShare { .. } => {
            "Give the folder that the card in the plan was made in.".to_owned()
        }
        CeremonyError::Version { .. } => {
            "All operators need the same version of this program.".to_owned()
        }
        CeremonyError::PlanName | CeremonyError::NoCards | CeremonyError::Genesis(_) => {
            "Have the plan made again with `meanwhile genesis plan`.".to_owned()
        }
        CeremonyError::UnknownOperator { .. }
        | CeremonyError::VerdictCount { .. }
        | CeremonyError::Order { .. }
        | CeremonyError::Key(_) => "Get the file again from whoever made it.".to_owned(),
    })
}
