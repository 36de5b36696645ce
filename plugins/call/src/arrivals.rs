//! Calls as they come: 'offered' is an inbound call whose queued_at becomes set.

use crate::{Call, is_inbound};
use weir_metric::prelude::*;

/// Inbound calls that were put in a queue: queued_at becomes set, at queued_at.
#[metric(title = "Calls offered", owner = "call-centre", dims = [queue_id], watch = [queued_at])]
pub fn offered(c: &Change<Call>) -> Option<Sample> {
    let (at, call) = c.became_some(|call| call.queued_at)?;
    is_inbound(call.direction).then(|| Sample::at(at))
}

/// How many different customers' calls were offered, by customer_id, at queued_at.
#[metric(
    title = "Callers",
    owner = "call-centre",
    dims = [queue_id],
    watch = [queued_at],
    values = [customer_id],
    accumulator = Distinct
)]
pub fn callers(c: &Change<Call>) -> Option<Sample<i64>> {
    let (at, call) = c.became_some(|call| call.queued_at)?;
    is_inbound(call.direction).then(|| Sample::at(at).value(call.customer_id))
}

/// The 10 customers with most offered calls, at queued_at; of equal ones those with the least id.
#[metric(
    title = "Customers who call most",
    owner = "call-centre",
    watch = [queued_at],
    values = [customer_id],
    accumulator = TopK::of(10)
)]
pub fn busiest_customers(c: &Change<Call>) -> Option<Sample<i64>> {
    let (at, call) = c.became_some(|call| call.queued_at)?;
    is_inbound(call.direction).then(|| Sample::at(at).value(call.customer_id))
}

#[cfg(test)]
mod tests;
