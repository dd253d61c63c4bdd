//! Paying for a blob with one key: the transactions that register, extend and delete it.
//!
//! Money lies at the key's P2WPKH script, handles at its P2TR script: so paying for one blob never
//! spends what another one is extended by. It is as little of a wallet as that takes; any wallet that
//! can add an `OP_RETURN` does as well.

use std::fmt;

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::CompressedPublicKey;
use bitcoin::EcdsaSighashType;
use bitcoin::KnownHrp;
use bitcoin::OutPoint;
use bitcoin::PrivateKey;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::TapSighashType;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::key::Keypair;
use bitcoin::key::Secp256k1;
use bitcoin::key::TapTweak as _;
use bitcoin::script::PushBytesBuf;
use bitcoin::secp256k1::All;
use bitcoin::secp256k1::Message;
use bitcoin::sighash::Prevouts;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use types::Encode as _;
use types::blob::BlobOperation;
use types::blob::BlobReference;

/// What lies on a handle: enough to be worth spending.
pub const HANDLE_AMOUNT: Amount = Amount::from_sat(1_000);
/// The most coins that one payment spends.
pub const PURSE_INPUTS_MAX: usize = 64;

/// What a payment pays at least, in satoshi a virtual byte.
const FEERATE_SAT: u64 = 2;
/// Everything but the inputs: version, counts, lock time, the reference, a handle and change.
const BASE_VSIZE: u64 = 11 + 64 + 43 + 43;
/// A P2WPKH input, the larger one of the two kinds.
const INPUT_VSIZE: u64 = 68;

/// One key that pays for blobs and holds their handles.
pub struct Purse {
    secp: Secp256k1<All>,
    pair: Keypair,
    money: ScriptBuf,
    handles: ScriptBuf,
}

/// A coin at the purse's money script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurseCoin {
    /// Where it lies.
    pub outpoint: OutPoint,
    /// What it is worth.
    pub value: Amount,
}

/// A handle that the purse owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub PurseCoin);

/// Why a purse does not pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurseError {
    /// There is not enough in it.
    #[error("the purse holds {} sat and {} sat are needed", held.to_sat(), needed.to_sat())]
    Empty {
        /// What its largest coins hold together.
        held: Amount,
        /// What is needed, fee included.
        needed: Amount,
    },
    /// A signature can not be made.
    #[error("the purse's key can not sign this")]
    Key,
}

impl Purse {
    /// A purse with this key.
    pub fn new(key: &PrivateKey) -> Self {
        let secp = Secp256k1::new();
        let pair = Keypair::from_secret_key(&secp, &key.inner);
        let money = ScriptBuf::new_p2wpkh(&CompressedPublicKey(pair.public_key()).wpubkey_hash());
        let handles = ScriptBuf::new_p2tr(&secp, pair.x_only_public_key().0, None);
        Self { secp, pair, money, handles }
    }

    /// Where money is to be sent.
    pub fn address(&self) -> Address {
        Address::p2wpkh(&CompressedPublicKey(self.pair.public_key()), KnownHrp::Regtest)
    }

    /// The script of the handles.
    pub const fn handle_script(&self) -> &ScriptBuf {
        &self.handles
    }

    /// What a payment takes out of the purse: the price or the least fee, and the next handle.
    pub fn needed(&self, reference: &BlobReference, price: Amount, inputs: usize) -> Amount {
        let inputs = u64::try_from(inputs).unwrap_or(u64::MAX);
        let vsize = BASE_VSIZE.saturating_add(INPUT_VSIZE.saturating_mul(inputs));
        let fee = price.max(Amount::from_sat(vsize.saturating_mul(FEERATE_SAT)));
        match reference.operation {
            BlobOperation::Delete => fee,
            BlobOperation::Register | BlobOperation::Extend => fee + HANDLE_AMOUNT,
        }
    }

