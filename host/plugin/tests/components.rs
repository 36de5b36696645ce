//! The shipped plugins, as they are built: every law holds over the sources that the demo declares.
//!
//! `cargo xtask test` builds them and names their folder in WEIR_COMPONENTS; without it this is skipped.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use weir_plugin::{Limits, Sandbox, SandboxOptions};
use weir_types::SECOND;
use weir_types::contract::{
    BaseRows, Changes, GuestError, MetricFactory, PackedColumn, PackedDictionary, pack,
};
use weir_types::ports::Loader;
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl, TimeUnit};

/// The built plugin's bytes; None, said aloud, where no folder was named.
fn component(file: &str) -> Option<Vec<u8>> {
    let Some(folder) = std::env::var_os("WEIR_COMPONENTS") else {
        println!("skipped: WEIR_COMPONENTS names no folder of built plugins (cargo xtask test sets it)");
        return None;
    };
    let path = PathBuf::from(folder).join(file);
    let bytes = std::fs::read(&path);
    Some(
        bytes
            .unwrap_or_else(|e| panic!("WEIR_COMPONENTS is set, but {} cannot be read: {e}", path.display())),
    )
}

fn column(name: &str, ty: ColumnType, nullable: bool, values: &[&str]) -> ColumnDecl {
    let values = values.iter().map(|v| v.to_string()).collect();
    ColumnDecl { name: name.into(), ty, nullable, values }
}

fn source(name: &str, columns: Vec<ColumnDecl>) -> Arc<SourceDecl> {
    let event_time = columns.iter().position(|c| matches!(c.ty, ColumnType::Time(_))).unwrap();
    Arc::new(SourceDecl {
        name: name.into(),
        topics: vec![format!("svc.service.{name}")],
        table: name.into(),
        format: Format::DebeziumJson,
        reading: Reading::default(),
        columns,
        primary_key: vec![0],
        event_time,
        out_of_orderness: 5 * SECOND,
        idle_after: 5 * SECOND,
        max_dead_share: 0.5,
    })
}

fn sources() -> Vec<Arc<SourceDecl>> {
    use ColumnType::{Int, Text};
    let time = ColumnType::Time(TimeUnit::Ms);
    let status = ["new", "open", "pending", "solved", "closed"];
    let ticket = vec![
        column("id", Int, false, &[]),
        column("queue_id", Int, false, &[]),
        column("channel", Text, false, &["mail", "chat", "phone"]),
        column("priority", Int, false, &[]),
        column("status", Text, false, &status),
        column("assignee_id", Int, true, &[]),
        column("created_at", time, false, &[]),
        column("first_reply_at", time, true, &[]),
        column("updated_at", time, false, &[]),
    ];
    let call = vec![
        column("id", Int, false, &[]),
        column("queue_id", Int, false, &[]),
        column("direction", Text, false, &["inbound", "outbound"]),
        column("started_at", time, false, &[]),
        column("queued_at", time, true, &[]),
        column("updated_at", time, false, &[]),
    ];
    vec![source("ticket", ticket), source("call_record", call)]
}

fn load(file: &str) -> Option<Vec<Arc<dyn MetricFactory>>> {
    let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
    Some(sandbox.load(file, &component(file)?, &sources()).unwrap())
}

#[test]
fn the_ticket_plugin_passes_every_check() {
    let Some(metrics) = load("ticket.wasm") else { return };
    let mut names: Vec<&str> = metrics.iter().map(|m| m.info().name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["ticket.backlog", "ticket.created", "ticket.first_reply_time"]);
    for metric in &metrics {
        let info = metric.info();
        assert_eq!(info.dimension_sets.len(), 1 << info.dimensions.len(), "every subset of {}", info.name);
        assert_eq!(info.is_now(), info.name == "ticket.backlog");
    }
}

#[test]
fn the_call_plugin_passes_every_check() {
    let Some(metrics) = load("call.wasm") else { return };
    assert_eq!(metrics.iter().map(|m| m.info().name.as_str()).collect::<Vec<_>>(), ["call.offered"]);
}

#[test]
fn a_plugin_in_too_little_memory_is_refused_and_says_why() {
    let Some(bytes) = component("ticket.wasm") else { return };
    let limits = Limits { memory_bytes: 256 * 1024, ..Limits::default() };
    let sandbox = Sandbox::new(SandboxOptions { limits, ..SandboxOptions::default() }).unwrap();
    let error = sandbox.load("ticket.wasm", &bytes, &sources()).err().unwrap();
    assert!(error.contains("memory"), "{error}");
}

#[test]
fn a_plugin_that_is_shown_columns_of_the_wrong_length_does_not_read_beyond_them() {
    let Some(metrics) = load("ticket.wasm") else { return };
    let metric = metrics.iter().find(|m| m.info().name == "ticket.created").unwrap();
    let fields = metric.info().inputs[0].fields.len();
    let short = Changes {
        rows: 1_000,
        event_times: pack::i64s(&[0]),
        before: vec![PackedColumn::default(); fields],
        after: vec![PackedColumn::default(); fields],
        dictionaries: vec![PackedDictionary::default(); fields],
        ..Changes::default()
    };
    let answer = metric.open().unwrap().observe(0, &short);
    assert!(matches!(answer, Err(GuestError::Refused(_) | GuestError::Trap(_))), "{answer:?}");
}

#[test]
fn the_derived_plugins_pass_every_check_and_compute_by_row() {
    let files =
        [("ticket_rates.wasm", 5), ("call_rates.wasm", 3), ("im_rates.wasm", 2), ("team_rates.wasm", 2)];
    for (file, count) in files {
        let Some(metrics) = load(file) else { return };
        assert_eq!(metrics.len(), count, "{file}");
        for metric in &metrics {
            assert!(metric.info().is_derived() && metric.info().inputs.is_empty());
            assert!(metric.open().is_err(), "it is no metric over rows");
        }
    }
    let Some(metrics) = load("call_rates.wasm") else { return };
    let level = metrics.iter().find(|m| m.info().name == "call.service_level").unwrap();
    let column = |values: &[i64]| PackedColumn { values: pack::i64s(values), ..PackedColumn::default() };
    let given = BaseRows {
        rows: 2,
        columns: vec![column(&[8, 0]), column(&[12, 2]), column(&[2, 2])],
        dictionaries: vec![PackedDictionary::default(); 3],
        window_starts: pack::i64s(&[0, 0]),
        window_ends: pack::i64s(&[60, 60]),
    };
    let outputs = level.open_derived().unwrap().compute(&given).unwrap();
    assert_eq!(f64::from_bits(pack::i64_at(&outputs.columns[0].values, 0) as u64), 0.8);
    assert!(!pack::bit(&outputs.columns[0].validity, 1), "nothing to divide by");
    assert_eq!(outputs.columns[2].values, pack::i64s(&[10, 0]));
}

#[test]
fn a_derived_plugin_that_is_shown_columns_of_the_wrong_length_refuses_them() {
    let Some(metrics) = load("call_rates.wasm") else { return };
    let short = BaseRows {
        rows: 1_000,
        columns: vec![PackedColumn::default(); 2],
        dictionaries: vec![PackedDictionary::default(); 2],
        ..BaseRows::default()
    };
    let answer = metrics[0].open_derived().unwrap().compute(&short);
    assert!(matches!(answer, Err(GuestError::Refused(_) | GuestError::Trap(_))), "{answer:?}");
}
