//! A validator that lost its disk.

use super::*;

/// What a validator of four waits for.
fn recovering(net: &Net, own: u16) -> Option<Recovering> {
    net.status(own).recovering
}

/// How many rounds somebody signed twice.
fn signed_twice(net: &Net) -> usize {
    net.vertices.values().filter(|vertices| vertices.len() > 1).count()
}

#[test]
fn who_lost_its_disk_is_silent_until_its_rounds_are_past_and_signs_none_twice() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    let before = net.status(3).own_round;
    net.lose_disk(3, Start::Recover);
    net.run_loaded(seconds(1));
    net.start(3);
    assert_eq!(recovering(&net, 3), Some(Recovering { answers: 0, needed: 3, until: None }));
    let round = net.status(0).round;
    net.run_loaded(Span::from_millis(200));
    let Some(Recovering { until: Some(until), .. }) = recovering(&net, 3) else { panic!("silent") };
    assert!(until > round.saturating_add(consensus::WINDOW), "{until} {round}");
    assert!(until > before.saturating_add(consensus::WINDOW));
    let own = |net: &Net| net.vertices.range((author(3), Round::ZERO)..).count();
    let signed = own(&net);
    net.run_loaded(Span::from_millis(300));
    assert_eq!(own(&net), signed, "it follows, and builds nothing");
    assert!(net.status(3).round.distance_from(before) > 50);
    net.run_loaded(seconds(3));
    assert_eq!(recovering(&net, 3), None, "it takes part again");
    let first = net.vertices.range((author(3), before.next())..).next().unwrap().0.1;
    assert!(first >= until, "{first} {until}");
    assert!(net.status(0).peers[3].state == PeerState::Live);
    net.check();
}

#[test]
fn without_the_rule_a_round_is_signed_twice() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    net.lose_disk(3, Start::First);
    net.start(3);
    net.run_loaded(seconds(1));
    assert!(signed_twice(&net) > 0);
    assert!(net.nodes.iter().any(|node| node.evidence > 0), "and it is found out");
}

#[test]
fn a_vertex_that_reached_nobody_is_not_signed_again() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    // From here on nobody hears validator 3, which goes on for a while.
    net.loss = |from, _, _| from == 3;
    net.run_loaded(seconds(1));
    net.lose_disk(3, Start::Recover);
    net.loss = |_, _, _| false;
    net.start(3);
    net.run_loaded(seconds(4));
    assert_eq!(recovering(&net, 3), None);
    net.check();
}

#[test]
fn whoever_does_not_remember_itself_answers_nothing() {
    let mut net = Net::new(7);
    net.run_loaded(Span::from_millis(500));
    for own in [5, 6] {
        net.lose_disk(own, Start::Recover);
    }
    (5..7).for_each(|own| net.start(own));
    // Five others remember, which is what is needed; the sixth one is silent.
    net.run_loaded(Span::from_millis(200));
    for own in [5, 6] {
        assert!(matches!(recovering(&net, own), Some(Recovering { until: Some(_), .. })));
        let answers = net.nodes[usize::from(own)].sent.iter();
        assert!(!answers.clone().any(|(_, message)| matches!(message, Message::Recalled(_))));
    }
    net.run_loaded(seconds(4));
    assert!((5..7).all(|own| recovering(&net, own).is_none()));
    net.check();
}

#[test]
fn with_too_few_who_remember_it_stays_silent() {
    let mut net = Net::new(4);
    net.run_loaded(Span::from_millis(500));
    net.crash(2);
    net.lose_disk(3, Start::Recover);
    net.start(3);
    net.run_loaded(seconds(3));
    assert_eq!(recovering(&net, 3), Some(Recovering { answers: 2, needed: 3, until: None }));
    net.start(2);
    net.run_loaded(seconds(4));
    assert_eq!(recovering(&net, 3), None, "once the third one is back");
    net.check();
}

#[test]
fn a_crash_in_the_middle_asks_again_and_one_afterwards_remembers() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    net.lose_disk(3, Start::Recover);
    net.start(3);
    net.run_loaded(Span::from_millis(300));
    assert!(matches!(recovering(&net, 3), Some(Recovering { until: Some(_), .. })));
    net.crash(3);
    net.start(3);
    assert!(matches!(recovering(&net, 3), Some(Recovering { answers: 0, until: None, .. })));
    net.run_loaded(seconds(4));
    let own = net.status(3).own_round;
    net.crash(3);
    net.start(3);
    assert_eq!(recovering(&net, 3), None);
    assert_eq!(net.status(3).own_round, own, "its newest vertex is its memory");
    net.run_loaded(seconds(1));
    net.check();
}
