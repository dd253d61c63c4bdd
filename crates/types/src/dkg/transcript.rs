//! Everything that was said in public in a ceremony, and what follows from it.
//!
//! **Invariant:** the outcome is a function of the transcript, and the transcript is a function of
//! the plan, the responses and the dealings that they name. As long as nobody signs two different
//! things, all operators therefore compute the same genesis; when somebody does, its name is in the
//! transcript or in the error.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use blstrs::Scalar;
use ff::Field as _;
use serde::Deserialize;
use serde::Serialize;

use crate::coin::CoinSecret;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Encode as _;
use crate::encoding::Writer;
use crate::genesis::Genesis;
use crate::ids::Author;

use super::card::CeremonySecret;
use super::dealing::Commitments;
use super::dealing::Dealing;
use super::dealing::DealingFault;
use super::error::CeremonyError;
use super::error::Operator;
use super::plan::CheckedPlan;
use super::plan::Plan;
use super::proof::SecretScalar;
use super::response::Response;

/// The version of a transcript's meaning.
pub const TRANSCRIPT_VERSION: u32 = 1;

/// The whole ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// The version of this file's meaning: 1.
    pub version: u32,
    /// What the network is to be.
    pub plan: Plan,
    /// Every dealing that a response names, by dealer; two of one dealer by their hashes.
    pub dealings: Vec<Dealing>,
    /// What each operator said of them, by operator.
    pub responses: Vec<Response>,
}

/// What follows from a transcript.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The network's parameters with the coin's keys.
    pub genesis: Genesis,
    /// Whose dealings make the key.
    pub dealers: Vec<Operator>,
    /// Whose dealings were left out, and why.
    pub excluded: Vec<Excluded>,
    /// Who complained of a share that was right.
    pub false_complaints: Vec<FalseComplaint>,
}

/// A dealer whose dealing is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// Who dealt it.
    pub operator: Operator,
    /// Why it does not count.
    pub reason: Exclusion,
}

/// Why a dealing does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// Anybody can see what is wrong with it.
    Public(DealingFault),
    /// A share that does not fit, as the complaint of its receiver shows.
    Share {
        /// Who received it.
        complainer: Operator,
    },
    /// Its dealer gave different dealings to different operators.
    Twins,
}

/// A complaint that is not true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FalseComplaint {
    /// Who made it.
    pub complainer: Operator,
    /// Whose dealing it was about.
    pub dealer: Operator,
}

/// A dealing with its hash, which is asked for again and again.
struct Entry<'a> {
    dealing: &'a Dealing,
    digest: Digest,
}

impl Transcript {
    /// Puts a transcript together from what was sent around. Copies are left out, and so are
    /// dealings that no response is about.
    ///
    /// # Errors
    /// When something is not authentic, somebody's file is missing, or somebody responded twice.
    pub fn gather(
        plan: &CheckedPlan,
        dealings: Vec<Dealing>,
        mut responses: Vec<Response>,
    ) -> Result<Self, CeremonyError> {
        let mut dealt = BTreeMap::new();
        for dealing in dealings {
            plan.authenticate_dealing(&dealing)?;
            dealt.entry((dealing.dealer, dealing.digest())).or_insert(dealing);
        }
        for response in &responses {
            plan.authenticate_response(response)?;
        }
        responses.sort_by_key(|response| response.author);
        for author in plan.authors() {
            let operator = plan.operator(author);
            let mut own = responses.iter().filter(|response| response.author == author);
            let Some(first) = own.next().map(Response::digest) else {
                return Err(CeremonyError::Missing { what: "response", operator });
            };
            if let Some(second) = own.map(Response::digest).find(|digest| *digest != first) {
                return Err(CeremonyError::Twice { what: "response", operator, first, second });
            }
            if !dealt.keys().any(|(dealer, _)| *dealer == author) {
                return Err(CeremonyError::Missing { what: "dealing", operator });
            }
        }
        responses.dedup_by_key(|response| response.author);
        let mut named = BTreeMap::new();
        for response in &responses {
            for (dealer, verdict) in plan.authors().zip(&response.verdicts) {
                named.entry((dealer, verdict.dealing)).or_insert(response.author);
            }
        }
        if let Some((key, author)) = named.iter().find(|(key, _)| !dealt.contains_key(*key)) {
            let (operator, dealer) = (plan.operator(*author), plan.operator(key.0));
            return Err(CeremonyError::UnknownDealing { operator, dealer, digest: key.1 });
        }
        dealt.retain(|key, _| named.contains_key(key));
        let dealings = dealt.into_values().collect();
        let plan = plan.plan().clone();
        Ok(Self { version: TRANSCRIPT_VERSION, plan, dealings, responses })
    }

