//! The tables of the two halves, their keys and their rows.
//!
//! Ordering writes vertices, commits, common coins, its newest own vertex and evidence; execution
//! reads them and writes the ledger's tables. Numbers in keys are big endian, so that byte order is
//! their order and serving rounds is one scan.

use std::collections::BTreeSet;

use bytes::Bytes;
use consensus::Evidence;
use types::Author;
use types::Checkpoint;
use types::CheckpointProof;
use types::Commit;
use types::CommitIndex;
use types::Decode;
use types::DecodeError;
use types::Digest;
use types::Encode;
use types::Round;
use types::VERTEX_BYTES_MAX;
use types::VertexRef;
use types::coin::CoinSignature;
use types::encoding::Reader;
use types::encoding::Writer;
use types::table::Changes;
use types::table::Row;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use crate::execution::Divergence;
use crate::execution::DoubleVote;

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
/// Proofs of checkpoints by the index of their commit. Which validators signed differs from node to
/// node, so this is no part of the ledger.
pub const PROOFS: Table = Table::new("order_proofs");
/// Two votes of one validator for one commit, by commit and author; and, under a key of its own, the
/// proof that this node's state is wrong.
pub const VOTE_EVIDENCE: Table = Table::new("order_vote_evidence");

/// What somebody signed that nobody may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvidenceKind {
    /// Two vertices of one round.
    Equivocation,
    /// A wrong share of the common coin.
    WrongCoinShare,
}

/// The place of a piece of evidence in [`EVIDENCE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvidenceKey {
    /// What was signed.
    pub kind: EvidenceKind,
    /// In which round.
    pub round: Round,
    /// By whom.
    pub author: Author,
}

/// Evidence as it is kept: encoded vertices of one author, which prove it by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEvidence {
    /// The vertex that was accepted first, or the one with the wrong share.
    pub first: Bytes,
    /// The other vertex of the same round.
    pub second: Option<Bytes>,
}

impl EvidenceKey {
    fn to_bytes(self) -> Vec<u8> {
        let kind = match self.kind {
            EvidenceKind::Equivocation => EQUIVOCATION,
            EvidenceKind::WrongCoinShare => WRONG_COIN_SHARE,
        };
        let mut key = vec![kind];
        key.extend_from_slice(&self.round.value().to_be_bytes());
        key.extend_from_slice(&self.author.value().to_be_bytes());
        key
    }

    fn from_bytes(key: &[u8]) -> Option<Self> {
        let (kind, rest) = key.split_first()?;
        let (round, author) = rest.split_first_chunk::<8>()?;
        let kind = match *kind {
            EQUIVOCATION => EvidenceKind::Equivocation,
            WRONG_COIN_SHARE => EvidenceKind::WrongCoinShare,
            _ => return None,
        };
        Some(Self {
            kind,
            round: Round::new(u64::from_be_bytes(*round)),
            author: Author::new(u16::from_be_bytes(author.try_into().ok()?)),
        })
    }
}

const ALL: [Table; 7] = [VERTICES, COMMITS, COINS, OWN, EVIDENCE, PROOFS, VOTE_EVIDENCE];
const EQUIVOCATION: u8 = 1;
const WRONG_COIN_SHARE: u8 = 2;
/// How many rows are read at a time.
const PAGE_ROWS: usize = 64;
const OWN_KEY: &[u8] = b"newest";
const DIVERGENCE_KEY: &[u8] = b"divergence";
const DIVERGENCE_VERSION: u8 = 1;

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
///
/// # Errors
/// When the store fails.
pub fn coin(read: &dyn TableRead, round: Round) -> Result<Option<CoinSignature>, TableFault> {
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

/// Kept evidence behind the key `after`, ascending; each with its key.
///
/// # Errors
/// When the store fails or holds something else.
pub fn evidence(
    read: &dyn TableRead,
    after: Option<EvidenceKey>,
    limit: usize,
) -> Result<Vec<(EvidenceKey, KeptEvidence)>, TableFault> {
    let from = after.map_or_else(Vec::new, |after| [&after.to_bytes()[..], &[0]].concat());
    let rows = read.scan(EVIDENCE, &[], &from, limit)?;
    rows.into_iter().map(|(key, row)| kept(&key, &row)).collect()
}

fn kept(key: &[u8], row: &Bytes) -> Result<(EvidenceKey, KeptEvidence), TableFault> {
    let key = EvidenceKey::from_bytes(key).ok_or_else(|| torn("the key of evidence"))?;
    let torn = |_| torn("evidence");
    let mut reader = Reader::shared(row);
    let one = reader.bytes("vertex", VERTEX_BYTES_MAX).map_err(torn)?;
    let kept = match key.kind {
        EvidenceKind::WrongCoinShare => KeptEvidence { first: one, second: None },
        EvidenceKind::Equivocation => {
            let first = reader.bytes("vertex", VERTEX_BYTES_MAX).map_err(torn)?;
            KeptEvidence { first, second: Some(one) }
        }
    };
    reader.finish().map_err(torn)?;
    Ok((key, kept))
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
            (EvidenceKind::Equivocation, first)
        }
        Evidence::WrongCoinShare { vertex, .. } => (EvidenceKind::WrongCoinShare, vertex),
    };
    writer.bytes(vertex.encoded());
    let VertexRef { round, author, .. } = vertex.reference();
    changes.put(EVIDENCE, EvidenceKey { kind, round, author }.to_bytes(), writer.finish());
}

