//! Copies of a block, each wrong in one way that Core must see.

use bitcoin::Amount;
use bitcoin::Block;
use bitcoin::BlockHash;
use bitcoin::CompactTarget;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::TxMerkleNode;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::block::Version;
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use rand::Rng;
use rand::RngExt;

use crate::differ::block;
use crate::differ::block::Spot;

/// Three copies, chosen at random, with what is wrong with them.
pub(crate) fn copies(rng: &mut impl Rng, block: &Block, spot: Spot) -> Vec<(&'static str, Block)> {
    let mut copies = Vec::new();
    for _ in 0..3 {
        let (what, spoil) = WAYS[rng.random_range(0..WAYS.len())];
        let mut copy = block.clone();
        if spoil(&mut copy, spot) {
            copies.push((what, copy));
        }
    }
    copies
}

/// Spoils a copy; whether it could.
type Spoil = fn(&mut Block, Spot) -> bool;

const WAYS: [(&str, Spoil); 19] = [
    ("a coinbase that takes too much", |copy, _| {
        let output = TxOut { value: Amount::from_int_btc(100), script_pubkey: ScriptBuf::new() };
        copy.txdata[0].output.push(output);
        again(copy)
    }),
    ("a coinbase without the height", |copy, _| {
        copy.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![0x51, 0x51, 0x51]);
        again(copy)
    }),
    ("a coinbase with another height", |copy, spot| {
        let height = i64::from(spot.height) + 1;
        let script = Builder::new().push_int(height).push_slice([7; 8]).into_script();
        copy.txdata[0].input[0].script_sig = script;
        again(copy)
    }),
    ("a coinbase with a long script", |copy, _| {
        let mut script = copy.txdata[0].input[0].script_sig.to_bytes();
        script.resize(101, 0);
        copy.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(script);
        again(copy)
    }),
    ("a coinbase that is not final", |copy, spot| {
        copy.txdata[0].lock_time = LockTime::from_consensus(spot.height);
        copy.txdata[0].input[0].sequence = Sequence::ZERO;
        again(copy)
    }),
    ("two coinbases", |copy, _| {
        let mut second = copy.txdata[0].clone();
        second.lock_time = LockTime::from_consensus(1);
        copy.txdata.push(second);
        again(copy)
    }),
    ("no coinbase", |copy, _| {
        copy.txdata.remove(0);
        block::finish(copy);
        true
    }),
    ("another witness commitment", |copy, _| {
        let Some(output) = copy.txdata[0].output.iter_mut().rev().nth(1) else { return false };
        let mut script = output.script_pubkey.to_bytes();
        let Some(last) = script.last_mut() else { return false };
        *last ^= 1;
        output.script_pubkey = ScriptBuf::from_bytes(script);
        block::finish(copy);
        true
    }),
    ("no witness for the commitment", |copy, _| {
        copy.txdata[0].input[0].witness = Witness::new();
        true
    }),
    ("a witness under no commitment", |copy, _| {
        let has_witness =
            |tx: &bitcoin::Transaction| tx.input.iter().any(|one| !one.witness.is_empty());
        copy.txdata[0].output.retain(|output| !output.script_pubkey.is_op_return());
        copy.txdata[0].output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() });
        block::finish(copy);
        copy.txdata.iter().any(has_witness)
    }),
    ("another witness", |copy, _| {
        let Some(last) = copy.txdata.iter_mut().skip(1).last() else { return false };
        last.input[0].witness.push([7]);
        true
    }),
    ("another Merkle root", |copy, _| {
        copy.header.merkle_root = TxMerkleNode::from_byte_array([7; 32]);
        block::mine(copy);
        true
    }),
    ("the last transaction twice", |copy, _| {
        let Some(last) = copy.txdata.last().cloned().filter(|_| copy.txdata.len() > 1) else {
            return false;
        };
        copy.txdata.push(last);
        again(copy)
    }),
    ("a child before its parent", |copy, _| {
        let (mut child, mut parent) = (0, 0);
        for (place, one) in copy.txdata.iter().enumerate() {
            let txid = one.compute_txid();
            let spends = |tx: &bitcoin::Transaction| {
                tx.input.iter().any(|input| input.previous_output.txid == txid)
            };
            if let Some(found) = copy.txdata.iter().position(spends) {
                (parent, child) = (place, found);
            }
        }
        copy.txdata.swap(parent, child);
        again(copy) && child > parent
    }),
    ("a time that is not above the median", |copy, spot| {
        // Twelve blocks stand in far less than this.
        copy.header.time = spot.time.saturating_sub(1_000_000);
        block::mine(copy);
        true
    }),
    ("a time in the future", |copy, _| {
        copy.header.time = u32::MAX;
        block::mine(copy);
        true
    }),
    ("an old version", |copy, _| {
        copy.header.version = Version::from_consensus(3);
        block::mine(copy);
        true
    }),
    ("another difficulty", |copy, _| {
        copy.header.bits = CompactTarget::from_consensus(0x207f_fffe);
        block::mine(copy);
        true
    }),
    ("another parent", |copy, _| {
        copy.header.prev_blockhash = BlockHash::from_byte_array([7; 32]);
        block::mine(copy);
        true
    }),
];

/// Commits to the copy anew, so that nothing but the one thing is wrong.
fn again(copy: &mut Block) -> bool {
    block::commit(copy);
    block::finish(copy);
    true
}
