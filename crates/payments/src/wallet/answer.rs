//! The owner's requests. What is quick is answered at once; what waits for others has a task of its
//! own, so that the wallet goes on meanwhile.

use std::future::Future;
use std::str::FromStr as _;
use std::sync::Arc;

use bitcoin::Network;
use ldk_node::BalanceDetails;
use ldk_node::LightningBalance;
use ldk_node::Node;
use ldk_node::lightning::offers::offer::Amount as OfferAmount;
use ldk_node::lightning::offers::offer::Offer;
use ldk_node::lightning::routing::router::RouteParametersConfig;
use ldk_node::lightning_invoice::Bolt11Invoice;
use ldk_node::lightning_invoice::Bolt11InvoiceDescription;
use ldk_node::lightning_invoice::Description;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::mpsc;

use crate::Msat;
use crate::PaymentsError;
use crate::control::Asked;
use crate::control::Code;
use crate::control::Receive;
use crate::control::Refusal;
use crate::control::Reply;
use crate::control::Request;
use crate::journal::Direction;
use crate::journal::Payment;
use crate::journal::State;

use super::actor::Actor;
use super::actor::now_ms;
use super::actor::refuse;
use super::actor::reply;
use super::view::Address;
use super::view::Balance;
use super::view::Channel;
use super::view::Done;
use super::view::Invoice;
use super::view::Offer as OfferView;
use super::view::Paid;
use super::view::Preview;
use super::view::Sent;
use super::view::Status;

/// How long an invoice is good.
const INVOICE_EXPIRY_S: u32 = 24 * 60 * 60;
/// The most that the provider may keep of a payment that opens a channel, in millionths of a
/// thousandth: 5 %.
const OPENING_FEE_MAX_MSAT_SHARE: u64 = 20;
/// The least opening fee that is always accepted.
const OPENING_FEE_MAX_MSAT_LEAST: u64 = 10_000_000;
/// The most that hops may take: LDK's own bound.
const FEE_SHARE: u64 = 100;
const FEE_BASE_MSAT: u64 = 50_000;

/// What is paid.
enum Target {
    Offer(Box<Offer>),
    Invoice(Box<Bolt11Invoice>),
}

/// A request to pay, read and checked.
struct Order {
    target: Target,
    amount: Msat,
    note: Option<String>,
}

impl Actor {
    /// Answers one request.
    ///
    /// # Errors
    /// Only when a durable write fails; a request that can not be granted is answered so.
    pub(super) fn answer(&mut self, asked: Asked) -> Result<(), PaymentsError> {
        let answers = asked.answers.clone();
        match asked.request {
            Request::Status => reply(&answers, &self.status()),
            Request::Address => give(&answers, self.address()),
            Request::Balance => reply(&answers, &self.balance()),
            Request::Channels => reply(&answers, &self.channels()),
            Request::Payments { follow } => self.payments(&answers, follow),
            Request::Pay { ref to, amount_msat, ref note, preview, again } => {
                match self.order(to, amount_msat, note.clone()) {
                    Ok(order) if preview => give(&answers, self.preview(&order)),
                    Ok(order) => match self.refuse_twice(&order, again) {
                        Ok(()) => self.pay(&answers, &order)?,
                        Err(refusal) => refuse(&asked, refusal),
                    },
                    Err(refusal) => refuse(&asked, refusal),
                }
            }
            Request::Receive(Receive::Offer) => give(&answers, self.offer()),
            Request::Receive(Receive::Invoice { amount_msat, description }) => {
                self.invoice(answers, amount_msat, description);
            }
            Request::Send { address, amount_sat } => self.send(answers, &address, amount_sat),
            Request::OpenChannel { amount_sat } => self.open_channel(answers, amount_sat),
            Request::CloseChannel { channel_id, force } => {
                give(&answers, self.close_channel(&channel_id, force));
            }
            // Taken before it comes here: it ends the loop that asks.
            Request::Stop => refuse(&asked, Refusal::new(Code::Stopping, "stopping")),
        }
        Ok(())
    }

