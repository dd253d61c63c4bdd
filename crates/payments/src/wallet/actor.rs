//! Owns what the wallet knows: the journal of its payments, and who follows it.
//!
//! It hears of LDK's events, of the chain, of the service provider and of its owner's requests, one at
//! a time. An event of LDK is handled only when the journal has it; until then LDK repeats it.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use ldk_node::Event;
use ldk_node::Node;
use ldk_node::lightning::ln::channelmanager::PaymentId;
use ldk_node::payment::PaymentDetails;
use ldk_node::payment::PaymentDirection;
use ldk_node::payment::PaymentKind;
use ldk_node::payment::PaymentStatus;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::Msat;
use crate::PaymentsError;
use crate::chain::Chain;
use crate::chain::Tip;
use crate::control::Asked;
use crate::control::Code;
use crate::control::Refusal;
use crate::control::Reply;
use crate::control::Request;
use crate::journal::ClaimBy;
use crate::journal::Direction;
use crate::journal::Journal;
use crate::journal::Payment;
use crate::journal::State;
use crate::ldk;

use super::Config;
use super::liaison::Service;
use super::progress::Open;
use super::progress::Watch;
use super::progress::claim_by;
use super::view::Stopped;

/// How often the channels are looked at while a payment is on its way.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a stop waits until what is on its way is held.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How many news wait for a slow follower.
const NEWS_MAX: usize = 1_024;
/// The blocks between two hops' deadlines when the provider did not say.
const DELTA_DEFAULT: u16 = 72;

/// The wallet's task.
pub(super) struct Actor {
    pub(super) config: Config,
    pub(super) node: Arc<Node>,
    pub(super) journal: Journal,
    pub(super) chain: Chain,
    pub(super) tip: watch::Receiver<Tip>,
    pub(super) service: watch::Receiver<Service>,
    news: broadcast::Sender<Payment>,
    watch: Watch,
}

impl Actor {
    pub(super) fn new(
        config: Config,
        node: Arc<Node>,
        journal: Journal,
        chain: Chain,
        service: watch::Receiver<Service>,
    ) -> Result<Self, PaymentsError> {
        let (news, _) = broadcast::channel(NEWS_MAX);
        let tip = chain.tip();
        let watch = Watch::default();
        let mut actor = Self { config, node, journal, chain, tip, service, news, watch };
        // Whatever happened between LDK's last write and ours is made good before anybody asks.
        for details in actor.node.list_payments() {
            actor.take_details(&details, None)?;
        }
        Ok(actor)
    }

