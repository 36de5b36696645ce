//! The catalogue's table, and rows for the tests of single metrics.

#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use weir_metric::harness::{Harness, Key, summary};
use weir_metric::metric::Metric;

/// A moment of the day that the tests play in.
pub fn at(seconds: i64) -> Time {
    Time::seconds(1_795_392_000 + 36_000 + seconds)
}

/// An inbound call that has just begun.
pub fn call() -> Call<'static> {
    Call {
        queue_id: 3,
        direction: Text("inbound"),
        customer_id: 900,
        agent_id: None,
        status: Text("ivr"),
        queued_at: None,
        answered_at: None,
        ended_at: None,
        wrapup_ended_at: None,
        talk_seconds: 0,
        hold_seconds: 0,
        missed_count: 0,
        transferred_out: false,
        updated_at: at(0),
    }
}

/// That call in the queue.
pub fn queued() -> Call<'static> {
    Call { status: Text("queued"), queued_at: Some(at(10)), updated_at: at(10), ..call() }
}

/// Agent 41 took it after 15 seconds.
pub fn taken() -> Call<'static> {
    Call {
        status: Text("talking"),
        agent_id: Some(41),
        answered_at: Some(at(25)),
        updated_at: at(25),
        ..queued()
    }
}

/// It ended after two minutes of talk and one of hold.
pub fn ended() -> Call<'static> {
    Call {
        status: Text("wrapup"),
        ended_at: Some(at(205)),
        talk_seconds: 120,
        hold_seconds: 60,
        updated_at: at(205),
        ..taken()
    }
}

/// And 40 seconds of wrap-up later all was done.
pub fn done() -> Call<'static> {
    Call { status: Text("done"), wrapup_ended_at: Some(at(245)), updated_at: at(245), ..ended() }
}

/// The customer gave up after 30 seconds in the queue.
pub fn given_up() -> Call<'static> {
    Call { status: Text("abandoned"), ended_at: Some(at(40)), updated_at: at(40), ..queued() }
}

/// A metric that was shown the life of one row: insert, updates, delete.
pub fn life<M: Metric>(rows: &[Call<'static>]) -> Harness<M> {
    let mut harness = Harness::new();
    harness.insert(&rows[0]);
    rows.windows(2).for_each(|pair| harness.update(&pair[0], &pair[1]));
    harness.delete(rows.last().unwrap());
    harness
}

#[test]
fn the_definitions_are_those_of_the_catalogue() {
    const QUEUE: &str = "call_record by queue_id";
    const AGENT: &str = "call_record by queue_id agent_id";
    const PERIOD: &str = "1m 15m 1h day";
    let period = |name: &str, by: &str, watch: &str, outputs: &str| {
        let table = ["answered", "outbound", "missed", "talk_time", "handle_time"].contains(&name);
        let form = if table { ", table" } else { "" };
        format!("call.{name}: {PERIOD}{form}; {by}; watch {watch}; {outputs}")
    };
    let due = [
        period("offered", QUEUE, "queued_at", "count int"),
        period("answered", AGENT, "answered_at", "count int"),
        period("abandoned", QUEUE, "status", "count int"),
        period("short_abandons", QUEUE, "status", "count int"),
        period("outbound", "call_record by agent_id", "answered_at", "count int"),
        period("callbacks", QUEUE, "status", "count int"),
        period("transferred_out", AGENT, "transferred_out", "count int"),
        period("missed", "call_record by agent_id", "missed_count", "count int"),
        format!("call.in_queue: now, table; {QUEUE}; count int"),
        format!("call.active: now; {QUEUE}; count int"),
        format!("call.longest_wait: now; {QUEUE}; oldest_at time? us"),
        period(
            "speed_of_answer",
            QUEUE,
            "answered_at",
            "mean float? s, p90 float? s, max float? s, count int",
        ),
        period("answered_in_target", QUEUE, "answered_at", "count int"),
        period("abandon_time", QUEUE, "status", "mean float? s, count int"),
        period("talk_time", AGENT, "status", "mean float? s, p90 float? s, count int"),
        period("hold_time", AGENT, "status", "mean float? s, max float? s, count int"),
        period("wrapup_time", AGENT, "wrapup_ended_at", "mean float? s, count int"),
        period(
            "handle_time",
            AGENT,
            "wrapup_ended_at",
            "mean float? s, p50 float? s, p90 float? s, count int",
        ),
        period("callers", QUEUE, "queued_at", "count int"),
        period("busiest_customers", "call_record", "queued_at", "ids ints?, counts ints?"),
    ];
    let infos = plugin().describe();
    assert_eq!(infos.iter().map(summary).collect::<Vec<_>>(), due);
    for info in &infos {
        assert!(info.title.len() <= 60 && !info.description.contains('`'), "{}", info.name);
        assert!(info.dimension_sets.is_empty(), "{}: every subset", info.name);
    }
}

/// What may happen to one call: seconds to the end of the IVR, in the queue and in talk; how it ends; whether it is
/// handed on. Every time that became set stays set, as in the service.
fn lives() -> impl Strategy<Value = Vec<(i64, i64, i64, u8, bool)>> {
    prop::collection::vec((0i64..3_000, 0i64..60, 0i64..900, 0u8..3, any::<bool>()), 1..25)
}

fn rows((ivr, wait, talk, end, handed): (i64, i64, i64, u8, bool)) -> Vec<Call<'static>> {
    let waiting = Call { queued_at: Some(at(ivr)), ..queued() };
    let (picked, over) = (at(ivr + wait), at(ivr + wait + talk));
    match end {
        0 => vec![
            call(),
            waiting,
            Call { ended_at: Some(picked), ..Call { queued_at: Some(at(ivr)), ..given_up() } },
        ],
        1 => vec![call(), Call { status: Text("abandoned"), ended_at: Some(at(ivr)), ..call() }],
        _ => {
            let talking = Call { answered_at: Some(picked), queued_at: Some(at(ivr)), ..taken() };
            let over =
                Call { status: Text("done"), ended_at: Some(over), transferred_out: handed, ..talking };
            vec![call(), waiting, talking, over]
        }
    }
}

