//! Calls: 26 to 45 of the catalogue, and 71.

use super::measure::{self, exact};
use super::{Bag, Form, Image, Metric, NO_FACTS, Output, Sample, Standing, Transition};
use crate::fields::{CALL_RECORD, Cell, Word};
use crate::number::{Number, Rule};
use crate::settings::Settings;
use crate::time::{KINDS, Kind, MINUTE, SECOND};
use std::cmp::Reverse;
use std::collections::HashMap;

/// So many customers the list of the busiest can always tell apart; above, it may be null.
const TOLD_APART: usize = 1_000;

const fn period(
    number: u8,
    name: Word,
    dims: &'static [Word],
    columns: &'static [Word],
    sample: fn(&Transition, &Settings) -> Option<Sample>,
    outputs: fn(&Bag) -> Vec<Output>,
) -> Metric {
    let form = Form::Period { windows: &KINDS, sample, outputs };
    Metric { columns, ..Metric::new(number, name, &CALL_RECORD, dims, form) }
}

const fn now(
    number: u8,
    name: Word,
    columns: &'static [Word],
    stands: fn(&Image, &Settings) -> Option<super::Facts>,
    outputs: fn(&Standing) -> Vec<Output>,
) -> Metric {
    let form = Form::Now { stands, outputs };
    Metric { columns, ..Metric::new(number, name, &CALL_RECORD, &["queue_id"], form) }
}

pub static METRICS: [Metric; 21] = [
    period(26, "call.offered", &["queue_id"], &["direction", "queued_at"], |c, _| offered(c), measure::count),
    period(
        27,
        "call.answered",
        &["queue_id", "agent_id"],
        &["direction", "answered_at"],
        |c, _| answered(c).map(Sample::at),
        measure::count,
    ),
    period(
        28,
        "call.abandoned",
        &["queue_id"],
        &["direction", "status", "queued_at"],
        |c, _| abandoned(c).map(Sample::at),
        measure::count,
    ),
    period(
        29,
        "call.short_abandons",
        &["queue_id"],
        &["direction", "status", "queued_at", "ended_at"],
        |c, settings| {
            let short = settings.threshold("short_abandon_s", c.after.cell("queue_id"));
            waited(c).filter(|(_, wait)| *wait < short).map(|(queued, _)| Sample::at(queued))
        },
        measure::count,
    ),
    period(
        30,
        "call.outbound",
        &["agent_id"],
        &["direction", "answered_at"],
        |c, _| {
            let is_outbound = c.after.is("direction", "outbound");
            c.became_set("answered_at").filter(|_| is_outbound).map(Sample::at)
        },
        measure::count,
    ),
    period(
        31,
        "call.callbacks",
        &["queue_id"],
        &["direction", "status", "ended_at"],
        |c, _| {
            let is_done = c.after.is("direction", "callback") && c.became("status", "done");
            c.after.int("ended_at").filter(|_| is_done).map(Sample::at)
        },
        measure::count,
    ),
    period(
        32,
        "call.transferred_out",
        &["queue_id", "agent_id"],
        &["direction", "answered_at", "transferred_out"],
        |c, _| {
            let is_transferred = is_inbound(c) && c.became_one("transferred_out");
            c.after.int("answered_at").filter(|_| is_transferred).map(Sample::at)
        },
        measure::count,
    ),
    period(
        33,
        "call.missed",
        &["agent_id"],
        &["missed_count", "updated_at"],
        |c, _| {
            let growth = c.growth("missed_count")?;
            Some(Sample::at(c.after.int("updated_at")?).times(growth))
        },
        measure::count,
    ),
    now(
        34,
        "call.in_queue",
        &["status"],
        |row, _| row.is("status", "queued").then_some(NO_FACTS),
        measure::rows,
    ),
    now(
        35,
        "call.active",
        &["status"],
        |row, _| row.is_in("status", &["ringing", "talking", "held"]).then_some(NO_FACTS),
        measure::rows,
    ),
    now(
        36,
        "call.longest_wait",
        &["status", "queued_at"],
        |row, _| {
            let queued = row.cell("queued_at");
            let waits = row.is("status", "queued") && queued.int().is_some();
            waits.then_some([queued, Cell::Null, Cell::Null, Cell::Null, Cell::Null])
        },
        measure::oldest,
    ),
    period(
        37,
        "call.speed_of_answer",
        &["queue_id"],
        &["direction", "answered_at", "queued_at"],
        |c, _| {
            let time = answered(c)?;
            Some(Sample::at(time).value(time - c.after.int("queued_at")?))
        },
        measure::mean_p90_max_count,
    ),
    period(
        38,
        "call.answered_in_target",
        &["queue_id"],
        &["direction", "answered_at", "queued_at"],
        |c, settings| {
            let queued = c.after.int("queued_at")?;
            let target = settings.threshold("target_s", c.after.cell("queue_id"));
            (answered(c)? - queued <= target).then(|| Sample::at(queued))
        },
        measure::count,
    ),
    period(
        39,
        "call.abandon_time",
        &["queue_id"],
        &["direction", "status", "queued_at", "ended_at"],
        |c, _| waited(c).map(|(queued, wait)| Sample::at(queued).value(wait)),
        measure::mean_count,
    ),
    period(
        40,
        "call.talk_time",
        &["queue_id", "agent_id"],
        &["status", "ended_at", "talk_seconds"],
        |c, _| when_done(c, "talk_seconds"),
        measure::mean_p90_count,
    ),
    period(
        41,
        "call.hold_time",
        &["queue_id", "agent_id"],
        &["status", "ended_at", "hold_seconds"],
        |c, _| when_done(c, "hold_seconds"),
        measure::mean_max_count,
    ),
    period(
        42,
        "call.wrapup_time",
        &["queue_id", "agent_id"],
        &["wrapup_ended_at", "ended_at"],
        |c, _| wrapped_up(c).map(|(time, length)| Sample::at(time).value(length)),
        measure::mean_count,
    ),
    period(
        43,
        "call.handle_time",
        &["queue_id", "agent_id"],
        &["wrapup_ended_at", "ended_at", "talk_seconds", "hold_seconds"],
        |c, _| {
            let (time, length) = wrapped_up(c)?;
            let on_the_line = c.after.int("talk_seconds")? + c.after.int("hold_seconds")?;
            Some(Sample::at(time).value(length + on_the_line * SECOND))
        },
        measure::mean_p50_p90_count,
    ),
    period(
        44,
        "call.callers",
        &["queue_id"],
        &["direction", "queued_at", "customer_id"],
        |c, _| Some(offered(c)?.value(c.after.int("customer_id")?)),
        measure::distinct,
    ),
    period(
        45,
        "call.busiest_customers",
        &[],
        &["direction", "queued_at", "customer_id"],
        |c, _| Some(offered(c)?.value(c.after.int("customer_id")?)),
        busiest,
    ),
    Metric {
        columns: &["direction", "queued_at"],
        ..Metric::new(
            71,
            "call.offered_rate",
            &CALL_RECORD,
            &["queue_id"],
            Form::Period { windows: &[Kind::Sliding], sample: |c, _| offered(c), outputs: rate },
        )
    },
];

