//! Counts ahead how much work the scripts of a transaction can make, and holds it to its size.
//!
//! Bitcoin bounds that work a block, every ten minutes and at a miner's cost. Here any validator
//! puts half a megabyte into every vertex for nothing, and every other one has to judge it. What a
//! hostile payload could ask for is far out of proportion to its bytes: each signature of the older
//! kinds covers the whole transaction again, the script library reads and hashes the whole
//! transaction again for every input that can see it, and coins prepared earlier bring scripts of
//! two hundred checks into an input of forty bytes. So work is counted from the bytes of the
//! transaction and of what it spends, before anything runs, and a transaction that asks for more
//! than [`WORK_PER_BYTE`] for each of its bytes is refused. A payload is bounded with it.
//!
//! The unit is a byte that is hashed, some four nanoseconds. The count is an upper bound: every
//! opcode counts as if it ran, with the largest element that there is.
//!
//! Source: `docs/ledger.md`, Rules. The counting of keys is BIP 54's.

use bitcoin::Script;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::opcodes::all::OP_CHECKMULTISIGVERIFY;
use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::opcodes::all::OP_CHECKSIGADD;
use bitcoin::opcodes::all::OP_CHECKSIGVERIFY;
use bitcoin::opcodes::all::OP_HASH256;
use bitcoin::opcodes::all::OP_RIPEMD160;
use bitcoin::script::Instruction;

use crate::script;
use crate::script::Plain;
use crate::sigops;

/// How many units of work a transaction may ask for, for each of its bytes. What wallets make
/// stays below it up to the largest standard weight, whatever it spends.
pub const WORK_PER_BYTE: u64 = 1_024;
/// What it costs to hold one signature against one key.
const SIGNATURE_CHECK: u64 = 8_192;
/// The largest element that an opcode can hash.
const ELEMENT_BYTES_MAX: u64 = 520;
/// What it costs the library to read a byte before it looks at an input: it decodes the transaction
/// and hashes it for its name.
const READ: u64 = 2;
/// With a witness it hashes all of it for the other name, too, and for the digests to come.
const READ_WITH_WITNESS: u64 = 4;
/// What a digest of the newer kinds covers besides scripts and outputs.
const DIGEST_BYTES: u64 = 256;
/// An input without its scripts.
const BARE_INPUT_BYTES: u64 = 41;
/// Version, lock time, counts.
const FRAME_BYTES: u64 = 20;
/// A spent output's value and the length of its script.
const OUTPUT_FRAME_BYTES: u64 = 17;
/// BIP 342: an input of a tapscript may ask for one check, and another for every so many bytes.
const TAPSCRIPT_BYTES_PER_CHECK: u64 = 50;
const ANNEX_TAG: u8 = 0x50;

/// Whether a transaction that spends these outputs asks for more work than its size allows.
pub(crate) fn is_excessive(transaction: &Transaction, spent: &[&TxOut]) -> bool {
    work(transaction, spent) > WORK_PER_BYTE.saturating_mul(count(transaction.total_size()))
}

/// The most work that the scripts of a transaction can make.
pub(crate) fn work(transaction: &Transaction, spent: &[&TxOut]) -> u64 {
    let outputs: usize = transaction.output.iter().map(TxOut::size).sum();
    let bare = FRAME_BYTES + BARE_INPUT_BYTES * count(transaction.input.len()) + count(outputs);
    let scripts: u64 = spent.iter().map(|output| spent_bytes(output)).sum();
    // Every part of a check lays all of it out once.
    let parts = count(script::parts(transaction.input.len()));
    let mut work = parts * (bare + scripts);
    for (place, (input, output)) in transaction.input.iter().zip(spent).enumerate() {
        let paired = transaction.output.get(place).map_or(0, |output| count(output.size()));
        let around = Around { bare, scripts, paired };
        work = work.saturating_add(input_work(input, output, &around));
    }
    work
}

/// What an input can look at besides itself.
struct Around {
    /// The transaction without scriptSigs and witnesses.
    bare: u64,
    /// All spent outputs.
    scripts: u64,
    /// The output with the input's place.
    paired: u64,
}

