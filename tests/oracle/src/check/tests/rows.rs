//! Rows of the service's tables, as records have them.

use super::TEN;
use serde_json::{Value, json};

pub fn ticket(id: i64, created_at: i64) -> Value {
    json!({
        "id": id, "queue_id": 10, "channel": "web", "priority": 2, "customer_id": 1, "assignee_id": null,
        "status": "new", "created_at": created_at / 1_000, "assigned_at": null, "first_reply_at": null,
        "solved_at": null, "closed_at": null, "reopen_count": 0, "reply_count": 0, "escalated": 0,
        "first_reply_due_at": null, "resolve_due_at": null, "updated_at": created_at / 1_000,
    })
}

pub fn with(row: &Value, changes: &[(&str, Value)]) -> Value {
    let mut row = row.clone();
    for (name, value) in changes {
        row[*name] = value.clone();
    }
    row
}

pub fn without(row: &Value, name: &str) -> Value {
    let mut row = row.clone();
    row.as_object_mut().unwrap().remove(name);
    row
}

pub fn call(id: i64, queued_at: Value) -> Value {
    json!({
        "id": id, "queue_id": 20, "direction": "inbound", "customer_id": 5, "agent_id": null,
        "status": "ivr", "started_at": 1, "queued_at": queued_at, "answered_at": null, "ended_at": null,
        "wrapup_ended_at": null, "talk_seconds": 0, "hold_seconds": 0, "hold_count": 0, "missed_count": 0,
        "transferred_in": 0, "transferred_out": 0, "ended_by": null, "updated_at": TEN / 1_000,
    })
}

pub fn session(id: i64) -> Value {
    json!({
        "id": id, "queue_id": 30, "channel": "app", "customer_id": 5, "agent_id": null, "status": "bot",
        "created_at": TEN / 1_000, "queued_at": null, "assigned_at": null, "first_reply_at": null,
        "last_customer_message_at": null, "last_agent_message_at": null, "closed_at": null,
        "customer_messages": 0, "agent_messages": 0, "reply_wait_seconds": 0, "updated_at": TEN / 1_000,
    })
}

pub fn agent(id: i64, state: &str, since: i64) -> Value {
    json!({ "agent_id": id, "queue_id": 40, "state": state, "since": since / 1_000, "slots": 3,
            "slots_used": 1, "updated_at": since / 1_000 })
}

pub fn survey(id: i64, sent_at: i64) -> Value {
    json!({ "id": id, "subject": "call", "subject_id": 1, "queue_id": 50, "agent_id": 9,
            "sent_at": sent_at / 1_000, "score": null, "resolved": null, "rated_at": null,
            "updated_at": sent_at / 1_000 })
}

/// A time so many seconds after ten o'clock, as a record has it.
pub fn s(seconds: i64) -> Value {
    json!(TEN / 1_000 + seconds * 1_000)
}
