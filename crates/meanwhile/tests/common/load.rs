//! People who pay all the time, while a test does what it does to the network.

use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use bitcoin::Txid;
use client::Client;
use client::api::EventKind;
use client::api::EventQuery;
use client::api::TxState;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Devnet;
use super::PATIENCE;
use super::payer::Payer;

const PAYERS: u8 = 6;

/// People who pay all the time, each at a validator of his own choice.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<Txid>>>,
    finals: watch::Sender<usize>,
    tasks: JoinSet<()>,
}

impl Load {
    /// Gives everybody his first coin and lets them begin.
    pub(crate) async fn start(devnet: &Devnet) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            acknowledged: Arc::default(),
            finals: watch::Sender::new(0),
            tasks: JoinSet::new(),
        };
        for number in 1..=PAYERS {
            let index = u16::from(number) % devnet.validators();
            let payer = Payer::funded(&devnet.client(index), number).await;
            let clients = devnet.clients();
            let (stop, acknowledged) = (Arc::clone(&load.stop), Arc::clone(&load.acknowledged));
            let finals = load.finals.clone();
            load.tasks.spawn(pay(payer, clients, usize::from(index), stop, acknowledged, finals));
        }
        load
    }

    /// Waits until so many more payments are final.
    pub(crate) async fn progress(&self, payments: usize) {
        let wanted = *self.finals.borrow() + payments;
        let mut finals = self.finals.subscribe();
        let wait = finals.wait_for(|finals| *finals >= wanted);
        tokio::time::timeout(PATIENCE, wait).await.expect("payments go on").unwrap();
    }

    /// Ends the load and gives what was acknowledged.
    pub(crate) async fn stop(mut self) -> Vec<Txid> {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(result) = self.tasks.join_next().await {
            result.unwrap();
        }
        let acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.clone()
    }
}

/// Pays until told to stop. A node that is gone is asked again, and then its neighbour: handing a
/// transaction over twice is harmless.
async fn pay(
    mut payer: Payer,
    clients: Vec<Client>,
    mut at: usize,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<Txid>>>,
    finals: watch::Sender<usize>,
) {
    while !stop.load(Ordering::SeqCst) {
        let payment = payer.pay();
        let txid = payment.compute_txid();
        loop {
            match clients[at].submit(&payment).await {
                Ok(_) => break,
                // A neighbour may not have applied the parent yet: that passes as well.
                Err(_) => at = (at + 1) % clients.len(),
            }
            tokio::task::yield_now().await;
        }
        acknowledged.lock().unwrap().push(txid);
        // It is never handed over again: whoever acknowledged it keeps it, whatever happens to his
        // process meanwhile, and tells of its outcome when he is back.
        assert_eq!(outcome(&clients[at], txid).await, TxState::Final, "{txid}");
        finals.send_modify(|finals| *finals += 1);
    }
}

/// Waits for the outcome in one node's event log.
async fn outcome(client: &Client, txid: Txid) -> TxState {
    let query = EventQuery { txid: Some(txid), ..EventQuery::default() };
    let mut events = pin!(client.events(query));
    let wait = async {
        loop {
            let event = events.next().await.unwrap().unwrap();
            if let EventKind::Outcome { status, .. } = event.kind {
                return status;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("what was acknowledged gets its outcome")
}

/// Asserts that every node calls all of these final.
pub(crate) async fn assert_all_final(clients: &[Client], acknowledged: &[Txid]) {
    for client in clients {
        for txid in acknowledged {
            let status = client.tx_status(txid).await.unwrap();
            assert_eq!(status.status, TxState::Final, "{txid} was acknowledged: {status:?}");
        }
    }
}
