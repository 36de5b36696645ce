#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

/// Minute by minute: borders lie on whole minutes, so a minute counts wholly or not.
fn slow(days: &[usize], opens: i64, closes: i64, offset: i64, from: i64, to: i64) -> i64 {
    if to < from {
        return -slow(days, opens, closes, offset, to, from);
    }
    let mut sum = 0;
    let mut minute = from.div_euclid(MINUTE) * MINUTE;
    while minute < to {
        let local = minute + offset;
        // 1970-01-01, day 0, is a Thursday, number 3 from Monday.
        let weekday = (local.div_euclid(DAY) + 3).rem_euclid(7) as usize;
        let in_day = local.rem_euclid(DAY);
        if days.contains(&weekday) && opens <= in_day && in_day < closes {
            sum += to.min(minute + MINUTE) - from.max(minute);
        }
        minute += MINUTE;
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn it_agrees_with_counting_minute_by_minute(
        from in -20 * DAY..20_500 * DAY, length in -9 * DAY..9 * DAY,
        opens in 0i64..1440, long in 1i64..1440, offset in -840i64..=840, days in 1u8..128,
    ) {
        let closes = (opens + long).min(1440);
        let names: Vec<&str> = (0..7).filter(|d| days >> d & 1 == 1).map(|d| DAYS[d]).collect();
        let numbers: Vec<usize> = (0..7).filter(|d| days >> d & 1 == 1).collect();
        let sign = if offset < 0 { '-' } else { '+' };
        let text = format!("{} {:02}:{:02}-{:02}:{:02} {sign}{:02}:{:02}", names.join(","),
            opens / 60, opens % 60, closes / 60, closes % 60, offset.abs() / 60, offset.abs() % 60);
        let hours: BusinessHours = text.parse().unwrap();
        let to = from + length;
        let due = slow(&numbers, opens * MINUTE, closes * MINUTE, offset * MINUTE, from, to);
        prop_assert_eq!(hours.between(Time(from), Time(to)).0, due);
        prop_assert_eq!(hours.between(Time(to), Time(from)).0, -due);
    }
}

fn at(days_since_monday: i64, hour: i64) -> Time {
    // 2026-11-23 is a Monday: day 20780 since 1970.
    Time((20_780 + days_since_monday) * DAY + hour * 60 * MINUTE)
}

#[test]
fn a_night_and_a_weekend_do_not_count() {
    let hours: BusinessHours = "Mon-Fri 09:00-18:00 UTC".parse().unwrap();
    assert_eq!(hours.between(at(0, 17), at(1, 10)), Span::hours(2));
    assert_eq!(hours.between(at(4, 17), at(7, 10)), Span::hours(2));
    assert_eq!(hours.between(at(5, 0), at(7, 0)), Span(0));
    assert_eq!(hours.between(at(0, 0), at(7, 0)), Span::hours(45));
}

#[test]
fn an_offset_moves_the_hours() {
    let hours: BusinessHours = "Mon-Fri 09:00-18:00 +08:00".parse().unwrap();
    assert_eq!(hours.between(at(0, 0), at(0, 2)), Span::hours(1));
}

#[test]
fn a_range_of_days_may_go_over_the_weeks_end() {
    let hours: BusinessHours = "Sat-Mon 00:00-24:00 UTC".parse().unwrap();
    assert_eq!(hours.between(at(0, 0), at(7, 0)), Span::hours(72));
}

#[test]
fn text_that_cannot_be_read_says_how_to_write_it() {
    for text in [
        "",
        "Mon-Fri 09:00-18:00",
        "Moo 09:00-18:00 UTC",
        "Mon 9-18 UTC",
        "Mon 18:00-09:00 UTC",
        "Mon 09:60-18:00 UTC",
        "Mon 09:00-24:01 UTC",
        "Mon 09:00-18:00 CET",
        "Mon 09:00-18:00 +1",
    ] {
        assert!(text.parse::<BusinessHours>().is_err(), "{text}");
    }
}

#[test]
fn the_ends_of_time_do_not_trap() {
    let hours: BusinessHours = "Mon-Sun 00:00-24:00 -12:00".parse().unwrap();
    assert!(hours.between(Time(i64::MIN), Time(i64::MAX)).0 > 0);
}