fn is_inbound(c: &Transition) -> bool {
    c.after.is("direction", "inbound")
}

/// queued_at becomes set, direction inbound, at queued_at.
fn offered(c: &Transition) -> Option<Sample> {
    c.became_set("queued_at").filter(|_| is_inbound(c)).map(Sample::at)
}

/// When answered_at becomes set, direction inbound.
fn answered(c: &Transition) -> Option<i64> {
    c.became_set("answered_at").filter(|_| is_inbound(c))
}

/// queued_at, when an inbound call's status becomes abandoned.
fn abandoned(c: &Transition) -> Option<i64> {
    let is_abandoned = is_inbound(c) && c.became("status", "abandoned");
    c.after.int("queued_at").filter(|_| is_abandoned)
}

/// queued_at of an abandoned call, and ended_at − queued_at.
fn waited(c: &Transition) -> Option<(i64, i64)> {
    let queued = abandoned(c)?;
    Some((queued, c.after.int("ended_at")? - queued))
}

/// A number of seconds, when status becomes done, at ended_at.
fn when_done(c: &Transition, column: &str) -> Option<Sample> {
    let is_done = c.became("status", "done");
    let ended = c.after.int("ended_at").filter(|_| is_done)?;
    Some(Sample::at(ended).value(c.after.int(column)? * SECOND))
}

/// wrapup_ended_at, when it becomes set, and its distance from ended_at.
fn wrapped_up(c: &Transition) -> Option<(i64, i64)> {
    let time = c.became_set("wrapup_ended_at")?;
    Some((time, time - c.after.int("ended_at")?))
}

/// The 10 customers with most samples; ties by id ascending.
fn busiest(bag: &Bag) -> Vec<Output> {
    let mut counts: HashMap<i64, i64> = HashMap::new();
    for values in &bag.values {
        *counts.entry(values[0]).or_default() += 1;
    }
    let rule = if counts.len() > TOLD_APART { Rule::ExactOrNull } else { Rule::Exact };
    let mut ranked: Vec<(Reverse<i64>, i64)> = counts.into_iter().map(|(id, n)| (Reverse(n), id)).collect();
    ranked.sort_unstable();
    ranked.truncate(10);
    let list = |name, of: fn(&(Reverse<i64>, i64)) -> i64| {
        let value = match ranked.is_empty() {
            true => Number::Null,
            false => Number::Ints(ranked.iter().map(of).collect()),
        };
        Output { name, rule, value }
    };
    vec![list("ids", |(_, id)| *id), list("counts", |(Reverse(count), _)| *count)]
}

/// Count, and count by the window's minutes.
fn rate(bag: &Bag) -> Vec<Output> {
    let minutes = (bag.end - bag.start).max(MINUTE) as f64 / MINUTE as f64;
    vec![exact("count", bag.weight), measure::near("per_minute", Some(bag.weight as f64 / minutes))]
}
