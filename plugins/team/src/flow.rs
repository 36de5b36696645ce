//! What runs through the queues.

use crate::{Call, Session};
use weir_metric::prelude::*;

/// Runs of IM sessions that were queued with no more than 60 s between one and the next, by queued_at.
#[metric(
    name = "im.session_bursts",
    title = "IM session bursts",
    owner = "workforce",
    board = "team",
    windows = ["session-60s"],
    dims = [queue_id],
    watch = [queued_at],
    accumulator = (Count, Extent)
)]
pub fn session_bursts(c: &Change<Session>) -> Option<Sample> {
    c.became_some(|s| s.queued_at).map(|(at, _)| Sample::at(at))
}

/// Calls offered in the last 5 minutes, moved on every 10 s: inbound, queued_at becomes set, at queued_at.
#[metric(
    name = "call.offered_rate",
    title = "Calls offered in 5 minutes",
    owner = "workforce",
    board = "team",
    windows = ["5m/10s"],
    dims = [queue_id],
    watch = [queued_at],
    accumulator = (Count, PerMinute)
)]
pub fn offered_rate(c: &Change<Call>) -> Option<Sample> {
    let (at, call) = c.became_some(|call| call.queued_at)?;
    (call.direction == "inbound").then(|| Sample::at(at))
}

#[cfg(test)]
mod tests;
