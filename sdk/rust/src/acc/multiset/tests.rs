#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The same by recomputation.
#[derive(Debug, Default)]
struct Naive(BTreeMap<i64, i64>);

impl Naive {
    fn add(&mut self, value: i64, count: i64) {
        let entry = self.0.entry(value).or_insert(0);
        *entry += count;
        if *entry == 0 {
            self.0.remove(&value);
        }
    }
    fn at_most(&self, limit: i128) -> i64 {
        self.0.iter().filter(|(value, _)| i128::from(**value) <= limit).map(|(_, n)| *n.max(&0)).sum()
    }
    fn present(&self) -> impl DoubleEndedIterator<Item = i64> + '_ {
        self.0.iter().filter(|(_, count)| **count > 0).map(|(value, _)| *value)
    }
}

/// What the chunks must always be.
fn check_shape(set: &Multiset) {
    let lens: Vec<usize> = set.chunks.iter().map(|chunk| chunk.entries.len()).collect();
    assert!(lens.iter().all(|len| (1..=MOST).contains(len)), "{lens:?}");
    assert!(lens.windows(2).all(|pair| pair[0] + pair[1] > HALF), "{lens:?}");
    for chunk in &set.chunks {
        assert_eq!(chunk.present, present(&chunk.entries));
        assert!(chunk.entries.capacity() <= 2 * MOST);
    }
    let values: Vec<i64> = set.entries().map(|entry| entry.0).collect();
    assert!(values.is_sorted_by(|a, b| a < b));
    assert!(set.entries().all(|entry| entry.1 != 0));
}

fn check_same(set: &Multiset, naive: &Naive, limits: impl IntoIterator<Item = i128>) {
    check_shape(set);
    assert_eq!(set.entries().collect::<Vec<_>>(), naive.0.clone().into_iter().collect::<Vec<_>>());
    assert_eq!((set.least(), set.greatest()), (naive.present().next(), naive.present().next_back()));
    assert_eq!(set.total(), naive.at_most(i128::MAX));
    for limit in limits {
        assert_eq!(set.at_most(limit), naive.at_most(limit), "at most {limit}");
    }
}

fn saved(set: &Multiset) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.save(&mut bytes);
    bytes
}

fn value() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -40i64..40, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

proptest! {
    #[test]
    fn a_multiset_is_a_signed_map_without_zeros(
        steps in prop::collection::vec((value(), -3i64..4), 0..200),
        limits in prop::collection::vec(value(), 0..10),
    ) {
        let (mut set, mut naive) = (Multiset::default(), Naive::default());
        for (value, count) in steps {
            set.add(value, count);
            naive.add(value, count);
        }
        check_same(&set, &naive, limits.into_iter().map(Into::into));
    }

    #[test]
    fn many_values_come_and_go_in_any_order(
        (n, stride) in (1i64..4_000, prop::sample::select(vec![1i64, 7, 1_009, 2_003])),
        left in 0i64..300,
    ) {
        // Coprime strides visit every residue once, each in another order.
        let (mut set, mut naive) = (Multiset::default(), Naive::default());
        for i in 0..n {
            let value = i * stride % 4_001;
            set.add(value, 1 + i % 2);
            naive.add(value, 1 + i % 2);
        }
        let limits = || (-1..4_002).step_by(97).map(i128::from);
        check_same(&set, &naive, limits());
        for i in 0..n - left.min(n) {
            let value = i * stride % 4_001;
            set.add(value, -1 - i % 2);
            naive.add(value, -1 - i % 2);
        }
        check_same(&set, &naive, limits());
        prop_assert_eq!(set.is_empty(), left == 0);
    }

    #[test]
    fn merging_adds_every_value(
        a in prop::collection::vec((value(), -2i64..3), 0..60),
        b in prop::collection::vec((value(), -2i64..3), 0..60),
    ) {
        let of = |steps: &[(i64, i64)]| {
            let mut set = Multiset::default();
            steps.iter().for_each(|(value, count)| set.add(*value, *count));
            set
        };
        let mut merged = of(&a);
        merged.merge(&of(&b));
        let all = of(&[a, b].concat());
        prop_assert_eq!(saved(&merged), saved(&all));
    }

    #[test]
    fn what_is_saved_loads_as_it_was(n in 0i64..2_000, step in 1i64..1_000_000_000) {
        let mut set = Multiset::default();
        (0..n).for_each(|i| set.add((i - 500) * step, if i % 5 == 0 { -1 } else { i }));
        let bytes = saved(&set);
        let mut reader = Reader::new(&bytes);
        let loaded = Multiset::load(&mut reader).unwrap();
        prop_assert!(reader.is_empty());
        check_shape(&loaded);
        prop_assert_eq!(saved(&loaded), bytes);
        prop_assert_eq!(loaded.at_most(0), set.at_most(0));
    }

    #[test]
    fn any_bytes_are_taken_or_refused_but_never_trap(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(set) = Multiset::load(&mut Reader::new(&bytes)) {
            check_shape(&set);
        }
    }
}

#[test]
fn the_ends_of_the_range_are_values_like_others() {
    let mut set = Multiset::default();
    set.add(i64::MAX, 1);
    set.add(i64::MIN, 2);
    assert_eq!((set.least(), set.greatest(), set.total()), (Some(i64::MIN), Some(i64::MAX), 3));
    assert_eq!(set.at_most(i128::from(i64::MIN) - 1), 0);
    assert_eq!(set.at_most(i64::MIN.into()), 2);
    assert_eq!(set.at_most(i128::from(i64::MAX) - 1), 2);
    assert_eq!(set.at_most(i128::MAX), 3);
}

#[test]
fn values_that_ascend_fill_their_chunks() {
    let mut set = Multiset::default();
    (0..10 * MOST as i64).for_each(|value| set.add(value, 1));
    check_shape(&set);
    assert_eq!(set.chunks.len(), 10);
    assert!(set.chunks.iter().all(|chunk| chunk.entries.capacity() == MOST));
}

#[test]
fn a_count_below_0_is_kept_and_read_as_absent() {
    let mut set = Multiset::default();
    set.add(5, -2);
    set.add(9, 1);
    assert_eq!((set.least(), set.total(), set.at_most(5)), (Some(9), 1, 0));
    set.add(5, 3);
    assert_eq!((set.least(), set.total(), set.at_most(5)), (Some(5), 2, 1));
}

#[test]
fn states_that_no_save_writes_are_refused() {
    let pack = |numbers: &[i128]| {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, numbers.len() as u128 / 2);
        numbers.iter().for_each(|number| put_signed(&mut bytes, *number));
        Multiset::load(&mut Reader::new(&bytes)).map(|set| set.total())
    };
    assert_eq!(pack(&[3, 1, 1, 1]), Ok(2));
    for wrong in [&[3, 1, 0, 1][..], &[3, 1, -1, 1], &[3, 0], &[i128::MAX, 1], &[1 << 63, 1], &[3, 1 << 63]] {
        assert!(pack(wrong).is_err(), "{wrong:?}");
    }
}
