//! How wallets' answers look to a person.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use payments::journal::Direction;
use payments::journal::Payment;
use payments::journal::State;
use qrcode::EcLevel;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// Seconds of a minute, an hour and a day.
const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];

/// One payment as one line.
pub(super) fn payment(payment: &Payment) -> String {
    let way = match payment.direction {
        Direction::Outbound => "to",
        Direction::Inbound => "from",
    };
    let state = match payment.state {
        State::Sending => "sending, stay online".to_owned(),
        State::Held => format!("held, safe to go offline{}", claim_by(payment)),
        State::Claimed => {
            let fee = payment.fee_msat.map(|fee| format!(", fee {fee}")).unwrap_or_default();
            format!("claimed{fee}")
        }
        State::Returned => "returned: nobody claimed it in time, the money is back".to_owned(),
        State::Received => "received".to_owned(),
        State::Failed => {
            let why = payment.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("failed{why}")
        }
    };
    let name = payment.payment_id.get(..16).unwrap_or(&payment.payment_id);
    format!("{name}  {:>16}  {way:<4}  {state}", payment.amount_msat.to_string())
}

fn claim_by(payment: &Payment) -> String {
    let Some(claim_by) = payment.claim_by else { return String::new() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let left = span(claim_by.about_unix_s.saturating_sub(now));
    let date = date(claim_by.about_unix_s);
    format!(", claim by height {}, about {date} UTC (in {left})", claim_by.height)
}

/// A length of time in its largest unit.
fn span(seconds: u64) -> String {
    let unit = UNITS.iter().find(|(length, _)| seconds >= *length);
    unit.map_or_else(
        || format!("{seconds} s"),
        |(length, name)| format!("{} {name}", seconds / length),
    )
}

/// A point in time as a calendar has it: Howard Hinnant, "chrono-compatible low-level date algorithms".
fn date(unix_s: u64) -> String {
    let (days, rest) = (unix_s / 86_400, unix_s % 86_400);
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    format!("{year:04}-{month:02}-{date:02} {:02}:{:02}", rest / 3_600, rest / 60 % 60)
}

/// A code that a telephone reads from the terminal; none when the text is too long for one.
pub(super) fn code(text: &str) -> Option<String> {
    // Capitals take half the room, and offers and invoices are the same in capitals.
    let code = QrCode::with_error_correction_level(text.to_uppercase(), EcLevel::L).ok()?;
    Some(code.render::<Dense1x2>().quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(date(1_767_225_599), "2025-12-31 23:59");
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        assert_eq!(span(59), "59 s");
        assert_eq!(span(420), "7 min");
        assert_eq!(span(25_200), "7 h");
        assert_eq!(span(604_800), "7 d");
    }

    #[test]
    fn an_offer_becomes_a_code() {
        assert!(code(&"lno1".repeat(100)).is_some());
    }
}
