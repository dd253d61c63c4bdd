//! The public files of a ceremony.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use types::dkg::CheckedPlan;
use types::dkg::Dealing;
use types::dkg::Plan;
use types::dkg::Response;
use types::dkg::Transcript;

use crate::error::Failure;
use crate::files;

/// 100,000 allocations with the longest scripts would not fit; with those of wallets all do.
const PLAN_BYTES_MAX: u64 = 64 << 20;
/// A dealing among 256 operators is about 40 kB of JSON, a response with complaints 140 kB.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// A plan, 256 dealings and as many responses.
const TRANSCRIPT_BYTES_MAX: u64 = 192 << 20;

/// What operators send to each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Message {
    Dealing(Dealing),
    Response(Response),
}

/// Reads and checks a plan.
///
/// # Errors
/// When it is no plan, or one that is refused.
pub(crate) fn read_plan(path: &Path) -> Result<CheckedPlan, Failure> {
    let plan: Plan = files::read_json_bounded(path, PLAN_BYTES_MAX)?;
    plan.check().map_err(|error| Failure::in_ceremony_file(path, error))
}

/// Reads a transcript, whatever it says.
///
/// # Errors
/// When the file is no transcript.
pub(crate) fn read_transcript(path: &Path) -> Result<Transcript, Failure> {
    files::read_json_bounded(path, TRANSCRIPT_BYTES_MAX)
}

/// Reads dealings and responses and checks that each is its author's and of this plan.
///
/// # Errors
/// Names the file that is something else.
pub(crate) fn read_messages(
    plan: &CheckedPlan,
    paths: &[PathBuf],
) -> Result<(Vec<Dealing>, Vec<Response>), Failure> {
    let (mut dealings, mut responses) = (Vec::new(), Vec::new());
    for path in paths {
        let refused = |error| Failure::in_ceremony_file(path, error);
        match files::read_json_bounded(path, MESSAGE_BYTES_MAX)? {
            Message::Dealing(dealing) => {
                plan.authenticate_dealing(&dealing).map_err(refused)?;
                dealings.push(dealing);
            }
            Message::Response(response) => {
                plan.authenticate_response(&response).map_err(refused)?;
                responses.push(response);
            }
        }
    }
    Ok((dealings, responses))
}

/// Writes an operator's dealing and says where.
///
/// # Errors
/// When another one is there or the file system refuses.
pub(crate) fn write_dealing(dir: &Path, dealing: Dealing) -> Result<PathBuf, Failure> {
    let path = dir.join(format!("dealing-{}.json", dealing.dealer));
    write(path, &Message::Dealing(dealing))
}

/// Writes an operator's response and says where.
///
/// # Errors
/// When another one is there or the file system refuses.
pub(crate) fn write_response(dir: &Path, response: Response) -> Result<PathBuf, Failure> {
    let path = dir.join(format!("response-{}.json", response.author));
    write(path, &Message::Response(response))
}

fn write(path: PathBuf, message: &Message) -> Result<PathBuf, Failure> {
    let text = serde_json::to_string_pretty(message).map_err(Failure::Json)?;
    files::write_once(&path, &format!("{text}\n"))?;
    Ok(path)
}
