//! Calls as they stand.

use crate::Call;
use weir_metric::prelude::*;

/// Calls that wait in a queue: status queued.
#[metric(title = "Calls in queue", owner = "call-centre", table, dims = [queue_id])]
pub fn in_queue(c: &Call) -> Option<Sample> {
    (c.status == "queued").then(Sample::now)
}

/// Calls under way: status ringing, talking or held.
#[metric(title = "Active calls", owner = "call-centre", dims = [queue_id])]
pub fn active(c: &Call) -> Option<Sample> {
    c.status.is_in(["ringing", "talking", "held"]).then(Sample::now)
}

#[cfg(test)]
mod tests;
