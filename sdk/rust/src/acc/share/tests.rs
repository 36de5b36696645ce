#![allow(clippy::unwrap_used)]
use super::*;
use crate::acc::{Count, Named};
use crate::laws;
use crate::value::Span;
use proptest::prelude::*;

fn ratio<A: Number, B: Number>(samples: &[(A, B, i64)]) -> Option<f64> {
    let mut state = Sums::default();
    for (over, under, weight) in samples {
        let sample = Weighed { weight: *weight, time: Default::default(), until: Default::default() };
        Ratio.add(&mut state, sample, (*over, *under));
    }
    let mut out = OutputsWriter::new(Accumulator::<(A, B)>::outputs(&Ratio, "1"), 1);
    Accumulator::<(A, B)>::evaluate(&Ratio, &state, At::default(), &mut out);
    out.end_slot();
    let column = out.finish().unwrap().columns.remove(0);
    let bits = i64::from_le_bytes(column.values[..8].try_into().unwrap());
    column.validity.is_empty().then(|| f64::from_bits(bits as u64))
}

#[test]
fn a_ratio_is_one_sum_over_the_other() {
    assert_eq!(ratio(&[(30i64, 1i64, 1), (10, 3, 1)]), Some(10.0));
    assert_eq!(ratio(&[(30i64, 1i64, 2), (10, 3, 1)]), Some(14.0));
    assert_eq!(ratio(&[(Span(3_000_000), 2i64, 1)]), Some(1.5));
    assert_eq!(ratio(&[(3i64, Span(2_000_000), 1)]), Some(1.5));
    assert_eq!(ratio(&[(Span(3), Span(2), 1)]), Some(1.5));
}

#[test]
fn a_ratio_over_nothing_or_less_is_null() {
    assert_eq!(ratio::<i64, i64>(&[]), None);
    assert_eq!(ratio(&[(5i64, 0i64, 1)]), None);
    assert_eq!(ratio(&[(5i64, 1i64, 1), (5, -3, 1)]), None);
    assert_eq!(ratio(&[(0i64, 1i64, 1)]), Some(0.0));
}

proptest! {
    #[test]
    fn ratios_and_counts_of_some_keep_the_laws(values in prop::collection::vec(any::<(i64, i64)>(), 0..60)) {
        laws::check(|| Ratio, &values).unwrap();
        let some = || {
            let even = CountIf(|v: &(i64, i64)| v.0 % 2 == 0);
            (Named("even", "Even ones.", even), Count, Ratio)
        };
        laws::check(some, &values).unwrap();
    }
}
