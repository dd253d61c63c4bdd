//! `meanwhile evidence`: what validators signed that nobody may sign, with every signature checked
//! here.

use std::path::PathBuf;

use clap::Args;
use client::api::Evidence;
use client::api::EvidenceKind;
use client::api::EvidencePage;
use client::api::SignedHeader;
use serde::Serialize;
use types::Committee;
use types::Decode as _;
use types::Genesis;
use types::Header;
use types::PublicKey;
use types::Signature;

use crate::error::Failure;
use crate::files;
use crate::output;

use super::NodeUrl;

/// How many pages are read at most: a node that never ends its list is not followed for ever.
const PAGES_MAX: usize = 1_000;

/// List signed evidence that validators broke the rules, and check it
///
/// Two kinds exist: two vertices of one round, and a wrong share of the common coin. Being slow or
/// silent is none. Signatures are checked here. Without a genesis of your own the keys are those that
/// the node tells.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile evidence\n  meanwhile evidence --genesis genesis.json \
                  --json"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeUrl,
    /// Check against the keys in this genesis, and wrong shares of the common coin, too
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Print JSON, one piece a line
    #[arg(long)]
    json: bool,
}

/// A piece of evidence with what came out of its check.
#[derive(Debug, Serialize)]
struct Judged {
    #[serde(flatten)]
    evidence: Evidence,
    verified: bool,
    reason: String,
}

/// What evidence is held against.
struct Judge {
    chain: types::Digest,
    epoch: types::Epoch,
    own: Option<(Genesis, Committee)>,
}

impl Arguments {
    /// Asks, checks and prints.
    ///
    /// # Errors
    /// When the node can not be asked, belongs to another network, or tells evidence that proves
    /// nothing.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.node.client()?;
        let own = self.genesis.as_deref().map(read_genesis).transpose()?;
        let mut after: Option<String> = None;
        let (mut count, mut unproven) = (0_usize, 0_usize);
        for _ in 0..PAGES_MAX {
            let EvidencePage { chain, epoch, evidence, next } =
                client.evidence(after.as_deref()).await?;
            let judge = Judge { chain, epoch, own: own.clone() };
            for evidence in evidence {
                let result = judge.judge(&evidence);
                let verified = result.is_ok();
                let reason = result.unwrap_or_else(|reason| reason);
                count += 1;
                unproven += usize::from(!verified);
                self.print(&Judged { evidence, verified, reason })?;
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        if count == 0 && !self.json {
            output::line("no evidence: nobody was seen to sign what nobody may sign")?;
        }
        match unproven {
            0 => Ok(()),
            count => Err(Failure::Unproven { count }),
        }
    }

    fn print(&self, judged: &Judged) -> Result<(), Failure> {
        if self.json {
            return output::json(judged);
        }
        let Judged { evidence, verified, reason } = judged;
        let what = match evidence.kind {
            EvidenceKind::Equivocation => "two vertices of one round",
            EvidenceKind::WrongCoinShare => "a wrong share of the common coin",
        };
        let verdict = if *verified { "proven" } else { "NOT PROVEN" };
        output::line(&format!(
            "validator {} ({})  round {}  {what}: {verdict}, {reason}",
            evidence.author, evidence.name, evidence.round
        ))
    }
}

fn read_genesis(file: &std::path::Path) -> Result<(Genesis, Committee), Failure> {
    let genesis: Genesis = files::read_json(file)?;
    let committee = genesis.check()?;
    Ok((genesis, committee))
}

impl Judge {
    /// Says how it is proven, or why it is not.
    fn judge(&self, evidence: &Evidence) -> Result<String, String> {
        let key = self.key(evidence)?;
        let headers: Result<Vec<Header>, String> =
            evidence.vertices.iter().map(|vertex| self.header(evidence, vertex, &key)).collect();
        let headers = headers?;
        let whose = if self.own.is_some() { "the key in your genesis" } else { "the key it tells" };
        match (evidence.kind, headers.as_slice()) {
            (EvidenceKind::Equivocation, [first, second]) if first != second => {
                Ok(format!("both signed with {whose}"))
            }
            (EvidenceKind::WrongCoinShare, [header]) => self.share(evidence, header, whose),
            _ => Err("it does not hold the vertices that its kind needs".to_owned()),
        }
    }

