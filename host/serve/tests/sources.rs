//! Sources over HTTP.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::sync::Arc;
use weir_serve::{LiveOptions, Options};
use weir_types::control::Resnapshot;

fn serving(dev: bool) -> (Running, Arc<FakeControl>) {
    let running = start(Options { dev, ..options() }, LiveOptions::default(), FakeHistory::default());
    let control = Arc::new(FakeControl::default());
    running.control.set(control.clone());
    (running, control)
}

#[test]
fn a_source_that_holds_is_resumed_with_and_without_its_dead() {
    let (running, control) = serving(true);
    let answer = running.ask("POST", "/api/v1/sources/ticket/resume", &[], b"");
    assert_eq!((answer.status, answer.json()["accept_dead"].as_bool()), (200, Some(false)));
    assert_eq!(running.ask("POST", "/api/v1/sources/ticket/resume?accept_dead=true", &[], b"").status, 200);
    let resumed = control.resumed.lock().unwrap().clone();
    assert_eq!(resumed, [("ticket".to_string(), false), ("ticket".to_string(), true)]);
}

#[test]
fn what_cannot_be_resumed_is_told_with_its_reason() {
    let (running, control) = serving(true);
    let ask = |path: &str| running.ask("POST", path, &[], b"").problem();
    assert_eq!(ask("/api/v1/sources/call_record/resume"), (409, "wrong-state".into()));
    assert_eq!(ask("/api/v1/sources/other/resume"), (404, "unknown-source".into()));
    assert_eq!(ask("/api/v1/sources/ticket/resume?accept_dead=perhaps"), (400, "bad-parameter".into()));
    assert_eq!(ask("/api/v1/sources/ticket/stop"), (404, "unknown-route".into()));
    assert_eq!(running.get("/api/v1/sources/ticket/resume").problem(), (405, "method-not-allowed".into()));
    assert!(control.resumed.lock().unwrap().is_empty());
}

#[test]
fn only_an_operator_may_resume_a_source() {
    let (running, control) = serving(false);
    let answer = running.ask("POST", "/api/v1/sources/ticket/resume", &[], b"");
    assert_eq!(answer.problem(), (403, "forbidden".into()));
    assert!(control.resumed.lock().unwrap().is_empty());
}

#[test]
fn a_source_that_has_stopped_goes_on_only_from_where_the_operator_says() {
    let (running, _) = serving(true);
    let ask = |path: &str| running.ask("POST", path, &[], b"");
    assert_eq!(ask("/api/v1/sources/ticket/restart?from=earliest").status, 200);
    assert_eq!(ask("/api/v1/sources/ticket/restart").problem(), (400, "bad-parameter".into()));
    assert_eq!(ask("/api/v1/sources/ticket/restart?from=now").problem(), (400, "bad-parameter".into()));
    assert_eq!(
        ask("/api/v1/sources/call_record/restart?from=earliest").problem(),
        (409, "wrong-state".into())
    );
}

#[test]
fn a_row_table_is_rebuilt_in_the_steps_that_the_operator_asks_for() {
    let (running, control) = serving(true);
    let ask = |path: &str| running.ask("POST", path, &[], b"");
    for (path, step) in
        [("", "begin"), ("?step=begin", "begin"), ("?step=finish", "finish"), ("?step=cancel", "cancel")]
    {
        let answer = ask(&format!("/api/v1/sources/ticket/resnapshot{path}"));
        assert_eq!((answer.status, answer.json()["step"].as_str()), (200, Some(step)));
    }
    let steps: Vec<Resnapshot> = control.resnapshots.lock().unwrap().iter().map(|(_, step)| *step).collect();
    assert_eq!(steps, [Resnapshot::Begin, Resnapshot::Begin, Resnapshot::Finish, Resnapshot::Cancel]);
    assert_eq!(ask("/api/v1/sources/ticket/resnapshot?step=x").problem(), (400, "bad-parameter".into()));
    assert_eq!(ask("/api/v1/sources/call_record/resnapshot").problem(), (409, "wrong-state".into()));
    assert_eq!(ask("/api/v1/sources/other/resnapshot").problem(), (404, "unknown-source".into()));
}
