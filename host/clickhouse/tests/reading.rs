//! Typed views and series, against a real ClickHouse engine.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use weir_types::contract::ValueType::{Bool, Float, Int, Text, Time};
use weir_types::control::{DeadQuery, History, SeriesQuery};
use weir_types::ports::Sink;
use weir_types::record::TopicPartition;
use weir_types::rows::{DeadLetterRow, DeadOutcome, Outbox, OutputValue, RealtimeRow};
use weir_types::window::Window;
use weir_types::{HOUR, MINUTE, Name, contract::MetricInfo};

const MINUTES: Window = Window::Tumbling(MINUTE);

/// One output of each kind.
fn every_type() -> MetricInfo {
    let dimensions = [field("queue_id", Int), field("name", Text), field("vip", Bool)];
    let outputs = [
        output("count", Int, false),
        output("mean", Float, false),
        output("word", Text, false),
        output("open", Bool, false),
        output("oldest_at", Time, false),
        output("ids", Int, true),
        output("shares", Float, true),
        output("names", Text, true),
        output("at", Time, true),
    ];
    metric("all.types", &[MINUTES], &dimensions, &outputs)
}

fn values() -> Vec<(String, OutputValue)> {
    let values = [
        ("count", OutputValue::Int(-4)),
        ("mean", OutputValue::Float(0.5)),
        ("word", OutputValue::Text("it's \\N\t;".into())),
        ("open", OutputValue::Bool(true)),
        ("oldest_at", OutputValue::Time(START + 1)),
        ("ids", OutputValue::Ints(vec![1, 2])),
        ("shares", OutputValue::Floats(vec![0.25])),
        ("names", OutputValue::Texts(vec!["a'b".into()])),
        ("at", OutputValue::Ints(vec![START])),
    ];
    values.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

fn nulls() -> Vec<(String, OutputValue)> {
    values().into_iter().map(|(name, _)| (name, OutputValue::Null)).collect()
}

fn keyed(set: &str, dims: &[&str], outputs: Vec<(String, OutputValue)>) -> RealtimeRow {
    let (names, values): (Vec<Name>, Vec<OutputValue>) =
        outputs.into_iter().map(|(name, value)| (Name::from(name), value)).unzip();
    let row = of_series(row(START, 1, 0), |series| {
        (series.metric, series.dimension_set, series.outputs) = ("all.types".into(), set.into(), names);
    });
    RealtimeRow { dims: dims.iter().map(|d| d.to_string()).collect(), values: values.into(), ..row }
}

#[test]
fn a_typed_view_reads_every_type_and_null() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    sink.prepare_metric(&every_type()).unwrap();
    let outbox = Outbox {
        realtime: vec![
            keyed("", &[], values()),
            keyed("queue_id,name,vip", &["12", "a\\\\b", "true"], nulls()),
            keyed("name,vip", &["\\\\N", "false"], values()),
            keyed("queue_id,vip", &["\\N", "\\N"], values()),
        ],
        promoted: vec![promoted("all.types", INCARNATION, 1, false)],
        ..Outbox::default()
    };
    sink.insert(1, &outbox).unwrap();
    let types = engine
        .ask("SELECT name || ' ' || type FROM system.columns WHERE table = 'all_types' ORDER BY position");
    let types: Vec<&str> = types.lines().collect();
    let expected = [
        "window LowCardinality(String)",
        "dimension_set LowCardinality(String)",
        "queue_id Nullable(Int64)",
        "name Nullable(String)",
        "vip Nullable(Bool)",
        "start DateTime64(6, \\'UTC\\')",
        "end DateTime64(6, \\'UTC\\')",
        "count Nullable(Int64)",
        "mean Nullable(Float64)",
        "word Nullable(String)",
        "open Nullable(Bool)",
        "oldest_at Nullable(DateTime64(6, \\'UTC\\'))",
        "ids Array(Int64)",
        "shares Array(Float64)",
        "names Array(String)",
        "at Array(DateTime64(6, \\'UTC\\'))",
    ];
    assert_eq!(types[..expected.len()], expected);
    let read = |set: &str, columns: &str| {
        engine.ask(&format!(
            "SELECT {columns} FROM weir.all_types WHERE dimension_set = '{set}' FORMAT JSONCompactEachRow"
        ))
    };
    let all = "count, mean, word, open, toUnixTimestamp64Micro(oldest_at), ids, shares, names, \
               toUnixTimestamp64Micro(at[1])";
    let full =
        format!("[-4, 0.5, \"it's \\\\N\\t;\", true, {}, [1,2], [0.25], [\"a'b\"], {START}]", START + 1);
    assert_eq!(read("", all).replace(&format!("\"{START}\""), &START.to_string()), full);
    let null = "[null, null, null, null, null, [], [], []]";
    assert_eq!(read("queue_id,name,vip", "count, mean, word, open, oldest_at, ids, shares, names"), null);
    let dims = "queue_id, name, vip";
    assert_eq!(read("", dims), "[null, null, null]");
    assert_eq!(read("queue_id,name,vip", dims), "[12, \"a\\\\b\", true]");
    assert_eq!(read("name,vip", dims), "[null, \"\\\\N\", false]", "a text that looks like null");
    assert_eq!(read("queue_id,vip", dims), "[null, null, null]");
    let stored = "SELECT mapKeys(ints), mapKeys(int_lists) FROM weir.metric_realtime WHERE dimension_set = \
                  'queue_id,name,vip' FORMAT JSONCompactEachRow";
    assert_eq!(
        engine.ask(stored),
        "[[\"count\",\"open\",\"oldest_at\"], []]",
        "nulls are kept, null lists absent"
    );
}