fn input_work(input: &TxIn, spent: &TxOut, around: &Around) -> u64 {
    match Plain::of(input, spent) {
        Some(Plain::Legacy { .. }) => return SIGNATURE_CHECK + around.bare,
        Some(_) => return SIGNATURE_CHECK + DIGEST_BYTES + around.paired,
        None => {}
    }
    let taproot = spent.script_pubkey.is_p2tr();
    let read = if !script::looks_around(input, spent) {
        spent_bytes(spent)
    } else if taproot {
        READ_WITH_WITNESS * around.bare + around.scripts
    } else if input.witness.is_empty() {
        READ * around.bare
    } else {
        READ_WITH_WITNESS * around.bare
    };
    let executed = if taproot {
        tapscript_work(&input.witness, around)
    } else {
        script_work(input, &spent.script_pubkey, around)
    };
    count(input.total_size()).saturating_add(read).saturating_add(executed)
}

/// The scripts of an input that is not taproot's.
fn script_work(input: &TxIn, spent: &Script, around: &Around) -> u64 {
    let legacy = |script: &Script| Opcodes::of(script).work(around.bare + count(script.len()));
    let mut work = legacy(&input.script_sig).saturating_add(legacy(spent));
    let mut program = spent;
    if spent.is_p2sh() {
        let Some(redeem) = sigops::last_push(&input.script_sig) else { return work };
        work = work.saturating_add(legacy(redeem));
        program = redeem;
    }
    let digest = |script: &Script| DIGEST_BYTES + count(script.len()) + around.paired;
    if program.is_p2wpkh() {
        let implied = Opcodes { checks: 1, hashes: 1 };
        work = work.saturating_add(implied.work(digest(program)));
    } else if program.is_p2wsh()
        && let Some(script) = input.witness.last().map(Script::from_bytes)
    {
        work = work.saturating_add(Opcodes::of(script).work(digest(script)));
    }
    work
}

/// A witness of version 1: a signature, or a script behind a tweak that costs as much as one.
fn tapscript_work(witness: &Witness, around: &Around) -> u64 {
    let mut items = witness.len();
    if items > 1 && witness.last().is_some_and(|last| last.first() == Some(&ANNEX_TAG)) {
        items -= 1;
    }
    let digest = DIGEST_BYTES + around.paired;
    let Some(script) = items.checked_sub(2).and_then(|place| witness.nth(place)) else {
        return Opcodes { checks: 1, hashes: 0 }.work(digest);
    };
    let mut opcodes = Opcodes::of(Script::from_bytes(script));
    let most = 1 + count(witness.size()) / TAPSCRIPT_BYTES_PER_CHECK;
    opcodes.checks = opcodes.checks.min(most) + 1;
    opcodes.work(digest)
}

/// What costs in a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Opcodes {
    /// How many signatures are held against how many keys.
    checks: u64,
    hashes: u64,
}

impl Opcodes {
    fn of(script: &Script) -> Self {
        let mut found = Self::default();
        let mut before = None;
        for instruction in script.instructions() {
            // Nothing behind a broken push ever runs.
            let Ok(instruction) = instruction else { break };
            let Instruction::Op(opcode) = instruction else {
                before = None;
                continue;
            };
            if [OP_CHECKSIG, OP_CHECKSIGVERIFY, OP_CHECKSIGADD].contains(&opcode) {
                found.checks += 1;
            } else if [OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY].contains(&opcode) {
                found.checks += sigops::multisig_keys(before);
            } else if (OP_RIPEMD160.to_u8()..=OP_HASH256.to_u8()).contains(&opcode.to_u8()) {
                found.hashes += 1;
            }
            before = Some(opcode.to_u8());
        }
        found
    }

    /// What they cost when each check makes a digest of so many bytes.
    fn work(self, digest: u64) -> u64 {
        let check = SIGNATURE_CHECK.saturating_add(digest);
        self.checks.saturating_mul(check).saturating_add(self.hashes * ELEMENT_BYTES_MAX)
    }
}

fn spent_bytes(output: &TxOut) -> u64 {
    OUTPUT_FRAME_BYTES + count(output.script_pubkey.len())
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
