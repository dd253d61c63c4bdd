//! Amounts and times as people write them: `5000sat`, `0.01btc`, `10s`, `30m`.
//!
//! Both are read exactly, digit by digit: no floating point touches money. A bare number is refused,
//! because nobody can see what it counts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bitcoin::Amount;
use bitcoin::Denomination;

/// A length of time with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(Duration);

/// An amount of money with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Money(Amount);

/// Why a text is no amount or time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitError {
    /// There is no unit, or an unknown one.
    #[error("`{text}` has no known unit: write one of {units}, for example {example}")]
    Unit { text: String, units: &'static str, example: &'static str },
    /// The number in front of the unit is none.
    #[error("`{text}` does not start with a whole or decimal number")]
    Number { text: String },
    /// The value is larger than can be counted, or finer than its smallest unit.
    #[error("`{text}` is out of range or finer than {smallest}")]
    Range { text: String, smallest: &'static str },
}

const TIME_UNITS: [(&str, u32); 5] = [("ms", 0), ("s", 1), ("m", 2), ("h", 3), ("d", 4)];
const TIME_MILLIS: [u64; 5] = [1, 1_000, 60_000, 3_600_000, 86_400_000];

impl Time {
    /// The length as the standard library holds it.
    pub(crate) const fn duration(self) -> Duration {
        self.0
    }

    /// The length in milliseconds.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Money {
    /// The amount.
    pub(crate) const fn amount(self) -> Amount {
        self.0
    }
}

impl FromStr for Time {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split(text);
        let unit = TIME_UNITS.iter().zip(TIME_MILLIS).find(|((name, _), _)| *name == unit);
        let Some((_, unit_millis)) = unit else {
            return Err(UnitError::Unit {
                text: text.to_owned(),
                units: "ms, s, m, h, d",
                example: "10s",
            });
        };
        let range = || UnitError::Range { text: text.to_owned(), smallest: "a millisecond" };
        let (whole, fraction) =
            digits(number).ok_or(UnitError::Number { text: text.to_owned() })?;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| range())? };
        let mut millis = whole.checked_mul(unit_millis).ok_or_else(range)?;
        let mut place = unit_millis;
        for digit in fraction.bytes() {
            let digit = u64::from(digit - b'0');
            if digit != 0 && (place < 10 || place % 10 != 0) {
                return Err(range());
            }
            place /= 10;
            millis = millis.checked_add(place * digit).ok_or_else(range)?;
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl FromStr for Money {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split(text);
        let denomination = match unit.to_ascii_lowercase().as_str() {
            "sat" | "sats" => Denomination::Satoshi,
            "btc" => Denomination::Bitcoin,
            _ => {
                return Err(UnitError::Unit {
                    text: text.to_owned(),
                    units: "sat, btc",
                    example: "5000sat or 0.01btc",
                });
            }
        };
        digits(number).ok_or(UnitError::Number { text: text.to_owned() })?;
        Amount::from_str_in(number, denomination)
            .map(Self)
            .map_err(|_| UnitError::Range { text: text.to_owned(), smallest: "a satoshi" })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.millis();
        let place =
            TIME_MILLIS.iter().rposition(|unit| millis.is_multiple_of(*unit) && millis >= *unit);
        let place = place.unwrap_or(0);
        write!(formatter, "{}{}", millis / TIME_MILLIS[place], TIME_UNITS[place].0)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", money(self.0))
    }
}

/// An amount in the unit that reads best.
pub(crate) fn money(amount: Amount) -> String {
    if amount.to_sat() >= 1_000_000 {
        let text = amount.to_string_in(Denomination::Bitcoin);
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        format!("{text} BTC")
    } else {
        format!("{} sat", amount.to_sat())
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    (text[..end].trim_end(), &text[end..])
}

/// The digits before and after the point, or none when the text is no plain decimal number.
fn digits(number: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let some = !whole.is_empty() || !fraction.is_empty();
    (some && plain(whole) && plain(fraction)).then_some((whole, fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Result<u64, UnitError> {
        text.parse::<Time>().map(Time::millis)
    }

    fn sat(text: &str) -> Result<u64, UnitError> {
        text.parse::<Money>().map(|money| money.amount().to_sat())
    }

    #[test]
    fn times_are_read_exactly() {
        let rows = [("10s", 10_000), ("30m", 1_800_000), ("250ms", 250), ("1.5s", 1_500)];
        for (text, millis) in rows.into_iter().chain([("2h", 7_200_000), ("0.25d", 21_600_000)]) {
            assert_eq!(time(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn amounts_are_read_exactly() {
        let rows = [("5000sat", 5_000), ("0.01btc", 1_000_000), ("21 BTC", 2_100_000_000)];
        for (text, amount) in rows {
            assert_eq!(sat(text), Ok(amount), "{text}");
        }
    }

    #[test]
    fn what_has_no_unit_or_number_is_refused_with_advice() {
        for text in ["10", "", "s", "1x", "-5s", "1e3s", "0.0001ms", "99999999999999999999s"] {
            assert!(time(text).is_err(), "{text}");
        }
        for text in ["10", "", "btc", "-1btc", "0.5sat", "1e3sat", "21000000000000btc"] {
            assert!(sat(text).is_err(), "{text}");
        }
        assert!(sat("10").unwrap_err().to_string().contains("5000sat"));
    }

    #[test]
    fn values_are_shown_in_the_unit_that_reads_best() {
        for text in ["10s", "30m", "250ms", "90s", "2h"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
        assert_eq!("0.05btc".parse::<Money>().unwrap().to_string(), "0.05 BTC");
        assert_eq!("1btc".parse::<Money>().unwrap().to_string(), "1 BTC");
        assert_eq!("999sat".parse::<Money>().unwrap().to_string(), "999 sat");
    }
}
