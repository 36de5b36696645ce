#![allow(clippy::unwrap_used)]
use super::*;
use crate::acc::{Named, of};
use crate::laws;
use crate::raw::ValueType;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000_000;

fn ages() -> AgeBuckets<3> {
    let border = Span::hours;
    AgeBuckets { under: [("fresh", border(1)), ("aging", border(8)), ("old", border(24))], over: "ancient" }
}

/// The integers that an accumulator gives over these samples; None = null.
fn evaluated<V: Copy, A: Accumulator<V>>(acc: &A, samples: &[(V, i64)], now: i64) -> Vec<Option<i64>> {
    let mut state = A::State::default();
    for (value, weight) in samples {
        let sample = Weighed { weight: *weight, time: Time(0), until: Time(0) };
        acc.add(&mut state, sample, *value);
    }
    let mut out = OutputsWriter::new(acc.outputs("us"), 1);
    acc.evaluate(&state, At { now: Time(now), ..At::default() }, &mut out);
    out.end_slot();
    let read = |column: &crate::raw::Column| {
        let value = i64::from_le_bytes(column.values[..8].try_into().unwrap());
        column.validity.is_empty().then_some(value)
    };
    out.finish().unwrap().columns.iter().map(read).collect()
}

fn counts(samples: &[Time], now: i64) -> Vec<i64> {
    let samples: Vec<(Time, i64)> = samples.iter().map(|time| (*time, 1)).collect();
    evaluated(&ages(), &samples, now).into_iter().flatten().collect()
}

#[test]
fn a_bucket_holds_its_lower_border_and_not_its_upper_one() {
    let now = 100 * HOUR;
    let born = |age: i64| [Time(now - age)];
    assert_eq!(counts(&born(HOUR - 1), now), [1, 0, 0, 0]);
    assert_eq!(counts(&born(HOUR), now), [0, 1, 0, 0]);
    assert_eq!(counts(&born(8 * HOUR - 1), now), [0, 1, 0, 0]);
    assert_eq!(counts(&born(8 * HOUR), now), [0, 0, 1, 0]);
    assert_eq!(counts(&born(24 * HOUR), now), [0, 0, 0, 1]);
    assert_eq!(counts(&[], now), [0, 0, 0, 0]);
}

#[test]
fn a_negative_age_is_in_the_first_bucket() {
    assert_eq!(counts(&[Time(5), Time(i64::MAX)], 4), [2, 0, 0, 0]);
    assert_eq!(counts(&[Time(i64::MIN), Time(i64::MAX)], i64::MAX), [1, 0, 0, 1]);
    assert_eq!(counts(&[Time(i64::MIN), Time(i64::MAX)], i64::MIN), [2, 0, 0, 0]);
}

#[test]
fn a_border_that_does_not_ascend_makes_an_empty_bucket() {
    let buckets = AgeBuckets { under: [("a", Span(10)), ("b", Span(5)), ("c", Span(20))], over: "d" };
    let samples: Vec<(Time, i64)> = (0..30).map(|age| (Time(100 - age), 1)).collect();
    assert_eq!(evaluated(&buckets, &samples, 100), [Some(10), Some(0), Some(10), Some(10)]);
}

#[test]
fn buckets_say_which_ages_they_hold() {
    let outputs = ages().outputs("s");
    let texts: Vec<(&str, &str, bool)> =
        outputs.iter().map(|o| (o.name.as_str(), o.description.as_str(), o.nullable)).collect();
    assert_eq!(
        texts,
        [
            ("fresh", "Age below 1 h.", false),
            ("aging", "Age from 1 h to below 8 h.", false),
            ("old", "Age from 8 h to below 1 d.", false),
            ("ancient", "Age of 1 d or more.", false),
        ]
    );
    assert_eq!(
        [90_000_000, 1_500_000, 120_000_000].map(|us| length(Span(us))),
        ["90 s", "1500000 us", "2 min"]
    );
}

#[test]
fn a_deadline_is_past_one_microsecond_after_it() {
    let overdue = |now| evaluated(&Overdue, &[(Time(1_000), 3)], now)[0];
    assert_eq!([999, 1_000, 1_001].map(overdue), [Some(0), Some(0), Some(3)]);
    assert_eq!(evaluated(&Overdue, &[(Time(i64::MIN), 1)], i64::MIN), [Some(0)]);
}

#[test]
fn a_deadline_is_near_from_its_threshold_on_until_it_is_reached() {
    let near = |now| evaluated(&DueWithin, &[((Time(1_000), Span(100)), 2)], now)[0];
    // now + 100 = due is not near yet; now = due still is.
    assert_eq!([899, 900, 901, 1_000, 1_001].map(near), [Some(0), Some(0), Some(2), Some(2), Some(0)]);
    let never = [((Time(1_000), Span(0)), 1), ((Time(1_000), Span(-5)), 1)];
    assert_eq!(evaluated(&DueWithin, &never, 1_000), [Some(0)]);
    let always = [((Time(i64::MAX), Span(i64::MAX)), 1)];
    assert_eq!(evaluated(&DueWithin, &always, i64::MAX), [Some(1)]);
}

#[test]
fn each_row_has_a_threshold_of_its_own() {
    let rows = [((Time(1_000), Span(100)), 1), ((Time(1_000), Span(500)), 1), ((Time(700), Span(100)), 1)];
    assert_eq!(evaluated(&DueWithin, &rows, 600), [Some(1)]);
    assert_eq!(evaluated(&DueWithin, &rows, 650), [Some(2)]);
    assert_eq!(evaluated(&DueWithin, &rows, 950), [Some(2)]);
}

