//! IM: 49 to 59 of the catalogue, and 70.

use super::measure::{self, exact};
use super::{Bag, Form, Image, Metric, NO_FACTS, Output, Sample, Standing, Transition};
use crate::fields::{Cell, IM_SESSION, Word};
use crate::settings::Settings;
use crate::time::{KINDS, Kind, SESSION_GAP};

const fn period(
    number: u8,
    name: Word,
    dims: &'static [Word],
    columns: &'static [Word],
    sample: fn(&Transition, &Settings) -> Option<Sample>,
    outputs: fn(&Bag) -> Vec<Output>,
) -> Metric {
    let form = Form::Period { windows: &KINDS, sample, outputs };
    Metric { columns, ..Metric::new(number, name, &IM_SESSION, dims, form) }
}

const fn now(
    number: u8,
    name: Word,
    dims: &'static [Word],
    columns: &'static [Word],
    stands: fn(&Image, &Settings) -> Option<super::Facts>,
    outputs: fn(&Standing) -> Vec<Output>,
) -> Metric {
    Metric { columns, ..Metric::new(number, name, &IM_SESSION, dims, Form::Now { stands, outputs }) }
}

pub static METRICS: [Metric; 12] = [
    period(
        49,
        "im.started",
        &["queue_id", "channel"],
        &["created_at"],
        |c, _| c.after.int("created_at").filter(|_| c.inserted).map(Sample::at),
        measure::count,
    ),
    period(
        50,
        "im.queued",
        &["queue_id"],
        &["queued_at"],
        |c, _| c.became_set("queued_at").map(Sample::at),
        measure::count,
    ),
    period(
        51,
        "im.missed",
        &["queue_id"],
        &["status", "queued_at"],
        |c, _| {
            let is_missed = c.became("status", "missed");
            c.after.int("queued_at").filter(|_| is_missed).map(Sample::at)
        },
        measure::count,
    ),
    period(
        52,
        "im.closed",
        &["queue_id", "agent_id"],
        &["status", "closed_at"],
        |c, _| closed(c),
        measure::count,
    ),
    period(
        53,
        "im.bot_contained",
        &["channel"],
        &["status", "queued_at", "created_at"],
        |c, _| {
            let is_contained = c.became("status", "closed") && c.after.cell("queued_at") == Cell::Null;
            c.after.int("created_at").filter(|_| is_contained).map(Sample::at)
        },
        measure::count,
    ),
    now(
        54,
        "im.waiting",
        &["queue_id"],
        &["status"],
        |row, _| row.is("status", "queued").then_some(NO_FACTS),
        measure::rows,
    ),
    now(
        55,
        "im.active",
        &["queue_id", "agent_id"],
        &["status"],
        |row, _| row.is("status", "active").then_some(NO_FACTS),
        measure::rows,
    ),
    now(
        56,
        "im.longest_wait",
        &["queue_id"],
        &["status", "queued_at"],
        |row, _| {
            let queued = row.cell("queued_at");
            let waits = row.is("status", "queued") && queued.int().is_some();
            waits.then_some([queued, Cell::Null, Cell::Null, Cell::Null, Cell::Null])
        },
        measure::oldest,
    ),
    period(
        57,
        "im.first_reply_time",
        &["queue_id", "agent_id"],
        &["first_reply_at", "queued_at"],
        |c, _| {
            let time = c.became_set("first_reply_at")?;
            Some(Sample::at(time).value(time - c.after.int("queued_at")?))
        },
        measure::mean_p50_p90_count,
    ),
    period(
        58,
        "im.duration",
        &["queue_id", "agent_id"],
        &["status", "closed_at", "assigned_at"],
        |c, _| {
            let sample = closed(c)?;
            Some(sample.value(sample.time - c.after.int("assigned_at")?))
        },
        measure::mean_p90_count,
    ),
    period(
        59,
        "im.reply_wait",
        &["queue_id", "agent_id"],
        &["status", "closed_at", "reply_wait_seconds", "agent_messages"],
        |c, _| {
            let (waited, messages) = (c.after.int("reply_wait_seconds")?, c.after.int("agent_messages")?);
            Some(closed(c)?.values([waited, messages, 0]))
        },
        |bag| {
            let wait = measure::ratio("mean", measure::sum(bag, 0), measure::sum(bag, 1));
            vec![wait, exact("count", bag.samples)]
        },
    ),
    Metric {
        columns: &["queued_at"],
        ..Metric::new(
            70,
            "im.session_bursts",
            &IM_SESSION,
            &["queue_id"],
            Form::Period {
                windows: &[Kind::Session],
                sample: |c, _| c.became_set("queued_at").map(Sample::at),
                outputs: burst,
            },
        )
    },
];

/// Status becomes closed, at closed_at.
fn closed(c: &Transition) -> Option<Sample> {
    let is_closed = c.became("status", "closed");
    c.after.int("closed_at").filter(|_| is_closed).map(Sample::at)
}

/// Count, and last − first: a session ends a gap after its last sample.
fn burst(bag: &Bag) -> Vec<Output> {
    let length = (bag.end - bag.start - SESSION_GAP).max(0);
    vec![exact("count", bag.weight), measure::near("length", Some(measure::in_seconds(length)))]
}