    fn status(&self) -> Status {
        let service = self.service.borrow();
        let pending = self.journal.payments().filter(|one| !one.state.is_end()).count();
        Status {
            node_id: self.node.node_id().to_string(),
            pid: std::process::id(),
            node: self.config.node.clone(),
            height: self.tip.borrow().height,
            lsp: self.config.lsp.as_ref().map(|lsp| lsp.node_id.to_string()),
            connected: service.connected,
            offer_ready: service.offer.is_some(),
            pending,
        }
    }

    fn address(&self) -> Result<Address, Refusal> {
        let address = self.node.onchain_payment().new_address().map_err(refusal)?;
        Ok(Address { address: address.to_string() })
    }

    fn balance(&self) -> Balance {
        let balances = self.node.list_balances();
        let channels = self.channels();
        let sum = |part: fn(&Channel) -> Msat| {
            channels.iter().map(part).fold(Msat::new(0), Msat::saturating_add)
        };
        let usable = |channel: &Channel, amount: Msat| {
            if channel.state == "usable" { amount } else { Msat::new(0) }
        };
        let pending = self
            .journal
            .payments()
            .filter(|one| one.direction == Direction::Outbound && !one.state.is_end());
        let closing = &balances.pending_balances_from_channel_closures;
        Balance {
            onchain_sat: balances.spendable_onchain_balance_sats,
            onchain_total_sat: balances.total_onchain_balance_sats,
            lightning_msat: sum(|channel| channel.balance_msat),
            can_send_msat: channels
                .iter()
                .map(|channel| usable(channel, channel.can_send_msat))
                .fold(Msat::new(0), Msat::saturating_add),
            can_receive_msat: channels
                .iter()
                .map(|channel| usable(channel, channel.can_receive_msat))
                .fold(Msat::new(0), Msat::saturating_add),
            pending_msat: pending
                .map(|one| one.amount_msat)
                .fold(Msat::new(0), Msat::saturating_add),
            closing_sat: closing.iter().map(closing_sat).fold(0, u64::saturating_add),
        }
    }

    fn channels(&self) -> Vec<Channel> {
        let balances = self.node.list_balances();
        self.node.list_channels().iter().map(|one| channel(one, &balances)).collect()
    }

    fn payments(&self, answers: &mpsc::Sender<Reply>, follow: bool) {
        if !follow {
            reply(answers, &self.journal.payments().collect::<Vec<&Payment>>());
            return;
        }
        // Both on this task, so that nothing falls between the list and the news.
        let known: Vec<Payment> = self.journal.payments().cloned().collect();
        tokio::spawn(pass_on(known, self.follow(), answers.clone()));
    }

    fn order(
        &self,
        to: &str,
        amount: Option<Msat>,
        note: Option<String>,
    ) -> Result<Order, Refusal> {
        let to = to.trim().trim_start_matches("lightning:");
        let (target, fixed) = if let Ok(offer) = Offer::from_str(to) {
            let fixed = match offer.amount() {
                Some(OfferAmount::Bitcoin { amount_msats }) => Some(Msat::new(amount_msats)),
                Some(_) => {
                    return Err(Refusal::new(Code::Refused, "the offer counts in a currency"));
                }
                None => None,
            };
            (Target::Offer(Box::new(offer)), fixed)
        } else if let Ok(invoice) = Bolt11Invoice::from_str(to) {
            let fixed = invoice.amount_milli_satoshis().map(Msat::new);
            (Target::Invoice(Box::new(invoice)), fixed)
        } else {
            let refusal = Refusal::new(Code::Malformed, "this is no offer and no invoice");
            return Err(refusal.hint("coins go to an address with `meanwhile wallet send`"));
        };
        let amount = match (amount, fixed) {
            (Some(amount), Some(fixed)) if amount < fixed => {
                return Err(Refusal::new(Code::Refused, format!("{fixed} is asked for")));
            }
            (Some(amount), _) => amount,
            (None, Some(fixed)) => fixed,
            (None, None) => {
                let refusal = Refusal::new(Code::Malformed, "it leaves the amount open");
                return Err(refusal.hint("say how much, for example 5000sat"));
            }
        };
        Ok(Order { target, amount, note })
    }

