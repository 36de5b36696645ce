#![allow(clippy::unwrap_used)]
use super::*;
use crate::acc::{Count, Max, Mean, Quantiles};
use crate::raw::{Column, Dictionary};
use crate::value::Span;
use proptest::prelude::*;

type All = (Mean, Quantiles<1>, Count);

fn slots() -> Slots<Span, All> {
    Slots::new((Mean, Quantiles([0.5]), Count), "s")
}

fn packed(list: &[u32]) -> Vec<u8> {
    list.iter().flat_map(|slot| slot.to_le_bytes()).collect()
}

fn parts(list: &[(u32, i64, i64)]) -> Parts {
    let pack = |pick: fn(&(u32, i64, i64)) -> i64| list.iter().flat_map(|e| pick(e).to_le_bytes()).collect();
    Parts {
        slots: list.iter().flat_map(|e| e.0.to_le_bytes()).collect(),
        weights: pack(|e| e.1),
        values: vec![Column { values: pack(|e| e.2), ..Default::default() }],
        dictionaries: vec![Dictionary::default()],
        ..Default::default()
    }
}

#[test]
fn a_mean_is_the_sum_over_the_count_in_seconds() {
    let mut slots = slots();
    slots.accumulate(&parts(&[(1, 2, 1_500_000), (1, 1, 3_000_000), (7, 1, 5)])).unwrap();
    let out = slots.evaluate(&packed(&[1, 0, 7]), &[], &[], 0).unwrap();
    let mean = f64::from_bits(u64::from_le_bytes(out.columns[0].values[..8].try_into().unwrap()));
    assert_eq!(mean, 2.0);
    assert_eq!(out.columns[0].validity, [0b101]);
    assert_eq!(out.columns[2].values, [3i64, 0, 1].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
}

#[test]
fn slot_zero_cannot_be_written() {
    let mut slots = slots();
    assert!(slots.accumulate(&parts(&[(0, 1, 1)])).is_err());
    assert!(slots.merge(&packed(&[0]), &packed(&[1])).is_err());
    let states = slots.save(&packed(&[3])).unwrap();
    assert!(states.bytes.is_empty() && states.offsets.len() == 8);
    assert!(slots.load(&packed(&[0]), &states, 1).is_err());
    slots.release(&packed(&[0, 900])).unwrap();
}

#[test]
fn what_is_wrong_with_a_call_is_an_error() {
    let mut slots = slots();
    let good = parts(&[(1, 1, 1)]);
    assert!(slots.accumulate(&Parts { weights: vec![], ..good.clone() }).is_err());
    assert!(slots.accumulate(&Parts { times: vec![0; 7], ..good.clone() }).is_err());
    assert!(slots.accumulate(&Parts { values: vec![], dictionaries: vec![], ..good.clone() }).is_err());
    assert!(slots.accumulate(&parts(&[(u32::MAX, 1, 1)])).is_err());
    assert!(slots.merge(&packed(&[1, 2]), &packed(&[1])).is_err());
    assert!(slots.merge(&packed(&[1]), &packed(&[1])).is_err());
    slots.accumulate(&good).unwrap();
    let states = slots.save(&packed(&[1])).unwrap();
    assert!(slots.load(&packed(&[1]), &states, 9).is_err());
    assert!(slots.load(&packed(&[1, 2]), &states, 1).is_err());
    let longer = States {
        offsets: packed(&[0, states.bytes.len() as u32 + 1]),
        bytes: [states.bytes, vec![0]].concat(),
    };
    assert!(slots.load(&packed(&[1]), &longer, 1).is_err());
}

#[test]
fn an_accumulator_that_takes_nothing_back_refuses_negative_weights() {
    let mut slots = Slots::<Span, _>::new(Max, "s");
    assert!(slots.accumulate(&parts(&[(1, -1, 1)])).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused_but_never_trap(
        a in prop::collection::vec(any::<u8>(), 0..24),
        b in prop::collection::vec(any::<u8>(), 0..48),
        cut in 0usize..9,
    ) {
        let mut slots = slots();
        let small: Vec<u8> = a.chunks(4).flat_map(|c| [c[0] % 8, 0, 0, 0]).collect();
        let _ = slots.accumulate(&Parts { slots: a.clone(), weights: b.clone(), ..parts(&[(1, 1, 1)]) });
        let _ = slots.merge(&small, &a);
        let _ = slots.merge(&small, &packed(&vec![3; small.len() / 4]));
        let _ = slots.evaluate(&a, &b, &b, 0);
        let offsets = packed(&[0, cut.min(b.len()) as u32, b.len() as u32]);
        let _ = slots.load(&packed(&[1, 2]), &States { offsets, bytes: b.clone() }, 1);
        let _ = slots.evaluate(&packed(&[1, 2]), &[], &[], 0).unwrap();
        let _ = slots.release(&a);
    }
}
