//! Durations as people write them.

use crate::{DAY, HOUR, MINUTE, Micros, SECOND};

/// The microseconds of `500ms`, `15m`, `8d`, or of several added (`1h30m`). Units are us, ms, s, m (or
/// min), h and d; a number without one is no duration.
pub fn parse(text: &str) -> Option<Micros> {
    let mut rest = text.trim();
    let mut total: Micros = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: Micros = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "us" => 1,
            "ms" => 1_000,
            "s" => SECOND,
            "m" | "min" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = rest[letters..].trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units() {
        assert_eq!(parse("1s"), Some(SECOND));
        assert_eq!(parse("250ms"), Some(250_000));
        assert_eq!(parse("1h30m"), Some(90 * MINUTE));
        assert_eq!(parse("8d"), Some(8 * DAY));
        assert_eq!(parse("0s"), Some(0));
        for wrong in ["", "5", "s", "5 weeks", "-1s", "1.5h", "99999999999999d"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
