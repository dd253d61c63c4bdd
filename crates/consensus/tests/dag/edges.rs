//! What a validator builds next: which round, which parents, which late edges.

use types::Round;

use crate::drawing::Drawing;
use crate::drawing::Player;
use crate::drawing::leaders;
use crate::drawing::wave;

/// A machine of validator `own` that holds the drawing, in the order in which it was drawn.
fn builder(drawing: &Drawing, own: u16) -> Player {
    let mut player = Player::of(drawing, Some(own), wave(5), leaders(""));
    player.insert_all(drawing);
    player
}

fn next_round(player: &Player) -> Option<u64> {
    player.machine.next_round().map(Round::value)
}

fn edges(player: &Player, drawing: &Drawing, round: u64) -> (String, String) {
    let edges = player.machine.edges(Round::new(round));
    (drawing.names(&edges.parents), drawing.names(&edges.late))
}

fn pair(parents: &str, late: &str) -> (String, String) {
    (parents.into(), late.into())
}

#[test]
fn round_one_stands_on_everybody_s_implicit_vertex() {
    let drawing = Drawing::new(4, "");
    let player = builder(&drawing, 0);
    assert_eq!(next_round(&player), Some(1));
    assert_eq!(edges(&player, &drawing, 1), pair("A0 B0 C0 D0", ""));
}

#[test]
fn a_round_is_built_once_a_quorum_stands_below_and_on_all_of_it() {
    let mut drawing = Drawing::new(4, "AB1 -> [*]");
    assert_eq!(next_round(&builder(&drawing, 0)), None);
    drawing.add("C1 -> [*]");
    let player = builder(&drawing, 0);
    assert_eq!(next_round(&player), Some(2));
    assert_eq!(edges(&player, &drawing, 2), pair("A1 B1 C1", ""));
    drawing.add("D1 -> [*]");
    assert_eq!(edges(&builder(&drawing, 0), &drawing, 2), pair("A1 B1 C1 D1", ""));
}

#[test]
fn rounds_are_jumped_and_never_revisited() {
    let mut drawing = Drawing::new(4, "*1 -> [*]; BCD2..4 -> [*]");
    assert_eq!(next_round(&builder(&drawing, 0)), Some(5));
    drawing.add("A5 -> [*] ~ [A1]; BC5 -> [*]");
    let player = builder(&drawing, 0);
    assert_eq!(next_round(&player), Some(6));
    // Without the others' vertices of round 5 there is nothing to build: round 5 is done.
    let mut alone = Player::of(&drawing, Some(0), wave(5), leaders(""));
    for vertex in drawing.vertices.iter().filter(|vertex| vertex.round() < Round::new(5)) {
        alone.insert(vertex);
    }
    alone.insert(&drawing.vertex("A5"));
    assert_eq!(next_round(&alone), None);
    assert_eq!(alone.machine.own_round(), Round::new(5));
}

#[test]
fn an_own_vertex_that_waits_is_never_built_again() {
    let drawing = Drawing::new(4, "*1..3 -> [*]");
    let mut player = Player::of(&drawing, Some(0), wave(5), leaders(""));
    player.insert(&drawing.vertex("A3"));
    for vertex in drawing.vertices.iter().filter(|vertex| vertex.round() == Round::new(1)) {
        player.insert(vertex);
    }
    assert_eq!(next_round(&player), None, "round 2 lies below the own vertex of round 3");
}

#[test]
fn a_follower_builds_nothing() {
    let drawing = Drawing::new(4, "*1..3 -> [*]");
    let mut player = Player::new(&drawing, wave(5), leaders(""));
    player.insert_all(&drawing);
    assert_eq!(next_round(&player), None);
}

#[test]
fn a_share_is_due_for_the_round_that_the_vertex_decides() {
    for (length, round, due) in [(5, 4, None), (5, 5, Some(1)), (4, 4, Some(1)), (4, 9, Some(6))] {
        let drawing = Drawing::new(4, "");
        let player = Player::of(&drawing, Some(0), wave(length), leaders(""));
        let edges = player.machine.edges(Round::new(round));
        assert_eq!(edges.coin_round, due.map(Round::new));
    }
}

#[test]
fn the_own_previous_vertex_is_a_late_edge_even_when_others_lead_to_it() {
    let drawing = Drawing::new(4, "*1 -> [*]; BCD2..4 -> [*]");
    let player = builder(&drawing, 0);
    assert_eq!(edges(&player, &drawing, 5), pair("B4 C4 D4", "A1"));
}