#[test]
fn a_view_shows_the_promoted_incarnation_and_nothing_of_a_retired_metric() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let info = metric("a.count", &[MINUTES], &[], &[output("count", Int, false)]);
    sink.prepare_metric(&info).unwrap();
    let made = || engine.ask("SELECT uuid FROM system.tables WHERE database = 'weir' AND name = 'a_count'");
    let first = made();
    sink.prepare_metric(&info).unwrap();
    assert_eq!(made(), first, "one that is as it should be is left alone");
    let newer = of_series(row(START, 1, 50), |series| series.incarnation += 1);
    sink.insert(1, &realtime(vec![row(START, 1, 4), row(START, 2, 5), newer])).unwrap();
    let point_to = |incarnation, epoch, retired| {
        let promoted = vec![promoted("a.count", incarnation, epoch, retired)];
        sink.insert(1, &Outbox { promoted, ..Outbox::default() }).unwrap();
        engine.ask("SELECT count FROM weir.a_count WHERE window = '1m'")
    };
    assert_eq!(engine.ask("SELECT count() FROM weir.a_count"), "0", "none is promoted yet");
    assert_eq!(point_to(INCARNATION, 3, false), "5");
    assert_eq!(point_to(INCARNATION + 1, 4, false), "50");
    assert_eq!(point_to(INCARNATION + 1, 5, true), "");
}

#[test]
fn a_metric_over_current_values_shows_the_newest_values_and_their_minutes() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let info = metric("a.count", &[Window::Now], &[field("queue_id", Int)], &[output("count", Int, false)]);
    sink.prepare_metric(&info).unwrap();
    let now = |start, epoch, queue: &str, count| RealtimeRow {
        dims: [queue.into()].into(),
        end: start,
        ..of_series(row(start, epoch, count), |series| {
            (series.window, series.dimension_set) = ("now".into(), "queue_id".into());
        })
    };
    let outbox = Outbox {
        realtime: vec![now(START, 1, "5", 1), now(START + MINUTE, 2, "5", 2)],
        latest: vec![now(START, 1, "5", 1), now(START + MINUTE + 3, 3, "5", 3), now(START, 1, "6", 9)],
        promoted: vec![promoted("a.count", INCARNATION, 1, false)],
        ..Outbox::default()
    };
    sink.insert(1, &outbox).unwrap();
    assert_eq!(engine.ask("SELECT queue_id, count FROM weir.a_count ORDER BY queue_id"), "5\t3\n6\t9");
    assert_eq!(engine.ask("SELECT count FROM weir.a_count_history ORDER BY start"), "1\n2");
}