/// The proof of the checkpoint at `commit`, if it was found.
///
/// # Errors
/// When the store fails or holds something else.
pub fn proof(
    read: &dyn TableRead,
    commit: CommitIndex,
) -> Result<Option<CheckpointProof>, TableFault> {
    let row = read.get(PROOFS, &commit.value().to_be_bytes())?;
    row.map(|row| decoded("a checkpoint's proof", &row)).transpose()
}

/// The last commit whose checkpoint is proven; 0 when there is none.
///
/// # Errors
/// When the store fails or holds something else.
pub fn last_proven(read: &dyn TableRead) -> Result<CommitIndex, TableFault> {
    let Some((key, _)) = read.scan_back(PROOFS, &[], &[], 1)?.pop() else {
        return Ok(CommitIndex::ZERO);
    };
    let key = <[u8; 8]>::try_from(&key[..]).map_err(|_| torn("a proof's key"))?;
    Ok(CommitIndex::new(u64::from_be_bytes(key)))
}

/// The proof that this node's own state is wrong, if there is one.
///
/// # Errors
/// When the store fails or holds something else.
pub fn divergence(read: &dyn TableRead) -> Result<Option<Divergence>, TableFault> {
    let row = read.get(VOTE_EVIDENCE, DIVERGENCE_KEY)?;
    row.map(|row| decoded("the proof of divergence", &row)).transpose()
}

/// Keeps a proof.
pub fn put_proof(changes: &mut Changes, commit: CommitIndex, proof: &CheckpointProof) {
    changes.put(PROOFS, commit.value().to_be_bytes().to_vec(), proof.to_bytes());
}

pub(crate) fn put_double_vote(changes: &mut Changes, double: &DoubleVote) {
    let mut key = double.first.commit.value().to_be_bytes().to_vec();
    key.extend_from_slice(&double.author.value().to_be_bytes());
    let mut writer = Writer::default();
    double.first.encode(&mut writer);
    double.second.encode(&mut writer);
    changes.put(VOTE_EVIDENCE, key, writer.finish());
}

pub(crate) fn put_divergence(changes: &mut Changes, divergence: &Divergence) {
    changes.put(VOTE_EVIDENCE, DIVERGENCE_KEY.to_vec(), divergence.to_bytes());
}

impl Encode for Divergence {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(DIVERGENCE_VERSION);
        self.own.encode(writer);
        self.proven.encode(writer);
        self.proof.encode(writer);
    }
}

impl Decode for Divergence {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("divergence", DIVERGENCE_VERSION)?;
        Ok(Self {
            own: Checkpoint::decode(reader)?,
            proven: Digest::decode(reader)?,
            proof: CheckpointProof::decode(reader)?,
        })
    }
}

fn decoded<T: Decode>(what: &str, row: &[u8]) -> Result<T, TableFault> {
    T::from_bytes(row).map_err(|error| TableFault { reason: format!("{what} is torn: {error}") })
}

pub(crate) fn torn(what: &str) -> TableFault {
    TableFault { reason: format!("{what} is torn") }
}

#[cfg(test)]
mod tests {
    use store::Durability;
    use store::MemoryStore;
    use store::Store as _;
    use types::Header;
    use types::Payload;
    use types::TimestampMs;
    use types::test_utils::TestNetwork;

    use super::*;

    #[test]
    fn evidence_comes_back_as_it_was_kept_page_by_page() {
        let network = TestNetwork::new(4);
        let (chain, epoch) = (*network.committee.chain(), network.committee.epoch());
        let vertex = |author: u16, time: u64| {
            let parents = network.committee.authors();
            let header = Header {
                chain,
                epoch,
                author: Author::new(author),
                round: Round::new(1),
                parents: parents.map(|author| VertexRef::genesis(&chain, epoch, author)).collect(),
                late: Vec::new(),
                coin_share: None,
                payload_root: Payload::root(&Payload::default().to_bytes()),
                payload_length: 4,
                timestamp: TimestampMs::new(time),
            };
            network.sign(header, Payload::default())
        };
        let store = MemoryStore::new(tables());
        let mut changes = Changes::default();
        for author in [0, 3] {
            let (first, second) = (vertex(author, 1), vertex(author, 2));
            put_evidence(&mut changes, &Evidence::Equivocation { first, second });
        }
        let wrong = Evidence::WrongCoinShare { vertex: vertex(2, 1), round: Round::new(1) };
        put_evidence(&mut changes, &wrong);
        store.write(changes, Durability::Synced).unwrap();
        let all = evidence(&store, None, 10).unwrap();
        let kinds: Vec<_> = all.iter().map(|(key, _)| (key.kind, key.author.value())).collect();
        let twins = EvidenceKind::Equivocation;
        assert_eq!(kinds, [(twins, 0), (twins, 3), (EvidenceKind::WrongCoinShare, 2)]);
        let (key, kept) = &all[1];
        assert_eq!(kept.first, *vertex(3, 1).encoded());
        assert_eq!(kept.second.as_ref(), Some(vertex(3, 2).encoded()));
        assert_eq!(evidence(&store, Some(*key), 10).unwrap(), all[2..]);
        assert_eq!(evidence(&store, None, 1).unwrap(), all[..1]);
    }
}
