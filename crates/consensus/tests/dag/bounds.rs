//! What a stranger can make grow is bounded.

use consensus::Output;
use consensus::Refusal;
use consensus::SUSPENDED_PER_AUTHOR_MAX;
use consensus::TWINS_UNWANTED_MAX;
use consensus::WINDOW;
use types::Author;
use types::Digest;
use types::Round;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use crate::drawing::Drawing;
use crate::drawing::Player;
use crate::drawing::Sketch;
use crate::drawing::leaders;
use crate::drawing::wave;

/// A vertex of D whose parents nobody has.
fn stray(drawing: &Drawing, round: u64, twin: u64) -> Verified<Vertex> {
    let unknown = |author| VertexRef {
        round: Round::new(round - 1),
        author: Author::new(author),
        digest: Digest::new([u8::MAX; 32]),
    };
    let parents = (0..3).map(unknown).collect();
    let sketch = Sketch { author: 3, round, parents, timestamp: twin, ..Sketch::default() };
    sketch.vertex(&drawing.committee)
}

fn last_refusal(player: &Player) -> Option<(VertexRef, Refusal)> {
    player.outputs.iter().rev().find_map(|output| match output {
        Output::Refused { vertex, reason } => Some((*vertex, *reason)),
        _ => None,
    })
}

#[test]
fn a_vertex_above_the_window_is_refused() {
    let drawing = Drawing::new(4, "*1..7 -> [*]");
    let mut player = Player::new(&drawing, wave(5), leaders(""));
    player.insert_all(&drawing);
    player.insert(&stray(&drawing, 7 + WINDOW, 0));
    assert_eq!(last_refusal(&player), None);
    let above = stray(&drawing, 8 + WINDOW, 0);
    player.insert(&above);
    let (round, limit) = (Round::new(8 + WINDOW), Round::new(7 + WINDOW));
    let expected = (above.reference(), Refusal::TooFarAhead { round, limit });
    assert_eq!(last_refusal(&player), Some(expected));
    assert!(!player.machine.is_suspended(&above.reference()));
}

#[test]
fn a_stranger_s_round_of_few_authors_does_not_move_the_window() {
    // D alone climbs on vertices of its own making.
    let drawing = Drawing::new(4, "*1 -> [*]; D2 -> [*]");
    let mut player = Player::new(&drawing, wave(5), leaders(""));
    player.insert_all(&drawing);
    assert_eq!(player.machine.highest_round(), Round::new(1));
    player.insert(&stray(&drawing, 2 + WINDOW, 0));
    assert!(matches!(last_refusal(&player), Some((_, Refusal::TooFarAhead { .. }))));
}

#[test]
fn an_author_s_waiting_vertices_are_bounded_and_lower_ones_go_first() {
    let drawing = Drawing::new(4, "*1 -> [*]");
    let mut player = Player::new(&drawing, wave(5), leaders(""));
    player.insert_all(&drawing);
    let twins = u64::try_from(TWINS_UNWANTED_MAX).unwrap();
    let mut waiting = Vec::new();
    for round in 10.. {
        for twin in 0..twins {
            if waiting.len() < SUSPENDED_PER_AUTHOR_MAX {
                waiting.push(stray(&drawing, round, twin));
            }
        }
        if waiting.len() == SUSPENDED_PER_AUTHOR_MAX {
            break;
        }
    }
    for vertex in &waiting {
        player.insert(vertex);
    }
    assert_eq!(last_refusal(&player), None);
    let higher = stray(&drawing, 90, 0);
    player.insert(&higher);
    let full = Refusal::SuspendedFull { author: Author::new(3), limit: SUSPENDED_PER_AUTHOR_MAX };
    assert_eq!(last_refusal(&player), Some((higher.reference(), full)));

    let lower = stray(&drawing, 5, 0);
    player.insert(&lower);
    assert!(player.machine.is_suspended(&lower.reference()));
    let highest = waiting.iter().map(|vertex| vertex.reference()).max().unwrap();
    assert_eq!(last_refusal(&player), Some((highest, full)));
    assert!(!player.machine.is_suspended(&highest));
    // Another author is not concerned.
    let mut other = Drawing::new(4, "*1..3 -> [*]");
    other.vertices.retain(|vertex| vertex.round() != Round::new(2));
    player.insert(&other.vertex("A3"));
    assert!(player.machine.is_suspended(&other.reference("A3")));
}

