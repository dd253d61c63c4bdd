//! Certified, skipped and undecided leaders, directly and through anchors.
//!
//! In a wave of four, round r is voted on at r + 2 and decided at r + 3; an anchor stands at r + 4
//! or above.

use consensus::Parameters;
use types::CommitIndex;
use types::Digest;
use types::TimestampMs;

use crate::drawing::Drawing;
use crate::drawing::Player;
use crate::drawing::leaders;
use crate::drawing::play;
use crate::drawing::wave;

/// One vertex of round 4 certifies A1, one blame of three is cast: round 1 stays undecided.
const ONE_CERTIFICATE: &str = "
    *1 -> [*]
    A2 -> [*];   BCD2 -> [-A1]
    ABC3 -> [*]; D3 -> [-A2]
    A4 -> [*];   BCD4 -> [-A3]
";

#[test]
fn a_certified_leader_commits_at_its_decision_round() {
    for (length, last, before) in [(4, 4, 3), (5, 5, 4)] {
        let mut drawing = Drawing::new(4, &format!("*1..{before} -> [*]; AB{last} -> [*]"));
        let leaders = leaders("1:A 2:B");
        let player = play(&drawing, wave(length), leaders.clone());
        assert_eq!(player.commits(&drawing), [""; 0], "two certificates are not enough");
        drawing.add(&format!("C{last} -> [*]"));
        let player = play(&drawing, wave(length), leaders.clone());
        assert_eq!(player.commits(&drawing), ["A1: A1"]);
        drawing.add(&format!("D{last} -> [*]; *{} -> [*]", last + 1));
        let player = play(&drawing, wave(length), leaders);
        assert_eq!(player.commits(&drawing), ["A1: A1", "B2: B1 C1 D1 B2"]);
        assert_eq!(player.decided(), 2);
    }
}

#[test]
fn a_leader_without_a_vertex_is_skipped() {
    let drawing = Drawing::new(4, "BCD1..5 -> [*]");
    let player = play(&drawing, wave(4), leaders("1:A 2:B"));
    assert_eq!(player.commits(&drawing), ["B2: B1 C1 D1 B2"]);
}

#[test]
fn a_leader_that_nobody_supports_is_skipped_though_it_exists() {
    let drawing = Drawing::new(4, "*1 -> [*]; BCD2 -> [-A1]; BCD3..5 -> [*]");
    let player = play(&drawing, wave(4), leaders("1:A 2:B"));
    assert_eq!(player.commits(&drawing), ["B2: B1 C1 D1 B2"]);
}

#[test]
fn two_blames_are_not_enough_to_skip() {
    // C3 and D3 blame, A3 and B3 vote: neither certified nor skipped.
    let drawing = Drawing::new(
        4,
        "*1 -> [*]; A2 -> [*]; BCD2 -> [-A1]; AB3 -> [*]; CD3 -> [-A2]; *4..5 -> [*]",
    );
    let player = play(&drawing, wave(4), leaders("1:A 2:B"));
    assert_eq!((player.committed(&drawing).as_str(), player.decided()), ("", 0));
}

#[test]
fn a_vote_reaches_through_the_cone() {
    // In a wave of five C1 is supported by A2 alone; everybody at round 4 has it in the cone.
    let drawing = Drawing::new(
        4,
        "*1 -> [*]; A2 -> [*]; BCD2 -> [-C1]; AB3 -> [*]; CD3 -> [-A2]; *4 -> [*]; *5 -> [*]",
    );
    assert_eq!(play(&drawing, wave(5), leaders("1:C")).committed(&drawing), "C1");
    // In a wave of four the votes are cast at round 3, where two of four see it.
    assert_eq!(play(&drawing, wave(4), leaders("1:C")).committed(&drawing), "");
}

#[test]
fn an_anchor_commits_what_its_cone_certifies() {
    let text = format!("{ONE_CERTIFICATE}; B5 -> [*]; ACD5 -> [-A4]; *6..8 -> [*]");
    let drawing = Drawing::new(4, &text);
    let player = play(&drawing, wave(4), leaders("1:A 2:B 3:B 4:B 5:B"));
    assert_eq!(player.committed(&drawing), "A1 B2 B3 B4 B5");
}

