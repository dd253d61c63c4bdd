//! `meanwhile devnet`: a whole network on this machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use bitcoin::Amount;
use clap::Args;
use clap::Subcommand;
use tokio::net::UnixListener;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::dealer;
use crate::devnet::control;
use crate::devnet::control::Answer;
use crate::devnet::control::Request;
use crate::devnet::layout;
use crate::devnet::layout::Folder;
use crate::devnet::layout::Network;
use crate::devnet::layout::Wishes;
use crate::devnet::ports;
use crate::devnet::ports::Addresses;
use crate::devnet::ports::LspAddresses;
use crate::devnet::state::State;
use crate::devnet::supervisor::Supervisor;
use crate::devnet::supervisor::Who;
use crate::error::Failure;
use crate::files;
use crate::output;
use crate::units::Time;
use crate::units::money;

use super::NodeUrl;
use super::URL_DEFAULT;
use super::block_on;

/// How long the ports of a network that was just killed may still be held by its validators.
const PORTS_WAIT: Duration = Duration::from_secs(5);
const PORTS_EVERY: Duration = Duration::from_millis(100);

/// Run a development network on this machine
///
/// Starts the validators as processes of their own, with a faucet and funded wallets, and watches
/// them. Kill one: the rest go on. A second start in the same folder resumes the same network. One
/// dealer makes all keys, so this is for development only.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  meanwhile devnet\n  meanwhile devnet --block-interval 1s --dir \
                  ./net --http-port 3100\n  meanwhile devnet tick 6\n  meanwhile devnet restart \
                  2\n  meanwhile devnet stop"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Args)]
struct Start {
    /// How many validators [default: 4, or what the folder holds]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    validators: Option<u16>,
    /// The network's folder [default: $XDG_DATA_HOME/meanwhile/devnet, or
    /// ~/.local/share/meanwhile/devnet]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The least agreed time between two blocks [default: 10s, or what the folder holds]
    #[arg(long)]
    block_interval: Option<Time>,
    /// The largest weight of a block; Bitcoin Core follows up to 4000000 [default: 4000000, or what
    /// the folder holds]
    #[arg(long)]
    max_block_weight: Option<u64>,
    /// Validator i serves HTTP on this port + i, and other validators on this port + 500 + i
    #[arg(long, default_value_t = ports::HTTP_DEFAULT)]
    http_port: u16,
    /// Validator i serves Electrum's protocol on this port + i [default: 50001, or the HTTP port +
    /// 1000 when that one is given]
    #[arg(long)]
    electrum_port: Option<u16>,
    /// Validator i serves Bitcoin Core's remote procedure calls on this port + 2i [default: 18443, or
    /// the HTTP port + 2000 when that one is given]
    #[arg(long)]
    rpc_port: Option<u16>,
    /// Validator i serves Bitcoin's own network on this port + 2i [default: 18444, or the HTTP port
    /// + 2001 when that one is given]
    #[arg(long)]
    bitcoin_p2p_port: Option<u16>,
    /// Run no Lightning service providers
    #[arg(long)]
    no_lsp: bool,
    /// Delete the network in the folder and make a new one
    #[arg(long)]
    reset: bool,
    /// Print the state as JSON, as in devnet.json
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Tick(Tick),
    Restart(Restart),
    Stop(Stop),
}

/// Seal blocks now, without waiting for the block interval
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile devnet tick 6")]
struct Tick {
    /// How many blocks
    #[arg(default_value_t = 1)]
    count: u16,
    #[command(flatten)]
    node: NodeUrl,
}

/// Start a validator again, or the service provider, whose process has ended
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  meanwhile devnet restart 2\n  meanwhile devnet restart lsp0")]
struct Restart {
    /// The validator's number; `lsp0` or `lsp1` for a service provider
    who: String,
    /// The network's folder
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Stop the network that runs in a folder; its data stays
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile devnet stop")]
struct Stop {
    /// The network's folder
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Arguments {
    /// Does it.
    ///
    /// # Errors
    /// When the network can not be made, started or reached.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            None => block_on(self.start.run()),
            Some(Command::Tick(arguments)) => block_on(arguments.run()),
            Some(Command::Restart(Restart { who, dir })) => {
                let (number, lsp) = match who.strip_prefix("lsp") {
                    Some(number) => (number, true),
                    None => (who.as_str(), false),
                };
                let index = number.parse().map_err(|_| Failure::Argument {
                    what: "WHO",
                    reason: format!("`{who}` is neither a number nor `lsp` and a number"),
                })?;
                ask(dir, if lsp { Request::RestartLsp(index) } else { Request::Restart(index) })
            }
            Some(Command::Stop(Stop { dir })) => ask(dir, Request::Stop),
        }
    }
}

