//! Every endpoint, over a real socket, with an engine and a history that are fed by hand.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use weir_serve::{ControlCell, Live, LiveOptions, Options, Server};
use weir_types::live::{Condition, EpochUpdate, MetricCost, Publisher};
use weir_types::rows::OutputValue;
use weir_types::{MINUTE, SECOND};

#[test]
fn the_catalogue_tells_what_a_metric_is_and_what_it_costs() {
    let running = started();
    let cost = MetricCost { busy_ns: 1_500_000_000, samples: 9, ..MetricCost::default() };
    let costs = [("ticket.created".to_string(), cost)].into();
    running.live.publish(EpochUpdate { costs, ..update(2, Vec::new()) });
    let body = running.get("/api/v1/metrics").json();
    let metrics = body["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 3);
    let created = &metrics[0];
    assert_eq!(created["name"], "ticket.created");
    assert_eq!(created["board"], "ticket");
    assert_eq!(created["windows"], json!(["1m", "15m", "1h", "day"]));
    assert_eq!(created["dimension_sets"].as_array().unwrap().len(), 8);
    assert_eq!(created["dimension_sets"][3], json!(["queue_id", "channel"]));
    assert_eq!(created["outputs"][0]["name"], "count");
    assert_eq!(created["status"], "live");
    assert_eq!(created["since"], "2026-11-23T08:00:00Z");
    assert_eq!(created["cost"]["busy_seconds"], 1.5);
    assert_eq!(created["cost"]["samples"], 9);
}

#[test]
fn a_metric_stands_on_the_board_that_it_names_not_on_the_one_of_its_name() {
    let running = started();
    let mut offered = call_offered();
    Arc::make_mut(&mut offered.info).extra.push(("board".into(), "team".into()));
    running.live.publish(with_catalogue(update(2, Vec::new()), vec![ticket_created(), offered]));
    let body = running.get("/api/v1/metrics").json();
    let metrics = body["metrics"].as_array().unwrap();
    let boards: Vec<_> = metrics.iter().map(|m| (m["name"].as_str(), m["board"].as_str())).collect();
    assert_eq!(
        boards,
        [(Some("ticket.created"), Some("ticket")), (Some("call.offered"), Some("team"))],
        "{body}"
    );
}

#[test]
fn latest_gives_values_for_programs_and_for_people() {
    let running = started();
    let body = running.get("/api/v1/latest?metric=ticket.created&window=1m&set=").json();
    assert_eq!(body["epoch"], 1);
    assert_eq!(
        body["rows"],
        json!([{
            "metric": "ticket.created", "window": "1m", "set": "", "dims": [],
            "start": "2026-11-23T08:00:00Z", "end": "2026-11-23T08:01:00Z", "label": "08:00 – 08:01",
            "at": "08:00",
            "outputs": { "count": 1234 }, "display": { "count": "1\u{202f}234" },
            "final": false, "complete": true, "samples": 3,
        }])
    );
    let day = running.get("/api/v1/latest?metric=ticket.created&window=day").json();
    assert_eq!(day["rows"][0]["outputs"]["count"], "1152921504606846976", "beyond 2^53 it is text");
}

#[test]
fn latest_filters_by_set_and_by_key_and_null_is_a_key() {
    let running = started();
    let queues = running.get("/api/v1/latest?metric=ticket.created&window=1m&set=queue_id").json();
    assert_eq!(queues["rows"].as_array().unwrap().len(), 2);
    let null = running.get("/api/v1/latest?set=queue_id&dim=%5CN").json();
    assert_eq!(null["rows"].as_array().unwrap().len(), 1);
    assert_eq!(null["rows"][0]["dims"], json!([null]));
    assert_eq!(running.get("/api/v1/latest").json()["rows"].as_array().unwrap().len(), 5);
    let selected = running.get("/api/v1/latest?select=ticket.backlog%3B%3B*&select=%3Bday%3B").json();
    assert_eq!(selected["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn a_bad_parameter_is_named() {
    let running = started();
    for (target, parameter) in [
        ("/api/v1/latest?metrik=a", "metrik"),
        ("/api/v1/latest?metric=ticket.created&window=2m", "window"),
        ("/api/v1/latest?metric=ticket.created&set=queue", "set"),
        ("/api/v1/latest?dim=3", "dim"),
        ("/api/v1/latest?set=queue_id&dim=3&dim=4", "dim"),
        ("/api/v1/latest?select=a", "select"),
        ("/api/v1/stream?window=1m&window=1h", "window"),
        ("/api/v1/series?window=1m", "metric"),
        ("/api/v1/series?metric=ticket.created", "window"),
        ("/api/v1/series?metric=ticket.created&window=1m&from=noon", "from"),
        ("/api/v1/series?metric=ticket.created&window=1m&from=2&to=1", "from"),
        ("/api/v1/series?metric=ticket.created&window=1m&from=0&to=1795420800000000", "from"),
        ("/api/v1/series?metric=ticket.created&window=1m&limit=0", "limit"),
        ("/api/v1/series?metric=ticket.created&window=1m&limit=10001", "limit"),
        ("/api/v1/series?metric=ticket.created&window=1m&set=queue_id", "dim"),
        ("/api/v1/status?x=1", "x"),
    ] {
        let answer = running.get(target);
        assert_eq!(answer.problem(), (400, "bad-parameter".into()), "{target}");
        assert_eq!(answer.json()["parameter"], parameter, "{target}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(parameter), "{}", answer.text());
    }
}

#[test]
fn unknown_things_and_wrong_methods_are_problems_with_codes() {
    let running = started();
    assert_eq!(running.get("/api/v2/metrics").problem(), (404, "unknown-route".into()));
    assert_eq!(running.get("/favicon.png").problem(), (404, "unknown-route".into()));
    assert_eq!(running.get("/api/v1/latest?metric=no.such").problem(), (404, "unknown-metric".into()));
    let answer = running.ask("POST", "/api/v1/latest", &[], b"");
    assert_eq!(answer.problem(), (405, "method-not-allowed".into()));
    assert_eq!(answer.header("allow"), Some("get, head"));
    let answer = running.ask("GET", "/api/v1/plugins/ticket.created", &[], b"");
    assert_eq!(answer.problem(), (405, "method-not-allowed".into()));
    assert_eq!(answer.header("allow"), Some("delete"));
    assert_eq!(running.ask("HEAD", "/api/v1/metrics", &[], b"").status, 200);
}

#[test]
fn series_asks_the_history_within_bounds() {
    let running = started();
    let target = "/api/v1/series?metric=ticket.created&window=1m&set=queue_id,channel&dim=3&dim=%5CN\
                  &from=2026-11-23T07:00:00Z&to=1795420800000000&limit=5";
    let body = running.get(target).json();
    assert_eq!(body["dims"], json!(["3", null]));
    assert_eq!(body["from"], "2026-11-23T07:00:00Z");
    let points = body["points"].as_array().unwrap();
    assert_eq!(points.len(), 5);
    assert_eq!(points[4]["start"], "2026-11-23T07:59:00Z");
    assert_eq!(points[4]["label"], "07:59 – 08:00");
    assert!(points[4]["display"]["count"].is_string() && points[4]["outputs"]["count"].is_i64());
    let asked = running.history.asked.lock().unwrap();
    assert_eq!(asked[0].dims, ["3", "\\N"]);
    assert_eq!((asked[0].from, asked[0].to, asked[0].limit), (EIGHT - 60 * MINUTE, EIGHT, 5));
}

#[test]
fn series_without_times_covers_the_hour_up_to_the_epochs_clock() {
    let running = started();
    running.get("/api/v1/series?metric=ticket.created&window=1m");
    let asked = running.history.asked.lock().unwrap();
    assert_eq!(asked[0].to, EIGHT + SECOND + 1);
    assert_eq!(asked[0].to - asked[0].from, 60 * MINUTE);
}

#[test]
fn a_history_that_is_away_or_slow_is_told_apart() {
    let running = started();
    *running.history.trouble.lock().unwrap() = Some("ClickHouse does not answer".into());
    let answer = running.get("/api/v1/series?metric=ticket.created&window=1m");
    assert_eq!(answer.problem(), (502, "history-unavailable".into()));
    assert_eq!(answer.json()["detail"], "ClickHouse does not answer");

    let slow = FakeHistory { delay: Duration::from_millis(300), ..FakeHistory::default() };
    let patience = Options { series_timeout: Duration::from_millis(30), series_concurrency: 1, ..options() };
    let running = start(patience, LiveOptions::default(), slow);
    running.first_epoch();
    let target = "/api/v1/series?metric=ticket.created&window=1m";
    // The only place is held until the thread is done, so that slow questions cannot pile up.
    assert_eq!(running.get(target).problem(), (503, "busy".into()));
    assert_eq!(running.get(target).problem(), (503, "busy".into()));

    let slow = FakeHistory { delay: Duration::from_millis(300), ..FakeHistory::default() };
    let running = start(
        Options { series_timeout: Duration::from_millis(30), ..options() },
        LiveOptions::default(),
        slow,
    );
    running.first_epoch();
    assert_eq!(running.get(target).problem(), (504, "history-timeout".into()));
}

#[test]
fn status_tells_where_the_engine_stands() {
    let running = started();
    running.live.delivery(2, 300, 4000);
    let body = running.get("/api/v1/status").json();
    assert_eq!(body["epoch"], 1);
    assert_eq!(body["clock"], "2026-11-23T08:00:01Z");
    assert_eq!(body["generation"], 7);
    assert_eq!(body["ready"], true);
    assert_eq!(
        body["sources"][0]["partitions"][0],
        json!({
            "topic": "svc.service.ticket", "partition": 0, "next_offset": 12, "caught_up": true, "idle": false,
            "greatest_event_time": "2026-11-23T08:00:00Z",
            "counts": { "read": 12, "applied": 9, "skipped": { "tombstone": 2 }, "dead": 1 },
            "redriven": 1,
        })
    );
    assert_eq!(body["delivery"], json!({ "waiting_epochs": 2, "waiting_rows": 300, "inserted_rows": 4000 }));
    assert_eq!(body["latest"]["rows"], 5);
}

#[test]
fn readiness_gives_its_reasons_and_health_only_says_that_the_process_lives() {
    let running = start(options(), LiveOptions::default(), FakeHistory::default());
    assert_eq!(running.get("/healthz").status, 200);
    let answer = running.get("/readyz");
    assert_eq!((answer.status, answer.json()["conditions"][0]["part"].clone()), (503, json!("recovery")));
    running.first_epoch();
    assert_eq!(running.get("/readyz").status, 200);
    let reason = "the broker 127.0.0.1:9 does not answer; trying again".to_string();
    running.live.condition("kafka", Some(Condition { part: "kafka", blocking: true, reason }));
    let answer = running.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json(),
        json!({ "ready": false, "conditions": [{
            "part": "kafka", "blocking": true,
            "reason": "the broker 127.0.0.1:9 does not answer; trying again",
        }] })
    );
    assert_eq!(running.get("/healthz").status, 200);
}

#[test]
fn the_stream_gives_a_snapshot_and_then_every_epoch() {
    let running = started();
    let mut events = Events::open(&running, "/api/v1/stream?select=ticket.created%3B1m%3B");
    let snapshot = events.next().unwrap();
    assert_eq!((snapshot.name.as_str(), snapshot.id.as_deref()), ("snapshot", Some("1")));
    assert_eq!(snapshot.data["catalogue"].as_array().unwrap().len(), 3);
    assert_eq!(snapshot.data["rows"].as_array().unwrap().len(), 1);
    assert_eq!(snapshot.data["health"]["ready"], true);

    let rows = vec![
        row("ticket.created", "1m", "", &[], EIGHT, vec![OutputValue::Int(1240)]),
        row("ticket.backlog", "now", "", &[], EIGHT, vec![OutputValue::Int(57)]),
    ];
    running.live.publish(update(2, rows));
    let change = events.next().unwrap();
    assert_eq!((change.name.as_str(), change.id.as_deref()), ("change", Some("2")));
    assert_eq!(change.data["rows"].as_array().unwrap().len(), 1, "only what was asked for");
    assert_eq!(change.data["rows"][0]["outputs"]["count"], 1240);

    let mut gone = row("ticket.created", "1m", "", &[], EIGHT, vec![OutputValue::Int(0)]);
    gone.gone = true;
    running.live.publish(update(3, vec![gone]));
    let change = events.next().unwrap();
    assert_eq!(
        change.data["gone"],
        json!([{ "metric": "ticket.created", "window": "1m", "set": "", "dims": [] }])
    );
}

#[test]
fn the_stream_tells_when_the_catalogue_or_the_health_changes() {
    let running = started();
    let mut events = Events::open(&running, "/api/v1/stream");
    events.next().unwrap();
    let entries = vec![ticket_created(), ticket_backlog(), first_reply_time(), call_offered()];
    let rows = vec![row("call.offered", "1m", "", &[], EIGHT, vec![OutputValue::Int(5)])];
    running.live.publish(with_catalogue(update(2, rows), entries));
    let catalogue = events.next().unwrap();
    assert_eq!(catalogue.name, "catalogue");
    assert_eq!(catalogue.data[3]["name"], "call.offered");
    assert_eq!(events.next().unwrap().name, "health");
    let change = events.next().unwrap();
    assert_eq!((change.name.as_str(), &change.data["rows"][0]["metric"]), ("change", &json!("call.offered")));

    let reason = "ClickHouse does not answer; rows wait".to_string();
    running.live.condition("clickhouse", Some(Condition { part: "clickhouse", blocking: false, reason }));
    let health = events.next().unwrap();
    assert_eq!(health.name, "health");
    assert_eq!(health.data["conditions"][0]["part"], "clickhouse");
    assert_eq!(health.data["metrics"]["ticket.created"]["stale"], Value::Null);
}

#[test]
fn the_stream_tells_that_an_engine_without_work_lives() {
    let running = started();
    let mut events = Events::open(&running, "/api/v1/stream");
    events.next().unwrap();
    running.live.alive(EIGHT + 1_000_000);
    let alive = events.next().unwrap();
    assert_eq!((alive.name.as_str(), &alive.data), ("alive", &json!({ "clock": "2026-11-23T08:00:01Z" })));
    let latest = running.get("/api/v1/latest").json();
    assert_eq!((&latest["epoch"], &latest["clock"]), (&json!(1), &json!("2026-11-23T08:00:01Z")));
}

#[test]
fn a_quiet_stream_is_kept_open_by_comments_and_ends_with_the_server() {
    let quick = Options { keep_alive: Duration::from_millis(20), ..options() };
    let mut running = start(quick, LiveOptions::default(), FakeHistory::default());
    running.first_epoch();
    let mut events = Events::open(&running, "/api/v1/stream");
    assert_eq!(events.next().unwrap().name, "snapshot");
    assert_eq!(events.next().unwrap().name, ":");
    running.stop();
    while let Some(event) = events.next() {
        assert_eq!(event.name, ":");
    }
}

#[test]
fn a_slow_stream_is_given_a_fresh_snapshot_instead_of_what_it_missed() {
    let live = LiveOptions { lag_epochs_max: 4, ..LiveOptions::default() };
    let running = start(options(), live, FakeHistory::default());
    running.first_epoch();
    let mut events = Events::open(&running, "/api/v1/stream");
    assert_eq!(events.next().unwrap().name, "snapshot");
    // More than the sockets' buffers hold, while nobody reads; values that no row of the first epoch has.
    let (last, above) = (200, 1_000_000);
    for epoch in 2..=last {
        let rows = (0..2000).map(|queue| {
            let queue = queue.to_string();
            row(
                "ticket.created",
                "1m",
                "queue_id",
                &[&queue],
                EIGHT,
                vec![OutputValue::Int((above + epoch) as i64)],
            )
        });
        running.live.publish(update(epoch, rows.collect()));
    }
    let mut snapshots = 0;
    let mut seen = 0;
    while seen < last {
        let event = events.next().unwrap();
        seen = event.data["epoch"].as_u64().unwrap_or(seen);
        snapshots += u64::from(event.name == "snapshot");
        if event.name == "snapshot" {
            let rows = event.data["rows"].as_array().unwrap();
            let of_epoch = rows.iter().filter(|r| r["outputs"]["count"] == json!(above + seen)).count();
            assert_eq!(of_epoch, 2000, "a snapshot is whole");
        }
    }
    assert!(snapshots > 0, "it lagged behind, so it must have been given a snapshot");
    let text = running.get("/metrics");
    assert!(!text.text().contains("weir_stream_resyncs_total 0\n"));
}

#[test]
fn streams_beyond_the_limit_are_refused_until_one_ends() {
    let one = Options { subscribers_max: 1, ..options() };
    let running = start(one, LiveOptions::default(), FakeHistory::default());
    running.first_epoch();
    let mut events = Events::open(&running, "/api/v1/stream");
    events.next().unwrap();
    assert_eq!(running.get("/api/v1/status").json()["subscribers"], 1);
    let answer = running.get("/api/v1/stream");
    assert_eq!(answer.problem(), (503, "busy".into()));
    drop(events);
    while running.get("/api/v1/status").json()["subscribers"] != 0 {
        std::thread::yield_now();
    }
    assert_eq!(Events::open(&running, "/api/v1/stream").next().unwrap().name, "snapshot");
}

#[test]
fn the_dashboard_is_served_with_caching_by_hash_and_nothing_from_elsewhere() {
    let running = started();
    let page = running.get("/");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
    let script = page.text().split('"').find(|part| part.ends_with(".js")).unwrap();
    let asset = running.get(&format!("/{}", script.trim_start_matches(['.', '/'])));
    assert_eq!(asset.status, 200);
    assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(running.get("/../Cargo.toml").status, 404);
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let running = started();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let live = Arc::new(Live::new(LiveOptions::default()));
    let bound = runtime.block_on(Server::bind(
        Options::new(running.address),
        live,
        ControlCell::new(),
        Arc::new(FakeHistory::default()),
    ));
    let error = bound.err().unwrap().to_string();
    let port = running.address.port();
    assert_eq!(
        error,
        format!(
            "port {port} on 127.0.0.1 is taken by another program: stop it, or set another address in [host] listen"
        )
    );
}

#[test]
fn bytes_that_are_no_http_do_not_disturb_others() {
    let running = started();
    let mut stream = std::net::TcpStream::connect(running.address).unwrap();
    std::io::Write::write_all(&mut stream, b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(running.get("/healthz").status, 200);
}
