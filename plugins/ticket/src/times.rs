//! How long things took, at the moment when they happened.

use crate::Ticket;
use weir_metric::prelude::*;

/// What the operator may set for [`first_reply_time`] and [`resolution_time`].
#[derive(Clone, Copy, Debug, Config)]
pub struct Settings {
    /// The hours that count for `mean_business`.
    #[default("Mon-Fri 09:00-18:00 UTC")]
    business_hours: BusinessHours,
}

/// A length of time, and how much of it lies in business hours.
type Took = (Span, Span);

/// mean, p50, p90, max, count, and the mean in business hours.
fn times() -> impl Accumulator<Took> {
    (
        of(|took: &Took| took.0, (Mean, Quantiles([0.5, 0.9]), Max, Count)),
        of(|took: &Took| took.1, Named("mean_business", "The arithmetic mean in business hours.", Mean)),
    )
}

/// Time from creation to the first reply, at the first reply: when first_reply_at becomes set.
#[metric(
    title = "First reply time",
    owner = "service-desk",
    unit = "s",
    table,
    dims = [queue_id, assignee_id],
    watch = [first_reply_at],
    values = [wait, business_wait],
    accumulator = times()
)]
pub fn first_reply_time(c: &Change<Ticket>, config: &Settings) -> Option<Sample<Took>> {
    let (at, t) = c.became_some(|t| t.first_reply_at)?;
    let business = config.business_hours.between(t.created_at, at);
    Some(Sample::at(at).value((at - t.created_at, business)))
}

/// Time from creation to the solution, at solved_at: when status becomes solved.
#[metric(
    title = "Resolution time",
    owner = "service-desk",
    unit = "s",
    table,
    dims = [queue_id, assignee_id],
    watch = [status],
    values = [took, business_took],
    accumulator = times()
)]
pub fn resolution_time(c: &Change<Ticket>, config: &Settings) -> Option<Sample<Took>> {
    let t = c.became(|t| t.status == "solved")?;
    // Without solved_at the sample has no time, and counts as skipped whatever its value.
    let took = t.solved_at.map(|at| (at - t.created_at, config.business_hours.between(t.created_at, at)));
    Some(Sample::at(t.solved_at).value(took.unwrap_or_default()))
}

/// Time from creation to the assignment, at the assignment: when assigned_at becomes set.
#[metric(
    title = "Assignment time",
    owner = "service-desk",
    unit = "s",
    dims = [queue_id],
    watch = [assigned_at],
    values = [wait],
    accumulator = (Mean, Quantiles([0.9]), Count)
)]
pub fn assignment_time(c: &Change<Ticket>) -> Option<Sample<Span>> {
    let (at, t) = c.became_some(|t| t.assigned_at)?;
    Some(Sample::at(at).value(at - t.created_at))
}

/// First replies that had a deadline, and how many of these came at or before it, at the first reply: when
/// first_reply_at becomes set.
#[metric(
    title = "First replies in time",
    owner = "service-desk",
    dims = [queue_id, priority],
    watch = [first_reply_at],
    values = [in_time],
    accumulator = (
        Named("met", "First replies at or before their deadline.", CountIf(|in_time: &bool| *in_time)),
        Named("total", "First replies that had a deadline.", Count),
    )
)]
pub fn sla_first_reply_met(c: &Change<Ticket>) -> Option<Sample<bool>> {
    let (at, t) = c.became_some(|t| t.first_reply_at)?;
    t.first_reply_due_at.map(|due| Sample::at(at).value(at <= due))
}

#[cfg(test)]
mod tests;
