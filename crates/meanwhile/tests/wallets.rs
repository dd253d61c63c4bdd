//! A wallet library that knows nothing of this network pays and is paid on it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use std::time::Duration;
use std::time::Instant;

use bdk_electrum::BdkElectrumClient;
use bdk_electrum::electrum_client;
use bdk_esplora::EsploraExt as _;
use bdk_esplora::esplora_client;
use bdk_esplora::esplora_client::BlockingClient;
use bdk_wallet::KeychainKind;
use bdk_wallet::Wallet;
use bitcoin::Amount;
use bitcoin::Network;
use bitcoin::NetworkKind;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::bip32::Xpriv;
use client::api::TxState;
use common::Devnet;
use common::PATIENCE;
use common::payer::Payer;
use tokio::runtime::Runtime;

const STOP_GAP: usize = 5;
const PAYMENTS: usize = 200;

struct User {
    master: Xpriv,
    wallet: Wallet,
    esplora: BlockingClient,
}

impl User {
    fn new(kind: &str, seed: u8, url: &str) -> Self {
        let master = Xpriv::new_master(NetworkKind::Test, &[seed; 32]).unwrap();
        let purpose = if kind == "tr" { 86 } else { 84 };
        let descriptor = |branch: u8| format!("{kind}({master}/{purpose}'/1'/0'/{branch}/*)");
        let wallet = Wallet::create(descriptor(0), descriptor(1))
            .network(Network::Regtest)
            .create_wallet_no_persist()
            .unwrap();
        let esplora = esplora_client::Builder::new(&format!("{url}/api")).build_blocking();
        Self { master, wallet, esplora }
    }

    fn scan(&mut self) {
        let request = self.wallet.start_full_scan();
        let update = self.esplora.full_scan(request, STOP_GAP, 2).unwrap();
        self.wallet.apply_update(update).unwrap();
    }

    fn sync(&mut self) {
        let request = self.wallet.start_sync_with_revealed_spks();
        let update = self.esplora.sync(request, 2).unwrap();
        self.wallet.apply_update(update).unwrap();
    }

    fn scan_electrum(&mut self, electrum: &BdkElectrumClient<electrum_client::Client>) {
        let request = self.wallet.start_full_scan();
        let update = electrum.full_scan(request, STOP_GAP, 5, true).unwrap();
        self.wallet.apply_update(update).unwrap();
    }

    /// What the wallet knows of, with the height of its block, by name.
    fn history(&self) -> Vec<(Txid, Option<u32>)> {
        let transactions = self.wallet.transactions();
        let mut history: Vec<_> = transactions
            .map(|one| (one.tx_node.txid, one.chain_position.confirmation_height_upper_bound()))
            .collect();
        history.sort_unstable();
        history
    }

    fn address(&mut self) -> bitcoin::Address {
        self.wallet.reveal_next_address(KeychainKind::External).address
    }

    fn pay(&mut self, to: &bitcoin::Address, amount: Amount) -> Transaction {
        let mut builder = self.wallet.build_tx();
        builder.add_recipient(to.script_pubkey(), amount);
        let mut psbt = builder.finish().unwrap();
        psbt.sign(&self.master, self.wallet.secp_ctx()).unwrap();
        assert!(self.wallet.try_finalize_psbt(&mut psbt).unwrap().is_finalized());
        psbt.extract_tx().unwrap()
    }
}

#[test]
fn two_wallets_agree_before_and_after_the_block() {
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    let node = devnet.client(0);
    // The payee listens at another validator than the payer, and the wallets are of two kinds.
    let mut alice = User::new("wpkh", 1, &devnet.url(0));
    let mut bob = User::new("tr", 2, &devnet.url(1));

    let funding = Amount::from_sat(30_000_000);
    let address = alice.address().to_string().parse().unwrap();
    let funded = runtime.block_on(node.faucet(&address, funding)).unwrap();
    alice.scan();
    assert_eq!(alice.wallet.balance().total(), funding);
    assert!(alice.wallet.get_tx(funded).is_some());

    let price = Amount::from_sat(1_250_000);
    let to = bob.address();
    let payment = alice.pay(&to, price);
    alice.esplora.broadcast(&payment).unwrap();
    let txid = payment.compute_txid();
    for index in 0..devnet.validators() {
        let outcome =
            runtime.block_on(devnet.client(index).submit_and_wait(&payment, PATIENCE)).unwrap();
        assert_eq!(outcome.status, TxState::Final, "validator {index}");
    }

    // Final, and in no block yet: both see it, neither calls it confirmed.
    alice.sync();
    bob.scan();
    let fee = alice.wallet.calculate_fee(&payment).unwrap();
    assert_eq!(alice.wallet.balance().total(), funding - price - fee);
    assert_eq!(bob.wallet.balance().total(), price);
    assert_eq!(bob.wallet.balance().confirmed, Amount::ZERO);
    let status = runtime.block_on(node.tx_status(&txid)).unwrap();
    assert_eq!((status.status, status.height), (TxState::Final, None));

    let height = runtime.block_on(node.ticks(1)).unwrap();
    for index in 0..devnet.validators() {
        runtime.block_on(common::until("the block everywhere", async || {
            (devnet.client(index).tip_height().await.unwrap() >= height).then_some(())
        }));
    }
    alice.sync();
    bob.sync();
    assert_eq!(alice.wallet.balance().confirmed, funding - price - fee);
    assert_eq!(bob.wallet.balance().confirmed, price);
    let status = runtime.block_on(node.tx_status(&txid)).unwrap();
    assert_eq!(status.height, Some(height));
    let proof = bob.esplora.get_merkle_proof(&txid).unwrap().unwrap();
    assert_eq!(proof.block_height, height.value());

    // What was received can be spent again.
    let back = bob.pay(&alice.address(), Amount::from_sat(400_000));
    bob.esplora.broadcast(&back).unwrap();
    let outcome = runtime.block_on(node.submit_and_wait(&back, PATIENCE)).unwrap();
    assert_eq!(outcome.status, TxState::Final);
}

