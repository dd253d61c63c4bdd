//! Somebody who pays: a key, a coin, and a chain of payments to oneself, each spending the one
//! before. Every payment is a real signed transaction.

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::CompressedPublicKey;
use bitcoin::EcdsaSighashType;
use bitcoin::KnownHrp;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::address::NetworkUnchecked;
use bitcoin::secp256k1::All;
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::secp256k1::SecretKey;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use client::Client;
use types::Encode as _;
use types::blob::BlobReference;

/// What each payment pays the validators.
const FEE: Amount = Amount::from_sat(500);
const START: Amount = Amount::from_sat(10_000_000);

/// Somebody who pays.
pub(crate) struct Payer {
    secp: Secp256k1<All>,
    secret: SecretKey,
    public: CompressedPublicKey,
    coin: OutPoint,
    value: Amount,
}

impl Payer {
    /// Somebody whose first coin comes from a faucet.
    pub(crate) async fn funded(client: &Client, number: u8) -> Self {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(&[number.max(1); 32]).unwrap();
        let public = CompressedPublicKey(secret.public_key(&secp));
        let address = Address::p2wpkh(&public, KnownHrp::Regtest);
        let unchecked: Address<NetworkUnchecked> = address.to_string().parse().unwrap();
        let txid = client.faucet(&unchecked, START).await.unwrap();
        let funding = client.raw_transaction(&txid).await.unwrap().unwrap();
        let script = address.script_pubkey();
        let vout = funding.output.iter().position(|output| output.script_pubkey == script).unwrap();
        let coin = OutPoint { txid, vout: u32::try_from(vout).unwrap() };
        Self { secp, secret, public, coin, value: START }
    }

    /// The next payment, which spends the one before.
    pub(crate) fn pay(&mut self) -> Transaction {
        let value = self.value.checked_sub(FEE).unwrap();
        let script = ScriptBuf::new_p2wpkh(&self.public.wpubkey_hash());
        let mut transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: self.coin,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value, script_pubkey: script }],
        };
        self.sign(&mut transaction, self.value);
        self.coin = OutPoint { txid: transaction.compute_txid(), vout: 0 };
        self.value = value;
        transaction
    }

    /// Asks for something about a blob, and pays for it.
    pub(crate) fn register(&mut self, reference: &BlobReference, price_sat: u64) -> Transaction {
        let mut transaction = self.pay();
        let script = transaction.output[0].script_pubkey.clone();
        let spent = transaction.output[0].value + FEE;
        let data: [u8; BlobReference::ENCODED_LENGTH] = reference.to_bytes().try_into().unwrap();
        let handle = Amount::from_sat(1_000);
        let rest = spent - handle - Amount::from_sat(price_sat) - FEE;
        transaction.output = vec![
            TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new_op_return(data) },
            TxOut { value: handle, script_pubkey: script.clone() },
            TxOut { value: rest, script_pubkey: script },
        ];
        self.sign(&mut transaction, spent);
        self.coin = OutPoint { txid: transaction.compute_txid(), vout: 2 };
        self.value = rest;
        transaction
    }

    /// Turns a copy of the last payment into another one that spends the same coin.
    pub(crate) fn pay_again(&self, transaction: &mut Transaction) {
        let spent = transaction.output[0].value + FEE;
        transaction.output[0].value -= Amount::from_sat(100);
        self.sign(transaction, spent);
    }

    /// The payment that the next one spends.
    pub(crate) const fn last(&self) -> Txid {
        self.coin.txid
    }

    fn sign(&self, transaction: &mut Transaction, spent: Amount) {
        let script = ScriptBuf::new_p2wpkh(&self.public.wpubkey_hash());
        let digest = SighashCache::new(&*transaction)
            .p2wpkh_signature_hash(0, &script, spent, EcdsaSighashType::All)
            .unwrap();
        let signature = bitcoin::ecdsa::Signature {
            signature: self.secp.sign_ecdsa(&Message::from(digest), &self.secret),
            sighash_type: EcdsaSighashType::All,
        };
        transaction.input[0].witness = Witness::p2wpkh(&signature, &self.public.0);
    }
}
