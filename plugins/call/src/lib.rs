//! The metrics of the board `call`, over the source `call_record`.

use weir_metric::prelude::*;

mod abandons;
mod answers;
mod arrivals;
mod longest_wait;
mod standing;
mod work;

/// A row of the call centre's table. A metric gets the fields that it names, and no others.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "call_record", board = "call")]
pub struct Call<'a> {
    pub queue_id: i64,
    pub direction: Text<'a>,
    pub customer_id: i64,
    pub agent_id: Option<i64>,
    pub status: Text<'a>,
    pub queued_at: Option<Time>,
    pub answered_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub wrapup_ended_at: Option<Time>,
    pub talk_seconds: i64,
    pub hold_seconds: i64,
    pub missed_count: i64,
    pub transferred_out: bool,
    pub updated_at: Time,
}

/// Whether a customer called, and not the centre.
fn is_inbound(direction: Text) -> bool {
    direction == "inbound"
}

export_plugin!(
    arrivals::Offered,
    answers::Answered,
    abandons::Abandoned,
    abandons::ShortAbandons,
    answers::Outbound,
    work::Callbacks,
    answers::TransferredOut,
    answers::Missed,
    standing::InQueue,
    standing::Active,
    longest_wait::LongestWait,
    answers::SpeedOfAnswer,
    answers::AnsweredInTarget,
    abandons::AbandonTime,
    work::TalkTime,
    work::HoldTime,
    work::WrapupTime,
    work::HandleTime,
    arrivals::Callers,
    arrivals::BusiestCustomers,
);

#[cfg(test)]
mod tests;
