use super::*;
use crate::tests::*;
use proptest::prelude::*;
use weir_metric::harness::Harness;

/// An agent that goes into a state at a time.
fn goes(before: Agent<'static>, state: &'static str, since: Time) -> Agent<'static> {
    Agent { state: Text(state), since, ..before }
}

#[test]
fn every_agent_counts_in_the_state_in_which_the_row_stands() {
    let mut harness = Harness::<ByState>::new();
    let count = |h: &Harness<ByState>, queue: &str, state: &str| {
        h.output("now", &[("queue_id", queue)], Time(0)).int(state)
    };
    let mut row = agent();
    harness.insert(&row);
    harness.insert(&Agent { agent_id: 42, ..agent() });
    assert_eq!(count(&harness, "3", "available"), 2);
    for state in STATES {
        let next = goes(row, state, at(5));
        harness.update(&row, &next);
        row = next;
        assert_eq!(count(&harness, "3", state), if state == "available" { 2 } else { 1 }, "{state}");
        let out = harness.output("now", &[], Time(0));
        assert_eq!(STATES.iter().map(|name| out.int(name)).sum::<i64>(), 2);
    }
    let moved = Agent { queue_id: 8, ..row };
    harness.update(&row, &moved);
    assert_eq!((count(&harness, "3", "error"), count(&harness, "8", "error")), (0, 1));
    harness.delete(&moved);
    assert_eq!(count(&harness, "8", "error"), 0);
}

#[test]
fn a_state_that_there_is_not_is_refused_and_counts_nowhere() {
    let mut harness = Harness::<ByState>::new();
    for state in ["Available", "availabl", "", "lunch"] {
        harness.insert(&Agent { state: Text(state), ..agent() });
    }
    assert!(harness.samples().is_empty());
    assert_eq!(harness.rejected().len(), 4);
    assert!(harness.rejected()[3].contains("lunch"), "{:?}", harness.rejected());
}

#[test]
fn slots_are_those_of_the_agents_that_are_there() {
    let mut harness = Harness::<Slots>::new();
    let slots = |h: &Harness<Slots>, dims: &[(&str, &str)]| {
        let out = h.output("now", dims, Time(0));
        (out.int("slots"), out.int("used"))
    };
    assert_eq!(slots(&harness, &[]), (0, 0));
    harness.insert(&agent());
    harness.insert(&Agent { queue_id: 8, slots: 2, slots_used: 2, state: Text("break"), ..agent() });
    harness.insert(&Agent { state: Text("offline"), ..agent() });
    assert_eq!((slots(&harness, &[]), slots(&harness, &[("queue_id", "8")])), ((6, 3), (2, 2)));
    harness.update(&agent(), &Agent { slots_used: 4, ..agent() });
    assert_eq!(slots(&harness, &[("queue_id", "3")]), (4, 4));
    harness.update(&Agent { slots_used: 4, ..agent() }, &goes(agent(), "offline", at(9)));
    assert_eq!(slots(&harness, &[("queue_id", "3")]), (0, 0));
}

const AGENT: [(&str, &str); 2] = [("queue_id", "3"), ("agent_id", "41")];

#[test]
fn the_time_in_a_state_counts_for_the_state_and_the_queue_that_the_agent_left() {
    let mut harness = Harness::<StateTime>::new();
    let busy = Agent { queue_id: 8, slots_used: 2, ..goes(agent(), "on_contact", at(100)) };
    harness.insert(&agent());
    harness.update(&agent(), &busy);
    harness.update(&busy, &goes(busy, "wrapup", at(400)));
    let sample = &harness.samples()[0];
    assert_eq!((sample.at, sample.until), (Some(at(0)), Some(at(100))));
    assert_eq!(sample.dims, ["3", "41"]);
    let out = harness.output("1h", &AGENT, at(0));
    assert_eq!((out.float("available"), out.float("on_contact")), (100.0, 0.0));
    assert_eq!(harness.output("1h", &[("queue_id", "8")], at(0)).float("on_contact"), 300.0);
    assert_eq!(harness.output("day", &[("agent_id", "41")], at(0)).float("on_contact"), 300.0);
    assert_eq!(harness.output("day", &[("queue_id", "9")], at(0)).float("available"), 0.0);
}

