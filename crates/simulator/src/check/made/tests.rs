use types::Commit;
use types::CommitIndex;
use types::Digest;
use types::Item;
use types::Payload;
use types::TimestampMs;
use types::test_utils::TestNetwork;

use super::*;
use crate::check::drawing;

fn ordered(vertex: &Verified<Vertex>) -> Ordered {
    let commit = Commit {
        index: CommitIndex::new(1),
        previous: Digest::ZERO,
        leader: vertex.reference(),
        slot: 0,
        vertices: vec![vertex.reference()],
        timestamp: TimestampMs::ZERO,
    };
    Ordered { commit, vertices: vec![vertex.clone()] }
}

#[test]
fn what_nobody_made_and_what_was_made_otherwise_is_noticed() {
    let network = TestNetwork::new(4);
    let vertex = drawing::first(&network, 2, 0);
    let mut made = Made::new(vec![false; 4]);
    assert!(made.ordered(&ordered(&vertex)).unwrap_err().0.contains("nobody made"));
    made.signed(&vertex);
    made.ordered(&ordered(&vertex)).unwrap();
    // The same header and signature around another payload have the same name.
    let items = vec![Item::DevelopmentTicks(1)];
    let payload = Payload::new(items).unwrap();
    let other = Verified::own(vertex.header().clone(), payload, *vertex.signature());
    assert_eq!(other.reference(), vertex.reference());
    assert!(made.ordered(&ordered(&other)).is_err());
}
