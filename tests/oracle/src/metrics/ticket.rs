//! Tickets: 1 to 20 of the catalogue.

use super::measure::{self, exact};
use super::{Form, Image, Metric, NO_FACTS, Output, Sample, Standing, Transition};
use crate::fields::{Cell, TICKET, Word};
use crate::settings::Settings;
use crate::time::{DAY, HOUR, KINDS};

const fn period(
    number: u8,
    name: Word,
    dims: &'static [Word],
    columns: &'static [Word],
    sample: fn(&Transition, &Settings) -> Option<Sample>,
    outputs: fn(&super::Bag) -> Vec<Output>,
) -> Metric {
    let form = Form::Period { windows: &KINDS, sample, outputs };
    Metric { columns, ..Metric::new(number, name, &TICKET, dims, form) }
}

const fn now(
    number: u8,
    name: Word,
    dims: &'static [Word],
    columns: &'static [Word],
    stands: fn(&Image, &Settings) -> Option<super::Facts>,
    outputs: fn(&Standing) -> Vec<Output>,
) -> Metric {
    Metric { columns, ..Metric::new(number, name, &TICKET, dims, Form::Now { stands, outputs }) }
}

/// Status in new, open, pending.
fn is_backlog(row: &Image) -> bool {
    row.is_in("status", &["new", "open", "pending"])
}

/// A backlog row and one column of it.
fn backlog_with(row: &Image, column: &str) -> Option<super::Facts> {
    let cell = row.cell(column);
    let counts = is_backlog(row) && cell.int().is_some();
    counts.then_some([cell, Cell::Null, Cell::Null, Cell::Null, Cell::Null])
}

pub static METRICS: [Metric; 20] = [
    period(
        1,
        "ticket.created",
        &["queue_id", "channel", "priority"],
        &["created_at"],
        |c, _| created(c),
        measure::count,
    ),
    period(
        2,
        "ticket.solved",
        &["queue_id", "assignee_id"],
        &["status", "solved_at"],
        |c, _| solved(c),
        measure::count,
    ),
    period(
        3,
        "ticket.closed",
        &["queue_id"],
        &["status", "closed_at"],
        |c, _| {
            let is_closed = c.became("status", "closed");
            c.after.int("closed_at").filter(|_| is_closed).map(Sample::at)
        },
        measure::count,
    ),
    period(
        4,
        "ticket.reopened",
        &["queue_id", "assignee_id"],
        &["reopen_count", "updated_at"],
        |c, _| grown(c, "reopen_count"),
        measure::count,
    ),
    period(
        5,
        "ticket.escalated",
        &["queue_id", "priority"],
        &["escalated", "updated_at"],
        |c, _| {
            let is_escalated = c.became_one("escalated");
            c.after.int("updated_at").filter(|_| is_escalated).map(Sample::at)
        },
        measure::count,
    ),
    period(
        6,
        "ticket.replies",
        &["queue_id", "assignee_id"],
        &["reply_count", "updated_at"],
        |c, _| grown(c, "reply_count"),
        measure::count,
    ),
    now(
        7,
        "ticket.backlog",
        &["queue_id", "priority"],
        &["status"],
        |row, _| is_backlog(row).then_some(NO_FACTS),
        measure::rows,
    ),
    now(
        8,
        "ticket.unassigned",
        &["queue_id"],
        &["status", "assignee_id"],
        |row, _| (is_backlog(row) && row.cell("assignee_id") == Cell::Null).then_some(NO_FACTS),
        measure::rows,
    ),
    now(
        9,
        "ticket.pending",
        &["queue_id"],
        &["status"],
        |row, _| row.is("status", "pending").then_some(NO_FACTS),
        measure::rows,
    ),
    now(
        10,
        "ticket.assigned_load",
        &["assignee_id"],
        &["status"],
        |row, _| is_backlog(row).then_some(NO_FACTS),
        measure::rows,
    ),
    now(
        11,
        "ticket.oldest_open",
        &["queue_id"],
        &["status", "created_at"],
        |row, _| backlog_with(row, "created_at"),
        measure::oldest,
    ),
    now(
        12,
        "ticket.age_buckets",
        &["queue_id"],
        &["status", "created_at"],
        |row, _| backlog_with(row, "created_at"),
        ages,
    ),
    now(
        13,
        "ticket.sla_at_risk",
        &["queue_id", "priority"],
        &["status", "resolve_due_at"],
        |row, settings| {
            let [due, ..] = backlog_with(row, "resolve_due_at")?;
            let ahead = Cell::Int(settings.threshold("at_risk_s", row.cell("queue_id")));
            Some([due, ahead, Cell::Null, Cell::Null, Cell::Null])
        },
        at_risk,
    ),
    now(
        14,
        "ticket.sla_overdue",
        &["queue_id", "priority"],
        &["status", "resolve_due_at"],
        |row, _| backlog_with(row, "resolve_due_at"),
        |standing| {
            let is_over = |due: Cell| due.int().is_some_and(|due| due < standing.clock);
            vec![exact("count", measure::rows_with(standing, is_over))]
        },
    ),
    period(
        15,
        "ticket.first_reply_time",
        &["queue_id", "assignee_id"],
        &["first_reply_at", "created_at"],
        |c, settings| since_creation(c, settings, c.became_set("first_reply_at")?),
        measure::with_business_hours,
    ),
    period(
        16,
        "ticket.resolution_time",
        &["queue_id", "assignee_id"],
        &["status", "solved_at", "created_at"],
        |c, settings| since_creation(c, settings, solved(c)?.time),
        measure::with_business_hours,
    ),
    period(
        17,
        "ticket.assignment_time",
        &["queue_id"],
        &["assigned_at", "created_at"],
        |c, _| {
            let time = c.became_set("assigned_at")?;
            Some(Sample::at(time).value(time - c.after.int("created_at")?))
        },
        measure::mean_p90_count,
    ),
    period(
        18,
        "ticket.sla_first_reply_met",
        &["queue_id", "priority"],
        &["first_reply_at", "first_reply_due_at"],
        |c, _| {
            let time = c.became_set("first_reply_at")?;
            let due = c.after.int("first_reply_due_at")?;
            Some(Sample::at(time).value(i64::from(time <= due)))
        },
        |bag| vec![exact("met", measure::sum(bag, 0)), exact("total", bag.samples)],
    ),
    period(
        19,
        "ticket.customers",
        &["channel"],
        &["created_at", "customer_id"],
        |c, _| Some(created(c)?.value(c.after.int("customer_id")?)),
        measure::distinct,
    ),
    period(
        20,
        "ticket.one_touch",
        &["queue_id"],
        &["status", "solved_at", "reply_count"],
        |c, _| solved(c).filter(|_| c.after.int("reply_count").is_some_and(|replies| replies <= 1)),
        measure::count,
    ),
];

