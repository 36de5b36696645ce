//! Numbers that a night never brings: beyond 2⁵³, where a float is no longer exact, sums beyond 64 bits, times at
//! the ends of what an i64 holds.

use crate::built::{languages, load};
use weir_languages::run::Component;
use weir_types::contract::{
    Changes, Field, MetricFactory, MetricInstance, Outputs, PackedColumn, PackedDictionary, Parts, Samples,
    States, pack,
};

const NAME: &str = "ticket.first_reply_time";

/// Every language's first_reply_time, those in Rust first.
fn each(mut check: impl FnMut(&str, &dyn MetricFactory)) {
    for (language, components) in languages().unwrap_or_default() {
        let components: &[Component] = &components;
        check(language, &*load(components)[NAME]);
    }
}

fn numbers() -> Vec<i64> {
    let mut numbers = vec![0, i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1];
    for shift in [0, 6, 7, 8, 20, 31, 32, 40, 52, 53, 54, 55, 60, 62] {
        for near in [-1, 0, 1] {
            let number = (1i64 << shift) + near;
            numbers.extend([number, -number, number / 3 * 2]);
        }
    }
    numbers
}

fn scalars(values: &[i64]) -> PackedColumn {
    PackedColumn { values: pack::i64s(values), ..PackedColumn::default() }
}

/// Each number in a slot of its own, all of them in slot 1, and those above 0 in slot 2.
fn parts(numbers: &[i64]) -> Parts {
    let mut samples: Vec<(u32, i64, i64)> = Vec::new();
    for (slot, number) in (3..).zip(numbers) {
        samples.extend([(slot, 1, *number), (1, 1 + i64::from(slot), *number)]);
        samples.extend((*number > 0).then_some((2, 1 << 20, *number)));
    }
    let list = |of: fn(&(u32, i64, i64)) -> i64| samples.iter().map(of).collect::<Vec<_>>();
    Parts {
        slots: pack::u32s(&samples.iter().map(|s| s.0).collect::<Vec<_>>()),
        weights: pack::i64s(&list(|s| s.1)),
        times: pack::i64s(&vec![0; samples.len()]),
        untils: vec![],
        values: vec![scalars(&list(|s| s.2)), scalars(&list(|s| s.2.wrapping_neg() / 7))],
        dictionaries: vec![PackedDictionary::default(); 2],
    }
}

fn outputs_and_states(instance: &mut dyn MetricInstance, slots: &[u32]) -> (Outputs, States) {
    let times = vec![0; slots.len()];
    (instance.evaluate(slots, &times, &times, 0).unwrap(), instance.save(slots).unwrap())
}

#[test]
fn great_numbers_give_the_same_outputs_and_states_to_the_byte() {
    let numbers = numbers();
    let slots: Vec<u32> = (0..numbers.len() as u32 + 3).collect();
    let mut first: Option<(Outputs, States)> = None;
    each(|language, metric| {
        let mut instance = metric.open().unwrap();
        instance.accumulate(&parts(&numbers)).unwrap();
        let given = outputs_and_states(&mut *instance, &slots);
        // The states of the language before, in this one: a metric may change its language and keep its state.
        let mut other = metric.open().unwrap();
        let states = &first.get_or_insert_with(|| given.clone()).1;
        other.load(&slots[1..], &without_first(states), 1).unwrap();
        let loaded = outputs_and_states(&mut *other, &slots);
        for (what, given) in [("accumulated", &given), ("loaded", &loaded)] {
            let due = first.as_ref().unwrap();
            for (at, (due, given)) in due.0.columns.iter().zip(&given.0.columns).enumerate() {
                let shown = |c: &PackedColumn| -> Vec<f64> {
                    (0..slots.len()).map(|i| f64::from_bits(pack::i64_at(&c.values, i) as u64)).collect()
                };
                assert_eq!(
                    due,
                    given,
                    "{language}, {what}, output {at}: {:?} {:?}",
                    shown(due),
                    shown(given)
                );
            }
            assert_eq!(due.1, given.1, "{language}, {what}: states");
        }
    });
}

