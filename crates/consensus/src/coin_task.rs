//! What of the common coin costs milliseconds, to be done on any thread and in any order.
//!
//! Source: `docs/consensus.md`, Common coin. Recovery is optimistic: a threshold of shares is
//! combined and the result is checked once. Only when that fails are they checked one by one.
//!
//! **Invariant:** an outcome is true whoever carries it and whenever it arrives: only a check makes
//! one, and it names the task and the message that it is about.

use alloc::vec::Vec;

use types::Author;
use types::Committee;
use types::Digest;
use types::KeyError;
use types::Round;
use types::coin;
use types::coin::CoinShare;
use types::coin::CoinSignature;

/// A threshold of shares of distinct authors, to be combined into the common coin of a round.
///
/// Two tasks with the same shares for the same round are equal and have equal outcomes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoinTask {
    round: Round,
    shares: Vec<(Author, CoinShare)>,
}

/// What became of a [`CoinTask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinOutcome {
    pub(crate) task: CoinTask,
    pub(crate) message: Digest,
    pub(crate) found: Found,
}

/// What the shares of a task turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// They make the coin.
    Coin(CoinSignature),
    /// They do not: those of these authors are wrong, and the others' right.
    Wrong(Vec<Author>),
}

/// The common coin of a round, which has been checked: it needs no shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedCoin {
    pub(crate) round: Round,
    pub(crate) message: Digest,
    pub(crate) signature: CoinSignature,
}

impl CoinTask {
    pub(crate) const fn new(round: Round, shares: Vec<(Author, CoinShare)>) -> Self {
        Self { round, shares }
    }

    /// Names shares that no machine has put out: a task proves nothing by itself.
    #[cfg(any(test, feature = "test-utils"))]
    pub const fn new_for_test(round: Round, shares: Vec<(Author, CoinShare)>) -> Self {
        Self::new(round, shares)
    }

    /// The round whose leaders the coin names.
    pub const fn round(&self) -> Round {
        self.round
    }

    /// The shares, of distinct authors.
    pub fn shares(&self) -> &[(Author, CoinShare)] {
        &self.shares
    }

    /// Combines the shares: milliseconds of work that depend on nothing but the task.
    pub fn run(&self, committee: &Committee) -> CoinOutcome {
        let message = committee.coin_message(self.round);
        let found = match coin::recover(&self.shares, &message, committee.coin_group()) {
            Ok(signature) => Found::Coin(signature),
            Err(_) => Found::Wrong(self.wrong(&message, committee)),
        };
        CoinOutcome { task: self.clone(), message, found }
    }

    /// What [`Self::run`] gives, for whoever knows that the shares are right and what the coin is:
    /// whichever right shares are combined, it is the same one. None when it is another round's.
    pub fn known(&self, coin: &VerifiedCoin) -> Option<CoinOutcome> {
        let VerifiedCoin { round, message, signature } = *coin;
        let found = Found::Coin(signature);
        (round == self.round).then(|| CoinOutcome { task: self.clone(), message, found })
    }

    fn wrong(&self, message: &Digest, committee: &Committee) -> Vec<Author> {
        let is_wrong = |(author, share): &&(Author, CoinShare)| {
            let key = committee.validator(*author).map(|validator| &validator.coin_key);
            key.is_none_or(|key| share.verify(message, key).is_err())
        };
        self.shares.iter().filter(is_wrong).map(|(author, _)| *author).collect()
    }
}

impl CoinOutcome {
    /// The round of the task.
    pub const fn round(&self) -> Round {
        self.task.round
    }

    /// The coin, when the shares make it.
    pub const fn coin(&self) -> Option<VerifiedCoin> {
        match self.found {
            Found::Coin(signature) => {
                Some(VerifiedCoin { round: self.task.round, message: self.message, signature })
            }
            Found::Wrong(_) => None,
        }
    }
}

impl VerifiedCoin {
    /// Checks a signature that came ready made, which takes about a millisecond.
    ///
    /// # Errors
    /// When it is not the committee's coin of `round`.
    pub fn verify(
        round: Round,
        signature: CoinSignature,
        committee: &Committee,
    ) -> Result<Self, KeyError> {
        let message = committee.coin_message(round);
        coin::verify_signature(&signature, &message, committee.coin_group())?;
        Ok(Self { round, message, signature })
    }

    /// Checks many, each for a small part of what it costs alone.
    ///
    /// # Errors
    /// Names the round of a signature that is not the committee's coin of that round.
    pub fn verify_all(
        coins: &[(Round, CoinSignature)],
        committee: &Committee,
    ) -> Result<Vec<Self>, (Round, KeyError)> {
        let coin = |&(round, signature): &(Round, CoinSignature)| {
            let message = committee.coin_message(round);
            Self { round, message, signature }
        };
        let coins: Vec<Self> = coins.iter().map(coin).collect();
        let signed: Vec<_> = coins.iter().map(|coin| (coin.message, coin.signature)).collect();
        match coin::verify_signatures(&signed, committee.coin_group()) {
            Ok(()) => Ok(coins),
            Err(wrong) => Err((coins[wrong.index].round, wrong.error)),
        }
    }

    /// The round whose leaders it names.
    pub const fn round(&self) -> Round {
        self.round
    }

    /// The group's signature.
    pub const fn signature(&self) -> CoinSignature {
        self.signature
    }
}
