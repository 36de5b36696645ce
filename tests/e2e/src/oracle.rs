//! What the oracle is asked to recompute.

/// The metrics that the shipped plugins carry so far, with commas; `all` once they carry the whole
/// catalogue.
pub const METRICS: &str = "ticket.created,ticket.backlog,ticket.first_reply_time,call.offered";
