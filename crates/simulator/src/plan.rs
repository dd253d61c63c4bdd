//! Who stands against whom in a run: what the options name, and the seed where they leave it open.
//!
//! **Invariant:** at most f validators are faulty in all. Crashes of honest ones, who return with
//! their disks, come on top.

use std::collections::BTreeMap;

use types::Author;
use types::Quorums;

use crate::adversaries::Kind;
use crate::options::Faults;
use crate::options::Network;
use crate::options::Options;
use crate::options::Scheduler;
use crate::schedule::Schedule;

/// One in so many mixed runs has crashes of honest validators as well.
const CRASHES_ONE_IN: u32 = 3;

/// Who stands against whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Who decides what arrives when, on the network of an adversary.
    pub(crate) scheduler: Option<Scheduler>,
    /// Whether honest validators lose their power now and then.
    pub(crate) has_crashes: bool,
    /// Who is faulty, and how.
    pub(crate) faulty: BTreeMap<Author, Fault>,
}

/// What is wrong with a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// It never says anything.
    Silent,
    /// It loses its disk once and returns without a memory; it is honest.
    LostDisk,
    /// It breaks the rule.
    Byzantine(Kind),
}

impl Plan {
    pub(crate) fn new(options: &Options, quorums: Quorums, chance: &mut Schedule) -> Self {
        let faults = usize::from(quorums.faults());
        let scheduler = (options.network == Network::Adversary).then(|| match options.scheduler {
            Scheduler::Mix => {
                let named = &Scheduler::ALL[1..];
                named.get(chance.below(named.len())).copied().unwrap_or(Scheduler::Aimer)
            }
            named => named,
        });
        let fault = match options.faults {
            Faults::None | Faults::Crash | Faults::Mix => None,
            Faults::Silent => Some(Fault::Silent),
            Faults::LostDisk => Some(Fault::LostDisk),
            Faults::Equivocate => Some(Fault::Byzantine(Kind::Equivocator)),
            Faults::WithholdShares => Some(Fault::Byzantine(Kind::ShareWithholder)),
            Faults::ForgeShares => Some(Fault::Byzantine(Kind::ShareForger)),
            Faults::Garbage => Some(Fault::Byzantine(Kind::GarbageSender)),
            Faults::Poison => Some(Fault::Byzantine(Kind::Poisoner)),
            Faults::Cartel => Some(Fault::Byzantine(Kind::TwinCartel)),
        };
        let mut faulty = BTreeMap::new();
        if let Some(fault) = fault {
            let chosen = chance.some_of(options.validators, faults);
            faulty.extend(chosen.into_iter().map(|author| (author, fault)));
        }
        let mut has_crashes = options.faults == Faults::Crash;
        if options.faults == Faults::Mix {
            has_crashes = chance.one_in(CRASHES_ONE_IN);
            // Mostly as many as can be.
            let count = if chance.one_in(4) { chance.below(faults + 1) } else { faults };
            for author in chance.some_of(options.validators, count) {
                faulty.insert(author, any_fault(chance));
            }
        }
        Self { scheduler, has_crashes, faulty }
    }

    pub(crate) fn fault(&self, author: Author) -> Option<Fault> {
        self.faulty.get(&author).copied()
    }

    /// In words, for the report.
    pub(crate) fn describe(&self, options: &Options) -> String {
        let network = self.scheduler.map_or(options.network.name(), Scheduler::name);
        let crashes = self.has_crashes.then(|| "crashes".to_owned());
        let faulty = self.faulty.iter().map(|(author, fault)| format!("{author} {}", fault.name()));
        let parts: Vec<String> = crashes.into_iter().chain(faulty).collect();
        match parts.is_empty() {
            true => network.to_owned(),
            false => format!("{network}; {}", parts.join(", ")),
        }
    }
}

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::LostDisk => "loses its disk",
            Self::Byzantine(kind) => kind.name(),
        }
    }

    /// Whether its owner follows the rule as long as it has a memory.
    pub(crate) const fn is_byzantine(self) -> bool {
        matches!(self, Self::Byzantine(_))
    }
}

fn any_fault(chance: &mut Schedule) -> Fault {
    match chance.below(Kind::ALL.len() + 2) {
        0 => Fault::Silent,
        1 => Fault::LostDisk,
        place => Fault::Byzantine(Kind::ALL[place - 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(validators: u16) -> impl Iterator<Item = Plan> {
        (0..500).map(move |seed| {
            let network = Network::Adversary;
            let options =
                Options { seed, network, faults: Faults::Mix, ..Options::new(validators) };
            Plan::new(&options, Quorums::new(validators), &mut Schedule::new(&options))
        })
    }

    #[test]
    fn a_mix_has_everything_in_it_and_never_more_than_f_faulty() {
        for validators in [4, 7, 10] {
            let faults = usize::from(Quorums::new(validators).faults());
            let plans: Vec<Plan> = plans(validators).collect();
            assert!(plans.iter().all(|plan| plan.faulty.len() <= faults));
            let kinds: std::collections::BTreeSet<_> =
                plans.iter().flat_map(|plan| plan.faulty.values()).collect();
            assert_eq!(kinds.len(), Kind::ALL.len() + 2);
            for scheduler in &Scheduler::ALL[1..] {
                assert!(plans.iter().any(|plan| plan.scheduler == Some(*scheduler)));
            }
            assert!(plans.iter().any(|plan| plan.has_crashes));
        }
    }
}
