//! Whole nodes on loopback, in one process: they agree, forget nothing, and bear what strangers
//! send. Every wait is for an event, with a deadline.
#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use ledger::Outcome;
use ledger::ScriptHash;
use ledger::query;
use node::Config;
use node::ConfigError;
use node::Node;
use node::NodeError;
use node::NodeStatus;
use node::PeerState;
use node::Running;
use node::SubmitError;
use node::Submitted;
use node::config::BlobsConfig;
use node::config::DevelopmentConfig;
use node::config::HttpConfig;
use node::config::LimitsConfig;
use node::config::NetworkConfig;
use node::config::PacingConfig;
use node::config::RetentionConfig;
use node::config::ValidatorConfig;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use types::CommitIndex;
use types::Digest;
use types::test_utils::TestNetwork;

/// How long an event may take that has to come, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network of four in a folder.
struct Cluster {
    folder: TempDir,
    network: TestNetwork,
    running: BTreeMap<u16, Running>,
    addresses: BTreeMap<u16, SocketAddr>,
}

impl Cluster {
    /// Writes genesis and secrets of all and starts the nodes named.
    async fn start(nodes: &[u16]) -> Self {
        let network = TestNetwork::new(4);
        let folder = tempfile::tempdir().unwrap();
        write_network(folder.path(), &network);
        let (running, addresses) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Self { folder, network, running, addresses };
        // The lower of two dials: whoever is dialled is started first.
        for node in nodes.iter().rev() {
            cluster.start_one(*node).await;
        }
        cluster
    }

    async fn start_one(&mut self, node: u16) {
        let checked = self.config(node).check().unwrap();
        let running = Node::start(checked).await.unwrap();
        self.addresses.insert(node, running.peer_address().unwrap());
        self.running.insert(node, running);
    }

    fn config(&self, node: u16) -> Config {
        let nowhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let address = |peer: u16| *self.addresses.get(&peer).unwrap_or(&nowhere);
        let peers = (0..4).map(|peer| (peer.to_string(), address(peer).to_string()));
        let home = self.folder.path().join(node.to_string());
        Config {
            genesis: self.folder.path().join("genesis.json"),
            data_dir: home.join("data"),
            validator: Some(ValidatorConfig { author: node, secrets_dir: home.join("secrets") }),
            follower: None,
            network: NetworkConfig {
                listen: Some("127.0.0.1:0".parse().unwrap()),
                peers: peers.collect(),
                followers: None,
            },
            http: None,
            electrum: None,
            bitcoin_p2p: None,
            rpc: None,
            blobs: BlobsConfig::default(),
            pacing: PacingConfig { min_round_interval_ms: 10, idle_interval_ms: 100 },
            limits: LimitsConfig { verify_threads: 1, ..LimitsConfig::default() },
            retention: RetentionConfig::default(),
            development: Some(DevelopmentConfig {
                accept_nonstandard: true,
                ..DevelopmentConfig::default()
            }),
        }
    }

    fn node(&self, node: u16) -> &Running {
        &self.running[&node]
    }

    async fn stop_one(&mut self, node: u16) {
        self.running.remove(&node).unwrap().stop().await.unwrap();
    }

    async fn stop(mut self) {
        for (_, running) in std::mem::take(&mut self.running) {
            running.stop().await.unwrap();
        }
    }

    /// A transaction that spends the coin of `place` in the genesis.
    fn spend(&self, place: usize) -> Transaction {
        let read = self.running.values().next().unwrap().handle().read().unwrap();
        let anyone = ScriptBuf::from_bytes(vec![0x51]);
        let coins = query::utxos(&*read, &ScriptHash::of(&anyone), None, 10).unwrap();
        spend(coins[place].outpoint, coins[place].amount_sat)
    }

    async fn is_final_everywhere(&self, txid: Txid) {
        for running in self.running.values() {
            let mut events = running.handle().events();
            let known = async {
                loop {
                    let read = running.handle().read().unwrap();
                    if let Some(outcome) = query::outcome(&*read, &txid).unwrap() {
                        return outcome;
                    }
                    events.changed().await.unwrap();
                }
            };
            let outcome = timeout(PATIENCE, known).await.expect("the outcome comes");
            assert!(matches!(outcome, Outcome::Final { .. }), "{outcome:?}");
        }
    }

