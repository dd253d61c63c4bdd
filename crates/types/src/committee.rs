//! Who the validators are, and every quorum that follows from their number.

use alloc::vec::Vec;

use crate::bls;
use crate::coin;
use crate::digest::Digest;
use crate::error::KeyError;
use crate::ids::Author;
use crate::ids::Epoch;
use crate::keys::PublicKey;

/// The most validators that a committee may have.
pub const VALIDATORS_MAX: usize = 256;

/// The numbers that follow from n. **Invariant:** a quorum is n - f; writing 2f + 1 is wrong for
/// every n that is not 3f + 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorums {
    validators: u16,
}

/// What everybody knows about one validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Signs its vertices.
    pub vertex_key: PublicKey,
    /// Identifies its node on the network.
    pub transport_key: PublicKey,
    /// Signs checkpoints; its possession has been proven.
    pub checkpoint_key: bls::PublicKey,
    /// Judges its shares of the common coin.
    pub coin_key: bls::PublicKey,
}

/// The validators of one epoch of one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    chain: Digest,
    epoch: Epoch,
    quorums: Quorums,
    validators: Vec<Validator>,
    coin_group: bls::PublicKey,
}

impl Quorums {
    /// The quorums of `validators` members.
    pub const fn new(validators: u16) -> Self {
        Self { validators }
    }

    /// n.
    pub const fn validators(self) -> u16 {
        self.validators
    }

    /// f: how many may be down or hostile.
    pub const fn faults(self) -> u16 {
        self.validators.saturating_sub(1) / 3
    }

    /// Q = n - f: how many votes, certificates or parents make a decision.
    pub fn quorum(self) -> usize {
        usize::from(self.validators - self.faults())
    }

    /// t = f + 1: how many shares make the common coin, at least one of them honest.
    pub fn coin_threshold(self) -> usize {
        usize::from(self.faults()) + 1
    }
}

impl Committee {
    /// Puts a committee together.
    ///
    /// # Errors
    /// When it has no member or more than [`VALIDATORS_MAX`].
    pub fn new(
        chain: Digest,
        epoch: Epoch,
        validators: Vec<Validator>,
        coin_group: bls::PublicKey,
    ) -> Result<Self, KeyError> {
        let size = KeyError::CommitteeSize { actual: validators.len(), max: VALIDATORS_MAX };
        if validators.is_empty() || validators.len() > VALIDATORS_MAX {
            return Err(size);
        }
        let quorums = Quorums::new(u16::try_from(validators.len()).map_err(|_| size)?);
        Ok(Self { chain, epoch, quorums, validators, coin_group })
    }

    /// The network.
    pub const fn chain(&self) -> &Digest {
        &self.chain
    }

    /// The epoch.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The quorums.
    pub const fn quorums(&self) -> Quorums {
        self.quorums
    }

    /// n, as a length.
    pub fn size(&self) -> usize {
        self.validators.len()
    }

    /// Every author, ascending.
    pub fn authors(&self) -> impl DoubleEndedIterator<Item = Author> + ExactSizeIterator + use<> {
        (0..self.quorums.validators()).map(Author::new)
    }

    /// One member, or none when there is no such author.
    pub fn validator(&self, author: Author) -> Option<&Validator> {
        self.validators.get(author.index())
    }

    /// Every member, by author.
    pub fn validators(&self) -> &[Validator] {
        &self.validators
    }

    /// The key that judges the common coin.
    pub const fn coin_group(&self) -> &bls::PublicKey {
        &self.coin_group
    }

    /// What the common coin of `round` signs.
    pub fn coin_message(&self, round: crate::ids::Round) -> Digest {
        coin::coin_message(&self.chain, self.epoch, round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_follow_n_minus_f() {
        let rows = [(1, 0, 1, 1), (3, 0, 3, 1), (4, 1, 3, 2), (5, 1, 4, 2), (6, 1, 5, 2)];
        for (n, f, quorum, threshold) in rows.into_iter().chain([(7, 2, 5, 3), (10, 3, 7, 4)]) {
            let quorums = Quorums::new(n);
            assert_eq!(quorums.faults(), f, "n = {n}");
            assert_eq!(quorums.quorum(), quorum, "n = {n}");
            assert_eq!(quorums.coin_threshold(), threshold, "n = {n}");
            // Two quorums share an honest validator.
            assert!(2 * quorum > usize::from(n + f), "n = {n}");
        }
    }
}
