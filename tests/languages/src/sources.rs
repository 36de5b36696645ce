//! The two tables that the stream is of.

use std::sync::Arc;
use weir_types::SECOND;
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl, TimeUnit};

/// Topics in the order of partition indexes: topic t has the indexes [`PARTITIONS`]·t and up.
pub const TOPICS: [&str; 2] = ["svc.service.ticket", "svc.service.agent_state"];
/// Partitions of a topic.
pub const PARTITIONS: usize = 2;

pub fn sources() -> Vec<Arc<SourceDecl>> {
    use ColumnType::{Int, Text};
    let time = ColumnType::Time(TimeUnit::Ms);
    let ticket = vec![
        column("id", Int, false, &[]),
        column("queue_id", Int, false, &[]),
        column("channel", Text, false, &["mail", "chat", "phone"]),
        column("priority", Int, false, &[]),
        column("assignee_id", Int, true, &[]),
        column("status", Text, false, &["new", "open", "pending", "solved", "closed"]),
        column("created_at", time, false, &[]),
        column("first_reply_at", time, true, &[]),
        column("updated_at", time, false, &[]),
    ];
    let states = ["offline", "available", "on_contact", "wrapup", "break", "error"];
    let agent_state = vec![
        column("agent_id", Int, false, &[]),
        column("queue_id", Int, false, &[]),
        column("state", Text, false, &states),
        column("since", time, false, &[]),
        column("slots", Int, false, &[]),
        column("slots_used", Int, false, &[]),
        column("updated_at", time, false, &[]),
    ];
    vec![source("ticket", TOPICS[0], ticket), source("agent_state", TOPICS[1], agent_state)]
}

fn column(name: &str, ty: ColumnType, nullable: bool, values: &[&str]) -> ColumnDecl {
    let values = values.iter().map(|v| v.to_string()).collect();
    ColumnDecl { name: name.into(), ty, nullable, values }
}

fn source(name: &str, topic: &str, columns: Vec<ColumnDecl>) -> Arc<SourceDecl> {
    Arc::new(SourceDecl {
        name: name.into(),
        topics: vec![topic.into()],
        table: name.into(),
        format: Format::DebeziumJson,
        reading: Reading::default(),
        event_time: columns.len() - 1,
        columns,
        primary_key: vec![0],
        out_of_orderness: 5 * SECOND,
        idle_after: 30 * SECOND,
        max_dead_share: 0.5,
    })
}