/// Slot 0 has no bytes, and nobody may load into it.
fn without_first(states: &States) -> States {
    States { offsets: states.offsets[4..].to_vec(), bytes: states.bytes.clone() }
}

/// Rows created and answered at every pair of extreme times.
fn changes(fields: &[Field]) -> Changes {
    let numbers = numbers();
    let pairs: Vec<(i64, i64)> =
        numbers.iter().flat_map(|from| numbers.iter().map(move |to| (*from, *to))).collect();
    let n = pairs.len();
    let none = pack::bits(n, |_| false);
    let column = |field: &Field| match field.name.as_str() {
        "created_at" => scalars(&pairs.iter().map(|p| p.0).collect::<Vec<_>>()),
        "first_reply_at" => scalars(&pairs.iter().map(|p| p.1).collect::<Vec<_>>()),
        _ => scalars(&vec![7; n]),
    };
    let null = |_: &Field| PackedColumn { validity: none.clone(), ..scalars(&vec![0; n]) };
    Changes {
        rows: n as u32,
        before_present: none.clone(),
        after_present: vec![],
        event_times: pack::i64s(&vec![0; n]),
        before: fields.iter().map(|field| null(field).into()).collect(),
        after: fields.iter().map(|field| column(field).into()).collect(),
        dictionaries: fields.iter().map(|_| PackedDictionary::default().into()).collect(),
    }
}

#[test]
fn times_at_the_ends_of_an_i64_give_the_same_samples() {
    let mut first: Option<Samples> = None;
    each(|language, metric| {
        let changes = changes(&metric.info().inputs[0].fields);
        let samples = metric.open().unwrap().observe(0, &changes).unwrap();
        assert_eq!(samples.rows.len() / 4, changes.rows as usize);
        let due = first.get_or_insert_with(|| samples.clone());
        assert_eq!(due.times, samples.times, "{language}");
        for value in 0..2 {
            let (due, given) = (&due.values[value].values, &samples.values[value].values);
            let differs = (0..due.len() / 8).find(|i| pack::i64_at(due, *i) != pack::i64_at(given, *i));
            assert_eq!(differs, None, "{language}: value {value}");
        }
    });
}

/// Slots of one epoch that do not go into one call.
const MANY: u32 = 40_000;

#[test]
fn more_slots_than_a_call_takes_are_saved_loaded_merged_and_released() {
    let slots: Vec<u32> = (1..=MANY).collect();
    let others: Vec<u32> = slots.iter().map(|slot| slot + MANY).collect();
    let waits: Vec<i64> = slots.iter().map(|slot| i64::from(*slot) * 1_234_567).collect();
    let parts = Parts {
        slots: pack::u32s(&slots),
        weights: pack::i64s(&vec![1; waits.len()]),
        times: pack::i64s(&waits),
        untils: vec![],
        values: vec![scalars(&waits), scalars(&waits)],
        dictionaries: vec![PackedDictionary::default(); 2],
    };
    each(|language, metric| {
        let (mut one, mut other) = (metric.open().unwrap(), metric.open().unwrap());
        one.accumulate(&parts).unwrap();
        let states = one.save(&slots).unwrap();
        assert_eq!(states.offsets.len(), 4 * (MANY as usize + 1), "{language}");
        other.load(&slots, &states, 1).unwrap();
        other.merge(&others, &slots).unwrap();
        assert_eq!(other.save(&others).unwrap(), states, "{language}: loaded, then merged");
        other.release(&slots).unwrap();
        assert!(other.save(&slots).unwrap().bytes.is_empty(), "{language}: released");
        assert_eq!(other.save(&others[20_000..]).unwrap(), one.save(&slots[20_000..]).unwrap(), "{language}");
    });
}
