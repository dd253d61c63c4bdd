//! The faucet's keys, the scripts that they own, and how a payment is built and signed.
//!
//! All validators of a development network hold the same faucet key. So that no two of them ever
//! spend one coin, the genesis outputs are divided by outpoint (see the purse), and change goes
//! to a script that only this validator's faucet owns: the faucet's key, tweaked with its number.

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::CompressedPublicKey;
use bitcoin::EcdsaSighashType;
use bitcoin::KnownHrp;
use bitcoin::Network;
use bitcoin::PrivateKey;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::TapSighashType;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::address::NetworkUnchecked;
use bitcoin::hashes::Hash as _;
use bitcoin::hashes::sha256;
use bitcoin::key::Keypair;
use bitcoin::key::Secp256k1;
use bitcoin::key::TapTweak as _;
use bitcoin::secp256k1::All;
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::Scalar;
use bitcoin::sighash::Prevouts;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use types::Author;
use types::Encode as _;
use types::blob::BlobReference;

use super::FaucetError;
use super::Payment;

/// What a payment pays, in satoshi a virtual byte: plain relay costs 1.
const FEERATE_SAT: u64 = 2;
/// What the handle of a blob holds.
const HANDLE: Amount = Amount::from_sat(1_000);
/// What a reference and a handle cost beside a payment, well above the least.
const REFERENCE_FEE: Amount = Amount::from_sat(400);
/// The weight of one P2WPKH input, the larger one of the two kinds.
const INPUT_WEIGHT: u64 = 272;
/// The weight of everything but the inputs and the recipient's script: version, counts, marker,
/// lock time, both amounts and the change script.
const BASE_WEIGHT: u64 = 42 + 4 * (9 + 43);

/// Which of the faucet's scripts owns a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// The P2WPKH script of the genesis.
    Segwit,
    /// The P2TR script of the genesis.
    Taproot,
    /// The P2TR script of this validator's change.
    Change,
}

/// One coin that the faucet can spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Coin {
    /// Where it lies.
    pub(crate) outpoint: bitcoin::OutPoint,
    /// What it is worth.
    pub(crate) value: Amount,
    /// Which script owns it.
    pub(crate) owner: Owner,
}

/// The secrets and scripts of one validator's faucet.
pub(crate) struct Keys {
    secp: Secp256k1<All>,
    base: Keypair,
    change: Keypair,
    segwit_script: ScriptBuf,
    taproot_script: ScriptBuf,
    change_script: ScriptBuf,
}

impl Keys {
    /// Derives everything from the network's faucet key.
    ///
    /// # Errors
    /// When the key can not be tweaked, which happens for one key in 2^128.
    pub(crate) fn new(key: &PrivateKey, own: Author) -> Result<Self, FaucetError> {
        let secp = Secp256k1::new();
        let domain = b"meanwhile/node/faucet-change/v1";
        let preimage = [domain.as_slice(), &own.value().to_le_bytes()].concat();
        let tweak = Scalar::from_be_bytes(sha256::Hash::hash(&preimage).to_byte_array())
            .map_err(|_| FaucetError::Key)?;
        let change = key.inner.add_tweak(&tweak).map_err(|_| FaucetError::Key)?;
        let base = Keypair::from_secret_key(&secp, &key.inner);
        let change = Keypair::from_secret_key(&secp, &change);
        let hash = CompressedPublicKey(base.public_key()).wpubkey_hash();
        Ok(Self {
            segwit_script: ScriptBuf::new_p2wpkh(&hash),
            taproot_script: ScriptBuf::new_p2tr(&secp, base.x_only_public_key().0, None),
            change_script: ScriptBuf::new_p2tr(&secp, change.x_only_public_key().0, None),
            secp,
            base,
            change,
        })
    }

    /// The script that owns the coins of `owner`.
    pub(crate) fn script(&self, owner: Owner) -> &ScriptBuf {
        match owner {
            Owner::Segwit => &self.segwit_script,
            Owner::Taproot => &self.taproot_script,
            Owner::Change => &self.change_script,
        }
    }

    /// The address that change goes to, for a log line.
    pub(crate) fn change_address(&self) -> Address {
        Address::p2tr(&self.secp, self.change.x_only_public_key().0, None, KnownHrp::Regtest)
    }