#[test]
fn one_wallet_sees_the_same_history_over_esplora_and_over_electrum() {
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    let node = devnet.client(0);
    // The same keys twice, each with its own server at another validator.
    let mut alice = User::new("wpkh", 3, &devnet.url(0));
    let mut twin = User::new("wpkh", 3, &devnet.url(0));
    let electrum = electrum_client::Client::new(&format!("tcp://{}", devnet.electrum(2))).unwrap();
    let electrum = BdkElectrumClient::new(electrum);
    let mut bob = User::new("tr", 4, &devnet.url(1));

    let address = alice.address().to_string().parse().unwrap();
    let funded = runtime.block_on(node.faucet(&address, Amount::from_sat(20_000_000))).unwrap();
    runtime.block_on(common::until("the coin at the other validator", async || {
        let status = devnet.client(2).tx_status(&funded).await.unwrap();
        (status.status == TxState::Final).then_some(())
    }));
    twin.scan_electrum(&electrum);
    assert_eq!(twin.wallet.balance().total(), Amount::from_sat(20_000_000));

    // A payment that this wallet makes and sends over Electrum alone.
    let to = bob.address();
    let payment = twin.pay(&to, Amount::from_sat(3_000_000));
    let txid = electrum.transaction_broadcast(&payment).unwrap();
    assert_eq!(txid, payment.compute_txid());
    for index in 0..devnet.validators() {
        let client = devnet.client(index);
        let outcome = runtime.block_on(client.submit_and_wait(&payment, PATIENCE)).unwrap();
        assert_eq!(outcome.status, TxState::Final, "validator {index}");
    }
    alice.scan();
    twin.scan_electrum(&electrum);
    assert_eq!(alice.history(), twin.history(), "before the block");
    assert_eq!(alice.wallet.balance(), twin.wallet.balance());

    let height = runtime.block_on(node.ticks(1)).unwrap();
    for index in 0..devnet.validators() {
        runtime.block_on(common::until("the block everywhere", async || {
            (devnet.client(index).tip_height().await.unwrap() >= height).then_some(())
        }));
    }
    alice.scan();
    twin.scan_electrum(&electrum);
    assert_eq!(alice.history(), twin.history(), "after the block");
    assert!(alice.history().iter().all(|(_, height)| height.is_some()));
    assert_eq!(twin.wallet.balance().confirmed, twin.wallet.balance().total());
    assert_eq!(alice.wallet.balance(), twin.wallet.balance());
    bob.scan();
    assert_eq!(bob.wallet.balance().confirmed, Amount::from_sat(3_000_000));
}

#[test]
fn payments_are_final_soon_after_their_post() {
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let node = devnet.client(0);
        let mut payer = Payer::funded(&node, 7).await;
        let mut latencies: Vec<Duration> = Vec::new();
        for _ in 0..PAYMENTS {
            let payment = payer.pay();
            let began = Instant::now();
            let outcome = node.submit_and_wait(&payment, PATIENCE).await.unwrap();
            latencies.push(began.elapsed());
            assert_eq!(outcome.status, TxState::Final);
        }
        latencies.sort_unstable();
        println!(
            "{PAYMENTS} payments from POST to final: p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
            latencies[PAYMENTS / 2],
            latencies[PAYMENTS * 9 / 10],
            latencies[PAYMENTS * 99 / 100],
            latencies[PAYMENTS - 1]
        );
        common::assert_same_history(&devnet.clients()).await;
    });
}

#[test]
fn a_double_spend_has_one_winner_and_everybody_names_it() {
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut payer = Payer::funded(&devnet.client(0), 9).await;
        common::assert_same_history(&devnet.clients()).await;
        let first = payer.pay();
        let mut second = first.clone();
        // The same coin, one satoshi more of a fee: a conflict that needs a signature of its own.
        payer.pay_again(&mut second);
        let (one, other) = (devnet.client(0), devnet.client(1));
        let (one, other) = tokio::join!(one.submit(&first), other.submit(&second));
        assert!(one.is_ok() || other.is_ok());
        let mut outcomes = Vec::new();
        for client in devnet.clients() {
            let outcome = common::until("an outcome", async || {
                let a = client.tx_status(&first.compute_txid()).await.unwrap();
                let b = client.tx_status(&second.compute_txid()).await.unwrap();
                let both = [a.status, b.status];
                both.contains(&TxState::Final).then_some(both)
            })
            .await;
            outcomes.push(outcome);
        }
        let finals =
            |both: &[TxState; 2]| both.iter().filter(|state| **state == TxState::Final).count();
        assert!(outcomes.iter().all(|both| finals(both) == 1), "{outcomes:?}");
        let winner = |both: &[TxState; 2]| both[0] == TxState::Final;
        assert!(outcomes.iter().all(|both| winner(both) == winner(&outcomes[0])));
        common::assert_same_history(&devnet.clients()).await;
    });
}
