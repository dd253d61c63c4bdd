//! Verdicts that wait for the commit of their transaction.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use bitcoin::Wtxid;

use super::ScriptVerdict;

/// The most verdicts that a cache holds: several seconds of a validator's verification at full
/// load, in some 15 MB.
pub const SCRIPT_CACHE_ENTRIES_MAX: usize = 131_072;

/// Verdicts by wtxid. When it is full, the verdict that came first goes first: losing one costs a
/// second judgement and nothing else.
#[derive(Clone, Debug)]
pub struct ScriptCache {
    verdicts: BTreeMap<Wtxid, ScriptVerdict>,
    arrivals: VecDeque<Wtxid>,
    entries_max: usize,
}

impl Default for ScriptCache {
    fn default() -> Self {
        Self::with_limit(SCRIPT_CACHE_ENTRIES_MAX)
    }
}

impl ScriptCache {
    /// An empty cache that holds [`SCRIPT_CACHE_ENTRIES_MAX`] verdicts.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty cache that holds at most this many verdicts.
    pub fn with_limit(entries_max: usize) -> Self {
        Self { verdicts: BTreeMap::new(), arrivals: VecDeque::new(), entries_max }
    }

    /// What is known of a transaction's scripts.
    pub fn get(&self, wtxid: &Wtxid) -> Option<ScriptVerdict> {
        self.verdicts.get(wtxid).copied()
    }

    /// Keeps a verdict. A second one of the same transaction says the same and changes nothing.
    pub fn insert(&mut self, wtxid: Wtxid, verdict: ScriptVerdict) {
        if self.entries_max == 0 || self.verdicts.contains_key(&wtxid) {
            return;
        }
        while self.verdicts.len() >= self.entries_max {
            let Some(first) = self.arrivals.pop_front() else { break };
            self.verdicts.remove(&first);
        }
        self.verdicts.insert(wtxid, verdict);
        self.arrivals.push_back(wtxid);
    }

    /// How many verdicts it holds.
    pub fn len(&self) -> usize {
        self.verdicts.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;

    use super::*;

    fn wtxid(number: u8) -> Wtxid {
        Wtxid::from_byte_array([number; 32])
    }

    #[test]
    fn the_first_verdict_leaves_first_and_the_bound_holds() {
        let mut cache = ScriptCache::with_limit(2);
        for number in [3, 1, 3, 2] {
            cache.insert(wtxid(number), ScriptVerdict::Valid);
            assert!(cache.len() <= 2);
        }
        assert_eq!(cache.get(&wtxid(3)), None);
        assert_eq!(cache.get(&wtxid(1)), Some(ScriptVerdict::Valid));
        assert_eq!(cache.get(&wtxid(2)), Some(ScriptVerdict::Valid));
    }

    #[test]
    fn a_cache_of_no_size_holds_nothing() {
        let mut cache = ScriptCache::with_limit(0);
        cache.insert(wtxid(1), ScriptVerdict::Valid);
        assert!(cache.is_empty());
    }
}
