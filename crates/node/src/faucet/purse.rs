//! Which coins the faucet may spend now: pure, so that its rules can be tested without a node.
//!
//! **Invariants.** A coin is given out once; it comes back only when the payment that took it was
//! refused. A genesis coin belongs to one validator by its outpoint. Memory is bounded by
//! [`COINS_MAX`] free coins and [`TAKEN_MAX`] taken ones.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::hashes::Hash as _;
use bitcoin::hashes::sha256;
use types::Author;
use types::Moment;
use types::Span;

use super::FaucetError;
use super::keys::Coin;
use super::keys::Keys;
use super::keys::Owner;

/// The most free coins that are kept in memory; the rest stays in the store until they run out.
pub(crate) const COINS_MAX: usize = 4_096;
/// The most coins that are remembered as taken.
pub(crate) const TAKEN_MAX: usize = 65_536;
/// The most inputs of one payment.
pub(crate) const INPUTS_MAX: usize = 64;
/// A taken coin that the ledger still shows as unspent after this time is free again: the payment
/// that took it got lost.
const TAKEN_SPAN: Span = Span::from_millis(120_000);

/// The faucet's coins.
#[derive(Debug)]
pub(crate) struct Purse {
    own: Author,
    validators: u16,
    // Largest first out: few inputs, and dust is never touched while there is money.
    free: BTreeSet<(Amount, Coin)>,
    // Change of payments that are accepted and not final yet: the second choice, since a payment
    // that spends it depends on its parent.
    young: BTreeSet<(Amount, Coin)>,
    taken: BTreeMap<OutPoint, Moment>,
}

impl Purse {
    /// An empty purse for one of `validators` faucets that share the genesis coins.
    pub(crate) fn new(own: Author, validators: u16) -> Self {
        Self {
            own,
            validators: validators.max(1),
            free: BTreeSet::new(),
            young: BTreeSet::new(),
            taken: BTreeMap::new(),
        }
    }

    /// Which validator's faucet this is.
    pub(crate) fn own(&self) -> Author {
        self.own
    }

    /// Whether a coin is this faucet's to spend.
    pub(crate) fn owns(&self, coin: &Coin) -> bool {
        if coin.owner == Owner::Change {
            return true;
        }
        let bytes = bitcoin::consensus::serialize(&coin.outpoint);
        let hash = sha256::Hash::hash(&bytes).to_byte_array();
        let number = u16::from_le_bytes([hash[0], hash[1]]);
        number % self.validators == self.own.value()
    }

    /// Takes in coins that the ledger shows as final and unspent.
    pub(crate) fn learn(&mut self, now: Moment, coins: impl IntoIterator<Item = Coin>) {
        self.taken.retain(|_, since| now.since(*since) < TAKEN_SPAN);
        for coin in coins {
            if self.free.len() >= COINS_MAX {
                break;
            }
            if self.owns(&coin) && !self.taken.contains_key(&coin.outpoint) {
                self.young.remove(&(coin.value, coin));
                self.free.insert((coin.value, coin));
            }
        }
    }

    /// Whether so little is left that the store should be asked.
    pub(crate) fn is_low(&self) -> bool {
        self.free.is_empty()
    }

    /// Takes coins that cover `amount` and the fee of paying `script`, or none of them.
    ///
    /// # Errors
    /// When there is not enough, or too many small coins would be needed, or too many payments
    /// are under way.
    pub(crate) fn take(
        &mut self,
        now: Moment,
        amount: Amount,
        script: &ScriptBuf,
    ) -> Result<Vec<Coin>, FaucetError> {
        if self.taken.len() + INPUTS_MAX > TAKEN_MAX {
            return Err(FaucetError::Busy);
        }
        let mut coins = Vec::new();
        let mut total = Amount::ZERO;
        for (value, coin) in self.free.iter().rev().chain(self.young.iter().rev()) {
            let Some(needed) = amount.checked_add(Keys::fee(coins.len(), script)) else {
                return Err(FaucetError::Empty);
            };
            if total >= needed && !coins.is_empty() {
                break;
            }
            if coins.len() == INPUTS_MAX {
                return Err(FaucetError::Empty);
            }
            coins.push(*coin);
            total = total.checked_add(*value).ok_or(FaucetError::Empty)?;
        }
        let needed = amount.checked_add(Keys::fee(coins.len(), script));
        if needed.is_none_or(|needed| total < needed) {
            return Err(FaucetError::Empty);
        }
        for coin in &coins {
            self.free.remove(&(coin.value, *coin));
            self.young.remove(&(coin.value, *coin));
            self.taken.insert(coin.outpoint, now);
        }
        Ok(coins)
    }

