use types::Header;
use types::Payload;
use types::Signature;
use types::TimestampMs;
use types::test_utils::TestNetwork;

use super::*;

/// Everything that a machine keeps, counted.
fn kept(machine: &Consensus) -> [usize; 6] {
    [
        machine.dag.references().count(),
        machine.frontier.len(),
        machine.order.len(),
        machine.decisions.len(),
        machine.coin.len(),
        machine.suspended.missing().count(),
    ]
}

/// Lets four validators build on each other in step, in one machine.
fn run(machine: &mut Consensus, rounds: u64) {
    for _ in 0..rounds {
        let round = machine.dag.highest().next();
        let Edges { parents, .. } = machine.edges(round);
        for author in machine.committee.authors() {
            let header = Header {
                chain: *machine.committee.chain(),
                epoch: machine.committee.epoch(),
                author,
                round,
                parents: parents.clone(),
                late: Vec::new(),
                coin_share: None,
                payload_root: Digest::ZERO,
                payload_length: 4,
                timestamp: TimestampMs::new(round.value()),
            };
            let vertex = Vertex::new(header, Payload::default(), Signature::new([0; 64]));
            machine.insert(Verified::new_for_test(vertex));
            while machine.poll_output().is_some() {}
        }
    }
}

#[test]
fn what_is_kept_does_not_grow_with_time() {
    let network = TestNetwork::new(4);
    let parameters =
        Parameters { wave: 5, leaders_per_round: 2, gc_depth: 30, leaders: Leaders::Coin };
    for own in [None, Some(Author::new(1))] {
        let machine = Consensus::new(Arc::clone(&network.committee), own, parameters);
        let mut machine = machine.with_forced_leaders(ForcedLeaders::default());
        run(&mut machine, 200);
        let early = kept(&machine);
        run(&mut machine, 300);
        assert_eq!(kept(&machine), early);
        assert_eq!(machine.decided_round(), Round::new(496));
        // Undecided rounds, those down to the line, and no more.
        assert_eq!(early[0], (30 + 4) * 4);
    }
}

#[test]
fn leaders_in_turn_keep_nothing_of_the_coin() {
    let network = TestNetwork::new(4);
    let parameters =
        Parameters { wave: 4, leaders_per_round: 1, gc_depth: 30, leaders: Leaders::RoundRobin };
    let mut machine = Consensus::new(network.committee, None, parameters);
    run(&mut machine, 50);
    assert_eq!(machine.coin.len(), 0);
    assert_eq!(machine.decided_round(), Round::new(47));
}