    /// Builds and signs the transaction that carries a reference and pays its price as its fee. A
    /// handle is spent when the blob's is to be extended or deleted.
    ///
    /// # Errors
    /// When the coins do not cover the price.
    pub fn pay(
        &self,
        coins: &[PurseCoin],
        reference: &BlobReference,
        price: Amount,
        handle: Option<Handle>,
    ) -> Result<Transaction, PurseError> {
        let mut spent: Vec<(PurseCoin, &ScriptBuf)> = Vec::new();
        spent.extend(handle.map(|Handle(coin)| (coin, &self.handles)));
        let mut coins = coins.to_vec();
        coins.sort_by_key(|coin| std::cmp::Reverse(coin.value));
        let mut coins = coins.into_iter().take(PURSE_INPUTS_MAX);
        let (held, needed) = loop {
            let held: Amount = spent.iter().map(|(coin, _)| coin.value).sum();
            let needed = self.needed(reference, price, spent.len());
            if !spent.is_empty() && held >= needed {
                break (held, needed);
            }
            let Some(coin) = coins.next() else { return Err(PurseError::Empty { held, needed }) };
            spent.push((coin, &self.money));
        };
        let bytes = PushBytesBuf::try_from(reference.to_bytes()).map_err(|_| PurseError::Key)?;
        let script_pubkey = ScriptBuf::new_op_return(bytes);
        let mut outputs = vec![TxOut { value: Amount::ZERO, script_pubkey }];
        if reference.operation != BlobOperation::Delete {
            outputs.push(TxOut { value: HANDLE_AMOUNT, script_pubkey: self.handles.clone() });
        }
        let change = held - needed;
        if change >= self.money.minimal_non_dust() {
            outputs.push(TxOut { value: change, script_pubkey: self.money.clone() });
        }
        let inputs = spent.iter().map(|(coin, _)| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        });
        let mut transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: inputs.collect(),
            output: outputs,
        };
        self.sign(&mut transaction, &spent)?;
        Ok(transaction)
    }

    fn sign(
        &self,
        transaction: &mut Transaction,
        spent: &[(PurseCoin, &ScriptBuf)],
    ) -> Result<(), PurseError> {
        let output = |(coin, script): &(PurseCoin, &ScriptBuf)| TxOut {
            value: coin.value,
            script_pubkey: (*script).clone(),
        };
        let prevouts: Vec<TxOut> = spent.iter().map(output).collect();
        let mut cache = SighashCache::new(transaction);
        for (index, (coin, script)) in spent.iter().enumerate() {
            let witness = if script.is_p2tr() {
                let kind = TapSighashType::Default;
                let hash = cache
                    .taproot_key_spend_signature_hash(index, &Prevouts::All(&prevouts), kind)
                    .map_err(|_| PurseError::Key)?;
                let tweaked = self.pair.tap_tweak(&self.secp, None).to_keypair();
                let message = Message::from_digest(hash.to_byte_array());
                let signature = self.secp.sign_schnorr_no_aux_rand(&message, &tweaked);
                let signature = bitcoin::taproot::Signature { signature, sighash_type: kind };
                Witness::p2tr_key_spend(&signature)
            } else {
                let kind = EcdsaSighashType::All;
                let hash = cache
                    .p2wpkh_signature_hash(index, script, coin.value, kind)
                    .map_err(|_| PurseError::Key)?;
                let message = Message::from_digest(hash.to_byte_array());
                let signature = self.secp.sign_ecdsa(&message, &self.pair.secret_key());
                let signature = bitcoin::ecdsa::Signature { signature, sighash_type: kind };
                Witness::p2wpkh(&signature, &self.pair.public_key())
            };
            *cache.witness_mut(index).ok_or(PurseError::Key)? = witness;
        }
        Ok(())
    }
}

impl fmt::Debug for Purse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Purse({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::NetworkKind;
    use bitcoin::Txid;
    use bitcoin::secp256k1::SecretKey;
    use types::BlobId;
    use types::BlobLayout;
    use types::Height;
    use types::ShardCount;
    use types::blob::Encoding;

    use super::*;

    fn purse() -> Purse {
        let secret = SecretKey::from_slice(&[3; 32]).unwrap();
        Purse::new(&PrivateKey::new(secret, NetworkKind::Test))
    }

    fn coin(value: u64, vout: u32) -> PurseCoin {
        let txid = Txid::from_byte_array([9; 32]);
        PurseCoin { outpoint: OutPoint { txid, vout }, value: Amount::from_sat(value) }
    }

    fn reference(operation: BlobOperation) -> BlobReference {
        let shards = ShardCount::new(4).unwrap();
        let layout = BlobLayout::new(Encoding::Segmented, shards, 1_000).unwrap();
        let is_end = operation == BlobOperation::Delete;
        let end_height = Height::new(if is_end { 0 } else { 9 });
        BlobReference { operation, blob: BlobId::new([7; 32]), layout, end_height }
    }

    #[test]
    fn a_registration_pays_its_price_and_makes_a_handle() {
        let purse = purse();
        let price = Amount::from_sat(5_000);
        let register = reference(BlobOperation::Register);
        let coins = [coin(3_000, 0), coin(90_000, 1), coin(100, 2)];
        let transaction = purse.pay(&coins, &register, price, None).unwrap();
        assert_eq!(transaction.input.len(), 1);
        let carried = transaction.output[0].script_pubkey.as_bytes();
        assert_eq!(carried[..2], [0x6a, 53]);
        assert_eq!(carried[2..], register.to_bytes()[..]);
        assert_eq!(&transaction.output[1].script_pubkey, purse.handle_script());
        let paid: Amount = transaction.output.iter().map(|output| output.value).sum();
        assert_eq!(Amount::from_sat(90_000) - paid, price);
    }

    #[test]
    fn a_handle_is_spent_together_with_money_and_a_small_price_pays_the_least_fee() {
        let purse = purse();
        let handle = Handle(coin(1_000, 7));
        let coins = [coin(2_000, 0), coin(2_000, 1)];
        for operation in [BlobOperation::Extend, BlobOperation::Delete] {
            let price = Amount::from_sat(1);
            let reference = reference(operation);
            let transaction = purse.pay(&coins, &reference, price, Some(handle)).unwrap();
            assert_eq!(transaction.input[0].previous_output, handle.0.outpoint);
            assert_eq!(transaction.input[0].witness.len(), 1);
            assert!(transaction.input[1..].iter().all(|input| input.witness.len() == 2));
            let held = Amount::from_sat(1_000)
                + Amount::from_sat(2_000) * u64::try_from(transaction.input.len() - 1).unwrap();
            let paid: Amount = transaction.output.iter().map(|output| output.value).sum();
            let vsize = u64::try_from(transaction.vsize()).unwrap();
            assert!((held - paid).to_sat() >= vsize * FEERATE_SAT, "{operation:?}");
        }
    }

    #[test]
    fn a_purse_without_enough_says_what_is_missing() {
        let price = Amount::from_sat(5_000);
        let refused =
            purse().pay(&[coin(3_000, 0)], &reference(BlobOperation::Register), price, None);
        let (held, needed) = (Amount::from_sat(3_000), Amount::from_sat(6_000));
        assert_eq!(refused, Err(PurseError::Empty { held, needed }));
    }
}
