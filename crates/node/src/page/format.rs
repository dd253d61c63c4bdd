//! How values look to a reader.

use bitcoin::Amount;
use maud::Markup;
use maud::html;
use types::TimestampMs;

/// A number with thin spaces between its thousands.
pub(crate) fn grouped(value: impl Into<u128>) -> String {
    let digits = value.into().to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A length with thin spaces between its thousands.
pub(crate) fn grouped_length(value: usize) -> String {
    grouped(u64::try_from(value).unwrap_or(u64::MAX))
}

/// An amount in bitcoin with all its digits, so that columns of them line up.
pub(crate) fn amount(value: Amount) -> Markup {
    let sat = value.to_sat();
    let (whole, rest) = (sat / 100_000_000, sat % 100_000_000);
    html! { (grouped(whole)) "." (format!("{rest:08}")) " " span.unit { "BTC" } }
}

/// The first and the last characters of a long identifier, enough to tell it from others.
pub(crate) fn shortened(text: &str) -> String {
    const KEPT: usize = 8;
    if text.is_ascii() && text.len() > 2 * KEPT + 3 {
        format!("{}…{}", &text[..KEPT], &text[text.len() - KEPT..])
    } else {
        text.to_owned()
    }
}

/// A point in time, in UTC, to the second.
pub(crate) fn time(time: TimestampMs) -> Markup {
    let seconds = time.value() / 1_000;
    let (date, clock) = (date(seconds / 86_400), seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", clock / 3_600, clock / 60 % 60, clock % 60);
    html! { time datetime={ (date) "T" (clock) "Z" } { (date) " " (clock) " UTC" } }
}

/// How long ago something was, in the largest unit that fits.
pub(crate) fn age(now: TimestampMs, then: TimestampMs) -> String {
    let millis = now.value().saturating_sub(then.value());
    if millis < 1_000 { "just now".to_owned() } else { format!("{} ago", lasted(millis)) }
}

/// How long something lasted, in the largest unit that fits.
pub(crate) fn lasted(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (count, unit) = match seconds {
        0..=119 => (seconds, "s"),
        120..=7_199 => (seconds / 60, "min"),
        7_200..=172_799 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{} {unit}", grouped(count))
}

/// A count with its noun.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped_length(count), if count == 1 { one } else { many })
}

// The civil calendar from days since 1970-01-01: Howard Hinnant, "chrono-compatible low-level date
// algorithms", civil_from_days, for days that are not negative.
fn date(days: u64) -> String {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        let rows = [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_254, "2025-06-15"),
            (24_105, "2035-12-31"),
        ];
        for (days, expected) in rows {
            assert_eq!(date(days), expected);
        }
        let text = time(TimestampMs::new(1_750_000_000_000)).into_string();
        assert!(text.contains("2025-06-15 15:06:40 UTC"), "{text}");
        // The largest time there is does not overflow.
        time(TimestampMs::MAX);
    }

    #[test]
    fn numbers_are_grouped_from_the_right() {
        let rows = [(0_u64, "0"), (999, "999"), (1_000, "1 000"), (1_234_567, "1 234 567")];
        for (value, expected) in rows {
            assert_eq!(grouped(value).replace('\u{202f}', " "), expected);
        }
    }

    #[test]
    fn amounts_keep_all_their_digits() {
        let text = amount(Amount::from_sat(123_456_789_012)).into_string();
        assert!(text.starts_with("1\u{202f}234.56789012 "), "{text}");
    }

    #[test]
    fn ages_use_the_largest_unit_that_fits() {
        let age = |seconds: u64| age(TimestampMs::new(seconds * 1_000), TimestampMs::ZERO);
        let rows = [(0, "just now"), (5, "5 s ago"), (180, "3 min ago"), (7_200, "2 h ago")];
        for (seconds, expected) in rows {
            assert_eq!(age(seconds), expected);
        }
        assert_eq!(super::age(TimestampMs::ZERO, TimestampMs::new(1)), "just now");
    }
}
