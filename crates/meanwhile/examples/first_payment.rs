//! A first payment with a wallet library that knows nothing of Meanwhile: `bdk_wallet`, talking to
//! a node through the Esplora routes. Start a network first (`meanwhile devnet`), then run
//! `cargo run --release --example first_payment`.
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::time::Instant;

use bdk_esplora::EsploraExt as _;
use bdk_esplora::esplora_client;
use bdk_wallet::KeychainKind;
use bdk_wallet::SignOptions;
use bdk_wallet::Wallet;
use bitcoin::Amount;
use bitcoin::Network;
use client::Client;
use client::api::TxState;

const DESCRIPTOR: &str = "wpkh(tprv8ZgxMBicQKsPdy6LMhUtFHAgpocR8GC6QmwMSFpZs7h6Eziw3SpThFfczTDh5rW2krkqffa11UpX3XkeTTB2FvzZKWXqPY54Y6Rq4AQ5R8L/84'/1'/0'/0/*)";
const CHANGE: &str = "wpkh(tprv8ZgxMBicQKsPdy6LMhUtFHAgpocR8GC6QmwMSFpZs7h6Eziw3SpThFfczTDh5rW2krkqffa11UpX3XkeTTB2FvzZKWXqPY54Y6Rq4AQ5R8L/84'/1'/0'/1/*)";

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MEANWHILE_URL").unwrap_or_else(|_| "http://127.0.0.1:3000".into());
    let node = Client::new(&url)?;
    let runtime = tokio::runtime::Runtime::new()?;

    // The five lines: a wallet, an address, money from the faucet, a payment, its broadcast.
    let esplora = esplora_client::Builder::new(&format!("{url}/api")).build_blocking();
    let mut wallet =
        Wallet::create(DESCRIPTOR, CHANGE).network(Network::Regtest).create_wallet_no_persist()?;
    let address = wallet.reveal_next_address(KeychainKind::External).address;
    let funding = runtime.block_on(node.faucet(&address.to_string().parse()?, Amount::ONE_BTC))?;
    wallet.apply_update(esplora.full_scan(wallet.start_full_scan(), 5, 1)?)?;
    println!("funded by {funding}: {}", wallet.balance());

    let to = wallet.peek_address(KeychainKind::External, 20).address;
    let mut builder = wallet.build_tx();
    builder.add_recipient(to.script_pubkey(), Amount::from_sat(50_000));
    let mut psbt = builder.finish()?;
    wallet.sign(&mut psbt, SignOptions::default())?;
    let payment = psbt.extract_tx()?;

    let began = Instant::now();
    esplora.broadcast(&payment)?;
    // Any node tells the outcome; a submission of what is known already only waits for it.
    let outcome =
        runtime.block_on(node.submit_and_wait(&payment, std::time::Duration::from_secs(10)))?;
    assert_eq!(outcome.status, TxState::Final);
    println!("paid with {}: final after {:?}", outcome.txid, began.elapsed());
    Ok(())
}