    /// An offer can be paid again and again; that it is paid twice by mistake while the first payment
    /// is on its way is what is refused here.
    fn refuse_twice(&self, order: &Order, again: bool) -> Result<(), Refusal> {
        let Target::Offer(offer) = &order.target else { return Ok(()) };
        let to = hex::encode(offer.id().0);
        let pending = self.journal.payments().find(|one| {
            one.direction == Direction::Outbound
                && !one.state.is_end()
                && one.amount_msat == order.amount
                && one.to.as_deref() == Some(to.as_str())
        });
        match pending {
            Some(pending) if !again => {
                let state = pending.state.as_str();
                let reason = format!("payment {} of the same is {state}", pending.payment_id);
                Err(Refusal::new(Code::Pending, reason)
                    .hint("wait for it, or say --again if you mean to pay twice"))
            }
            _ => Ok(()),
        }
    }

    fn pay(&mut self, answers: &mpsc::Sender<Reply>, order: &Order) -> Result<(), PaymentsError> {
        let balance = self.balance();
        if balance.can_send_msat < order.amount {
            let can = balance.can_send_msat;
            let refusal = Refusal::new(Code::Funds, format!("{can} can be sent now"));
            let hint = "look at `meanwhile wallet balance`; coins become a channel with \
                        `meanwhile wallet channels open`";
            give::<Paid>(answers, Err(refusal.hint(hint)));
            return Ok(());
        }
        let (id, to, hash) = match &order.target {
            Target::Offer(offer) => {
                let payments = self.node.bolt12_payment();
                let amount = order.amount.value();
                let id = payments.send_using_amount(
                    offer,
                    amount,
                    None,
                    order.note.clone(),
                    fees(amount),
                );
                (id, Some(hex::encode(offer.id().0)), None)
            }
            Target::Invoice(invoice) => {
                let payments = self.node.bolt11_payment();
                let id = match invoice.amount_milli_satoshis() {
                    Some(_) => payments.send(invoice, None),
                    None => payments.send_using_amount(invoice, order.amount.value(), None),
                };
                (id, None, Some(invoice.payment_hash().to_string()))
            }
        };
        let id = match id {
            Ok(id) => hex::encode(id.0),
            Err(error) => {
                give::<Paid>(answers, Err(refusal(error)));
                return Ok(());
            }
        };
        let now = now_ms();
        self.record(Payment {
            payment_id: id.clone(),
            direction: Direction::Outbound,
            amount_msat: order.amount,
            fee_msat: None,
            state: State::Sending,
            claim_by: None,
            payment_hash: hash,
            to,
            reason: None,
            created_ms: now,
            updated_ms: now,
        })?;
        let state = self.journal.payment(&id).map_or(State::Sending, |payment| payment.state);
        reply(answers, &Paid { payment_id: id, state });
        Ok(())
    }

    fn preview(&self, order: &Order) -> Result<Preview, Refusal> {
        let (kind, description) = match &order.target {
            Target::Offer(offer) => ("offer", offer.description().map(|text| text.to_string())),
            Target::Invoice(invoice) => ("invoice", Some(invoice.description().to_string())),
        };
        let channels = self.node.list_channels();
        let first = channels
            .iter()
            .filter(|channel| channel.is_usable)
            .max_by_key(|channel| channel.outbound_capacity_msat);
        let amount = order.amount.value();
        let fee = first.map_or(0, |channel| {
            let base = channel.counterparty_forwarding_info_fee_base_msat.unwrap_or(0);
            let share = channel.counterparty_forwarding_info_fee_proportional_millionths;
            let part = amount.saturating_mul(u64::from(share.unwrap_or(0))) / 1_000_000;
            u64::from(base).saturating_add(part)
        });
        Ok(Preview {
            kind: kind.to_owned(),
            description,
            amount_msat: order.amount,
            fee_msat: Msat::new(fee),
            fee_max_msat: Msat::new(amount / FEE_SHARE + FEE_BASE_MSAT),
            through: first.map(|channel| channel.counterparty_node_id.to_string()),
        })
    }

    fn offer(&self) -> Result<OfferView, Refusal> {
        match &self.service.borrow().offer {
            Some(offer) => Ok(OfferView { offer: offer.clone() }),
            None if self.config.lsp.is_none() => {
                let refusal = Refusal::new(Code::NotReady, "this wallet has no service provider");
                Err(refusal.hint("make one with `meanwhile wallet init --lsp URL`"))
            }
            None => {
                let reason = "the service provider has not taken this wallet's invoice yet";
                Err(Refusal::new(Code::NotReady, reason).hint("ask again in a moment"))
            }
        }
    }

