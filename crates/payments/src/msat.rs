//! Thousandths of a satoshi, the unit that Lightning counts in, as people write and read them.
//!
//! Both ways are exact, digit by digit: no floating point touches money. A bare number is refused,
//! because nobody can see what it counts.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// The units, each with how many zeros it puts behind a number of them.
const UNITS: [(&str, u32); 4] = [("msat", 0), ("sat", 3), ("sats", 3), ("btc", 11)];
/// How many thousandths a satoshi has.
const SAT: u64 = 1_000;
/// More money than there is.
const MSAT_MAX: u64 = 21_000_000 * 100_000_000 * SAT;

/// An amount in thousandths of a satoshi.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Msat(u64);

/// Why a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MsatError {
    /// There is no unit, or an unknown one.
    #[error("`{text}` has no known unit: write one of msat, sat, btc, for example 5000sat")]
    Unit {
        /// What was given.
        text: String,
    },
    /// The number in front of the unit is none.
    #[error("`{text}` does not start with a whole or decimal number")]
    Number {
        /// What was given.
        text: String,
    },
    /// The amount is larger than all money, or finer than a thousandth of a satoshi.
    #[error("`{text}` is out of range or finer than a thousandth of a satoshi")]
    Range {
        /// What was given.
        text: String,
    },
}

impl Msat {
    /// So many thousandths of a satoshi.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// So many satoshis; none when that is more than can be counted.
    pub const fn from_sat(sat: u64) -> Option<Self> {
        match sat.checked_mul(SAT) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number of thousandths.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The whole satoshis in it.
    pub const fn floor_sat(self) -> u64 {
        self.0 / SAT
    }

    /// The satoshis, when it is a whole number of them.
    pub const fn whole_sat(self) -> Option<u64> {
        if self.0.is_multiple_of(SAT) { Some(self.0 / SAT) } else { None }
    }

    /// The sum, or the most that can be counted.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl FromStr for Msat {
    type Err = MsatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let owned = || text.to_owned();
        let trimmed = text.trim();
        let end = trimmed.find(|letter: char| letter.is_ascii_alphabetic());
        let (number, unit) = trimmed.split_at(end.unwrap_or(trimmed.len()));
        let unit = unit.to_ascii_lowercase();
        let (_, zeros) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or(MsatError::Unit { text: owned() })?;
        let number = number.trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !plain(whole) || !plain(fraction) {
            return Err(MsatError::Number { text: owned() });
        }
        let range = || MsatError::Range { text: owned() };
        let zeros = usize::try_from(*zeros).unwrap_or(usize::MAX);
        let significant = fraction.trim_end_matches('0');
        let missing = zeros.checked_sub(significant.len()).ok_or_else(range)?;
        let digits = format!("{whole}{significant}{}", "0".repeat(missing));
        let value: u64 = digits.parse().map_err(|_| range())?;
        if value > MSAT_MAX { Err(range()) } else { Ok(Self(value)) }
    }
}

impl fmt::Display for Msat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sat, rest) = (self.0 / SAT, self.0 % SAT);
        if rest == 0 {
            write!(formatter, "{sat} sat")
        } else {
            let fraction = format!("{rest:03}");
            write!(formatter, "{sat}.{} sat", fraction.trim_end_matches('0'))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        let rows = [
            ("5000sat", 5_000_000),
            ("0.01btc", 1_000_000_000),
            ("250msat", 250),
            ("1.5 sat", 1_500),
            ("0.00000000001btc", 1),
            ("1BTC", 100_000_000_000),
        ];
        for (text, msat) in rows {
            assert_eq!(text.parse(), Ok(Msat(msat)), "{text}");
        }
    }

    #[test]
    fn what_has_no_unit_or_number_is_refused() {
        for text in ["10", "", "sat", "-1sat", "1e3sat", "0.5msat", "1x", "22000000btc", "1..2sat"]
        {
            assert!(text.parse::<Msat>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(value in 0..MSAT_MAX) {
            prop_assert_eq!(Msat(value).to_string().parse(), Ok(Msat(value)));
        }
    }
}
