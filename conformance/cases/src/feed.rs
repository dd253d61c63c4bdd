//! Hands the judge every block that a running node has sealed, over its Esplora routes.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use bitcoin::Block;
use bitcoin::consensus::encode;

use crate::Failure;
use crate::flag;
use crate::judge::Judge;
use crate::tally::Tally;

const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: u64 = 16_000_000;

pub(crate) fn run(arguments: &[String]) -> Result<bool, Failure> {
    let program = flag(arguments, "--judge").ok_or("--judge PROGRAM is missing")?;
    let url = arguments.last().ok_or("the address of a node is missing")?;
    let host = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let mut judge = Judge::start(program)?;
    let mut tally = Tally::new(format!("blocks of {url}"));
    let tip: u32 = text(get(host, "/api/blocks/tip/height")?)?.trim().parse()?;
    for height in 1..=tip {
        let hash = text(get(host, &format!("/api/block-height/{height}"))?)?;
        let raw = get(host, &format!("/api/block/{}/raw", hash.trim()))?;
        let block: Block = encode::deserialize(&raw)?;
        let ruling = judge.block(&block)?;
        let transactions = u64::try_from(block.txdata.len() - 1)?;
        tally.add("transactions beside the coinbases", transactions);
        tally.check(ruling.accepted, || format!("height {height}: {}", ruling.words));
        if !ruling.accepted {
            break;
        }
    }
    Ok(tally.print() && tip > 0)
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    Ok(String::from_utf8(bytes)?)
}

/// One request, one connection; the whole body of a good answer.
fn get(host: &str, path: &str) -> Result<Vec<u8>, Failure> {
    let mut stream = TcpStream::connect(host).map_err(|error| format!("{host}: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = answer.split_off(end.ok_or("an answer without an end of its head")? + 4);
    let head = String::from_utf8_lossy(&answer);
    if head.split_ascii_whitespace().nth(1) != Some("200") {
        let first = head.lines().next().unwrap_or_default();
        return Err(format!("{path}: {first}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(body)
}