/// Rows inserted, at created_at.
fn created(c: &Transition) -> Option<Sample> {
    c.after.int("created_at").filter(|_| c.inserted).map(Sample::at)
}

/// Status becomes solved, at solved_at.
fn solved(c: &Transition) -> Option<Sample> {
    let is_solved = c.became("status", "solved");
    c.after.int("solved_at").filter(|_| is_solved).map(Sample::at)
}

/// A number grows, at updated_at, by the growth.
fn grown(c: &Transition, column: &str) -> Option<Sample> {
    let growth = c.growth(column)?;
    Some(Sample::at(c.after.int("updated_at")?).times(growth))
}

/// Time since created_at, and as much of it as lies in business hours.
fn since_creation(c: &Transition, settings: &Settings, time: i64) -> Option<Sample> {
    let created = c.after.int("created_at")?;
    let in_business_hours = settings.business_hours.between(created, time);
    Some(Sample::at(time).values([time - created, in_business_hours, 0]))
}

/// [0,1h), [1h,8h), [8h,24h), [1d,3d), [3d,∞); negative ages in the first.
fn ages(standing: &Standing) -> Vec<Output> {
    let between = |name, from: i64, to: i64| {
        let is_in = |created: Cell| {
            let age = created.int().map(|created| standing.clock - created);
            age.is_some_and(|age| (from..to).contains(&age))
        };
        exact(name, measure::rows_with(standing, is_in))
    };
    vec![
        between("under_1h", i64::MIN, HOUR),
        between("from_1h_to_8h", HOUR, 8 * HOUR),
        between("from_8h_to_24h", 8 * HOUR, DAY),
        between("from_1d_to_3d", DAY, 3 * DAY),
        between("over_3d", 3 * DAY, i64::MAX),
    ]
}

/// now ≤ resolve_due_at < now + the threshold.
fn at_risk(standing: &Standing) -> Vec<Output> {
    let is_at_risk = |facts: &super::Facts| match (facts[0].int(), facts[1].int()) {
        (Some(due), Some(ahead)) => (standing.clock..standing.clock + ahead).contains(&due),
        _ => false,
    };
    let rows = standing.facts.iter().filter(|(facts, _)| is_at_risk(facts));
    vec![exact("count", rows.map(|(_, count)| count).sum())]
}