fn ask(dir: Option<PathBuf>, request: Request) -> Result<(), Failure> {
    let dir = dir.unwrap_or_else(layout::default_dir);
    let path = layout::state_path(&dir);
    if !path.exists() {
        return Err(Failure::DevnetNotRunning { dir });
    }
    let state = State::read(&path)?;
    output::line(&control::ask(&state.control, &dir, request)?)
}

impl Tick {
    async fn run(self) -> Result<(), Failure> {
        let height = self.node.client()?.ticks(self.count).await?;
        output::line(&format!("height {height}"))
    }
}

impl Start {
    async fn run(self) -> Result<(), Failure> {
        let dir = self.dir.clone().unwrap_or_else(layout::default_dir);
        let folder = Folder::take(&dir)?;
        output::say(&format!("Meanwhile development network. {}", dealer::WARNING));
        if self.reset {
            // A port in use must not cost anybody the network that is there.
            let count = self.validators.unwrap_or(layout::VALIDATORS_DEFAULT);
            ports::check_free(&ports::plan(self.first(), count)?)?;
            ports::check_lsps_free(&self.lsp_addresses()?)?;
            folder.reset()?;
        }
        let network = folder.open(&Wishes {
            validators: self.validators,
            block_interval: self.block_interval,
            max_block_weight: self.max_block_weight,
        })?;
        let count = u16::try_from(network.genesis.validators.len()).unwrap_or(u16::MAX);
        let addresses = ports::plan(self.first(), count)?;
        let lsps = self.lsp_addresses()?;
        wait_for_ports(&addresses, &lsps, network.resumed).await?;
        folder.write_configs(&addresses, &lsps)?;
        let socket = folder.control_path();
        let listener = listen(&socket)?;
        let mut supervisor = Supervisor::new(&folder, &addresses, &lsps);
        let result = self.watch(&mut supervisor, &network, listener, &folder).await;
        output::say("stopping the validators");
        supervisor.stop_all().await;
        std::fs::remove_file(&socket).ok();
        result
    }

    /// Runs the network until somebody wants it to stop.
    async fn watch(
        &self,
        supervisor: &mut Supervisor,
        network: &Network,
        listener: UnixListener,
        folder: &Folder,
    ) -> Result<(), Failure> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
        tokio::select! {
            result = supervisor.start_all() => result?,
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
        self.announce(supervisor.state(), network, folder)?;
        let (requests, mut asked) = control::queue();
        let server = tokio::spawn(control::serve(listener, requests));
        let stop_answer = loop {
            tokio::select! {
                ended = supervisor.next_ended() => {
                    let (who, how) = (ended.who, ended.how);
                    let again = match who {
                        Who::Validator(index) => format!("devnet restart {index}"),
                        Who::Lsp(index) => format!("devnet restart lsp{index}"),
                    };
                    let again = self.command(&again);
                    output::say(&format!("{who} {how}; the others go on. Start it again: {again}"));
                }
                Some(asked) = asked.recv() => match asked.request {
                    Request::Stop => break Some(asked.answer),
                    Request::Restart(index) => {
                        let pid = supervisor.restart(index);
                        asked.answer.send(restarted(Who::Validator(index), pid)).ok();
                    }
                    Request::RestartLsp(index) => {
                        let pid = supervisor.restart_lsp(index);
                        asked.answer.send(restarted(Who::Lsp(index), pid)).ok();
                    }
                },
                _ = interrupt.recv() => break None,
                _ = terminate.recv() => break None,
            }
        };
        supervisor.stop_all().await;
        if let Some(answer) = stop_answer {
            answer.send(Answer::Done("stopped".to_owned())).ok();
            asked.close();
            // The server ends by itself once it has passed the answer on.
            tokio::time::timeout(Duration::from_secs(1), server).await.ok();
        } else {
            server.abort();
        }
        Ok(())
    }

