//! The metrics of the board `call`, over the source `call_record`.

use weir_metric::prelude::*;

mod longest_wait;

/// A row of the call centre's table. A metric gets the fields that it names, and no others.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "call_record", board = "call")]
pub struct Call<'a> {
    pub queue_id: i64,
    pub direction: Text<'a>,
    pub status: Text<'a>,
    pub queued_at: Option<Time>,
}

/// Inbound calls that were put in a queue: queued_at becomes set, at queued_at.
#[metric(title = "Calls offered", owner = "call-centre", dims = [queue_id], watch = [queued_at])]
pub fn offered(c: &Change<Call>) -> Option<Sample> {
    let (at, call) = c.became_some(|call| call.queued_at)?;
    (call.direction == "inbound").then(|| Sample::at(at))
}

export_plugin!(Offered, longest_wait::LongestWait);

#[cfg(test)]
mod tests;
