//! That each adversary does what it is there for.

use std::collections::BTreeSet;

use replica::ordering::Draft;
use replica::wire::Message;
use types::InvalidVertex;
use types::Unverified;
use types::test_utils::TestNetwork;

use super::*;
use crate::check::drawing;
use crate::memo::Memo;
use crate::memo::Setting;
use crate::options::Options;

const USUAL: Span = DELAY;

fn author(number: u16) -> Author {
    Author::new(number)
}

fn sight(validators: u16) -> Sight {
    Sight {
        now: Moment::ZERO,
        quorums: Quorums::new(validators),
        wave: 5,
        built: vec![Round::ZERO; usize::from(validators)],
        coins: BTreeMap::new(),
    }
}

fn chance(seed: u64) -> Schedule {
    let network = options::Network::Adversary;
    Schedule::new(&Options { seed, network, ..Options::new(4) })
}

/// Full rounds of four authors, ascending.
fn full(network: &TestNetwork, rounds: usize) -> Vec<Vec<Verified<Vertex>>> {
    let mut rows: Vec<Vec<Verified<Vertex>>> = Vec::new();
    for _ in 0..rounds {
        let row = (0..4).map(|author| match rows.last() {
            None => drawing::first(network, author, 0),
            Some(row) => {
                let parents = row.iter().map(|vertex| vertex.reference());
                drawing::vertex(network, author, parents.collect(), 0)
            }
        });
        let row = row.collect();
        rows.push(row);
    }
    rows
}

fn fate(
    scheduler: &mut dyn Scheduler,
    (from, to): (u16, u16),
    vertices: &[Verified<Vertex>],
    sight: &Sight,
    chance: &mut Schedule,
) -> Fate {
    let letter = Letter { from: author(from), to: author(to), vertices, usual: USUAL };
    scheduler.fate(&letter, sight, chance)
}

#[test]
fn the_starver_keeps_one_vertex_of_a_wave_until_its_receiver_has_voted() {
    let network = TestNetwork::new(4);
    let rows = full(&network, 5);
    let mut held = BTreeMap::new();
    let (mut scheduler, mut chance, mut sight) = (starver::Starver::default(), chance(1), sight(4));
    for row in &rows {
        for vertex in row {
            scheduler.made(vertex, &sight, &mut chance);
        }
        for vertex in row {
            let from = vertex.author().value();
            let vertices = [vertex.clone()];
            let fate = fate(&mut scheduler, (from, 3 - from), &vertices, &sight, &mut chance);
            if let Fate::Hold(until) = fate {
                held.insert(vertex.reference(), until);
            }
        }
    }
    let rounds: Vec<u64> = held.keys().map(|vertex| vertex.round.value()).collect();
    assert_eq!(rounds, [1, 4], "one at a time, and the next one after w - 2 rounds");
    let (first, until) = held.first_key_value().unwrap();
    let to = author(3 - first.author.value());
    assert_eq!(*until, Until::Built(to, Round::new(4)));
    sight.built[to.index()] = Round::new(4);
    let vertex = rows[0][first.author.index()].clone();
    let link = (first.author.value(), to.value());
    let fate = fate(&mut scheduler, link, &[vertex], &sight, &mut chance);
    assert!(matches!(fate, Fate::After(_)), "{fate:?}");
}

#[test]
fn laggards_are_f_and_slow_by_a_large_factor() {
    for seed in 0..20 {
        let (sight, mut chance) = (sight(7), chance(seed));
        let mut scheduler = laggards::Laggards::new(sight.quorums, &mut chance);
        let mut slow = BTreeSet::new();
        let mut links = 0;
        for from in 0..7 {
            for to in (0..7).filter(|to| *to != from) {
                let fate = fate(&mut scheduler, (from, to), &[], &sight, &mut chance);
                let Fate::After(span) = fate else { panic!("{fate:?}") };
                if span >= Span::new(5 * USUAL.value()) {
                    links += 1;
                    slow.extend([from, to]);
                }
            }
        }
        // Two of seven are slow on their ways out, in, or both.
        assert!([12, 22].contains(&links), "{links}");
        assert_eq!(slow.len(), 7);
    }
}

