//! Which metrics both compute, and where they do not mean the same.

/// Over windows of a minute, an hour and a day (the peer's; ours have a quarter of an hour as well, and
/// agent.state_time has no minute: both are set to the peer's here).
pub const PERIODS: [&str; 41] = [
    "ticket.created",
    "ticket.solved",
    "ticket.closed",
    "ticket.reopened",
    "ticket.escalated",
    "ticket.replies",
    "ticket.first_reply_time",
    "ticket.resolution_time",
    "ticket.assignment_time",
    "ticket.sla_first_reply_met",
    "ticket.customers",
    "ticket.one_touch",
    "call.offered",
    "call.answered",
    "call.abandoned",
    "call.short_abandons",
    "call.outbound",
    "call.callbacks",
    "call.transferred_out",
    "call.missed",
    "call.speed_of_answer",
    "call.answered_in_target",
    "call.abandon_time",
    "call.talk_time",
    "call.hold_time",
    "call.wrapup_time",
    "call.handle_time",
    "call.callers",
    "call.busiest_customers",
    "im.started",
    "im.queued",
    "im.missed",
    "im.closed",
    "im.bot_contained",
    "im.first_reply_time",
    "im.duration",
    "im.reply_wait",
    "agent.state_time",
    "survey.csat",
    "survey.response_rate",
    "survey.resolved_rate",
];

/// A session window, a sliding window, and current values.
const OTHERS: [&str; 18] = [
    "im.session_bursts",
    "call.offered_rate",
    "ticket.backlog",
    "ticket.unassigned",
    "ticket.pending",
    "ticket.assigned_load",
    "ticket.oldest_open",
    "ticket.age_buckets",
    "ticket.sla_at_risk",
    "ticket.sla_overdue",
    "call.in_queue",
    "call.active",
    "call.longest_wait",
    "im.waiting",
    "im.active",
    "im.longest_wait",
    "agent.by_state",
    "agent.slots",
];

/// Where the definitions differ, so that values cannot be compared; costs can.
pub const DIFFERENT: [&str; 9] = [
    "call.abandoned, call.short_abandons, call.abandon_time: by queued_at here, by ended_at there; inbound only here",
    "call.answered_in_target: by queued_at here, by answered_at there",
    "call.transferred_out: by answered_at, answered inbound calls only; there by updated_at, all",
    "im.missed: by queued_at here, by updated_at there; im.bot_contained: by created_at here, by closed_at there",
    "ticket.first_reply_time, ticket.resolution_time: a mean in business hours besides, here only",
    "ticket.sla_first_reply_met: first replies with a due time here, all first replies there",
    "agent.state_time: the span split at window borders here, the whole span in the window of its end there",
    "ticket.oldest_open, call.longest_wait, im.longest_wait, ticket.age_buckets, ticket.sla_*: times here (or in total, \
     by queue and by priority), ages by queue in seconds there",
    "survey.response_rate, quantiles, distinct counts, busiest customers, session and sliding windows: not among the \
     compared values",
];

/// What each does that the other does not.
const BESIDE: [&str; 8] = [
    "Weir also computes agent.current (a component is loaded whole): 60 metrics against 59",
    "Weir keeps every subset of dimensions (by queue and agent, by queue and priority, …), the peer single ones and the total",
    "Weir's rows go exactly once to a ClickHouse engine, a process of its own; the peer counts its rows and drops them",
    "Weir serves every value by HTTP and checks each record's place in the binlog; the peer does neither",
    "Weir corrects closed windows for 2 h (minute), 48 h (hour), 8 d (day); the peer for 2 minutes",
    "Weir's metrics are sandboxed components of their own; the peer's share samples and accumulators in one job",
    "Weir keeps the rows under current values in its state; the peer trusts the image before in each change",
    "the peer shows a changed window once a second of wall time; Weir once an epoch (a second or 64 MiB of messages)",
];

pub fn metrics() -> Vec<&'static str> {
    PERIODS.into_iter().chain(OTHERS).collect()
}

pub fn print() {
    println!("\n{} metrics: {}", metrics().len(), metrics().join(", "));
    println!("\nWhat differs in what they do:");
    BESIDE.iter().for_each(|line| println!("  {line}"));
    println!("\nDefinitions that differ, or values that were not compared:");
    DIFFERENT.iter().for_each(|line| println!("  {line}"));
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_of_59_metrics_is_named_once() {
        let names: std::collections::BTreeSet<_> = super::metrics().into_iter().collect();
        assert_eq!(names.len(), 59);
    }
}
