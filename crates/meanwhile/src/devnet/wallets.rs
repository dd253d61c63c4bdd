//! Money for a development network: the faucet's outputs and a few wallets for people to try.
//!
//! Every output of the genesis is worth its own coinbase share, so the faucet gets many: it can pay
//! that many people before it has to spend its own change.

use std::path::Path;

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::CompressedPublicKey;
use bitcoin::Network;
use bitcoin::NetworkKind;
use bitcoin::PrivateKey;
use bitcoin::ScriptBuf;
use bitcoin::bip32::ChildNumber;
use bitcoin::bip32::DerivationPath;
use bitcoin::bip32::Xpriv;
use bitcoin::secp256k1::All;
use bitcoin::secp256k1::Secp256k1;
use serde::Deserialize;
use serde::Serialize;
use types::genesis::Allocation;
use types::genesis::HexBytes;

use crate::error::Failure;
use crate::files;
use crate::secrets::random;

/// How many outputs the faucets of all nodes have; half pay to P2WPKH, half to P2TR.
const FAUCET_OUTPUTS: u16 = 2_000;
const FAUCET_OUTPUT: Amount = Amount::from_int_btc(2);
/// How many outputs a wallet owns, each at the next address of its descriptor.
const WALLET_OUTPUTS: u32 = 5;
const WALLET_OUTPUT: Amount = Amount::from_int_btc(10);

/// A wallet that owns money from the first second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FundedWallet {
    /// What it is called.
    pub(crate) name: String,
    /// Its descriptor for receiving, with its secret.
    pub(crate) descriptor: String,
    /// Its descriptor for change, with its secret.
    pub(crate) change_descriptor: String,
    /// Its first address.
    pub(crate) address: String,
    /// How much it owns at genesis.
    pub(crate) amount_sat: u64,
}

/// Makes the wallets and what they are allocated.
///
/// # Errors
/// When there is no randomness.
pub(crate) fn make() -> Result<(Vec<FundedWallet>, Vec<Allocation>), Failure> {
    let secp = Secp256k1::new();
    let mut wallets = Vec::new();
    let mut allocations = Vec::new();
    for (index, name) in ["alice", "bob", "carol"].into_iter().enumerate() {
        // The second wallet uses Taproot, so that both kinds of today's wallets have an example.
        let taproot = index % 2 == 1;
        let (wallet, scripts) = wallet(&secp, name, taproot)?;
        wallets.push(wallet);
        allocations.extend(scripts.iter().map(|script| allocate(script, WALLET_OUTPUT)));
    }
    Ok((wallets, allocations))
}

/// What the key of one of `faucets` faucets is allocated.
pub(crate) fn faucet_allocations(key: &PrivateKey, faucets: u16) -> Vec<Allocation> {
    let secp = Secp256k1::new();
    let public = key.inner.public_key(&secp);
    let segwit = ScriptBuf::new_p2wpkh(&CompressedPublicKey(public).wpubkey_hash());
    let (internal, _) = public.x_only_public_key();
    let taproot = ScriptBuf::new_p2tr(&secp, internal, None);
    (0..FAUCET_OUTPUTS / faucets.max(1))
        .map(|index| allocate(if index % 2 == 0 { &segwit } else { &taproot }, FAUCET_OUTPUT))
        .collect()
}

/// Writes the wallets where only their owner may read them.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write(path: &Path, wallets: &[FundedWallet]) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(wallets).map_err(Failure::Json)?;
    files::write_private(path, &format!("{text}\n"))
}

fn wallet(
    secp: &Secp256k1<All>,
    name: &str,
    taproot: bool,
) -> Result<(FundedWallet, Vec<ScriptBuf>), Failure> {
    let master = Xpriv::new_master(NetworkKind::Test, &random()?)
        .map_err(|error| Failure::Randomness { reason: error.to_string() })?;
    let (purpose, kind) = if taproot { (86, "tr") } else { (84, "wpkh") };
    let descriptor = |branch: u32| format!("{kind}({master}/{purpose}'/1'/0'/{branch}/*)");
    let mut scripts = Vec::new();
    for index in 0..WALLET_OUTPUTS {
        let path: Vec<ChildNumber> = [hardened(purpose), hardened(1), hardened(0)]
            .into_iter()
            .chain([ChildNumber::Normal { index: 0 }, ChildNumber::Normal { index }])
            .collect();
        let key = master
            .derive_priv(secp, &DerivationPath::from(path))
            .map_err(|error| Failure::Randomness { reason: error.to_string() })?
            .to_keypair(secp);
        scripts.push(if taproot {
            ScriptBuf::new_p2tr(secp, key.x_only_public_key().0, None)
        } else {
            ScriptBuf::new_p2wpkh(&CompressedPublicKey(key.public_key()).wpubkey_hash())
        });
    }
    let address = scripts.first().and_then(|script| {
        Address::from_script(script, Network::Regtest).ok().map(|address| address.to_string())
    });
    let wallet = FundedWallet {
        name: name.to_owned(),
        descriptor: descriptor(0),
        change_descriptor: descriptor(1),
        address: address.unwrap_or_default(),
        amount_sat: WALLET_OUTPUT.to_sat() * u64::from(WALLET_OUTPUTS),
    };
    Ok((wallet, scripts))
}

fn hardened(index: u32) -> ChildNumber {
    ChildNumber::Hardened { index }
}

fn allocate(script: &ScriptBuf, amount: Amount) -> Allocation {
    Allocation { script: HexBytes(script.to_bytes()), amount_sat: amount.to_sat() }
}

#[cfg(test)]
mod tests {
    use bdk_wallet::KeychainKind;
    use bdk_wallet::Wallet;
    use types::genesis::ALLOCATED_SAT_MAX;

    use super::*;
    use crate::secrets::private_key;

    #[test]
    fn a_wallet_library_finds_the_money_at_the_addresses_of_the_descriptor() {
        let (wallets, allocations) = make().unwrap();
        for (index, funded) in wallets.iter().enumerate() {
            let wallet =
                Wallet::create(funded.descriptor.clone(), funded.change_descriptor.clone())
                    .network(Network::Regtest)
                    .create_wallet_no_persist()
                    .unwrap();
            for place in 0..5_usize {
                let child = u32::try_from(place).unwrap();
                let script = wallet.peek_address(KeychainKind::External, child).script_pubkey();
                assert_eq!(allocations[index * 5 + place].script.0, script.to_bytes());
            }
        }
    }

    #[test]
    fn all_allocations_together_fit_a_genesis() {
        let mut allocations = make().unwrap().1;
        for _ in 0..4 {
            allocations.extend(faucet_allocations(&private_key().unwrap(), 4));
        }
        let sum: u64 = allocations.iter().map(|allocation| allocation.amount_sat).sum();
        assert!(sum <= ALLOCATED_SAT_MAX);
        assert_eq!(allocations.len(), usize::from(FAUCET_OUTPUTS) + 3 * 5);
    }
}
