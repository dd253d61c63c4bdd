//! The garbage line: what lies at it is given up at every node alike, what lies above is ordered.

use consensus::Output;
use consensus::Parameters;
use consensus::Refusal;
use types::Round;

use crate::drawing::Drawing;
use crate::drawing::Player;
use crate::drawing::leaders;
use crate::drawing::wave;

/// D's vertices reach nobody before A6 refers to D3; D leads rounds 1 to 5, which are skipped. The
/// leader of round 6 draws the line at round 2.
const SLOW: &str = "
    *1 -> [*]; ABC2 -> [-D1]; D2 -> [*]; ABC3 -> [-D2]; D3 -> [*]
    ABC4 -> [-D3]; ABC5 -> [*]; A6 -> [*] ~ [D3]; BC6 -> [*]; ABC7..9 -> [*]
";
const LEADERS: &str = "1:D 2:D 3:D 4:D 5:D 6:A";
const SHALLOW: Parameters = Parameters { gc_depth: 4, ..wave(4) };

fn unordered(player: &Player, drawing: &Drawing) -> String {
    let references = player.outputs.iter().filter_map(|output| match output {
        Output::Unordered(vertex) => Some(vertex.reference()),
        _ => None,
    });
    drawing.names(&references.collect::<Vec<_>>())
}

fn refusals(player: &Player, drawing: &Drawing) -> Vec<(String, Refusal)> {
    let refusals = player.outputs.iter().filter_map(|output| match output {
        Output::Refused { vertex, reason } => Some((drawing.name(vertex).into(), *reason)),
        _ => None,
    });
    refusals.collect()
}

#[test]
fn late_edges_bring_a_slow_validator_s_vertices_into_the_order() {
    let drawing = Drawing::new(4, SLOW);
    let mut player = Player::of(&drawing, Some(3), wave(4), leaders(LEADERS));
    player.insert_all(&drawing);
    let all = "A1 B1 C1 D1 A2 B2 C2 D2 A3 B3 C3 D3 A4 B4 C4 A5 B5 C5 A6";
    assert_eq!(player.commits(&drawing), [format!("A6: {all}")]);
    assert_eq!(unordered(&player, &drawing), "");
}

#[test]
fn what_lies_at_the_line_is_not_ordered_and_what_lies_above_is() {
    let drawing = Drawing::new(4, SLOW);
    for own in [0, 3] {
        let mut player = Player::of(&drawing, Some(own), SHALLOW, leaders(LEADERS));
        player.insert_all(&drawing);
        let above = "A3 B3 C3 D3 A4 B4 C4 A5 B5 C5 A6";
        assert_eq!(player.commits(&drawing), [format!("A6: {above}")]);
        assert_eq!(player.machine.gc_round(), Round::new(2));
        let own_ones = if own == 0 { "A1 A2" } else { "D1 D2" };
        assert_eq!(unordered(&player, &drawing), own_ones, "their payload goes back");
        assert!(!player.machine.contains(&drawing.reference("A2")));
        assert!(player.machine.contains(&drawing.reference("A3")));
    }
}

#[test]
fn an_ordered_own_vertex_does_not_come_back() {
    let drawing = Drawing::new(4, "*1..12 -> [*]");
    let every = "1:A 2:A 3:A 4:A 5:A 6:A 7:A 8:A 9:A";
    let mut player = Player::of(&drawing, Some(0), SHALLOW, leaders(every));
    player.insert_all(&drawing);
    assert_eq!(player.machine.gc_round(), Round::new(5));
    assert_eq!(unordered(&player, &drawing), "");
    assert!(!player.machine.has_undecided_payload());
}

#[test]
fn a_vertex_at_the_line_is_refused_and_a_reference_to_it_needs_nothing() {
    let mut drawing = Drawing::new(4, SLOW);
    drawing.add("D9 -> [A8, B8, C8] ~ [D2]");
    let mut player = Player::new(&drawing, SHALLOW, leaders(LEADERS));
    let missing = ["D1", "D2", "D3", "A6"].map(|name| drawing.reference(name));
    for vertex in drawing.vertices.iter().filter(|v| !missing.contains(&v.reference())) {
        player.insert(vertex);
    }
    assert_eq!(player.machine.missing().count(), 2, "A6 and D2");
    player.insert(&drawing.vertex("A6"));
    for name in ["D3", "D1"] {
        player.insert(&drawing.vertex(name));
        assert!(player.machine.is_suspended(&drawing.reference("A6")), "D2 is above the line yet");
    }
    player.insert(&drawing.vertex("D2"));
    assert_eq!(player.committed(&drawing), "A6");
    assert!(player.machine.contains(&drawing.reference("D9")));
    player.insert(&drawing.vertex("A1"));
    let line = Round::new(2);
    let reason = Refusal::BelowGarbageLine { round: Round::new(1), line };
    assert_eq!(refusals(&player, &drawing), [("A1".to_string(), reason)]);
}

#[test]
fn the_line_sets_free_what_waited_for_something_below_it() {
    // Nobody ever gets D2; D9 refers to it, and A8 to nothing of D.
    let mut drawing = Drawing::new(4, &SLOW.replace(" ~ [D3]", ""));
    drawing.add("D9 -> [A8, B8, C8] ~ [D2]");
    let mut player = Player::of(&drawing, Some(3), SHALLOW, leaders(LEADERS));
    let hold_back = ["D1", "C9"].map(|name| drawing.reference(name));
    for vertex in drawing.vertices.iter().filter(|v| !hold_back.contains(&v.reference())) {
        player.insert(vertex);
    }
    assert!(player.machine.is_suspended(&drawing.reference("D9")));
    assert!(player.machine.is_suspended(&drawing.reference("D2")));
    player.insert(&drawing.vertex("C9"));
    assert_eq!(player.committed(&drawing), "A6");
    assert!(player.machine.contains(&drawing.reference("D9")));
    assert!(player.machine.contains(&drawing.reference("D3")), "round 3 is above the line");
    assert_eq!(unordered(&player, &drawing), "D2", "it fell while it waited");
    assert_eq!(player.machine.missing().count(), 0);
}

#[test]
fn payload_is_waited_for_until_it_is_ordered_or_given_up() {
    let mut drawing = Drawing::new(4, "ABC1 -> [*]; D1! -> [*]; *2 -> [*]; *3..4 -> [*]");
    let mut player = Player::new(&drawing, SHALLOW, leaders("1:A 2:A"));
    player.insert_all(&drawing);
    assert_eq!(player.committed(&drawing), "A1");
    assert!(player.machine.has_undecided_payload());
    drawing.add("*5 -> [*]");
    player.insert_all(&drawing);
    assert_eq!(player.committed(&drawing), "A1 A2");
    assert!(!player.machine.has_undecided_payload());

    let lost = SLOW.replace("D2 -> [*]", "D2! -> [*]").replace(" ~ [D3]", "");
    let drawing = Drawing::new(4, &lost);
    let mut player = Player::new(&drawing, SHALLOW, leaders(LEADERS));
    for vertex in drawing.vertices.iter().filter(|vertex| vertex.round() < Round::new(9)) {
        player.insert(vertex);
    }
    assert!(player.machine.has_undecided_payload());
    player.insert_all(&drawing);
    assert!(!player.machine.has_undecided_payload(), "it fell to the line");
}
