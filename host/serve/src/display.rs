//! Values as people read them, so that the page formats nothing.

use jiff::{Timestamp, tz::TimeZone};
use weir_types::rows::OutputValue;
use weir_types::{Micros, SECOND};

/// What stands for "no value".
const NONE: &str = "–";
/// Between groups of three digits: U+202F, which never breaks a line.
const THIN: char = '\u{202f}';

/// Renders values and times for people, in one time zone.
#[derive(Clone, Debug)]
pub(crate) struct Display {
    zone: TimeZone,
}

impl Display {
    pub fn new(zone: TimeZone) -> Self {
        Display { zone }
    }

    /// A value with its unit: `1 234`, `2m 05s`, `0.873`.
    pub fn value(&self, value: &OutputValue, unit: &str) -> String {
        match value {
            OutputValue::Null => NONE.into(),
            OutputValue::Int(n) if unit == "s" => duration(*n as f64),
            OutputValue::Int(n) if unit == "us" => duration(*n as f64 / SECOND as f64),
            OutputValue::Int(n) => with_unit(grouped(*n), unit),
            OutputValue::Float(x) if unit == "s" => duration(*x),
            OutputValue::Float(x) => with_unit(decimal(*x), unit),
            OutputValue::Bool(b) => if *b { "yes" } else { "no" }.into(),
            OutputValue::Time(t) => self.time(*t),
            OutputValue::Text(text) => text.clone(),
            OutputValue::Ints(ns) => self.list(ns.iter().map(|n| OutputValue::Int(*n)), unit),
            OutputValue::Floats(xs) => self.list(xs.iter().map(|x| OutputValue::Float(*x)), unit),
            OutputValue::Texts(texts) => texts.join(", "),
        }
    }

    fn list(&self, values: impl Iterator<Item = OutputValue>, unit: &str) -> String {
        values.map(|v| self.value(&v, unit)).collect::<Vec<_>>().join(", ")
    }

    /// `2026-11-23 08:15:02`.
    pub fn time(&self, time: Micros) -> String {
        self.format(time, "%Y-%m-%d %H:%M:%S")
    }

    /// `08:15`, for the axis of a chart.
    pub fn minute(&self, time: Micros) -> String {
        self.format(time, "%H:%M")
    }

    /// The window of a row: `08:15 – 08:16`, `2026-11-23`, `now`.
    pub fn window(&self, window: &str, start: Micros, end: Micros) -> String {
        match window {
            "now" => "now".into(),
            "day" => self.format(start, "%Y-%m-%d"),
            _ => {
                let whole = start % (60 * SECOND) == 0 && end % (60 * SECOND) == 0;
                let format = if whole { "%H:%M" } else { "%H:%M:%S" };
                format!("{} – {}", self.format(start, format), self.format(end, format))
            }
        }
    }

    fn format(&self, time: Micros, format: &str) -> String {
        match Timestamp::from_microsecond(time) {
            Ok(timestamp) => timestamp.to_zoned_datetime(self.zone.clone()).strftime(format).to_string(),
            Err(_) => NONE.into(),
        }
    }
}

/// ISO 8601 in UTC; None outside the years −9999 to 9999.
pub(crate) fn iso(time: Micros) -> Option<String> {
    Timestamp::from_microsecond(time).ok().map(|t| t.to_string())
}

fn with_unit(number: String, unit: &str) -> String {
    if unit.is_empty() || unit == "1" || number == NONE { number } else { format!("{number} {unit}") }
}

/// `1 234 567`.
fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    if n < 0 {
        text.push('−');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(THIN);
        }
        text.push(digit);
    }
    text
}

/// Three significant digits; whole numbers from 1000 on.
fn decimal(x: f64) -> String {
    if !x.is_finite() {
        return NONE.into();
    }
    let size = x.abs();
    let text = match size {
        _ if size >= 1e15 => format!("{x:.3e}"),
        _ if size >= 1000.0 => grouped(x.round() as i64),
        _ if size >= 100.0 => format!("{x:.0}"),
        _ if size >= 10.0 => format!("{x:.1}"),
        _ if size >= 1.0 => format!("{x:.2}"),
        _ if size >= 0.001 => format!("{x:.3}"),
        _ if size == 0.0 => "0".into(),
        _ => format!("{x:.2e}"),
    };
    text.replacen('-', "−", 1)
}

/// `340 ms`, `12.3 s`, `2m 05s`, `3h 04m`, `2d 03h`.
fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NONE.into();
    }
    let sign = if seconds < 0.0 { "−" } else { "" };
    let size = seconds.abs();
    let text = if size == 0.0 {
        "0 s".into()
    } else if size < 0.9995 {
        format!("{:.0} ms", size * 1000.0)
    } else if size < 59.95 {
        format!("{size:.1} s")
    } else if size < 3599.5 {
        let whole = size.round() as u64;
        format!("{}m {:02}s", whole / 60, whole % 60)
    } else if size < 86_370.0 {
        let minutes = (size / 60.0).round() as u64;
        format!("{}h {:02}m", minutes / 60, minutes % 60)
    } else {
        let hours = (size / 3600.0).round() as u64;
        format!("{}d {:02}h", hours / 24, hours % 24)
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display() -> Display {
        Display::new(TimeZone::UTC)
    }

    #[test]
    fn integers_are_grouped_by_threes() {
        for (n, text) in
            [(0, "0"), (999, "999"), (1234, "1\u{202f}234"), (-1_000_000, "−1\u{202f}000\u{202f}000")]
        {
            assert_eq!(display().value(&OutputValue::Int(n), "1"), text);
        }
    }

    #[test]
    fn durations_keep_two_units() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.34, "340 ms"),
            (0.9999, "1.0 s"),
            (12.34, "12.3 s"),
            (59.99, "1m 00s"),
            (125.0, "2m 05s"),
            (3599.9, "1h 00m"),
            (11_040.0, "3h 04m"),
            (86_399.0, "1d 00h"),
            (183_600.0, "2d 03h"),
            (-125.0, "−2m 05s"),
        ] {
            assert_eq!(display().value(&OutputValue::Float(seconds), "s"), text);
        }
    }

    #[test]
    fn a_missing_value_is_a_dash_and_never_a_zero() {
        assert_eq!(display().value(&OutputValue::Null, "s"), "–");
        assert_eq!(display().value(&OutputValue::Float(f64::NAN), "1"), "–");
    }

    #[test]
    fn floats_keep_three_digits() {
        for (x, text) in
            [(0.8734, "0.873"), (12.345, "12.3"), (-3.24159, "−3.24"), (12_345.6, "12\u{202f}346")]
        {
            assert_eq!(display().value(&OutputValue::Float(x), "1"), text);
        }
    }

    #[test]
    fn windows_are_labelled_in_the_configured_zone() {
        let minute = 60 * SECOND;
        assert_eq!(display().window("1m", 8 * 60 * minute, (8 * 60 + 1) * minute), "08:00 – 08:01");
        assert_eq!(display().window("day", 0, 24 * 60 * minute), "1970-01-01");
        assert_eq!(display().window("session-5s", SECOND, 9 * SECOND), "00:00:01 – 00:00:09");
        let ahead = Display::new(TimeZone::fixed(jiff::tz::offset(2)));
        assert_eq!(ahead.window("1m", 0, minute), "02:00 – 02:01");
    }
}
