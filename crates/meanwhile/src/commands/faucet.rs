//! `meanwhile faucet`: money on a development network, as coins or over Lightning.

use std::str::FromStr as _;

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::address::NetworkUnchecked;
use clap::Args;
use client::api::FaucetAnswer;
use payments::Msat;
use payments::service::GiftRequest;
use payments::service::ServiceClient;

use crate::error::Failure;
use crate::output;

use super::NodeUrl;

/// Get money from the faucet of a development network
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile faucet bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080 \
                  0.5btc\n  meanwhile faucet $(meanwhile wallet receive) 100000sat"
)]
pub(crate) struct Arguments {
    /// Who is paid: an address, or an offer or invoice, which the service provider pays
    to: String,
    /// How much, with its unit: 5000sat, 0.01btc
    amount: Msat,
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
        let client = self.node.client()?;
        let Ok(address) = Address::<NetworkUnchecked>::from_str(&self.to) else {
            // Offers and invoices begin alike; what else there may be is left to whoever pays them.
            if !self.to.to_lowercase().starts_with("ln") {
                let reason = format!("`{}` is no address, offer or invoice", self.to);
                return Err(Failure::Argument { what: "TO", reason });
            }
            return self.over_lightning(client.status().await?.lsps.into_iter().next()).await;
        };
        let sat = self.amount.whole_sat().ok_or_else(|| Failure::Argument {
            what: "AMOUNT",
            reason: "coins have no thousandths of a satoshi".to_owned(),
        })?;
        let txid = client.faucet(&address, Amount::from_sat(sat)).await?;
        if self.json {
            output::json(&FaucetAnswer { txid })
        } else {
            output::line(&txid.to_string())
        }
    }

    async fn over_lightning(&self, lsp: Option<String>) -> Result<(), Failure> {
        let lsp = lsp.ok_or_else(|| Failure::Argument {
            what: "TO",
            reason: "it is no address, and this network has no service provider to pay an offer"
                .to_owned(),
        })?;
        let request = GiftRequest { to: self.to.clone(), amount_msat: self.amount };
        let gift = ServiceClient::new(&lsp)?.gift(&request).await?;
        if self.json { output::json(&gift) } else { output::line(&gift.payment_id) }
    }
}
