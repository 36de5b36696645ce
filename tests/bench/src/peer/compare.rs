//! Values of both, where both mean the same: by queue and in total, in windows of a minute, an hour and a day.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use weir_e2e::clickhouse::Server;

/// What the peer's outputs are to ours.
#[derive(Clone, Copy)]
enum Shape {
    /// The number of samples.
    Count,
    /// Their number times their mean.
    Sum,
    /// Number, mean and greatest, in milliseconds there and in seconds here.
    Times,
    /// A current value.
    Now,
}

struct Pair {
    metric: &'static str,
    /// Our view and its columns.
    view: &'static str,
    columns: &'static str,
    /// The peer's number of the event or current value.
    number: u32,
    shape: Shape,
}

const fn pair(
    metric: &'static str,
    view: &'static str,
    columns: &'static str,
    number: u32,
    shape: Shape,
) -> Pair {
    Pair { metric, view, columns, number, shape }
}

const PAIRS: [Pair; 14] = [
    pair("ticket.created", "ticket_created", "count", 0, Shape::Count),
    pair("ticket.solved", "ticket_solved", "count", 1, Shape::Count),
    pair("ticket.closed", "ticket_closed", "count", 2, Shape::Count),
    pair("ticket.reopened", "ticket_reopened", "count", 3, Shape::Sum),
    pair("ticket.replies", "ticket_replies", "count", 5, Shape::Sum),
    pair("ticket.first_reply_time", "ticket_first_reply_time", "count, mean, max", 6, Shape::Times),
    pair("call.offered", "call_offered", "count", 8, Shape::Count),
    pair("call.answered", "call_answered", "count", 9, Shape::Count),
    pair("call.speed_of_answer", "call_speed_of_answer", "count, mean, max", 9, Shape::Times),
    pair("im.started", "im_started", "count", 17, Shape::Count),
    pair("im.queued", "im_queued", "count", 18, Shape::Count),
    pair("survey.csat (rated)", "survey_csat", "rated", 30, Shape::Count),
    pair("ticket.backlog", "ticket_backlog", "count", 0, Shape::Now),
    pair("call.in_queue", "call_in_queue", "count", 4, Shape::Now),
];

/// Queue (0 in total), start and end of the window in milliseconds (0 for a current value).
type Key = (bool, i64, i64, i64);
type Rows = BTreeMap<Key, Vec<f64>>;
/// Rows by metric.
pub type Values = BTreeMap<&'static str, Rows>;

pub struct Compared {
    metric: &'static str,
    values: usize,
    differ: usize,
    example: String,
}

impl Compared {
    pub fn json(&self) -> Value {
        json!({ "metric": self.metric, "values": self.values, "differ": self.differ, "example": self.example })
    }
}

/// Our values, from ClickHouse.
pub fn read(server: &Server) -> Result<Values> {
    let of = |pair: &Pair| Ok((pair.metric, ours(server, pair).with_context(|| pair.metric.to_owned())?));
    PAIRS.iter().map(of).collect()
}

fn ours(server: &Server, pair: &Pair) -> Result<Rows> {
    let (times, filter) = match pair.shape {
        Shape::Now => ("0, 0", "1"),
        _ => {
            ("toUnixTimestamp64Milli(start), toUnixTimestamp64Milli(`end`)", "window IN ('1m', '1h', 'day')")
        }
    };
    let sql = format!(
        "SELECT dimension_set = '', ifNull(queue_id, 0), {times}, {} FROM weir.{} WHERE {filter} AND dimension_set IN ('', 'queue_id')",
        pair.columns, pair.view
    );
    let mut rows = Rows::new();
    for row in server.rows(&sql)? {
        let number = |at: usize| row[at].parse::<i64>().with_context(|| format!("read {row:?}"));
        let key = (row[0] == "1", number(1)?, number(2)?, number(3)?);
        rows.insert(key, row[4..].iter().map(|text| text.parse().unwrap_or(f64::NAN)).collect());
    }
    Ok(rows)
}

