//! The full outer join of what should stand and what stands.

use crate::metrics::Metric;
use crate::number::Number;
use crate::recompute::{Expected, Wanted};
use crate::results::{Key, Row};
use std::collections::BTreeMap;

/// One cell of the table: a metric in one kind of window.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Numbers compared.
    pub compared: usize,
    pub differ: usize,
    /// Of these, numbers of final rows.
    pub finals: usize,
    pub finals_differ: usize,
    /// Rows that were left out because their window began before the metric's coverage.
    pub incomplete: usize,
    /// Samples that should be there and are not, and those that are there and should not be: of the keys
    /// of all dimensions together, so that each sample is met once.
    pub lost: i64,
    pub double: i64,
    /// Numbers that differ in rows with as many samples as there should be.
    pub wrong: usize,
    pub examples: Vec<String>,
}

/// Examples kept for each cell.
const EXAMPLES: usize = 10;

/// Which rows are compared.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    All,
    /// Of a metric that was loaded later: the windows that it saw whole. None may begin before the
    /// given time.
    Complete {
        not_before: i64,
    },
}

/// Compares the rows of one metric in one kind of window.
pub fn compare(metric: &Metric, expected: &Expected, found: &BTreeMap<Key, Row>, scope: Scope) -> Tally {
    let mut tally = Tally::default();
    let (metric, all) = (metric.name, metric.dims.join(","));
    let first = match scope {
        Scope::All => i64::MIN,
        Scope::Complete { .. } => {
            found.iter().filter(|(_, row)| row.complete).map(|(key, _)| key.start).min().unwrap_or(i64::MAX)
        }
    };
    for (key, row) in found {
        if let Scope::Complete { not_before } = scope {
            if !row.complete {
                tally.incomplete += 1;
                continue;
            }
            if key.start < not_before {
                tally.compared += 1;
                tally.differs(
                    metric,
                    key,
                    "complete",
                    "0 (begun before the metric was loaded)".into(),
                    "1".into(),
                );
            }
        }
        match expected.get(key) {
            Some(wanted) => {
                let differ_before = tally.differ;
                tally.both(metric, key, wanted, row);
                let have = samples(key, row);
                let differs = tally.differ > differ_before;
                if have == wanted.samples {
                    tally.wrong += tally.differ - differ_before;
                } else if !differs {
                    tally.differs(metric, key, "samples", wanted.samples.to_string(), have.to_string());
                }
                tally.balance(if key.set == all { have - wanted.samples } else { 0 });
            }
            None if is_nothing(row) => {}
            None => {
                tally.extra(metric, key, row);
                tally.balance(if key.set == all { samples(key, row) } else { 0 });
            }
        }
    }
    for (key, Wanted { outputs, samples, .. }) in expected {
        let row = found.get(key);
        let is_left_out = matches!(scope, Scope::Complete { .. }) && row.is_some_and(|row| !row.complete);
        if row.is_none() && key.start >= first && !is_left_out {
            for output in outputs {
                tally.compared += 1;
                tally.differs(metric, key, output.name, output.value.to_string(), "no row".into());
            }
            tally.balance(if key.set == all { -samples } else { 0 });
        }
    }
    tally
}

/// Of a row of current values the rows that it counts: its samples are all that ever moved it.
fn samples(key: &Key, row: &Row) -> i64 {
    match row.outputs.get("count") {
        Some(Number::Int(count)) if key.window == "now" => *count,
        _ => row.samples,
    }
}

/// The outputs of 'nothing': counts are 0, all else is null.
fn is_nothing(row: &Row) -> bool {
    row.outputs.values().all(|value| matches!(value, Number::Null | Number::Int(0)))
}

impl Tally {
    fn balance(&mut self, samples: i64) {
        self.lost += (-samples).max(0);
        self.double += samples.max(0);
    }

    fn both(&mut self, metric: &str, key: &Key, wanted: &Wanted, row: &Row) {
        let Wanted { end, outputs, .. } = wanted;
        let differ_before = self.differ;
        for output in outputs {
            self.compared += 1;
            self.finals += usize::from(row.is_final);
            let found = row.outputs.get(output.name).copied();
            if !found.is_some_and(|found| output.rule.agrees(output.value, found)) {
                let found = found.map_or("no such output".into(), |found| found.to_string());
                self.differs(metric, key, output.name, output.value.to_string(), found);
            }
        }
        for name in row.outputs.keys().filter(|name| outputs.iter().all(|o| o.name != *name)) {
            self.compared += 1;
            self.differs(metric, key, name, "no such output".into(), "there".into());
        }
        if row.end != *end && key.window != "now" {
            self.compared += 1;
            self.differs(metric, key, "end", end.to_string(), row.end.to_string());
        }
        if row.is_final {
            self.finals_differ += self.differ - differ_before;
        }
    }

    fn extra(&mut self, metric: &str, key: &Key, row: &Row) {
        for (name, value) in &row.outputs {
            self.compared += 1;
            self.finals += usize::from(row.is_final);
            self.finals_differ += usize::from(row.is_final);
            self.differs(metric, key, name, "no row".into(), value.to_string());
        }
    }

    fn differs(&mut self, metric: &str, key: &Key, output: &str, expected: String, found: String) {
        self.differ += 1;
        if self.examples.len() < EXAMPLES {
            let Key { window, set, dims, start } = key;
            let at = jiff::Timestamp::from_microsecond(*start).map_or(start.to_string(), |t| t.to_string());
            self.examples.push(format!(
                "{metric} {window} [{set}]={dims:?} {at} {output}: recomputed {expected}, found {found}"
            ));
        }
    }
}
