#![allow(clippy::unwrap_used)]
use super::*;
use crate::laws;
use crate::raw::Column;
use crate::value::Time;
use proptest::prelude::*;

const SMALL: TopK = TopK { k: 3, most: 8 };

fn of(ids: impl IntoIterator<Item = i64>) -> TopKState {
    let mut state = TopKState::default();
    let point = Weighed { weight: 1, time: Time(0), until: Time(0) };
    ids.into_iter().for_each(|id| SMALL.add(&mut state, point, id));
    state
}

/// The columns that `evaluate` writes for these slots.
fn columns(states: &[TopKState]) -> Vec<Column> {
    let mut out = OutputsWriter::new(SMALL.outputs("1"), states.len());
    for state in states {
        SMALL.evaluate(state, At::default(), &mut out);
        out.end_slot();
    }
    out.finish().unwrap().columns
}

fn packed(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn ends(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn the_most_frequent_stand_first_and_equal_ones_by_id() {
    let [ids, counts] = &columns(&[of([5, 9, 9, 2, 7, 5, 7])])[..] else { panic!("two outputs") };
    assert_eq!(ids.values, packed(&[5, 7, 9]));
    assert_eq!(counts.values, packed(&[2, 2, 2]));
    let [ids, counts] = &columns(&[of([4, 3, 3, 1, 2])])[..] else { panic!("two outputs") };
    assert_eq!((&ids.values, &counts.values), (&packed(&[3, 1, 2]), &packed(&[2, 1, 1])));
}

#[test]
fn nothing_is_an_empty_list_and_too_many_ids_are_none() {
    let [ids, counts] = &columns(&[of([]), of(0..8), of(0..9), of([1])])[..] else { panic!("two outputs") };
    for column in [ids, counts] {
        assert_eq!(column.offsets, ends(&[0, 0, 3, 3, 4]));
        assert_eq!(column.validity, [0b1011], "the third slot is null");
    }
    assert_eq!(ids.values, packed(&[0, 1, 2, 1]));
}

#[test]
fn the_laws_hold_below_at_and_above_the_bound() {
    for n in [0, 3, 8, 9, 40] {
        let ids: Vec<i64> = (0..60).map(|i| (i * i * 7 - 90) % n.max(1)).collect();
        laws::check(|| SMALL, &ids).unwrap();
    }
    let wide: Vec<i64> = (-40..40).map(|i: i64| i.wrapping_mul(i64::MAX / 40)).collect();
    laws::check(|| TopK::of(10), &wide).unwrap();
}

proptest! {
    #[test]
    fn any_bytes_are_loaded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), first in 0u8..2) {
        let bytes = [vec![first], bytes].concat();
        if let Ok(state) = SMALL.load(1, &mut Reader::new(&bytes)) {
            let mut again = Vec::new();
            SMALL.save(&state, &mut again);
            prop_assert_eq!(SMALL.load(1, &mut Reader::new(&again)), Ok(state));
        }
    }

    #[test]
    fn the_list_is_that_of_a_count_by_hand(ids in prop::collection::vec(-6i64..6, 0..60), cut in 0usize..60) {
        let cut = cut.min(ids.len());
        let mut state = of(ids[..cut].iter().copied());
        SMALL.merge(&mut state, &of(ids[cut..].iter().copied()));
        let different: std::collections::BTreeSet<i64> = ids.iter().copied().collect();
        let mut due: Vec<(i64, i64)> = different
            .iter()
            .map(|id| (*id, ids.iter().filter(|other| *other == id).count() as i64))
            .collect();
        due.sort_by_key(|(id, count)| (-count, *id));
        due.truncate(3);
        match &state.0 {
            Form::TooMany => prop_assert!(different.len() > 8),
            Form::Counts(counts) => {
                prop_assert!(different.len() <= 8);
                prop_assert_eq!(SMALL.top(counts), due);
            }
        }
    }
}