/// Our values against what the peer wrote down.
pub fn all(dump: &Path, values: &Values) -> Result<Vec<Compared>> {
    let text = std::fs::read_to_string(dump).with_context(|| format!("read {}", dump.display()))?;
    let mut theirs: BTreeMap<(bool, u32), Rows> = BTreeMap::new();
    for line in text.lines() {
        take(line, &mut theirs).with_context(|| format!("read `{line}`"))?;
    }
    let empty = Rows::new();
    let compare = |pair: &Pair| {
        let theirs = theirs.get(&(matches!(pair.shape, Shape::Now), pair.number)).unwrap_or(&empty);
        let ours = values.get(pair.metric).unwrap_or(&empty);
        compared(pair, ours, theirs)
    };
    Ok(PAIRS.iter().map(compare).collect())
}

/// `window|now EVENT DIMENSION VALUE START END OUTPUTS…`; dimension 0 is the queue, 4 the total.
fn take(line: &str, theirs: &mut BTreeMap<(bool, u32), Rows>) -> Result<()> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [kind @ ("window" | "now"), event, dimension @ ("0" | "4"), value, start, end, ..] = fields[..]
    else {
        return Ok(());
    };
    let outputs: Result<Vec<f64>, _> = fields[6..].iter().map(|field| field.parse()).collect();
    let key = (dimension == "4", value.parse()?, start.parse()?, end.parse()?);
    theirs.entry((kind == "now", event.parse()?)).or_default().insert(key, outputs?);
    Ok(())
}

/// A key that one side lacks is nothing counted.
fn compared(pair: &Pair, ours: &Rows, theirs: &Rows) -> Compared {
    let mut found = Compared { metric: pair.metric, values: 0, differ: 0, example: String::new() };
    let keys: BTreeSet<&Key> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        let left = ours.get(key).cloned().unwrap_or_else(|| vec![0.0]);
        let right = theirs.get(key).map_or_else(|| vec![0.0], |outputs| translated(pair.shape, outputs));
        found.values += right.len();
        let differ = right.iter().enumerate().filter(|(at, value)| !same(left.get(*at), **value)).count();
        if differ > 0 && found.example.is_empty() {
            found.example = format!("{key:?}: {left:?} here, {right:?} there");
        }
        found.differ += differ;
    }
    found
}

fn translated(shape: Shape, outputs: &[f64]) -> Vec<f64> {
    let at = |n: usize| outputs.get(n).copied().unwrap_or(f64::NAN);
    match shape {
        Shape::Count | Shape::Now => vec![at(0)],
        Shape::Sum => vec![(at(0) * at(1)).round()],
        Shape::Times => vec![at(0), at(1) / 1000.0, at(2) / 1000.0],
    }
}

fn same(ours: Option<&f64>, theirs: f64) -> bool {
    ours.is_some_and(|ours| (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0))
}

pub fn print(compared: &[Compared]) {
    println!("\nValues by queue and in total, in windows of a minute, an hour and a day, of both:");
    for found in compared {
        println!(
            "  {:<26} {:>6} compared, {} differ {}",
            found.metric, found.values, found.differ, found.example
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumped() -> Result<BTreeMap<(bool, u32), Rows>> {
        let mut theirs = BTreeMap::new();
        for line in
            ["window 6 0 7 0 60000 2.0 1500.0 2000.0", "window 6 1 9 0 60000 2.0", "now 0 4 0 0 0 5.0"]
        {
            take(line, &mut theirs)?;
        }
        Ok(theirs)
    }

    #[test]
    fn a_dump_gives_values_by_queue_and_in_total_only() -> Result<()> {
        let theirs = dumped()?;
        assert_eq!(theirs[&(false, 6)].len(), 1);
        assert_eq!(theirs[&(true, 0)][&(true, 0, 0, 0)], [5.0]);
        Ok(())
    }

    #[test]
    fn milliseconds_there_are_seconds_here() -> Result<()> {
        let theirs = dumped()?;
        let ours = Rows::from([((false, 7, 0, 60_000), vec![2.0, 1.5, 2.0])]);
        let found = compared(&PAIRS[5], &ours, &theirs[&(false, 6)]);
        assert_eq!((found.values, found.differ), (3, 0));
        Ok(())
    }

    #[test]
    fn what_one_side_lacks_differs_unless_it_is_nothing() {
        let ours = Rows::from([((false, 7, 0, 60_000), vec![2.0]), ((false, 8, 0, 60_000), vec![0.0])]);
        let found = compared(&PAIRS[0], &ours, &Rows::new());
        assert_eq!((found.values, found.differ), (2, 1));
    }
}
