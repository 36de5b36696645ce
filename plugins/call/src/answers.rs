//! Calls that were answered, and how they went on: 'answered' is a call whose answered_at becomes set.

use crate::{Call, is_inbound};
use weir_metric::prelude::*;

/// Inbound calls that an agent took: answered_at becomes set, at answered_at.
#[metric(title = "Calls answered", owner = "call-centre", table, dims = [queue_id, agent_id], watch = [answered_at])]
pub fn answered(c: &Change<Call>) -> Option<Sample> {
    let (at, call) = c.became_some(|call| call.answered_at)?;
    is_inbound(call.direction).then(|| Sample::at(at))
}

/// Outbound calls that the customer took: answered_at becomes set, at answered_at.
#[metric(title = "Outbound calls", owner = "call-centre", table, dims = [agent_id], watch = [answered_at])]
pub fn outbound(c: &Change<Call>) -> Option<Sample> {
    let (at, call) = c.became_some(|call| call.answered_at)?;
    (call.direction == "outbound").then(|| Sample::at(at))
}

/// Answered inbound calls that were handed on: transferred_out becomes 1, at answered_at.
#[metric(title = "Calls transferred", owner = "call-centre", dims = [queue_id, agent_id], watch = [transferred_out])]
pub fn transferred_out(c: &Change<Call>) -> Option<Sample> {
    let call = c.became(|call| call.transferred_out)?;
    call.answered_at.filter(|_| is_inbound(call.direction)).map(Sample::at)
}

/// How often a call rang and was not taken: missed_count grows, at updated_at; counted by the growth.
#[metric(title = "Calls missed", owner = "call-centre", table, dims = [agent_id], watch = [missed_count])]
pub fn missed(c: &Change<Call>) -> Option<Sample> {
    let (growth, call) = c.grew(|call| call.missed_count)?;
    Some(Sample::at(call.updated_at).times(growth))
}

/// Time that answered inbound calls waited: from queued_at to answered_at, at answered_at.
#[metric(
    title = "Speed of answer",
    owner = "call-centre",
    unit = "s",
    dims = [queue_id],
    watch = [answered_at],
    values = [wait],
    accumulator = (Mean, Quantiles([0.9]), Max, Count)
)]
pub fn speed_of_answer(c: &Change<Call>) -> Option<Sample<Span>> {
    let (at, call) = c.became_some(|call| call.answered_at)?;
    let queued = call.queued_at.filter(|_| is_inbound(call.direction))?;
    Some(Sample::at(at).value(at - queued))
}

/// What the operator may set for [`answered_in_target`].
#[derive(Clone, Debug, Config)]
pub struct Target {
    /// Seconds within which a call should be answered, by queue.
    #[default("20")]
    target_s: ByKey<u32>,
}

/// Inbound calls answered within the target: answered_at − queued_at ≤ target_s (20), at queued_at.
#[metric(title = "Calls answered in target", owner = "call-centre", dims = [queue_id], watch = [answered_at])]
pub fn answered_in_target(c: &Change<Call>, target: &Target) -> Option<Sample> {
    let (at, call) = c.became_some(|call| call.answered_at)?;
    let queued = call.queued_at.filter(|_| is_inbound(call.direction))?;
    let target = Span::seconds(target.target_s.of(call.queue_id).into());
    (at - queued <= target).then(|| Sample::at(queued))
}

#[cfg(test)]
mod tests;
