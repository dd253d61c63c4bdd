//! What the program prints: data on stdout, everything that is said to a person on stderr.
//!
//! **Invariant:** with `--json` stdout holds JSON and nothing else. A reader that has gone away
//! (`meanwhile events | head`) ends the program quietly.

use std::io;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use serde::Serialize;

use crate::error::Failure;

/// Prints one line of data.
///
/// # Errors
/// When stdout is gone.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::Stdout)
}

/// Prints one value as a line of JSON.
///
/// # Errors
/// When stdout is gone.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    line(&serde_json::to_string(value).map_err(Failure::Json)?)
}

/// Prints one value as indented JSON.
///
/// # Errors
/// When stdout is gone.
pub(crate) fn json_pretty<T: Serialize>(value: &T) -> Result<(), Failure> {
    line(&serde_json::to_string_pretty(value).map_err(Failure::Json)?)
}

/// Tells a person something. Nobody is hurt when nobody listens.
pub(crate) fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "{text}").ok();
}

/// Rows under a head, padded to the widest cell of each column.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let padded = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![padded(&mut head.iter().copied())];
    lines.extend(rows.iter().map(|row| padded(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// Shows how far a long job is: a bar on a terminal, a plain line now and then elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: u64,
    said: u64,
}

impl Progress {
    /// Starts a job of `total` steps.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let template = "{prefix} {wide_bar} {pos}/{len} {msg}";
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(what);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, what, total, said: 0 }
    }

    /// Says that `done` steps are behind.
    pub(crate) fn at(&mut self, done: u64, note: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(note.to_owned());
            }
            None => {
                // Ten lines at most, so that a log stays readable.
                let share = |steps: u64| steps.saturating_mul(10) / self.total.max(1);
                if share(done) > share(self.said) {
                    self.said = done;
                    let line = format!("{}: {done} of {} {note}", self.what, self.total);
                    say(line.trim_end());
                }
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_padded_to_its_widest_cells() {
        let rows = [vec!["0".to_owned(), "live".to_owned()], vec!["10".to_owned(), "x".to_owned()]];
        let text = table(&["validator", "state"], &rows);
        assert_eq!(text, "validator  state\n0          live\n10         x");
    }
}
