#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use weir_metric::harness::Harness;
use weir_metric::laws;
use weir_metric::raw::Window;

/// 2026-11-23, a Monday, 00:00 UTC.
const MONDAY: i64 = 1_795_392_000;

fn monday(hour: i64) -> Time {
    Time::seconds(MONDAY + hour * 3_600)
}

fn ticket() -> Ticket<'static> {
    Ticket {
        queue_id: 7,
        channel: Text("web"),
        priority: 2,
        assignee_id: None,
        status: Text("new"),
        created_at: monday(10),
        first_reply_at: None,
    }
}

#[test]
fn a_ticket_is_created_once_in_the_window_of_its_creation() {
    let mut harness = Harness::<Created>::new();
    harness.insert(&ticket());
    harness.update(&ticket(), &Ticket { queue_id: 8, status: Text("open"), ..ticket() });
    harness.delete(&ticket());
    assert_eq!(harness.samples().len(), 1);
    for window in ["1m", "15m", "1h", "day"] {
        assert_eq!(harness.output(window, &[], monday(10)).int("count"), 1);
    }
    let key = [("queue_id", "7"), ("channel", "web"), ("priority", "2")];
    assert_eq!(harness.output("1m", &key, monday(10)).int("count"), 1);
    assert_eq!(harness.output("1m", &[("queue_id", "8")], monday(10)).int("count"), 0);
    // Eight subsets of three dimensions, four windows.
    assert_eq!(harness.outputs().len(), 8 * 4);
}

#[test]
fn the_backlog_follows_status_queue_and_delete() {
    let mut harness = Harness::<Backlog>::new();
    let count = |h: &Harness<Backlog>, dims: &[(&str, &str)]| h.output("now", dims, Time(0)).int("count");
    let mut row = ticket();
    harness.insert(&row);
    for (status, due) in [("open", 1), ("pending", 1), ("solved", 0), ("open", 1), ("closed", 0), ("new", 1)]
    {
        let next = Ticket { status: Text(status), ..row };
        harness.update(&row, &next);
        row = next;
        assert_eq!(count(&harness, &[]), due, "{status}");
    }
    let moved = Ticket { queue_id: 8, priority: 1, ..row };
    harness.update(&row, &moved);
    assert_eq!(count(&harness, &[("queue_id", "7")]), 0);
    assert_eq!(count(&harness, &[("queue_id", "8"), ("priority", "1")]), 1);
    harness.delete(&moved);
    assert_eq!(count(&harness, &[]), 0);
}

#[test]
fn a_status_that_only_looks_like_the_backlogs_does_not_count() {
    let mut harness = Harness::<Backlog>::new();
    for status in ["New", "news", "ope", "pendinG", "", "solved", "closed"] {
        harness.insert(&Ticket { status: Text(status), ..ticket() });
    }
    assert!(harness.samples().is_empty());
}

#[test]
fn a_first_reply_counts_once_with_the_after_images_dimensions() {
    let mut harness = Harness::<FirstReplyTime>::new();
    let replied = Ticket { assignee_id: Some(31), first_reply_at: Some(monday(19)), ..ticket() };
    harness.insert(&ticket());
    harness.update(&ticket(), &replied);
    harness.update(&replied, &Ticket { assignee_id: Some(32), ..replied });
    harness.delete(&replied);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.samples()[0].dims, ["7", "31"]);
    let out = harness.output("1h", &[("queue_id", "7"), ("assignee_id", "31")], monday(19));
    // 10:00 to 19:00, of which 8 hours are business hours.
    assert_eq!((out.float("mean"), out.float("max"), out.int("count")), (32_400.0, 32_400.0, 1));
    assert_eq!(out.float("mean_business"), 28_800.0);
    assert!((out.float("p50") / 32_400.0 - 1.0).abs() < 0.01);
    assert!((out.float("p90") / 32_400.0 - 1.0).abs() < 0.01);
    // Not in the window of its creation.
    assert_eq!(harness.output("1h", &[], monday(10)).int("count"), 0);
}

#[test]
fn a_reply_that_is_taken_back_and_given_again_counts_twice() {
    let mut harness = Harness::<FirstReplyTime>::new();
    let replied = Ticket { first_reply_at: Some(monday(11)), ..ticket() };
    harness.insert(&replied);
    harness.update(&replied, &ticket());
    harness.update(&ticket(), &replied);
    let out = harness.output("day", &[("assignee_id", "\\N")], monday(11));
    assert_eq!(out.int("count"), 2);
}

#[test]
fn nothing_is_a_count_of_zero_and_nulls() {
    let out = Harness::<FirstReplyTime>::new().output("1m", &[], Time(0));
    assert_eq!(out.int("count"), 0);
    for name in ["mean", "p50", "p90", "max", "mean_business"] {
        assert!(out.is_null(name), "{name}");
    }
}