#[test]
fn a_series_is_bounded_ascending_and_of_the_promoted_incarnation() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    sink.prepare_metric(&every_type()).unwrap();
    let dims = ["\\N", "it's \\\\ a\ttab?", "true"];
    let set = "queue_id,name,vip";
    let of = |minute: i64, epoch: u64, outputs| {
        let start = START + minute * MINUTE;
        RealtimeRow { start, end: start + MINUTE, epoch, ..keyed(set, &dims, outputs) }
    };
    let mut rows: Vec<RealtimeRow> = (0..20).map(|m| of(m, 1, values())).collect();
    rows.push(RealtimeRow { is_final: true, ..of(9, 2, nulls()) });
    rows.push(of_series(of(8, 9, nulls()), |series| series.incarnation += 1));
    rows.push(RealtimeRow { dims: ["\\\\N".into(), "x".into(), "true".into()].into(), ..of(8, 9, nulls()) });
    let promoted = vec![promoted("all.types", INCARNATION, 1, false)];
    sink.insert(1, &Outbox { promoted, ..realtime(rows) }).unwrap();
    let query = SeriesQuery {
        metric: "all.types".into(),
        window: "1m".into(),
        dimension_set: set.into(),
        dims: dims.iter().map(|d| d.to_string()).collect(),
        from: START + 2 * MINUTE,
        to: START + 10 * MINUTE,
        limit: 3,
    };
    let points = sink.series(&query).unwrap();
    let starts: Vec<i64> = points.iter().map(|p| (p.start - START) / MINUTE).collect();
    assert_eq!(starts, [7, 8, 9], "the newest of [from, to), ascending");
    assert_eq!(points[0].end, points[0].start + MINUTE);
    assert!(!points[0].is_final && points[0].complete && points[2].is_final);
    let typed: Vec<(String, OutputValue)> = values();
    assert_eq!(points[0].outputs, typed, "in the metric's order and types");
    assert_eq!(points[2].outputs, nulls());
    let unknown = engine.sink().series(&query).unwrap();
    assert_eq!(unknown.len(), 3, "a metric that this process never loaded can be read too");
    let none = SeriesQuery { from: START + HOUR, to: START + 2 * HOUR, ..query };
    assert!(sink.series(&none).unwrap().is_empty());
}

#[test]
fn dead_letters_are_found_by_what_is_asked_page_by_page_and_with_their_bytes() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let mut letters: Vec<DeadLetterRow> = (0..5)
        .map(|n| letter(n % 2, n.into(), if n < 3 { "not-json" } else { "key" }, DeadOutcome::Dead))
        .collect();
    let of_metric = DeadLetterRow { metric: "a.count".into(), ..letters[0].clone() };
    letters.push(of_metric.clone());
    sink.insert(1, &Outbox { dead_letters: letters.clone(), ..Outbox::default() }).unwrap();
    let redriven = DeadLetterRow { epoch: 12, outcome: DeadOutcome::Applied, ..letters[1].clone() };
    sink.insert(1, &Outbox { dead_letters: vec![redriven.clone()], ..Outbox::default() }).unwrap();

    let ask = |query: DeadQuery| sink.dead_letters(&DeadQuery { limit: 10, ..query }).unwrap();
    let offsets = |query: DeadQuery| ask(query).iter().map(|l| l.offset).collect::<Vec<_>>();
    let all = DeadQuery { bytes: true, ..DeadQuery::default() };
    assert_eq!(offsets(all.clone()), [0, 0, 2, 4, 1, 3]);
    assert_eq!(ask(all.clone())[0], letters[0]);
    assert_eq!(ask(all.clone())[1], of_metric);
    assert_eq!(ask(all)[4], redriven, "the newest stands");
    let plain = DeadQuery { partition: Some(0), metric: Some(String::new()), ..DeadQuery::default() };
    assert_eq!(offsets(plain.clone()), [0, 2, 4]);
    assert!(ask(plain.clone())[0].value.is_empty(), "bytes only when they are asked for");
    assert_eq!(offsets(DeadQuery { code: Some("key".into()), ..DeadQuery::default() }), [4, 3]);
    let still = DeadQuery { outcome: Some(DeadOutcome::Dead), partition: Some(1), ..DeadQuery::default() };
    assert_eq!(offsets(still), [3]);
    let times = DeadQuery { from: Some(START + 2), to: Some(START + 4), ..DeadQuery::default() };
    assert_eq!(offsets(times), [2, 3]);
    assert_eq!(
        offsets(DeadQuery { topics: vec!["other".into()], ..DeadQuery::default() }),
        Vec::<i64>::new()
    );
    let here =
        DeadQuery { topics: vec!["svc.t".into(), "x'y".into()], offset: Some(4), ..DeadQuery::default() };
    assert_eq!(offsets(here), [4]);
    let at = |partition| TopicPartition { topic: "svc.t".into(), partition };
    let after = DeadQuery { after: Some((at(0), 0, String::new())), ..DeadQuery::default() };
    assert_eq!(offsets(after), [0, 2, 4, 1, 3]);
    let after = DeadQuery { after: Some((at(0), 4, String::new())), ..DeadQuery::default() };
    assert_eq!(offsets(after), [1, 3]);
    let first = sink.dead_letters(&DeadQuery { limit: 2, ..DeadQuery::default() }).unwrap();
    assert_eq!(first.len(), 2);
}
