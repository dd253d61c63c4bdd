//! The common coin: shares come in with vertices, the group's signature comes out.
//!
//! Source: `docs/consensus.md`, Common coin. Recovery is optimistic: the first f + 1 shares are
//! combined and the result is checked once. Only when that fails are they checked one by one; who
//! gave a wrong one is passed over from then on, so at most f recoveries ever fail.

use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use types::Author;
use types::Committee;
use types::Digest;
use types::Round;
use types::VertexRef;
use types::coin;
use types::coin::CoinShare;
use types::coin::CoinSignature;

/// What is known of the common coin. One share an author and round is kept: one who sends two
/// different ones is faulty, and f + 1 others are enough.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coin {
    shares: BTreeMap<Round, BTreeMap<Author, Share>>,
    signatures: BTreeMap<Round, CoinSignature>,
    culprits: BTreeSet<Author>,
}

#[derive(Clone, Debug)]
struct Share {
    share: CoinShare,
    vertex: VertexRef,
    proven: bool,
}

/// What an attempt to recover gave.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) signature: Option<CoinSignature>,
    /// The vertices that carry wrong shares.
    pub(crate) wrong: Vec<VertexRef>,
}

impl Coin {
    pub(crate) fn signature(&self, round: Round) -> Option<&CoinSignature> {
        self.signatures.get(&round)
    }

    /// Keeps a signature that has been checked; the shares have served.
    pub(crate) fn keep(&mut self, round: Round, signature: CoinSignature) {
        self.signatures.insert(round, signature);
        self.shares.remove(&round);
    }

    /// Adds the share for `round` that a vertex carries.
    pub(crate) fn add(&mut self, round: Round, share: CoinShare, vertex: VertexRef) {
        if self.signatures.contains_key(&round) || self.culprits.contains(&vertex.author) {
            return;
        }
        let shares = self.shares.entry(round).or_default();
        shares.entry(vertex.author).or_insert(Share { share, vertex, proven: false });
    }

    /// Recovers the signature of `round` when there are shares enough.
    pub(crate) fn recover(&mut self, round: Round, committee: &Committee) -> Recovery {
        let message = committee.coin_message(round);
        let mut recovery = Recovery::default();
        while let Some(chosen) = self.choose(round, committee.quorums().coin_threshold()) {
            if let Ok(signature) = coin::recover(&chosen, &message, committee.coin_group()) {
                recovery.signature = Some(signature);
                break;
            }
            let wrong = self.judge(round, &chosen, &message, committee);
            if wrong.is_empty() {
                // Shares that are all right recover: the committee's keys do not fit each other.
                break;
            }
            recovery.wrong.extend(wrong);
        }
        recovery
    }

    /// A threshold of shares of distinct authors, proven ones first; none when there are too few.
    fn choose(&self, round: Round, threshold: usize) -> Option<Vec<(Author, CoinShare)>> {
        let shares = self.shares.get(&round)?;
        let usable = |proven: bool| {
            shares
                .iter()
                .filter(|(author, _)| !self.culprits.contains(author))
                .filter(move |(_, kept)| kept.proven == proven)
                .map(|(author, kept)| (*author, kept.share))
        };
        let chosen: Vec<_> = usable(true).chain(usable(false)).take(threshold).collect();
        (chosen.len() == threshold).then_some(chosen)
    }

    /// Checks shares one by one and names the vertices that carry the wrong ones.
    fn judge(
        &mut self,
        round: Round,
        chosen: &[(Author, CoinShare)],
        message: &Digest,
        committee: &Committee,
    ) -> Vec<VertexRef> {
        let mut wrong = Vec::new();
        for (author, share) in chosen {
            let Some(validator) = committee.validator(*author) else { continue };
            let kept = self.shares.get_mut(&round).and_then(|shares| shares.get_mut(author));
            let Some(kept) = kept else { continue };
            if kept.proven {
                continue;
            }
            if share.verify(message, &validator.coin_key).is_ok() {
                kept.proven = true;
            } else {
                wrong.push(kept.vertex);
                self.culprits.insert(*author);
            }
        }
        wrong
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shares.len() + self.signatures.len()
    }

    /// Forgets the shares of rounds below `decided_below` and the signatures up to the line.
    pub(crate) fn forget(&mut self, decided_below: Round, line: Round) {
        if self.shares.first_key_value().is_some_and(|(round, _)| *round < decided_below) {
            self.shares = self.shares.split_off(&decided_below);
        }
        if self.signatures.first_key_value().is_some_and(|(round, _)| *round <= line) {
            self.signatures = self.signatures.split_off(&line.next());
        }
    }
}
