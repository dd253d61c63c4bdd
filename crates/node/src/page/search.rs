//! Leads from what somebody typed to the page that shows it.

use axum::extract::State;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::response::Redirect;
use axum::response::Response;
use serde::Deserialize;

use crate::http::Failure;
use crate::http::Services;
use crate::http::parse;

/// The longest text that is looked for: an address may have 90 characters.
const TEXT_MAX: usize = 128;

#[derive(Debug, Default, Deserialize)]
struct SearchQuery {
    #[serde(default)]
    q: String,
}

pub(crate) async fn get(State(services): State<Services>, uri: Uri) -> Result<Response, Failure> {
    let SearchQuery { q } = parse::query(&uri)?;
    let text = q.trim();
    if text.is_empty() {
        return Ok(Redirect::to("/").into_response());
    }
    if text.len() > TEXT_MAX {
        return Err(Failure::not_found("this is too long for a txid, a block or an address"));
    }
    if let Ok((address, _)) = parse::address(text) {
        return Ok(Redirect::to(&format!("/address/{address}")).into_response());
    }
    // People copy heights as they are shown, with spaces.
    let digits: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    if digits.len() < 20 && parse::number::<u64>(&digits).is_ok() {
        return block(&services, &digits).await;
    }
    if let (Ok(txid), Ok(hash)) = (parse::txid(text), parse::block_hash(text)) {
        let target = services
            .read(move |view| {
                if view.block_by_hash(&hash)?.is_some() {
                    return Ok(Some(format!("/block/{hash}")));
                }
                let status = crate::http::tx_status(view, txid)?;
                let known =
                    status.status != client::api::TxState::Unknown || !status.skipped.is_empty();
                Ok(known.then(|| format!("/tx/{txid}")))
            })
            .await?;
        if let Some(target) = target {
            return Ok(Redirect::to(&target).into_response());
        }
        return Err(Failure::not_found(format!(
            "this node knows no transaction and no block {text}"
        )));
    }
    Err(Failure::not_found(format!(
        "“{text}” is no txid, no block's hash or height, and no address of this network"
    )))
}

async fn block(services: &Services, digits: &str) -> Result<Response, Failure> {
    let height = parse::height(digits)?;
    let there = services.read(move |view| Ok(view.block(height)?.is_some())).await?;
    if there {
        return Ok(Redirect::to(&format!("/block/{height}")).into_response());
    }
    Err(Failure::not_found(format!("there is no block at height {digits} yet")))
}
