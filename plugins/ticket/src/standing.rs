//! Tickets as they stand: a pure function of the row, so every update, delete and snapshot counts.

use crate::{Ticket, is_open};
use weir_metric::acc;
use weir_metric::prelude::*;

/// Tickets that wait for someone: status new, open or pending.
#[metric(title = "Ticket backlog", owner = "service-desk", table, dims = [queue_id, priority])]
pub fn backlog(t: &Ticket) -> Option<Sample> {
    is_open(t.status).then(Sample::now)
}

/// Tickets of the backlog that nobody is assigned to.
#[metric(title = "Tickets unassigned", owner = "service-desk", dims = [queue_id])]
pub fn unassigned(t: &Ticket) -> Option<Sample> {
    (is_open(t.status) && t.assignee_id.is_none()).then(Sample::now)
}

/// Tickets that wait for their customer: status pending.
#[metric(title = "Tickets pending", owner = "service-desk", dims = [queue_id])]
pub fn pending(t: &Ticket) -> Option<Sample> {
    (t.status == "pending").then(Sample::now)
}

/// Tickets of the backlog by assignee; those without one under null.
#[metric(title = "Tickets by assignee", owner = "service-desk", table, dims = [assignee_id])]
pub fn assigned_load(t: &Ticket) -> Option<Sample> {
    is_open(t.status).then(Sample::now)
}

/// When the oldest ticket of the backlog was created.
#[metric(
    title = "Oldest open ticket",
    owner = "service-desk",
    unit = "us",
    dims = [queue_id],
    values = [created_at],
    accumulator = Named("oldest_at", "The least created_at of the backlog.", Least)
)]
pub fn oldest_open(t: &Ticket) -> Option<Sample<Time>> {
    is_open(t.status).then(|| Sample::now().value(t.created_at))
}

/// The backlog by age, the time since created_at. A ticket created in the future is in the first bucket.
#[metric(
    title = "Backlog by age",
    owner = "service-desk",
    dims = [queue_id],
    time_varying,
    values = [created_at],
    accumulator = acc::AgeBuckets {
        under: [
            ("under_1h", Span::hours(1)),
            ("from_1h_to_8h", Span::hours(8)),
            ("from_8h_to_24h", Span::hours(24)),
            ("from_1d_to_3d", Span::hours(72)),
        ],
        over: "over_3d",
    }
)]
pub fn age_buckets(t: &Ticket) -> Option<Sample<Time>> {
    is_open(t.status).then(|| Sample::now().value(t.created_at))
}

/// What the operator may set for [`sla_at_risk`].
#[derive(Clone, Debug, Config)]
pub struct AtRisk {
    /// How many seconds before its deadline a ticket is at risk, by queue if wanted.
    #[default("1800")]
    at_risk_s: ByKey<u32>,
}

/// Tickets of the backlog whose deadline is near: now ≤ resolve_due_at < now + at_risk_s.
#[metric(
    title = "Tickets near their deadline",
    owner = "service-desk",
    dims = [queue_id, priority],
    time_varying,
    values = [due_at, at_risk],
    accumulator = DueWithin
)]
pub fn sla_at_risk(t: &Ticket, config: &AtRisk) -> Option<Sample<(Time, Span)>> {
    let due = t.resolve_due_at.filter(|_| is_open(t.status))?;
    let at_risk = Span::seconds(config.at_risk_s.of(t.queue_id).into());
    Some(Sample::now().value((due, at_risk)))
}

/// Tickets of the backlog whose deadline has passed: resolve_due_at < now.
#[metric(
    title = "Tickets past their deadline",
    owner = "service-desk",
    table,
    dims = [queue_id, priority],
    time_varying,
    values = [due_at],
    accumulator = Overdue
)]
pub fn sla_overdue(t: &Ticket) -> Option<Sample<Time>> {
    let due = t.resolve_due_at.filter(|_| is_open(t.status))?;
    Some(Sample::now().value(due))
}

#[cfg(test)]
mod tests;