    fn announce(&self, state: &State, network: &Network, folder: &Folder) -> Result<(), Failure> {
        if self.json {
            return output::json(state);
        }
        let rows: Vec<Vec<String>> = state.validators.iter().map(row).collect();
        output::line(&output::table(&["validator", "http", "process", "folder"], &rows))?;
        let first = state.validators.first();
        let electrum = first.map_or("", |validator| &validator.electrum);
        let rpc = first.map_or("", |validator| &validator.rpc);
        let cookie = first.map(|validator| validator.rpc_cookie.clone()).unwrap_or_default();
        let bitcoin = first.map_or("", |validator| &validator.bitcoin_p2p);
        let first = first.map_or("", |validator| &validator.http);
        let pid = state.validators.last().and_then(|validator| validator.pid).unwrap_or_default();
        let last = rows.len().saturating_sub(1);
        let resumed = if network.resumed { "resumed" } else { "new" };
        let mut lines = vec![
            ("network", format!("{} ({resumed})", network.genesis.chain())),
            ("explorer", format!("{first}/")),
            ("esplora", format!("{first}/api")),
            ("electrum", format!("electrum --regtest --oneserver --server {electrum}:t")),
            ("bitcoin calls", format!("{rpc}, cookie {}", cookie.display())),
            ("bitcoin node", format!("bitcoind -regtest -connect={bitcoin}")),
            ("faucet", self.command("faucet ADDRESS 0.5btc")),
        ];
        for lsp in &state.lsps {
            lines.push(("lightning", format!("{}, wallets at {}", lsp.lightning, lsp.api)));
        }
        for wallet in &network.wallets {
            let amount = money(Amount::from_sat(wallet.amount_sat));
            lines.push(("wallet", format!("{} has {amount}: {}", wallet.name, wallet.descriptor)));
        }
        lines.extend([
            ("data", folder.dir().display().to_string()),
            ("watch", self.command("status")),
            ("kill one", format!("kill -9 {pid}")),
            ("bring it back", self.command(&format!("devnet restart {last}"))),
            ("stop", format!("Ctrl-C, or {}", self.command("devnet stop"))),
        ]);
        output::line("")?;
        for (name, value) in lines {
            output::line(&format!("{name:<14} {value}"))?;
        }
        Ok(())
    }

    fn lsp_addresses(&self) -> Result<Vec<LspAddresses>, Failure> {
        if self.no_lsp { Ok(Vec::new()) } else { ports::lsps(self.first()) }
    }

    fn first(&self) -> ports::First {
        ports::First {
            http: self.http_port,
            electrum: self.electrum_port,
            rpc: self.rpc_port,
            bitcoin_p2p: self.bitcoin_p2p_port,
        }
    }

    /// A command that reaches this network, as the person who started it would type it.
    fn command(&self, command: &str) -> String {
        let program = std::env::args_os().next().unwrap_or_else(|| "meanwhile".into());
        let mut text = format!("{} {command}", Path::new(&program).display());
        if command.starts_with("devnet") {
            if let Some(dir) = &self.dir {
                text.push_str(&format!(" --dir {}", dir.display()));
            }
        } else if self.http_port != ports::HTTP_DEFAULT {
            debug_assert!(URL_DEFAULT.ends_with(":3000"));
            text.push_str(&format!(" --url http://127.0.0.1:{}", self.http_port));
        }
        text
    }
}

fn row(validator: &crate::devnet::state::ValidatorState) -> Vec<String> {
    vec![
        validator.index.to_string(),
        validator.http.clone(),
        validator.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        validator.dir.display().to_string(),
    ]
}

fn restarted(who: Who, pid: Result<u32, Failure>) -> Answer {
    match pid {
        Ok(pid) => {
            let text = format!("{who} runs again as process {pid}");
            output::say(&text);
            Answer::Done(text)
        }
        Err(Failure::Control { reason }) => Answer::Refused(reason),
        Err(failure) => Answer::Refused(failure.to_string()),
    }
}

fn listen(socket: &Path) -> Result<UnixListener, Failure> {
    // We hold the folder, so whoever made this socket is gone.
    std::fs::remove_file(socket).ok();
    let listener = UnixListener::bind(socket).map_err(|source| files::at(socket, source))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))
        .map_err(|source| files::at(socket, source))?;
    Ok(listener)
}

/// After a supervisor was killed its validators need a moment to notice: a resumed network waits
/// for them, a new one has nobody to wait for.
async fn wait_for_ports(
    addresses: &[Addresses],
    lsps: &[LspAddresses],
    resumed: bool,
) -> Result<(), Failure> {
    let deadline = Instant::now() + PORTS_WAIT;
    loop {
        let free = ports::check_free(addresses);
        match free.and_then(|()| ports::check_lsps_free(lsps)) {
            Err(_) if resumed && Instant::now() < deadline => sleep(PORTS_EVERY).await,
            result => return result,
        }
    }
}
