//! What people are told about a plan and a transcript.

use bitcoin::Amount;
use serde::Serialize;
use types::Digest;
use types::dkg::CheckedPlan;
use types::dkg::Excluded;
use types::dkg::Operator;
use types::dkg::Outcome;
use types::dkg::Transcript;

use crate::error::Failure;
use crate::output;
use crate::units::money;

/// How many hex digits of a hash people read to each other: 160 bits, too many to search for a
/// second text with the same ones.
const FINGERPRINT_DIGITS: usize = 40;

/// What a plan says.
#[derive(Debug, Serialize)]
pub(crate) struct PlanReport {
    plan: String,
    fingerprint: String,
    name: String,
    start_ms: u64,
    operators: Vec<String>,
    faults_tolerated: u16,
    coin_threshold: usize,
    block_interval_ms: u64,
    max_block_weight: u64,
    allocations: usize,
    allocated_sat: u64,
}

/// What follows from a transcript.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    chain: String,
    fingerprint: String,
    plan: String,
    transcript: String,
    dealers: Vec<Named>,
    excluded: Vec<Refused>,
    false_complaints: Vec<Liar>,
}

#[derive(Debug, Serialize)]
struct Named {
    author: u16,
    name: String,
}

#[derive(Debug, Serialize)]
struct Refused {
    #[serde(flatten)]
    dealer: Named,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Liar {
    #[serde(flatten)]
    complainer: Named,
    dealer: Named,
}

/// The first digits of a hash in groups of four, for people who read it to each other.
pub(crate) fn fingerprint(digest: &Digest) -> String {
    let mut text = String::new();
    for (index, digit) in digest.to_string().chars().take(FINGERPRINT_DIGITS).enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

impl PlanReport {
    /// Tells of a plan.
    pub(crate) fn new(checked: &CheckedPlan) -> Self {
        let plan = checked.plan();
        Self {
            plan: checked.digest().to_string(),
            fingerprint: fingerprint(checked.digest()),
            name: plan.name.clone(),
            start_ms: plan.start_ms.value(),
            operators: plan.cards.iter().map(|card| card.name.clone()).collect(),
            faults_tolerated: checked.quorums().faults(),
            coin_threshold: checked.quorums().coin_threshold(),
            block_interval_ms: plan.ledger.block_interval_ms,
            max_block_weight: plan.ledger.max_block_weight,
            allocations: plan.allocations.len(),
            allocated_sat: plan.allocations.iter().map(|owned| owned.amount_sat).sum(),
        }
    }

    /// Prints it for a person.
    ///
    /// # Errors
    /// When stdout is gone.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        let allocated = money(Amount::from_sat(self.allocated_sat));
        let operators = format!("{} ({} may fail)", self.operators.len(), self.faults_tolerated);
        let rows = [
            ("plan", self.plan.clone()),
            ("fingerprint", self.fingerprint.clone()),
            ("name", self.name.clone()),
            ("start", format!("{} ms after 1970", self.start_ms)),
            ("operators", operators),
            ("block interval", format!("{} ms", self.block_interval_ms)),
            ("block weight", self.max_block_weight.to_string()),
            ("allocated", format!("{allocated} in {} outputs", self.allocations)),
        ];
        for (name, value) in rows {
            output::line(&format!("{name:<15} {value}"))?;
        }
        for (index, name) in self.operators.iter().enumerate() {
            output::line(&format!("operator {index:<6} {name}"))?;
        }
        Ok(())
    }
}

impl Report {
    /// Tells of a transcript and what follows from it.
    pub(crate) fn new(transcript: &Transcript, outcome: &Outcome) -> Self {
        let chain = outcome.genesis.chain();
        Self {
            chain: chain.to_string(),
            fingerprint: fingerprint(&chain),
            plan: transcript.plan.digest().to_string(),
            transcript: transcript.digest().to_string(),
            dealers: outcome.dealers.iter().map(Named::new).collect(),
            excluded: outcome.excluded.iter().map(Refused::new).collect(),
            false_complaints: outcome
                .false_complaints
                .iter()
                .map(|it| Liar {
                    complainer: Named::new(&it.complainer),
                    dealer: Named::new(&it.dealer),
                })
                .collect(),
        }
    }

    /// Prints it for a person; who cheated is said last.
    ///
    /// # Errors
    /// When stdout is gone.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        let dealers: Vec<&str> = self.dealers.iter().map(|named| named.name.as_str()).collect();
        let rows = [
            ("chain", self.chain.as_str()),
            ("fingerprint", self.fingerprint.as_str()),
            ("plan", self.plan.as_str()),
            ("transcript", self.transcript.as_str()),
            ("dealt by", &dealers.join(", ")),
        ];
        for (name, value) in rows {
            output::line(&format!("{name:<15} {value}"))?;
        }
        for refused in &self.excluded {
            output::line(&format!("left out        {refused}"))?;
        }
        for liar in &self.false_complaints {
            let (complainer, dealer) = (&liar.complainer, &liar.dealer);
            output::line(&format!("false complaint {complainer} against {dealer}"))?;
        }
        Ok(())
    }
}

impl Named {
    fn new(operator: &Operator) -> Self {
        Self { author: operator.author.value(), name: operator.name.clone() }
    }
}

impl Refused {
    fn new(excluded: &Excluded) -> Self {
        Self { dealer: Named::new(&excluded.operator), reason: excluded.reason.to_string() }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "operator {} `{}`", self.author, self.name)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.dealer, self.reason)
    }
}
