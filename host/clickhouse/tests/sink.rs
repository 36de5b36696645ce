//! The sink against a real ClickHouse engine in a process of its own.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::collections::BTreeMap;
use std::time::Duration;
use weir_clickhouse::{ClickHouse, Options};
use weir_embedded::clickhouse::Process;
use weir_types::ports::{LostFuture, Sink, SinkError};
use weir_types::record::TopicPartition;
use weir_types::rows::{Counts, DeadLetterRow, DeadOutcome, EpochPartition, EpochRow, LateEventRow, Outbox};
use weir_types::{DAY, HOUR, MINUTE};

fn fatal(result: Result<(), SinkError>) -> String {
    match result {
        Err(SinkError::Fatal(text)) => text,
        other => panic!("not fatal: {other:?}"),
    }
}

fn counts(engine: &Engine) -> String {
    engine.ask("SELECT count(), uniqExact(start), sum(ints['count']) FROM weir.metric_realtime FINAL")
}

#[test]
fn preparing_twice_changes_nothing_and_check_says_how_it_stands() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    assert!(sink.check().unwrap().contains("no tables yet"));
    assert_eq!(sink.max_generation().unwrap(), 0, "without a table");
    sink.prepare().unwrap();
    let made = "SELECT name, metadata_modification_time, create_table_query FROM system.tables WHERE database = 'weir'";
    let before = engine.ask(made);
    std::thread::sleep(Duration::from_millis(1100));
    sink.prepare().unwrap();
    assert_eq!(engine.ask(made), before);
    assert_eq!(engine.ask("SELECT count() FROM system.mutations"), "0");
    assert!(sink.check().unwrap().contains("as they should be"));
    assert_eq!(sink.max_generation().unwrap(), 0, "an empty table");
}

#[test]
fn a_changed_retention_changes_the_ttl_of_a_table_that_is_there() {
    let Some(engine) = Engine::start() else { return };
    let ttl = || engine.ask("SELECT engine_full FROM system.tables WHERE name = 'metric_realtime'");
    let with = |retention: &[(&str, i64)]| {
        let retention: BTreeMap<String, i64> = retention.iter().map(|(w, s)| (w.to_string(), *s)).collect();
        let sink =
            ClickHouse::new(Options { retention, ..Options::new(&engine.process.url) }).expect("options");
        sink.prepare().unwrap();
        // What ClickHouse writes back is known again: nothing is changed a second time.
        let before = ttl();
        let mutations = engine.ask("SELECT count() FROM system.mutations");
        sink.prepare().unwrap();
        assert_eq!((ttl(), engine.ask("SELECT count() FROM system.mutations")), (before, mutations));
    };
    with(&[("1m", 8 * DAY), ("1h", 400 * DAY)]);
    assert!(ttl().contains("691200"), "{}", ttl());
    with(&[("1m", 9 * DAY)]);
    assert!(ttl().contains("777600") && !ttl().contains("691200"), "{}", ttl());
    with(&[]);
    assert!(!ttl().contains("TTL"), "{}", ttl());
}

#[test]
fn rows_older_than_their_retention_go_and_others_stay() {
    let Some(engine) = Engine::start() else { return };
    let retention = BTreeMap::from([("1m".to_string(), DAY)]);
    let sink = ClickHouse::new(Options { retention, ..Options::new(&engine.process.url) }).unwrap();
    sink.prepare().unwrap();
    let hour = of_series(row(START, 1, 5), |series| series.window = "1h".into());
    sink.insert(1, &realtime(vec![row(START, 1, 5), hour])).unwrap();
    engine.ask("OPTIMIZE TABLE weir.metric_realtime FINAL");
    assert_eq!(engine.ask("SELECT window FROM weir.metric_realtime"), "1h");
}

