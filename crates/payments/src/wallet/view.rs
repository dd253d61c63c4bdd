//! What a wallet's daemon answers, as commands print it.

use serde::Deserialize;
use serde::Serialize;

use crate::Msat;

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The wallet's Lightning node.
    pub node_id: String,
    /// The daemon's process.
    pub pid: u32,
    /// The node that it asks about the chain.
    pub node: String,
    /// The height of the last block that it knows of.
    pub height: u32,
    /// The service provider, where there is one.
    pub lsp: Option<String>,
    /// Whether the provider is connected.
    pub connected: bool,
    /// Whether this wallet can be paid while it is off.
    pub offer_ready: bool,
    /// How many payments are on their way.
    pub pending: usize,
}

/// An address for coins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// It.
    pub address: String,
}

/// What the wallet owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Coins that can be spent now.
    pub onchain_sat: u64,
    /// All coins, those in reserve or unsealed included.
    pub onchain_total_sat: u64,
    /// What is ours in channels.
    pub lightning_msat: Msat,
    /// How much can be paid over Lightning now.
    pub can_send_msat: Msat,
    /// How much can be received over Lightning now.
    pub can_receive_msat: Msat,
    /// What is on its way to others.
    pub pending_msat: Msat,
    /// What closed channels are still giving back.
    pub closing_sat: u64,
}

/// Coins are on their way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The transaction.
    pub txid: String,
}

/// A reusable way to be paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// It.
    pub offer: String,
}

/// A way to be paid once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// It.
    pub invoice: String,
    /// Whether a channel comes with the payment, out of which the provider takes its fee.
    pub opens_channel: bool,
}

/// A payment has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// What names it.
    pub payment_id: String,
    /// What it has come to.
    pub state: crate::journal::State,
}

/// What a payment would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// `offer` or `invoice`.
    pub kind: String,
    /// What the recipient says it is for.
    pub description: Option<String>,
    /// How much the recipient gets.
    pub amount_msat: Msat,
    /// What the first hop takes. Hops behind it are found when it is paid.
    pub fee_msat: Msat,
    /// The most that all hops together may take.
    pub fee_max_msat: Msat,
    /// Through whom it goes.
    pub through: Option<String>,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// What names it.
    pub channel_id: String,
    /// Who is at the other end.
    pub peer: String,
    /// Its transaction and output.
    pub funding: Option<String>,
    /// How large it is.
    pub amount_sat: u64,
    /// What is ours in it.
    pub balance_msat: Msat,
    /// How much can be sent through it now.
    pub can_send_msat: Msat,
    /// How much can be received through it now.
    pub can_receive_msat: Msat,
    /// `usable`, `away` while the other end is, or `opening`.
    pub state: String,
    /// How many blocks it still waits for.
    pub confirmations_missing: u32,
}

/// Something was done that has no more to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What was done.
    pub done: String,
}

/// The daemon has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The payments for which it was not safe to stop yet: they may be lost, the money is not.
    pub unsafe_payments: Vec<String>,
}
