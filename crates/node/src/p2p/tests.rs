//! The protocol over a real node, with a peer that is not ours: it holds what it is sent against
//! Bitcoin's rules by its own lights.

use std::net::SocketAddr;
use std::time::Duration;

use bitcoin::Block;
use bitcoin::BlockHash;
use bitcoin::Network;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::block::Header;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::Address;
use bitcoin::p2p::ServiceFlags;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message_blockdata::GetBlocksMessage;
use bitcoin::p2p::message_blockdata::GetHeadersMessage;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_network::VersionMessage;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::http::tests::Served;
use crate::http::tests::address;
use crate::metrics::Closed;

use super::frames;
use super::frames::Frames;
use super::serve;

const PATIENCE: Duration = Duration::from_secs(20);

struct Door {
    served: Served,
    server: JoinHandle<()>,
    address: SocketAddr,
}

struct Peer {
    frames: Frames<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Door {
    async fn start() -> Self {
        let served = Served::start().await;
        let (address, server) = served.listen(serve).await;
        Self { served, server, address }
    }

    async fn connect(&self) -> Peer {
        let (read, write) = TcpStream::connect(self.address).await.unwrap().into_split();
        let long = std::sync::Arc::new(Semaphore::new(1));
        Peer { frames: Frames::new(read, long), write }
    }

    /// A peer that has shaken hands.
    async fn peer(&self) -> Peer {
        let mut peer = self.connect().await;
        peer.send(NetworkMessage::Version(version())).await;
        let told = peer.wait(|message| match message {
            NetworkMessage::Version(version) => Some(version),
            _ => None,
        });
        let told = told.await;
        assert_eq!(told.services, ServiceFlags::from(9));
        assert_eq!(told.version, 70_016);
        peer.wait(|message| matches!(message, NetworkMessage::Verack).then_some(())).await;
        peer.send(NetworkMessage::Verack).await;
        peer
    }

    async fn stop(self) {
        self.served.stop().await;
        self.server.await.unwrap();
    }
}

impl Peer {
    async fn send(&mut self, message: NetworkMessage) {
        self.write.write_all(&frames::bytes(message)).await.unwrap();
    }

    async fn next(&mut self) -> Result<NetworkMessage, Closed> {
        timeout(PATIENCE, self.frames.next()).await.expect("a message in time")
    }

    async fn wait<T>(&mut self, mut pick: impl FnMut(NetworkMessage) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next().await.expect("the connection stands")) {
                return found;
            }
        }
    }

    async fn headers(&mut self, locator: &[BlockHash], stop: BlockHash) -> Vec<Header> {
        self.send(NetworkMessage::GetHeaders(GetHeadersMessage {
            version: 70_016,
            locator_hashes: locator.to_vec(),
            stop_hash: stop,
        }))
        .await;
        // An announcement may come first: it holds the newest header alone.
        let first = locator.first().copied();
        self.wait(move |message| match message {
            NetworkMessage::Headers(headers)
                if headers.first().is_none_or(|header| Some(header.prev_blockhash) == first) =>
            {
                Some(headers)
            }
            _ => None,
        })
        .await
    }

    async fn block(&mut self, name: Inventory) -> Block {
        self.send(NetworkMessage::GetData(vec![name])).await;
        self.wait(|message| match message {
            NetworkMessage::Block(block) => Some(block),
            _ => None,
        })
        .await
    }
}

fn version() -> VersionMessage {
    let nowhere = Address::new(&SocketAddr::from(([0, 0, 0, 0], 0)), ServiceFlags::NONE);
    VersionMessage {
        version: 70_016,
        services: ServiceFlags::NETWORK | ServiceFlags::WITNESS,
        timestamp: 0,
        receiver: nowhere.clone(),
        sender: nowhere,
        nonce: 1,
        user_agent: "/test/".to_owned(),
        start_height: 0,
        relay: true,
    }
}