#[test]
fn a_table_with_other_columns_or_another_engine_is_refused_in_one_line() {
    let Some(engine) = Engine::start() else { return };
    engine.ask("CREATE DATABASE weir");
    engine.ask("CREATE TABLE weir.epochs (epoch UInt64, wrong String) ENGINE = MergeTree ORDER BY epoch");
    let sink = engine.sink();
    let text = fatal(sink.prepare());
    assert!(text.contains("weir.epochs") && text.contains("MergeTree") && !text.contains('\n'), "{text}");
    assert_eq!(
        engine.ask("SELECT count() FROM system.tables WHERE database = 'weir'"),
        "1",
        "nothing was made"
    );
    assert!(matches!(sink.check(), Err(SinkError::Fatal(_))));

    engine.ask("DROP TABLE weir.epochs");
    sink.prepare().unwrap();
    engine.ask("ALTER TABLE weir.late_events MODIFY COLUMN weight Float64");
    let text = fatal(sink.prepare());
    assert!(text.contains("weir.late_events") && text.contains("`weight` is Float64, not Int64"), "{text}");
}

#[test]
fn inserts_may_be_repeated_and_older_versions_lose() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let minutes = |epoch, count| realtime((0..10).map(|i| row(START + i * MINUTE, epoch, count)).collect());
    sink.insert(3, &minutes(20, 2)).unwrap();
    sink.insert(3, &minutes(20, 2)).unwrap();
    assert_eq!(counts(&engine), "10\t10\t20");
    sink.insert(3, &minutes(19, 1)).unwrap();
    assert_eq!(counts(&engine), "10\t10\t20", "an older epoch loses");
    sink.insert(2, &minutes(500, 7)).unwrap();
    assert_eq!(counts(&engine), "10\t10\t20", "an older generation loses, whatever its epoch");
    sink.insert(4, &minutes(1, 3)).unwrap();
    assert_eq!(counts(&engine), "10\t10\t30", "a newer generation wins");
    engine.ask("OPTIMIZE TABLE weir.metric_realtime FINAL");
    assert_eq!(engine.ask("SELECT count() FROM weir.metric_realtime"), "10", "merged without FINAL too");
}

#[test]
fn a_deleted_row_is_hidden_and_comes_back_with_a_newer_version() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let with = |epoch, deleted| {
        let mut it = row(START, epoch, 5);
        it.deleted = deleted;
        Outbox { realtime: vec![it.clone()], latest: vec![it], ..Outbox::default() }
    };
    let seen = || {
        let of = |table| engine.ask(&format!("SELECT count() FROM weir.{table} FINAL"));
        (of("metric_realtime"), of("metric_latest"))
    };
    sink.insert(1, &with(1, false)).unwrap();
    sink.insert(1, &with(2, true)).unwrap();
    assert_eq!(seen(), ("0".into(), "0".into()));
    sink.insert(1, &with(3, false)).unwrap();
    assert_eq!(seen(), ("1".into(), "1".into()));
}

#[test]
fn the_rest_of_an_outbox_arrives_as_it_was() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let at = TopicPartition { topic: "svc.t".into(), partition: 3 };
    let skipped = BTreeMap::from([("ddl".to_string(), 1), ("tombstone".to_string(), 2)]);
    let counts = Counts { read: 10, applied: 6, skipped, dead: 1 };
    let partitions = vec![EpochPartition { partition: at.clone(), from: 5, to: 15, counts }];
    let digests = BTreeMap::from([("a.count".to_string(), "d1".to_string())]);
    let outbox = Outbox {
        epochs: vec![EpochRow {
            epoch: 9,
            clock: START,
            partitions,
            digests,
            gaps: vec![],
            redriven: vec![],
        }],
        late_events: vec![LateEventRow {
            metric: "a.count".into(),
            incarnation: INCARNATION,
            partition: at.clone(),
            offset: 8,
            row: 0,
            sample: 1,
            time: START - HOUR,
            windows: vec!["1m".into(), "15m".into()],
            weight: -1,
            dims: vec!["\\N".into(), "a\tb'c".into()],
            watermark: START,
            epoch: 9,
        }],
        dead_letters: vec![DeadLetterRow {
            partition: at,
            offset: 7,
            metric: String::new(),
            code: "not-json".into(),
            reason: "it is no JSON".into(),
            key: vec![],
            value: vec![0, 255, 10, 10, 39, 59],
            whole: true,
            rekey: Default::default(),
            outcome: DeadOutcome::Dead,
            clock: START,
            epoch: 9,
        }],
        promoted: vec![promoted("a.count", INCARNATION, 9, false)],
        ..Outbox::default()
    };
    for _ in 0..2 {
        sink.insert(6, &outbox).unwrap();
    }
    assert_eq!(sink.max_generation().unwrap(), 6);
    let asked = |sql: &str| engine.ask(&format!("{sql} FINAL FORMAT JSONCompactEachRow"));
    let partitions =
        asked("SELECT epoch, version, partitions.from, partitions.skipped, digests FROM weir.epochs");
    let version = (6u64 << 40) + 9;
    assert_eq!(
        partitions.replace('"', ""),
        format!("[9, {version}, [5], [{{ddl:1,tombstone:2}}], {{a.count:d1}}]")
    );
    let late = asked("SELECT sample, weight, windows, dims, `offset` FROM weir.late_events");
    assert_eq!(late.replace('"', ""), "[1, -1, [1m,15m], [\\\\N,a\\tb'c], 8]");
    assert_eq!(
        asked("SELECT hex(value), code, whole FROM weir.dead_letters"),
        "[\"00FF0A0A273B\", \"not-json\", 1]"
    );
    assert_eq!(asked("SELECT metric, incarnation, retired FROM weir.promoted"), "[\"a.count\", 7, 0]");
}