#[test]
fn what_others_wait_for_goes_before_what_nobody_wants() {
    let drawing = Drawing::new(4, "*1..99 -> [*]");
    let mut player = Player::new(&drawing, wave(5), leaders(""));
    let wanted = drawing.vertex("D98");
    for vertex in drawing.vertices.iter().filter(|vertex| vertex.round() == Round::new(1)) {
        player.insert(vertex);
    }
    player.insert(&drawing.vertex("A99"));
    let twins = u64::try_from(TWINS_UNWANTED_MAX).unwrap();
    let rounds = 2..98;
    let strays = rounds.flat_map(|round| (0..twins).map(move |twin| (round, twin)));
    for (round, twin) in strays.take(SUSPENDED_PER_AUTHOR_MAX) {
        player.insert(&stray(&drawing, round, twin));
    }
    assert_eq!(last_refusal(&player), None);
    player.insert(&wanted);
    assert!(player.machine.is_suspended(&wanted.reference()), "the highest of all, yet wanted");
}

#[test]
fn a_twin_beyond_the_bound_is_taken_only_when_somebody_refers_to_it() {
    let mut drawing = Drawing::new(4, "*1 -> [*]");
    for twin in 1..=TWINS_UNWANTED_MAX {
        drawing.add(&format!("D1{} -> [*]", "'".repeat(twin)));
    }
    let last = format!("D1{}", "'".repeat(TWINS_UNWANTED_MAX));
    drawing.add(&format!("A2 -> [*, {last}]"));
    let mut player = Player::new(&drawing, wave(5), leaders(""));
    for vertex in drawing.vertices.iter().filter(|vertex| vertex.round() == Round::new(1)) {
        player.insert(vertex);
    }
    let author = Author::new(3);
    let too_many =
        Refusal::TooManyTwins { author, round: Round::new(1), limit: TWINS_UNWANTED_MAX };
    assert_eq!(last_refusal(&player), Some((drawing.reference(&last), too_many)));
    player.insert(&drawing.vertex("A2"));
    let missing: Vec<_> = player.machine.missing().collect();
    assert_eq!(missing, [(drawing.reference(&last), drawing.reference("A2"))]);
    player.insert(&drawing.vertex(&last));
    assert!(player.machine.contains(&drawing.reference("A2")));
}

#[test]
fn a_reference_to_a_first_vertex_that_does_not_exist_is_refused() {
    let drawing = Drawing::new(4, "");
    let mut player = Player::new(&drawing, wave(5), leaders(""));
    player.insert(&stray(&drawing, 1, 0));
    assert!(matches!(last_refusal(&player), Some((_, Refusal::UnknownFirst { .. }))));
    assert_eq!(player.machine.missing().count(), 0);
}

#[test]
fn an_author_outside_the_committee_is_refused() {
    let drawing = Drawing::new(4, "");
    let mut player = Player::new(&drawing, wave(5), leaders(""));
    let sketch = Sketch { author: 4, round: 1, ..Sketch::default() };
    player.insert(&sketch.vertex(&drawing.committee));
    let author = Author::new(4);
    assert_eq!(last_refusal(&player).unwrap().1, Refusal::UnknownAuthor { author });
}

#[test]
fn what_waits_names_what_is_unknown_and_nothing_else() {
    let drawing = Drawing::new(4, "*1..3 -> [*]");
    let mut player = Player::new(&drawing, wave(5), leaders(""));
    let mut missing = |name: &str| {
        player.insert(&drawing.vertex(name));
        let last = player.outputs.pop().unwrap();
        let Output::Missing { vertex, missing } = last else { panic!("{last:?}") };
        assert_eq!(vertex, drawing.reference(name));
        drawing.names(&missing)
    };
    assert_eq!(missing("A3"), "A2 B2 C2 D2");
    assert_eq!(missing("B3"), "A2 B2 C2 D2");
    assert_eq!(missing("C2"), "A1 B1 C1 D1");
    assert_eq!(missing("C3"), "A2 B2 D2");
    let pairs: Vec<_> = player
        .machine
        .missing()
        .map(|(missing, by)| format!("{} for {}", drawing.name(&missing), drawing.name(&by)))
        .collect();
    let expected =
        ["A1 for C2", "B1 for C2", "C1 for C2", "D1 for C2", "A2 for A3", "B2 for A3", "D2 for A3"];
    assert_eq!(pairs.len(), expected.len());
    assert!(expected.iter().all(|pair| pairs.iter().any(|found| found == pair)), "{pairs:?}");
    // Once all is there, everything was taken once and in order.
    player.insert_all(&drawing);
    player.insert_all(&drawing);
    let accepted = player.outputs.iter().filter(|output| matches!(output, Output::Accepted(_)));
    assert_eq!(accepted.count(), 12);
    assert_eq!(player.machine.missing().count(), 0);
}
