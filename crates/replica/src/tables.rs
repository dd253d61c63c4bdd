//! The tables of the two halves, their keys and their rows.
//!
//! Ordering writes vertices, commits, common coins, its newest own vertex and evidence; execution
//! reads them and writes the ledger's tables. Numbers in keys are big endian, so that byte order is
//! their order and serving rounds is one scan.

use std::collections::BTreeSet;

use bytes::Bytes;
use consensus::Evidence;
use types::Author;
use types::Commit;
use types::CommitIndex;
use types::Decode;
use types::Digest;
use types::Encode;
use types::Round;
use types::VertexRef;
use types::coin::CoinSignature;
use types::encoding::Writer;
use types::table::Changes;
use types::table::Row;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

/// Encoded vertices of the DAG by round, author and digest.
pub const VERTICES: Table = Table::new("order_vertices");
/// Commits by index.
pub const COMMITS: Table = Table::new("order_commits");
/// Common coins by round.
pub const COINS: Table = Table::new("order_coins");
/// The newest own vertex, under one key.
pub const OWN: Table = Table::new("order_own");
/// Signed proof of faults by kind, round and author: one of each.
pub const EVIDENCE: Table = Table::new("order_evidence");

const ALL: [Table; 5] = [VERTICES, COMMITS, COINS, OWN, EVIDENCE];
const EQUIVOCATION: u8 = 1;
const WRONG_COIN_SHARE: u8 = 2;
/// How many rows are read at a time.
const PAGE_ROWS: usize = 64;
const OWN_KEY: &[u8] = b"newest";

/// Every table that ordering writes. The ledger names its own.
pub const fn tables() -> &'static [Table] {
    &ALL
}

/// The place of a vertex in [`VERTICES`].
pub(crate) fn vertex_key(reference: &VertexRef) -> Vec<u8> {
    let mut key = Vec::with_capacity(VertexRef::ENCODED_LENGTH);
    key.extend_from_slice(&reference.round.value().to_be_bytes());
    key.extend_from_slice(&reference.author.value().to_be_bytes());
    key.extend_from_slice(reference.digest.as_bytes());
    key
}

/// The first place of a round in [`VERTICES`].
pub(crate) fn first_of(round: Round) -> VertexRef {
    VertexRef { round, author: Author::ZERO, digest: Digest::ZERO }
}

/// The vertex that a key of [`VERTICES`] names.
pub(crate) fn vertex_of_key(key: &[u8]) -> Result<VertexRef, TableFault> {
    let parts = key.split_first_chunk::<8>().and_then(|(round, rest)| {
        let (author, digest) = rest.split_first_chunk::<2>()?;
        Some((round, author, <[u8; 32]>::try_from(digest).ok()?))
    });
    let (round, author, digest) = parts.ok_or_else(|| torn("a vertex's key"))?;
    Ok(VertexRef {
        round: Round::new(u64::from_be_bytes(*round)),
        author: Author::new(u16::from_be_bytes(*author)),
        digest: Digest::new(digest),
    })
}

/// The commit at `index`, if it was written.
///
/// # Errors
/// When the store fails or holds something else.
pub fn commit(read: &dyn TableRead, index: CommitIndex) -> Result<Option<Commit>, TableFault> {
    let row = read.get(COMMITS, &index.value().to_be_bytes())?;
    row.map(|row| decoded("a commit", &row)).transpose()
}

/// The newest commit, if there is one.
///
/// # Errors
/// When the store fails or holds something else.
pub fn last_commit(read: &dyn TableRead) -> Result<Option<Commit>, TableFault> {
    let row = read.scan_back(COMMITS, &[], &[], 1)?.pop();
    row.map(|(_, row)| decoded("a commit", &row)).transpose()
}

/// An encoded vertex, if it was written.
///
/// # Errors
/// When the store fails.
pub fn vertex(read: &dyn TableRead, reference: &VertexRef) -> Result<Option<Bytes>, TableFault> {
    read.get(VERTICES, &vertex_key(reference))
}

