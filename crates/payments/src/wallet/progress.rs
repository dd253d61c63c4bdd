//! Finds out which payments the service provider holds.
//!
//! LDK tells when a payment has ended, and nothing before. But the channel's own state shows each
//! payment that left: once it is in *our* commitment transaction, the provider has given up the state
//! before it (which is what makes LDK tell the recipient), and has signed the next one. What is left
//! then is to send our side's answer and the message to the recipient, which takes a moment
//! ([`SETTLE`]); a wallet that leaves within it may strand the payment, though never the money.
//!
//! Source: BOLT 2, Forwarding HTLCs; `internal_revoke_and_ack` in LDK.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use ldk_node::BalanceDetails;
use ldk_node::LightningBalance;
use ldk_node::lightning::chain::channelmonitor::HTLC_FAIL_BACK_BUFFER;
use tokio::time::Instant;

use crate::Msat;

/// How long the commitment stands before the payment counts as held.
const SETTLE: Duration = Duration::from_millis(1_000);
/// How much more than the amount an HTLC may carry for the fees of the way: a hundredth and 50 sat,
/// which is the most that LDK pays.
const FEE_SHARE: u64 = 100;
const FEE_BASE_MSAT: u64 = 50_000;

/// A payment of which LDK has told no end.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    /// What names it.
    pub(crate) payment_id: String,
    /// How much the recipient gets.
    pub(crate) amount: Msat,
    /// Its hash, where it is known.
    pub(crate) hash: Option<String>,
}

/// A payment that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Its hash.
    pub(crate) hash: Option<String>,
    /// The height at which our channel's part of it runs out.
    pub(crate) expiry: Option<u32>,
    /// Whether it has stood long enough.
    pub(crate) settled: bool,
}

/// An HTLC of ours in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Htlc {
    hash: String,
    amount_sat: u64,
    expiry: u32,
}

/// What was seen of open payments so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen: BTreeMap<String, Instant>,
    hashes: BTreeMap<String, String>,
}

/// The last height at which a held payment can still be claimed: the provider gives it back
/// [`HTLC_FAIL_BACK_BUFFER`] blocks before its own deadline, which is `delta` before ours.
pub(crate) fn claim_by(expiry: u32, delta: u16) -> u32 {
    expiry.saturating_sub(u32::from(delta)).saturating_sub(HTLC_FAIL_BACK_BUFFER + 1)
}

impl Watch {
    /// Looks at the channels and says of every open payment that left. `open` has the oldest first.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        balances: &BalanceDetails,
        open: &[Open],
    ) -> BTreeMap<String, Left> {
        let (htlcs, small) = outgoing(balances);
        self.assign(&htlcs, open);
        let mut left = BTreeMap::new();
        let mut small = small;
        for payment in open {
            let hash = payment.hash.as_ref().or_else(|| self.hashes.get(&payment.payment_id));
            let htlc = hash.and_then(|hash| htlcs.iter().find(|htlc| htlc.hash == *hash));
            // What is too small for an output of its own shows in a sum only.
            let dust = htlc.is_none() && small >= payment.amount.value();
            if htlc.is_none() && !dust {
                self.seen.remove(&payment.payment_id);
                continue;
            }
            if dust {
                small -= payment.amount.value();
            }
            let since = *self.seen.entry(payment.payment_id.clone()).or_insert(now);
            let settled = now.duration_since(since) >= SETTLE;
            let expiry = htlc.map(|htlc| htlc.expiry);
            let hash = htlc.map(|htlc| htlc.hash.clone());
            left.insert(payment.payment_id.clone(), Left { hash, expiry, settled });
        }
        let known: BTreeSet<&str> = open.iter().map(|one| one.payment_id.as_str()).collect();
        self.seen.retain(|id, _| known.contains(id.as_str()));
        self.hashes.retain(|id, _| known.contains(id.as_str()));
        left
    }

    /// Gives every payment to an offer the HTLC that carries its amount and the least more. Payments of
    /// one amount are told apart only when they end, and are alike until then.
    fn assign(&mut self, htlcs: &[Htlc], open: &[Open]) {
        let named = open.iter().filter_map(|payment| payment.hash.clone());
        let mut taken: BTreeSet<String> = named.chain(self.hashes.values().cloned()).collect();
        for payment in open {
            if payment.hash.is_some() || self.hashes.contains_key(&payment.payment_id) {
                continue;
            }
            let least = payment.amount.floor_sat();
            let fee = (payment.amount.value() / FEE_SHARE).saturating_add(FEE_BASE_MSAT);
            let most = payment.amount.saturating_add(Msat::new(fee)).floor_sat();
            let fits = |htlc: &&Htlc| {
                (least..=most).contains(&htlc.amount_sat) && !taken.contains(&htlc.hash)
            };
            let best = htlcs.iter().filter(fits).min_by_key(|htlc| (htlc.amount_sat, htlc.expiry));
            if let Some(htlc) = best {
                taken.insert(htlc.hash.clone());
                self.hashes.insert(payment.payment_id.clone(), htlc.hash.clone());
            }
        }
    }
}

/// The HTLCs that we offered in open channels, and the sum of those too small to be listed.
fn outgoing(balances: &BalanceDetails) -> (Vec<Htlc>, u64) {
    let mut htlcs = Vec::new();
    let mut small = 0_u64;
    for balance in &balances.lightning_balances {
        match balance {
            LightningBalance::MaybeTimeoutClaimableHTLC {
                amount_satoshis,
                claimable_height,
                payment_hash,
                outbound_payment: true,
                ..
            } => htlcs.push(Htlc {
                hash: hex::encode(payment_hash.0),
                amount_sat: *amount_satoshis,
                expiry: *claimable_height,
            }),
            LightningBalance::ClaimableOnChannelClose {
                outbound_payment_htlc_rounded_msat,
                ..
            } => small = small.saturating_add(*outbound_payment_htlc_rounded_msat),
            _ => {}
        }
    }
    (htlcs, small)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn htlc(hash: &str, amount_sat: u64, expiry: u32) -> Htlc {
        Htlc { hash: hash.to_owned(), amount_sat, expiry }
    }

    fn open(name: &str, sat: u64) -> Open {
        Open { payment_id: name.to_owned(), amount: Msat::from_sat(sat).unwrap(), hash: None }
    }

    #[test]
    fn each_payment_gets_the_htlc_that_carries_its_amount() {
        let mut watch = Watch::default();
        let payments = [open("a", 5_000), open("b", 5_000), open("c", 700), open("d", 90_000)];
        let htlcs = [htlc("x", 701, 9), htlc("y", 5_006, 9), htlc("z", 5_006, 8)];
        watch.assign(&htlcs, &payments);
        assert_eq!(watch.hashes["a"], "z");
        assert_eq!(watch.hashes["b"], "y");
        assert_eq!(watch.hashes["c"], "x");
        assert!(!watch.hashes.contains_key("d"));
    }

    #[test]
    fn an_assignment_stays_while_others_come_and_go() {
        let mut watch = Watch::default();
        watch.assign(&[htlc("x", 5_001, 9)], &[open("a", 5_000)]);
        watch.assign(&[htlc("x", 5_001, 9), htlc("w", 5_000, 9)], &[open("a", 5_000)]);
        assert_eq!(watch.hashes["a"], "x");
    }

    #[test]
    fn the_deadline_leaves_the_provider_its_own() {
        assert_eq!(claim_by(300, 72), 300 - 72 - HTLC_FAIL_BACK_BUFFER - 1);
        assert_eq!(claim_by(3, 72), 0);
    }
}