    fn invoice(&self, answers: mpsc::Sender<Reply>, amount: Option<Msat>, description: String) {
        let node = Arc::clone(&self.node);
        let room = self.balance().can_receive_msat;
        apart(answers, move || invoice(&node, amount, description, room));
    }

    fn send(&self, answers: mpsc::Sender<Reply>, address: &str, amount_sat: Option<u64>) {
        let address = bitcoin::Address::from_str(address)
            .and_then(|address| address.require_network(Network::Regtest));
        let address = match address {
            Ok(address) => address,
            Err(error) => {
                let refusal = Refusal::new(Code::Malformed, format!("no address: {error}"));
                give::<Sent>(&answers, Err(refusal));
                return;
            }
        };
        let (node, chain) = (Arc::clone(&self.node), self.chain.clone());
        apart(answers, move || {
            let payment = node.onchain_payment();
            let txid = match amount_sat {
                Some(amount) => payment.send_to_address(&address, amount, None),
                None => payment.send_all_to_address(&address, true, None),
            };
            chain.touch();
            Ok(Sent { txid: txid.map_err(refusal)?.to_string() })
        });
    }

    fn open_channel(&self, answers: mpsc::Sender<Reply>, amount_sat: u64) {
        let Some(lsp) = self.config.lsp.clone() else {
            let refusal = Refusal::new(Code::NotReady, "this wallet has no service provider");
            give::<Done>(&answers, Err(refusal));
            return;
        };
        let node = Arc::clone(&self.node);
        apart(answers, move || {
            let address = lsp.address.into();
            node.open_channel(lsp.node_id, address, amount_sat, None, None).map_err(refusal)?;
            Ok(Done { done: format!("a channel of {amount_sat} sat is being opened") })
        });
    }

    fn close_channel(&self, channel_id: &str, force: bool) -> Result<Done, Refusal> {
        let channels = self.node.list_channels();
        let found = channels.iter().find(|channel| channel.channel_id.to_string() == channel_id);
        let Some(channel) = found else {
            return Err(Refusal::new(Code::NotFound, format!("there is no channel {channel_id}")));
        };
        let (id, peer) = (&channel.user_channel_id, channel.counterparty_node_id);
        let closed = match force {
            true => self.node.force_close_channel(id, peer, None),
            false => self.node.close_channel(id, peer),
        };
        closed.map_err(refusal)?;
        Ok(Done { done: format!("channel {channel_id} is being closed") })
    }
}

/// The bound on what hops may take, which LDK does not set by itself for offers.
fn fees(amount: u64) -> Option<RouteParametersConfig> {
    let most = amount / FEE_SHARE + FEE_BASE_MSAT;
    let bounds = RouteParametersConfig::default().with_max_total_routing_fee_msat(most);
    Some(bounds)
}

/// Makes an invoice; where there is no room to receive so much, one that opens a channel.
fn invoice(
    node: &Node,
    amount: Option<Msat>,
    description: String,
    room: Msat,
) -> Result<Invoice, Refusal> {
    let text = Description::new(description)
        .map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
    let text = Bolt11InvoiceDescription::Direct(text);
    let payments = node.bolt11_payment();
    let opens_channel = amount.is_some_and(|amount| amount > room) || room == Msat::new(0);
    let made = match (amount, opens_channel) {
        (Some(amount), false) => payments.receive(amount.value(), &text, INVOICE_EXPIRY_S),
        (None, false) => payments.receive_variable_amount(&text, INVOICE_EXPIRY_S),
        (Some(amount), true) => {
            let share = amount.value() / OPENING_FEE_MAX_MSAT_SHARE;
            let most = share.max(OPENING_FEE_MAX_MSAT_LEAST);
            payments.receive_via_jit_channel(amount.value(), &text, INVOICE_EXPIRY_S, Some(most))
        }
        (None, true) => {
            payments.receive_variable_amount_via_jit_channel(&text, INVOICE_EXPIRY_S, None)
        }
    };
    Ok(Invoice { invoice: made.map_err(refusal)?.to_string(), opens_channel })
}

