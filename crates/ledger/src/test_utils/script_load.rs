//! Inputs of every usual kind, and inputs made to cost as much as they can.

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::Script;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use types::PAYLOAD_BYTES_MAX;

use crate::work;

const CHECKSIG: u8 = 0xac;
const NOT: u8 = 0x91;
const DROP: u8 = 0x75;
const DUP: u8 = 0x76;
const DROP2: u8 = 0x6d;
const DUP2: u8 = 0x6e;
const RIPEMD160: u8 = 0xa6;
const TRUE: u8 = 0x51;
/// The group's generator, whose key is 1.
const KEY: [u8; 33] = [
    0x02, 0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b,
    0x07, 0x02, 0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17,
    0x98,
];

/// An input and what it spends.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Says which kind.
    pub name: &'static str,
    /// The input; its outpoint means nothing.
    pub input: TxIn,
    /// What it spends.
    pub spent: TxOut,
}

/// A transaction with what it spends.
#[derive(Clone, Debug)]
pub struct Load {
    /// The transaction.
    pub transaction: Transaction,
    /// What it spends, one an input.
    pub spent: Vec<TxOut>,
    /// How much of the work that its size allows it asks for.
    pub share_percent: u64,
}

impl Kind {
    fn new(
        name: &'static str,
        script_pubkey: Vec<u8>,
        script_sig: Vec<u8>,
        witness: &[Vec<u8>],
    ) -> Self {
        let input = TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes(script_sig),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(witness),
        };
        let script_pubkey = ScriptBuf::from_bytes(script_pubkey);
        let spent = TxOut { value: Amount::from_sat(1_000), script_pubkey };
        Self { name, input, spent }
    }

    /// Behind the hash of a witness script.
    fn witness(name: &'static str, script: Vec<u8>, mut items: Vec<Vec<u8>>) -> Self {
        let program = Script::from_bytes(&script).to_p2wsh().into_bytes();
        items.push(script);
        Self::new(name, program, vec![], &items)
    }

    /// So many inputs, and so many outputs with 25 bytes of script.
    pub fn load(&self, inputs: usize, outputs: usize) -> Load {
        let name = |vout| OutPoint { txid: Txid::from_byte_array([9; 32]), vout };
        let input = (0..inputs)
            .zip(0_u32..)
            .map(|(_, vout)| TxIn { previous_output: name(vout), ..self.input.clone() })
            .collect();
        let script_pubkey = ScriptBuf::from_bytes(vec![7; 25]);
        let output = TxOut { value: Amount::from_sat(0), script_pubkey };
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input,
            output: vec![output; outputs],
        };
        Load::new(transaction, vec![self.spent.clone(); inputs])
    }

    /// As many inputs as a payload has room for.
    pub fn full(&self) -> Load {
        let each =
            self.load(2, 1).transaction.total_size() - self.load(1, 1).transaction.total_size();
        self.load((PAYLOAD_BYTES_MAX - 1_000) / each, 1)
    }

    /// As many inputs as the bound on work lets pass, none when it is not even one.
    pub fn allowed(&self) -> Load {
        let (mut good, mut bad) = (0, self.full().transaction.input.len() + 1);
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            match self.load(middle, 1).share_percent < 100 {
                true => good = middle,
                false => bad = middle,
            }
        }
        self.load(good, 1)
    }
}

impl Load {
    /// A transaction with what it spends.
    pub fn new(transaction: Transaction, spent: Vec<TxOut>) -> Self {
        let outputs: Vec<&TxOut> = spent.iter().collect();
        let size = u64::try_from(transaction.total_size()).unwrap_or(u64::MAX);
        let share = 100 * work::work(&transaction, &outputs) / (work::WORK_PER_BYTE * size);
        Self { transaction, spent, share_percent: share }
    }
}

