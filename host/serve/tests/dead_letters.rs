//! Dead letters over HTTP: list, show, redrive.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::sync::Arc;
use weir_serve::{LiveOptions, Options};
use weir_types::record::{Rekey, TopicPartition};
use weir_types::rows::{DeadLetterRow, DeadOutcome};

fn letter(offset: i64) -> DeadLetterRow {
    DeadLetterRow {
        partition: TopicPartition { topic: "svc.service.ticket".into(), partition: 0 },
        offset,
        metric: String::new(),
        code: "not-json".into(),
        reason: "it is no JSON".into(),
        key: b"{\"id\":1}".to_vec(),
        value: vec![0, 255],
        whole: true,
        rekey: Rekey::None,
        outcome: DeadOutcome::Dead,
        clock: EIGHT,
        epoch: 3,
    }
}

struct Serving {
    running: Running,
    control: Arc<FakeControl>,
    history: Arc<FakeHistory>,
}

fn serving(letters: i64, dev: bool) -> Serving {
    let history = FakeHistory { letters: (0..letters).map(letter).collect(), ..FakeHistory::default() };
    let running = start(Options { dev, ..options() }, LiveOptions::default(), history);
    running.first_epoch();
    let control = Arc::new(FakeControl::default());
    running.control.set(control.clone());
    let history = running.history.clone();
    Serving { running, control, history }
}

#[test]
fn letters_are_listed_page_by_page_without_their_bytes() {
    let Serving { running, history, .. } = serving(5, true);
    let page = running.get("/api/v1/dead-letters?limit=3&code=not-json&outcome=dead&source=ticket").json();
    let first = &page["dead_letters"][0];
    assert_eq!((first["offset"].as_i64(), first["code"].as_str()), (Some(0), Some("not-json")));
    assert_eq!((first["outcome"].as_str(), &first["value"]), (Some("dead"), &serde_json::Value::Null));
    let next = page["next"].as_str().unwrap();
    let page = running.get(&format!("/api/v1/dead-letters?limit=3&after={next}")).json();
    assert_eq!(page["dead_letters"].as_array().unwrap().len(), 2);
    assert!(page["next"].is_null());
    let asked = history.asked_dead.lock().unwrap();
    assert_eq!(asked[0].topics, ["svc.service.ticket"], "a source stands for its topics");
    assert_eq!((asked[0].outcome, asked[0].code.as_deref()), (Some(DeadOutcome::Dead), Some("not-json")));
    assert!(!asked[0].bytes);
}

#[test]
fn one_letter_is_shown_with_its_bytes_as_text_where_they_are_text() {
    let Serving { running, .. } = serving(5, true);
    let letter = running.get("/api/v1/dead-letters/svc.service.ticket/0/3").json();
    assert_eq!(letter["key"], "{\"id\":1}");
    assert_eq!((letter["value"].is_null(), letter["value_base64"].as_str()), (true, Some("AP8=")));
    let answer = running.get("/api/v1/dead-letters/svc.service.ticket/0/9");
    assert_eq!(answer.problem(), (404, "unknown-dead-letter".into()));
}

#[test]
fn letters_are_redriven_and_each_answer_is_told() {
    let Serving { running, control, history } = serving(4, true);
    let answer =
        running.ask("POST", "/api/v1/dead-letters/redrive?topic=svc.service.ticket", &[], b"").json();
    let told: Vec<(String, String)> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["outcome"].as_str().unwrap().into(), r["reason"].as_str().unwrap_or_default().into()))
        .collect();
    let expected = [
        ("applied", ""),
        ("skipped", "repeat"),
        ("dead", "not-json: it is none"),
        ("refused", "redriven before"),
    ];
    assert_eq!(told, expected.map(|(a, b)| (a.to_string(), b.to_string())));
    assert_eq!(control.redriven.lock().unwrap().len(), 4);
    let asked = history.asked_dead.lock().unwrap();
    assert_eq!((asked[0].outcome, asked[0].metric.as_deref()), (Some(DeadOutcome::Dead), Some("")));
    assert!(asked[0].bytes, "the stored bytes are needed should the broker have lost the record");
}

#[test]
fn what_does_not_narrow_is_refused_by_name() {
    let Serving { running, .. } = serving(1, true);
    for (query, parameter) in [
        ("partition=x", "partition"),
        ("outcome=perhaps", "outcome"),
        ("after=1;2", "after"),
        ("limit=0", "limit"),
        ("colour=red", "colour"),
    ] {
        let answer = running.get(&format!("/api/v1/dead-letters?{query}"));
        assert_eq!(answer.problem(), (400, "bad-parameter".into()), "{query}");
        assert_eq!(answer.json()["parameter"], parameter);
    }
    let unknown = running.get("/api/v1/dead-letters?source=nobody");
    assert_eq!(unknown.problem(), (404, "unknown-source".into()));
}

#[test]
fn dead_letters_are_the_operators_alone() {
    let Serving { running, control, .. } = serving(1, false);
    assert_eq!(running.get("/api/v1/dead-letters").problem(), (403, "forbidden".into()));
    assert_eq!(running.get("/api/v1/dead-letters/t/0/1").problem(), (403, "forbidden".into()));
    let answer = running.ask("POST", "/api/v1/dead-letters/redrive", &[], b"");
    assert_eq!(answer.problem(), (403, "forbidden".into()));
    assert!(control.redriven.lock().unwrap().is_empty());
}
