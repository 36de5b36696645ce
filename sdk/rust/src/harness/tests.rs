#![allow(clippy::unwrap_used)]
use super::*;
use crate::prelude::*;

#[derive(Clone, Copy, Debug, Row)]
#[row(source = "door")]
struct Door<'a> {
    room: Text<'a>,
    floor: Option<i64>,
    opened_at: Option<Time>,
    opened: i64,
    weight: f64,
    locked: bool,
}

/// Doors opened.
#[metric(dims = [room, floor], watch = [opened_at])]
fn openings(c: &Change<Door>) -> Option<Sample> {
    c.became_some(|d| d.opened_at).map(|(at, _)| Sample::at(at))
}

/// How long doors stood open, as spans.
#[metric(dims = [room], windows = ["1m", "2m/1m"], values = [grams], accumulator = (Sum, Count))]
fn open_span(c: &Change<Door>) -> Option<Sample<i64>> {
    let (growth, d) = c.grew(|d| d.opened)?;
    let from = d.opened_at?;
    Some(Sample::at(from).until(from + Span::minutes(2)).value(d.weight as i64).times(growth))
}

/// Locked doors.
#[metric(dims = [floor], unit = "1", accumulator = (Count, Mean))]
fn locked(d: &Door) -> Result<Option<Sample<i64>>, Refused> {
    if d.weight < 0.0 {
        return Err(Refused("a door of negative weight".into()));
    }
    Ok(d.locked.then(|| Sample::now().value(d.opened)))
}

/// Forgets to watch what it looks at.
#[metric(watch = [opened_at])]
fn careless(c: &Change<Door>) -> Option<Sample> {
    c.became(|d| d.locked && d.opened_at.is_some()).map(|_| Sample::at(c.time()))
}

fn door() -> Door<'static> {
    Door { room: Text("hall"), floor: None, opened_at: None, opened: 0, weight: 80.0, locked: true }
}

#[test]
fn a_metric_asks_only_for_the_fields_that_it_names() {
    let fields = |info: &MetricInfo| info.inputs[0].fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
    assert_eq!(fields(Harness::<Openings>::new().info()), ["room", "floor", "opened_at"]);
    assert_eq!(fields(Harness::<Locked>::new().info()), ["floor", "weight", "locked", "opened"]);
    let info = describe::<Openings>();
    assert_eq!(info.name, "door.openings");
    assert_eq!(info.title, "Door openings");
    assert_eq!(info.description, "Doors opened.");
    assert_eq!(info.inputs[0].watches, ["opened_at"]);
    assert!(info.inputs[0].fields[1].nullable && !info.inputs[0].fields[0].nullable);
    assert_eq!(info.windows.len(), 4);
    assert_eq!(describe::<OpenSpan>().values[0].name, "grams");
}

#[test]
fn a_sample_counts_in_every_dimension_set_and_window() {
    let mut harness = Harness::<Openings>::new();
    let at = Time::seconds(3_600 + 61);
    let open = Door { opened_at: Some(at), ..door() };
    harness.insert(&door());
    harness.update(&door(), &open);
    harness.update(&open, &Door { locked: false, ..open });
    harness.delete(&open);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.samples()[0].dims, ["hall", "\\N"]);
    assert_eq!(harness.outputs().len(), 4 * 4);
    assert_eq!(harness.output("1m", &[], at).int("count"), 1);
    assert_eq!(harness.output("1h", &[("floor", "\\N")], at).int("count"), 1);
    assert_eq!(harness.output("day", &[("room", "hall"), ("floor", "\\N")], at).int("count"), 1);
    assert_eq!(harness.output("1m", &[("room", "attic")], at).int("count"), 0);
    assert_eq!(harness.output("1m", &[], Time(0)).int("count"), 0);
}

#[test]
fn a_span_counts_in_each_window_that_it_touches() {
    let mut harness = Harness::<OpenSpan>::new();
    let from = Time::seconds(90);
    harness.insert(&Door { opened_at: Some(from), opened: 2, ..door() });
    assert_eq!(harness.samples()[0].weight, 2);
    for (minute, count) in [(0, 0), (1, 2), (2, 2), (3, 2), (4, 0)] {
        assert_eq!(harness.output("1m", &[], Time::seconds(minute * 60)).int("count"), count);
    }
    assert_eq!(harness.output("1m", &[("room", "hall")], from).int("sum"), 160);
    assert!(harness.output("1m", &[], Time(0)).is_null("sum"));
}

