#![allow(clippy::unwrap_used)]

use super::*;
use crate::fields::word;
use crate::journal::Record;
use crate::metrics::by_name;
use crate::number::Number;
use crate::results::Late;
use crate::time::{DAY, HOUR, MINUTE};
use rows::{agent, call, s, session, survey, ticket, with, without};
use serde_json::{Value, json};

mod aside;
mod calls;
mod planted;
mod ratios;
mod rows;
mod sessions;
mod team;
mod tickets;

/// Monday 2026-11-23 10:00 UTC, in microseconds.
const TEN: i64 = 1_795_428_000_000_000;

/// A journal made by hand.
#[derive(Default)]
struct Maker {
    lines: Vec<Value>,
    next: BTreeMap<(&'static str, i32), i64>,
    pos: u64,
}

impl Maker {
    fn raw(&mut self, table: &'static str, partition: i32, key: Value, value: Value, headers: Value) -> i64 {
        let next = self.next.entry((table, partition)).or_default();
        let offset = *next;
        *next += 1;
        self.lines.push(json!({
            "topic": format!("svc.service.{table}"), "partition": partition, "offset": offset,
            "key": key, "value": value, "headers": headers,
        }));
        offset
    }

    fn change(&mut self, table: &'static str, op: &str, before: Value, after: Value) -> i64 {
        self.change_with(table, op, before, after, json!([]))
    }

    fn change_with(
        &mut self,
        table: &'static str,
        op: &str,
        before: Value,
        after: Value,
        headers: Value,
    ) -> i64 {
        self.pos += 100;
        let row = if after.is_null() { &before } else { &after };
        let name = if row["id"].is_null() { "agent_id" } else { "id" };
        let partition = (row[name].as_i64().unwrap() % 2) as i32;
        let key = json!({ name: row[name] }).to_string();
        let value = json!({
            "before": before, "after": after, "op": op, "ts_ms": 1,
            "source": { "ts_ms": 1_000, "server_id": 1, "file": "binlog.000001", "pos": self.pos, "row": 0,
                        "table": table },
        });
        self.raw(table, partition, json!(key), json!(value.to_string()), headers)
    }

    fn insert(&mut self, table: &'static str, after: Value) -> i64 {
        self.change(table, "c", Value::Null, after)
    }

    fn update(&mut self, table: &'static str, before: &Value, after: &Value) -> i64 {
        self.change(table, "u", before.clone(), after.clone())
    }

    fn reading(&self) -> Reading {
        let text: Vec<String> = self.lines.iter().map(Value::to_string).collect();
        let mut records: Vec<Record> = Vec::new();
        crate::journal::parse(text.join("\n").as_bytes(), |record| records.push(record)).unwrap();
        Reading::of(records)
    }

