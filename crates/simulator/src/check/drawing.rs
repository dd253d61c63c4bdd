//! Small graphs of signed vertices for the tests of the checkers.

use types::Author;
use types::Encode as _;
use types::Header;
use types::Payload;
use types::Round;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::test_utils::TestNetwork;

/// A vertex on parents, of whatever round they are below; another `time` makes a twin.
pub(crate) fn vertex(
    network: &TestNetwork,
    author: u16,
    parents: Vec<VertexRef>,
    time: u64,
) -> Verified<Vertex> {
    let payload = Payload::default();
    let encoded = payload.to_bytes();
    let round = parents.first().map_or(Round::ZERO, |parent| parent.round).next();
    let due = network.genesis.consensus.rules().decided_by(round);
    let author = Author::new(author);
    let header = Header {
        chain: *network.committee.chain(),
        epoch: network.committee.epoch(),
        author,
        round,
        parents,
        late: Vec::new(),
        coin_share: due.map(|round| network.coin_share(author, round)),
        payload_root: Payload::root(&encoded),
        payload_length: u32::try_from(encoded.len()).unwrap(),
        timestamp: TimestampMs::new(time),
    };
    network.sign(header, payload)
}

/// A vertex of the first round.
pub(crate) fn first(network: &TestNetwork, author: u16, time: u64) -> Verified<Vertex> {
    let committee = &network.committee;
    let parents = committee.authors();
    let parents = parents.map(|a| VertexRef::genesis(committee.chain(), committee.epoch(), a));
    vertex(network, author, parents.collect(), time)
}
