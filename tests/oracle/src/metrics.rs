//! The metric definitions of the catalogue, as plain code. A new metric is a new entry of [`METRICS`].

use crate::debezium::{Change, Op};
use crate::fields::{self, CALL_RECORD, Cell, TICKET, Table};
use crate::number::{Number, Rule, quantile};
use crate::time::BusinessHours;
use serde_json::Value;

/// A metric of the catalogue.
pub struct Metric {
    pub name: &'static str,
    pub table: &'static Table,
    /// In the catalogue's order; the metric is kept for every subset.
    pub dims: &'static [&'static str],
    /// Every column that is looked at, dimensions included: a row in which one of them does not fit is
    /// left out of this metric.
    pub columns: &'static [&'static str],
    pub form: Form,
    pub outputs: fn(&Bag) -> Vec<Output>,
}

/// How rows become samples.
pub enum Form {
    /// Windows of time; a sample at a transition, with the after image's dimensions.
    Period(fn(&Transition, &Settings) -> Option<Sample>),
    /// No window; whether the row as it stands counts.
    Now(fn(&Image) -> bool),
}

/// What the operator may set.
pub struct Settings {
    pub business_hours: BusinessHours,
}

/// One sample of a period metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    pub time: i64,
    /// Durations in microseconds, whatever the metric's outputs need.
    pub amounts: Vec<i64>,
}

/// All samples of one key in one window.
#[derive(Clone, Debug, Default)]
pub struct Bag {
    pub count: i64,
    pub amounts: Vec<Vec<i64>>,
}

pub struct Output {
    pub name: &'static str,
    pub rule: Rule,
    pub value: Number,
}

/// A row image as one metric sees it.
pub struct Image<'a> {
    table: &'static Table,
    json: &'a Value,
}

impl<'a> Image<'a> {
    pub fn new(table: &'static Table, json: &'a Value) -> Image<'a> {
        Image { table, json }
    }
    pub fn cell(&self, column: &str) -> Cell {
        fields::cell(self.json, self.table.column(column))
    }
    fn text_is(&self, column: &str, texts: &[&str]) -> bool {
        texts.contains(&self.cell(column).text())
    }
    /// Whether every column of the metric fits.
    pub fn fits(&self, metric: &Metric) -> bool {
        metric.columns.iter().all(|column| self.cell(column) != Cell::Unfit)
    }
    pub fn dims(&self, metric: &Metric) -> Vec<String> {
        metric.dims.iter().map(|dim| self.cell(dim).canonical()).collect()
    }
}

/// A change that has an after image.
pub struct Transition<'a> {
    pub inserted: bool,
    pub before: Option<Image<'a>>,
    pub after: Image<'a>,
}

impl Transition<'_> {
    /// The time in `column`, if it was null or there was no row, and now it is set.
    fn became_set(&self, column: &str) -> Option<i64> {
        let was_set = self.before.as_ref().is_some_and(|before| before.cell(column).int().is_some());
        if was_set { None } else { self.after.cell(column).int() }
    }
}

impl Metric {
    /// The sample that a change gives a period metric. Snapshot reads give none, nor does the insert
    /// half of a changed key; a row with an unfit column is left out.
    pub fn sample(&self, change: &Change, settings: &Settings) -> Option<(Vec<String>, Sample)> {
        let Form::Period(sample) = self.form else { return None };
        if !matches!(change.op, Op::Insert | Op::Update) {
            return None;
        }
        let image = |json| Image::new(self.table, json);
        let transition = Transition {
            inserted: change.op == Op::Insert,
            before: change.before.as_ref().map(image),
            after: image(change.after.as_ref()?),
        };
        let fits = transition.after.fits(self) && transition.before.as_ref().is_none_or(|b| b.fits(self));
        if !fits {
            return None;
        }
        Some((transition.after.dims(self), sample(&transition, settings)?))
    }

    /// The dimensions under which a row as it stands counts in a metric of current values.
    pub fn stands(&self, row: &Value) -> Option<Vec<String>> {
        let Form::Now(counts) = self.form else { return None };
        let image = Image::new(self.table, row);
        (image.fits(self) && counts(&image)).then(|| image.dims(self))
    }

