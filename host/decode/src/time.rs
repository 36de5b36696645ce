//! Times as they stand in records → microseconds since the Unix epoch.

use weir_types::schema::TimeUnit;
use weir_types::{DAY, HOUR, MINUTE, Micros, SECOND};

/// A count of `unit` since the Unix epoch; None where it leaves the range of [`Micros`].
#[inline(always)]
pub(crate) fn from_count(count: i64, unit: TimeUnit) -> Option<Micros> {
    match unit {
        TimeUnit::S => count.checked_mul(SECOND),
        TimeUnit::Ms => count.checked_mul(1_000),
        TimeUnit::Us => Some(count),
        TimeUnit::Ns => Some(count.div_euclid(1_000)),
        TimeUnit::Iso => None,
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction]` followed by `Z`, `±HH:MM`, `±HHMM` or `±HH`. The fraction is cut
/// to microseconds. A text without offset is no point in time.
pub(crate) fn from_iso(text: &[u8]) -> Option<Micros> {
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let is = |at: usize, what: &[u8]| text.get(at).is_some_and(|c| what.contains(c));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let days = days_since_epoch(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut at = 19;
    let mut micros = 0;
    if is(at, b".,") {
        let end = text.iter().skip(at + 1).position(|c| !c.is_ascii_digit())? + at + 1;
        let fraction = &text[at + 1..end];
        if fraction.is_empty() {
            return None;
        }
        for i in 0..6 {
            micros = micros * 10 + fraction.get(i).map_or(0, |c| i64::from(c - b'0'));
        }
        at = end;
    }
    let local = days * DAY + hour * HOUR + minute * MINUTE + second * SECOND + micros;
    Some(local - offset(text.get(at..)?)?)
}

fn offset(text: &[u8]) -> Option<Micros> {
    let (sign, rest) = match text.split_first()? {
        (b'Z' | b'z', []) => return Some(0),
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [a, b] => ([*a, *b], [b'0', b'0']),
        [a, b, c, d] | [a, b, b':', c, d] => ([*a, *b], [*c, *d]),
        _ => return None,
    };
    let (hours, minutes) = (digits(&hours)?, digits(&minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * HOUR + minutes * MINUTE))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; None if there is no such day.
fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the leap day is a year's last.
    let shifted = if month < 3 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leaps = shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400);
    // 719 468 days lie between 0000-03-01 and 1970-01-01.
    Some(shifted * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jiff(text: &str) -> Option<i64> {
        text.parse::<jiff::Timestamp>().ok().map(|t| t.as_nanosecond().div_euclid(1000) as i64)
    }

    #[test]
    fn iso_texts_of_debezium_are_read() {
        let eight = 1_795_420_800_000_000;
        assert_eq!(from_iso(b"2026-11-23T08:00:00Z"), Some(eight));
        assert_eq!(from_iso(b"2026-11-23T08:00:00.123Z"), Some(eight + 123_000));
        assert_eq!(from_iso(b"2026-11-23T08:00:00.123456789Z"), Some(eight + 123_456));
        assert_eq!(from_iso(b"2026-11-23T16:00:00+08:00"), Some(eight));
        assert_eq!(from_iso(b"2026-11-23T02:30:00-0530"), Some(eight));
        assert_eq!(from_iso(b"1969-12-31T23:59:59.999Z"), Some(-1_000));
        assert_eq!(from_iso(b"2024-02-29T00:00:00Z"), jiff("2024-02-29T00:00:00Z"));
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23Z",
            "08:00:00.123Z",
            "2026-11-23T08:00:00",
            "2026-11-23T08:00:00.Z",
            "2026-02-29T08:00:00Z",
            "2026-13-01T08:00:00Z",
            "2026-00-01T08:00:00Z",
            "2026-11-31T08:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T08:60:00Z",
            "2026-11-23T08:00:61Z",
            "2026-11-23T08:00:00Zx",
            "2026-11-23T08:00:00+8",
            "2026-11-23T08:00:00+99:00",
            "2026-11-23T08:00:00.5",
            "hello",
        ] {
            assert_eq!(from_iso(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn counts_are_taken_in_their_unit_and_overflow_does_not_fit() {
        assert_eq!(from_count(-1, TimeUnit::Ms), Some(-1_000));
        assert_eq!(from_count(-1, TimeUnit::Ns), Some(-1));
        assert_eq!(from_count(1_999, TimeUnit::Ns), Some(1));
        assert_eq!(from_count(i64::MAX, TimeUnit::Us), Some(i64::MAX));
        assert_eq!(from_count(i64::MAX / 1_000 + 1, TimeUnit::Ms), None);
        assert_eq!(from_count(i64::MIN / 1_000_000 - 1, TimeUnit::S), None);
    }

    proptest! {
        #[test]
        fn iso_agrees_with_jiff(micros in -62_135_596_800_000_000i64..253_402_000_000_000_000) {
            let time = jiff::Timestamp::from_microsecond(micros).expect("in range");
            prop_assert_eq!(from_iso(time.to_string().as_bytes()), Some(micros));
        }
        #[test]
        fn any_text_is_read_as_jiff_reads_it_or_refused(text in "[12][09][0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])") {
            prop_assert_eq!(from_iso(text.as_bytes()), jiff(&text));
        }
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = from_iso(&bytes);
        }
    }
}
