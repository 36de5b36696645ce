//! What calls cost: talking, holding, wrapping up.

use crate::Call;
use weir_metric::prelude::*;

/// Customers called back: direction callback, status becomes done, at ended_at.
#[metric(title = "Callbacks", owner = "call-centre", dims = [queue_id], watch = [status])]
pub fn callbacks(c: &Change<Call>) -> Option<Sample> {
    let call = c.became(|call| call.status == "done")?;
    (call.direction == "callback").then(|| Sample::at(call.ended_at))
}

/// Time talked in calls, when status becomes done, at ended_at.
#[metric(
    title = "Talk time",
    owner = "call-centre",
    unit = "s",
    table,
    dims = [queue_id, agent_id],
    watch = [status],
    values = [talk],
    accumulator = (Mean, Quantiles([0.9]), Count)
)]
pub fn talk_time(c: &Change<Call>) -> Option<Sample<Span>> {
    let call = c.became(|call| call.status == "done")?;
    Some(Sample::at(call.ended_at).value(Span::seconds(call.talk_seconds)))
}

/// Time that calls were on hold, when status becomes done, at ended_at.
#[metric(
    title = "Hold time",
    owner = "call-centre",
    unit = "s",
    dims = [queue_id, agent_id],
    watch = [status],
    values = [hold],
    accumulator = (Mean, Max, Count)
)]
pub fn hold_time(c: &Change<Call>) -> Option<Sample<Span>> {
    let call = c.became(|call| call.status == "done")?;
    Some(Sample::at(call.ended_at).value(Span::seconds(call.hold_seconds)))
}

/// Time of the work after a call: from ended_at to wrapup_ended_at, when the latter becomes set.
#[metric(
    title = "Wrap-up time",
    owner = "call-centre",
    unit = "s",
    dims = [queue_id, agent_id],
    watch = [wrapup_ended_at],
    values = [wrapup],
    accumulator = (Mean, Count)
)]
pub fn wrapup_time(c: &Change<Call>) -> Option<Sample<Span>> {
    let (at, call) = c.became_some(|call| call.wrapup_ended_at)?;
    Some(Sample::at(at).value(at - call.ended_at?))
}

/// Time that a call took an agent: talk, hold and wrap-up, when wrapup_ended_at becomes set, at that time.
#[metric(
    title = "Handle time",
    owner = "call-centre",
    unit = "s",
    table,
    dims = [queue_id, agent_id],
    watch = [wrapup_ended_at],
    values = [handle],
    accumulator = (Mean, Quantiles([0.5, 0.9]), Count)
)]
pub fn handle_time(c: &Change<Call>) -> Option<Sample<Span>> {
    let (at, call) = c.became_some(|call| call.wrapup_ended_at)?;
    let spoken = Span::seconds(call.talk_seconds) + Span::seconds(call.hold_seconds);
    Some(Sample::at(at).value(spoken + (at - call.ended_at?)))
}

#[cfg(test)]
mod tests;
