//! The shipped plugins, as they are built: every law holds over the sources that the demo declares.
//!
//! `cargo xtask test` builds them and names their folder in WEIR_COMPONENTS; without it this is skipped.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use weir_plugin::{Limits, Sandbox, SandboxOptions};
use weir_types::contract::{
    BaseRows, Changes, GuestError, MetricFactory, PackedColumn, PackedDictionary, pack,
};
use weir_types::ports::Loader;
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl, TimeUnit};
use weir_types::{DAY, HOUR, SECOND};

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

/// A column of a type as `examples/service/weir.toml` writes it, with the values that a text may have.
fn column((name, ty, values): &(&str, &str, &[&str])) -> ColumnDecl {
    let kind = match ty.trim_end_matches('?') {
        "text" => ColumnType::Text,
        "time" => ColumnType::Time(TimeUnit::Ms),
        "bool" => ColumnType::Bool,
        _ => ColumnType::Int,
    };
    let values = values.iter().map(|v| v.to_string()).collect();
    ColumnDecl { name: (*name).into(), ty: kind, nullable: ty.ends_with('?'), values }
}

fn source(name: &str, columns: &[(&str, &str, &[&str])]) -> Arc<SourceDecl> {
    let columns: Vec<ColumnDecl> = columns.iter().map(column).collect();
    let event_time = columns.iter().position(|c| c.name == "updated_at").unwrap();
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
    let ticket = source(
        "ticket",
        &[
            ("id", "int", &[]),
            ("queue_id", "int", &[]),
            ("channel", "text", &["web", "app", "email", "phone"]),
            ("priority", "int", &[]),
            ("customer_id", "int", &[]),
            ("assignee_id", "int?", &[]),
            ("status", "text", &["new", "open", "pending", "solved", "closed"]),
            ("created_at", "time", &[]),
            ("assigned_at", "time?", &[]),
            ("first_reply_at", "time?", &[]),
            ("solved_at", "time?", &[]),
            ("closed_at", "time?", &[]),
            ("reopen_count", "int", &[]),
            ("reply_count", "int", &[]),
            ("escalated", "bool", &[]),
            ("first_reply_due_at", "time?", &[]),
            ("resolve_due_at", "time?", &[]),
            ("updated_at", "time", &[]),
        ],
    );
    let call = source(
        "call_record",
        &[
            ("id", "int", &[]),
            ("queue_id", "int", &[]),
            ("direction", "text", &["inbound", "outbound", "callback"]),
            ("customer_id", "int", &[]),
            ("agent_id", "int?", &[]),
            (
                "status",
                "text",
                &["ivr", "queued", "ringing", "talking", "held", "wrapup", "done", "abandoned"],
            ),
            ("started_at", "time", &[]),
            ("queued_at", "time?", &[]),
            ("answered_at", "time?", &[]),
            ("ended_at", "time?", &[]),
            ("wrapup_ended_at", "time?", &[]),
            ("talk_seconds", "int", &[]),
            ("hold_seconds", "int", &[]),
            ("hold_count", "int", &[]),
            ("missed_count", "int", &[]),
            ("transferred_in", "bool", &[]),
            ("transferred_out", "bool", &[]),
            ("ended_by", "text?", &["agent", "customer", "system"]),
            ("updated_at", "time", &[]),
        ],
    );
    let session = source(
        "im_session",
        &[
            ("id", "int", &[]),
            ("queue_id", "int", &[]),
            ("channel", "text", &["app", "web", "wechat"]),
            ("customer_id", "int", &[]),
            ("agent_id", "int?", &[]),
            ("status", "text", &["bot", "queued", "active", "closed", "missed"]),
            ("created_at", "time", &[]),
            ("queued_at", "time?", &[]),
            ("assigned_at", "time?", &[]),
            ("first_reply_at", "time?", &[]),
            ("last_customer_message_at", "time?", &[]),
            ("last_agent_message_at", "time?", &[]),
            ("closed_at", "time?", &[]),
            ("customer_messages", "int", &[]),
            ("agent_messages", "int", &[]),
            ("reply_wait_seconds", "int", &[]),
            ("updated_at", "time", &[]),
        ],
    );
    let states = ["offline", "available", "on_contact", "wrapup", "break", "error"];
    let agent = source(
        "agent_state",
        &[
            ("agent_id", "int", &[]),
            ("queue_id", "int", &[]),
            ("state", "text", &states),
            ("since", "time", &[]),
            ("slots", "int", &[]),
            ("slots_used", "int", &[]),
            ("updated_at", "time", &[]),
        ],
    );
    let survey = source(
        "survey",
        &[
            ("id", "int", &[]),
            ("subject", "text", &["ticket", "call", "im"]),
            ("subject_id", "int", &[]),
            ("queue_id", "int", &[]),
            ("agent_id", "int?", &[]),
            ("sent_at", "time", &[]),
            ("score", "int?", &[]),
            ("resolved", "bool?", &[]),
            ("rated_at", "time?", &[]),
            ("updated_at", "time", &[]),
        ],
    );
    vec![ticket, call, session, agent, survey]
}

fn load(file: &str) -> Option<Vec<Arc<dyn MetricFactory>>> {
    let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
    Some(sandbox.load(file, &component(file)?, &sources()).unwrap())
}

/// Loads a plugin, which checks every law, and gives how many metrics over events and over current
/// values it carries.
fn carries(file: &str) -> Option<(usize, usize)> {
    let metrics = load(file)?;
    let board = if file == "survey.wasm" { "team" } else { file.trim_end_matches(".wasm") };
    for metric in &metrics {
        let info = metric.info();
        assert_eq!(info.board(), board, "{} in {file}", info.name);
        assert_eq!(info.dimension_sets.len(), 1 << info.dimensions.len(), "every subset of {}", info.name);
    }
    let now = metrics.iter().filter(|m| m.info().is_now()).count();
    Some((metrics.len() - now, now))
}

#[test]
fn the_ticket_plugin_passes_every_check() {
    let Some(carried) = carries("ticket.wasm") else { return };
    assert_eq!(carried, (12, 8));
}

#[test]
fn the_call_plugin_passes_every_check() {
    let Some(carried) = carries("call.wasm") else { return };
    assert_eq!(carried, (17, 3));
}

#[test]
fn the_im_plugin_passes_every_check() {
    let Some(carried) = carries("im.wasm") else { return };
    assert_eq!(carried, (8, 3));
}

#[test]
fn the_team_plugin_passes_every_check() {
    let Some(carried) = carries("team.wasm") else { return };
    assert_eq!(carried, (3, 3));
}

#[test]
fn the_survey_plugin_passes_every_check() {
    let Some(carried) = carries("survey.wasm") else { return };
    assert_eq!(carried, (3, 0));
}

#[test]
fn what_a_metric_says_of_its_correction_reaches_the_host() {
    let (Some(mut metrics), Some(surveys)) = (load("team.wasm"), load("survey.wasm")) else { return };
    metrics.extend(surveys);
    let said = |name: &str| {
        let metric = metrics.iter().find(|m| m.info().name == name).unwrap();
        metric.info().correct_for().unwrap()
    };
    assert_eq!(said("agent.state_time"), Some(26 * HOUR));
    assert_eq!(said("survey.response_rate"), Some(8 * DAY));
    assert_eq!(said("survey.csat"), None);
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
        before: vec![PackedColumn::default().into(); fields],
        after: vec![PackedColumn::default().into(); fields],
        dictionaries: vec![PackedDictionary::default().into(); fields],
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