fn genesis() -> BlockHash {
    genesis_block(Network::Regtest).block_hash()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_syncs_every_header_and_block_and_is_told_of_the_next() {
    let door = Door::start().await;
    let txid = door.served.pay(&address(50), 50_000).await;
    door.served.wait_final(txid).await;
    let height = door.served.tick(1).await;
    let mut peer = door.peer().await;
    peer.send(NetworkMessage::SendHeaders).await;

    let headers = peer.headers(&[genesis()], BlockHash::all_zeros()).await;
    assert_eq!(headers.len(), usize::try_from(height).unwrap());
    let mut previous = genesis();
    for header in &headers {
        assert_eq!(header.prev_blockhash, previous);
        previous = header.validate_pow(header.target()).unwrap();
    }
    let mut found = false;
    for header in &headers {
        let block = peer.block(Inventory::WitnessBlock(header.block_hash())).await;
        assert_eq!(block.header, *header);
        assert!(block.check_merkle_root() && block.check_witness_commitment());
        found |= block.txdata.iter().any(|one| one.compute_txid() == txid);
    }
    assert!(found);
    let stripped = peer.block(Inventory::Block(previous)).await;
    assert!(stripped.txdata.iter().flat_map(|one| &one.input).all(|one| one.witness.is_empty()));
    assert!(stripped.check_merkle_root());

    // A locator that knows nothing of this chain starts at the genesis that both have.
    let unknown = BlockHash::from_byte_array([7; 32]);
    let middle = headers[9].block_hash();
    peer.send(NetworkMessage::GetBlocks(GetBlocksMessage {
        version: 70_016,
        locator_hashes: vec![unknown],
        stop_hash: middle,
    }))
    .await;
    let names = peer.wait(|message| match message {
        NetworkMessage::Inv(names) if names.len() > 1 => Some(names),
        _ => None,
    });
    assert_eq!(names.await.last(), Some(&Inventory::Block(middle)));

    // What is sealed from now on comes unasked, in order, each block once.
    let last = door.served.tick(3).await;
    let mut told = Vec::new();
    while told.len() < usize::try_from(last - height).unwrap() {
        told.extend(
            peer.wait(|message| match message {
                NetworkMessage::Headers(headers) => Some(headers),
                _ => None,
            })
            .await,
        );
    }
    for header in told {
        assert_eq!(header.prev_blockhash, previous);
        previous = header.block_hash();
    }
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_relayed_both_ways() {
    let door = Door::start().await;
    let mut peer = door.peer().await;
    let txid = door.served.pay(&address(51), 50_000).await;
    let named = peer.wait(|message| match message {
        NetworkMessage::Inv(names) => names.into_iter().find(|name| *name == transaction(txid)),
        _ => None,
    });
    named.await;
    peer.send(NetworkMessage::GetData(vec![Inventory::WitnessTransaction(txid)])).await;
    let funding = peer.wait(taken).await;
    assert_eq!(funding.compute_txid(), txid);
    assert!(!funding.input[0].witness.is_empty());

    // A payment of somebody else, named, asked for and taken.
    let payment = crate::http::tests::spend_to_self(&funding, 51);
    let txid = payment.compute_txid();
    peer.send(NetworkMessage::Inv(vec![transaction(txid)])).await;
    let asked = peer.wait(|message| match message {
        NetworkMessage::GetData(names) => Some(names),
        _ => None,
    });
    assert_eq!(asked.await, [Inventory::WitnessTransaction(txid)]);
    peer.send(NetworkMessage::Tx(payment)).await;
    peer.wait(|message| match message {
        NetworkMessage::Inv(names) => names.into_iter().find(|name| *name == transaction(txid)),
        _ => None,
    })
    .await;
    door.served.wait_final(txid).await;
    // What is known is not asked for again, and what there is not is said.
    peer.send(NetworkMessage::Inv(vec![transaction(txid)])).await;
    let nothing = Inventory::WitnessTransaction(Txid::from_byte_array([9; 32]));
    peer.send(NetworkMessage::GetData(vec![nothing])).await;
    let missing = peer.wait(|message| match message {
        NetworkMessage::NotFound(names) => Some(names),
        NetworkMessage::GetData(names) => panic!("{names:?}"),
        _ => None,
    });
    assert_eq!(missing.await, [nothing]);
    door.stop().await;
}

fn transaction(txid: Txid) -> Inventory {
    Inventory::Transaction(txid)
}

fn taken(message: NetworkMessage) -> Option<Transaction> {
    match message {
        NetworkMessage::Tx(transaction) => Some(transaction),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_something_else_is_closed() {
    let door = Door::start().await;
    // Version 2 transport begins with a key and no magic.
    let mut other = TcpStream::connect(door.address).await.unwrap();
    other.write_all(&[0x5a; 64]).await.unwrap();
    let mut read = Vec::new();
    let ended = timeout(PATIENCE, other.read_to_end(&mut read)).await.unwrap();
    assert!(ended.is_err() || read.is_empty());
    // Nobody speaks before it has said what it is.
    let mut early = door.connect().await;
    early.send(NetworkMessage::Ping(1)).await;
    assert_eq!(early.next().await, Err(Closed::Left));
    let mut greedy = door.peer().await;
    let locator = vec![genesis(); super::LOCATOR_MAX + 1];
    greedy
        .send(NetworkMessage::GetHeaders(GetHeadersMessage {
            version: 70_016,
            locator_hashes: locator,
            stop_hash: BlockHash::all_zeros(),
        }))
        .await;
    while greedy.next().await.is_ok() {}
    let mut fine = door.peer().await;
    fine.send(NetworkMessage::Ping(77)).await;
    fine.wait(|message| (message == NetworkMessage::Pong(77)).then_some(())).await;
    door.stop().await;
}
