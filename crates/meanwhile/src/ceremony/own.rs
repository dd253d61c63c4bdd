//! What only the operator has: its secrets, and the memory of what it signed.

use std::path::Path;
use std::path::PathBuf;

use node::keys::COIN_FILE;
use node::keys::VERTEX_FILE;
use types::Author;
use types::Genesis;
use types::SecretKey;
use types::coin::CoinSecret;
use types::dkg::CeremonySecret;
use types::dkg::CheckedPlan;
use types::dkg::Dealing;
use types::dkg::Outcome;
use types::dkg::Received;
use types::dkg::Response;
use types::dkg::Transcript;

use crate::error::Failure;
use crate::files;
use crate::secrets;
use crate::secrets::CEREMONY_FILE;

/// The response that these keys have signed, so that they never sign another one for its plan.
const RESPONSE_FILE: &str = "ceremony-response.json";
const RESPONSE_BYTES_MAX: u64 = 1 << 20;

/// An operator's side of a ceremony.
#[derive(Debug)]
pub(crate) struct Own {
    dir: PathBuf,
    author: Author,
    vertex: SecretKey,
}

impl Own {
    /// Finds the operator whose secrets these are.
    ///
    /// # Errors
    /// When the vertex key can not be read or stands on no card of the plan.
    pub(crate) fn find(plan: &CheckedPlan, dir: &Path) -> Result<Self, Failure> {
        let vertex = SecretKey::from_seed(&*secrets::read_hex(&dir.join(VERTEX_FILE))?);
        let author = plan.author_of(&vertex.public());
        let author = author.ok_or_else(|| Failure::NotInPlan { dir: dir.to_owned() })?;
        Ok(Self { dir: dir.to_owned(), author, vertex })
    }

    /// Makes the operator's dealing.
    ///
    /// # Errors
    /// When the secrets are not those of its card.
    pub(crate) fn deal(&self, plan: &CheckedPlan) -> Result<Dealing, Failure> {
        Ok(plan.deal(self.author, &self.ceremony()?, &self.vertex)?)
    }

    /// Judges all dealings. Another answer than one that was given before is never signed, or at
    /// least never shown.
    ///
    /// # Errors
    /// When a dealing is missing, or the answer would be another one than before.
    pub(crate) fn respond(
        &self,
        plan: &CheckedPlan,
        dealings: &[Dealing],
    ) -> Result<Received, Failure> {
        let received = plan.respond(self.author, &self.ceremony()?, &self.vertex, dealings)?;
        let path = self.dir.join(RESPONSE_FILE);
        if path.exists() {
            let before: Response = files::read_json_bounded(&path, RESPONSE_BYTES_MAX)?;
            if before.plan == received.response.plan && before != received.response {
                return Err(Failure::OtherResponse { path });
            }
        }
        let text = serde_json::to_string_pretty(&received.response).map_err(Failure::Json)?;
        files::write_private(&path, &format!("{text}\n"))?;
        Ok(received)
    }

    /// Writes the operator's value of the coin's polynomial, unless it is there already.
    ///
    /// # Errors
    /// When a share does not fit or there is another coin key.
    pub(crate) fn write_coin(
        &self,
        plan: &CheckedPlan,
        transcript: &Transcript,
        outcome: &Outcome,
    ) -> Result<PathBuf, Failure> {
        let path = self.dir.join(COIN_FILE);
        if path.exists() {
            self.check_coin(&path, &outcome.genesis)?;
            return Ok(path);
        }
        let secret = transcript.coin_secret(plan, outcome, self.author, &self.ceremony()?)?;
        secrets::write_coin(&path, &secret)?;
        Ok(path)
    }

    /// Deletes what is of no use once the coin's key is written: with it and the transcript, which
    /// is public for ever, that key could be computed again.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn forget(&self) -> Result<(), Failure> {
        files::remove(&self.dir.join(CEREMONY_FILE))?;
        files::remove(&self.dir.join(RESPONSE_FILE))
    }

    fn check_coin(&self, path: &Path, genesis: &Genesis) -> Result<(), Failure> {
        let reason =
            |reason: &str| Failure::Contents { path: path.to_owned(), reason: reason.to_owned() };
        let secret = CoinSecret::from_bytes(&*secrets::read_hex(path)?)
            .map_err(|_| reason("the number is outside the group"))?;
        let validator = genesis.validators.get(self.author.index());
        match validator.is_some_and(|validator| validator.coin_key == secret.public()) {
            true => Ok(()),
            false => Err(reason("it is kept, and it is the key of another network")),
        }
    }

    fn ceremony(&self) -> Result<CeremonySecret, Failure> {
        Ok(CeremonySecret::from_seed(&*secrets::read_hex(&self.dir.join(CEREMONY_FILE))?))
    }
}