/// At most `limit` encoded vertices from a place on, with their keys.
pub(crate) fn vertices_from(
    read: &dyn TableRead,
    from: &[u8],
    limit: usize,
) -> Result<Vec<Row>, TableFault> {
    read.scan(VERTICES, &[], from, limit)
}

/// The newest own vertex, if there ever was one.
///
/// # Errors
/// When the store fails or holds something else.
pub fn own_newest(read: &dyn TableRead) -> Result<Option<VertexRef>, TableFault> {
    let row = read.get(OWN, OWN_KEY)?;
    row.map(|row| decoded("the own vertex", &row)).transpose()
}

/// The common coin of a round, if it was written.
pub(crate) fn coin(
    read: &dyn TableRead,
    round: Round,
) -> Result<Option<CoinSignature>, TableFault> {
    let row = read.get(COINS, &round.value().to_be_bytes())?;
    row.map(|row| decoded("a common coin", &row)).transpose()
}

/// Common coins of `from` up to but without `until`, ascending.
pub(crate) fn coins(
    read: &dyn TableRead,
    from: Round,
    until: Round,
    limit: usize,
) -> Result<Vec<(Round, CoinSignature)>, TableFault> {
    let mut coins = Vec::new();
    for (key, row) in read.scan(COINS, &[], &from.value().to_be_bytes(), limit)? {
        let key = <[u8; 8]>::try_from(&key[..]).map_err(|_| torn("a common coin's key"))?;
        let round = Round::new(u64::from_be_bytes(key));
        if round >= until {
            break;
        }
        coins.push((round, decoded("a common coin", &row)?));
    }
    Ok(coins)
}

/// Every author of whom two vertices of one round are kept as evidence.
pub(crate) fn equivocators(read: &dyn TableRead) -> Result<BTreeSet<Author>, TableFault> {
    let mut authors = BTreeSet::new();
    let mut from = vec![EQUIVOCATION];
    loop {
        let page = read.scan(EVIDENCE, &[EQUIVOCATION], &from, PAGE_ROWS)?;
        let is_last = page.len() < PAGE_ROWS;
        for (key, _) in page {
            let author = key.last_chunk::<2>().ok_or_else(|| torn("a key of evidence"))?;
            authors.insert(Author::new(u16::from_be_bytes(*author)));
            from = [&key[..], &[0]].concat();
        }
        if is_last {
            return Ok(authors);
        }
    }
}

pub(crate) fn put_vertex(changes: &mut Changes, reference: &VertexRef, encoded: &Bytes) {
    changes.put(VERTICES, vertex_key(reference), encoded.clone());
}

pub(crate) fn put_own(changes: &mut Changes, reference: &VertexRef) {
    changes.put(OWN, OWN_KEY, reference.to_bytes());
}

pub(crate) fn put_commit(changes: &mut Changes, commit: &Commit) {
    changes.put(COMMITS, commit.index.value().to_be_bytes().to_vec(), commit.to_bytes());
}

pub(crate) fn put_coin(changes: &mut Changes, round: Round, signature: &CoinSignature) {
    changes.put(COINS, round.value().to_be_bytes().to_vec(), signature.to_bytes());
}

pub(crate) fn put_evidence(changes: &mut Changes, evidence: &Evidence) {
    let mut writer = Writer::default();
    let (kind, vertex) = match evidence {
        Evidence::Equivocation { first, second } => {
            writer.bytes(second.encoded());
            (EQUIVOCATION, first)
        }
        Evidence::WrongCoinShare { vertex, .. } => (WRONG_COIN_SHARE, vertex),
    };
    writer.bytes(vertex.encoded());
    let VertexRef { round, author, .. } = vertex.reference();
    let mut key = vec![kind];
    key.extend_from_slice(&round.value().to_be_bytes());
    key.extend_from_slice(&author.value().to_be_bytes());
    changes.put(EVIDENCE, key, writer.finish());
}

fn decoded<T: Decode>(what: &str, row: &[u8]) -> Result<T, TableFault> {
    T::from_bytes(row).map_err(|error| TableFault { reason: format!("{what} is torn: {error}") })
}

pub(crate) fn torn(what: &str) -> TableFault {
    TableFault { reason: format!("{what} is torn") }
}
