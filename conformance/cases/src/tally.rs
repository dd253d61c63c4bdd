//! Counts cases, and names every one that did not pass.

use std::collections::BTreeMap;

/// What became of the cases of one kind.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    name: String,
    passed: u64,
    disagreed: Vec<String>,
    skipped: BTreeMap<String, u64>,
    notes: BTreeMap<String, u64>,
}

impl Tally {
    /// Starts to count.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// One more that passed.
    pub(crate) fn pass(&mut self) {
        self.passed += 1;
    }

    /// One more that passed, or did not.
    pub(crate) fn check(&mut self, passed: bool, what: impl FnOnce() -> String) {
        if passed {
            self.passed += 1;
        } else {
            self.disagreed.push(what());
        }
    }

    /// One more that can not be run, and why.
    pub(crate) fn skip(&mut self, reason: impl Into<String>) {
        *self.skipped.entry(reason.into()).or_default() += 1;
    }

    /// Something worth a number beside the cases.
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.add(what, 1);
    }

    /// Something worth a number beside the cases.
    pub(crate) fn add(&mut self, what: impl Into<String>, count: u64) {
        *self.notes.entry(what.into()).or_default() += count;
    }

    /// How many cases there were.
    pub(crate) fn total(&self) -> u64 {
        self.passed + self.disagreements() + self.skipped.values().sum::<u64>()
    }

    fn disagreements(&self) -> u64 {
        u64::try_from(self.disagreed.len()).unwrap_or(u64::MAX)
    }

    /// Prints everything; whether nothing disagreed.
    pub(crate) fn print(&self) -> bool {
        let skipped: u64 = self.skipped.values().sum();
        println!(
            "{}: {} cases, {} passed, {} disagreed, {skipped} skipped",
            self.name,
            self.total(),
            self.passed,
            self.disagreed.len(),
        );
        for (reason, count) in &self.skipped {
            println!("    skipped {count}: {reason}");
        }
        for (what, count) in &self.notes {
            println!("    {count} {what}");
        }
        for what in self.disagreed.iter().take(20) {
            println!("    DISAGREED: {what}");
        }
        self.disagreed.is_empty()
    }
}

/// Prints all; whether nothing disagreed anywhere.
pub(crate) fn print_all(tallies: &[&Tally]) -> bool {
    tallies.iter().filter(|tally| !tally.print()).count() == 0
}
