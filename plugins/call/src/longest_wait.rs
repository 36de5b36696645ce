//! The call that waits longest, as the calls stand.

use crate::Call;
use weir_metric::prelude::*;

/// Since when the call waits that waits longest: the least queued_at of those with status queued.
#[metric(
    title = "Longest wait of a call",
    owner = "call-centre",
    unit = "us",
    dims = [queue_id],
    values = [queued_at],
    accumulator = Named("oldest_at", "The least queued_at of the calls that wait.", Least)
)]
pub fn longest_wait(c: &Call) -> Option<Sample<Time>> {
    let at = c.queued_at.filter(|_| c.status == "queued")?;
    Some(Sample::now().value(at))
}

#[cfg(test)]
mod tests;
