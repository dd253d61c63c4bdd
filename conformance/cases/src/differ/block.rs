//! Blocks that no validator made.

use bitcoin::Amount;
use bitcoin::Block;
use bitcoin::BlockHash;
use bitcoin::CompactTarget;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxMerkleNode;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::block::Header;
use bitcoin::block::Version;
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::script::PushBytesBuf;
use bitcoin::transaction;

/// Where a block stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) previous: BlockHash,
    pub(crate) height: u32,
    pub(crate) time: u32,
}

/// A block with these transactions behind a coinbase that claims nothing.
pub(crate) fn block(spot: Spot, transactions: Vec<Transaction>) -> Block {
    let script_sig =
        Builder::new().push_int(i64::from(spot.height)).push_slice([7; 8]).into_script();
    let coinbase = Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0; 32]]),
        }],
        output: vec![TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() }],
    };
    let header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: spot.previous,
        merkle_root: TxMerkleNode::all_zeros(),
        time: spot.time,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let txdata = std::iter::once(coinbase).chain(transactions).collect();
    let mut block = Block { header, txdata };
    commit(&mut block);
    finish(&mut block);
    block
}

/// Sets the witness commitment where one stands, or adds one.
pub(crate) fn commit(block: &mut Block) {
    const MARK: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    let Some(root) = block.witness_root() else { return };
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let bytes = [&MARK[2..], commitment.as_byte_array().as_slice()].concat();
    let script_pubkey = ScriptBuf::new_op_return(PushBytesBuf::try_from(bytes).unwrap_or_default());
    let Some(coinbase) = block.txdata.first_mut() else { return };
    let known = coinbase
        .output
        .iter_mut()
        .find(|output| output.script_pubkey.as_bytes().starts_with(&MARK));
    match known {
        Some(output) => output.script_pubkey = script_pubkey,
        None => coinbase.output.push(TxOut { value: Amount::ZERO, script_pubkey }),
    }
}

/// Sets the Merkle root and finds a nonce.
pub(crate) fn finish(block: &mut Block) {
    if let Some(root) = block.compute_merkle_root() {
        block.header.merkle_root = root;
    }
    mine(block);
}

/// Finds a nonce.
pub(crate) fn mine(block: &mut Block) {
    block.header.nonce = 0;
    let target = bitcoin::Target::from_compact(CompactTarget::from_consensus(0x207f_ffff));
    while !target.is_met_by(block.block_hash()) {
        block.header.nonce += 1;
    }
}
