//! Proven equivocators are left out of what is built, and only of that.

use consensus::Output;
use consensus::Parameters;
use types::Author;
use types::Round;

use crate::drawing::Drawing;
use crate::drawing::Player;
use crate::drawing::leaders;
use crate::drawing::wave;

/// D signs two vertices of round 1.
const CAUGHT: &str = "*1 -> [*]; D1' -> [*]; ABC2 -> [*]; D2 -> [*]";

fn player(drawing: &Drawing, own: u16) -> Player {
    let mut player = Player::of(drawing, Some(own), wave(5), leaders(""));
    player.insert_all(drawing);
    player
}

fn parents(drawing: &Drawing, player: &Player) -> String {
    let round = player.machine.next_round().unwrap();
    let edges = player.machine.edges(round);
    assert_eq!(edges.late, []);
    drawing.names(&edges.parents)
}

/// What the machine asks for when it gets a vertex.
fn missing_after(player: &mut Player, drawing: &Drawing, name: &str) -> String {
    player.machine.insert(drawing.vertex(name));
    let mut missing = Vec::new();
    while let Some(output) = player.machine.poll_output() {
        if let Output::Missing { missing: now, .. } = output {
            missing.extend(now);
        }
    }
    drawing.names(&missing)
}

#[test]
fn a_proven_equivocator_is_no_parent_and_no_late_edge() {
    let drawing = Drawing::new(4, CAUGHT);
    let before = Drawing::new(4, "*1 -> [*]; ABC2 -> [*]; D2 -> [*]");
    assert_eq!(parents(&before, &player(&before, 0)), "A2 B2 C2 D2");
    let caught = player(&drawing, 0);
    assert_eq!(parents(&drawing, &caught), "A2 B2 C2");
    let out: Vec<bool> =
        (0..4).map(|author| caught.machine.is_left_out(Author::new(author))).collect();
    assert_eq!(out, [false, false, false, true], "nobody else is");
    // D2 stays a loose end for ever.
    let late = "; ABC3 -> [-D2]; ABC4 -> [*]";
    let late = Drawing::new(4, &format!("{CAUGHT}{late}"));
    assert_eq!(parents(&late, &player(&late, 0)), "A4 B4 C4");
}

#[test]
fn a_vertex_needs_a_quorum_of_parents_that_are_not_left_out() {
    let mut drawing = Drawing::new(4, "*1 -> [*]; D1' -> [*]; ABD2 -> [*]");
    // A has built round 2 and waits for C; C has not, and builds on round 1.
    assert_eq!(player(&drawing, 0).machine.next_round(), None);
    let slow = player(&drawing, 2);
    assert_eq!(slow.machine.highest_round(), Round::new(2));
    assert_eq!(slow.machine.next_round(), Some(Round::new(2)));
    assert_eq!(parents(&drawing, &slow), "A1 B1 C1");
    drawing.add("C2 -> [*]");
    assert_eq!(parents(&drawing, &player(&drawing, 0)), "A2 B2 C2");
}

#[test]
fn who_jumped_a_round_on_a_left_out_vertex_does_not_strand_the_others() {
    // C went from round 1 to round 3 before it knew of D1': no other vertex of round 2 will come.
    let drawing = Drawing::new(4, "*1 -> [*]; D1' -> [*]; ABD2 -> [*]; C3 -> [A2, B2, D2] ~ [C1]");
    for own in [0, 1] {
        let player = player(&drawing, own);
        assert_eq!(player.machine.next_round(), Some(Round::new(3)));
        let edges = player.machine.edges(Round::new(3));
        assert_eq!(drawing.names(&edges.parents), "A2 B2 D2", "as few as make a quorum");
    }
    let mut drawing = drawing;
    drawing.add("AB3 -> [A2, B2, D2]");
    assert_eq!(parents(&drawing, &player(&drawing, 0)), "A3 B3 C3");
}