#[test]
fn a_withheld_round_is_shown_to_f_and_to_the_others_when_somebody_stands_above() {
    let network = TestNetwork::new(4);
    let rows = full(&network, 12);
    let (mut sight, mut chance) = (sight(4), chance(5));
    let mut scheduler = withheld_round::WithheldRound::default();
    let mut withheld = 0;
    for row in &rows {
        row.iter().for_each(|vertex| scheduler.made(vertex, &sight, &mut chance));
        let late = (1..4).filter(|to| {
            let fate = fate(&mut scheduler, (0, *to), &row[..1], &sight, &mut chance);
            fate != Fate::After(USUAL)
        });
        match late.count() {
            0 => {}
            // One of four is lucky; it may be the one who sends.
            count => {
                assert!(count >= 2, "{count}");
                withheld += 1;
            }
        }
    }
    assert!((2..=8).contains(&withheld), "{withheld} of 12 rounds");
    sight.built[2] = Round::new(13);
    for row in &rows {
        let fate = fate(&mut scheduler, (0, 1), &row[..1], &sight, &mut chance);
        assert_eq!(fate, Fate::After(USUAL));
    }
}

#[test]
fn the_share_that_completes_a_coin_comes_late() {
    let network = TestNetwork::new(7);
    let (sight, mut chance) = (sight(7), chance(2));
    let mut scheduler = late_reveal::LateReveal::default();
    let mut row: Vec<_> = (0..7).map(|author| drawing::first(&network, author, 0)).collect();
    for _ in 2..=5 {
        let parents: Vec<_> = row.iter().map(|vertex| vertex.reference()).collect();
        row = (0..7).map(|author| drawing::vertex(&network, author, parents.clone(), 0)).collect();
    }
    // With its own share and one more, a validator of seven lacks one of three.
    let mut spans = Vec::new();
    for from in 1..5 {
        let vertices = &row[usize::from(from)..=usize::from(from)];
        match fate(&mut scheduler, (from, 0), vertices, &sight, &mut chance) {
            Fate::After(span) => spans.push(span >= Span::new(3 * DELAY.value())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(spans, [false, true, true, true]);
}

#[test]
fn the_aimer_shows_a_leader_to_about_a_quorum_and_hides_certificates_from_one_side() {
    let network = TestNetwork::new(4);
    let rows = full(&network, 5);
    let mut sizes = BTreeSet::new();
    let mut is_hidden = BTreeSet::new();
    for seed in 0..30 {
        let (mut sight, mut chance) = (sight(4), chance(seed));
        let mut scheduler = aimer::Aimer::new(sight.quorums, &mut chance);
        for vertex in rows.iter().flatten() {
            scheduler.made(vertex, &sight, &mut chance);
        }
        let is_held = |to: &u16| {
            rows[0].iter().any(|vertex| {
                let link = (vertex.author().value(), *to);
                let vertices = std::slice::from_ref(vertex);
                let fate = fate(&mut scheduler, link, vertices, &sight, &mut chance);
                matches!(fate, Fate::Hold(Until::Built(..)))
            })
        };
        sizes.insert(4 - (0..4).filter(is_held).count());
        // The leaders of round 1 are known now; every vertex of round 5 certifies them.
        sight.coins.insert(Round::new(1), vec![author(0), author(1)]);
        let late = (0..4).filter(|to| {
            let fate = fate(&mut scheduler, (0, *to), &rows[4][..1], &sight, &mut chance);
            matches!(fate, Fate::After(span) if span > DELAY)
        });
        is_hidden.insert(late.count());
    }
    assert_eq!(sizes, BTreeSet::from([2, 3]), "a quorum, and one short of it");
    assert!(is_hidden.contains(&1) && is_hidden.contains(&3), "{is_hidden:?}");
}

#[test]
fn swizzle_stops_every_link_and_restores_it() {
    let (mut sight, mut chance) = (sight(4), chance(3));
    let mut scheduler = swizzle::Swizzle::new(sight.quorums);
    let mut most = 0;
    let mut least = usize::MAX;
    for step in 0..200 {
        sight.now = Moment::new(step * DELAY.value() / 4);
        let mut stopped = 0;
        for from in 0..4 {
            for to in (0..4).filter(|to| *to != from) {
                let fate = fate(&mut scheduler, (from, to), &[], &sight, &mut chance);
                stopped += usize::from(fate != Fate::After(USUAL));
            }
        }
        (most, least) = (most.max(stopped), least.min(stopped));
    }
    assert_eq!((most, least), (12, 0));
}

#[test]
fn a_slow_reader_reads_one_after_the_other_and_loses_what_does_not_fit() {
    let (sight, mut chance) = (sight(4), chance(3));
    let mut scheduler = slow_readers::SlowReaders::new(sight.quorums, &mut chance);
    let mut slow = 0;
    for to in 0..4 {
        let from = (to + 1) % 4;
        let mut fates =
            (0..400).map(|_| fate(&mut scheduler, (from, to), &[], &sight, &mut chance));
        let first = fates.next().unwrap();
        if first == Fate::After(USUAL) {
            assert!(fates.all(|fate| fate == first));
        } else {
            slow += 1;
            let spans: Vec<Fate> = fates.collect();
            assert!(matches!((first, spans[0]), (Fate::After(a), Fate::After(b)) if a < b));
            assert!(spans.contains(&Fate::Lost));
            // Its power goes, and with it what waited before it.
            scheduler.cut_off(author(to));
            assert_eq!(fate(&mut scheduler, (from, to), &[], &sight, &mut chance), first);
        }
    }
    assert_eq!(slow, 1, "f of them");
}

/// What a Byzantine validator made of a draft, what it sent, and what it signed beside it.
type Work = (Verified<Vertex>, Vec<Parcel>, Vec<Verified<Vertex>>);

/// Lets a validator of one kind sign and send a few rounds on a full graph.
fn at_work(memo: &mut Memo, kind: Kind, seed: u64) -> Vec<Work> {
    let setting = memo.setting(&Options::new(4)).unwrap();
    let network = &setting.network;
    let (mut chance, mut cartel, sight) = (chance(seed), Cartel::default(), sight(4));
    let mut byzantine = kind.make(2, &mut chance);
    full(network, 7)
        .into_iter()
        .map(|row| {
            let header = types::Header { coin_share: None, ..row[1].header().clone() };
            let coin_round = network.genesis.consensus.rules().decided_by(header.round);
            let draft = Draft { header, payload: row[1].payload().clone(), coin_round };
            let setting: &Setting = &setting;
            let mut shop = Workshop {
                own: author(1),
                setting,
                network,
                memo,
                chance: &mut chance,
                cartel: &mut cartel,
                sight: &sight,
                made: Vec::new(),
            };
            let vertex = byzantine.sign(draft, &mut shop);
            let parcels = byzantine.send(&vertex, &mut shop);
            (vertex, parcels, shop.made)
        })
        .collect()
}

fn verified(
    memo: &mut Memo,
    bytes: &bytes::Bytes,
) -> Result<Verified<Vertex>, Option<InvalidVertex>> {
    let setting = memo.setting(&Options::new(4)).unwrap();
    let Ok(Message::Vertex(encoded)) = Message::decode(bytes) else { return Err(None) };
    let vertex = Unverified::decode(&encoded).map_err(|_| None)?;
    let rules = setting.genesis.consensus.rules();
    vertex.verify(&setting.network.committee, rules).map_err(Some)
}

#[test]
fn equivocators_and_cartels_show_two_valid_vertices_of_a_round() {
    let mut memo = Memo::default();
    for kind in [Kind::Equivocator, Kind::TwinCartel] {
        let mut twins = 0;
        for seed in 0..6 {
            for (vertex, parcels, made) in at_work(&mut memo, kind, seed) {
                let shown = parcels.iter();
                let shown: BTreeSet<VertexRef> = shown
                    .map(|parcel| verified(&mut memo, &parcel.bytes).unwrap().reference())
                    .collect();
                assert!(shown.iter().all(|shown| shown.round == vertex.round()));
                assert!(made.iter().all(|twin| twin.reference() != vertex.reference()));
                assert_eq!(made.is_empty(), shown.len() < 2);
                twins += made.len();
            }
        }
        assert!(twins > 6, "{twins}");
    }
}

#[test]
fn a_withholder_leaves_most_without_its_vertex_for_long() {
    let mut memo = Memo::default();
    let mut late = 0;
    for seed in 0..6 {
        for (_, parcels, made) in at_work(&mut memo, Kind::ShareWithholder, seed) {
            assert!(made.is_empty());
            late += 3 - parcels.iter().filter(|parcel| parcel.after == Span::ZERO).count();
        }
    }
    assert!(late > 60, "{late} of 126");
}

#[test]
fn a_forger_gives_points_of_the_curve_that_are_no_shares_of_its_own() {
    let mut memo = Memo::default();
    let setting = memo.setting(&Options::new(4)).unwrap();
    let mut wrong = 0;
    for seed in 0..4 {
        for (vertex, parcels, _) in at_work(&mut memo, Kind::ShareForger, seed) {
            assert!(parcels.iter().all(|parcel| verified(&mut memo, &parcel.bytes).is_ok()));
            let Some(round) = sight(4).coin_round(vertex.round()) else { continue };
            let right = setting.network.coin_share(author(1), round);
            let share = vertex.header().coin_share.unwrap();
            assert!(share.is_curve_point());
            wrong += usize::from(share != right);
        }
    }
    assert!(wrong > 2, "{wrong}");
}

#[test]
fn garbage_is_of_every_kind_and_none_of_it_is_a_vertex_that_can_be_taken() {
    let mut memo = Memo::default();
    let mut kinds = BTreeSet::new();
    for seed in 0..10 {
        for (vertex, parcels, made) in at_work(&mut memo, Kind::GarbageSender, seed) {
            for parcel in parcels {
                let kind =
                    match (Message::decode(&parcel.bytes), verified(&mut memo, &parcel.bytes)) {
                        (_, Ok(known)) if known.reference() == vertex.reference() => continue,
                        (_, Ok(known)) => {
                            assert!(made.iter().any(|made| made.reference() == known.reference()));
                            "a signed one that leads nowhere"
                        }
                        (Err(_), _) => "no message",
                        (_, Err(Some(_))) => "an invalid vertex",
                        (Ok(Message::Vertex(_)), Err(None)) => "no vertex",
                        (Ok(Message::FetchRounds(_) | Message::FetchVertices(_)), _) => "a request",
                        (Ok(Message::Status(_)), _) => "a claim",
                        (Ok(_), _) => "an answer",
                    };
                kinds.insert(kind);
            }
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

#[test]
fn a_poisoner_fills_valid_vertices_with_what_no_ledger_takes_and_sends_others_that_are_not() {
    let mut memo = Memo::default();
    let (mut exchanged, mut overfull) = (0, 0);
    for (vertex, parcels, _) in at_work(&mut memo, Kind::Poisoner, 1) {
        let items = vertex.payload().items();
        let distinct = items.iter().map(|item| format!("{item:?}")).collect::<BTreeSet<_>>();
        assert_eq!((items.len(), distinct.len()), (7, 6), "one of them comes twice");
        for parcel in parcels {
            match verified(&mut memo, &parcel.bytes) {
                Ok(shown) => assert_eq!(shown.reference(), vertex.reference()),
                Err(Some(error)) => {
                    assert_eq!(error, InvalidVertex::PayloadRoot);
                    exchanged += 1;
                }
                Err(None) => overfull += 1,
            }
        }
    }
    assert!(exchanged > 0 && overfull > 0, "{exchanged} {overfull}");
}
