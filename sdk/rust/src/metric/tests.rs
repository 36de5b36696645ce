#![allow(clippy::unwrap_used)]
use super::*;
use crate::prelude::*;
use crate::raw::{Column, Dictionary};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, Row)]
#[row(source = "lamp", board = "light")]
pub struct Lamp<'a> {
    room: Text<'a>,
    watts: Option<i64>,
    lit_at: Option<Time>,
}

/// Lamps lit.
#[metric(dims = [room], accumulator = (Mean, Count))]
fn lit(c: &Change<Lamp>) -> Option<Sample<i64>> {
    let (at, lamp) = c.became_some(|l| l.lit_at)?;
    (lamp.room != "cellar").then(|| Sample::at(at).value(lamp.watts.unwrap_or(0)))
}

/// Greatest power.
#[metric(accumulator = Max)]
fn strongest(l: &Lamp) -> Option<Sample<i64>> {
    l.watts.map(|watts| Sample::now().value(watts))
}

/// Power now.
#[metric(accumulator = Sum)]
fn power(l: &Lamp) -> Option<Sample<i64>> {
    l.watts.map(|watts| Sample::now().value(watts))
}

/// Lamps lit, in short.
#[metric(name = "hall.lit", board = "house", correct_for = "26h", table, windows = ["5m/10s", "session-60s"])]
fn lit_briefly(c: &Change<Lamp>) -> Option<Sample> {
    c.became_some(|l| l.lit_at).map(|(at, _)| Sample::at(at))
}

fn ints(values: &[i64], validity: &[u8]) -> Column {
    let values = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Column { values, validity: validity.to_vec(), offsets: Vec::new() }
}

fn rooms() -> Dictionary {
    let offsets = [0u32, 4, 10].iter().flat_map(|o| o.to_le_bytes()).collect();
    Dictionary { offsets, bytes: b"hallcellar".to_vec() }
}

/// Three rows: lit in the hall, lit in the cellar, still dark.
fn changes() -> Changes {
    let none = Dictionary::default;
    Changes {
        rows: 3,
        before_present: vec![0b101],
        after_present: Vec::new(),
        event_times: ints(&[1, 2, 3], &[]).values,
        before: vec![ints(&[0, 0, 0], &[0b101]), ints(&[0; 3], &[0]), ints(&[0; 3], &[0])],
        after: vec![ints(&[0, 1, 0], &[]), ints(&[50, 60, 70], &[0b110]), ints(&[9, 9, 0], &[0b011])],
        // In the order in which the metric names them: room, lit_at, watts.
        dictionaries: vec![rooms(), none(), none()],
    }
}

fn in_order(mut changes: Changes) -> Changes {
    let fields = describe::<Lit>().inputs[0].fields.clone();
    assert_eq!(fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["room", "lit_at", "watts"]);
    changes.before.swap(1, 2);
    changes.after.swap(1, 2);
    changes
}

#[test]
fn columns_become_rows_and_samples_become_columns() {
    let instance = open::<Lit>(&[]).unwrap();
    let samples = instance.observe(0, &in_order(changes())).unwrap();
    assert_eq!(samples.rows, [0, 0, 0, 0]);
    assert_eq!(samples.times, 9i64.to_le_bytes());
    // watts is null in row 0.
    assert_eq!(samples.values, [ints(&[0], &[])]);
    assert!(samples.weights.is_empty() && samples.times_validity.is_empty() && samples.images.is_empty());
    assert_eq!(describe::<Lit>().name, "light.lit");
}

#[test]
fn the_host_learns_board_form_and_correction_of_a_metric() {
    let info = describe::<LitBriefly>();
    let extra: Vec<(&str, &str)> = info.extra.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let sdk = concat!("rust ", env!("CARGO_PKG_VERSION"));
    assert_eq!(extra, [("board", "house"), ("correct_for", "26h"), ("form", "table"), ("sdk", sdk)]);
    assert_eq!(info.name, "hall.lit");
    assert_eq!(
        info.windows,
        [Window::Sliding { size: 300_000_000, step: 10_000_000 }, Window::Session(60_000_000)]
    );
    assert_eq!(describe::<Lit>().extra, [("sdk".to_string(), sdk.to_string())]);
}

#[test]
fn a_call_of_the_wrong_kind_or_input_is_an_error() {
    let (lit, power) = (open::<Lit>(&[]).unwrap(), open::<Power>(&[]).unwrap());
    assert!(lit.observe(1, &changes()).is_err());
    assert!(lit.observe_image(0, &Images::default()).is_err());
    assert!(power.observe(0, &changes()).is_err());
}

#[test]
fn wrong_lengths_codes_and_counts_are_errors() {
    let instance = open::<Lit>(&[]).unwrap();
    let refused = |spoil: fn(&mut Changes)| {
        let mut changes = in_order(changes());
        spoil(&mut changes);
        instance.observe(0, &changes).unwrap_err()
    };
    refused(|c| c.rows = 4);
    refused(|c| c.event_times.truncate(23));
    refused(|c| c.after_present = vec![1, 2]);
    refused(|c| drop(c.after.pop()));
    refused(|c| drop(c.dictionaries.pop()));
    refused(|c| c.after[1].validity = vec![0, 0]);
    refused(|c| c.after[1].offsets = vec![0; 16]);
    refused(|c| c.dictionaries[0].bytes[3] = 0xff);
    refused(|c| c.dictionaries[0].offsets[4] = 90);
    assert!(refused(|c| c.after[0].values[0] = 2).contains("room"));
}

#[test]
fn an_accumulator_that_takes_nothing_back_cannot_follow_current_values() {
    let error = open::<Strongest>(&[]).err().unwrap();
    assert!(error.contains("light.strongest"), "{error}");
    assert_eq!(describe::<Power>().windows, [Window::Now]);
}

proptest! {
    #[test]
    fn no_input_panics(
        spoilt in 0usize..9, at in 0usize..40, byte in any::<u8>(), length in 0usize..40, rows in 0u32..5,
    ) {
        let mut changes = in_order(changes());
        changes.rows = rows;
        let list = match spoilt {
            0 => &mut changes.before_present,
            1 => &mut changes.after_present,
            2 => &mut changes.event_times,
            3 => &mut changes.after[0].values,
            4 => &mut changes.after[1].validity,
            5 => &mut changes.after[2].values,
            6 => &mut changes.dictionaries[0].offsets,
            7 => &mut changes.dictionaries[0].bytes,
            _ => &mut changes.before[0].values,
        };
        list.resize(length, byte);
        if let Some(place) = list.get_mut(at) {
            *place = byte;
        }
        let _ = open::<Lit>(&[]).unwrap().observe(0, &changes);
    }
}
