//! Equivocators: at most one of a leader's twins is supported, certified and ordered.

use consensus::Alarm;
use consensus::Evidence;
use consensus::Output;
use consensus::WINDOW;
use types::Round;

use crate::drawing::Drawing;
use crate::drawing::Player;
use crate::drawing::leaders;
use crate::drawing::play;
use crate::drawing::wave;

fn evidence(outputs: &[Output]) -> usize {
    let equivocation =
        |output: &&Output| matches!(output, Output::Fault(Evidence::Equivocation { .. }));
    outputs.iter().filter(equivocation).count()
}

fn alarms(outputs: &[Output]) -> Vec<&Alarm> {
    let alarm = outputs.iter().filter_map(|output| match output {
        Output::Alarm(alarm) => Some(alarm),
        _ => None,
    });
    alarm.collect()
}

#[test]
fn a_twin_that_a_quorum_supports_is_the_one_that_commits() {
    // Everybody but D builds on D1'.
    let drawing = Drawing::new(
        4,
        "*1 -> [*]; D1' -> [*]; ABC2 -> [*, D1']; D2 -> [*]; ABC3 -> [-D2]; ABC4..5 -> [*]",
    );
    let player = play(&drawing, wave(4), leaders("1:D 2:A"));
    assert_eq!(player.commits(&drawing), ["D1': D1'", "A2: A1 B1 C1 A2"]);
    assert_eq!(evidence(&player.outputs), 1);
}

#[test]
fn a_vertex_with_both_twins_in_its_cone_supports_the_lesser_digest() {
    // Half of round 2 stands on either twin and everybody stands on both halves.
    let drawing =
        Drawing::new(4, "*1 -> [*]; D1' -> [*]; AB2 -> [*]; CD2 -> [*, D1']; *3..4 -> [*]");
    let lesser = ["D1", "D1'"].into_iter().min_by_key(|name| drawing.reference(name)).unwrap();
    let player = play(&drawing, wave(4), leaders("1:D"));
    assert_eq!(player.committed(&drawing), lesser);
    assert_eq!(alarms(&player.outputs).len(), 0);
}

#[test]
fn of_twins_in_one_commit_the_first_in_order_is_put_out() {
    let drawing =
        Drawing::new(4, "*1 -> [*]; D1' -> [*]; AB2 -> [*]; CD2 -> [*, D1']; *3..6 -> [*]");
    let lesser = ["D1", "D1'"].into_iter().min_by_key(|name| drawing.reference(name)).unwrap();
    let player = play(&drawing, wave(4), leaders("1:A 2:A 3:A"));
    let commits = player.commits(&drawing);
    assert_eq!(commits[0], "A1: A1");
    assert_eq!(commits[1], "A2: B1 C1 D1 A2", "A2 leads to D1 alone");
    assert_eq!(commits[2], "A3: B2 C2 D2 A3", "the twin comes too late");
    // With nothing ordered before, one commit meets both.
    let skipped =
        Drawing::new(4, "*1 -> [*]; D1' -> [*]; AB2 -> [-C1]; D2 -> [-C1, D1']; ABD3..6 -> [*]");
    let player = play(&skipped, wave(4), leaders("1:C 2:C 3:A"));
    assert_eq!(player.commits(&skipped), [format!("A3: A1 B1 {lesser} A2 B2 D2 A3")]);
}

