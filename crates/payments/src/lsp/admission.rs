//! Who is let in: challenges that are good once, and a pace for everybody.
//!
//! Both tables are bounded: what a stranger can make grow ends at [`CHALLENGES_MAX`] and
//! [`SOURCES_MAX`], the oldest entries giving way.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use std::time::Instant;

use ldk_node::bitcoin::secp256k1::PublicKey;

/// How many challenges are open at one time.
const CHALLENGES_MAX: usize = 10_000;
/// How long a challenge is good.
const CHALLENGE_LIFE: Duration = Duration::from_secs(60);
/// How many addresses are counted at one time.
const SOURCES_MAX: usize = 10_000;
/// How many calls an address has at once, and how many more each second.
const CALLS_BURST: u32 = 60;
const CALLS_PER_S: u32 = 10;

/// The challenges that were given out.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    open: BTreeMap<String, (PublicKey, Instant)>,
}

/// How many calls each address has left.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    sources: BTreeMap<IpAddr, (u32, Instant)>,
}

impl Challenges {
    /// Gives one out.
    pub(crate) fn give(&mut self, now: Instant, nonce: String, to: PublicKey) {
        self.open.retain(|_, (_, since)| now.duration_since(*since) < CHALLENGE_LIFE);
        if self.open.len() >= CHALLENGES_MAX {
            let oldest = self.open.iter().min_by_key(|(_, (_, since))| *since);
            if let Some(nonce) = oldest.map(|(nonce, _)| nonce.clone()) {
                self.open.remove(&nonce);
            }
        }
        self.open.insert(nonce, (to, now));
    }

    /// Takes one back: whether it was given to this wallet lately, and not used.
    pub(crate) fn take(&mut self, now: Instant, nonce: &str, from: &PublicKey) -> bool {
        let Some((to, since)) = self.open.remove(nonce) else { return false };
        to == *from && now.duration_since(since) < CHALLENGE_LIFE
    }
}

impl Pace {
    /// Whether an address may call now.
    pub(crate) fn admits(&mut self, now: Instant, source: IpAddr) -> bool {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            let full = Duration::from_secs(u64::from(CALLS_BURST / CALLS_PER_S));
            self.sources.retain(|_, (_, since)| now.duration_since(*since) < full);
            if self.sources.len() >= SOURCES_MAX {
                return false;
            }
        }
        let (left, since) = self.sources.entry(source).or_insert((CALLS_BURST, now));
        let earned = now.duration_since(*since).as_millis() * u128::from(CALLS_PER_S) / 1_000;
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(CALLS_BURST);
            *left = left.saturating_add(earned).min(CALLS_BURST);
            *since = now;
        }
        let admitted = *left > 0;
        *left = left.saturating_sub(1);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use ldk_node::bitcoin::secp256k1::Secp256k1;
    use ldk_node::bitcoin::secp256k1::SecretKey;

    use super::*;

    fn key(byte: u8) -> PublicKey {
        let secret = SecretKey::from_slice(&[byte; 32]).unwrap();
        PublicKey::from_secret_key(&Secp256k1::new(), &secret)
    }

    #[test]
    fn a_challenge_is_good_once_for_its_wallet_and_a_minute() {
        let (mut challenges, now) = (Challenges::default(), Instant::now());
        challenges.give(now, "a".to_owned(), key(1));
        assert!(!challenges.take(now, "a", &key(2)));
        challenges.give(now, "a".to_owned(), key(1));
        assert!(challenges.take(now, "a", &key(1)));
        assert!(!challenges.take(now, "a", &key(1)));
        challenges.give(now, "b".to_owned(), key(1));
        assert!(!challenges.take(now + CHALLENGE_LIFE, "b", &key(1)));
    }

    #[test]
    fn challenges_do_not_grow_without_end() {
        let (mut challenges, now) = (Challenges::default(), Instant::now());
        for number in 0..CHALLENGES_MAX + 10 {
            let later = now + Duration::from_micros(u64::try_from(number).unwrap());
            challenges.give(later, number.to_string(), key(1));
        }
        assert_eq!(challenges.open.len(), CHALLENGES_MAX);
        assert!(!challenges.take(now, "0", &key(1)));
    }

    #[test]
    fn an_address_that_calls_too_often_waits() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let source = IpAddr::from([192, 0, 2, 1]);
        let admitted = (0..1_000).filter(|_| pace.admits(now, source)).count();
        assert_eq!(admitted, usize::try_from(CALLS_BURST).unwrap());
        assert!(pace.admits(now, IpAddr::from([192, 0, 2, 2])));
        let later = now + Duration::from_secs(1);
        let admitted = (0..1_000).filter(|_| pace.admits(later, source)).count();
        assert_eq!(admitted, usize::try_from(CALLS_PER_S).unwrap());
    }
}
