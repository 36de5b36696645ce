//! The metrics of the board `ticket`, over the source `ticket`.

use weir_metric::prelude::*;

mod counts;
mod customers;
mod standing;
mod times;

/// A row of the ticket system's table. A metric gets the fields that it names, and no others.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "ticket")]
pub struct Ticket<'a> {
    pub queue_id: i64,
    pub channel: Text<'a>,
    pub priority: i64,
    pub assignee_id: Option<i64>,
    pub status: Text<'a>,
    pub created_at: Time,
    pub assigned_at: Option<Time>,
    pub first_reply_at: Option<Time>,
    pub solved_at: Option<Time>,
    pub closed_at: Option<Time>,
    pub reopen_count: i64,
    pub reply_count: i64,
    pub escalated: bool,
    pub first_reply_due_at: Option<Time>,
    pub resolve_due_at: Option<Time>,
    pub updated_at: Time,
}

/// Whether a ticket of this status waits for someone: it is in the backlog.
fn is_open(status: Text) -> bool {
    status.is_in(["new", "open", "pending"])
}

export_plugin!(
    counts::Created,
    counts::Solved,
    counts::Closed,
    counts::Reopened,
    counts::Escalated,
    counts::Replies,
    standing::Backlog,
    standing::Unassigned,
    standing::Pending,
    standing::AssignedLoad,
    standing::OldestOpen,
    standing::AgeBuckets,
    standing::SlaAtRisk,
    standing::SlaOverdue,
    times::FirstReplyTime,
    times::ResolutionTime,
    times::AssignmentTime,
    times::SlaFirstReplyMet,
    customers::Customers,
    counts::OneTouch,
);

#[cfg(test)]
mod tests;