    pub fn is_now(&self) -> bool {
        matches!(self.form, Form::Now(_))
    }

    /// Every subset of the dimensions, by index.
    pub fn subsets(&self) -> Vec<Vec<usize>> {
        let all = self.dims.len();
        (0..1usize << all).map(|bits| (0..all).filter(|d| bits & (1 << d) != 0).collect()).collect()
    }

    pub fn set_name(&self, subset: &[usize]) -> String {
        subset.iter().map(|d| self.dims[*d]).collect::<Vec<_>>().join(",")
    }
}

pub fn by_name(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

pub static METRICS: [Metric; 4] = [
    // 1: rows inserted, at created_at.
    Metric {
        name: "ticket.created",
        table: &TICKET,
        dims: &["queue_id", "channel", "priority"],
        columns: &["queue_id", "channel", "priority", "created_at"],
        form: Form::Period(|change, _| {
            let time = change.after.cell("created_at").int()?;
            change.inserted.then(|| Sample { time, amounts: Vec::new() })
        }),
        outputs: count,
    },
    // 7: status in new, open, pending.
    Metric {
        name: "ticket.backlog",
        table: &TICKET,
        dims: &["queue_id", "priority"],
        columns: &["queue_id", "priority", "status"],
        form: Form::Now(|row| row.text_is("status", &["new", "open", "pending"])),
        outputs: count,
    },
    // 15: first_reply_at − created_at, when first_reply_at becomes set, at first_reply_at.
    Metric {
        name: "ticket.first_reply_time",
        table: &TICKET,
        dims: &["queue_id", "assignee_id"],
        columns: &["queue_id", "assignee_id", "first_reply_at", "created_at"],
        form: Form::Period(|change, settings| {
            let time = change.became_set("first_reply_at")?;
            let created = change.after.cell("created_at").int()?;
            let in_business_hours = settings.business_hours.between(created, time);
            Some(Sample { time, amounts: vec![time - created, in_business_hours] })
        }),
        outputs: reply_time,
    },
    // 26: queued_at becomes set, direction inbound, at queued_at.
    Metric {
        name: "call.offered",
        table: &CALL_RECORD,
        dims: &["queue_id"],
        columns: &["queue_id", "direction", "queued_at"],
        form: Form::Period(|change, _| {
            let time = change.became_set("queued_at")?;
            change.after.text_is("direction", &["inbound"]).then(|| Sample { time, amounts: Vec::new() })
        }),
        outputs: count,
    },
];

fn count(bag: &Bag) -> Vec<Output> {
    vec![Output { name: "count", rule: Rule::Exact, value: Number::Int(bag.count) }]
}

fn reply_time(bag: &Bag) -> Vec<Output> {
    let mut sorted = amounts(bag, 0);
    sorted.sort_unstable();
    let seconds = |micros: Option<i64>| micros.map_or(Number::Null, |m| Number::Float(m as f64 / 1e6));
    vec![
        Output { name: "mean", rule: Rule::Near, value: mean(&sorted) },
        Output { name: "p50", rule: Rule::Quantile, value: seconds(quantile(&sorted, 1, 2)) },
        Output { name: "p90", rule: Rule::Quantile, value: seconds(quantile(&sorted, 9, 10)) },
        Output { name: "max", rule: Rule::Near, value: seconds(sorted.last().copied()) },
        Output { name: "count", rule: Rule::Exact, value: Number::Int(bag.count) },
        Output { name: "mean_business", rule: Rule::Near, value: mean(&amounts(bag, 1)) },
    ]
}

fn amounts(bag: &Bag, which: usize) -> Vec<i64> {
    bag.amounts.iter().filter_map(|amounts| amounts.get(which)).copied().collect()
}

/// (Sum ÷ count) ÷ 10⁶.
fn mean(micros: &[i64]) -> Number {
    if micros.is_empty() {
        return Number::Null;
    }
    let sum: i128 = micros.iter().map(|m| i128::from(*m)).sum();
    Number::Float(sum as f64 / micros.len() as f64 / 1e6)
}