/// Counts by window, start and queue, for the total and the queue.
fn counts<M: Metric>(lives: &[(i64, i64, i64, u8, bool)]) -> BTreeMap<Key, i64> {
    let mut harness = Harness::<M>::new();
    for life in lives {
        let rows = rows(*life);
        harness.insert(&rows[0]);
        rows.windows(2).for_each(|pair| harness.update(&pair[0], &pair[1]));
    }
    harness.outputs().into_iter().map(|(key, row)| (key, row.int("count"))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn parts_of_a_cohort_count_in_its_window_and_are_no_more_than_it(lives in lives()) {
        let offered = counts::<arrivals::Offered>(&lives);
        let abandoned = counts::<abandons::Abandoned>(&lives);
        let short = counts::<abandons::ShortAbandons>(&lives);
        let in_target = counts::<answers::AnsweredInTarget>(&lives);
        let of = |counts: &BTreeMap<Key, i64>, key: &Key| counts.get(key).copied().unwrap_or(0);
        for key in abandoned.keys().chain(short.keys()).chain(in_target.keys()) {
            let offered = of(&offered, key);
            prop_assert!(of(&abandoned, key) + of(&in_target, key) <= offered);
            prop_assert!(of(&short, key) <= of(&abandoned, key));
        }
        let answered = counts::<answers::Answered>(&lives);
        for (key, handed) in counts::<answers::TransferredOut>(&lives) {
            prop_assert!(handed <= of(&answered, &key));
        }
    }
}

#[test]
fn a_metric_asks_only_for_what_it_needs() {
    let infos = plugin().describe();
    let fields = |name: &str| -> Vec<String> {
        let info = infos.iter().find(|info| info.name == name).unwrap();
        info.inputs[0].fields.iter().map(|field| field.name.clone()).collect()
    };
    assert_eq!(fields("call.offered"), ["queue_id", "queued_at", "direction"]);
    assert_eq!(fields("call.in_queue"), ["queue_id", "status"]);
    assert_eq!(
        fields("call.handle_time"),
        ["queue_id", "agent_id", "wrapup_ended_at", "talk_seconds", "hold_seconds", "ended_at"]
    );
}
