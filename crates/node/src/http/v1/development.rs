//! `POST /v1/faucet` and `POST /v1/dev/ticks`: on a development network only. Elsewhere these
//! routes do not exist.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use client::api::FaucetAnswer;
use client::api::FaucetRequest;
use client::api::TicksAnswer;
use client::api::TicksRequest;
use serde::de::DeserializeOwned;
use types::Height;

use crate::faucet;
use crate::http::failure::Failure;
use crate::http::services::Services;

/// How many blocks one request seals at most.
const TICKS_MAX: u16 = 1_000;
/// How long a request waits for its blocks.
const TICKS_TIME_MAX: Duration = Duration::from_secs(45);

pub(crate) async fn faucet(
    State(services): State<Services>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<FaucetAnswer>, Failure> {
    refuse_other_sites(&headers)?;
    let hint = r#"send {"address": "bcrt1...", "amount_sat": 100000}"#;
    let request: FaucetRequest = read(&body, hint)?;
    let Some(faucet) = services.faucet() else {
        return Err(Failure::not_found("this node holds no faucet key"));
    };
    let script = faucet::recipient(request.address)?;
    let paid = faucet.pay(script, request.amount).await;
    services.pools().submitted();
    Ok(Json(FaucetAnswer { txid: paid? }))
}

pub(crate) async fn ticks(
    State(services): State<Services>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<TicksAnswer>, Failure> {
    refuse_other_sites(&headers)?;
    let TicksRequest { count } = read(&body, r#"send {"count": 1}"#)?;
    if count == 0 || count > TICKS_MAX {
        return Err(Failure::malformed(
            format!("{count} blocks can not be sealed at one time"),
            "ask for 1 to 1000",
        ));
    }
    let mut status = services.handle().watch_status();
    let start = status.borrow_and_update().height;
    services.handle().ticks(count).await?;
    let goal = Height::new(start.value().saturating_add(u32::from(count)));
    let sealed = tokio::time::timeout(TICKS_TIME_MAX, status.wait_for(|now| now.height >= goal));
    match sealed.await {
        Ok(Ok(now)) => Ok(Json(TicksAnswer { height: now.height })),
        Ok(Err(_)) => Err(Failure::unavailable("the node is stopping")),
        Err(_) => Err(Failure::timeout()),
    }
}

fn read<T: DeserializeOwned>(body: &[u8], hint: &'static str) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::malformed(format!("the body can not be read: {error}"), hint))
}

/// A page of another site must not spend this network's money or time from its reader's browser.
fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Failure::malformed(
            "a page of another site may not ask for this",
            "call it from a program, or from a page of this very node",
        )),
    }
}
