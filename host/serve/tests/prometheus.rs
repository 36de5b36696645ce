//! `/metrics`, read by hand and by Prometheus' own checker.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use weir_types::live::{Condition, EpochUpdate, MetricCost, Publisher};

fn page() -> String {
    let running = started();
    let cost = MetricCost { busy_ns: 2_500_000_000, rows_in: 40, late: 3, ..MetricCost::default() };
    let costs = [("ticket.backlog".to_string(), cost)].into();
    running.live.publish(EpochUpdate { costs, ..update(2, Vec::new()) });
    running.live.delivery(2, 300, 4000);
    let reason = "an \"odd\"\\\nreason".to_string();
    running.live.condition("kafka", Some(Condition { part: "kafka", blocking: true, reason }));
    running.get("/api/v1/nothing");
    let answer = running.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.text().to_string()
}

#[test]
fn it_tells_of_partitions_metrics_epochs_and_delivery() {
    let page = page();
    for line in [
        r#"weir_partition_read_records_total{source="ticket",topic="svc.service.ticket",partition="0"} 12"#,
        r#"weir_partition_skipped_records_total{source="ticket",topic="svc.service.ticket",partition="0",reason="tombstone"} 2"#,
        r#"weir_partition_dead_records_total{source="ticket",topic="svc.service.ticket",partition="0"} 1"#,
        r#"weir_partition_next_offset{source="call_record",topic="svc.service.call_record",partition="0"} 30"#,
        r#"weir_metric_busy_seconds_total{metric="ticket.backlog"} 2.5"#,
        r#"weir_metric_late_samples_total{metric="ticket.backlog"} 3"#,
        r#"weir_epoch_stage_seconds_bucket{stage="decode",le="0.003"} 2"#,
        r#"weir_epoch_stage_seconds_bucket{stage="decode",le="0.001"} 0"#,
        r#"weir_epoch_stage_seconds_count{stage="write"} 2"#,
        r#"weir_http_requests_total{route="unknown",status="404"} 1"#,
        r#"weir_condition{part="kafka",blocking="true"} 1"#,
        "weir_ready 0",
        "weir_epochs_total 2",
        "weir_write_bytes_total 1024",
        "weir_delivery_waiting_rows 300",
        "weir_delivery_inserted_rows_total 4000",
        "weir_subscribers 0",
    ] {
        assert!(page.lines().any(|l| l == line), "missing: {line}\n{page}");
    }
}

#[test]
fn every_family_has_help_and_stands_once() {
    let page = page();
    let helped: Vec<&str> = page
        .lines()
        .filter_map(|l| l.strip_prefix("# HELP "))
        .map(|l| l.split(' ').next().unwrap())
        .collect();
    let distinct: BTreeSet<&str> = helped.iter().copied().collect();
    assert_eq!(helped.len(), distinct.len());
    for line in page.lines().filter(|l| !l.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
        assert!(distinct.contains(family) || distinct.contains(name), "{name} has no help");
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: promtool is not on PATH (Debian package prometheus)");
        return;
    };
    child.stdin.take().unwrap().write_all(page().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
