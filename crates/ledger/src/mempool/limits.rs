//! What a pool allows. All of it is policy: two validators may differ.

use std::cmp::Ordering;

use bitcoin::Amount;

/// The most memory that a pool takes, as Core's `-maxmempool`.
pub const POOL_BYTES_MAX: u64 = 300_000_000;
/// The most transactions in a chain of unproven parents, itself included.
pub const ANCESTORS_MAX: usize = 25;
/// The most transactions in a chain of waiting children, itself included.
pub const DESCENDANTS_MAX: usize = 25;
/// The most virtual bytes in either chain.
pub const CHAIN_VSIZE_MAX: u64 = 101_000;
/// The most transactions that one replacement may push out.
pub const REPLACEMENTS_MAX: usize = 100;
/// The most transactions that wait for a lock or a parent after they were passed over.
pub const PARKED_MAX: usize = 1_000;
/// How often a transaction is proposed before it is given up.
pub const PROPOSALS_MAX: u32 = 16;
/// How many packages that no longer fit are looked at before a vertex counts as full.
pub const TAKE_MISSES_MAX: usize = 64;

/// The largest version 3 transaction, in virtual bytes.
pub const TRUC_VSIZE_MAX: u64 = 10_000;
/// The largest version 3 child, in virtual bytes.
pub const TRUC_CHILD_VSIZE_MAX: u64 = 1_000;
/// The most transactions in one package.
pub const PACKAGE_MAX: usize = 25;
/// The most weight of one package.
pub const PACKAGE_WEIGHT_MAX: u64 = 404_000;
/// The most parents that wait for their child outside the pool.
pub const LONE_MAX: usize = 100;
/// The most bytes of parents that wait for their child outside the pool.
pub const LONE_BYTES_MAX: usize = 4_000_000;
/// How many commits such a parent waits for its child: some minutes.
pub const LONE_COMMITS_MAX: u64 = 2_000;

/// One satoshi a virtual byte. Core 30 itself relays from a tenth of it, but the wallets in the
/// field (BDK, LDK, CLN, LND) never go below one satoshi a byte and bump by whole ones, and what a
/// transaction takes away here, room in the next blocks, is as scarce as in Bitcoin.
pub const RELAY_FEE: FeeRate = FeeRate::from_sat_per_kvb(1_000);

/// A price of room, in satoshi a thousand virtual bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeeRate(u64);

/// What a pool allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolLimits {
    /// The most memory that it takes, roughly.
    pub bytes_max: u64,
    /// The least that a transaction pays.
    pub relay_fee: FeeRate,
    /// What a replacement pays for its own size on top of what it replaces.
    pub incremental_fee: FeeRate,
    /// What the room of an output must be worth.
    pub dust_fee: FeeRate,
    /// The most bytes of data carriers in one transaction.
    pub data_carrier_bytes_max: usize,
    /// Whether only usual scripts are admitted.
    pub standardness: Standardness,
}

/// Whether only usual scripts are admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standardness {
    /// As Core does by default.
    Required,
    /// Whatever is valid by consensus, as Core's `-acceptnonstdtxn` on a test network.
    Waived,
}

/// A fee for a size, compared exactly: 2 for 4 is 1 for 2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    pub(super) fee: u64,
    pub(super) size: u64,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self {
            bytes_max: POOL_BYTES_MAX,
            relay_fee: RELAY_FEE,
            incremental_fee: RELAY_FEE,
            dust_fee: FeeRate::from_sat_per_kvb(3_000),
            data_carrier_bytes_max: 100_000,
            standardness: Standardness::Required,
        }
    }
}

impl FeeRate {
    /// Wraps satoshi a thousand virtual bytes.
    pub const fn from_sat_per_kvb(rate: u64) -> Self {
        Self(rate)
    }

    /// Satoshi a thousand virtual bytes.
    pub const fn sat_per_kvb(self) -> u64 {
        self.0
    }

    /// The fee for a size in virtual bytes, rounded up.
    pub fn fee(self, vsize: u64) -> Amount {
        let fee = (u128::from(self.0) * u128::from(vsize)).div_ceil(1_000);
        Amount::from_sat(u64::try_from(fee).unwrap_or(u64::MAX))
    }

    /// The rate that a fee for a size is, rounded down; no size counts as one byte.
    pub fn of(fee: Amount, vsize: u64) -> Self {
        let rate = u128::from(fee.to_sat()) * 1_000 / u128::from(vsize.max(1));
        Self(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

impl Ratio {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { fee: self.fee.saturating_add(other.fee), size: self.size.saturating_add(other.size) }
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = u128::from(self.fee) * u128::from(other.size.max(1));
        let right = u128::from(other.fee) * u128::from(self.size.max(1));
        left.cmp(&right)
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ratio {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ratio {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fees_are_rounded_up_and_rates_down() {
        let rate = FeeRate::from_sat_per_kvb(1_001);
        assert_eq!(rate.fee(1), Amount::from_sat(2));
        assert_eq!(rate.fee(1_000), Amount::from_sat(1_001));
        assert_eq!(FeeRate::of(Amount::from_sat(2), 3).sat_per_kvb(), 666);
    }

    proptest! {
        #[test]
        fn no_arithmetic_overflows(fee in any::<u64>(), size in any::<u64>(), rate in any::<u64>()) {
            let _ = FeeRate::from_sat_per_kvb(rate).fee(size);
            let _ = FeeRate::of(Amount::from_sat(fee), size);
            let ratio = Ratio { fee, size };
            prop_assert_eq!(ratio, ratio);
            let _ = ratio.plus(Ratio { fee: rate, size: fee });
        }

        #[test]
        fn ratios_order_as_fractions_do(
            left in (0_u32..1_000, 1_u32..1_000),
            right in (0_u32..1_000, 1_u32..1_000),
        ) {
            let ratio = |(fee, size): (u32, u32)| Ratio { fee: fee.into(), size: size.into() };
            let real = |(fee, size): (u32, u32)| f64::from(fee) / f64::from(size);
            let order = real(left).partial_cmp(&real(right)).unwrap();
            prop_assert_eq!(ratio(left).cmp(&ratio(right)), order);
        }
    }
}