#[test]
fn an_anchor_skips_what_its_cone_does_not_certify() {
    let text = format!("{ONE_CERTIFICATE}; C5 -> [*]; ABD5 -> [-A4]; *6..8 -> [*]");
    let drawing = Drawing::new(4, &text);
    let player = play(&drawing, wave(4), leaders("1:A 2:B 3:B 4:B 5:B"));
    assert_eq!(player.committed(&drawing), "B2 B3 B4 B5");
    // A later anchor would have seen the certificate by way of C5: it is the first that counts.
    let player = play(&drawing, wave(4), leaders("1:A 2:B 3:B 4:B 5:C"));
    assert_eq!(player.committed(&drawing), "A1 B2 B3 B4 C5");
}

#[test]
fn an_anchor_must_stand_a_whole_wave_above() {
    // Round 4 is full and its leader commits, but it can not be the anchor of round 1.
    let text = format!("{ONE_CERTIFICATE}; *5..7 -> [*]");
    let drawing = Drawing::new(4, &text);
    let player = play(&drawing, wave(4), leaders("1:A 2:B 3:B 4:B"));
    assert_eq!((player.committed(&drawing).as_str(), player.decided()), ("", 0));
}

#[test]
fn a_scan_passes_over_skipped_slots() {
    // Nobody builds on B5: its slot is skipped, and the leader of round 6 is the anchor.
    let text = format!("{ONE_CERTIFICATE}; *5 -> [*]; *6 -> [-B5]; *7..9 -> [*]");
    let drawing = Drawing::new(4, &text);
    let player = play(&drawing, wave(4), leaders("1:A 2:A 3:A 4:A 5:B 6:C"));
    assert_eq!(player.committed(&drawing), "A1 A2 A3 A4 C6");
}

#[test]
fn a_scan_stops_at_the_first_undecided_slot() {
    // Round 5 is undecided as round 1 is; the committed leader of round 6 helps neither of them.
    let again = "A6 -> [*]; BCD6 -> [-A5]; ABC7 -> [*]; D7 -> [-A6]; A8 -> [*]; BCD8 -> [-A7]";
    let text = format!("{ONE_CERTIFICATE}; *5 -> [*]; {again}; *9 -> [*]");
    let mut drawing = Drawing::new(4, &text);
    let leaders = leaders("1:A 2:B 3:B 4:B 5:A 6:B 7:B 8:B 9:C");
    let player = play(&drawing, wave(4), leaders.clone());
    assert_eq!((player.committed(&drawing).as_str(), player.decided()), ("", 0));
    // The leader of round 9 decides round 5, which decides round 1.
    drawing.add("*10..12 -> [*]");
    let player = play(&drawing, wave(4), leaders);
    assert_eq!(player.committed(&drawing), "A1 B2 B3 B4 A5 B6 B7 B8 C9");
}

#[test]
fn an_unknown_common_coin_blocks_the_scan_and_the_output() {
    let text = format!("{ONE_CERTIFICATE}; *5..9 -> [*]");
    let drawing = Drawing::new(4, &text);
    let mut forced = leaders("1:A 2:A 3:A 4:A 5:B 6:B");
    forced.hidden.extend([2, 5].map(types::Round::new));
    let mut player = play(&drawing, wave(4), forced);
    assert_eq!(player.committed(&drawing), "", "round 6 may not be the anchor of round 1");
    player.reveal(5);
    assert_eq!(player.committed(&drawing), "A1", "round 2 is unknown still");
    player.reveal(2);
    assert_eq!(player.committed(&drawing), "A1 A2 A3 A4 B5 B6");
}

#[test]
fn a_coin_is_not_known_before_f_plus_one_stand_at_the_decision_round() {
    // C4 alone certifies nothing yet, and three blames of A1 skip nothing before the coin is known.
    let mut drawing = Drawing::new(4, "BCD1..3 -> [*]; C4 -> [*]");
    let forced = leaders("1:A");
    assert_eq!(play(&drawing, wave(4), forced.clone()).decided(), 0);
    drawing.add("D4 -> [*]");
    assert_eq!(play(&drawing, wave(4), forced).decided(), 1);
}