    fn key(&self, evidence: &Evidence) -> Result<PublicKey, String> {
        let Some((_, committee)) = &self.own else { return Ok(evidence.vertex_key) };
        if *committee.chain() != self.chain {
            return Err("the node is of another network than the genesis".to_owned());
        }
        let member = committee.validator(evidence.author);
        member
            .map(|member| member.vertex_key)
            .ok_or_else(|| "there is no such validator".to_owned())
    }

    fn header(
        &self,
        evidence: &Evidence,
        vertex: &SignedHeader,
        key: &PublicKey,
    ) -> Result<Header, String> {
        let bytes = |text: &str| hex::decode(text).map_err(|error| error.to_string());
        let header = Header::from_bytes(&bytes(&vertex.header)?);
        let header = header.map_err(|error| format!("a header does not decode: {error}"))?;
        let signature = Signature::from_bytes(&bytes(&vertex.signature)?);
        let signature = signature.map_err(|error| format!("no signature: {error}"))?;
        let is_same = header.chain == self.chain
            && header.epoch == self.epoch
            && header.author == evidence.author
            && header.round == evidence.round;
        if !is_same {
            return Err("a header is of another network, author or round".to_owned());
        }
        key.verify(&Header::signing_bytes(&header.digest()), &signature)
            .map_err(|_| "a signature is wrong".to_owned())?;
        Ok(header)
    }

    /// Whether the share in a signed header is a wrong one, which takes the genesis to see.
    fn share(&self, evidence: &Evidence, header: &Header, whose: &str) -> Result<String, String> {
        let Some((genesis, committee)) = &self.own else {
            return Ok(format!("signed with {whose}; give --genesis to check the share"));
        };
        let round = header.coin_round(genesis.consensus.rules());
        let (Some(round), Some(share)) = (round, &header.coin_share) else {
            return Err("it holds no share".to_owned());
        };
        let member = committee.validator(evidence.author);
        let key = member.map(|member| &member.coin_key).ok_or("there is no such validator")?;
        match share.verify(&committee.coin_message(round), key) {
            Err(_) => Ok(format!("signed with {whose}, and the share is wrong")),
            Ok(()) => Err("the share is right".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use types::Author;
    use types::Digest;
    use types::Encode as _;
    use types::Epoch;
    use types::Round;
    use types::SecretKey;
    use types::TimestampMs;

    use super::*;

    fn signed(secret: &SecretKey, time: u64) -> SignedHeader {
        let header = Header {
            chain: Digest::ZERO,
            epoch: Epoch::ZERO,
            author: Author::ZERO,
            round: Round::new(1),
            parents: Vec::new(),
            late: Vec::new(),
            coin_share: None,
            payload_root: Digest::ZERO,
            payload_length: 4,
            timestamp: TimestampMs::new(time),
        };
        let signature = secret.sign(&Header::signing_bytes(&header.digest()));
        SignedHeader {
            digest: header.digest(),
            header: hex::encode(header.to_bytes()),
            signature: hex::encode(signature.to_bytes()),
        }
    }

    #[test]
    fn only_two_different_headers_signed_with_the_key_prove_something() {
        let (secret, other) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let judge = Judge { chain: Digest::ZERO, epoch: Epoch::ZERO, own: None };
        let evidence = |vertices: Vec<SignedHeader>| Evidence {
            kind: EvidenceKind::Equivocation,
            author: Author::ZERO,
            name: "one".to_owned(),
            round: Round::new(1),
            vertex_key: secret.public(),
            vertices,
        };
        let twins = evidence(vec![signed(&secret, 1), signed(&secret, 2)]);
        assert!(judge.judge(&twins).is_ok());
        assert!(judge.judge(&evidence(vec![signed(&secret, 1), signed(&secret, 1)])).is_err());
        assert!(judge.judge(&evidence(vec![signed(&secret, 1), signed(&other, 2)])).is_err());
        assert!(judge.judge(&evidence(vec![signed(&secret, 1)])).is_err());
        let elsewhere = Evidence { round: Round::new(2), ..twins.clone() };
        assert!(judge.judge(&elsewhere).is_err());
        let judge = Judge { chain: Digest::new([1; 32]), ..judge };
        assert!(judge.judge(&twins).is_err());
    }
}