/// The spends that wallets make. No signature fits.
pub fn usual() -> Vec<Kind> {
    let key_hash = [vec![DUP, 0xa9, 20], vec![7; 20], vec![0x88, CHECKSIG]].concat();
    let program = [vec![0, 20], vec![7; 20]].concat();
    let nested = [vec![0xa9, 20], vec![7; 20], vec![0x87]].concat();
    let plain = [signature(), KEY.to_vec()];
    let script_sig = [push(&signature()), push(&KEY)].concat();
    let leaf = [push(&[3; 32]), vec![CHECKSIG], push(&[4; 32]), vec![0xba, 0x52, 0x9c]].concat();
    let taproot = [vec![TRUE, 0x20], vec![7; 32]].concat();
    vec![
        Kind::new("P2PK", [push(&KEY), vec![CHECKSIG]].concat(), push(&signature()), &[]),
        Kind::new("P2PKH", key_hash, script_sig, &[]),
        Kind::new("P2WPKH", program.clone(), vec![], &plain),
        Kind::new("P2SH-P2WPKH", nested, push(&program), &plain),
        redeemed("P2SH 2 of 3", &multisig(2, 3), 2),
        Kind::witness("P2WSH 2 of 3", multisig(2, 3), signatures(2)),
        Kind::witness("P2WSH 3 of 5", multisig(3, 5), signatures(3)),
        Kind::witness("P2WSH 1 of 16", multisig(1, 16), signatures(1)),
        Kind::witness("HTLC", htlc(), signatures(2)),
        Kind::new("P2TR", taproot.clone(), vec![], &[vec![7; 64]]),
        Kind::new(
            "P2TR script",
            taproot,
            vec![],
            &[vec![7; 64], vec![7; 64], leaf, vec![0xc0; 65]],
        ),
    ]
}

/// Spends that are valid without a signature that fits, and cost as much as their kind can.
pub fn hostile() -> Vec<Kind> {
    let script_sig = [push(&signature()), push(&KEY)].concat();
    let items = vec![signature(), KEY.to_vec()];
    let checks = |count: usize| [[DUP2, CHECKSIG, DROP].repeat(count), vec![DROP2, TRUE]].concat();
    let hashes = |count: usize| {
        [vec![0x4d, 8, 2], vec![7; 520], [DUP, RIPEMD160, DROP].repeat(count)].concat()
    };
    let one = [push(&KEY), vec![CHECKSIG, NOT]].concat();
    vec![
        Kind::witness("P2WSH, one check", one.clone(), vec![signature()]),
        Kind::witness("P2WSH, four checks", checks(4), items.clone()),
        Kind::witness("P2WSH, 66 checks", checks(66), items),
        Kind::new("prepared coins, one check", one, push(&signature()), &[]),
        Kind::new("prepared coins, four checks", checks(4), script_sig.clone(), &[]),
        Kind::new("prepared coins, 66 checks", checks(66), script_sig, &[]),
        Kind::new("prepared coins, 30 hashes", hashes(30), vec![], &[]),
        Kind::new("prepared coins, 67 hashes", hashes(67), vec![], &[]),
    ]
}

fn push(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("scripts here are short");
    let head = if length < 76 { vec![length] } else { vec![0x4c, length] };
    [head, bytes.to_vec()].concat()
}

/// The encoding of a signature, with its type.
fn signature() -> Vec<u8> {
    let number = [vec![2, 32], vec![7; 32]].concat();
    [vec![0x30, 68], number.clone(), number, vec![1]].concat()
}

/// What CHECKMULTISIG takes too much, and signatures.
fn signatures(count: usize) -> Vec<Vec<u8>> {
    std::iter::once(vec![]).chain(std::iter::repeat_n(signature(), count)).collect()
}

fn multisig(required: u8, keys: u8) -> Vec<u8> {
    let keys_pushed = push(&KEY).repeat(usize::from(keys));
    [vec![0x50 + required], keys_pushed, vec![0x50 + keys, 0xae]].concat()
}

fn redeemed(name: &'static str, script: &[u8], count: usize) -> Kind {
    let program = Script::from_bytes(script).to_p2sh().into_bytes();
    let pushes: Vec<u8> = signatures(count).iter().flat_map(|item| push(item)).collect();
    Kind::new(name, program, [pushes, push(script)].concat(), &[])
}

/// An HTLC as Lightning writes it.
fn htlc() -> Vec<u8> {
    [
        vec![DUP, 0xa9, 20],
        vec![7; 20],
        vec![0x87, 0x63, CHECKSIG, 0x67],
        push(&KEY),
        vec![0x7c, 0x82, 1, 32, 0x87, 0x63, 0xa9, 20],
        vec![8; 20],
        vec![0x88, 0x52, 0x7c],
        push(&KEY),
        vec![0x52, 0xae, 0x67, DROP, 3, 0, 0, 8, 0xb1, DROP, CHECKSIG, 0x68, 0x68],
    ]
    .concat()
}
