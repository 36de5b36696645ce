#![allow(clippy::unwrap_used)]
use super::*;
use crate::value::Time;
use proptest::prelude::*;

const POINT: Weighed = Weighed { weight: 1, time: Time(0), until: Time(0) };

fn quantile(values: &[i64], q: f64) -> Option<f64> {
    let quantiles = Quantiles([q]);
    let mut state = QuantilesState::default();
    for value in values {
        quantiles.add(&mut state, POINT, *value);
    }
    let outputs = Accumulator::<i64>::outputs(&quantiles, "1");
    let mut out = OutputsWriter::new(outputs, 1);
    Accumulator::<i64>::evaluate(&quantiles, &state, At::default(), &mut out);
    out.end_slot();
    let outputs = out.finish().unwrap();
    let bits = i64::from_le_bytes(outputs.columns[0].values[..8].try_into().unwrap());
    outputs.columns[0].validity.is_empty().then(|| f64::from_bits(bits as u64))
}

proptest! {
    #[test]
    fn a_quantile_is_within_one_percent_of_the_k_th_least(
        mut values in prop::collection::vec(prop_oneof![any::<i64>(), -200i64..200, 0i64..90_000_000_000], 1..300),
        millionths in 0u32..=1_000_000,
    ) {
        let q = f64::from(millionths) / 1e6;
        let got = quantile(&values, q).unwrap();
        values.sort_unstable();
        let rank = (u64::from(millionths) * values.len() as u64).div_ceil(1_000_000).max(1);
        let due = values[rank as usize - 1] as f64;
        prop_assert!((got - due).abs() <= due.abs() * 0.01, "{} for {}", got, due);
    }

    #[test]
    fn buckets_ascend_with_the_value(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(a.cmp(&b) == std::cmp::Ordering::Less || bucket(a) >= bucket(b), true);
        prop_assert!(a > b || bucket(a) <= bucket(b));
        prop_assert!(a < b || bucket(a) >= bucket(b));
    }
}

#[test]
fn small_values_zero_and_negative_ones_are_exact() {
    for value in -127..=127 {
        assert_eq!(middle(bucket(value)), value.into());
    }
    assert_eq!(quantile(&[], 0.5), None);
    assert_eq!(quantile(&[-5, 0, 5], 0.5), Some(0.0));
    assert_eq!(quantile(&[-5, 0, 5], 0.0), Some(-5.0));
}

#[test]
fn the_ends_of_the_range_have_buckets() {
    assert_eq!(bucket(i64::MIN), -3712);
    assert_eq!(bucket(i64::MAX), 3711);
    assert!(middle(bucket(i64::MIN)) <= i64::MIN.into());
}

#[test]
fn names_follow_the_quantile() {
    assert_eq!([0.5, 0.9, 0.999, 0.0, 1.0].map(name), ["p50", "p90", "p99_9", "p0", "p100"]);
}

#[test]
fn an_array_takes_over_when_it_is_smaller() {
    let mut state = QuantilesState::default();
    for bucket in 0..100 {
        state.add(bucket, 2);
    }
    assert!(matches!(state, QuantilesState::Dense { .. }));
    assert_eq!(entries(&state).len(), 100);
    state.add(3_000, 1);
    state.add(-3_000, 1);
    assert!(matches!(state, QuantilesState::Sparse(_)));
    assert_eq!(entries(&state).iter().map(|entry| entry.1).sum::<i64>(), 202);
}

fn entries(state: &QuantilesState) -> Vec<(i16, i64)> {
    let mut entries = Vec::new();
    state.for_each(|bucket, count| entries.push((bucket, count)));
    entries
}

/// A state with these counts, and what a map has of them.
fn state_of(counts: &[(i16, i64)]) -> (QuantilesState, std::collections::BTreeMap<i16, i64>) {
    let (mut state, mut map) = (QuantilesState::default(), std::collections::BTreeMap::new());
    for (bucket, count) in counts {
        state.add(*bucket, *count);
        *map.entry(*bucket).or_insert(0) += count;
    }
    (state, map)
}

#[test]
fn merging_gives_what_adding_one_by_one_gives_whatever_forms_the_two_have() {
    let spread =
        |n: i16, step: i16, count: i64| -> Vec<(i16, i64)> { (0..n).map(|at| (at * step, count)).collect() };
    let forms = [
        vec![],
        vec![(5, 1)],
        spread(3, 100, 2),
        spread(30, 100, 1),
        spread(30, 100, -1),
        spread(60, 50, 3),
        spread(200, 1, 1),
        spread(200, 1, -1),
    ];
    for into in &forms {
        for from in &forms {
            let ((mut state, mut expected), (other, others)) = (state_of(into), state_of(from));
            Accumulator::<i64>::merge(&Quantiles([0.5]), &mut state, &other);
            for (bucket, count) in others {
                *expected.entry(bucket).or_insert(0) += count;
            }
            expected.retain(|_, count| *count != 0);
            assert_eq!(entries(&state), expected.into_iter().collect::<Vec<_>>(), "{into:?} {from:?}");
        }
    }
}