    /// Takes back the coins of a payment that was refused.
    pub(crate) fn put_back(&mut self, coins: &[Coin]) {
        for coin in coins {
            self.taken.remove(&coin.outpoint);
            self.young.insert((coin.value, *coin));
        }
    }

    /// Takes in the change of a payment that was accepted.
    pub(crate) fn change(&mut self, coin: Coin) {
        let known = self.taken.contains_key(&coin.outpoint)
            || self.free.contains(&(coin.value, coin))
            || self.young.len() >= COINS_MAX;
        if !known {
            self.young.insert((coin.value, coin));
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Txid;

    use super::*;

    const NOW: Moment = Moment::new(1);

    fn coin(value: u64, number: u8) -> Coin {
        let outpoint = OutPoint { txid: Txid::from_byte_array([number; 32]), vout: 0 };
        Coin { outpoint, value: Amount::from_sat(value), owner: Owner::Taproot }
    }

    fn script() -> ScriptBuf {
        ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::all_zeros())
    }

    #[test]
    fn a_coin_is_given_out_once_and_comes_back_only_after_a_refusal() {
        let mut purse = Purse::new(Author::ZERO, 1);
        purse.learn(NOW, [coin(50_000, 1)]);
        let amount = Amount::from_sat(10_000);
        let taken = purse.take(NOW, amount, &script()).unwrap();
        assert_eq!(taken, [coin(50_000, 1)]);
        assert_eq!(purse.take(NOW, amount, &script()), Err(FaucetError::Empty));
        // The ledger still shows it while the payment is under way.
        purse.learn(NOW, [coin(50_000, 1)]);
        assert_eq!(purse.take(NOW, amount, &script()), Err(FaucetError::Empty));
        purse.put_back(&taken);
        assert_eq!(purse.take(NOW, amount, &script()), Ok(taken));
    }

    #[test]
    fn final_coins_go_before_fresh_change() {
        let mut purse = Purse::new(Author::ZERO, 1);
        purse.change(Coin { owner: Owner::Change, ..coin(90_000, 2) });
        purse.learn(NOW, [coin(20_000, 1)]);
        let taken = purse.take(NOW, Amount::from_sat(10_000), &script()).unwrap();
        assert_eq!(taken, [coin(20_000, 1)]);
    }

    #[test]
    fn many_coins_cover_a_large_amount_and_nothing_is_taken_when_they_do_not() {
        let mut purse = Purse::new(Author::ZERO, 1);
        purse.learn(NOW, [coin(20_000, 1), coin(20_000, 2), coin(20_000, 3)]);
        assert_eq!(purse.take(NOW, Amount::from_sat(70_000), &script()), Err(FaucetError::Empty));
        assert_eq!(purse.take(NOW, Amount::from_sat(50_000), &script()).unwrap().len(), 3);
    }

    #[test]
    fn every_genesis_coin_has_one_owner_among_the_validators() {
        let purses: Vec<Purse> = (0..4).map(|author| Purse::new(Author::new(author), 4)).collect();
        for number in 0..=255 {
            let owners = purses.iter().filter(|purse| purse.owns(&coin(1, number))).count();
            assert_eq!(owners, 1);
        }
        let change = Coin { owner: Owner::Change, ..coin(1, 1) };
        assert!(purses.iter().all(|purse| purse.owns(&change)));
    }

    #[test]
    fn a_payment_that_got_lost_gives_its_coins_back_in_time() {
        let mut purse = Purse::new(Author::ZERO, 1);
        purse.learn(NOW, [coin(50_000, 1)]);
        purse.take(NOW, Amount::from_sat(10_000), &script()).unwrap();
        let later = NOW.after(TAKEN_SPAN);
        purse.learn(later, [coin(50_000, 1)]);
        assert!(purse.take(later, Amount::from_sat(10_000), &script()).is_ok());
    }
}
