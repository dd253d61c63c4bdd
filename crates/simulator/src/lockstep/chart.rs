//! The figure of the coin experiment, as SVG, readable on light and dark ground.

use super::Starver;
use super::study::Cell;
use crate::report::to_f64;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 640.0;
/// One panel's plot, and where the first one begins.
const PLOT: (f64, f64) = (250.0, 180.0);
const FIRST: (f64, f64) = (64.0, 112.0);
/// From one panel to the next.
const STEP: (f64, f64) = (304.0, 278.0);
const COLUMNS: usize = 3;

const STYLE: &str = "
  .ground { fill: #ffffff } .frame { stroke: #c9ced6; fill: none } .grid { stroke: #e8ebef }
  text { font: 13px system-ui, sans-serif; fill: #1f2328 } .soft { fill: #59636e }
  .title { font-size: 17px; font-weight: 600 } .head { font-weight: 600 }
  .coin { stroke: #0b62c4; fill: none; stroke-width: 2.5 } .band { fill: #0b62c4; opacity: 0.22 }
  .turn { stroke: #bc4c00; fill: none; stroke-width: 2.5 }
  .coin-text { fill: #0b62c4; font-weight: 600 } .turn-text { fill: #bc4c00; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } .frame { stroke: #3d444d } .grid { stroke: #21262d }
    text { fill: #e6edf3 } .soft { fill: #9198a1 }
    .coin { stroke: #58a6ff } .band { fill: #58a6ff } .turn { stroke: #ff9248 }
    .coin-text { fill: #58a6ff } .turn-text { fill: #ff9248 }
  }
";

/// Draws up to six cells, three a row.
pub(super) fn draw(cells: &[&Cell], rounds: u64, seeds: u64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Commits over rounds under a scheduler that starves the leader it expects: \
         leaders in turn commit nothing, the common coin goes on\">\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    let text = |class: &str, x: f64, y: f64, words: &str| {
        format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>\n")
    };
    svg.push_str(&text("title", 24.0, 32.0, "Commits over rounds, everybody honest, delay alone"));
    let key = format!(
        "<text x=\"24\" y=\"54\"><tspan class=\"coin-text\">common coin</tspan>: what every validator \
         has committed, mean and extremes of {seeds} seeds. \
         <tspan class=\"turn-text\">leaders in turn</tspan>: the most that anybody has.</text>\n"
    );
    svg.push_str(&key);
    for (index, cell) in cells.iter().enumerate() {
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        let x = FIRST.0 + STEP.0 * place(column);
        let y = FIRST.1 + STEP.1 * place(row);
        if column == 0 {
            let words = match cell.starver {
                Starver::Shun => {
                    "Shunned: the vertex of the expected leader reaches the others late"
                }
                Starver::Detain => {
                    "Detained: the expected leader itself hears of the round before too late"
                }
            };
            svg.push_str(&text("head", 24.0, y - 30.0, words));
        }
        svg.push_str(&panel(cell, x, y, to_f64(rounds)));
    }
    svg.push_str("</svg>\n");
    svg
}

fn place(index: usize) -> f64 {
    to_f64(u64::try_from(index).unwrap_or_default())
}

fn panel(cell: &Cell, x: f64, y: f64, rounds: f64) -> String {
    let across = |round: f64| x + PLOT.0 * round / rounds;
    // A round has one slot, so there are never more commits than rounds.
    let up = |commits: f64| y + PLOT.1 * (1.0 - commits / rounds);
    let mut svg = format!(
        "<text class=\"head\" x=\"{x}\" y=\"{:.1}\">n = {}, w = {}</text>\n",
        y - 9.0,
        cell.validators,
        cell.wave
    );
    for quarter in 0..=4_u32 {
        let value = rounds * f64::from(quarter) / 4.0;
        let (level, mark) = (up(value), across(value));
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{x}\" y1=\"{level:.1}\" x2=\"{:.1}\" y2=\"{level:.1}\"/>\n\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>\n\
             <text class=\"soft\" x=\"{mark:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.0}</text>\n",
            x + PLOT.0,
            x - 7.0,
            level + 4.5,
            y + PLOT.1 + 18.0
        ));
    }
    svg.push_str(&format!(
        "<rect class=\"frame\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\"/>\n\
         <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">rounds</text>\n",
        PLOT.0,
        PLOT.1,
        x + PLOT.0 / 2.0,
        y + PLOT.1 + 36.0
    ));
    let coin: Vec<(f64, f64, f64)> = cell.coin.curve().collect();
    let turn: Vec<(f64, f64, f64)> = cell.in_turn.curve().collect();
    let point = |(round, commits): (f64, f64)| format!("{:.1},{:.1}", across(round), up(commits));
    let line = |values: &mut dyn DoubleEndedIterator<Item = (f64, f64)>| {
        values.map(point).collect::<Vec<_>>().join(" ")
    };
    let numbered = |pick: fn(&(f64, f64, f64)) -> f64, curve: &[(f64, f64, f64)]| {
        let values = curve.iter().zip(1_u32..);
        values.map(|(value, round)| (f64::from(round), pick(value))).collect::<Vec<_>>()
    };
    let most = numbered(|value| value.2, &coin);
    let least = numbered(|value| value.1, &coin);
    let band = [line(&mut most.into_iter()), line(&mut least.into_iter().rev())].join(" ");
    svg.push_str(&format!("<polygon class=\"band\" points=\"{band}\"/>\n"));
    for (class, curve) in [("coin", &coin), ("turn", &turn)] {
        let mean = line(&mut numbered(|value| value.0, curve).into_iter());
        svg.push_str(&format!("<polyline class=\"{class}\" points=\"{mean}\"/>\n"));
    }
    let end = |curve: &[(f64, f64, f64)]| curve.last().map_or(0.0, |last| last.0);
    for (class, mean, lift) in [("coin-text", end(&coin), 34.0), ("turn-text", end(&turn), -8.0)] {
        svg.push_str(&format!(
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{mean:.0}</text>\n",
            x + PLOT.0 - 8.0,
            up(mean) + lift
        ));
    }
    svg
}
