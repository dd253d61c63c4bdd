//! `meanwhile node reindex`: the ledger of a stopped node, made anew from its commits.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use node::Config;
use node::reindex::Reindexing;
use serde_json::json;

use crate::error::Failure;
use crate::output;
use crate::output::Progress;

/// Make a stopped node's ledger anew from the commits in its data folder
///
/// Coins, indices, blocks, outcomes and events are removed and every commit is applied again, scripts
/// verified. What the node signed, the order, and what waits in its pool stay. Cut short, it goes on
/// with the next run or with the node's next start. A node that began with a snapshot lacks the
/// commits from before and is refused.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile node reindex --config node.toml")]
pub(super) struct Reindex {
    /// The configuration of the node, which must not run
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON: {commit, height, seconds}
    #[arg(long)]
    json: bool,
}

impl Reindex {
    pub(super) fn run(self) -> Result<(), Failure> {
        let checked = Config::load(&self.config)?.check()?;
        let began = Instant::now();
        let mut bar = None;
        let made = node::reindex::reindex(&checked, &mut |reindexing| match reindexing {
            Reindexing::Cleared(1) => output::say("removing the old rows"),
            Reindexing::Cleared(_) => {}
            Reindexing::Applied { applied, ordered } => bar
                .get_or_insert_with(|| Progress::new("commits applied", ordered.value()))
                .at(applied.value(), ""),
        });
        if let Some(bar) = bar {
            bar.finish();
        }
        let made = made?;
        let seconds = began.elapsed().as_secs_f64();
        if self.json {
            return output::json(&json!({
                "commit": made.applied, "height": made.height, "seconds": seconds,
            }));
        }
        output::line(&format!(
            "the ledger up to commit {} and block {} was made anew in {seconds:.1} s; start the node",
            made.applied, made.height
        ))
    }
}