fn channel(channel: &ldk_node::ChannelDetails, balances: &BalanceDetails) -> Channel {
    let state = match (channel.is_channel_ready, channel.is_usable) {
        (_, true) => "usable",
        (true, false) => "away",
        (false, false) => "opening",
    };
    let required = channel.confirmations_required.unwrap_or(0);
    Channel {
        channel_id: channel.channel_id.to_string(),
        peer: channel.counterparty_node_id.to_string(),
        funding: channel.funding_txo.map(|outpoint| outpoint.to_string()),
        amount_sat: channel.channel_value_sats,
        balance_msat: balance(channel, balances),
        can_send_msat: Msat::new(channel.next_outbound_htlc_limit_msat),
        can_receive_msat: Msat::new(channel.inbound_capacity_msat),
        state: state.to_owned(),
        confirmations_missing: required.saturating_sub(channel.confirmations.unwrap_or(0)),
    }
}

/// What is ours: what can be sent and the reserve. As long as we have less than the reserve, what we
/// would get if the channel were closed: whole satoshis, and nothing of what is too small for an output.
fn balance(channel: &ldk_node::ChannelDetails, balances: &BalanceDetails) -> Msat {
    if channel.outbound_capacity_msat > 0 {
        let reserve = channel.unspendable_punishment_reserve.unwrap_or(0).saturating_mul(1_000);
        return Msat::new(channel.outbound_capacity_msat.saturating_add(reserve));
    }
    let closed = balances.lightning_balances.iter().find_map(|balance| match balance {
        LightningBalance::ClaimableOnChannelClose { channel_id, amount_satoshis, .. }
            if *channel_id == channel.channel_id =>
        {
            Some(*amount_satoshis)
        }
        _ => None,
    });
    Msat::from_sat(closed.unwrap_or(0)).unwrap_or_default()
}

const fn closing_sat(balance: &ldk_node::PendingSweepBalance) -> u64 {
    use ldk_node::PendingSweepBalance as Pending;
    match balance {
        Pending::PendingBroadcast { amount_satoshis, .. }
        | Pending::BroadcastAwaitingConfirmation { amount_satoshis, .. }
        | Pending::AwaitingThresholdConfirmations { amount_satoshis, .. } => *amount_satoshis,
    }
}

/// Sends what is known, then what happens. One that falls behind is cut off; it asks again.
async fn pass_on(
    known: Vec<Payment>,
    mut news: broadcast::Receiver<Payment>,
    answers: mpsc::Sender<Reply>,
) {
    for payment in known {
        if send(&answers, &payment).await.is_err() {
            return;
        }
    }
    loop {
        let payment = tokio::select! {
            payment = news.recv() => payment,
            () = answers.closed() => return,
        };
        match payment {
            Ok(payment) => {
                if send(&answers, &payment).await.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

async fn send(answers: &mpsc::Sender<Reply>, payment: &Payment) -> Result<(), ()> {
    let value = serde_json::to_value(payment).map_err(|_| ())?;
    answers.send(Reply::Ok(value)).await.map_err(|_| ())
}

/// Answers from a thread that may wait.
fn apart<T: Serialize + Send + 'static>(
    answers: mpsc::Sender<Reply>,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) {
    let work = tokio::task::spawn_blocking(work);
    tokio::spawn(later(answers, work));
}

async fn later<T: Serialize>(
    answers: mpsc::Sender<Reply>,
    work: impl Future<Output = Result<Result<T, Refusal>, tokio::task::JoinError>>,
) {
    let result = work.await;
    give(
        &answers,
        result.unwrap_or_else(|error| Err(Refusal::new(Code::Refused, error.to_string()))),
    );
}

fn give<T: Serialize>(answers: &mpsc::Sender<Reply>, result: Result<T, Refusal>) {
    match result {
        Ok(value) => reply(answers, &value),
        Err(refusal) => {
            answers.try_send(Reply::Error(refusal)).ok();
        }
    }
}

fn refusal(error: ldk_node::NodeError) -> Refusal {
    PaymentsError::from(error).into()
}
