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

/// What the source's own clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// `0000-00-00`, which stands for no date at all.
    Zero,
    /// Microseconds since 1970-01-01 00:00 on that clock.
    At(Micros),
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction]` followed by `Z`, `±HH:MM`, `±HHMM` or `±HH`. The fraction is cut
/// to microseconds. A text without offset is no point in time.
pub(crate) fn from_iso(text: &[u8]) -> Option<Micros> {
    let (local, rest) = date_and_time(text)?;
    Some(local - offset(rest)?)
}

/// `YYYY-MM-DD HH:MM:SS[.fraction]`. A `Z` at its end says nothing: Debezium writes one after clock
/// readings of any zone.
pub(crate) fn datetime(text: &[u8]) -> Option<Shown> {
    if let Some(rest) = text.strip_prefix(b"0000-00-00") {
        let is_zero = matches!(rest, [b' ' | b'T', time @ ..] if duration(time) == Some(0));
        return is_zero.then_some(Shown::Zero);
    }
    match date_and_time(text)? {
        (local, [] | [b'Z']) => Some(Shown::At(local)),
        _ => None,
    }
}

/// `YYYY-MM-DD`, with a `Z` that says nothing or without.
pub(crate) fn date(text: &[u8]) -> Option<Shown> {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    if text == b"0000-00-00" {
        return Some(Shown::Zero);
    }
    let days = if text.len() == 10 { days(text)? } else { return None };
    Some(Shown::At(days * DAY))
}

/// `[-]HH:MM:SS[.fraction]`, hours of any number of digits up to 6; a `Z` at its end says nothing.
pub(crate) fn duration(text: &[u8]) -> Option<Micros> {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    let (sign, text) = match text.strip_prefix(b"-") {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let colon = text.iter().position(|c| *c == b':').filter(|at| (1..=6).contains(at))?;
    let (minutes, rest) = minutes_and_seconds(&text[colon..])?;
    let hours = digits(&text[..colon])?;
    rest.is_empty().then_some(sign * (hours * HOUR + minutes))
}

/// A date, `T` or a space, and a time of day; what follows them.
fn date_and_time(text: &[u8]) -> Option<(Micros, &[u8])> {
    let [b'T' | b't' | b' ', time @ ..] = text.get(10..)? else { return None };
    let hours = digits(time.get(..2)?).filter(|h| *h < 24)?;
    let (minutes, rest) = minutes_and_seconds(&time[2..])?;
    Some((days(text)? * DAY + hours * HOUR + minutes, rest))
}

/// Days since 1970-01-01 of the date with which `text` begins.
fn days(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') {
        return None;
    }
    days_since_epoch(number(0, 4)?, number(5, 7)?, number(8, 10)?)
}

/// `:MM:SS[.fraction]`, and what follows it.
fn minutes_and_seconds(text: &[u8]) -> Option<(Micros, &[u8])> {
    let [b':', a, b, b':', c, d, rest @ ..] = text else { return None };
    let mut rest = rest;
    let (minutes, seconds) = (digits(&[*a, *b])?, digits(&[*c, *d])?);
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let mut micros = 0;
    if let [b'.' | b',', after @ ..] = rest {
        let end = after.iter().position(|c| !c.is_ascii_digit()).unwrap_or(after.len());
        let (fraction, behind) = after.split_at(end);
        if fraction.is_empty() {
            return None;
        }
        for i in 0..6 {
            micros = micros * 10 + fraction.get(i).map_or(0, |c| i64::from(c - b'0'));
        }
        rest = behind;
    }
    Some((minutes * MINUTE + seconds * SECOND + micros, rest))
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
