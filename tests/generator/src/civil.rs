//! Times as MySQL's clock in UTC shows them, without a calendar library in the hot path.

const DAY_MS: i64 = 86_400_000;

/// Appends `2026-11-23 08:00:00.123`. Years from 0 to 9999.
pub fn text(out: &mut Vec<u8>, ms: i64) {
    let (year, month, day) = date(ms.div_euclid(DAY_MS));
    let of_day = ms.rem_euclid(DAY_MS);
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, rest) = (of_day / 1_000 % 60, of_day % 1_000);
    let mut shown = *b"0000-00-00 00:00:00.000";
    for (place, width, value) in [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, hours),
        (14, 2, minutes),
        (17, 2, seconds),
        (20, 3, rest),
    ] {
        let mut value = value;
        for digit in shown[place..place + width].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    out.extend_from_slice(&shown);
}

/// Year, month and day of a number of days since 1970-01-01: Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", `civil_from_days`.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_a_calendar_library() {
        let mut dice = crate::dice::Dice::new(1);
        for _ in 0..20_000 {
            let ms = dice.between(-62_000_000_000_000, 200_000_000_000_000);
            let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
            let mut out = Vec::new();
            text(&mut out, ms);
            assert_eq!(String::from_utf8_lossy(&out), at.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string());
        }
    }
}
