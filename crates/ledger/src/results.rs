//! The Merkle root over outcomes that every sealed block carries.
//!
//! The tree has the shape of RFC 6962: of n leaves the largest power of two below n stands left.
//! Only its peaks are kept, one for each bit of n, so adding a leaf costs no more than a hash or
//! two and the whole accumulator fits into the ledger's state row.
//!
//! Source: `docs/ledger.md`, Results.

use bitcoin::Txid;
use bitcoin::hashes::Hash;
use types::DecodeError;
use types::Digest;
use types::Hasher;
use types::encoding::Decode;
use types::encoding::Encode;
use types::encoding::Reader;
use types::encoding::Writer;

use crate::event::Outcome;

const PEAKS_MAX: usize = 64;

/// Outcomes since the last block, in the order in which they came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Results {
    count: u64,
    /// Roots of complete trees, the largest first, one for each bit of `count`.
    peaks: Vec<Digest>,
}

impl Results {
    /// Adds one outcome.
    pub(crate) fn push(&mut self, txid: &Txid, outcome: &Outcome) {
        let mut root = leaf(txid, outcome);
        let mut carried = self.count;
        while carried & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            root = node(&left, &root);
            carried >>= 1;
        }
        self.peaks.push(root);
        self.count += 1;
    }

    /// The root over everything added.
    pub(crate) fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

/// The root over no outcomes.
pub fn empty_root() -> Digest {
    Hasher::new("meanwhile/ledger/results-empty/v1").finish()
}

fn leaf(txid: &Txid, outcome: &Outcome) -> Digest {
    let hasher = Hasher::new("meanwhile/ledger/result/v1").bytes(txid.as_byte_array());
    match outcome {
        Outcome::Final { commit } => hasher.bytes(&[1]).value(commit),
        Outcome::Rejected { conflict } => hasher.bytes(&[2]).bytes(conflict.as_byte_array()),
    }
    .finish()
}

fn node(left: &Digest, right: &Digest) -> Digest {
    Hasher::new("meanwhile/ledger/results-node/v1").value(left).value(right).finish()
}

impl Encode for Results {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.count);
        writer.list(&self.peaks);
    }
}

impl Decode for Results {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.u64()?;
        let peaks: Vec<Digest> = reader.list("results peaks", PEAKS_MAX)?;
        if u32::try_from(peaks.len()) != Ok(count.count_ones()) {
            return Err(DecodeError::InvalidValue { what: "results peaks" });
        }
        Ok(Self { count, peaks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::CommitIndex;

    fn reference(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            many => {
                let split = many.len().next_power_of_two() / 2;
                node(&reference(&many[..split]), &reference(&many[split..]))
            }
        }
    }

    #[test]
    fn peaks_give_the_root_of_the_whole_tree() {
        let mut results = Results::default();
        let mut leaves = Vec::new();
        for number in 0..70_u8 {
            assert_eq!(results.root(), reference(&leaves), "{number} leaves");
            assert_eq!(Results::from_bytes(&results.to_bytes()), Ok(results.clone()));
            let txid = Txid::from_byte_array([number; 32]);
            let commit = CommitIndex::new(u64::from(number));
            let outcome = match number % 3 {
                0 => Outcome::Rejected { conflict: Txid::from_byte_array([9; 32]) },
                _ => Outcome::Final { commit },
            };
            leaves.push(leaf(&txid, &outcome));
            results.push(&txid, &outcome);
        }
    }
}