/// Doors opened one after the other.
#[metric(dims = [room], watch = [opened_at], windows = ["session-60s"])]
fn bursts(c: &Change<Door>) -> Option<Sample> {
    c.became_some(|d| d.opened_at).map(|(at, _)| Sample::at(at))
}

#[test]
fn samples_not_further_apart_than_the_gap_are_one_session_whatever_their_order() {
    let mut harness = Harness::<Bursts>::new();
    // 0, 60 and 120 hang together, once 60 is there; 181 is too far away.
    for second in [120, 0, 181, 60] {
        harness.insert(&Door { opened_at: Some(Time::seconds(second)), ..door() });
    }
    let runs: Vec<(i64, i64, i64)> = harness
        .outputs()
        .iter()
        .filter(|(key, _)| key.dims == [None])
        .map(|(key, row)| (key.start / 1_000_000, key.end / 1_000_000, row.int("count")))
        .collect();
    assert_eq!(runs, [(0, 180, 3), (181, 241, 1)]);
    assert_eq!(harness.output("session-60s", &[("room", "hall")], Time::seconds(90)).int("count"), 3);
    assert_eq!(harness.output("session-60s", &[], Time::seconds(300)).int("count"), 0);
}

#[test]
fn current_values_follow_the_row() {
    let mut harness = Harness::<Locked>::new();
    let (first, upstairs) = (Door { opened: 4, ..door() }, Door { floor: Some(2), opened: 6, ..door() });
    harness.insert(&first);
    harness.insert(&door());
    harness.update(&first, &upstairs);
    let now = Time(0);
    assert_eq!(harness.output("now", &[], now).float("mean"), 3.0);
    assert_eq!(harness.output("now", &[("floor", "2")], now).int("count"), 1);
    harness.update(&upstairs, &Door { locked: false, ..upstairs });
    harness.delete(&door());
    let gone = harness.output("now", &[], now);
    assert_eq!((gone.int("count"), gone.is_null("mean")), (0, true));
    harness.insert(&Door { weight: -1.0, ..door() });
    assert_eq!(harness.rejected(), ["a door of negative weight"]);
}

#[test]
#[should_panic(expected = "watch more fields")]
fn a_metric_that_watches_too_little_is_caught() {
    let unlocked = Door { locked: false, opened_at: Some(Time(5)), ..door() };
    Harness::<Careless>::new().update(&unlocked, &Door { locked: true, ..unlocked });
}

#[test]
fn a_row_tells_its_cells() {
    assert_eq!(door().cell("room"), Some(Cell::Text("hall")));
    assert_eq!(door().cell("floor"), Some(Cell::Null));
    assert_eq!(door().cell("cellar"), None);
}

/// When the door that stands open longest was opened, and how many were before now.
#[metric(dims = [room, floor], table, time_varying, unit = "us", accumulator = (Least, Overdue))]
fn oldest(d: &Door) -> Option<Sample<Time>> {
    d.opened_at.map(|at| Sample::now().value(at))
}

#[test]
fn a_summary_says_in_one_line_what_the_host_would_learn() {
    assert_eq!(
        summary(&describe::<OpenSpan>()),
        "door.open_span: 1m 2m/1m; door by room; watch ; sum int?, count int"
    );
    assert_eq!(
        summary(&describe::<Oldest>()),
        "door.oldest: now varying, table; door by room floor; least time? us, count int"
    );
}

#[test]
fn outputs_over_time_are_read_at_the_time_that_is_set() {
    let mut harness = Harness::<Oldest>::new();
    harness.insert(&Door { opened_at: Some(Time(70)), ..door() });
    for (now, overdue) in [(70, 0), (71, 1)] {
        harness.set_time(Time(now));
        let out = harness.output("now", &[("room", "hall")], Time(0));
        assert_eq!((out.time("least"), out.int("count")), (Some(Time(70)), overdue));
    }
    assert_eq!(harness.output("now", &[("room", "attic")], Time(0)).time("least"), None);
}
