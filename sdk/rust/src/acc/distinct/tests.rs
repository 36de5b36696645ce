#![allow(clippy::unwrap_used)]
use super::*;
use crate::laws;
use crate::value::Time;
use proptest::prelude::*;

const POINT: Weighed = Weighed { weight: 1, time: Time(0), until: Time(0) };

fn of(values: impl IntoIterator<Item = i64>) -> DistinctState {
    let mut state = DistinctState::default();
    values.into_iter().for_each(|value| Distinct.add(&mut state, POINT, value));
    state
}

fn saved(state: &DistinctState) -> Vec<u8> {
    let mut bytes = Vec::new();
    Accumulator::<i64>::save(&Distinct, state, &mut bytes);
    bytes
}

fn loaded(bytes: &[u8]) -> Result<DistinctState, String> {
    Accumulator::<i64>::load(&Distinct, 1, &mut Reader::new(bytes))
}

/// Ids as databases give them out: from somewhere, in steps of something.
fn ids(key: i64, n: i64) -> impl Iterator<Item = i64> {
    (0..n).map(move |i| key * 1_000_003 + i * (1 + key % 7))
}

/// Share of keys of `n` different values whose count is within 2 %.
fn within_two_percent(n: i64, keys: i64) -> f64 {
    let good = (0..keys).filter(|key| {
        let count = of(ids(*key, n)).count();
        (count - n).abs() as f64 <= n as f64 * 0.02
    });
    good.count() as f64 / keys as f64
}

#[test]
fn at_every_size_at_least_95_of_100_keys_are_within_two_percent() {
    for (n, keys) in [
        (1, 50),
        (10, 200),
        (100, 200),
        (1_000, 200),
        (4_096, 100),
        (4_097, 200),
        (6_000, 200),
        (10_000, 200),
    ] {
        assert!(within_two_percent(n, keys) >= 0.95, "{n} values");
    }
    for (n, keys) in [(16_384, 100), (50_000, 100), (100_000, 60), (1_000_000, 20)] {
        assert!(within_two_percent(n, keys) >= 0.95, "{n} values");
    }
}

#[test]
fn the_estimate_is_without_bias_and_its_deviation_is_that_of_the_theory() {
    for n in [5_000, 20_000, 60_000] {
        let errors: Vec<f64> =
            (0..150).map(|key| of(ids(key + 1_000, n)).count() as f64 / n as f64 - 1.0).collect();
        let mean = errors.iter().sum::<f64>() / 150.0;
        let deviation = (errors.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / 150.0).sqrt();
        // 1.04 ÷ √16384 = 0.81 %; the mean of 150 has a twelfth of it.
        assert!(mean.abs() < 0.002, "{n}: {mean}");
        assert!((0.004..0.0105).contains(&deviation), "{n}: {deviation}");
    }
}

#[test]
fn few_values_are_counted_exactly_and_no_values_are_none() {
    assert_eq!(of([]).count(), 0);
    assert_eq!(of([7, 7, 7, -7, i64::MIN, i64::MAX, 0]).count(), 5);
    assert_eq!(of(ids(3, 500)).count(), 500);
}

#[test]
fn registers_take_over_when_they_are_smaller_and_hold_what_the_hashes_say() {
    let state = of(0..10_000);
    let Form::Dense(registers) = &state.0 else { panic!("10,000 values are sparse") };
    let mut due = vec![0u8; M];
    for value in 0..10_000 {
        let hash = hash(value);
        let rank = ((hash << P).leading_zeros() + 1).min(MOST_RANK as u32) as u8;
        let register = &mut due[(hash >> (64 - P)) as usize];
        *register = rank.max(*register);
    }
    assert_eq!(registers, &due);
    assert!(matches!(of(0..4_000).0, Form::Sparse(_)));
}

#[test]
fn the_rank_of_an_entry_goes_on_where_the_index_ends() {
    // (hash, rank for p = 14)
    for (hash, rank) in [(u64::MAX, 1), (0, 51), (1, 50), (1 << 39, 11), (1 << 38, 12), (1 << 49, 1)] {
        assert_eq!(register_of(entry(hash)).1, rank, "{hash:x}");
    }
}

#[test]
fn the_laws_hold_in_both_forms_and_across_them() {
    let values = |n: i64| (0..n).map(|i| i * i * 31 - 5_000).collect::<Vec<i64>>();
    laws::check(|| Distinct, &values(90)).unwrap();
    // Parts of a third are sparse, all together are dense.
    laws::check(|| Distinct, &values(5_000)).unwrap();
    laws::check(|| Distinct, &values(20_000)).unwrap();
}

#[test]
fn a_state_that_nobody_saved_is_refused() {
    let entry = entry(hash(5));
    let mut sparse = vec![0, 2];
    put_varint(&mut sparse, entry.into());
    put_varint(&mut sparse, 0);
    for (bytes, words) in [
        (vec![2], "form 2"),
        (vec![0, 0xff, 0xff, 0x7f], "more entries"),
        (sparse, "not in order"),
        (vec![0, 1, 0x3f], "rank"),
        ([vec![1], vec![0xff; 3 * M / 4]].concat(), "rank"),
        (vec![1, 0, 0], "ends early"),
    ] {
        let error = loaded(&bytes).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_loaded_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..40), dense: bool) {
        if dense {
            bytes.insert(0, 1);
            bytes.resize(1 + 3 * M / 4, bytes.len() as u8);
        }
        if let Ok(state) = loaded(&bytes) {
            prop_assert!(state.count() >= 0);
            prop_assert_eq!(loaded(&saved(&state)), Ok(state));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_state_is_a_function_of_the_set(
        from in -1_000i64..1_000, n in 0i64..9_000, cut in 0i64..9_000, overlap in 0i64..500,
    ) {
        let cut = cut.min(n);
        let whole = of(from..from + n);
        let (mut left, mut right) = (of((from..from + cut).rev()), of(from + (cut - overlap).max(0)..from + n));
        let first = left.clone();
        left.merge(&right);
        right.merge(&first);
        prop_assert_eq!(&left, &whole);
        prop_assert_eq!(&right, &whole);
        prop_assert_eq!(loaded(&saved(&whole)).unwrap(), whole);
    }
}
