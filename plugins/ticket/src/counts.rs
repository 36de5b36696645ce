//! What happened to tickets, counted once, at the transition.

use crate::Ticket;
use weir_metric::prelude::*;

/// New tickets: rows inserted, at their created_at.
#[metric(
    title = "Tickets created",
    owner = "service-desk",
    dims = [queue_id, channel, priority],
    watch = [created_at]
)]
pub fn created(c: &Change<Ticket>) -> Option<Sample> {
    c.inserted().map(|t| Sample::at(t.created_at))
}

/// Tickets solved: status becomes solved, at solved_at.
#[metric(
    title = "Tickets solved",
    owner = "service-desk",
    table,
    dims = [queue_id, assignee_id],
    watch = [status]
)]
pub fn solved(c: &Change<Ticket>) -> Option<Sample> {
    c.became(|t| t.status == "solved").map(|t| Sample::at(t.solved_at))
}

/// Tickets closed: status becomes closed, at closed_at.
#[metric(title = "Tickets closed", owner = "service-desk", dims = [queue_id], watch = [status])]
pub fn closed(c: &Change<Ticket>) -> Option<Sample> {
    c.became(|t| t.status == "closed").map(|t| Sample::at(t.closed_at))
}

/// How often tickets were reopened: by as much as reopen_count grows, at updated_at.
#[metric(
    title = "Tickets reopened",
    owner = "service-desk",
    dims = [queue_id, assignee_id],
    watch = [reopen_count]
)]
pub fn reopened(c: &Change<Ticket>) -> Option<Sample> {
    c.grew(|t| t.reopen_count).map(|(times, t)| Sample::at(t.updated_at).times(times))
}

/// Tickets escalated: escalated becomes 1, at updated_at.
#[metric(title = "Tickets escalated", owner = "service-desk", dims = [queue_id, priority], watch = [escalated])]
pub fn escalated(c: &Change<Ticket>) -> Option<Sample> {
    c.became(|t| t.escalated).map(|t| Sample::at(t.updated_at))
}

/// Replies to customers: as many as reply_count grows by, at updated_at.
#[metric(
    title = "Ticket replies",
    owner = "service-desk",
    table,
    dims = [queue_id, assignee_id],
    watch = [reply_count]
)]
pub fn replies(c: &Change<Ticket>) -> Option<Sample> {
    c.grew(|t| t.reply_count).map(|(replies, t)| Sample::at(t.updated_at).times(replies))
}

/// Tickets solved with at most one reply: status becomes solved, at solved_at.
#[metric(title = "Tickets solved in one touch", owner = "service-desk", dims = [queue_id], watch = [status])]
pub fn one_touch(c: &Change<Ticket>) -> Option<Sample> {
    let t = c.became(|t| t.status == "solved")?;
    (t.reply_count <= 1).then(|| Sample::at(t.solved_at))
}

#[cfg(test)]
mod tests;
