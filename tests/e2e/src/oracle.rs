//! What the oracle is asked to recompute.

/// The shipped components, bases before what is derived from them. Together they carry the whole catalogue.
pub const COMPONENTS: [&str; 8] = [
    "ticket.wasm",
    "call.wasm",
    "im.wasm",
    "team.wasm",
    "ticket_rates.wasm",
    "call_rates.wasm",
    "im_rates.wasm",
    "team_rates.wasm",
];

/// A metric of each kind that the components `ticket` and `call` carry, for tests that load only those.
pub const FOUR: &str = "ticket.created,ticket.backlog,ticket.first_reply_time,call.offered";
