//! How long things took, at the moment when they happened.

use crate::Session;
use weir_metric::prelude::*;

/// Time from the queue to the agent's first reply, at the first reply: when first_reply_at becomes set. A
/// session that was never queued has none.
#[metric(
    title = "IM first reply time",
    owner = "chat-desk",
    unit = "s",
    table,
    dims = [queue_id, agent_id],
    watch = [first_reply_at],
    values = [wait],
    accumulator = (Mean, Quantiles([0.5, 0.9]), Count)
)]
pub fn first_reply_time(c: &Change<Session>) -> Option<Sample<Span>> {
    let (at, s) = c.became_some(|s| s.first_reply_at)?;
    s.queued_at.map(|queued| Sample::at(at).value(at - queued))
}

/// Time from the assignment to the close, at closed_at: when status becomes closed. A session that no agent had
/// has none.
#[metric(
    title = "IM session duration",
    owner = "chat-desk",
    unit = "s",
    dims = [queue_id, agent_id],
    watch = [status],
    values = [duration],
    accumulator = (Mean, Quantiles([0.9]), Count)
)]
pub fn duration(c: &Change<Session>) -> Option<Sample<Span>> {
    let s = c.became(|s| s.status == "closed")?;
    let assigned = s.assigned_at?;
    // Without closed_at the sample has no time, and counts as skipped whatever its value.
    let took = s.closed_at.map_or(Span(0), |at| at - assigned);
    Some(Sample::at(s.closed_at).value(took))
}

/// How long customers waited for a reply: reply_wait_seconds over agent_messages, each summed over the sessions
/// whose status becomes closed, at closed_at.
#[metric(
    title = "IM wait for a reply",
    owner = "chat-desk",
    unit = "s",
    dims = [queue_id, agent_id],
    watch = [status],
    values = [reply_wait, agent_messages],
    accumulator = (Named("mean", "Seconds waited over messages of agents.", Ratio), Count)
)]
pub fn reply_wait(c: &Change<Session>) -> Option<Sample<(i64, i64)>> {
    let s = c.became(|s| s.status == "closed")?;
    Some(Sample::at(s.closed_at).value((s.reply_wait_seconds, s.agent_messages)))
}

#[cfg(test)]
mod tests;
