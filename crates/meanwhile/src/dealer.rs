//! The dealer: one party that makes the common coin's key and knows every share of it.
//!
//! That party could foretell every leader, so this is for development networks only; every command
//! that uses it says so. Parties who do not trust each other make the key in a ceremony, see
//! [`crate::ceremony`].

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use types::Epoch;
use types::Genesis;
use types::Quorums;
use types::TimestampMs;
use types::coin;
use types::coin::CoinSecret;
use types::dkg::Card;
use types::genesis::Allocation;
use types::genesis::BlobParameters;
use types::genesis::ConsensusParameters;
use types::genesis::LedgerParameters;

use crate::error::Failure;
use crate::secrets::random;

/// What a person is told wherever the dealer is used.
pub(crate) const WARNING: &str = "One dealer made the keys of this network and could foretell its \
                                  leaders: for development only.";

/// What a new network is to be.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What it is called.
    pub(crate) name: String,
    /// Its validators, in the order of their numbers.
    pub(crate) cards: Vec<Card>,
    /// The least agreed time between two blocks, in milliseconds.
    pub(crate) block_interval_ms: u64,
    /// The largest weight of a block.
    pub(crate) max_block_weight: u64,
    /// Who owns the money.
    pub(crate) allocations: Vec<Allocation>,
}

/// Makes the genesis and the validators' values for the common coin, in their order.
///
/// # Errors
/// When the plan is refused or there is no randomness.
pub(crate) fn deal(plan: Plan) -> Result<(Genesis, Vec<CoinSecret>), Failure> {
    let count = u16::try_from(plan.cards.len()).map_err(|_| Failure::Argument {
        what: "validators",
        reason: format!("{} are too many", plan.cards.len()),
    })?;
    let threshold = Quorums::new(count).coin_threshold();
    let threshold = u16::try_from(threshold).expect("f + 1 is at most n, which is a u16");
    let dealt = coin::deal(&random()?, count, threshold)?;
    let members = plan.cards.into_iter().zip(dealt.publics);
    let genesis = Genesis {
        version: 1,
        name: plan.name,
        development: true,
        start_ms: now(),
        epoch: Epoch::ZERO,
        consensus: ConsensusParameters {
            leaders_per_round: count.min(2),
            ..ConsensusParameters::default()
        },
        ledger: LedgerParameters {
            block_interval_ms: plan.block_interval_ms,
            max_block_weight: plan.max_block_weight,
            ..LedgerParameters::default()
        },
        blobs: BlobParameters::default(),
        validators: members.map(|(card, coin_key)| card.into_validator(coin_key)).collect(),
        coin_group: dealt.group,
        allocations: plan.allocations,
    };
    genesis.check()?;
    Ok((genesis, dealt.secrets))
}

/// The time that this machine's clock shows.
pub(crate) fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use types::Digest;

    use super::*;
    use crate::secrets::Secrets;

    #[test]
    fn a_dealt_network_is_well_formed_and_its_shares_make_its_coin() {
        let card = |name: &str| Secrets::generate().unwrap().card(name.to_owned());
        let plan = Plan {
            name: "test".to_owned(),
            cards: ["a", "b", "c", "d"].map(card).into(),
            block_interval_ms: 10_000,
            max_block_weight: 4_000_000,
            allocations: Vec::new(),
        };
        let (genesis, secrets) = deal(plan).unwrap();
        let message = Digest::new([9; 32]);
        let shares = [1_u16, 3].map(|author| {
            (types::Author::new(author), secrets[usize::from(author)].share(&message))
        });
        assert!(coin::recover(&shares, &message, &genesis.coin_group).is_ok());
    }
}