#[test]
fn the_least_and_greatest_come_back_when_another_goes() {
    let mut rows = vec![(Time(30), 1), (Time(10), 1), (Time(20), 2)];
    let both = (Named("oldest_at", "The oldest.", Least), Greatest);
    assert_eq!(evaluated(&both, &rows, 0), [Some(10), Some(30)]);
    rows.extend([(Time(10), -1), (Time(30), -1), (Time(20), -1)]);
    assert_eq!(evaluated(&both, &rows, 0), [Some(20), Some(20)]);
    rows.push((Time(20), -1));
    assert_eq!(evaluated(&both, &rows, 0), [None, None]);
    let outputs = Accumulator::<Time>::outputs(&both, "us");
    let shown: Vec<_> = outputs.iter().map(|o| (o.name.as_str(), o.value_type, o.nullable)).collect();
    assert_eq!(shown, [("oldest_at", ValueType::Time, true), ("greatest", ValueType::Time, true)]);
}

/// Times around the clock at which the laws evaluate, the borders and the ends of the range.
fn times() -> Vec<Time> {
    let clock = 90_000_000;
    let near = [0, 1, -1, HOUR, HOUR + 1, 8 * HOUR, 24 * HOUR - 1, 24 * HOUR, -HOUR];
    let near = near.into_iter().map(|age| Time(clock - age));
    near.chain([Time(i64::MIN), Time(i64::MAX), Time(0)]).chain((0..300).map(|n| Time(n * n * 777))).collect()
}

#[test]
fn what_stands_keeps_the_laws() {
    let times = times();
    laws::check(|| Least, &times).unwrap();
    laws::check(|| Greatest, &times).unwrap();
    laws::check(ages, &times).unwrap();
    laws::check(|| Overdue, &times).unwrap();
    let aheads = [0, 1, HOUR, -1, i64::MAX, i64::MIN].map(Span);
    let due: Vec<(Time, Span)> = times.iter().zip(aheads.iter().cycle()).map(|(t, a)| (*t, *a)).collect();
    laws::check(|| DueWithin, &due).unwrap();
    laws::check(|| (of(|v: &(Time, Span)| v.0, (Overdue, Least)), DueWithin), &due).unwrap();
}

#[test]
fn thresholds_that_no_save_writes_are_refused() {
    let load = |numbers: &[i128]| {
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| put_signed(&mut bytes, *number));
        DueWithin.load(1, &mut Reader::new(&bytes)).map(|state| state.0.len())
    };
    // Signed −1 is the varint 1, −2 the varint 3, 1 the varint 2.
    assert_eq!(load(&[-1, 7, -1, 5, 1]), Ok(1));
    assert_eq!(load(&[1, 7, -1, 5, 1, 8, -1, 5, 1]), Ok(2));
    assert!(load(&[1, 7, -1, 5, 1, 7, -1, 5, 1]).is_err());
    assert!(load(&[-1, 7, 0]).is_err());
}

/// Signed samples at and around borders: (time, ahead, weight).
fn signed() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    let time = prop_oneof![-30i64..30, prop::sample::select(vec![HOUR, 8 * HOUR, 24 * HOUR, -HOUR])];
    prop::collection::vec((time, -2i64..20, prop_oneof![Just(1i64), Just(-1), 1i64..4]), 0..80)
}

/// Sums weights by key and takes those below 0 as absent.
fn present<K: Ord + Copy>(samples: &[(K, i64)]) -> Vec<(K, i64)> {
    let mut sums = std::collections::BTreeMap::new();
    for (key, weight) in samples {
        *sums.entry(*key).or_insert(0) += weight;
    }
    sums.into_iter().filter(|(_, n)| *n > 0).collect()
}

fn sum_where<K>(present: &[(K, i64)], holds: impl Fn(&K) -> bool) -> Option<i64> {
    Some(present.iter().filter(|(key, _)| holds(key)).map(|(_, n)| n).sum())
}

proptest! {
    #[test]
    fn ages_and_deadlines_are_what_a_scan_over_the_rows_gives(rows in signed(), now in -40i64..40, far: bool) {
        let now = if far { now + 24 * HOUR } else { now };
        let times: Vec<(Time, i64)> = rows.iter().map(|row| (Time(row.0), row.2)).collect();
        let standing = present(&times);
        let age = |time: &Time| now - time.0;
        let due = [
            sum_where(&standing, |t| age(t) < HOUR),
            sum_where(&standing, |t| (HOUR..8 * HOUR).contains(&age(t))),
            sum_where(&standing, |t| (8 * HOUR..24 * HOUR).contains(&age(t))),
            sum_where(&standing, |t| age(t) >= 24 * HOUR),
        ];
        prop_assert_eq!(evaluated(&ages(), &times, now), due);
        prop_assert_eq!(evaluated(&Overdue, &times, now), [sum_where(&standing, |t| t.0 < now)]);
        let least = standing.first().map(|(time, _)| time.0);
        let greatest = standing.last().map(|(time, _)| time.0);
        prop_assert_eq!(evaluated(&(Least, Greatest), &times, now), [least, greatest]);

        let by_ahead: Vec<((Time, Span), i64)> =
            rows.iter().map(|row| ((Time(row.0), Span(row.1)), row.2)).collect();
        let near = sum_where(&present(&by_ahead), |(t, ahead)| now <= t.0 && t.0 < now + ahead.0);
        prop_assert_eq!(evaluated(&DueWithin, &by_ahead, now), [near]);
    }

    #[test]
    fn what_stands_keeps_the_laws_over_any_values(rows in signed(), far in any::<i64>()) {
        let times: Vec<Time> = rows.iter().map(|row| Time(row.0)).chain([Time(far)]).collect();
        laws::check(|| (Least, Greatest, ages(), Overdue), &times).unwrap();
    }
}
