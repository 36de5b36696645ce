//! Plugins over HTTP: what is answered, and to whom.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::sync::Arc;
use weir_serve::{LiveOptions, Options};

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0rest";

fn serving(change: impl FnOnce(&mut Options)) -> (Running, Arc<FakeControl>) {
    let mut options = options();
    change(&mut options);
    let running = start(options, LiveOptions::default(), FakeHistory::default());
    running.first_epoch();
    let control = Arc::new(FakeControl::default());
    running.control.set(control.clone());
    (running, control)
}

fn push(running: &Running, headers: &[(&str, &str)]) -> Answer {
    running.ask("POST", "/api/v1/plugins?origin=call.wasm", headers, COMPONENT)
}

#[test]
fn a_component_is_loaded_listed_and_retired() {
    let (running, control) = serving(|o| o.dev = true);
    let answer = push(&running, &[]);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["metrics"][0]["name"], "call.offered");
    assert_eq!(*control.pushed.lock().unwrap(), [("call.wasm".to_string(), COMPONENT.len())]);
    assert_eq!(running.get("/api/v1/plugins").json()["metrics"][0]["name"], "ticket.created");
    let answer = running.ask("DELETE", "/api/v1/plugins/ticket.created", &[], b"");
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("retired")));
}

#[test]
fn what_the_engine_refuses_is_told_with_its_reason() {
    let (running, _) = serving(|o| o.dev = true);
    let answer = running.ask("POST", "/api/v1/plugins?origin=x.wasm", &[], b"no component");
    assert_eq!(answer.problem(), (422, "plugin-refused".into()));
    assert_eq!(answer.json()["detail"], "x.wasm is no component");
    let answer = running.ask("POST", "/api/v1/plugins", &[], b"\0asm twice");
    assert_eq!(answer.problem(), (409, "plugin-conflict".into()));
    let answer = running.ask("DELETE", "/api/v1/plugins/no.such", &[], b"");
    assert_eq!(answer.problem(), (404, "unknown-metric".into()));
    let answer = running.ask("DELETE", "/api/v1/plugins/stopping", &[], b"");
    assert_eq!(answer.problem(), (503, "engine-unavailable".into()));
    assert_eq!(running.ask("POST", "/api/v1/plugins", &[], b"").problem(), (400, "bad-body".into()));
}

#[test]
fn before_the_engine_runs_plugin_calls_answer_503() {
    let running = start(Options { dev: true, ..options() }, LiveOptions::default(), FakeHistory::default());
    assert_eq!(running.get("/api/v1/plugins").problem(), (503, "engine-unavailable".into()));
    assert_eq!(push(&running, &[]).problem(), (503, "engine-unavailable".into()));
}

#[test]
fn a_component_beyond_the_limit_is_refused_with_and_without_a_length() {
    let (running, control) = serving(|o| {
        o.dev = true;
        o.plugin_bytes_max = 8;
    });
    assert_eq!(push(&running, &[]).problem(), (413, "too-large".into()));
    let chunked = [("Transfer-Encoding", "chunked"), ("Content-Type", "application/wasm")];
    let body = b"5\r\n\0asm1\r\n5\r\n23456\r\n0\r\n\r\n";
    let answer = running.ask("POST", "/api/v1/plugins", &chunked, body);
    assert_eq!(answer.problem(), (413, "too-large".into()));
    assert!(control.pushed.lock().unwrap().is_empty());
}

#[test]
fn with_a_token_only_its_bearer_may_change_plugins() {
    let (running, _) = serving(|o| o.operator_token = Some("s3cret".into()));
    for headers in [
        vec![],
        vec![("Authorization", "Bearer wrong")],
        vec![("Authorization", "Bearer s3cret2")],
        vec![("Authorization", "Bearer ")],
        vec![("Authorization", "Basic s3cret")],
        vec![("Authorization", "s3cret")],
    ] {
        let answer = push(&running, &headers);
        assert_eq!(answer.problem(), (401, "unauthorized".into()), "{headers:?}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("bearer"));
    }
    assert_eq!(push(&running, &[("Authorization", "Bearer s3cret")]).status, 201);
    assert_eq!(push(&running, &[("Authorization", "bearer s3cret")]).status, 201);
    let retire =
        |headers: &[(&str, &str)]| running.ask("DELETE", "/api/v1/plugins/ticket.created", headers, b"");
    assert_eq!(retire(&[]).status, 401);
    assert_eq!(retire(&[("Authorization", "Bearer s3cret")]).status, 200);
}

#[test]
fn a_configured_token_counts_under_dev_too() {
    let (running, _) = serving(|o| {
        o.operator_token = Some("s3cret".into());
        o.dev = true;
    });
    assert_eq!(push(&running, &[]).status, 401);
}

#[test]
fn without_a_token_and_without_dev_nobody_may_change_plugins() {
    let (running, _) = serving(|_| {});
    let answer = push(&running, &[("Authorization", "Bearer anything")]);
    assert_eq!(answer.problem(), (403, "forbidden".into()));
    assert!(answer.json()["detail"].as_str().unwrap().contains("[tokens] operator"));
}

#[test]
fn under_dev_pages_of_other_sites_and_proxies_are_refused() {
    let (running, control) = serving(|o| o.dev = true);
    for headers in [
        vec![("Host", "evil.example:8080")],
        vec![("Origin", "http://evil.example")],
        vec![("Origin", "null")],
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("X-Forwarded-For", "10.0.0.9")],
        vec![("Forwarded", "for=10.0.0.9")],
    ] {
        assert_eq!(push(&running, &headers).problem(), (403, "forbidden".into()), "{headers:?}");
    }
    assert!(control.pushed.lock().unwrap().is_empty());
    let host = running.address.to_string();
    let origin = format!("http://{host}");
    assert_eq!(push(&running, &[("Host", &host), ("Origin", &origin)]).status, 201);
}
