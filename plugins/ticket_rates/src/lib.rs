//! The derived metrics of the board `ticket`.

use weir_metric::derived::prelude::*;

/// Tickets created less tickets solved: how much the backlog has grown.
#[derived(
    title = "Net change of the backlog",
    owner = "service-desk",
    bases = [ticket.created(count), ticket.solved(count)],
    dims = [queue_id]
)]
pub fn net_change(created: i64, solved: i64) -> i64 {
    created.wrapping_sub(solved)
}

/// Reopenings ÷ tickets solved in the same window (flow).
#[derived(
    title = "Reopen rate",
    owner = "service-desk",
    bases = [ticket.reopened(count), ticket.solved(count)],
    dims = [queue_id],
    outputs = [ratio, reopened, solved]
)]
pub fn reopen_rate(reopened: i64, solved: i64) -> Ratio {
    Ratio::of(reopened, solved)
}

/// Tickets solved with at most one reply ÷ tickets solved (cohort).
#[derived(
    title = "One-touch rate",
    owner = "service-desk",
    bases = [ticket.one_touch(count), ticket.solved(count)],
    dims = [queue_id],
    outputs = [ratio, one_touch, solved]
)]
pub fn one_touch_rate(one_touch: i64, solved: i64) -> Ratio {
    Ratio::of(one_touch, solved)
}

/// First replies at or before their deadline ÷ first replies with a deadline (cohort).
#[derived(
    title = "First replies in time",
    owner = "service-desk",
    bases = [ticket.sla_first_reply_met(met, total)],
    dims = [queue_id, priority],
    outputs = [ratio, met, total]
)]
pub fn sla_first_reply_rate(met: i64, total: i64) -> Ratio {
    Ratio::of(met, total)
}

/// Escalations ÷ tickets created in the same window (flow).
#[derived(
    title = "Escalation rate",
    owner = "service-desk",
    bases = [ticket.escalated(count), ticket.created(count)],
    dims = [queue_id, priority],
    outputs = [ratio, escalated, created]
)]
pub fn escalation_rate(escalated: i64, created: i64) -> Ratio {
    Ratio::of(escalated, created)
}

export_derived!(NetChange, ReopenRate, OneTouchRate, SlaFirstReplyRate, EscalationRate);

#[cfg(test)]
mod tests;