#[test]
fn many_rows_over_several_days_go_in_chunks_of_one_partition_each() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let rows: Vec<_> = (0..250_000).map(|i| row(START + i * 1_000_000, 1, 1)).collect();
    sink.insert(1, &realtime(rows)).unwrap();
    assert_eq!(counts(&engine), "250000\t250000\t250000");
    let days = engine
        .ask("SELECT uniqExact(partition) FROM system.parts WHERE `table` = 'metric_realtime' AND active");
    assert_eq!(days, "3");
}

/// The rows of one delivery, over four days, so that a kill finds some partitions written and others not.
fn delivery(rows: i64) -> Outbox {
    let mut all: Vec<_> = (0..rows).map(|i| row(START + (i % 4) * DAY + i * 1_000, 5, 1)).collect();
    for (i, row) in all.iter_mut().enumerate() {
        row.dims = [format!("k{i}")].into();
    }
    Outbox { epochs: vec![epoch(5)], ..realtime(all) }
}

#[test]
fn kill_9_in_the_middle_of_an_insert_and_its_repetition_leave_no_row_double_or_lost() {
    let Some(mut engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let rows = 60_000;
    let outbox = delivery(rows);
    let mut interrupted = 0;
    for pause_ms in [5, 15, 30, 60, 90, 130] {
        let result = std::thread::scope(|scope| {
            let inserting = scope.spawn(|| sink.insert(2, &outbox));
            std::thread::sleep(Duration::from_millis(pause_ms));
            engine.process.kill();
            inserting.join().unwrap()
        });
        match result {
            Ok(()) => {}
            Err(SinkError::Retry(_)) => interrupted += 1,
            Err(error) => panic!("a killed server is no reason to stop: {error}"),
        }
        engine.restart_after_kill();
    }
    assert!(interrupted > 0, "no insert was interrupted");
    sink.insert(2, &outbox).unwrap();
    let sums = "SELECT count(), uniqExact(dims, start), sum(ints['count']) FROM weir.metric_realtime FINAL";
    assert_eq!(engine.ask(sums), format!("{rows}\t{rows}\t{rows}"));
    assert_eq!(sink.max_generation().unwrap(), 2);
    // What was acknowledged is there after a kill.
    engine.restart_after_kill();
    assert_eq!(engine.ask(sums), format!("{rows}\t{rows}\t{rows}"));
}

#[test]
fn a_wrong_password_is_one_clear_line_and_the_right_one_is_let_in() {
    let Some(engine) = Engine::start_with_user("weir", "right one") else { return };
    let with = |password: &str| {
        let (user, password) = ("weir".to_string(), password.to_string());
        ClickHouse::new(Options { user, password, ..Options::new(&engine.process.url) }).expect("options")
    };
    for wrong in ["wrong", ""] {
        let sink = with(wrong);
        let text = fatal(sink.prepare());
        assert!(text.contains("user `weir`") && text.contains("password") && !text.contains('\n'), "{text}");
        let text = fatal(sink.insert(1, &realtime(vec![row(START, 1, 1)])));
        assert!(text.contains("password"), "{text}");
    }
    let sink = with("right one");
    sink.prepare().unwrap();
    sink.insert(1, &realtime(vec![row(START, 1, 1)])).unwrap();
}

#[test]
fn nothing_behind_the_url_is_a_reason_to_try_again() {
    let port = std::net::TcpListener::bind(any_port()).unwrap().local_addr().unwrap();
    let sink = ClickHouse::new(Options::new(&format!("http://{port}"))).unwrap();
    let outbox = realtime(vec![row(START, 1, 1)]);
    for result in [sink.prepare(), sink.insert(1, &outbox), sink.max_generation().map(|_| ())] {
        match result {
            Err(SinkError::Retry(text)) => {
                assert!(text.contains("refused") && text.contains(&port.to_string()), "{text}");
            }
            other => panic!("not to be tried again: {other:?}"),
        }
    }
}

#[test]
fn an_https_url_speaks_tls() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind(any_port()).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 3];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        hello
    });
    let result = ClickHouse::new(Options::new(&url)).unwrap().prepare();
    assert!(matches!(result, Err(SinkError::Retry(_))), "{result:?}");
    assert_eq!(server.join().unwrap()[..2], [22, 3], "a TLS handshake");
}

