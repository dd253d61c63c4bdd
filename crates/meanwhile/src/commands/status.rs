//! `meanwhile status`: the network as one node sees it.

use clap::Args;
use client::api::Recovering;
use client::api::Status;
use client::api::ValidatorState;
use client::api::ValidatorStatus;

use crate::error::Failure;
use crate::output;

use super::NodeUrl;

/// Show the validators and how far the network is, as one node sees it
///
/// `behind` means slow or away for a while, never hostile: what a validator missed it fetches by
/// itself.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile status\n  meanwhile status --url http://127.0.0.1:3001 \
                  --json"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeUrl,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Asks and prints.
    ///
    /// # Errors
    /// When the node can not be asked.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let status = self.node.client()?.status().await?;
        if self.json { output::json(&status) } else { output::line(&render(&status)) }
    }
}

fn render(status: &Status) -> String {
    // A node that does not tell when it heard of others has no column for it.
    let is_heard = status.validators.iter().any(|validator| validator.last_seen_ms.is_some());
    let mut head = vec!["validator", "name", "state", "round", "commit"];
    head.extend(is_heard.then_some("heard"));
    let rows: Vec<Vec<String>> =
        status.validators.iter().map(|validator| row(status, validator)).collect();
    let table = output::table(&head, &rows);
    let kind = if status.development { ", for development" } else { "" };
    let mut text = format!(
        "network {} ({}{kind})\nround {}  commit {}  proven {}  height {}  lag {} commits\n\n{table}",
        status.chain,
        status.name,
        status.round,
        status.commit,
        status.proven,
        status.height,
        status.lag_commits
    );
    if status.validator.is_none() {
        text.push_str("\n\nthis node follows: it signs nothing");
    }
    if let Some(recovering) = status.recovering {
        let Recovering { answers, needed, from_round } = recovering;
        let when = from_round.map_or_else(
            || format!("{answers} of {needed} validators have told it how far it was"),
            |round| format!("it signs again from round {round} on"),
        );
        text.push_str(&format!("\n\nthis validator lost its store and is silent: {when}"));
    }
    if status.evidence > 0 {
        let count = status.evidence;
        text.push_str(&format!("\n\n{count} pieces of evidence: see `meanwhile evidence`"));
    }
    text
}

fn row(status: &Status, validator: &ValidatorStatus) -> Vec<String> {
    let state = match validator.state {
        ValidatorState::Live => "live".to_owned(),
        ValidatorState::Behind => {
            let rounds = format!("behind by {} rounds", validator.behind_rounds);
            match validator.behind_commits {
                Some(commits) if commits > 0 => format!("{rounds}, {commits} commits"),
                _ => rounds,
            }
        }
        ValidatorState::Silent => "silent".to_owned(),
    };
    let heard = match validator.last_seen_ms {
        _ if status.validator == Some(validator.index) => "asked".to_owned(),
        None => "never".to_owned(),
        Some(millis) if millis < 1_000 => "now".to_owned(),
        Some(millis) => format!("{} s ago", millis / 1_000),
    };
    vec![
        validator.index.to_string(),
        validator.name.clone(),
        state,
        validator.round.to_string(),
        validator.commit.to_string(),
        heard,
    ]
}