    /// Works until told to stop, by a signal or by its owner.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Asked>,
        stop: CancellationToken,
    ) -> Result<(), PaymentsError> {
        let mut clock = interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leaving: Option<(Instant, Option<mpsc::Sender<Reply>>)> = None;
        loop {
            tokio::select! {
                event = self.node.next_event_async() => self.take_event(event)?,
                Some(asked) = requests.recv() => {
                    if let Request::Stop = asked.request {
                        leaving = Some((Instant::now() + DRAIN_MAX, Some(asked.answers)));
                    } else if leaving.is_some() {
                        refuse(&asked, Refusal::new(Code::Stopping, "the daemon is stopping"));
                    } else {
                        self.answer(asked)?;
                    }
                }
                _ = clock.tick() => self.look()?,
                () = stop.cancelled(), if leaving.is_none() => {
                    leaving = Some((Instant::now() + DRAIN_MAX, None));
                }
            }
            if let Some((end, answers)) = &leaving {
                let hurried = self.unsafe_payments();
                if hurried.is_empty() || Instant::now() >= *end {
                    if let Some(answers) = answers {
                        reply(answers, &Stopped { unsafe_payments: hurried });
                    }
                    return Ok(());
                }
            }
        }
    }

    /// The payments for which it is not safe to go offline.
    fn unsafe_payments(&self) -> Vec<String> {
        let sending = self.journal.payments().filter(|one| one.state == State::Sending);
        sending.map(|one| one.payment_id.clone()).collect()
    }

    /// Sends everything that happens to payments from now on.
    pub(super) fn follow(&self) -> broadcast::Receiver<Payment> {
        self.news.subscribe()
    }

    /// Notes what a payment has come to and tells it.
    pub(super) fn record(&mut self, payment: Payment) -> Result<(), PaymentsError> {
        if let Some(news) = self.journal.record(payment)? {
            info!(payment = news.payment_id, state = news.state.as_str(), "payment");
            // Nobody follows, often.
            self.news.send(news).ok();
        }
        Ok(())
    }

    fn take_event(&mut self, event: Event) -> Result<(), PaymentsError> {
        match event {
            Event::PaymentSuccessful { payment_id: Some(id), .. }
            | Event::PaymentReceived { payment_id: Some(id), .. } => {
                self.take_payment(&id, None)?;
            }
            Event::PaymentFailed { payment_id: Some(id), reason, .. } => {
                let reason = reason.map(|reason| ldk::words(&reason));
                self.take_payment(&id, reason)?;
            }
            Event::ChannelReady { channel_id, .. } => info!(%channel_id, "a channel is ready"),
            Event::ChannelClosed { channel_id, reason, .. } => {
                let reason = reason.map(|reason| reason.to_string()).unwrap_or_default();
                info!(%channel_id, reason, "a channel is closed");
                self.chain.touch();
            }
            other => info!(event = ldk::words(&other), "LDK says"),
        }
        self.node.event_handled()?;
        Ok(())
    }

    fn take_payment(&mut self, id: &PaymentId, why: Option<String>) -> Result<(), PaymentsError> {
        match self.node.payment(id) {
            Some(details) => self.take_details(&details, why),
            None => {
                warn!(payment = hex::encode(id.0), "LDK tells of a payment that it does not know");
                Ok(())
            }
        }
    }

    /// Brings the journal up to what LDK knows of a payment.
    fn take_details(
        &mut self,
        details: &PaymentDetails,
        why: Option<String>,
    ) -> Result<(), PaymentsError> {
        let Some(hash) = hash_of(&details.kind) else { return Ok(()) };
        let id = ldk::payment_id(details);
        let known = self.journal.payment(&id);
        let state = match (details.direction, details.status) {
            (PaymentDirection::Outbound, PaymentStatus::Pending) => State::Sending,
            (PaymentDirection::Outbound, PaymentStatus::Succeeded) => State::Claimed,
            (PaymentDirection::Outbound, PaymentStatus::Failed) => match known.map(|one| one.state)
            {
                Some(State::Held) => State::Returned,
                _ => State::Failed,
            },
            (PaymentDirection::Inbound, PaymentStatus::Succeeded) => State::Received,
            // An invoice that waits to be paid, or was not: nothing has happened.
            (PaymentDirection::Inbound, PaymentStatus::Pending | PaymentStatus::Failed) => {
                return Ok(());
            }
        };
        let now = now_ms();
        let direction = match details.direction {
            PaymentDirection::Inbound => Direction::Inbound,
            PaymentDirection::Outbound => Direction::Outbound,
        };
        let payment = Payment {
            payment_id: id,
            direction,
            amount_msat: Msat::new(details.amount_msat.unwrap_or_default()),
            fee_msat: details.fee_paid_msat.map(Msat::new),
            state,
            claim_by: None,
            payment_hash: hash.or_else(|| known.and_then(|known| known.payment_hash.clone())),
            to: known.and_then(|known| known.to.clone()).or_else(|| to_of(&details.kind)),
            reason: why,
            created_ms: known.map_or(now, |known| known.created_ms),
            updated_ms: now,
        };
        self.record(payment)
    }

    /// Looks at the channels for payments that left, while there are any.
    fn look(&mut self) -> Result<(), PaymentsError> {
        let pending = self
            .journal
            .payments()
            .filter(|one| one.direction == Direction::Outbound && !one.state.is_end());
        let pending: Vec<Payment> = pending.cloned().collect();
        if pending.is_empty() {
            return Ok(());
        }
        let open: Vec<Open> = pending.iter().map(open).collect();
        let left = self.watch.look(Instant::now(), &self.node.list_balances(), &open);
        let connected = self.service.borrow().connected;
        let tip = *self.tip.borrow();
        let delta = self.provider_delta();
        for payment in pending {
            let Some(left) = left.get(&payment.payment_id) else { continue };
            if !left.settled || (payment.state == State::Sending && !connected) {
                continue;
            }
            let height = left.expiry.map(|expiry| claim_by(expiry, delta));
            let known = payment.claim_by.map(|known| known.height);
            if payment.state == State::Held && (height == known || height.is_none()) {
                continue;
            }
            let claim_by =
                height.map(|height| ClaimBy { height, about_unix_s: tip.about_unix_s(height) });
            let payment_hash = left.hash.clone().or_else(|| payment.payment_hash.clone());
            let updated_ms = now_ms();
            let held =
                Payment { state: State::Held, claim_by, payment_hash, updated_ms, ..payment };
            self.record(held)?;
        }
        Ok(())
    }

    /// How many blocks lie between our deadline and the provider's.
    pub(super) fn provider_delta(&self) -> u16 {
        let channels = self.node.list_channels();
        let deltas = channels
            .iter()
            .filter_map(|channel| channel.counterparty_forwarding_info_cltv_expiry_delta);
        deltas.max().unwrap_or(DELTA_DEFAULT)
    }
}

fn open(payment: &Payment) -> Open {
    // The hash that was found by the amount is kept; it holds until LDK says otherwise.
    Open {
        payment_id: payment.payment_id.clone(),
        amount: payment.amount_msat,
        hash: payment.payment_hash.clone(),
    }
}

/// The hash of a Lightning payment as far as LDK knows it; none for what is no Lightning payment.
fn hash_of(kind: &PaymentKind) -> Option<Option<String>> {
    match kind {
        PaymentKind::Onchain { .. } => None,
        PaymentKind::Bolt11 { hash, .. }
        | PaymentKind::Bolt11Jit { hash, .. }
        | PaymentKind::Spontaneous { hash, .. } => Some(Some(hex::encode(hash.0))),
        PaymentKind::Bolt12Offer { hash, .. } | PaymentKind::Bolt12Refund { hash, .. } => {
            Some(hash.map(|hash| hex::encode(hash.0)))
        }
    }
}

/// What was paid, where it can be paid again.
fn to_of(kind: &PaymentKind) -> Option<String> {
    match kind {
        PaymentKind::Bolt12Offer { offer_id, .. } => Some(hex::encode(offer_id.0)),
        _ => None,
    }
}

pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Answers with a value. A caller that is gone is not missed.
pub(super) fn reply<T: Serialize>(answers: &mpsc::Sender<Reply>, value: &T) {
    let reply = match serde_json::to_value(value) {
        Ok(value) => Reply::Ok(value),
        Err(error) => Reply::Error(Refusal::new(Code::Refused, error.to_string())),
    };
    answers.try_send(reply).ok();
}

/// Answers that it can not be done.
pub(super) fn refuse(asked: &Asked, refusal: Refusal) {
    asked.answers.try_send(Reply::Error(refusal)).ok();
}