#[test]
fn a_span_is_cut_at_the_borders_of_windows() {
    let mut harness = Harness::<StateTime>::new();
    // From ten minutes before eleven to ten past twelve.
    let (from, until) = (at(3_000), at(7_800));
    harness.update(&goes(agent(), "break", from), &goes(agent(), "available", until));
    let seconds = |window: &str, time| harness.output(window, &[], time).float("break");
    assert_eq!([0, 3_600, 7_200, 10_800].map(|s| seconds("1h", at(s))), [600.0, 3_600.0, 600.0, 0.0]);
    assert_eq!([2_700, 3_600, 7_200, 8_100].map(|s| seconds("15m", at(s))), [600.0, 900.0, 600.0, 0.0]);
    assert_eq!(seconds("day", at(0)), 4_800.0);
    assert_eq!(harness.info().windows.len(), 3);
}

#[test]
fn a_night_over_midnight_counts_in_both_days() {
    let mut harness = Harness::<StateTime>::new();
    let (evening, morning) = (at(13 * 3_600), at(16 * 3_600));
    harness.update(&goes(agent(), "on_contact", evening), &goes(agent(), "offline", morning));
    assert_eq!(harness.output("day", &AGENT, evening).float("on_contact"), 3_600.0);
    assert_eq!(harness.output("day", &AGENT, morning).float("on_contact"), 7_200.0);
}

#[test]
fn leaving_offline_and_spans_that_are_empty_or_turned_round_give_nothing() {
    let mut harness = Harness::<StateTime>::new();
    let off = goes(agent(), "offline", at(0));
    harness.update(&off, &goes(off, "available", at(60)));
    harness.update(&off, &goes(off, "available", at(400_000)));
    harness.update(&agent(), &goes(agent(), "break", at(0)));
    harness.update(&agent(), &goes(agent(), "break", at(-60)));
    harness.update(&agent(), &Agent { slots_used: 3, queue_id: 9, ..agent() });
    harness.insert(&agent());
    harness.delete(&agent());
    assert!(harness.samples().is_empty() && harness.rejected().is_empty());
}

#[test]
fn since_alone_ends_a_span_too() {
    let mut harness = Harness::<StateTime>::new();
    harness.update(&agent(), &Agent { since: at(60), ..agent() });
    assert_eq!(harness.output("15m", &AGENT, at(0)).float("available"), 60.0);
}

#[test]
fn a_span_of_24_hours_counts_and_a_longer_one_is_refused() {
    let day = 24 * 3_600;
    let mut harness = Harness::<StateTime>::new();
    harness.update(&agent(), &goes(agent(), "break", at(day)));
    assert_eq!((harness.samples().len(), harness.rejected().len()), (1, 0));
    let longer = Agent { since: at(day) + Span(1), ..agent() };
    harness.update(&agent(), &longer);
    assert_eq!((harness.samples().len(), harness.rejected().len()), (1, 1));
    assert!(harness.rejected()[0].contains("24"), "{:?}", harness.rejected());
    harness.update(&goes(agent(), "lunch", at(0)), &longer);
    assert_eq!(harness.rejected().len(), 2);
}

proptest! {
    #[test]
    fn an_agents_day_is_the_sum_of_its_states(
        steps in prop::collection::vec((0usize..6, 1i64..4_000), 1..20),
    ) {
        let mut harness = Harness::<StateTime>::new();
        let (mut row, mut time, mut present) = (goes(agent(), "offline", at(-36_000)), -36_000, 0);
        for (state, seconds) in &steps {
            time += seconds;
            let next = goes(row, STATES[*state], at(time));
            harness.update(&row, &next);
            present += if row.state == "offline" { 0 } else { *seconds };
            row = next;
        }
        for window in ["15m", "1h", "day"] {
            let rows = harness.outputs();
            let of = rows.iter().filter(|(key, _)| key.window == window && key.dims == [None, None]);
            let sum: f64 = of.flat_map(|(_, row)| PRESENT.map(|state| row.float(state))).sum();
            prop_assert_eq!(sum, present as f64, "{}", window);
        }
    }
}
