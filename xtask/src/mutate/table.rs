//! What is done to each metric, by the number of the catalogue: a small mistake that its author could make.

/// One wrong build: the text `from` stands exactly once in `file` (below plugins/).
pub struct Mutation {
    pub metric: &'static str,
    pub file: &'static str,
    pub from: &'static str,
    pub to: &'static str,
}

const fn mistake(metric: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Mutation {
    Mutation { metric, file, from, to }
}

pub const MUTATIONS: &[Mutation] = &[
    mistake(
        "ticket.created",
        "ticket/src/counts.rs",
        "c.inserted().map(|t| Sample::at(t.created_at))",
        "c.inserted().map(|t| Sample::at(t.created_at).times(2))",
    ),
    mistake(
        "ticket.solved",
        "ticket/src/counts.rs",
        ".map(|t| Sample::at(t.solved_at))",
        ".map(|t| Sample::at(t.solved_at).times(2))",
    ),
    mistake(
        "ticket.closed",
        "ticket/src/counts.rs",
        ".map(|t| Sample::at(t.closed_at))",
        ".map(|t| Sample::at(t.closed_at).times(2))",
    ),
    mistake("ticket.reopened", "ticket/src/counts.rs", ".times(times)", ".times(times + 1)"),
    mistake(
        "ticket.escalated",
        "ticket/src/counts.rs",
        "c.became(|t| t.escalated)",
        "c.became(|t| !t.escalated)",
    ),
    mistake("ticket.replies", "ticket/src/counts.rs", ".times(replies)", ".times(replies + 1)"),
    mistake("ticket.one_touch", "ticket/src/counts.rs", "t.reply_count <= 1", "t.reply_count <= 2"),
    mistake(
        "ticket.backlog",
        "ticket/src/lib.rs",
        r#"is_in(["new", "open", "pending"])"#,
        r#"is_in(["new", "open"])"#,
    ),
    mistake(
        "ticket.unassigned",
        "ticket/src/standing.rs",
        "t.assignee_id.is_none()",
        "t.assignee_id.is_some()",
    ),
    mistake("ticket.pending", "ticket/src/standing.rs", r#"t.status == "pending""#, r#"t.status == "open""#),
    mistake(
        "ticket.assigned_load",
        "ticket/src/standing.rs",
        "pub fn assigned_load(t: &Ticket) -> Option<Sample> {\n    is_open(t.status)",
        "pub fn assigned_load(t: &Ticket) -> Option<Sample> {\n    (t.status == \"open\")",
    ),
    mistake(
        "ticket.oldest_open",
        "ticket/src/standing.rs",
        r#""The least created_at of the backlog.", Least"#,
        r#""The least created_at of the backlog.", Greatest"#,
    ),
    mistake(
        "ticket.age_buckets",
        "ticket/src/standing.rs",
        r#"("under_1h", Span::hours(1))"#,
        r#"("under_1h", Span::minutes(50))"#,
    ),
    mistake(
        "ticket.sla_at_risk",
        "ticket/src/standing.rs",
        "value((due, at_risk))",
        "value((due + Span::minutes(5), at_risk))",
    ),
    mistake(
        "ticket.sla_overdue",
        "ticket/src/standing.rs",
        "Sample::now().value(due))",
        "Sample::now().value(due + Span::minutes(5)))",
    ),
    mistake(
        "ticket.first_reply_time",
        "ticket/src/times.rs",
        "value((at - t.created_at, business))",
        "value((at - t.created_at + Span(1), business))",
    ),
    mistake(
        "ticket.resolution_time",
        "ticket/src/times.rs",
        "|at| (at - t.created_at, config",
        "|at| (at - t.created_at + Span(1), config",
    ),
    mistake(
        "ticket.assignment_time",
        "ticket/src/times.rs",
        "value(at - t.created_at))",
        "value(at - t.created_at + Span::seconds(1)))",
    ),
    mistake("ticket.sla_first_reply_met", "ticket/src/times.rs", "value(at <= due)", "value(at > due)"),
    mistake("call.offered", "call/src/lib.rs", "Sample::at(at)", "Sample::at(at + Span(1_000_000))"),
    mistake(
        "call.longest_wait",
        "call/src/longest_wait.rs",
        "Sample::now().value(at)",
        "Sample::now().value(at + Span(1))",
    ),
    mistake(
        "im.started",
        "im/src/counts.rs",
        "c.inserted().map(|s| Sample::at(s.created_at))",
        "c.inserted().map(|s| Sample::at(s.created_at).times(2))",
    ),
    mistake(
        "im.queued",
        "im/src/counts.rs",
        ".map(|(at, _)| Sample::at(at))",
        ".map(|(at, _)| Sample::at(at).times(2))",
    ),
    mistake(
        "im.missed",
        "im/src/counts.rs",
        "?.queued_at.map(Sample::at)",
        "?.queued_at.map(|at| Sample::at(at).times(2))",
    ),
    mistake(
        "im.closed",
        "im/src/counts.rs",
        ".map(|s| Sample::at(s.closed_at))",
        ".map(|s| Sample::at(s.closed_at).times(2))",
    ),
    mistake("im.bot_contained", "im/src/counts.rs", "s.queued_at.is_none()", "s.queued_at.is_some()"),
    mistake(
        "im.waiting",
        "im/src/standing.rs",
        r#"(s.status == "queued").then(Sample::now)"#,
        r#"s.status.is_in(["queued", "bot"]).then(Sample::now)"#,
    ),
    mistake(
        "im.active",
        "im/src/standing.rs",
        r#"s.status == "active""#,
        r#"s.status.is_in(["active", "closed"])"#,
    ),
    mistake(
        "im.longest_wait",
        "im/src/standing.rs",
        "Sample::now().value(at)",
        "Sample::now().value(at + Span(1))",
    ),
    mistake(
        "im.first_reply_time",
        "im/src/times.rs",
        "value(at - queued)",
        "value(at - queued + Span::seconds(1))",
    ),
    mistake("im.duration", "im/src/times.rs", "|at| at - assigned", "|at| at - assigned + Span::seconds(1)"),
    mistake(
        "im.reply_wait",
        "im/src/times.rs",
        "(s.reply_wait_seconds, s.agent_messages)",
        "(s.reply_wait_seconds, s.agent_messages + 1)",
    ),
];
