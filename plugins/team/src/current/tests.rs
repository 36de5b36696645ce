#![allow(clippy::unwrap_used)]
use super::*;
use crate::tests::*;
use weir_metric::harness::{Harness, Out};
use weir_metric::laws;

const OUTPUTS: [&str; 5] = ["state", "since", "queue_id", "slots", "slots_used"];

fn of(harness: &Harness<Current>, dims: &[(&str, &str)]) -> Vec<Out> {
    let row = harness.output("now", dims, Time(0));
    OUTPUTS.iter().map(|name| row.get(name).clone()).collect()
}

#[test]
fn an_agent_is_shown_as_the_row_stands() {
    let mut harness = Harness::<Current>::new();
    let other = Agent { agent_id: 42, ..agent() };
    harness.insert(&agent());
    harness.insert(&other);
    let busy =
        Agent { state: Text("on_contact"), since: at(7), queue_id: 8, slots: 5, slots_used: 2, ..agent() };
    harness.update(&agent(), &busy);
    let due = [Out::Text("on_contact".into()), Out::Time(at(7)), Out::Int(8), Out::Int(5), Out::Int(2)];
    assert_eq!(of(&harness, &[("agent_id", "41")]), due);
    assert_eq!(of(&harness, &[("agent_id", "42")])[0], Out::Text("available".into()));
    harness.delete(&busy);
    assert_eq!(of(&harness, &[("agent_id", "41")]), vec![Out::Null; 5]);
}

#[test]
fn nothing_and_several_rows_are_shown_as_null() {
    let mut harness = Harness::<Current>::new();
    assert_eq!(of(&harness, &[]), vec![Out::Null; 5]);
    harness.insert(&agent());
    assert_eq!(of(&harness, &[])[2], Out::Int(3), "in total one agent is one row");
    harness.insert(&agent());
    assert_eq!(of(&harness, &[]), vec![Out::Null; 5], "the same row twice is two rows");
    harness.insert(&Agent { agent_id: 42, slots: 9, ..agent() });
    assert_eq!(of(&harness, &[]), vec![Out::Null; 5]);
    harness.delete(&agent());
    harness.delete(&agent());
    assert_eq!(of(&harness, &[])[3], Out::Int(9));
}

#[test]
fn what_it_accumulates_keeps_the_laws() {
    let rows: Vec<Row> = (0..60).map(|n| (n % 7, Time(n * n * 1_000), n % 3 - 1, n % 2, 0)).collect();
    laws::check(|| OnlyRow, &rows).unwrap();
    laws::check(|| OnlyRow, &rows[..1]).unwrap();
}

#[test]
fn a_state_that_there_is_not_is_refused() {
    let mut harness = Harness::<Current>::new();
    harness.insert(&Agent { state: Text("gone"), ..agent() });
    assert_eq!((harness.samples().len(), harness.rejected().len()), (0, 1));
}
