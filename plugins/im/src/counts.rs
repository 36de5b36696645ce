//! What happened to sessions, counted once, at the transition.

use crate::Session;
use weir_metric::prelude::*;

/// New sessions: rows inserted, at their created_at.
#[metric(title = "IM sessions started", owner = "chat-desk", dims = [queue_id, channel], watch = [created_at])]
pub fn started(c: &Change<Session>) -> Option<Sample> {
    c.inserted().map(|s| Sample::at(s.created_at))
}

/// Sessions that were put in a queue for an agent: queued_at becomes set, at queued_at.
#[metric(title = "IM sessions queued", owner = "chat-desk", dims = [queue_id], watch = [queued_at])]
pub fn queued(c: &Change<Session>) -> Option<Sample> {
    c.became_some(|s| s.queued_at).map(|(at, _)| Sample::at(at))
}

/// Sessions that were queued and not taken: status becomes missed with queued_at set, at queued_at.
#[metric(title = "IM sessions missed", owner = "chat-desk", dims = [queue_id], watch = [status])]
pub fn missed(c: &Change<Session>) -> Option<Sample> {
    c.became(|s| s.status == "missed")?.queued_at.map(Sample::at)
}

/// Sessions closed: status becomes closed, at closed_at.
#[metric(title = "IM sessions closed", owner = "chat-desk", table, dims = [queue_id, agent_id], watch = [status])]
pub fn closed(c: &Change<Session>) -> Option<Sample> {
    c.became(|s| s.status == "closed").map(|s| Sample::at(s.closed_at))
}

/// Sessions that the bot answered alone: status becomes closed and queued_at is not set, at created_at.
#[metric(title = "IM sessions contained by the bot", owner = "chat-desk", dims = [channel], watch = [status])]
pub fn bot_contained(c: &Change<Session>) -> Option<Sample> {
    let s = c.became(|s| s.status == "closed")?;
    s.queued_at.is_none().then(|| Sample::at(s.created_at))
}

#[cfg(test)]
mod tests;