#[test]
fn a_server_that_takes_the_connection_and_never_answers_is_given_up_in_time() {
    let listener = std::net::TcpListener::bind(any_port()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let timeout = Duration::from_millis(200);
    let sink = ClickHouse::new(Options { timeout, ..Options::new(&url) }).unwrap();
    let outbox = Outbox { epochs: vec![epoch(1)], ..Outbox::default() };
    for result in [sink.prepare(), sink.insert(1, &outbox)] {
        assert!(matches!(&result, Err(SinkError::Retry(text)) if text.contains("in time")), "{result:?}");
    }
}

#[test]
fn a_dropped_table_is_named_and_not_tried_again() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    engine.ask("DROP TABLE weir.metric_realtime SYNC");
    let text = fatal(sink.insert(1, &realtime(vec![row(START, 1, 1)])));
    assert!(text.contains("metric_realtime"), "{text}");
}

#[test]
fn a_second_engine_over_the_same_data_and_one_on_a_taken_port_say_so() {
    let Some(engine) = Engine::start() else { return };
    let (binary, lib) = paths().unwrap();
    let second = Process::start(&binary, &lib, engine.dir.path(), any_port());
    let error = second.expect_err("two on the same data").to_string();
    assert!(error.contains("in use by another engine process"), "{error}");
    let other = tempfile::tempdir().unwrap();
    let address = engine.process.url.trim_start_matches("http://").parse().unwrap();
    let error = Process::start(&binary, &lib, other.path(), address).expect_err("port taken").to_string();
    assert!(error.contains("cannot listen on"), "{error}");
    assert_eq!(engine.ask("SELECT 1"), "1", "the first goes on");
}

#[test]
fn rows_of_a_lost_future_are_taken_back_and_the_generation_that_did_it_is_found() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let rows = Outbox { epochs: vec![epoch(9)], ..realtime(vec![row(START, 9, 1)]) };
    sink.insert(6, &rows).unwrap();
    sink.take_back(LostFuture { epoch: 3, generation: 6 }, 8).unwrap();
    assert_eq!(engine.ask("SELECT count() FROM weir.metric_realtime FINAL"), "0");
    assert_eq!(engine.ask("SELECT count() FROM weir.epochs FINAL"), "0");
    assert_eq!(sink.max_generation().unwrap(), 8);
}

