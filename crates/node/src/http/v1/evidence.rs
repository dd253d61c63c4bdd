//! `GET /v1/evidence`: what validators signed that nobody may sign, so that anybody can check it.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use bytes::Bytes;
use client::api::Evidence;
use client::api::EvidenceKind;
use client::api::EvidencePage;
use client::api::SignedHeader;
use replica::tables;
use replica::tables::EvidenceKey;
use serde::Deserialize;
use types::Author;
use types::Encode as _;
use types::Genesis;
use types::Round;
use types::Unverified;
use types::table::TableFault;
use types::table::TableRead;

use crate::http::failure::Failure;
use crate::http::parse;
use crate::http::services::Services;

/// How many pieces of evidence one answer holds. Two vertices are read for each.
pub(crate) const EVIDENCE_MAX: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceQuery {
    after: Option<String>,
}

pub(crate) async fn get(
    State(services): State<Services>,
    uri: Uri,
) -> Result<Json<EvidencePage>, Failure> {
    let query: EvidenceQuery = parse::query(&uri)?;
    let after = query.after.as_deref().map(place).transpose()?;
    let (handle, committee) = (services.handle(), services.handle().committee());
    let (chain, epoch) = (*committee.chain(), committee.epoch());
    let genesis = handle.genesis().clone();
    let (evidence, next) =
        services.read_ledger(move |view| Ok(page(view.tables(), &genesis, after)?)).await?;
    Ok(Json(EvidencePage { chain, epoch, evidence, next }))
}

/// One page of evidence, and where the next one starts.
///
/// # Errors
/// When the store fails.
pub(crate) fn page(
    read: &dyn TableRead,
    genesis: &Genesis,
    after: Option<EvidenceKey>,
) -> Result<(Vec<Evidence>, Option<String>), TableFault> {
    let mut rows = tables::evidence(read, after, EVIDENCE_MAX + 1)?;
    let has_more = rows.len() > EVIDENCE_MAX;
    rows.truncate(EVIDENCE_MAX);
    let next = rows.last().filter(|_| has_more).map(|(key, _)| name(key));
    let shown = rows.into_iter().filter_map(|(key, kept)| {
        let validator = genesis.validators.get(key.author.index())?;
        let vertices = [Some(kept.first), kept.second];
        Some(Evidence {
            kind: kind(key.kind),
            author: key.author,
            name: validator.name.clone(),
            round: key.round,
            vertex_key: validator.vertex_key,
            vertices: vertices.iter().flatten().filter_map(signed).collect(),
        })
    });
    Ok((shown.collect(), next))
}

fn signed(encoded: &Bytes) -> Option<SignedHeader> {
    let vertex = Unverified::decode(encoded).ok()?;
    let vertex = vertex.claimed();
    Some(SignedHeader {
        digest: vertex.reference().digest,
        header: hex::encode(vertex.header().to_bytes()),
        signature: hex::encode(vertex.signature().to_bytes()),
    })
}

const fn kind(kind: tables::EvidenceKind) -> EvidenceKind {
    match kind {
        tables::EvidenceKind::Equivocation => EvidenceKind::Equivocation,
        tables::EvidenceKind::WrongCoinShare => EvidenceKind::WrongCoinShare,
    }
}

/// A place in the order of evidence as `kind-round-author`.
fn name(key: &EvidenceKey) -> String {
    format!("{}-{}-{}", kind(key.kind).as_str(), key.round, key.author)
}

fn place(text: &str) -> Result<EvidenceKey, Failure> {
    let parts = || -> Option<EvidenceKey> {
        let (kind, rest) = text.split_once('-')?;
        let (round, author) = rest.split_once('-')?;
        Some(EvidenceKey {
            kind: match EvidenceKind::parse(kind)? {
                EvidenceKind::Equivocation => tables::EvidenceKind::Equivocation,
                EvidenceKind::WrongCoinShare => tables::EvidenceKind::WrongCoinShare,
            },
            round: Round::new(round.parse().ok()?),
            author: Author::new(author.parse().ok()?),
        })
    };
    let hint = "give what the page before has under `next`";
    parts().ok_or_else(|| Failure::malformed("`after` names no place among evidence", hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_name() {
        let key = EvidenceKey {
            kind: tables::EvidenceKind::WrongCoinShare,
            round: Round::new(7),
            author: Author::new(3),
        };
        assert_eq!(name(&key), "wrong_coin_share-7-3");
        assert_eq!(place(&name(&key)), Ok(key));
        for text in ["", "equivocation-7", "silence-7-3", "equivocation-x-3", "equivocation-7--3"] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
