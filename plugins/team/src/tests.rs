//! The catalogue's table, and rows for the tests of single metrics.

#![allow(clippy::unwrap_used)]
use super::*;
use weir_metric::harness::summary;

/// 2026-11-23, a Monday, 10:00 UTC, and some seconds.
pub fn at(seconds: i64) -> Time {
    Time::seconds(1_795_392_000 + 36_000 + seconds)
}

/// Agent 41, who waits for work.
pub fn agent() -> Agent<'static> {
    Agent { agent_id: 41, queue_id: 3, state: Text("available"), since: at(0), slots: 4, slots_used: 1 }
}

#[test]
fn the_definitions_are_those_of_the_catalogue() {
    let due = [
        "agent.by_state: now, table; agent_state by queue_id; offline int, available int, on_contact int, \
         wrapup int, break int, error int"
            .to_string(),
        "agent.slots: now; agent_state by queue_id; slots int, used int".into(),
        "agent.state_time: 15m 1h day, table; agent_state by queue_id agent_id; watch state since; \
         available float s, on_contact float s, wrapup float s, break float s, error float s"
            .into(),
        "im.session_bursts: session-60s; im_session by queue_id; watch queued_at; count int, length float s"
            .into(),
        "call.offered_rate: 5m/10s; call_record by queue_id; watch queued_at; count int, per_minute float 1/min"
            .into(),
        "agent.current: now, table; agent_state by agent_id; state text?, since time? us, queue_id int?, \
         slots int?, slots_used int?"
            .into(),
    ];
    let infos = plugin().describe();
    assert_eq!(infos.iter().map(summary).collect::<Vec<_>>(), due);
    for info in &infos {
        assert!(info.title.len() <= 60 && !info.description.contains('`'), "{}", info.name);
        assert!(info.dimension_sets.is_empty(), "{}: every subset", info.name);
        let extra = |key: &str| info.extra.iter().find(|(name, _)| name == key).map(|(_, v)| v.as_str());
        assert_eq!(extra("board"), Some("team"), "{}", info.name);
        let correct_for = (info.name == "agent.state_time").then_some("26h");
        assert_eq!(extra("correct_for"), correct_for, "{}", info.name);
    }
}

#[test]
fn a_metric_asks_only_for_what_it_needs() {
    let infos = plugin().describe();
    let fields = |name: &str| -> Vec<String> {
        let info = infos.iter().find(|info| info.name == name).unwrap();
        info.inputs[0].fields.iter().map(|field| field.name.clone()).collect()
    };
    assert_eq!(fields("agent.by_state"), ["queue_id", "state"]);
    assert_eq!(fields("agent.state_time"), ["queue_id", "agent_id", "state", "since"]);
    assert_eq!(fields("im.session_bursts"), ["queue_id", "queued_at"]);
}