#[test]
fn a_take_back_of_epochs_without_a_value_leaves_its_generation_behind() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    sink.insert(6, &Outbox { epochs: vec![epoch(3), epoch(9)], ..Outbox::default() }).unwrap();
    let lost = LostFuture { epoch: 3, generation: 6 };
    for _ in 0..2 {
        sink.take_back(lost, 8).unwrap();
        assert_eq!(engine.ask("SELECT groupArray(epoch) FROM weir.epochs FINAL"), "[3]");
        assert_eq!(
            engine.ask("SELECT action, bitShiftRight(version, 40) FROM weir.audit FINAL"),
            "taken-back\t8"
        );
        assert_eq!(sink.max_generation().unwrap(), 8);
    }
}

#[test]
fn a_dead_letter_that_a_lost_future_took_up_is_dead_again_and_one_that_it_gave_is_gone() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let letter = |offset, epoch, outcome| DeadLetterRow { epoch, ..letter(0, offset, "not-json", outcome) };
    let read = |number: u64, from: i64, to: i64| {
        let partition = TopicPartition { topic: "svc.t".into(), partition: 0 };
        EpochRow {
            partitions: vec![EpochPartition { partition, from, to, counts: Counts::default() }],
            ..epoch(number)
        }
    };
    let insert = |generation: u64, epochs: Vec<EpochRow>, dead_letters: Vec<DeadLetterRow>| {
        sink.insert(generation, &Outbox { epochs, dead_letters, ..Outbox::default() }).unwrap();
    };
    insert(6, vec![read(2, 0, 3)], (0..3).map(|n| letter(n, 2, DeadOutcome::Dead)).collect());
    insert(6, vec![read(3, 3, 3)], vec![letter(0, 3, DeadOutcome::Applied)]);
    // After the export: one is redriven; of two that are read then one is redriven, too.
    insert(6, vec![read(8, 3, 5)], vec![letter(3, 8, DeadOutcome::Dead), letter(4, 8, DeadOutcome::Dead)]);
    insert(
        6,
        vec![read(9, 5, 5)],
        vec![letter(1, 9, DeadOutcome::Applied), letter(3, 9, DeadOutcome::Applied)],
    );
    let outcomes =
        "SELECT groupArray((offset, outcome)) FROM (SELECT * FROM weir.dead_letters FINAL ORDER BY offset)";
    for _ in 0..2 {
        sink.take_back(LostFuture { epoch: 3, generation: 6 }, 8).unwrap();
        assert_eq!(engine.ask(outcomes), "[(0,'applied'),(1,'dead'),(2,'dead')]");
    }
    insert(8, vec![read(4, 3, 4)], vec![letter(1, 4, DeadOutcome::Skipped)]);
    assert_eq!(engine.ask(outcomes), "[(0,'applied'),(1,'skipped'),(2,'dead')]");
}

#[test]
fn a_lost_future_of_many_days_is_taken_back_whatever_the_time_for_one_statement_is() {
    let Some(engine) = Engine::start() else { return };
    let sink = engine.sink();
    sink.prepare().unwrap();
    let day = |n: i64| START + n * DAY;
    // Epoch 3 stays, and of the days after it what came later does not.
    sink.insert(6, &realtime((0..20).map(|n| row(day(n), 3, 1)).collect())).unwrap();
    sink.insert(6, &realtime((10..30).map(|n| row(day(n), 9, 2)).collect())).unwrap();
    let hurried = Options { timeout: Duration::from_millis(1), ..Options::new(&engine.process.url) };
    let hurried = ClickHouse::new(hurried).unwrap();
    let lost = LostFuture { epoch: 3, generation: 6 };
    for _ in 0..2 {
        hurried.take_back(lost, 8).unwrap();
        assert_eq!(engine.ask("SELECT count(), max(epoch) FROM weir.metric_realtime FINAL"), "10\t3");
    }
    let marked = engine.ask("SELECT count() FROM weir.metric_realtime WHERE deleted");
    // A start that does not know what was done marks nothing twice.
    sink.take_back(lost, 9).unwrap();
    assert_eq!(engine.ask("SELECT count() FROM weir.metric_realtime WHERE deleted"), marked);
    sink.insert(9, &realtime(vec![row(day(12), 4, 5)])).unwrap();
    assert_eq!(engine.ask("SELECT count() FROM weir.metric_realtime FINAL"), "11");
}
