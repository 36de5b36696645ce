//! The metrics of the board `team`: agents, and what runs through the queues.

use weir_metric::prelude::*;

mod agents;
mod current;
mod flow;
mod states;

/// What an agent does now: one row an agent. A metric gets the fields that it names, and no others.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "agent_state", board = "agent")]
pub struct Agent<'a> {
    pub agent_id: i64,
    pub queue_id: i64,
    pub state: Text<'a>,
    pub since: Time,
    pub slots: i64,
    pub slots_used: i64,
}

/// A row of the call centre's table, as far as this board looks at it.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "call_record", board = "call")]
pub struct Call<'a> {
    pub queue_id: i64,
    pub direction: Text<'a>,
    pub queued_at: Option<Time>,
}

/// A session of instant messages, as far as this board looks at it.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "im_session", board = "im")]
pub struct Session {
    pub queue_id: i64,
    pub queued_at: Option<Time>,
}

export_plugin!(
    agents::ByState,
    agents::Slots,
    agents::StateTime,
    flow::SessionBursts,
    flow::OfferedRate,
    current::Current,
);

#[cfg(test)]
mod tests;
