//! Core's side of every case: the judge, a process of its own.

use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use bitcoin::Block;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::consensus::encode;

use crate::Failure;

/// A running judge.
pub(crate) struct Judge {
    process: Child,
    requests: Option<ChildStdin>,
    answers: ChildStdout,
}

/// What Core says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) accepted: bool,
    /// Core's own words, when it refuses.
    pub(crate) words: String,
}

impl Judge {
    /// Starts a judge with an empty chain.
    pub(crate) fn start(program: &str) -> Result<Self, Failure> {
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let requests = process.stdin.take();
        let answers = process.stdout.take().ok_or("the judge has no output")?;
        Ok(Self { process, requests, answers })
    }

    /// Offers a block; whether it is the tip now.
    pub(crate) fn block(&mut self, block: &Block) -> Result<Ruling, Failure> {
        self.ask(b'B', &encode::serialize(block))
    }

    /// Asks about the scripts of a transaction.
    pub(crate) fn scripts(
        &mut self,
        transaction: &Transaction,
        spent: &[TxOut],
        flags: u32,
    ) -> Result<Ruling, Failure> {
        let mut request = Vec::new();
        request.extend(flags.to_le_bytes());
        request.extend(u32::try_from(spent.len())?.to_le_bytes());
        for output in spent {
            request.extend(output.value.to_sat().to_le_bytes());
            request.extend(u32::try_from(output.script_pubkey.len())?.to_le_bytes());
            request.extend(output.script_pubkey.as_bytes());
        }
        request.extend(encode::serialize(transaction));
        self.ask(b'S', &request)
    }

    fn ask(&mut self, kind: u8, request: &[u8]) -> Result<Ruling, Failure> {
        let requests = self.requests.as_mut().ok_or("the judge has gone")?;
        requests.write_all(&[kind])?;
        requests.write_all(&u32::try_from(request.len())?.to_le_bytes())?;
        requests.write_all(request)?;
        requests.flush()?;
        let mut head = [0; 5];
        self.answers.read_exact(&mut head)?;
        let [yes, length @ ..] = head;
        let mut words = vec![0; usize::try_from(u32::from_le_bytes(length))?];
        self.answers.read_exact(&mut words)?;
        let words = String::from_utf8_lossy(&words).into_owned();
        Ok(Ruling { accepted: yes == 1, words })
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It ends when nothing more can be asked.
        self.requests = None;
        let _ = self.process.wait();
    }
}