#[test]
fn slots_of_a_round_go_in_order() {
    let two = Parameters { leaders_per_round: 2, ..wave(4) };
    let drawing = Drawing::new(4, "*1..5 -> [*]");
    let player = play(&drawing, two, leaders("1:CA 2:BD"));
    assert_eq!(player.commits(&drawing), ["C1: C1", "A1: A1", "B2: B1 D1 B2", "D2: D2"]);
    assert_eq!(player.decided(), 2);
}

#[test]
fn an_undecided_second_slot_holds_back_the_next_round() {
    let two = Parameters { leaders_per_round: 2, ..wave(4) };
    let text = format!("{ONE_CERTIFICATE}; *5 -> [*]");
    let drawing = Drawing::new(4, &text);
    let player = play(&drawing, two, leaders("1:CA 2:BD"));
    assert_eq!(player.commits(&drawing), ["C1: C1"]);
    assert_eq!(player.decided(), 0);
}

#[test]
fn within_a_round_the_first_slot_anchors_before_the_second() {
    let two = Parameters { leaders_per_round: 2, ..wave(4) };
    let text = format!("{ONE_CERTIFICATE}; C5 -> [*]; ABD5 -> [-A4]; *6..8 -> [*]");
    let drawing = Drawing::new(4, &text);
    let skipping = play(&drawing, two, leaders("1:AB 2:BC 3:BC 4:BC 5:BC"));
    assert_eq!(skipping.committed(&drawing), "B1 B2 C2 B3 C3 B4 C4 B5 C5");
    let committing = play(&drawing, two, leaders("1:AB 2:BC 3:BC 4:BC 5:CB"));
    assert_eq!(committing.committed(&drawing), "A1 B1 B2 C2 B3 C3 B4 C4 C5 B5");
}

#[test]
fn leaders_in_turn_need_no_coin() {
    let in_turn = Parameters { leaders: consensus::Leaders::RoundRobin, ..wave(5) };
    let drawing = Drawing::new(4, "*1..7 -> [*]");
    let mut player = Player::new(&drawing, in_turn, leaders(""));
    player.machine = consensus::Consensus::new(drawing.committee.clone(), None, in_turn);
    player.insert_all(&drawing);
    assert_eq!(player.committed(&drawing), "B1 C2 D3");
}

#[test]
fn commits_are_numbered_chained_and_never_go_back_in_time() {
    let drawing = Drawing::new(
        4,
        "A1@50 -> [*]; B1@90 -> [*]; C1@70 -> [*]; D1@60 -> [*]
         A2@10 -> [*]; B2@20 -> [-D1]; C2@5 -> [*]; D2@9999 -> [*]; *3..6 -> [*]",
    );
    let player = play(&drawing, wave(4), leaders("1:A 2:B 3:C"));
    let commits: Vec<_> = player
        .outputs
        .iter()
        .filter_map(|output| match output {
            consensus::Output::Commit(ordered) => Some(ordered),
            _ => None,
        })
        .collect();
    let mut previous = Digest::ZERO;
    for (ordered, index) in commits.iter().zip(1..) {
        assert_eq!(ordered.commit.index, CommitIndex::new(index));
        assert_eq!(ordered.commit.previous, previous);
        previous = ordered.commit.digest();
        let references: Vec<_> = ordered.vertices.iter().map(|vertex| vertex.reference()).collect();
        assert_eq!(references, ordered.commit.vertices);
    }
    assert_eq!(player.machine.last_commit(), (CommitIndex::new(3), previous));
    // A1 stands on round 0; B2 on 50, 70, 90; C3 on 5, 10, 20, 9999, of which 10 is the lower median.
    let times: Vec<_> = commits.iter().map(|ordered| ordered.commit.timestamp).collect();
    assert_eq!(times, [0, 70, 70].map(TimestampMs::new));
}
