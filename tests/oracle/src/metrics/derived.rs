//! The derived metrics: 21 to 25, 46 to 48, 60, 61, 65 and 66 of the catalogue.

use super::measure::{exact, near, ratio};
use super::{Bases, Form, Metric, Output};
use crate::fields::{AGENT_STATE, CALL_RECORD, IM_SESSION, TICKET, Table, Word};

const fn derived(
    number: u8,
    name: Word,
    table: &'static Table,
    dims: &'static [Word],
    of: &'static [Word],
    cohort: bool,
    outputs: fn(&Bases) -> Vec<Output>,
) -> Metric {
    Metric::new(number, name, table, dims, Form::Derived { of, outputs, cohort })
}

/// The ratio and its two sides.
fn sides(above: (Word, i64), below: (Word, i64)) -> Vec<Output> {
    vec![ratio("ratio", above.1, below.1), exact(above.0, above.1), exact(below.0, below.1)]
}

/// The ratio of the counts of two metrics.
fn counts(bases: &Bases, above: Word, below: Word) -> Vec<Output> {
    sides((above, bases.int(0, "count")), (below, bases.int(1, "count")))
}

pub static METRICS: [Metric; 12] = [
    derived(
        21,
        "ticket.net_change",
        &TICKET,
        &["queue_id"],
        &["ticket.created", "ticket.solved"],
        false,
        |bases| vec![exact("count", bases.int(0, "count") - bases.int(1, "count"))],
    ),
    derived(
        22,
        "ticket.reopen_rate",
        &TICKET,
        &["queue_id"],
        &["ticket.reopened", "ticket.solved"],
        false,
        |bases| counts(bases, "reopened", "solved"),
    ),
    derived(
        23,
        "ticket.one_touch_rate",
        &TICKET,
        &["queue_id"],
        &["ticket.one_touch", "ticket.solved"],
        true,
        |bases| counts(bases, "one_touch", "solved"),
    ),
    derived(
        24,
        "ticket.sla_first_reply_rate",
        &TICKET,
        &["queue_id", "priority"],
        &["ticket.sla_first_reply_met"],
        true,
        |bases| sides(("met", bases.int(0, "met")), ("total", bases.int(0, "total"))),
    ),
    derived(
        25,
        "ticket.escalation_rate",
        &TICKET,
        &["queue_id", "priority"],
        &["ticket.escalated", "ticket.created"],
        false,
        |bases| counts(bases, "escalated", "created"),
    ),
    derived(
        46,
        "call.abandon_rate",
        &CALL_RECORD,
        &["queue_id"],
        &["call.abandoned", "call.offered"],
        true,
        |bases| counts(bases, "abandoned", "offered"),
    ),
    derived(
        47,
        "call.service_level",
        &CALL_RECORD,
        &["queue_id"],
        &["call.answered_in_target", "call.offered", "call.short_abandons"],
        true,
        |bases| {
            let counted = bases.int(1, "count") - bases.int(2, "count");
            sides(("in_target", bases.int(0, "count")), ("counted", counted))
        },
    ),
    derived(
        48,
        "call.transfer_rate",
        &CALL_RECORD,
        &["queue_id"],
        &["call.transferred_out", "call.answered"],
        true,
        |bases| counts(bases, "transferred_out", "answered"),
    ),
    derived(60, "im.missed_rate", &IM_SESSION, &["queue_id"], &["im.missed", "im.queued"], true, |bases| {
        counts(bases, "missed", "queued")
    }),
    derived(
        61,
        "im.bot_containment",
        &IM_SESSION,
        &["channel"],
        &["im.bot_contained", "im.started"],
        true,
        |bases| counts(bases, "bot_contained", "started"),
    ),
    derived(65, "agent.utilisation", &AGENT_STATE, &["queue_id"], &["agent.slots"], true, |bases| {
        sides(("used", bases.int(0, "used")), ("slots", bases.int(0, "slots")))
    }),
    derived(
        66,
        "agent.occupancy",
        &AGENT_STATE,
        &["queue_id", "agent_id"],
        &["agent.state_time"],
        true,
        |bases| {
            let busy = bases.float(0, "on_contact") + bases.float(0, "wrapup");
            let staffed = busy + bases.float(0, "available");
            let ratio = (staffed > 0.0).then(|| busy / staffed);
            vec![near("ratio", ratio), near("busy", Some(busy)), near("staffed", Some(staffed))]
        },
    ),
];
