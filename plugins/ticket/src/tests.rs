//! The catalogue's table, and rows for the tests of single metrics.

#![allow(clippy::unwrap_used)]
use super::*;
use weir_metric::harness::summary;

/// 2026-11-23, a Monday, 00:00 UTC.
const MONDAY: i64 = 1_795_392_000;

pub fn monday(hour: i64) -> Time {
    Time::seconds(MONDAY + hour * 3_600)
}

/// A new ticket, created on Monday at 10:00, that nothing happened to yet.
pub fn ticket() -> Ticket<'static> {
    Ticket {
        queue_id: 7,
        channel: Text("web"),
        priority: 2,
        assignee_id: None,
        status: Text("new"),
        created_at: monday(10),
        assigned_at: None,
        first_reply_at: None,
        solved_at: None,
        closed_at: None,
        reopen_count: 0,
        reply_count: 0,
        escalated: false,
        first_reply_due_at: None,
        resolve_due_at: None,
        updated_at: monday(10),
    }
}

pub const STATUSES: [&str; 5] = ["new", "open", "pending", "solved", "closed"];

#[test]
fn the_definitions_are_those_of_the_catalogue() {
    const PERIOD: &str = "1m 15m 1h day";
    let times = "mean float? s, p50 float? s, p90 float? s, max float? s, count int, mean_business float? s";
    let due = [
        format!("ticket.created: {PERIOD}; ticket by queue_id channel priority; watch created_at; count int"),
        format!("ticket.solved: {PERIOD}, table; ticket by queue_id assignee_id; watch status; count int"),
        format!("ticket.closed: {PERIOD}; ticket by queue_id; watch status; count int"),
        format!("ticket.reopened: {PERIOD}; ticket by queue_id assignee_id; watch reopen_count; count int"),
        format!("ticket.escalated: {PERIOD}; ticket by queue_id priority; watch escalated; count int"),
        format!(
            "ticket.replies: {PERIOD}, table; ticket by queue_id assignee_id; watch reply_count; count int"
        ),
        "ticket.backlog: now, table; ticket by queue_id priority; count int".into(),
        "ticket.unassigned: now; ticket by queue_id; count int".into(),
        "ticket.pending: now; ticket by queue_id; count int".into(),
        "ticket.assigned_load: now, table; ticket by assignee_id; count int".into(),
        "ticket.oldest_open: now; ticket by queue_id; oldest_at time? us".into(),
        "ticket.age_buckets: now varying; ticket by queue_id; under_1h int, from_1h_to_8h int, \
         from_8h_to_24h int, from_1d_to_3d int, over_3d int"
            .into(),
        "ticket.sla_at_risk: now varying; ticket by queue_id priority; count int".into(),
        "ticket.sla_overdue: now varying, table; ticket by queue_id priority; count int".into(),
        format!(
            "ticket.first_reply_time: {PERIOD}, table; ticket by queue_id assignee_id; watch first_reply_at; {times}"
        ),
        format!(
            "ticket.resolution_time: {PERIOD}, table; ticket by queue_id assignee_id; watch status; {times}"
        ),
        format!(
            "ticket.assignment_time: {PERIOD}; ticket by queue_id; watch assigned_at; \
             mean float? s, p90 float? s, count int"
        ),
        format!(
            "ticket.sla_first_reply_met: {PERIOD}; ticket by queue_id priority; watch first_reply_at; \
             met int, total int"
        ),
        format!("ticket.customers: {PERIOD}; ticket by channel; watch created_at; count int"),
        format!("ticket.one_touch: {PERIOD}; ticket by queue_id; watch status; count int"),
    ];
    let infos = plugin().describe();
    assert_eq!(infos.iter().map(summary).collect::<Vec<_>>(), due);
    for info in &infos {
        assert!(info.title.len() <= 60 && !info.description.contains('`'), "{}", info.name);
        assert!(info.dimension_sets.is_empty(), "{}: every subset", info.name);
    }
}

#[test]
fn a_metric_asks_only_for_what_it_needs() {
    let infos = plugin().describe();
    let fields = |name: &str| -> Vec<String> {
        let info = infos.iter().find(|info| info.name == name).unwrap();
        info.inputs[0].fields.iter().map(|field| field.name.clone()).collect()
    };
    assert_eq!(fields("ticket.created"), ["queue_id", "channel", "priority", "created_at"]);
    assert_eq!(fields("ticket.backlog"), ["queue_id", "priority", "status"]);
    assert_eq!(fields("ticket.one_touch"), ["queue_id", "status", "reply_count", "solved_at"]);
    assert_eq!(fields("ticket.sla_at_risk"), ["queue_id", "priority", "resolve_due_at", "status"]);
}