#[test]
fn a_twin_that_was_passed_over_still_leads_to_what_it_refers_to() {
    // B1 is reached through D2' alone, whose twin D2 has been ordered before.
    let drawing = Drawing::new(
        4,
        "*1 -> [*]; ACD2 -> [-B1]; D2' -> [-A1]
         ABC3 -> [*]; D3 -> [A2, C2, D2']; ABC4 -> [-D3]; D4 -> [*]; *5..7 -> [*]",
    );
    let player = play(&drawing, wave(4), leaders("1:B 2:D 3:A 4:D"));
    let commits = player.commits(&drawing);
    assert_eq!(commits, ["D2: A1 C1 D1 D2", "A3: A2 C2 A3", "D4: B1 B3 C3 D3 D4"]);
}

#[test]
fn twins_of_a_voter_count_once() {
    // A1 is blamed by C3 and D3; a second vertex of D3 makes no third blame.
    let text = "*1 -> [*]; A2 -> [*]; BCD2 -> [-A1]; AB3 -> [*]; CD3 -> [-A2]; *4 -> [*]";
    let mut drawing = Drawing::new(4, text);
    drawing.add("D3' -> [-A2]; D3'' -> [-A2]");
    let player = play(&drawing, wave(4), leaders("1:A"));
    assert_eq!(player.decided(), 0);
    assert_eq!(evidence(&player.outputs), 1, "one pair is proof enough");
}

#[test]
fn a_voter_may_both_vote_and_blame_without_an_alarm() {
    // D3 votes for A1, D3' blames it; the three others vote.
    let drawing = Drawing::new(
        4,
        "*1 -> [*]; A2 -> [*]; BCD2 -> [-A1]; *3 -> [*]; D3' -> [-A2]; ABC4 -> [*]; D4 -> [*, D3']",
    );
    let player = play(&drawing, wave(4), leaders("1:A"));
    assert_eq!(player.committed(&drawing), "A1");
    assert_eq!(alarms(&player.outputs).len(), 0);
}

#[test]
fn twins_of_a_decider_certify_once() {
    let drawing = Drawing::new(4, "*1..3 -> [*]; AD4 -> [*]; D4' -> [-A3]; D4'' -> [-B3]");
    let player = play(&drawing, wave(4), leaders("1:A"));
    assert_eq!(player.committed(&drawing), "");
}

/// Two of four are faulty, C and D: each half of the honest is shown its own world.
const TWO_WORLDS: &str = "
    *1 -> [*]; D1' -> [*]
    ACD2 -> [A1, C1, D1]; B2 -> [B1, C1, D1']; C2' -> [B1, C1, D1']; D2' -> [B1, C1, D1']
    ACD3 -> [A2, C2, D2]; B3 -> [B2, C2', D2']; C3' -> [B2, C2', D2']; D3' -> [B2, C2', D2']
    ACD4 -> [A3, C3, D3]; B4 -> [B3, C3', D3']
";

#[test]
fn two_certified_twins_raise_the_alarm_and_stop_the_output() {
    let mut drawing = Drawing::new(4, TWO_WORLDS);
    drawing.add("*5..6 -> [*]");
    let player = play(&drawing, wave(4), leaders("1:D 2:A 3:A"));
    let alarms = alarms(&player.outputs);
    assert!(matches!(alarms[..], [Alarm::CertifiedTwins { .. }]), "{alarms:?}");
    let commits = player.committed(&drawing);
    assert!(commits == "D1" || commits.is_empty(), "{commits}");
    assert!(player.machine.contains(&drawing.reference("D6")), "the evidence is kept");
}

#[test]
fn after_an_alarm_nothing_is_built_and_no_round_above_the_window_is_taken() {
    let mut drawing = Drawing::new(4, TWO_WORLDS);
    drawing.add("*5..120 -> [*]");
    let mut player = Player::of(&drawing, Some(0), wave(4), leaders("1:D"));
    player.insert_all(&drawing);
    assert_eq!(alarms(&player.outputs).len(), 1);
    assert_eq!(player.machine.next_round(), None);
    let highest = player.machine.highest_round();
    assert!(highest >= Round::new(WINDOW) && highest < Round::new(WINDOW + 8), "{highest}");
}

#[test]
fn a_leader_that_is_certified_and_skipped_raises_the_alarm() {
    // A1 is certified in one world and unheard of in the other one.
    let drawing = Drawing::new(
        4,
        "*1 -> [*]
         ACD2 -> [A1, C1, D1]; B2 -> [B1, C1, D1]; C2' -> [B1, C1, D1]; D2' -> [B1, C1, D1]
         ACD3 -> [A2, C2, D2]; B3 -> [B2, C2', D2']; C3' -> [B2, C2', D2']; D3' -> [B2, C2', D2']
         AC4 -> [A3, C3, D3]; D4 -> [B3, C3', D3']",
    );
    let player = play(&drawing, wave(4), leaders("1:A"));
    let alarms = alarms(&player.outputs);
    assert!(matches!(alarms[..], [Alarm::CertifiedAndSkipped { .. }]), "{alarms:?}");
    assert_eq!(player.committed(&drawing), "");
}
