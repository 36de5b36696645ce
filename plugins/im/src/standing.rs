//! Sessions as they stand: a pure function of the row, so every update, delete and snapshot counts.

use crate::Session;
use weir_metric::prelude::*;

/// Sessions that wait for an agent: status queued.
#[metric(title = "IM sessions waiting", owner = "chat-desk", table, dims = [queue_id])]
pub fn waiting(s: &Session) -> Option<Sample> {
    (s.status == "queued").then(Sample::now)
}

/// Sessions that an agent has: status active.
#[metric(title = "IM sessions active", owner = "chat-desk", table, dims = [queue_id, agent_id])]
pub fn active(s: &Session) -> Option<Sample> {
    (s.status == "active").then(Sample::now)
}

/// Since when the session waits that waits longest: the least queued_at of those with status queued.
#[metric(
    title = "Longest wait of an IM session",
    owner = "chat-desk",
    unit = "us",
    dims = [queue_id],
    values = [queued_at],
    accumulator = Named("oldest_at", "The least queued_at of the sessions that wait.", Least)
)]
pub fn longest_wait(s: &Session) -> Option<Sample<Time>> {
    let at = s.queued_at.filter(|_| s.status == "queued")?;
    Some(Sample::now().value(at))
}

#[cfg(test)]
mod tests;
