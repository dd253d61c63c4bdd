//! Makes a provider known to itself.
//!
//! LDK builds no path to a node that is not in its graph of announced nodes, unless it has one peer
//! only. A provider without a public channel is not in it, and would be of no use to its second wallet.
//! So before LDK reads the graph it is given a channel of the provider with nobody: unsigned, so that
//! it is never passed on to others, and without fees, so that no route leads over it. With it LDK
//! builds the paths that it would build anyway: those that begin at the provider itself.

use std::path::Path;
use std::sync::Arc;

use ldk_node::DynStore;
use ldk_node::bitcoin::Network;
use ldk_node::bitcoin::bip32::Xpriv;
use ldk_node::bitcoin::constants::ChainHash;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::bitcoin::secp256k1::Secp256k1;
use ldk_node::bitcoin::secp256k1::SecretKey;
use ldk_node::io::sqlite_store::KV_TABLE_NAME;
use ldk_node::io::sqlite_store::SQLITE_DB_FILE_NAME;
use ldk_node::io::sqlite_store::SqliteStore;
use ldk_node::lightning::ln::msgs::UnsignedChannelAnnouncement;
use ldk_node::lightning::routing::gossip::NetworkGraph;
use ldk_node::lightning::routing::gossip::NodeId;
use ldk_node::lightning::routing::utxo::UtxoLookup;
use ldk_node::lightning::routing::utxo::UtxoLookupError;
use ldk_node::lightning::routing::utxo::UtxoResult;
use ldk_node::lightning::sign::KeysManager;
use ldk_node::lightning::sign::NodeSigner as _;
use ldk_node::lightning::sign::Recipient;
use ldk_node::lightning::util::logger::Logger;
use ldk_node::lightning::util::logger::Record;
use ldk_node::lightning::util::persist::KVStoreSync as _;
use ldk_node::lightning::util::persist::NETWORK_GRAPH_PERSISTENCE_KEY as KEY;
use ldk_node::lightning::util::persist::NETWORK_GRAPH_PERSISTENCE_PRIMARY_NAMESPACE as PRIMARY;
use ldk_node::lightning::util::persist::NETWORK_GRAPH_PERSISTENCE_SECONDARY_NAMESPACE as SECONDARY;
use ldk_node::lightning::util::ser::ReadableArgs as _;
use ldk_node::lightning::util::ser::Writeable as _;
use ldk_node::lightning_types::features::ChannelFeatures;

use crate::PaymentsError;
use crate::seed::Seed;

/// The channel's number: one that no channel can have, for no block has so many transactions.
const NOWHERE: u64 = 0x0000_00ff_fffe_fffe;
/// The key of nobody.
const NOBODY: [u8; 32] = [0x4d; 32];

/// LDK's graph says nothing that anybody needs.
struct Silent;

impl Logger for Silent {
    fn log(&self, _: Record<'_>) {}
}

/// Opens LDK's store, in whose graph the provider is.
pub(super) fn open_store(dir: &Path, seed: &Seed) -> Result<Arc<DynStore>, PaymentsError> {
    let failed = |reason: String| PaymentsError::Contents { path: dir.to_owned(), reason };
    std::fs::create_dir_all(dir).map_err(|source| PaymentsError::at(dir, source))?;
    let file = Some(SQLITE_DB_FILE_NAME.to_owned());
    let store = SqliteStore::new(dir.to_owned(), file, Some(KV_TABLE_NAME.to_owned()))
        .map_err(|error| failed(error.to_string()))?;
    let own = NodeId::from_pubkey(&node_id(seed).ok_or_else(|| failed("no key".to_owned()))?);
    let silent = Arc::new(Silent);
    let graph = match store.read(PRIMARY, SECONDARY, KEY) {
        Ok(bytes) => NetworkGraph::read(&mut bytes.as_slice(), Arc::clone(&silent))
            .map_err(|error| failed(format!("its graph can not be read: {error}")))?,
        Err(_) => NetworkGraph::new(Network::Regtest, silent),
    };
    if !graph.read_only().nodes().contains_key(&own) {
        let announcement = announcement(own).ok_or_else(|| failed("no key".to_owned()))?;
        graph
            .update_channel_from_unsigned_announcement(&announcement, &None::<&NoLookup>)
            .map_err(|error| failed(error.err))?;
        store
            .write(PRIMARY, SECONDARY, KEY, graph.encode())
            .map_err(|error| failed(error.to_string()))?;
    }
    Ok(Arc::new(store))
}

/// The key of the node that LDK makes of a seed.
fn node_id(seed: &Seed) -> Option<PublicKey> {
    let bytes = seed.mnemonic().to_seed("");
    let master = Xpriv::new_master(Network::Regtest, &bytes).ok()?;
    let keys = KeysManager::new(&master.private_key.secret_bytes(), 0, 0, true);
    keys.get_node_id(Recipient::Node).ok()
}

fn announcement(own: NodeId) -> Option<UnsignedChannelAnnouncement> {
    let secret = SecretKey::from_slice(&NOBODY).ok()?;
    let nobody = NodeId::from_pubkey(&PublicKey::from_secret_key(&Secp256k1::new(), &secret));
    let (one, two) = if own < nobody { (own, nobody) } else { (nobody, own) };
    Some(UnsignedChannelAnnouncement {
        features: ChannelFeatures::empty(),
        chain_hash: ChainHash::using_genesis_block(Network::Regtest),
        short_channel_id: NOWHERE,
        node_id_1: one,
        node_id_2: two,
        bitcoin_key_1: one,
        bitcoin_key_2: two,
        excess_data: Vec::new(),
    })
}

/// Nobody asks the chain for this channel.
struct NoLookup;

impl UtxoLookup for NoLookup {
    fn get_utxo(&self, _: &ChainHash, _: u64) -> UtxoResult {
        UtxoResult::Sync(Err(UtxoLookupError::UnknownTx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_in_its_own_graph_after_any_number_of_starts() {
        let folder = tempfile::tempdir().unwrap();
        let seed = Seed::generate().unwrap();
        for _ in 0..2 {
            let store = open_store(folder.path(), &seed).unwrap();
            let bytes = ldk_node::lightning::util::persist::KVStoreSync::read(
                &*store, PRIMARY, SECONDARY, KEY,
            );
            let silent = Arc::new(Silent);
            let graph = NetworkGraph::read(&mut bytes.unwrap().as_slice(), silent).unwrap();
            let own = NodeId::from_pubkey(&node_id(&seed).unwrap());
            assert!(graph.read_only().nodes().contains_key(&own));
            assert_eq!(graph.read_only().channels().len(), 1);
        }
    }
}