#[test]
fn business_hours_are_the_operators() {
    let mut harness =
        Harness::<FirstReplyTime>::with_config(&[("business_hours", "Sat-Sun 00:00-24:00 UTC")]);
    harness.insert(&Ticket { first_reply_at: Some(monday(12)), ..ticket() });
    assert_eq!(harness.output("day", &[], monday(12)).float("mean_business"), 0.0);
    let wrong = [("business_hours".to_owned(), "always".to_owned())];
    let error = plugin().open("ticket.first_reply_time", &wrong).err().unwrap();
    assert!(error.contains("business_hours") && error.contains("always"), "{error}");
}

#[test]
fn the_definitions_are_those_of_the_catalogue() {
    let [created, backlog, reply] = &plugin().describe()[..] else { panic!("three metrics") };
    let names = |list: &[weir_metric::raw::Field]| list.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
    let outputs = |info: &weir_metric::raw::MetricInfo| {
        info.outputs.iter().map(|o| (o.name.clone(), o.unit.clone())).collect::<Vec<_>>()
    };
    let pair = |name: &str, unit: &str| (name.to_owned(), unit.to_owned());
    assert_eq!(created.name, "ticket.created");
    assert_eq!(names(&created.inputs[0].fields), ["queue_id", "channel", "priority", "created_at"]);
    assert_eq!(created.windows.len(), 4);
    assert_eq!(backlog.name, "ticket.backlog");
    assert_eq!(backlog.windows, [Window::Now]);
    assert_eq!(names(&backlog.inputs[0].fields), ["queue_id", "priority", "status"]);
    assert_eq!(reply.name, "ticket.first_reply_time");
    assert_eq!(reply.dimensions, ["queue_id", "assignee_id"]);
    let seconds = |name| pair(name, "s");
    assert_eq!(
        outputs(reply),
        [
            seconds("mean"),
            seconds("p50"),
            seconds("p90"),
            seconds("max"),
            pair("count", "1"),
            seconds("mean_business")
        ]
    );
    assert_eq!(outputs(created), [pair("count", "1")]);
}

#[test]
fn what_first_reply_time_accumulates_keeps_the_laws() {
    use weir_metric::metric::Metric;
    let values: Vec<(Span, Span)> =
        (-3..60).map(|n| (Span(n * n * n * 1_234_567), Span(n * 1_000))).collect();
    laws::check(FirstReplyTime::accumulator, &values).unwrap();
}

/// A life of one ticket: each step changes some of it.
fn lives() -> impl Strategy<Value = Vec<(usize, Option<i64>, i64)>> {
    prop::collection::vec((0usize..5, prop::option::of(0i64..50), 0i64..3), 1..30)
}

proptest! {
    #[test]
    fn the_backlog_is_what_stands_in_the_table(lives in prop::collection::vec(lives(), 1..6)) {
        let statuses = ["new", "open", "pending", "solved", "closed"];
        let mut harness = Harness::<Backlog>::new();
        let mut standing = 0;
        for life in &lives {
            let mut row = ticket();
            harness.insert(&row);
            for (status, _, queue_id) in life {
                let next = Ticket { status: Text(statuses[*status]), queue_id: *queue_id, ..row };
                harness.update(&row, &next);
                row = next;
            }
            standing += i64::from(["new", "open", "pending"].contains(&row.status.as_str()));
        }
        let by_queue: i64 = ["0", "1", "2", "7"].iter()
            .map(|queue| harness.output("now", &[("queue_id", queue)], Time(0)).int("count")).sum();
        prop_assert_eq!(harness.output("now", &[], Time(0)).int("count"), standing);
        prop_assert_eq!(by_queue, standing);
    }

    #[test]
    fn first_replies_are_the_times_that_the_field_became_set(life in lives()) {
        let mut harness = Harness::<FirstReplyTime>::new();
        let (mut row, mut waits) = (ticket(), Vec::new());
        harness.insert(&row);
        for (_, minute, agent) in &life {
            let at = minute.map(|minute| row.created_at + Span::minutes(minute));
            let next = Ticket { first_reply_at: at, assignee_id: Some(*agent), ..row };
            harness.update(&row, &next);
            if let (None, Some(at)) = (row.first_reply_at, at) {
                waits.push((at - row.created_at).0);
            }
            row = next;
        }
        let out = harness.output("day", &[], row.created_at);
        prop_assert_eq!(out.int("count"), waits.len() as i64);
        if let Some(greatest) = waits.iter().max() {
            let mean = waits.iter().sum::<i64>() as f64 / waits.len() as f64 / 1e6;
            prop_assert!((out.float("mean") - mean).abs() <= mean * 1e-12);
            prop_assert_eq!(out.float("max"), *greatest as f64 / 1e6);
        }
    }
}