#[test]
fn a_vertex_of_a_left_out_author_is_wanted_only_when_somebody_else_refers_to_it() {
    let mut drawing = Drawing::new(4, CAUGHT);
    drawing.add("ABC3 -> [*]; D3 -> [A2, B2, D2]; D3' -> [A2, C2, D2]; B4 -> [*]");
    let mut player = Player::of(&drawing, Some(0), wave(5), leaders(""));
    let early = drawing.vertices.iter().filter(|vertex| vertex.round() < Round::new(2));
    early.for_each(|vertex| player.insert(vertex));
    let wants = |player: &Player, name: &str| player.machine.wants(&drawing.reference(name));
    assert!(["A2", "C3"].iter().all(|name| wants(&player, name)));
    assert!(["D2", "D3", "D3'"].iter().all(|name| !wants(&player, name)));
    // A vertex of D that waits makes nothing needed; one of B does, down to what D3 refers to.
    player.insert(&drawing.vertex("D3'"));
    assert!(!wants(&player, "D2"));
    player.insert(&drawing.vertex("B4"));
    assert!(wants(&player, "D3") && !wants(&player, "D2"));
    player.insert(&drawing.vertex("D3"));
    assert!(wants(&player, "D2"));
}

#[test]
fn what_a_left_out_vertex_waits_for_is_named_again_once_somebody_else_waits_for_it() {
    let mut drawing = Drawing::new(4, CAUGHT);
    drawing.add("ABC3 -> [A2, B2, C2]; D3 -> [A2, B2, D2]; B4 -> [*]");
    let mut player = Player::of(&drawing, Some(0), wave(5), leaders(""));
    let mut missing = |name: &str| missing_after(&mut player, &drawing, name);
    for name in ["A1", "B1", "C1", "D1", "A2", "B2", "C2", "A3", "B3", "C3"] {
        assert_eq!(missing(name), "");
    }
    assert_eq!(missing("D3"), "D2");
    // From here on D is left out: D2 would be turned away, since only D3 waits for it.
    assert_eq!(missing("D1'"), "");
    assert_eq!(missing("B4"), "D2");
}

#[test]
fn a_chain_of_left_out_vertices_is_named_whole_in_whatever_order_it_comes() {
    let mut drawing = Drawing::new(4, CAUGHT);
    drawing.add("ABC3 -> [A2, B2, C2]; D3 -> [A2, B2, D2]; ABC4 -> [A3, B3, C3]");
    drawing.add("D4 -> [A3, B3, D3]; B5 -> [A4, B4, D4]");
    let mut player = Player::of(&drawing, Some(0), wave(5), leaders(""));
    let mut missing = |name: &str| missing_after(&mut player, &drawing, name);
    let held = "A1 B1 C1 D1 A2 B2 C2 A3 B3 C3 A4 B4 C4";
    assert!(held.split(' ').all(|name| missing(name).is_empty()));
    assert_eq!(missing("D3"), "D2");
    assert_eq!(missing("D1'"), "");
    assert_eq!(missing("B5"), "D4");
    // D4 is needed now, and with it what D3 has been waiting for all the while.
    assert_eq!(missing("D4"), "D2");
}

#[test]
fn the_own_author_is_never_left_out_by_itself() {
    let drawing = Drawing::new(4, CAUGHT);
    let own = player(&drawing, 3);
    assert!(!own.machine.is_left_out(Author::new(3)));
    let edges = own.machine.edges(Round::new(3));
    assert_eq!(drawing.names(&edges.parents), "A2 B2 C2 D2");
}

#[test]
fn who_was_left_out_in_an_earlier_life_still_is() {
    let drawing = Drawing::new(4, "*1..2 -> [*]");
    let mut player = Player::of(&drawing, Some(0), wave(5), leaders(""));
    player.machine.leave_out(Author::new(3));
    player.insert_all(&drawing);
    assert_eq!(parents(&drawing, &player), "A2 B2 C2");
}

#[test]
fn decisions_and_order_do_not_know_who_is_left_out() {
    // D leads round 2 and is committed by those who had not seen its twin.
    let parameters: Parameters = wave(4);
    let drawing = Drawing::new(4, "*1 -> [*]; D1' -> [*]; *2..5 -> [*]");
    let mut player = Player::of(&drawing, Some(0), parameters, leaders("1:A 2:D"));
    player.insert_all(&drawing);
    assert_eq!(player.committed(&drawing), "A1 D2");
}