    fn digest(&self, node: u16, commit: CommitIndex) -> Digest {
        let read = self.node(node).handle().read().unwrap();
        query::commit(&*read, commit).unwrap().unwrap().digest
    }
}

fn write_network(folder: &Path, network: &TestNetwork) {
    let genesis = serde_json::to_string(&network.genesis).unwrap();
    std::fs::write(folder.join("genesis.json"), genesis).unwrap();
    for (node, secrets) in network.secrets.iter().enumerate() {
        let dir = folder.join(node.to_string()).join("secrets");
        std::fs::create_dir_all(&dir).unwrap();
        let files: [(&str, [u8; 32]); 4] = [
            (node::keys::VERTEX_FILE, *secrets.vertex.to_seed()),
            (node::keys::TRANSPORT_FILE, *secrets.transport.to_seed()),
            (node::keys::CHECKPOINT_FILE, *secrets.checkpoint.to_bytes()),
            (node::keys::COIN_FILE, *secrets.coin.to_bytes()),
        ];
        std::fs::write(dir.join(node::keys::UNUSED_FILE), "").unwrap();
        for (name, secret) in files {
            let file = dir.join(name);
            std::fs::write(&file, hex::encode(secret)).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
        }
    }
}

fn spend(previous_output: OutPoint, amount_sat: u64) -> Transaction {
    let owner = ScriptBuf::from_bytes([vec![0x00, 0x14], vec![7; 20]].concat());
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::from_sat(amount_sat - 10_000), script_pubkey: owner }],
    }
}

