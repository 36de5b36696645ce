//! The catalogue's table, and rows for the tests of single metrics.

use super::*;
use weir_metric::harness::{Harness, summary};
use weir_metric::metric::Metric;

/// 2026-11-23, a Monday, at midnight UTC and so many seconds.
pub fn monday(seconds: i64) -> Time {
    Time::seconds(1_795_392_000 + seconds)
}

pub const STATUSES: [&str; 5] = ["bot", "queued", "active", "closed", "missed"];

/// A session that has just begun, with the bot.
pub fn session() -> Session<'static> {
    Session {
        queue_id: 5,
        channel: Text("app"),
        agent_id: None,
        status: Text("bot"),
        created_at: monday(0),
        queued_at: None,
        assigned_at: None,
        first_reply_at: None,
        closed_at: None,
        agent_messages: 0,
        reply_wait_seconds: 0,
    }
}

/// The session in the queue since a minute after it began.
pub fn queued() -> Session<'static> {
    Session { status: Text("queued"), queued_at: Some(monday(60)), ..session() }
}

/// The session with agent 31 since two minutes after it began.
pub fn active() -> Session<'static> {
    Session { status: Text("active"), agent_id: Some(31), assigned_at: Some(monday(120)), ..queued() }
}

/// The session closed after an hour and a half.
pub fn closed() -> Session<'static> {
    Session { status: Text("closed"), closed_at: Some(monday(5_400)), ..active() }
}

/// A harness to which a session was shown in one state after the other, the first one as an insert.
pub fn lived<M: Metric>(states: &[Session]) -> Harness<M> {
    let mut harness = Harness::new();
    if let Some(first) = states.first() {
        harness.insert(first);
    }
    states.windows(2).for_each(|pair| harness.update(&pair[0], &pair[1]));
    harness
}

#[test]
fn the_definitions_are_those_of_the_catalogue() {
    const PERIOD: &str = "1m 15m 1h day";
    let quantiles = "mean float? s, p50 float? s, p90 float? s, count int";
    let due = [
        format!("im.started: {PERIOD}; im_session by queue_id channel; watch created_at; count int"),
        format!("im.queued: {PERIOD}; im_session by queue_id; watch queued_at; count int"),
        format!("im.missed: {PERIOD}; im_session by queue_id; watch status; count int"),
        format!("im.closed: {PERIOD}, table; im_session by queue_id agent_id; watch status; count int"),
        format!("im.bot_contained: {PERIOD}; im_session by channel; watch status; count int"),
        "im.waiting: now, table; im_session by queue_id; count int".into(),
        "im.active: now, table; im_session by queue_id agent_id; count int".into(),
        "im.longest_wait: now; im_session by queue_id; oldest_at time? us".into(),
        format!(
            "im.first_reply_time: {PERIOD}, table; im_session by queue_id agent_id; watch first_reply_at; \
             {quantiles}"
        ),
        format!(
            "im.duration: {PERIOD}; im_session by queue_id agent_id; watch status; \
             mean float? s, p90 float? s, count int"
        ),
        format!(
            "im.reply_wait: {PERIOD}; im_session by queue_id agent_id; watch status; mean float? s, count int"
        ),
    ];
    let infos = plugin().describe();
    assert_eq!(infos.iter().map(summary).collect::<Vec<_>>(), due);
    for info in &infos {
        assert!(info.title.len() <= 60 && !info.description.contains('`'), "{}", info.name);
        assert!(info.dimension_sets.is_empty(), "{}: every subset", info.name);
    }
}
