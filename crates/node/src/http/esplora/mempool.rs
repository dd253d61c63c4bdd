//! `/mempool` and `/fee-estimates`.
//!
//! What is final and waits for its block counts as waiting here too: an Esplora client knows no
//! third state.

use axum::Json;
use axum::extract::State;
use bitcoin::Amount;
use bitcoin::Txid;
use client::esplora::FeeEstimates;
use client::esplora::MEMPOOL_RECENT_MAX;
use client::esplora::MempoolStats;
use client::esplora::RecentTransaction;
use ledger::mempool::Demand;
use ledger::mempool::FeeRate;
use ledger::mempool::RELAY_FEE;
use ledger::query;

use crate::http::failure::Failure;
use crate::http::reader::Reader;
use crate::http::services::Services;
use crate::http::view::View;

/// How many final, unsealed transactions one answer counts at most.
const UNSEALED_MAX: usize = 50_000;
/// How many virtual bytes a step of the histogram holds at least, as in electrs.
const STEP_VSIZE: u64 = 50_000;
/// The targets that clients ask for, as electrs answers them.
const TARGETS: [u16; 28] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 144,
    504, 1008,
];
struct Waiting {
    txid: Txid,
    fee_sat: u64,
    vsize: u64,
}

pub(crate) async fn stats(State(services): State<Services>) -> Result<Json<MempoolStats>, Failure> {
    services
        .read(|view| {
            let waiting = waiting(view)?;
            Ok(Json(MempoolStats {
                count: waiting.len(),
                vsize: waiting.iter().map(|one| one.vsize).sum(),
                total_fee: waiting.iter().map(|one| one.fee_sat).sum(),
                fee_histogram: histogram(waiting),
            }))
        })
        .await
}

pub(crate) async fn txids(State(services): State<Services>) -> Result<Json<Vec<Txid>>, Failure> {
    services.read(|view| Ok(Json(waiting(view)?.into_iter().map(|one| one.txid).collect()))).await
}

pub(crate) async fn recent(
    State(services): State<Services>,
) -> Result<Json<Vec<RecentTransaction>>, Failure> {
    services
        .read(|view| {
            let mut newest = waiting(view)?;
            newest.reverse();
            newest.truncate(MEMPOOL_RECENT_MAX);
            let mut transactions = Vec::with_capacity(newest.len());
            for Waiting { txid, fee_sat, vsize } in newest {
                let Some(found) = view.find(&txid)? else { continue };
                let outputs = found.transaction.output.iter();
                let value = outputs.fold(0_u64, |sum, one| sum.saturating_add(one.value.to_sat()));
                transactions.push(RecentTransaction {
                    txid,
                    fee: Amount::from_sat(fee_sat),
                    vsize,
                    value: Amount::from_sat(value),
                });
            }
            Ok(Json(transactions))
        })
        .await
}

pub(crate) async fn fee_estimates(
    State(services): State<Services>,
) -> Result<Json<FeeEstimates>, Failure> {
    let block_weight = services.handle().genesis().ledger.max_block_weight;
    services
        .read(move |view| {
            let demand = demand(view, block_weight)?;
            let rate = |target: u16| satoshi_per_vbyte(demand.rate(target, RELAY_FEE));
            Ok(Json(TARGETS.iter().map(|target| (target.to_string(), rate(*target))).collect()))
        })
        .await
}

/// What waits for blocks, for whoever asks what to pay.
fn demand(view: &View, block_weight: u64) -> Result<Demand, Failure> {
    let unsealed = query::unsealed(view.tables(), 0, UNSEALED_MAX)?;
    let unsealed = unsealed.iter().map(|entry| entry.weight.div_ceil(4)).sum();
    let pooled = view.pool().transactions().iter();
    let rates =
        pooled.map(|one| (FeeRate::of(Amount::from_sat(one.fee_sat), one.vsize), one.vsize));
    Ok(Demand::new(rates, unsealed, block_weight / 4))
}

