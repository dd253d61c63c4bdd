//! Bitcoin Core's own validation, asked over standard input and output.
//!
//! It keeps a regtest chain in memory and takes requests, one after the other: a byte for the kind,
//! four for the length, the request. Every answer is a byte, 1 for yes, and four for the length of
//! the words behind it, which are Core's. A block is accepted when it is the tip afterwards.
//!
//! | kind | request | yes means |
//! |---|---|---|
//! | `B` | a block | it is the new tip |
//! | `S` | flags, the spent outputs, a transaction | every input's script allows it |

use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;

use bitcoinkernel::Block;
use bitcoinkernel::ChainType;
use bitcoinkernel::ChainstateManager;
use bitcoinkernel::ChainstateManagerBuilder;
use bitcoinkernel::Context;
use bitcoinkernel::ContextBuilder;
use bitcoinkernel::Log;
use bitcoinkernel::LogCategory;
use bitcoinkernel::LogLevel;
use bitcoinkernel::Logger;
use bitcoinkernel::PrecomputedTransactionData;
use bitcoinkernel::ScriptPubkey;
use bitcoinkernel::Transaction;
use bitcoinkernel::TxOut;
use bitcoinkernel::verify;

/// The longest request: a block with room to spare.
const REQUEST_BYTES_MAX: usize = 8_000_000;

type Failure = Box<dyn std::error::Error>;

/// The lines of Core's log that say why something was refused.
#[derive(Clone, Default)]
struct Reasons(Arc<Mutex<Vec<String>>>);

impl Log for Reasons {
    fn log(&self, message: &str) {
        let told = ["failed, ", "AcceptBlock: ", "FAILED (", "mutated: ", "CheckBlock", "Header: "];
        if told.iter().any(|word| message.contains(word))
            && let Ok(mut lines) = self.0.lock()
        {
            lines.push(message.trim().to_owned());
        }
    }
}

impl Reasons {
    fn take(&self) -> String {
        self.0.lock().map(|mut lines| std::mem::take(&mut *lines).join("; ")).unwrap_or_default()
    }
}

fn main() -> Result<(), Failure> {
    let reasons = Reasons::default();
    let logger = Logger::new(reasons.clone())?;
    logger.set_level_category(LogCategory::Validation, LogLevel::Debug);
    logger.enable_category(LogCategory::Validation);
    let folder = std::env::temp_dir().join(format!("meanwhile-judge-{}", std::process::id()));
    let blocks = folder.join("blocks");
    std::fs::create_dir_all(&blocks)?;
    let context = ContextBuilder::new().chain_type(ChainType::Regtest).build()?;
    let answered = {
        let chain = open(&context, &folder.to_string_lossy(), &blocks.to_string_lossy())?;
        serve(&chain, &reasons)
    };
    std::fs::remove_dir_all(&folder)?;
    answered
}

fn open(context: &Context, data: &str, blocks: &str) -> Result<ChainstateManager, Failure> {
    let chain = ChainstateManagerBuilder::new(context, data, blocks)?
        .block_tree_db_in_memory(true)
        .chainstate_db_in_memory(true)
        .worker_threads(1)
        .build()?;
    chain.import_blocks()?;
    Ok(chain)
}

fn serve(chain: &ChainstateManager, reasons: &Reasons) -> Result<(), Failure> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut head = [0; 5];
    while input.read_exact(&mut head).is_ok() {
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_le_bytes(length))?;
        if length > REQUEST_BYTES_MAX {
            return Err("a request is too long".into());
        }
        let mut request = vec![0; length];
        input.read_exact(&mut request)?;
        let (yes, words) = match kind {
            b'B' => judge_block(chain, reasons, &request),
            b'S' => judge_scripts(&request)?,
            _ => return Err("a request of no kind".into()),
        };
        output.write_all(&[u8::from(yes)])?;
        output.write_all(&u32::try_from(words.len())?.to_le_bytes())?;
        output.write_all(words.as_bytes())?;
        output.flush()?;
    }
    Ok(())
}

fn judge_block(chain: &ChainstateManager, reasons: &Reasons, raw: &[u8]) -> (bool, String) {
    let Ok(block) = Block::new(raw) else { return (false, "no block".to_owned()) };
    reasons.take();
    chain.process_block(&block);
    let is_tip = chain.active_chain().tip().block_hash().to_owned() == block.hash();
    (is_tip, reasons.take())
}

fn judge_scripts(request: &[u8]) -> Result<(bool, String), Failure> {
    let mut reader = request;
    let flags = u32::from_le_bytes(take(&mut reader)?);
    let count = u32::from_le_bytes(take(&mut reader)?);
    let mut spent = Vec::new();
    for _ in 0..count {
        let value = i64::from_le_bytes(take(&mut reader)?);
        let length = usize::try_from(u32::from_le_bytes(take(&mut reader)?))?;
        let script = reader.split_off(..length).ok_or("a script is cut off")?;
        spent.push((value, ScriptPubkey::new(script)?));
    }
    let Ok(transaction) = Transaction::new(reader) else {
        return Ok((false, "no transaction".to_owned()));
    };
    let outputs: Vec<TxOut> =
        spent.iter().map(|(value, script)| TxOut::new(script, *value)).collect();
    let data = PrecomputedTransactionData::new(&transaction, &outputs)?;
    for (place, (value, script)) in spent.iter().enumerate() {
        let judged = verify(script, Some(*value), &transaction, place, Some(flags), &data);
        if let Err(error) = judged {
            return Ok((false, format!("input {place}: {error}")));
        }
    }
    Ok((true, String::new()))
}

fn take<const N: usize>(reader: &mut &[u8]) -> Result<[u8; N], Failure> {
    let bytes = reader.split_off(..N).ok_or("a request is cut off")?;
    Ok(bytes.try_into()?)
}