    /// What `inputs` inputs that pay `script` cost.
    pub(crate) fn fee(inputs: usize, script: &ScriptBuf) -> Amount {
        let inputs = u64::try_from(inputs).unwrap_or(u64::MAX);
        let script = u64::try_from(script.len()).unwrap_or(u64::MAX);
        let weight = INPUT_WEIGHT
            .saturating_mul(inputs)
            .saturating_add(BASE_WEIGHT)
            .saturating_add(script.saturating_mul(4));
        Amount::from_sat(weight.div_ceil(4).saturating_mul(FEERATE_SAT))
    }

    /// How much a payment takes beside its usual fee, and the script that counts for that.
    pub(super) fn needed(&self, payment: &Payment) -> (Amount, ScriptBuf) {
        match payment {
            Payment::To { script, amount } => (*amount, script.clone()),
            Payment::Blob { price, .. } => {
                // A reference, a handle and change are some hundred bytes more than a payment.
                let amount = HANDLE.checked_add(*price).unwrap_or(Amount::MAX);
                let amount = amount.checked_add(REFERENCE_FEE).unwrap_or(Amount::MAX);
                (amount, self.change_script.clone())
            }
        }
    }

    /// Builds and signs the registration of a blob: the reference, its handle, and change.
    ///
    /// # Errors
    /// As [`Keys::pay`].
    pub(super) fn register(
        &self,
        coins: &[Coin],
        reference: &BlobReference,
        price: Amount,
        owner: Option<ScriptBuf>,
    ) -> Result<Transaction, FaucetError> {
        let total: Amount = coins.iter().map(|coin| coin.value).sum();
        let fee = Self::fee(coins.len(), &self.change_script);
        let costs = [HANDLE, price, REFERENCE_FEE, fee];
        let change = costs.into_iter().try_fold(total, |rest, cost| rest.checked_sub(cost));
        let change = change.ok_or(FaucetError::Empty)?;
        let data: [u8; BlobReference::ENCODED_LENGTH] =
            reference.to_bytes().try_into().map_err(|_| FaucetError::Key)?;
        let owner = owner.unwrap_or_else(|| self.change_script.clone());
        let mut outputs = vec![
            TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new_op_return(data) },
            TxOut { value: HANDLE, script_pubkey: owner },
        ];
        if change >= self.change_script.minimal_non_dust() {
            outputs.push(TxOut { value: change, script_pubkey: self.change_script.clone() });
        }
        self.signed(coins, outputs)
    }

    /// Builds and signs a payment. What is left beside the fee becomes change, unless it would be
    /// dust: then it goes to the fee.
    ///
    /// # Errors
    /// When the coins do not cover the amount and the fee, or a signature can not be made.
    pub(crate) fn pay(
        &self,
        coins: &[Coin],
        script: ScriptBuf,
        amount: Amount,
    ) -> Result<Transaction, FaucetError> {
        let total: Amount = coins.iter().map(|coin| coin.value).sum();
        let change = total
            .checked_sub(amount)
            .and_then(|rest| rest.checked_sub(Self::fee(coins.len(), &script)))
            .ok_or(FaucetError::Empty)?;
        let mut outputs = vec![TxOut { value: amount, script_pubkey: script }];
        if change >= self.change_script.minimal_non_dust() {
            outputs.push(TxOut { value: change, script_pubkey: self.change_script.clone() });
        }
        self.signed(coins, outputs)
    }

    fn signed(&self, coins: &[Coin], outputs: Vec<TxOut>) -> Result<Transaction, FaucetError> {
        let inputs = coins.iter().map(|coin| TxIn {
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
        self.sign(&mut transaction, coins)?;
        Ok(transaction)
    }

    fn sign(&self, transaction: &mut Transaction, coins: &[Coin]) -> Result<(), FaucetError> {
        let spent: Vec<TxOut> = coins
            .iter()
            .map(|coin| TxOut { value: coin.value, script_pubkey: self.script(coin.owner).clone() })
            .collect();
        let mut cache = SighashCache::new(transaction);
        for (index, coin) in coins.iter().enumerate() {
            let witness = match coin.owner {
                Owner::Segwit => {
                    let kind = EcdsaSighashType::All;
                    let hash = cache
                        .p2wpkh_signature_hash(index, &self.segwit_script, coin.value, kind)
                        .map_err(|_| FaucetError::Key)?;
                    let signature = self.secp.sign_ecdsa(
                        &Message::from_digest(hash.to_byte_array()),
                        &self.base.secret_key(),
                    );
                    let signature = bitcoin::ecdsa::Signature { signature, sighash_type: kind };
                    Witness::p2wpkh(&signature, &self.base.public_key())
                }
                Owner::Taproot | Owner::Change => {
                    let kind = TapSighashType::Default;
                    let prevouts = Prevouts::All(&spent);
                    let hash = cache
                        .taproot_key_spend_signature_hash(index, &prevouts, kind)
                        .map_err(|_| FaucetError::Key)?;
                    let keypair =
                        if coin.owner == Owner::Taproot { &self.base } else { &self.change };
                    let tweaked = keypair.tap_tweak(&self.secp, None).to_keypair();
                    let message = Message::from_digest(hash.to_byte_array());
                    let signature = self.secp.sign_schnorr_no_aux_rand(&message, &tweaked);
                    let signature = bitcoin::taproot::Signature { signature, sighash_type: kind };
                    Witness::p2tr_key_spend(&signature)
                }
            };
            if let Some(place) = cache.witness_mut(index) {
                *place = witness;
            }
        }
        Ok(())
    }
}

/// The script behind an address of a development network.
///
/// # Errors
/// When the address is one of another network.
pub(crate) fn recipient(address: Address<NetworkUnchecked>) -> Result<ScriptBuf, FaucetError> {
    address
        .require_network(Network::Regtest)
        .map(|address| address.script_pubkey())
        .map_err(|_| FaucetError::Network)
}

#[cfg(test)]
mod tests {
    use bitcoin::NetworkKind;
    use bitcoin::OutPoint;
    use bitcoin::Txid;
    use bitcoin::secp256k1::SecretKey;

    use super::*;

    fn keys(own: u16) -> Keys {
        let secret = SecretKey::from_slice(&[3; 32]).unwrap();
        Keys::new(&PrivateKey::new(secret, NetworkKind::Test), Author::new(own)).unwrap()
    }

    fn coin(value: u64, owner: Owner, vout: u32) -> Coin {
        let txid = Txid::from_byte_array([9; 32]);
        Coin { outpoint: OutPoint { txid, vout }, value: Amount::from_sat(value), owner }
    }

    #[test]
    fn a_payment_spends_all_three_kinds_and_every_script_agrees() {
        let keys = keys(1);
        let coins = [
            coin(30_000, Owner::Segwit, 0),
            coin(30_000, Owner::Taproot, 1),
            coin(30_000, Owner::Change, 2),
        ];
        let script = ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::all_zeros());
        let transaction = keys.pay(&coins, script, Amount::from_sat(50_000)).unwrap();
        assert_eq!(transaction.output.len(), 2);
        let paid: Amount = transaction.output.iter().map(|output| output.value).sum();
        let fee = Amount::from_sat(90_000) - paid;
        let vsize = u64::try_from(transaction.vsize()).unwrap();
        assert!(fee.to_sat() >= vsize * FEERATE_SAT, "{fee} for {vsize} vbytes");
        assert!(fee.to_sat() <= (vsize + 30) * FEERATE_SAT, "{fee} for {vsize} vbytes");
        for (index, coin) in coins.iter().enumerate() {
            assert_eq!(keys.script(coin.owner).is_p2wpkh(), coin.owner == Owner::Segwit);
            let items = transaction.input[index].witness.len();
            assert_eq!(items, if coin.owner == Owner::Segwit { 2 } else { 1 });
        }
    }

    #[test]
    fn two_validators_never_share_a_change_script() {
        let (first, second) = (keys(0), keys(1));
        assert_ne!(first.script(Owner::Change), second.script(Owner::Change));
        assert_eq!(first.script(Owner::Taproot), second.script(Owner::Taproot));
    }

    #[test]
    fn change_that_would_be_dust_goes_to_the_fee() {
        let keys = keys(0);
        let script = keys.script(Owner::Segwit).clone();
        let amount = Amount::from_sat(10_000);
        let value = amount + Keys::fee(1, &script) + Amount::from_sat(100);
        let coins = [coin(value.to_sat(), Owner::Segwit, 0)];
        assert_eq!(keys.pay(&coins, script.clone(), amount).unwrap().output.len(), 1);
        let more = Amount::from_sat(10_101);
        assert_eq!(keys.pay(&coins, script, more), Err(FaucetError::Empty));
    }

    #[test]
    fn an_address_of_another_network_is_refused() {
        let main = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        assert_eq!(recipient(main.parse().unwrap()), Err(FaucetError::Network));
        let own = keys(0).change_address().into_unchecked();
        assert_eq!(recipient(own).as_ref(), Ok(keys(0).script(Owner::Change)));
    }
}
