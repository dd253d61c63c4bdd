//! Paying, being paid, and watching both.

use std::io;
use std::io::IsTerminal as _;

use clap::Args;
use payments::Msat;
use payments::PaymentsError;
use payments::control;
use payments::control::Request;
use payments::journal::Payment;
use payments::journal::State;
use payments::wallet;
use payments::wallet::view;

use crate::error::Failure;
use crate::output;

use super::Dir;
use super::show;

/// Print a reusable offer, good while this wallet is off; or an invoice for one payment
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile wallet receive\n  meanwhile wallet receive --invoice \
                  5000sat --description tea"
)]
pub(super) struct Receive {
    /// An invoice instead: for so much, or `any`; this wallet has to be on for it
    #[arg(long, value_name = "AMOUNT")]
    invoice: Option<String>,
    /// What the payer reads on the invoice
    #[arg(long, default_value = "", requires = "invoice")]
    description: String,
    #[command(flatten)]
    dir: Dir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Pay an offer or an invoice; returns at once
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile wallet pay lno1... 5000sat\n  meanwhile wallet pay lno1... \
                  5000sat --preview\n  meanwhile wallet pay lno1... 5000sat --follow"
)]
pub(super) struct Pay {
    /// The offer or invoice
    to: String,
    /// How much, with its unit, where the offer or invoice leaves it open
    amount: Option<Msat>,
    /// A word to the recipient
    #[arg(long)]
    note: Option<String>,
    /// Only say what it would cost
    #[arg(long, conflicts_with = "follow")]
    preview: bool,
    /// Pay although the same is on its way already
    #[arg(long)]
    again: bool,
    /// Wait until it has come to its end
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    dir: Dir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List payments and what they have come to
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile wallet payments\n  meanwhile wallet payments --follow --json"
)]
pub(super) struct Payments {
    /// Go on with what happens from now on, until interrupted
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    dir: Dir,
    /// Print JSON; with `--follow` one payment a line
    #[arg(long)]
    json: bool,
}

impl Receive {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(amount) = &self.invoice else { return self.offer() };
        let amount_msat = match amount.as_str() {
            "any" => None,
            text => Some(text.parse().map_err(|error: payments::MsatError| Failure::Argument {
                what: "--invoice",
                reason: error.to_string(),
            })?),
        };
        let description = self.description.clone();
        let request = Request::Receive(control::Receive::Invoice { amount_msat, description });
        let answer: view::Invoice = self.dir.caller().ask(request)?;
        if self.json {
            return output::json(&answer);
        }
        print(&answer.invoice)?;
        if answer.opens_channel {
            output::say("A channel comes with the payment; the provider keeps its fee for it.");
        }
        Ok(())
    }

    fn offer(&self) -> Result<(), Failure> {
        let asked = self.dir.caller().ask(Request::Receive(control::Receive::Offer));
        // An offer is good while the wallet is off, so it is told then too.
        let answer: view::Offer = match (asked, wallet::stored_offer(&self.dir.path())) {
            (Err(PaymentsError::NotRunning { .. }), Some(offer)) => view::Offer { offer },
            (asked, _) => asked?,
        };
        if self.json { output::json(&answer) } else { print(&answer.offer) }
    }
}

impl Pay {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { to, amount, note, preview, again, follow, dir, json } = self;
        let caller = dir.caller();
        let request = Request::Pay { to, amount_msat: amount, note, preview, again };
        if preview {
            let preview: view::Preview = caller.ask(request)?;
            return if json { output::json(&preview) } else { show_preview(&preview) };
        }
        let paid: view::Paid = caller.ask(request)?;
        if !follow {
            return if json { output::json(&paid) } else { output::line(&paid.payment_id) };
        }
        let mut news = caller.follow(Request::Payments { follow: true })?;
        while let Some(payment) = news.next_answer::<Payment>()? {
            if payment.payment_id != paid.payment_id {
                continue;
            }
            if json {
                output::json(&payment)?;
            } else {
                output::line(&show::payment(&payment))?;
            }
            match payment.state {
                State::Claimed => return Ok(()),
                state if state.is_end() => {
                    let reason = payment.reason.map(|why| format!(": {why}")).unwrap_or_default();
                    let (payment_id, state) = (payment.payment_id, state.as_str());
                    return Err(Failure::Unpaid { payment_id, state, reason });
                }
                _ => {}
            }
        }
        Err(PaymentsError::NotRunning { dir: dir.path() }.into())
    }
}

impl Payments {
    pub(super) fn run(self) -> Result<(), Failure> {
        let caller = self.dir.caller();
        if !self.follow {
            let payments: Vec<Payment> = caller.ask(Request::Payments { follow: false })?;
            if self.json {
                return output::json(&payments);
            }
            return payments.iter().try_for_each(|one| output::line(&show::payment(one)));
        }
        let mut news = caller.follow(Request::Payments { follow: true })?;
        while let Some(payment) = news.next_answer::<Payment>()? {
            if self.json {
                output::json(&payment)?;
            } else {
                output::line(&show::payment(&payment))?;
            }
        }
        Ok(())
    }
}

fn print(text: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal()
        && let Some(code) = show::code(text)
    {
        output::line(&code)?;
    }
    output::line(text)
}

fn show_preview(preview: &view::Preview) -> Result<(), Failure> {
    let rows = [
        ("kind", preview.kind.clone()),
        ("for", preview.description.clone().unwrap_or_default()),
        ("amount", preview.amount_msat.to_string()),
        ("fee of the first hop", preview.fee_msat.to_string()),
        ("fee of all hops, at most", preview.fee_max_msat.to_string()),
        ("through", preview.through.clone().unwrap_or_default()),
    ];
    for (name, value) in rows {
        output::line(&format!("{name:<25} {value}"))?;
    }
    Ok(())
}
