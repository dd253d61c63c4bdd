//! What an operator says about all dealings: for each that it took it, or a complaint that anybody
//! can check.
//!
//! A complaint reveals the one Diffie-Hellman point between dealer and complainer, with a proof
//! that it is the right one. Everybody can then open that one share and see whether it fits. If it
//! does, or the proof does not, the complaint is false and names its maker.

use alloc::vec::Vec;

use blstrs::G1Affine;
use blstrs::G1Projective;
use group::Group as _;
use serde::Deserialize;
use serde::Serialize;

use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Encode;
use crate::encoding::Writer;
use crate::ids::Author;
use crate::keys::SecretKey;

use super::card::CeremonySecret;
use super::dealing::Commitments;
use super::dealing::Dealing;
use super::error::CeremonyError;
use super::plan::CheckedPlan;
use super::proof;
use super::proof::HexArray;
use super::proof::Proof;
use super::proof::SameExponent;
use super::transcript::Excluded;
use super::transcript::Exclusion;

/// The version of a response's meaning.
const RESPONSE_VERSION: u32 = 1;
const WHAT: &str = "response";
const COMPLAINT_DOMAIN: &str = "meanwhile/types/dkg-complaint-proof/v1";
const SIGNATURE_DOMAIN: &str = "meanwhile/types/dkg-response-signature/v1";

/// What one operator says about every dealing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// The version of this file's meaning: 1.
    pub version: u32,
    /// The hash of the plan that it belongs to.
    pub plan: Digest,
    /// Who says it.
    pub author: Author,
    /// What it says, by dealer.
    pub verdicts: Vec<Verdict>,
    /// The author's signature of all above.
    pub signature: HexArray<64>,
}

/// What an operator says about one dealing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The hash of the dealing.
    pub dealing: Digest,
    /// Why its share is not taken; none takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint: Option<Complaint>,
}

/// The claim that a share does not fit, with what it takes to check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complaint {
    /// The Diffie-Hellman point of the dealing's ephemeral key and the author's ceremony key.
    pub shared: HexArray<48>,
    /// Proves that it is that point.
    pub proof: Proof,
}

/// A response, and what its author is told about the dealings that it refuses.
#[derive(Clone, Debug)]
pub struct Received {
    /// What goes to the others.
    pub response: Response,
    /// The dealings that are bad.
    pub bad: Vec<Excluded>,
}

impl Response {
    /// The hash that the author signs.
    pub fn digest(&self) -> Digest {
        let mut writer = Writer::default();
        writer.u32(self.version);
        self.plan.encode(&mut writer);
        self.author.encode(&mut writer);
        writer.list(&self.verdicts);
        Hasher::new("meanwhile/types/dkg-response/v1").bytes(writer.as_bytes()).finish()
    }

    /// Signs whatever it says now.
    pub(super) fn signed(mut self, vertex: &SecretKey) -> Self {
        self.signature = super::sign(SIGNATURE_DOMAIN, &self.digest(), vertex);
        self
    }
}

impl CheckedPlan {
    /// Opens an operator's share of every dealing and says which are good.
    ///
    /// # Errors
    /// When the secrets are not those of the operator's card, or there is not exactly one authentic
    /// dealing of each operator.
    pub fn respond(
        &self,
        author: Author,
        ceremony: &CeremonySecret,
        vertex: &SecretKey,
        dealings: &[Dealing],
    ) -> Result<Received, CeremonyError> {
        self.check_secrets(author, ceremony, vertex)?;
        let mut verdicts = Vec::new();
        let mut bad = Vec::new();
        for dealer in self.authors() {
            let operator = self.operator(dealer);
            let dealing = self.only_dealing(dealer, dealings)?;
            self.authenticate_dealing(dealing)?;
            let complaint = match self.judge_dealing(dealing) {
                Err(fault) => {
                    bad.push(Excluded { operator, reason: Exclusion::Public(fault) });
                    None
                }
                Ok(commitments) => {
                    let complaint = self.complain(author, ceremony, dealing, &commitments);
                    if complaint.is_some() {
                        let complainer = self.operator(author);
                        bad.push(Excluded { operator, reason: Exclusion::Share { complainer } });
                    }
                    complaint
                }
            };
            verdicts.push(Verdict { dealing: dealing.digest(), complaint });
        }
        let response = Response {
            version: RESPONSE_VERSION,
            plan: *self.digest(),
            author,
            verdicts,
            signature: HexArray([0; 64]),
        };
        Ok(Received { response: response.signed(vertex), bad })
    }