/// A rate as wallets read it.
fn satoshi_per_vbyte(rate: FeeRate) -> f64 {
    let rate = u32::try_from(rate.sat_per_kvb()).unwrap_or(u32::MAX);
    f64::from(rate) / 1_000.0
}

/// What a transaction has to pay to be sealed within so many blocks.
///
/// # Errors
/// When the store fails, or the node is busy or stopping.
pub(crate) async fn fee_rate(reader: &Reader, blocks: u16) -> Result<FeeRate, Failure> {
    let block_weight = reader.handle().genesis().ledger.max_block_weight;
    reader.read(move |view| Ok(demand(view, block_weight)?.rate(blocks, RELAY_FEE))).await
}

/// Falling fee rates, in satoshi a virtual byte, with the virtual bytes that wait at each.
///
/// # Errors
/// When the store fails.
pub(crate) fn fee_histogram(view: &View) -> Result<Vec<(f32, u64)>, Failure> {
    Ok(histogram(waiting(view)?))
}

/// Everything that waits for a block, oldest first: final first, then the pool.
fn waiting(view: &View) -> Result<Vec<Waiting>, Failure> {
    let unsealed = query::unsealed(view.tables(), 0, UNSEALED_MAX)?;
    let mut waiting: Vec<Waiting> = unsealed
        .into_iter()
        .map(|entry| Waiting {
            txid: entry.txid,
            fee_sat: entry.fee_sat,
            vsize: entry.weight.div_ceil(4),
        })
        .collect();
    for pooled in view.pool().transactions() {
        if view.outcome(&pooled.txid)?.is_none() {
            let (txid, fee_sat, vsize) = (pooled.txid, pooled.fee_sat, pooled.vsize);
            waiting.push(Waiting { txid, fee_sat, vsize });
        }
    }
    Ok(waiting)
}

/// Steps of falling fee rates; each holds at least [`STEP_VSIZE`], the last what is left.
fn histogram(mut waiting: Vec<Waiting>) -> Vec<(f32, u64)> {
    let rate = |one: &Waiting| one.fee_sat.saturating_mul(1_000) / one.vsize.max(1);
    waiting.sort_by_key(|one| std::cmp::Reverse(rate(one)));
    let mut steps = Vec::new();
    let (mut vsize, mut lowest) = (0_u64, 0_u64);
    for one in &waiting {
        if vsize > STEP_VSIZE && rate(one) != lowest {
            steps.push((per_byte(lowest), vsize));
            vsize = 0;
        }
        lowest = rate(one);
        vsize = vsize.saturating_add(one.vsize);
    }
    if vsize > 0 {
        steps.push((per_byte(lowest), vsize));
    }
    steps
}

/// Satoshi a thousand virtual bytes as satoshi a virtual byte. Above what a `u16` holds the exact
/// figure says nothing any more.
fn per_byte(rate: u64) -> f32 {
    let whole = u16::try_from(rate / 1_000).unwrap_or(u16::MAX);
    let rest = u16::try_from(rate % 1_000).unwrap_or(0);
    f32::from(whole) + f32::from(rest) / 1_000.0
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;

    use super::*;

    fn waiting(fee_sat: u64, vsize: u64) -> Waiting {
        Waiting { txid: Txid::all_zeros(), fee_sat, vsize }
    }

    #[test]
    fn the_histogram_falls_and_counts_every_byte() {
        let rows = [(100, 100), (90_000, 60_000), (600_000, 60_000), (150, 100), (0, 100)];
        let steps = histogram(rows.map(|(fee, vsize)| waiting(fee, vsize)).into());
        assert_eq!(steps.iter().map(|(_, vsize)| vsize).sum::<u64>(), 120_300);
        assert!(steps.windows(2).all(|pair| pair[0].0 > pair[1].0), "{steps:?}");
        assert_eq!(steps[0], (10.0, 60_000));
        assert!(histogram(Vec::new()).is_empty());
    }
}
