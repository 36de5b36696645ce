use super::*;

fn calendar(zone: &str) -> Calendar {
    Calendar::new(TimeZone::get(zone).expect("bundled zone"))
}

fn at(text: &str) -> Micros {
    text.parse::<Timestamp>().expect("timestamp").as_microsecond()
}

#[test]
fn tumbling_windows_are_half_open_and_right_before_1970() {
    assert_eq!(tumbling_start(0, MINUTE), 0);
    assert_eq!(tumbling_start(MINUTE - 1, MINUTE), 0);
    assert_eq!(tumbling_start(MINUTE, MINUTE), MINUTE);
    assert_eq!(tumbling_start(-1, MINUTE), -MINUTE);
    assert_eq!(tumbling_start(-MINUTE, MINUTE), -MINUTE);
}

#[test]
fn a_day_has_23_hours_when_clocks_go_forward_and_25_when_they_go_back() {
    let berlin = calendar("Europe/Berlin");
    let spring = berlin.day(at("2026-03-29T10:00:00Z"));
    assert_eq!(spring, Interval { start: at("2026-03-28T23:00:00Z"), end: at("2026-03-29T22:00:00Z") });
    let autumn = berlin.day(at("2026-10-25T10:00:00Z"));
    assert_eq!(autumn.end - autumn.start, 25 * HOUR);
}

#[test]
fn a_day_begins_after_the_gap_where_midnight_does_not_exist() {
    // Clocks in Beirut go from 0:00 to 1:00.
    let day = calendar("Asia/Beirut").day(at("2026-03-29T10:00:00Z"));
    assert_eq!(day.start, at("2026-03-28T22:00:00Z"));
    assert_eq!(day.end - day.start, 23 * HOUR);
}

/// The first instant of a local day, by another library and another rule than ours.
fn first_instant(date: chrono::NaiveDate, zone: chrono_tz::Tz) -> Micros {
    use chrono::TimeZone as _;
    let midnight = date.and_time(chrono::NaiveTime::MIN);
    let moments = (0..=DAY / SECOND).map(|seconds| midnight + chrono::TimeDelta::seconds(seconds));
    let existing = moments.filter_map(|local| zone.from_local_datetime(&local).earliest());
    existing.map(|first| first.timestamp_micros()).next().expect("no two days in a row are left out")
}

#[test]
fn days_follow_one_another_in_every_zone_as_another_library_has_them() {
    let until = at("2025-01-01T00:00:00Z");
    let mut compared = 0;
    for zone in chrono_tz::TZ_VARIANTS {
        let Ok(ours) = TimeZone::get(zone.name()) else { continue };
        compared += 1;
        let ours = Calendar::new(ours);
        let mut day = ours.day(at("1999-12-31T12:00:00Z"));
        while day.end < until {
            let next = ours.day(day.end);
            let at = chrono::DateTime::from_timestamp_micros(day.end).expect("a time");
            let date = at.with_timezone(&zone).date_naive();
            let after = date.checked_add_days(chrono::Days::new(1)).expect("a day after it");
            let expected = Interval { start: first_instant(date, zone), end: first_instant(after, zone) };
            assert_eq!(next, expected, "{date} in {zone}");
            assert_eq!(next.start, day.end, "{date} in {zone}");
            day = next;
        }
    }
    assert!(compared > 500, "{compared} zones");
}

#[test]
fn the_last_microsecond_of_a_day_still_belongs_to_it() {
    let shanghai = calendar("Asia/Shanghai");
    let day = shanghai.day(at("2026-11-23T16:00:00Z"));
    assert_eq!(shanghai.day(day.end - 1), day);
    assert_eq!(shanghai.day(day.end).start, day.end);
    assert_eq!(shanghai.local_day_number(day.start), shanghai.local_day_number(day.end - 1));
}

#[test]
fn local_day_numbers_count_from_1970_and_go_below_zero() {
    let utc = calendar("UTC");
    assert_eq!(utc.local_day_number(0), 0);
    assert_eq!(utc.local_day_number(-1), -1);
    assert_eq!(utc.local_day_number(at("2026-11-23T00:00:00Z")), 20780);
}

