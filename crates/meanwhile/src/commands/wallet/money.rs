//! What a wallet has, and coins.

use clap::Args;
use payments::Msat;
use payments::control::Request;
use payments::wallet::view;

use crate::error::Failure;
use crate::output;

use super::Dir;

/// Say how the daemon is
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile wallet status")]
pub(super) struct Status {
    #[command(flatten)]
    dir: Dir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Print a new address for coins
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile faucet $(meanwhile wallet address) 0.01btc")]
pub(super) struct Address {
    #[command(flatten)]
    dir: Dir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Print what the wallet has
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile wallet balance")]
pub(super) struct Balance {
    #[command(flatten)]
    dir: Dir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Send coins to an address
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile wallet send bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080 \
                  5000sat\n  meanwhile wallet send bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080 all"
)]
pub(super) struct Send {
    /// To whom
    address: String,
    /// How much, with its unit, or `all`
    amount: String,
    #[command(flatten)]
    dir: Dir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let status: view::Status = self.dir.caller().ask(Request::Status)?;
        if self.json {
            return output::json(&status);
        }
        let connected = if status.connected { "connected" } else { "away" };
        let lsp = status.lsp.map_or("none".to_owned(), |lsp| format!("{lsp}, {connected}"));
        let offer = if status.offer_ready { "yes" } else { "not yet" };
        let rows = [
            ("node", status.node_id),
            ("process", status.pid.to_string()),
            ("height", format!("{} at {}", status.height, status.node)),
            ("service provider", lsp),
            ("payable while off", offer.to_owned()),
            ("payments on their way", status.pending.to_string()),
        ];
        for (name, value) in rows {
            output::line(&format!("{name:<22} {value}"))?;
        }
        Ok(())
    }
}

impl Address {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer: view::Address = self.dir.caller().ask(Request::Address)?;
        if self.json { output::json(&answer) } else { output::line(&answer.address) }
    }
}

impl Balance {
    pub(super) fn run(self) -> Result<(), Failure> {
        let balance: view::Balance = self.dir.caller().ask(Request::Balance)?;
        if self.json {
            return output::json(&balance);
        }
        let rows = [
            ("coins", format!("{} sat", balance.onchain_sat)),
            ("coins, with those not free yet", format!("{} sat", balance.onchain_total_sat)),
            ("in channels", balance.lightning_msat.to_string()),
            ("on their way to others", balance.pending_msat.to_string()),
            ("can be sent now", balance.can_send_msat.to_string()),
            ("can be received now", balance.can_receive_msat.to_string()),
            ("coming back from closed channels", format!("{} sat", balance.closing_sat)),
        ];
        for (name, value) in rows {
            output::line(&format!("{name:<33} {value}"))?;
        }
        Ok(())
    }
}

impl Send {
    pub(super) fn run(self) -> Result<(), Failure> {
        let amount_sat = match self.amount.as_str() {
            "all" => None,
            text => Some(whole_sat(text)?),
        };
        let request = Request::Send { address: self.address, amount_sat };
        let sent: view::Sent = self.dir.caller().ask(request)?;
        if self.json { output::json(&sent) } else { output::line(&sent.txid) }
    }
}

/// An amount of coins, which have no thousandths.
pub(super) fn whole_sat(text: &str) -> Result<u64, Failure> {
    let refuse = |reason: String| Failure::Argument { what: "the amount", reason };
    let amount: Msat =
        text.parse().map_err(|error: payments::MsatError| refuse(error.to_string()))?;
    amount.whole_sat().ok_or_else(|| refuse(format!("`{text}` is finer than a satoshi")))
}
