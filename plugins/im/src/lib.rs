//! The metrics of the board `im`, over the source `im_session`.

use weir_metric::prelude::*;

mod counts;
mod standing;
mod times;

/// A row of the chat system's table of sessions. A metric gets the fields that it names, and no others.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "im_session", board = "im")]
pub struct Session<'a> {
    pub queue_id: i64,
    pub channel: Text<'a>,
    pub agent_id: Option<i64>,
    pub status: Text<'a>,
    pub created_at: Time,
    pub queued_at: Option<Time>,
    pub assigned_at: Option<Time>,
    pub first_reply_at: Option<Time>,
    pub closed_at: Option<Time>,
    pub agent_messages: i64,
    pub reply_wait_seconds: i64,
}

export_plugin!(
    counts::Started,
    counts::Queued,
    counts::Missed,
    counts::Closed,
    counts::BotContained,
    standing::Waiting,
    standing::Active,
    standing::LongestWait,
    times::FirstReplyTime,
    times::Duration,
    times::ReplyWait,
);

#[cfg(test)]
mod tests;
