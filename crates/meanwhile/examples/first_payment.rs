//! A first payment with a wallet library that knows nothing of Meanwhile: `bdk_wallet`, talking to
//! a node through the Esplora routes. Start a network first (`meanwhile devnet`), then run
//! `cargo run --release --example first_payment`.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::time::Duration;
use std::time::Instant;

use bdk_esplora::EsploraExt as _;
use bdk_esplora::esplora_client;
use bdk_wallet::KeychainKind;
use bdk_wallet::Wallet;
use bitcoin::Amount;
use bitcoin::Network;
use bitcoin::NetworkKind;
use bitcoin::bip32::Xpriv;
use client::Client;
use client::api::TxState;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MEANWHILE_URL").unwrap_or_else(|_| "http://127.0.0.1:3000".into());
    let node = Client::new(&url)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let esplora = esplora_client::Builder::new(&format!("{url}/api")).build_blocking();

    // A key of one's own, new each time, and an ordinary wallet over it.
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let master = Xpriv::new_master(NetworkKind::Test, &seed)?;
    let descriptor = |branch: u8| format!("wpkh({master}/84'/1'/0'/{branch}/*)");
    let mut wallet = Wallet::create(descriptor(0), descriptor(1))
        .network(Network::Regtest)
        .create_wallet_no_persist()?;

    // Money from the faucet; the wallet finds it as it would find it anywhere.
    let address = wallet.reveal_next_address(KeychainKind::External).address;
    let funding = runtime.block_on(node.faucet(&address.to_string().parse()?, Amount::ONE_BTC))?;
    wallet.apply_update(esplora.full_scan(wallet.start_full_scan(), 5, 1)?)?;
    println!("funded with {} by {funding}", wallet.balance().total());

    // A payment: built, signed, sent.
    let to = wallet.peek_address(KeychainKind::External, 20).address;
    let mut builder = wallet.build_tx();
    builder.add_recipient(to.script_pubkey(), Amount::from_sat(50_000));
    let mut psbt = builder.finish()?;
    psbt.sign(&master, wallet.secp_ctx()).map_err(|(_, errors)| format!("{errors:?}"))?;
    wallet.try_finalize_psbt(&mut psbt)?;
    let payment = psbt.extract_tx()?;
    let began = Instant::now();
    esplora.broadcast(&payment)?;
    // Any node tells the outcome; a submission of what is known already only waits for it.
    let outcome = runtime.block_on(node.submit_and_wait(&payment, Duration::from_secs(10)))?;
    assert_eq!(outcome.status, TxState::Final);
    println!("paid with {}: final after {:?}", outcome.txid, began.elapsed());
    Ok(())
}