    /// The hash of everything in it.
    pub fn digest(&self) -> Digest {
        let mut writer = Writer::default();
        writer.u32(self.version);
        self.plan.encode(&mut writer);
        writer.length(self.dealings.len());
        for dealing in &self.dealings {
            dealing.digest().encode(&mut writer);
            dealing.signature.encode(&mut writer);
        }
        writer.length(self.responses.len());
        for response in &self.responses {
            response.digest().encode(&mut writer);
            response.signature.encode(&mut writer);
        }
        Hasher::new("meanwhile/types/dkg-transcript/v1").bytes(writer.as_bytes()).finish()
    }

    /// Checks the whole ceremony without any secret and computes what follows from it.
    ///
    /// # Errors
    /// Says what is wrong, and with whose word.
    pub fn verify(&self) -> Result<Outcome, CeremonyError> {
        let (actual, known) = (self.version, TRANSCRIPT_VERSION);
        if actual != known {
            return Err(CeremonyError::Version { what: "transcript", actual, known });
        }
        let plan = self.plan.clone().check()?;
        let entries = self.check_dealings(&plan)?;
        self.check_responses(&plan, &entries)?;
        let mut judged = Judged::default();
        for dealer in plan.authors() {
            let own: Vec<&Entry<'_>> =
                entries.iter().filter(|entry| entry.dealing.dealer == dealer).collect();
            judged.judge(&plan, &own, &self.responses);
        }
        judged.finish(&plan)
    }

    /// The operator's value of the coin's polynomial: the sum of its shares of what counts.
    ///
    /// # Errors
    /// When a share does not fit, or the secrets are another operator's.
    pub fn coin_secret(
        &self,
        plan: &CheckedPlan,
        outcome: &Outcome,
        author: Author,
        ceremony: &CeremonySecret,
    ) -> Result<CoinSecret, CeremonyError> {
        let opening = ceremony.opening();
        let mut sum = SecretScalar::new(Scalar::ZERO);
        for dealer in &outcome.dealers {
            let missing = || CeremonyError::OwnShare { dealer: dealer.clone() };
            let dealing = self.dealings.iter().find(|dealing| dealing.dealer == dealer.author);
            let dealing = dealing.ok_or_else(missing)?;
            let shared = dealing.ephemeral_point().ok_or_else(missing)? * opening.expose();
            let share = dealing.open(author, &shared).ok_or_else(missing)?;
            let commitments = plan.judge_dealing(dealing).map_err(|_| missing())?;
            if !commitments.fits(author, &share) {
                return Err(missing());
            }
            sum = SecretScalar::new(*sum.expose() + share.expose());
        }
        let bytes = zeroize::Zeroizing::new(sum.expose().to_bytes_be());
        Ok(CoinSecret::from_bytes(&bytes)?)
    }

    fn check_dealings(&self, plan: &CheckedPlan) -> Result<Vec<Entry<'_>>, CeremonyError> {
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for dealing in &self.dealings {
            plan.authenticate_dealing(dealing)?;
            let entry = Entry { dealing, digest: dealing.digest() };
            let key = |entry: &Entry<'_>| (entry.dealing.dealer, entry.digest);
            if entries.last().is_some_and(|before| key(before) >= key(&entry)) {
                return Err(CeremonyError::Order { what: "dealing" });
            }
            entries.push(entry);
        }
        for author in plan.authors() {
            if !entries.iter().any(|entry| entry.dealing.dealer == author) {
                let operator = plan.operator(author);
                return Err(CeremonyError::Missing { what: "dealing", operator });
            }
        }
        Ok(entries)
    }

    fn check_responses(
        &self,
        plan: &CheckedPlan,
        entries: &[Entry<'_>],
    ) -> Result<(), CeremonyError> {
        for author in plan.authors() {
            let operator = plan.operator(author);
            let Some(response) = self.responses.get(author.index()) else {
                return Err(CeremonyError::Missing { what: "response", operator });
            };
            if response.author != author {
                return Err(CeremonyError::Order { what: "response" });
            }
            plan.authenticate_response(response)?;
            for (dealer, verdict) in plan.authors().zip(&response.verdicts) {
                let digest = verdict.dealing;
                let known =
                    |entry: &Entry<'_>| entry.dealing.dealer == dealer && entry.digest == digest;
                if !entries.iter().any(known) {
                    let dealer = plan.operator(dealer);
                    return Err(CeremonyError::UnknownDealing { operator, dealer, digest });
                }
            }
        }
        if self.responses.len() != plan.authors().len() {
            return Err(CeremonyError::Order { what: "response" });
        }
        // What nobody judged has no place here: a transcript can not be padded.
        let named = |entry: &Entry<'_>| {
            let dealer = entry.dealing.dealer;
            self.responses.iter().any(|response| response.names(dealer, &entry.digest))
        };
        match entries.iter().all(named) {
            true => Ok(()),
            false => Err(CeremonyError::Order { what: "dealing" }),
        }
    }
}

