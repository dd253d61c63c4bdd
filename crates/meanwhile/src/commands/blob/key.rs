//! The key file that pays for blobs and holds their handles.
//!
//! It is made at its first use, readable by its owner only. Losing it loses the right to extend and
//! delete blobs and the money in it, never a blob.

use std::path::PathBuf;
use std::time::Duration;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::PrivateKey;
use bitcoin::Txid;
use clap::Args;
use client::Client;
use client::api::TxState;
use client::api::blobs::BlobService;
use client::blobs::HANDLE_AMOUNT;
use client::blobs::Handle;
use client::blobs::Purse;
use client::blobs::PurseCoin;
use client::blobs::PurseError;
use types::blob::BlobReference;
use types::genesis::BlobParameters;

use crate::devnet::layout::data_home;
use crate::error::BlobFailure;
use crate::error::Failure;
use crate::files;
use crate::output;
use crate::secrets::private_key;

/// A key in Bitcoin's text form is shorter.
const KEY_FILE_BYTES_MAX: u64 = 128;
/// What the faucet of a development network is asked for beyond what is needed, so that the next
/// blobs need no faucet.
const FAUCET_EXTRA: Amount = Amount::from_sat(10_000_000);
/// How long one wait for an outcome takes.
const OUTCOME_WAIT: Duration = Duration::from_secs(60);

/// Which key pays.
#[derive(Clone, Debug, Args)]
pub(super) struct KeyFile {
    /// The file with the key that pays and holds the handles, made when it is not there [default:
    /// $XDG_DATA_HOME/meanwhile/blob.key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// A purse and where its key lies.
pub(super) struct Payer {
    purse: Purse,
    path: PathBuf,
}

impl KeyFile {
    /// Opens the purse, making its key when there is none yet.
    pub(super) fn open(&self) -> Result<Payer, Failure> {
        let path = match &self.key {
            Some(path) => path.clone(),
            None => match data_home() {
                Some(data) => data.join("meanwhile").join("blob.key"),
                None => {
                    let reason = "the environment names no data folder: give a file".to_owned();
                    return Err(Failure::Argument { what: "--key", reason });
                }
            },
        };
        if !path.exists() {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                files::create_dir(folder)?;
            }
            files::write_secret(&path, &format!("{}\n", private_key()?.to_wif()))?;
            output::say(&format!("a new key that pays for blobs is in {}", path.display()));
        }
        let text = files::read_bounded(&path, KEY_FILE_BYTES_MAX)?;
        let key = PrivateKey::from_wif(text.trim()).map_err(|_| Failure::Contents {
            path: path.clone(),
            reason: "no private key in Bitcoin's text form".to_owned(),
        })?;
        Ok(Payer { purse: Purse::new(&key), path })
    }
}

impl Payer {
    /// Pays for what a reference asks for and waits until the transaction is final. On a development
    /// network an empty purse is filled by the faucet.
    pub(super) async fn pay(
        &self,
        client: &Client,
        reference: &BlobReference,
        price: Amount,
        handle: Option<OutPoint>,
    ) -> Result<Txid, Failure> {
        let handle = match handle {
            None => None,
            Some(outpoint) => Some(self.handle(client, outpoint).await?),
        };
        let transaction = match self.purse.pay(&self.coins(client).await?, reference, price, handle)
        {
            Err(PurseError::Empty { held, needed }) => {
                self.fill(client, held, needed).await?;
                self.purse.pay(&self.coins(client).await?, reference, price, handle)
            }
            other => other,
        };
        let transaction = transaction.map_err(|error| self.refused(error))?;
        let status = client.submit_and_wait(&transaction, OUTCOME_WAIT).await?;
        match status.status {
            TxState::Rejected => {
                let winner = status.conflict.map_or_else(String::new, |txid| txid.to_string());
                Err(Failure::Rejected { txid: status.txid, winner })
            }
            _ => Ok(status.txid),
        }
    }

    async fn coins(&self, client: &Client) -> Result<Vec<PurseCoin>, Failure> {
        let coins = client.utxos(&self.purse.address()).await?;
        let coin = |coin: client::esplora::Utxo| PurseCoin {
            outpoint: OutPoint { txid: coin.txid, vout: coin.vout },
            value: coin.value,
        };
        Ok(coins.into_iter().map(coin).collect())
    }

    /// Asks the faucet of a development network, and waits for its payment.
    async fn fill(&self, client: &Client, held: Amount, needed: Amount) -> Result<(), Failure> {
        let empty = || self.refused(PurseError::Empty { held, needed });
        if !client.status().await?.development {
            return Err(empty());
        }
        let address = self.purse.address().into_unchecked();
        let txid = client.faucet(&address, needed + FAUCET_EXTRA).await?;
        let Some(transaction) = client.raw_transaction(&txid).await? else { return Err(empty()) };
        client.submit_and_wait(&transaction, OUTCOME_WAIT).await?;
        Ok(())
    }

    /// The handle of a blob, if it is this purse's.
    async fn handle(&self, client: &Client, outpoint: OutPoint) -> Result<Handle, Failure> {
        let transaction = client.raw_transaction(&outpoint.txid).await?;
        let place = usize::try_from(outpoint.vout).unwrap_or(usize::MAX);
        let output = transaction.as_ref().and_then(|transaction| transaction.output.get(place));
        match output.filter(|output| &output.script_pubkey == self.purse.handle_script()) {
            Some(output) => Ok(Handle(PurseCoin { outpoint, value: output.value })),
            None => {
                Err(BlobFailure::OtherOwner { path: self.path.clone(), handle: outpoint }.into())
            }
        }
    }

    fn refused(&self, error: PurseError) -> Failure {
        BlobFailure::Purse { address: self.purse.address().to_string(), source: error }.into()
    }
}

/// What a network asks for keeping a blob.
pub(super) fn price(service: &BlobService, encoded_length: u64, ticks: u32) -> Amount {
    let parameters = BlobParameters {
        price_msat_per_mib_tick: service.price_msat_per_mib_tick,
        length_max: service.length_max,
        ticks_max: service.ticks_max,
    };
    // A block may come between the quote and the commit: then fewer ticks are left, and never more.
    Amount::from_sat(parameters.price_sat(encoded_length, ticks))
}

/// What a registration costs beside the price, to be told before.
pub(super) const DEPOSIT: Amount = HANDLE_AMOUNT;
