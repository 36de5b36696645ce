//! Calls whose customer gave up: 'abandoned' is an inbound call with queued_at set whose status becomes
//! abandoned. It counts in the window of its queued_at, beside the offered ones.

use crate::{Call, is_inbound};
use weir_metric::prelude::*;

/// Inbound calls that the customer gave up in the queue: status becomes abandoned, at queued_at.
#[metric(title = "Calls abandoned", owner = "call-centre", dims = [queue_id], watch = [status])]
pub fn abandoned(c: &Change<Call>) -> Option<Sample> {
    let call = c.became(|call| call.status == "abandoned")?;
    call.queued_at.filter(|_| is_inbound(call.direction)).map(Sample::at)
}

/// What the operator may set for [`short_abandons`].
#[derive(Clone, Debug, Config)]
pub struct Short {
    /// Seconds below which an abandoned call says nothing about the service, by queue.
    #[default("5")]
    short_abandon_s: ByKey<u32>,
}

/// Abandoned calls that hardly waited: ended_at − queued_at < short_abandon_s (5), at queued_at.
#[metric(title = "Short abandons", owner = "call-centre", dims = [queue_id], watch = [status])]
pub fn short_abandons(c: &Change<Call>, short: &Short) -> Option<Sample> {
    let call = c.became(|call| call.status == "abandoned")?;
    let queued = call.queued_at.filter(|_| is_inbound(call.direction))?;
    let bound = Span::seconds(short.short_abandon_s.of(call.queue_id).into());
    (call.ended_at? - queued < bound).then(|| Sample::at(queued))
}

/// Time that abandoned calls waited: from queued_at to ended_at, at queued_at.
#[metric(
    title = "Time to abandon",
    owner = "call-centre",
    unit = "s",
    dims = [queue_id],
    watch = [status],
    values = [wait],
    accumulator = (Mean, Count)
)]
pub fn abandon_time(c: &Change<Call>) -> Option<Sample<Span>> {
    let call = c.became(|call| call.status == "abandoned")?;
    let queued = call.queued_at.filter(|_| is_inbound(call.direction))?;
    Some(Sample::at(queued).value(call.ended_at? - queued))
}

#[cfg(test)]
mod tests;
