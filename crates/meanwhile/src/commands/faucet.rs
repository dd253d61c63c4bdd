//! `meanwhile faucet`: money on a development network.

use bitcoin::Address;
use bitcoin::address::NetworkUnchecked;
use clap::Args;
use client::api::FaucetAnswer;

use crate::error::Failure;
use crate::output;
use crate::units::Money;

use super::NodeUrl;

/// Get money from the faucet of a development network
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  meanwhile faucet bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080 0.5btc"
)]
pub(crate) struct Arguments {
    /// Who is paid
    address: Address<NetworkUnchecked>,
    /// How much, with its unit: 5000sat, 0.01btc
    amount: Money,
    #[command(flatten)]
    node: NodeUrl,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Asks the faucet and prints the payment's id.
    ///
    /// # Errors
    /// When the node can not be asked, or the faucet can not pay.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let txid = self.node.client()?.faucet(&self.address, self.amount.amount()).await?;
        if self.json {
            output::json(&FaucetAnswer { txid })
        } else {
            output::line(&txid.to_string())
        }
    }
}