    fn only_dealing<'a>(
        &self,
        dealer: Author,
        dealings: &'a [Dealing],
    ) -> Result<&'a Dealing, CeremonyError> {
        let mut own = dealings.iter().filter(|dealing| dealing.dealer == dealer);
        let operator = self.operator(dealer);
        let Some(first) = own.next() else {
            return Err(CeremonyError::Missing { what: "dealing", operator });
        };
        let digest = first.digest();
        match own.map(Dealing::digest).find(|other| *other != digest) {
            None => Ok(first),
            Some(second) => {
                let what = "dealing";
                Err(CeremonyError::Twice { what, operator, first: digest, second })
            }
        }
    }

    fn complain(
        &self,
        author: Author,
        ceremony: &CeremonySecret,
        dealing: &Dealing,
        commitments: &Commitments,
    ) -> Option<Complaint> {
        let ephemeral = dealing.ephemeral_point()?;
        let opening = ceremony.opening();
        let shared = ephemeral * opening.expose();
        let share = dealing.open(author, &shared);
        if share.is_some_and(|share| commitments.fits(author, &share)) {
            return None;
        }
        Some(self.complaint(author, ceremony, dealing, &ephemeral))
    }

    /// Makes the complaint about a dealing, whether there is a reason or not.
    pub(super) fn complaint(
        &self,
        author: Author,
        ceremony: &CeremonySecret,
        dealing: &Dealing,
        ephemeral: &G1Projective,
    ) -> Complaint {
        let opening = ceremony.opening();
        let public = G1Projective::generator() * opening.expose();
        let shared = ephemeral * opening.expose();
        let statement = SameExponent { public: &public, base: ephemeral, shared: &shared };
        let context = complaint_context(author, dealing);
        let proof = proof::prove_same(COMPLAINT_DOMAIN, &context, &statement, opening.expose());
        Complaint { shared: HexArray(G1Affine::from(shared).to_compressed()), proof }
    }

    /// Whether a complaint shows that the dealer gave its author a wrong share.
    pub(super) fn is_proven(
        &self,
        author: Author,
        complaint: &Complaint,
        dealing: &Dealing,
        commitments: &Commitments,
    ) -> bool {
        let points =
            (self.receiver(author), dealing.ephemeral_point(), proof::g1(&complaint.shared));
        let (Some(public), Some(base), Some(shared)) = points else { return false };
        let statement = SameExponent { public, base: &base, shared: &shared };
        let context = complaint_context(author, dealing);
        proof::is_same(COMPLAINT_DOMAIN, &context, &statement, &complaint.proof)
            && !dealing.open(author, &shared).is_some_and(|share| commitments.fits(author, &share))
    }

    /// Checks that a response is its author's, of this ceremony, and about every dealer.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn authenticate_response(&self, response: &Response) -> Result<(), CeremonyError> {
        let (actual, known) = (response.version, RESPONSE_VERSION);
        if actual != known {
            return Err(CeremonyError::Version { what: WHAT, actual, known });
        }
        self.check_signed(WHAT, response.author, &response.plan, |key| {
            super::is_signed(SIGNATURE_DOMAIN, &response.digest(), key, &response.signature)
        })?;
        let (expected, actual) = (self.receivers().len(), response.verdicts.len());
        if expected != actual {
            let operator = self.operator(response.author);
            return Err(CeremonyError::VerdictCount { operator, actual, expected });
        }
        Ok(())
    }
}

fn complaint_context(author: Author, dealing: &Dealing) -> Digest {
    Hasher::new("meanwhile/types/dkg-complaint/v1").value(&author).value(&dealing.digest()).finish()
}

impl Encode for Verdict {
    fn encode(&self, writer: &mut Writer) {
        self.dealing.encode(writer);
        writer.option(self.complaint.as_ref());
    }
}

impl Encode for Complaint {
    fn encode(&self, writer: &mut Writer) {
        self.shared.encode(writer);
        self.proof.encode(writer);
    }
}