impl Response {
    fn names(&self, dealer: Author, digest: &Digest) -> bool {
        self.verdicts.get(dealer.index()).is_some_and(|verdict| verdict.dealing == *digest)
    }
}

/// What is known of the dealings so far.
#[derive(Default)]
struct Judged {
    sum: Option<Commitments>,
    dealers: Vec<Operator>,
    excluded: Vec<Excluded>,
    false_complaints: Vec<FalseComplaint>,
}

impl Judged {
    /// Judges what one operator dealt: one dealing, or several, which is one too many.
    fn judge(&mut self, plan: &CheckedPlan, own: &[&Entry<'_>], responses: &[Response]) {
        let [entry] = own else {
            let dealer = own.first().map(|entry| plan.operator(entry.dealing.dealer));
            let twins = |operator| Excluded { operator, reason: Exclusion::Twins };
            self.excluded.extend(dealer.map(twins));
            return;
        };
        let dealer = plan.operator(entry.dealing.dealer);
        let commitments = match plan.judge_dealing(entry.dealing) {
            Ok(commitments) => commitments,
            Err(fault) => {
                let reason = Exclusion::Public(fault);
                self.excluded.push(Excluded { operator: dealer, reason });
                return;
            }
        };
        let mut proven = None;
        for response in responses {
            let verdict = response.verdicts.get(dealer.author.index());
            let Some(complaint) = verdict.and_then(|verdict| verdict.complaint) else { continue };
            let complainer = plan.operator(response.author);
            if plan.is_proven(response.author, &complaint, entry.dealing, &commitments) {
                proven = proven.or(Some(complainer));
            } else {
                let dealer = dealer.clone();
                self.false_complaints.push(FalseComplaint { complainer, dealer });
            }
        }
        if let Some(complainer) = proven {
            let reason = Exclusion::Share { complainer };
            self.excluded.push(Excluded { operator: dealer, reason });
            return;
        }
        self.dealers.push(dealer);
        match &mut self.sum {
            None => self.sum = Some(commitments),
            Some(sum) => sum.add(&commitments),
        }
    }

    fn finish(self, plan: &CheckedPlan) -> Result<Outcome, CeremonyError> {
        let (good, needed) = (self.dealers.len(), plan.quorums().coin_threshold());
        let too_few = || {
            let names: Vec<String> =
                self.excluded.iter().map(|excluded| excluded.operator.to_string()).collect();
            CeremonyError::TooFewDealings { good, needed, bad: names.join(", ") }
        };
        let sum = self.sum.as_ref().filter(|_| good >= needed).ok_or_else(too_few)?;
        let keys: Result<Vec<_>, _> =
            plan.authors().map(|author| sum.operator_key(author)).collect();
        let genesis = plan.plan().genesis(sum.group_key()?, keys?);
        genesis.check()?;
        Ok(Outcome {
            genesis,
            dealers: self.dealers,
            excluded: self.excluded,
            false_complaints: self.false_complaints,
        })
    }
}

impl core::fmt::Display for Exclusion {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Public(fault) => fault.fmt(formatter),
            Self::Share { complainer } => {
                write!(formatter, "the share for {complainer} does not fit its commitments")
            }
            Self::Twins => formatter.write_str("different dealings for different operators"),
        }
    }
}