#[test]
fn panes_divide_every_window() {
    use Window::*;
    assert_eq!(pane_length(&[Tumbling(MINUTE), Tumbling(15 * MINUTE), Tumbling(HOUR), Day]), Some(MINUTE));
    assert_eq!(pane_length(&[Sliding { size: 5 * MINUTE, step: 10 * SECOND }]), Some(10 * SECOND));
    assert_eq!(pane_length(&[Day]), Some(15 * MINUTE));
    assert_eq!(pane_length(&[Now]), None);
    assert_eq!(pane_length(&[Tumbling(36 * HOUR)]), Some(18 * HOUR));
    assert_eq!(pane_length(&[Sliding { size: 72 * HOUR, step: 36 * HOUR }]), Some(18 * HOUR));
    assert_eq!(pane_length(&[Tumbling(7 * DAY)]), Some(DAY));
    assert_eq!(pane_length(&[Tumbling(5000 * DAY + HOUR)]), Some(HOUR));
}

#[test]
fn a_window_longer_than_a_day_holds_all_of_each_of_its_panes() {
    let utc = calendar("UTC");
    for hours in 1..200 {
        let window = Window::Tumbling(hours * HOUR);
        let length = pane_length(&[window]).expect("cut by time");
        for time in (-400..400).map(|n| n * 37 * MINUTE) {
            let pane = tumbling_start(time, length);
            assert_eq!(utc.intervals(window, pane), utc.intervals(window, time), "{hours} h");
        }
    }
}

#[test]
fn panes_beside_sessions_are_no_longer_than_the_gap_and_still_divide_every_window() {
    use Window::*;
    let session = |seconds| Session { gap: seconds * SECOND };
    assert_eq!(pane_length(&[session(60)]), Some(MINUTE));
    assert_eq!(pane_length(&[session(60), session(45)]), Some(45 * SECOND));
    assert_eq!(pane_length(&[session(60), Tumbling(HOUR)]), Some(MINUTE));
    assert_eq!(pane_length(&[session(45), Tumbling(MINUTE)]), Some(30 * SECOND));
    assert_eq!(pane_length(&[session(90), Tumbling(MINUTE)]), Some(MINUTE));
    assert_eq!(pane_length(&[Session { gap: 7 }, Day]), Some(6));
    assert_eq!(pane_length(&[session(100 * 3600)]), Some(DAY));
}

#[test]
fn a_sample_counts_in_all_windows_of_a_kind_or_in_none() {
    let utc = calendar("UTC");
    let kinds =
        [Window::Tumbling(MINUTE), Window::Day, Window::Sliding { size: 5 * MINUTE, step: 10 * SECOND }];
    for kind in kinds {
        for time in [-HOUR - 1, 0, 3 * SECOND, HOUR] {
            let start = tumbling_start(time, 10 * SECOND);
            let pane = Interval { start, end: start + 10 * SECOND };
            let last = utc.last_end(kind, pane);
            let ends: Vec<Micros> = utc.intervals(kind, time).iter().map(|i| i.end).collect();
            assert_eq!(ends.iter().max(), Some(&last));
            // Kept so much longer, the earliest window is there as long as the last can be corrected.
            assert!(ends.iter().all(|end| end + overhang(kind, 10 * SECOND) >= last), "{kind:?}");
        }
    }
}

#[test]
fn a_session_is_kept_until_no_sample_that_still_counts_can_join_it() {
    let (gap, pane_length) = (MINUTE, 20 * SECOND);
    let kind = Window::Session { gap };
    let utc = calendar("UTC");
    for last_sample in [-HOUR, 0, 7 * SECOND] {
        // The latest sample that joins, at exactly the gap.
        let joins = last_sample + gap;
        let start = tumbling_start(joins, pane_length);
        let counts_until = utc.last_end(kind, Interval { start, end: start + pane_length });
        assert!(last_sample + gap + overhang(kind, pane_length) >= counts_until);
    }
}

#[test]
fn names_are_short_and_tell_windows_apart() {
    use Window::*;
    let names = [Tumbling(MINUTE), Tumbling(15 * MINUTE), Tumbling(HOUR), Day, Now].map(Window::name);
    assert_eq!(names, ["1m", "15m", "1h", "day", "now"]);
    assert_eq!(Sliding { size: 5 * MINUTE, step: 10 * SECOND }.name(), "5m/10s");
    assert_eq!(Session { gap: MINUTE }.name(), "session-60s");
}

#[test]
fn every_sliding_window_that_holds_a_time_is_given_once_and_no_other() {
    let utc = calendar("UTC");
    let window = Window::Sliding { size: 5 * MINUTE, step: 10 * SECOND };
    for time in [0, 7 * SECOND, 10 * SECOND, -1, HOUR + 3] {
        let given = utc.intervals(window, time);
        assert_eq!(given.len(), 30);
        assert!(
            given.iter().all(|i| i.start <= time && time < i.end && i.start.rem_euclid(10 * SECOND) == 0)
        );
        assert!(given.windows(2).all(|pair| pair[1].start - pair[0].start == 10 * SECOND));
    }
}