    /// The epochs of a host that read everything as the oracle does, `step` records an epoch.
    fn epochs(&self, step: i64, metrics: &[&str]) -> Epochs {
        let records = self.reading().records;
        let last = records.values().flatten().map(|(offset, _)| *offset).max().unwrap_or(0);
        let digests: serde_json::Map<_, _> = metrics.iter().map(|m| (m.to_string(), json!("d"))).collect();
        let rows: Vec<Value> = (0..=last / step)
            .map(|n| {
                let partitions: Vec<Value> = records
                    .iter()
                    .map(|((topic, partition), all)| {
                        let end = all.last().map_or(0, |(offset, _)| offset + 1);
                        let (from, to) = ((n * step).min(end), ((n + 1) * step).min(end));
                        let of = |kind: fn(&Counted) -> bool| {
                            all.iter().filter(|(o, c)| (from..to).contains(o) && kind(c)).count()
                        };
                        json!({
                            "topic": topic, "partition": partition, "from": from, "to": to, "read": to - from,
                            "applied": of(|c| matches!(c, Counted::Applied(_))),
                            "skipped": { "repeat": of(|c| matches!(c, Counted::Skipped)) },
                            "dead": of(|c| matches!(c, Counted::Dead)),
                        })
                    })
                    .collect();
                json!({ "epoch": n + 1, "version": n + 1, "clock_us": TEN + n * 40_000_000, "digests": digests,
                        "partitions": partitions })
            })
            .collect();
        Epochs::of_rows(&rows).unwrap()
    }
}

fn task(pushed: &[&str]) -> Task {
    Task {
        metrics: Vec::new(),
        pushed: pushed.iter().map(|m| m.to_string()).collect(),
        zone: Tz::UTC,
        settings: Settings::new("Mon-Fri 09:00-18:00 UTC", &[]).unwrap(),
        bounds: Bounds::default(),
        settled: false,
    }
}

/// What stands in ClickHouse of one metric.
#[derive(Clone, Default)]
struct Found {
    realtime: Vec<(Key, Row)>,
    latest: Vec<(Key, Row)>,
    late: Vec<Late>,
}

impl Store for Found {
    fn windows(&self, _: &str) -> Result<Vec<String>> {
        let windows: BTreeSet<String> = self.realtime.iter().map(|(key, _)| key.window.into()).collect();
        Ok(windows.into_iter().collect())
    }
    fn realtime(&self, _: &str, window: &str) -> Result<Vec<(Key, Row)>> {
        Ok(self.realtime.iter().filter(|(key, _)| key.window == window).cloned().collect())
    }
    fn latest(&self, _: &str) -> Result<Vec<(Key, Row)>> {
        Ok(self.latest.clone())
    }
    fn late(&self, _: &str) -> Result<Vec<Late>> {
        Ok(self.late.clone())
    }
}

fn set(row: &mut Row, name: &str, value: Number) {
    row.outputs.retain(|(known, _)| *known != name);
    row.outputs.push((word(name), value));
}

/// Rows as a host would write them that computes what the oracle does, sorted.
fn as_found(expected: &Expected, is_final: bool) -> Vec<(Key, Row)> {
    let row = |(key, wanted): (&Key, &recompute::Wanted)| {
        let outputs = wanted.outputs.iter().map(|o| (o.name, o.value.clone())).collect();
        let samples = wanted.samples.unwrap_or(7);
        (key.clone(), Row { end: wanted.end, is_final, complete: true, samples, outputs })
    };
    let mut rows: Vec<(Key, Row)> = expected.iter().map(row).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

/// A metric's numbers in all its windows, derived ones too.
fn recomputed(name: &str, maker: &Maker, late: &[Late]) -> Expected {
    let metric = by_name(name).unwrap();
    let store = Found { late: late.to_vec(), ..Found::default() };
    let check = Check::new(maker.reading(), maker.epochs(1, &[]), &Bounds::default());
    let task = task(&[]);
    let mut all = Expected::new();
    for kind in metric.windows() {
        let bases = check.bases(metric);
        let windowed = bases.iter().map(|base| {
            let samples = check.samples(base, &store, &task).unwrap();
            recompute::windowed(base, &samples, *kind, task.zone).unwrap()
        });
        let windowed = windowed.collect();
        all.extend(expected_of(metric, &bases, windowed));
    }
    all
}

/// What was recomputed of a metric of current values; epochs of one record a partition, 40 s apart:
/// 10:00:00, 10:00:40, 10:01:20, ….
fn standing(name: &str, maker: &Maker) -> Now {
    let check = Check::new(maker.reading(), maker.epochs(1, &[]), &Bounds::default());
    check.standing(by_name(name).unwrap(), &task(&[]).settings).unwrap()
}

fn value(
    expected: &Expected,
    window: &'static str,
    set: &'static str,
    dims: &[&'static str],
    start: i64,
    output: &str,
) -> Option<Number> {
    let wanted = expected.get(&Key { window, set, dims: dims.to_vec(), start })?;
    wanted.outputs.iter().find(|o| o.name == output).map(|o| o.value.clone())
}

/// The outputs of a metric under a key, by name, as text.
fn outputs(expected: &Expected, window: &str, set: &str, dims: &[&str], start: i64) -> String {
    let dims = dims.iter().map(|dim| word(dim)).collect();
    let key = Key { window: word(window), set: word(set), dims, start };
    let Some(wanted) = expected.get(&key) else { return "no row".into() };
    let text: Vec<String> = wanted.outputs.iter().map(|o| format!("{} {}", o.name, o.value)).collect();
    text.join(", ")
}

/// Of a metric's hour from ten o'clock.
fn hour(expected: &Expected, set: &str, dims: &[&str]) -> String {
    outputs(expected, "1h", set, dims, TEN)
}

fn checked(name: &str, maker: &Maker, found: Found, pushed: &[&str]) -> Report {
    let mut check = Check::new(maker.reading(), maker.epochs(1, &[name]), &Bounds::default());
    check.metric(by_name(name).unwrap(), &found, &task(pushed)).unwrap();
    check.report.finish(&[]);
    check.report
}

#[test]
fn inserts_count_in_every_window_and_every_subset_and_nothing_else_does() {
    let mut maker = Maker::default();
    let row = ticket(1, TEN + 5 * MINUTE);
    maker.insert("ticket", row.clone());
    maker.change("ticket", "u", row.clone(), with(&row, &[("queue_id", json!(11))]));
    maker.change("ticket", "r", Value::Null, ticket(2, TEN));
    maker.change("ticket", "d", row.clone(), Value::Null);
    maker.change_with(
        "ticket",
        "c",
        Value::Null,
        ticket(3, TEN),
        json!([["__debezium.oldkey", "{\"id\":1}"]]),
    );
    let expected = recomputed("ticket.created", &maker, &[]);
    assert_eq!(expected.len(), 8 * 4);
    let one = Some(Number::Int(1));
    assert_eq!(value(&expected, "1m", "", &[], TEN + 5 * MINUTE, "count"), one);
    assert_eq!(value(&expected, "15m", "queue_id", &["10"], TEN, "count"), one);
    assert_eq!(value(&expected, "1h", "queue_id,priority", &["10", "2"], TEN, "count"), one);
    let day = TEN - 10 * HOUR;
    assert_eq!(value(&expected, "day", "queue_id,channel,priority", &["10", "web", "2"], day, "count"), one);
}

#[test]
fn reply_times_are_taken_when_the_reply_becomes_set() {
    let mut maker = Maker::default();
    // Created on Friday 17:59:00, answered on Monday at ten: one minute and one hour of business.
    let created = TEN - 3 * DAY + 8 * HOUR - MINUTE;
    let row = ticket(1, created);
    let answered = with(&row, &[("first_reply_at", json!(TEN / 1_000))]);
    maker.change("ticket", "u", row.clone(), answered.clone());
    maker.change(
        "ticket",
        "u",
        answered.clone(),
        with(&answered, &[("first_reply_at", json!(TEN / 1_000 + 1))]),
    );
    let second = ticket(2, TEN - 30_000_000);
    maker.change("ticket", "u", second.clone(), with(&second, &[("first_reply_at", json!(TEN / 1_000))]));
    let expected = recomputed("ticket.first_reply_time", &maker, &[]);
    let get = |output| value(&expected, "1m", "assignee_id", &["\\N"], TEN, output).unwrap();
    let long = (3 * DAY - 8 * HOUR + MINUTE) as f64 / 1e6;
    assert_eq!(get("count"), Number::Int(2));
    assert_eq!(get("max"), Number::Float(long));
    assert_eq!(get("p50"), Number::Float(30.0));
    assert_eq!(get("mean"), Number::Float((long + 30.0) / 2.0));
    assert_eq!(get("mean_business"), Number::Float((3_660.0 + 30.0) / 2.0));
}

#[test]
fn calls_are_offered_when_they_become_queued_and_come_from_outside() {
    let mut maker = Maker::default();
    let at = json!(TEN / 1_000);
    maker.insert("call_record", call(1, Value::Null));
    maker.change("call_record", "u", call(1, Value::Null), call(1, at.clone()));
    maker.change(
        "call_record",
        "u",
        call(1, at.clone()),
        with(&call(1, at.clone()), &[("status", json!("done"))]),
    );
    maker.insert("call_record", call(2, at.clone()));
    maker.insert("call_record", with(&call(3, at), &[("direction", json!("callback"))]));
    let expected = recomputed("call.offered", &maker, &[]);
    assert_eq!(value(&expected, "1h", "queue_id", &["20"], TEN, "count"), Some(Number::Int(2)));
}

#[test]
fn a_field_that_does_not_fit_leaves_the_row_out_of_the_metrics_that_need_it() {
    let mut maker = Maker::default();
    maker.insert("ticket", with(&ticket(1, TEN), &[("channel", json!(7))]));
    maker.insert("ticket", without(&ticket(2, TEN), "priority"));
    maker.insert("ticket", with(&ticket(3, TEN), &[("customer_id", json!("nobody"))]));
    assert_eq!(
        value(&recomputed("ticket.created", &maker, &[]), "1m", "", &[], TEN, "count"),
        Some(Number::Int(1))
    );
    let now = standing("ticket.backlog", &maker);
    assert_eq!(value(&now.latest, "now", "", &[], 0, "count"), Some(Number::Int(2)));
}

#[test]
fn unreadable_records_are_dead_and_others_are_skipped_and_the_rest_counts() {
    let mut maker = Maker::default();
    let key = json!("{\"id\":2}");
    let good = maker.insert("ticket", ticket(2, TEN));
    assert_eq!(good, 0);
    let value = maker.lines[0]["value"].clone();
    let text = value.as_str().unwrap();
    maker.raw("ticket", 0, key.clone(), json!("no JSON"), json!([]));
    maker.raw("ticket", 0, key.clone(), json!(text[..text.len() / 2]), json!([]));
    maker.raw("ticket", 0, key.clone(), json!("[1]"), json!([]));
    maker.raw("ticket", 0, key.clone(), json!("\u{0}\u{0}\u{0}\u{0}\u{7}x"), json!([]));
    maker.raw("ticket", 0, Value::Null, value.clone(), json!([]));
    maker.raw("ticket", 0, key.clone(), Value::Null, json!([]));
    maker.raw("ticket", 0, key.clone(), json!("{\"ts_ms\":1}"), json!([]));
    maker.raw("ticket", 0, key.clone(), json!(text.replace("\"ticket\"", "\"audit_log\"")), json!([]));
    maker.raw("ticket", 0, key, value, json!([]));
    let kinds: String = maker.reading().records[&("svc.service.ticket".to_string(), 0)]
        .iter()
        .map(|(_, counted)| match counted {
            Counted::Applied(_) => 'a',
            Counted::Skipped => 's',
            Counted::Dead => 'd',
        })
        .collect();
    assert_eq!(kinds, "adddddssss", "the last is a repeat");
}

#[test]
fn an_enveloped_record_reads_like_a_bare_one() {
    let mut maker = Maker::default();
    maker.insert("ticket", ticket(2, TEN));
    for name in ["key", "value"] {
        let payload: Value = serde_json::from_str(maker.lines[0][name].as_str().unwrap()).unwrap();
        maker.lines[0][name] =
            json!(json!({ "schema": { "type": "struct" }, "payload": payload }).to_string());
    }
    assert_eq!(
        value(&recomputed("ticket.created", &maker, &[]), "1m", "", &[], TEN, "count"),
        Some(Number::Int(1))
    );
}

#[test]
fn what_a_right_host_writes_agrees_and_finals_are_counted() {
    let mut maker = Maker::default();
    for id in 1..40 {
        maker.insert("ticket", ticket(id, TEN + id * 20_000_000));
    }
    let realtime = as_found(&recomputed("ticket.created", &maker, &[]), true);
    let rows = realtime.len();
    let report = checked("ticket.created", &maker, Found { realtime, ..Found::default() }, &[]);
    assert!(report.is_good(), "{}", report.text());
    assert_eq!(report.compared(), rows);
    assert!(report.text().ends_with(&format!("compared {rows} numbers, 0 differ\n")));
}

#[test]
fn a_wrong_a_missing_and_an_extra_row_differ_and_an_empty_one_does_not() {
    let mut maker = Maker::default();
    for id in 1..40 {
        maker.insert("ticket", ticket(id, TEN + id * 20_000_000));
    }
    let mut realtime = as_found(&recomputed("ticket.created", &maker, &[]), true);
    let empty = |window, count| {
        let key = Key { window, set: "queue_id", dims: vec!["99"], start: TEN };
        let outputs = vec![("count", Number::Int(count))];
        (key, Row { end: TEN + MINUTE, is_final: true, complete: true, samples: count, outputs })
    };
    set(&mut realtime[0].1, "count", Number::Int(1_000));
    realtime.remove(5);
    realtime.push(empty("1m", 3));
    realtime.push(empty("15m", 0));
    let report = checked("ticket.created", &maker, Found { realtime, ..Found::default() }, &[]);
    assert_eq!(report.differ(), 3, "{}", report.text());
    assert!(!report.is_good());
}

#[test]
fn no_final_row_and_an_empty_cell_are_failures() {
    let mut maker = Maker::default();
    maker.insert("ticket", ticket(1, TEN));
    let mut realtime = as_found(&recomputed("ticket.created", &maker, &[]), false);
    let report =
        checked("ticket.created", &maker, Found { realtime: realtime.clone(), ..Found::default() }, &[]);
    assert_eq!((report.differ(), report.failures.len()), (0, 1));
    let none = Maker::default();
    realtime.clear();
    let report = checked("ticket.created", &none, Found { realtime, ..Found::default() }, &[]);
    assert_eq!(report.failures.len(), 5, "four cells and no finals: {:?}", report.failures);
}

#[test]
fn the_backlog_follows_each_rows_last_image() {
    let mut maker = Maker::default();
    let (one, two, three) = (ticket(1, TEN), ticket(2, TEN), ticket(3, TEN));
    maker.change("ticket", "r", Value::Null, one.clone());
    maker.insert("ticket", two.clone());
    maker.insert("ticket", three.clone());
    let solved = with(&two, &[("status", json!("solved"))]);
    maker.change("ticket", "u", two, solved.clone());
    maker.change("ticket", "u", one.clone(), with(&one, &[("priority", json!(4))]));
    maker.change("ticket", "d", three, Value::Null);
    let now = standing("ticket.backlog", &maker);
    assert_eq!(value(&now.latest, "now", "", &[], 0, "count"), Some(Number::Int(1)));
    assert_eq!(value(&now.latest, "now", "priority", &["4"], 0, "count"), Some(Number::Int(1)));
    assert_eq!(value(&now.latest, "now", "priority", &["2"], 0, "count"), None);
    // At 10:00 the first records of both partitions, at 10:01 also the third of one.
    assert_eq!(value(&now.history, "now", "", &[], TEN, "count"), Some(Number::Int(2)));
    assert_eq!(value(&now.history, "now", "priority", &["2"], TEN + MINUTE, "count"), Some(Number::Int(1)));
    assert_eq!(value(&now.history, "now", "priority", &["4"], TEN + MINUTE, "count"), Some(Number::Int(1)));
    let found = Found {
        latest: as_found(&now.latest, false),
        realtime: as_found(&now.history, false),
        ..Found::default()
    };
    let report = checked("ticket.backlog", &maker, found, &[]);
    assert_eq!(report.differ(), 0, "{}", report.text());
}

#[test]
fn of_a_pushed_metric_only_whole_windows_count_and_none_after_the_first_may_lack() {
    let mut maker = Maker::default();
    for id in 1..40 {
        maker.insert("ticket", ticket(2 * id, TEN + id * 20_000_000));
    }
    let name = "ticket.created";
    let mut realtime = as_found(&recomputed(name, &maker, &[]), true);
    for (key, row) in &mut realtime {
        // Loaded at 10:05; the numbers before are wrong.
        if key.start < TEN + 5 * MINUTE {
            row.complete = false;
            set(row, "count", Number::Int(0));
        }
    }
    let check =
        |realtime: Vec<(Key, Row)>| checked(name, &maker, Found { realtime, ..Found::default() }, &[name]);
    let report = check(realtime.clone());
    assert_eq!(report.differ(), 0, "{}", report.text());
    // No long window was seen whole, which is told and not excused.
    let unseen = ["15m", "1h", "day"].map(|window| format!("nothing was compared for {name} {window}"));
    assert_eq!(report.failures, unseen);
    let gone = realtime.iter().position(|(k, _)| k.window == "1m" && k.start == TEN + 8 * MINUTE).unwrap();
    let mut lacking = realtime.clone();
    lacking.remove(gone);
    assert_eq!(check(lacking).differ(), 1);
    realtime[0].1.complete = true;
    assert!(check(realtime).differ() > 0, "wrong and said to be whole");
}

#[test]
fn counts_of_epochs_must_add_up_to_the_journal() {
    let mut maker = Maker::default();
    for id in 1..20 {
        maker.insert("ticket", ticket(id, TEN));
    }
    let good = maker.epochs(3, &[]);
    let records = maker.reading().records;
    assert_eq!(good.balance(&records).differ, Vec::<String>::new());
    let mut wrong = good.clone();
    wrong.list[1].partitions[0].applied += 1;
    assert_eq!(wrong.balance(&records).differ.len(), 1);
    let mut gap = good.clone();
    gap.list.remove(1);
    assert!(!gap.balance(&records).differ.is_empty());
    let mut short = good.clone();
    short.list.pop();
    assert!(!short.balance(&records).differ.is_empty());
    let mut twice = good;
    twice.list[2].partitions[0].from -= 1;
    assert!(!twice.balance(&records).differ.is_empty());
}
