//! The common coin of a round is one for all, is the group's, and is known to nobody before an honest
//! share of it is out.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use types::Author;
use types::Round;
use types::coin::CoinSignature;

use super::Verdict;
use super::ensure;

/// What is known of the coins.
#[derive(Debug)]
pub(crate) struct Coins {
    /// How many honest shares make a coin known: f + 1 less those that the adversary has itself.
    honest_needed: usize,
    /// Whose honest shares are out, by the round of the coin.
    shares: BTreeMap<Round, BTreeSet<Author>>,
    known: BTreeMap<Round, CoinSignature>,
}

impl Coins {
    pub(crate) fn new(honest_needed: usize) -> Self {
        Self { honest_needed, shares: BTreeMap::new(), known: BTreeMap::new() }
    }

    /// An honest validator signed a vertex with its share of a round's coin. Says whether an
    /// adversary who has the shares of all who are faulty knows the coin from this moment on.
    pub(crate) fn shared(&mut self, by: Author, round: Round) -> bool {
        let shares = self.shares.entry(round).or_default();
        shares.insert(by) && shares.len() == self.honest_needed.max(1)
    }

    /// An honest validator knows a coin. `right` is what the keys of the group make of the round.
    pub(crate) fn revealed(
        &mut self,
        by: Author,
        round: Round,
        signature: CoinSignature,
        right: &CoinSignature,
    ) -> Verdict {
        let shares = self.shares.get(&round).map_or(0, BTreeSet::len);
        ensure(shares >= self.honest_needed, || {
            format!(
                "unpredictable coin: validator {by} knows that of round {round} after {shares} \
                 honest shares"
            )
        })?;
        let first = *self.known.entry(round).or_insert(signature);
        ensure(first == signature, || {
            format!("one coin: validator {by} differs about round {round}")
        })?;
        ensure(signature == *right, || {
            format!("one coin: that of round {round} at validator {by} is not the group's")
        })
    }

    /// All coins that somebody honest knows.
    pub(crate) const fn known(&self) -> &BTreeMap<Round, CoinSignature> {
        &self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: CoinSignature = CoinSignature::new([1; 48]);
    const WRONG: CoinSignature = CoinSignature::new([2; 48]);

    fn coins() -> Coins {
        let mut coins = Coins::new(2);
        assert!(!coins.shared(Author::new(0), Round::new(5)));
        assert!(!coins.shared(Author::new(0), Round::new(5)), "an author counts once");
        coins
    }

    fn refused(coins: &mut Coins, signature: CoinSignature, right: CoinSignature, word: &str) {
        let by = Author::new(3);
        let violation = coins.revealed(by, Round::new(5), signature, &right).unwrap_err();
        assert!(violation.0.contains(word), "{violation:?}");
    }

    #[test]
    fn a_coin_that_is_known_too_early_is_noticed() {
        let mut coins = coins();
        refused(&mut coins, RIGHT, RIGHT, "unpredictable");
        assert!(coins.shared(Author::new(1), Round::new(5)));
        coins.revealed(Author::new(3), Round::new(5), RIGHT, &RIGHT).unwrap();
    }

    #[test]
    fn two_coins_of_a_round_and_one_that_is_not_the_groups_are_noticed() {
        let mut known = coins();
        known.shared(Author::new(1), Round::new(5));
        refused(&mut known, WRONG, RIGHT, "not the group's");
        let mut known = coins();
        known.shared(Author::new(1), Round::new(5));
        known.revealed(Author::new(2), Round::new(5), RIGHT, &RIGHT).unwrap();
        refused(&mut known, WRONG, WRONG, "differs");
    }
}