/// Waits until the status of a node is as wanted.
async fn until(running: &Running, wanted: impl Fn(&NodeStatus) -> bool) -> Arc<NodeStatus> {
    let mut status = running.handle().watch_status();
    let result = timeout(PATIENCE, status.wait_for(|status| wanted(status))).await;
    match result {
        Ok(status) => Arc::clone(&status.unwrap()),
        Err(_) => panic!("not within the patience of the test: {:?}", running.handle().status()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_order_apply_and_seal() {
    let cluster = Cluster::start(&[0, 1, 2, 3]).await;
    let transaction = cluster.spend(0);
    let txid = transaction.compute_txid();
    let handle = cluster.node(0).handle().clone();
    assert_eq!(handle.submit(transaction.clone()).await, Ok(Submitted::Accepted));
    cluster.is_final_everywhere(txid).await;
    let again = handle.submit(transaction).await;
    assert!(matches!(again, Ok(Submitted::AlreadyFinal { .. })), "{again:?}");

    let height = handle.status().height;
    handle.ticks(2).await.unwrap();
    for running in cluster.running.values() {
        until(running, |status| status.height >= height.saturating_add(2)).await;
    }
    let status = until(cluster.node(0), |status| {
        status.applied == status.commit
            && status.peers.iter().all(|peer| {
                matches!(peer.state, PeerState::Own | PeerState::Live) && peer.connected
            })
    })
    .await;
    assert!(status.is_ready());
    let applied = status.applied;
    for node in 1..4 {
        until(cluster.node(node), |status| status.applied >= applied).await;
        assert_eq!(cluster.digest(node, applied), cluster.digest(0, applied));
    }
    let text = handle.metrics().encode();
    assert!(text.contains(r#"ledger_transactions_total{result="final"} 1"#), "{text}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_goes_on_without_one_and_takes_it_back() {
    let mut cluster = Cluster::start(&[0, 1, 2, 3]).await;
    let before = until(cluster.node(0), |status| status.commit >= CommitIndex::new(3)).await;
    cluster.stop_one(0).await;

    let transaction = cluster.spend(1);
    let txid = transaction.compute_txid();
    assert_eq!(cluster.node(2).handle().submit(transaction).await, Ok(Submitted::Accepted));
    cluster.is_final_everywhere(txid).await;
    let goal = before.commit.saturating_add(20);
    until(cluster.node(1), |status| status.commit >= goal).await;

    cluster.start_one(0).await;
    assert!(cluster.node(0).handle().status().commit >= before.commit, "the order is kept");
    until(cluster.node(0), |status| status.applied >= goal).await;
    assert_eq!(cluster.digest(0, goal), cluster.digest(1, goal));
    cluster.is_final_everywhere(txid).await;
    // It takes part again: vertices of its own are seen by the others.
    let own = cluster.node(0).handle().status().own_round;
    until(cluster.node(0), |status| status.own_round > own).await;
    until(cluster.node(3), |status| status.peers[0].round > own).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_peer_port_change_nothing() {
    let cluster = Cluster::start(&[0, 1, 2, 3]).await;
    let commit = until(cluster.node(1), |status| status.commit > CommitIndex::ZERO).await.commit;
    let mut sockets = Vec::new();
    for filler in [0_u8, 0x16, 0xff] {
        let mut socket = TcpStream::connect(cluster.node(3).peer_address().unwrap()).await.unwrap();
        socket.write_all(&[filler; 2_048]).await.unwrap();
        sockets.push(socket);
    }
    for mut socket in sockets {
        let mut rest = Vec::new();
        // It is closed, with an alert or without.
        let _ = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("it is closed");
    }
    until(cluster.node(3), |status| status.commit >= commit.saturating_add(5)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_four_alone_orders_nothing_and_stops_in_time() {
    let cluster = Cluster::start(&[1]).await;
    let status = until(cluster.node(1), |status| status.own_round.value() == 1).await;
    assert_eq!(status.commit, CommitIndex::ZERO);
    assert!(!status.is_ready());
    // What it accepts is kept until there are others to order it with.
    let transaction = cluster.spend(0);
    let txid = transaction.compute_txid();
    assert_eq!(cluster.node(1).handle().submit(transaction).await, Ok(Submitted::Accepted));
    let handle = cluster.node(1).handle().clone();
    assert!(handle.pooled(txid).await.unwrap().is_some());
    assert_eq!(handle.mempool().await.unwrap().transactions.len(), 1);

    let mut cluster = cluster;
    cluster.stop_one(1).await;
    assert_eq!(handle.mempool().await.unwrap_err(), SubmitError::Stopping);
    assert_eq!(handle.submit(spend(OutPoint::null(), 20_000)).await, Err(SubmitError::Stopping));
    drop(handle);
    cluster.start_one(1).await;
    assert!(cluster.node(1).handle().pooled(txid).await.unwrap().is_some());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_of_another_network_is_refused() {
    let mut cluster = Cluster::start(&[3]).await;
    cluster.stop_one(3).await;
    cluster.network = TestNetwork::with(4, |genesis| genesis.name.push('x'));
    write_genesis_again(&cluster);
    let error = Node::start(cluster.config(3).check().unwrap()).await.unwrap_err();
    assert!(matches!(error, NodeError::OtherNetwork { .. }), "{error}");
    assert!(error.to_string().contains("genesis file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_answers_while_the_node_runs() {
    let mut cluster = Cluster::start(&[]).await;
    let mut config = cluster.config(3);
    config.http = Some(HttpConfig { bind: "127.0.0.1:0".parse().unwrap() });
    let running = Node::start(config.check().unwrap()).await.unwrap();
    let url = format!("http://{}", running.http_address().unwrap());
    cluster.running.insert(3, running);
    let get = |path: &str| reqwest::get(format!("{url}{path}"));
    assert!(get("/health").await.unwrap().status().is_success());
    // One of four is alive and not ready.
    assert_eq!(get("/ready").await.unwrap().status().as_u16(), 503);
    let metrics = get("/metrics").await.unwrap().text().await.unwrap();
    assert!(metrics.contains("node_peers_connected 0"), "{metrics}");
    cluster.stop().await;
    assert!(get("/health").await.is_err());
}

fn write_genesis_again(cluster: &Cluster) {
    let genesis = serde_json::to_string(&cluster.network.genesis).unwrap();
    std::fs::write(cluster.folder.path().join("genesis.json"), genesis).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named_with_its_key() {
    let cluster = Cluster::start(&[3]).await;
    let mut config = cluster.config(2);
    config.network.listen = cluster.node(3).peer_address();
    let error = Node::start(config.check().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("network.listen"), "{error}");
    let foreign = cluster.config(3).validator.unwrap().secrets_dir;
    config.validator.as_mut().unwrap().secrets_dir = foreign;
    assert!(matches!(config.check(), Err(ConfigError::SecretForeign { .. })));
    cluster.stop().await;
}