#[test]
fn older_vertices_that_no_parent_leads_to_become_late_edges() {
    // D is slow: nobody built on D1 and D2, of which D2 leads to D1.
    let drawing =
        Drawing::new(4, "*1 -> [*]; ABC2 -> [-D1]; D2 -> [*]; ABC3 -> [-D2]; ABC4 -> [*]");
    let player = builder(&drawing, 0);
    assert_eq!(edges(&player, &drawing, 5), pair("A4 B4 C4", "D2"));
}

#[test]
fn what_a_parent_leads_to_by_a_late_edge_is_not_late_again() {
    let mut drawing =
        Drawing::new(4, "*1 -> [*]; ABC2 -> [-D1]; ABC3 -> [*]; B4 -> [*] ~ [D1]; AC4 -> [*]");
    assert_eq!(edges(&builder(&drawing, 0), &drawing, 5), pair("A4 B4 C4", ""));
    // A4 has been built without it; when B4 is no parent, it is late still.
    drawing.add("D4 -> [A3, B3, C3] ~ [D1]");
    let mut without = Player::of(&drawing, Some(0), wave(5), leaders(""));
    let kept = |name: &str| name != "B4" && name != "D4";
    for vertex in &drawing.vertices {
        if kept(drawing.name(&vertex.reference())) {
            without.insert(vertex);
        }
    }
    assert_eq!(edges(&without, &drawing, 5), pair("A4 C4", "D1"));
}

#[test]
fn a_vertex_two_rounds_below_is_late_and_one_round_below_a_parent() {
    let drawing = Drawing::new(
        4,
        "ABC1 -> [*]; ABC2 -> [*]; ABC3 -> [*]; D2 -> [*]; D3 -> [A2, B2, C2] ~ []",
    );
    let player = builder(&drawing, 0);
    assert_eq!(edges(&player, &drawing, 4), pair("A3 B3 C3 D3", "D2"));
}

#[test]
fn of_an_author_s_several_loose_ends_the_highest_comes_first() {
    let mut drawing = Drawing::new(
        4,
        "ABC1 -> [*]; ABC2 -> [*]; ABC3 -> [*]; ABC4 -> [*]
         D1 -> [*]; D2 -> [A1, B1, C1]; D3 -> [A2, B2, C2]",
    );
    assert_eq!(edges(&builder(&drawing, 0), &drawing, 5), pair("A4 B4 C4", "D3"));
    drawing.add("A5 -> [*] ~ [D3]; BC5 -> [*]");
    assert_eq!(edges(&builder(&drawing, 0), &drawing, 6), pair("A5 B5 C5", "D2"));
    drawing.add("A6 -> [*] ~ [D2]; BC6 -> [*]");
    assert_eq!(edges(&builder(&drawing, 0), &drawing, 7), pair("A6 B6 C6", "D1"));
}

#[test]
fn a_twin_may_be_a_parent_until_the_other_one_comes() {
    let drawing = Drawing::new(4, "*1 -> [*]; D1' -> [*]; ABC2 -> [*]");
    for received in ["D1", "D1'"] {
        let mut player = Player::of(&drawing, Some(0), wave(5), leaders(""));
        drawing.vertices[..3].iter().for_each(|vertex| player.insert(vertex));
        player.insert(&drawing.vertex(received));
        let parents = format!("A1 B1 C1 {received}");
        assert_eq!(edges(&player, &drawing, 2), pair(&parents, ""));
        player.insert_all(&drawing);
        assert_eq!(edges(&player, &drawing, 2), pair("A1 B1 C1", ""));
        assert_eq!(edges(&player, &drawing, 3), pair("A2 B2 C2", ""));
    }
}

#[test]
fn own_vertices_that_came_back_out_of_order_leave_nothing_behind() {
    // After a restart A3 is taken before A2, to which it does not lead.
    let drawing = Drawing::new(
        4,
        "*1 -> [*]; BCD2 -> [*]; A3 -> [B2, C2, D2] ~ [A1]; BCD3 -> [*]; A2 -> [*]",
    );
    let player = builder(&drawing, 0);
    assert_eq!(edges(&player, &drawing, 4), pair("A3 B3 C3 D3", "A2"));
    // In the other order the machine must notice that A3 does not lead to A2.
    let mut other = Player::of(&drawing, Some(0), wave(5), leaders(""));
    other.insert(&drawing.vertex("A2"));
    other.insert_all(&drawing);
    assert_eq!(edges(&other, &drawing, 4), pair("A3 B3 C3 D3", "A2"));
}
