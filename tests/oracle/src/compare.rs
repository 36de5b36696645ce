//! The full outer join of what should stand and what stands.

use crate::fields::Word;
use crate::metrics::{Metric, Output};
use crate::number::{Number, Rule, is_close};
use crate::recompute::{Expected, Wanted};
use crate::results::{Key, Row};
use std::collections::{BTreeMap, HashMap};

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
    /// Numbers compared and differing, by dimension set.
    pub sets: BTreeMap<Word, (usize, usize)>,
    /// Estimates, and those that are not close.
    pub estimates: usize,
    pub not_close: usize,
    /// Keys of which there are two rows.
    pub twice: Vec<String>,
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
pub fn compare(metric: &Metric, expected: &Expected, found: &[(Key, Row)], scope: Scope) -> Tally {
    let sets = metric.subsets().iter().map(|s| (crate::fields::word(&metric.set_name(s)), (0, 0))).collect();
    let mut tally = Tally { sets, ..Tally::default() };
    let (metric, all) = (metric.name, metric.dims.join(","));
    let first = match scope {
        Scope::All => i64::MIN,
        Scope::Complete { .. } => {
            found.iter().filter(|(_, row)| row.complete).map(|(key, _)| key.start).min().unwrap_or(i64::MAX)
        }
    };
    let mut by_key: HashMap<&Key, &Row> = HashMap::with_capacity(found.len());
    for (key, row) in found {
        if let Some(other) = by_key.insert(key, row) {
            tally.twice.push(format!("{metric}: two rows of {key:?}, one is {other:?}"));
        }
        if let Scope::Complete { not_before } = scope {
            if !row.complete {
                tally.incomplete += 1;
                continue;
            }
            if key.start < not_before {
                tally.compared(key, 1);
                let expected = "0 (begun before the metric was loaded)".into();
                tally.differs(metric, key, "complete", expected, "1".into());
            }
        }
        let is_whole = key.set == all;
        match expected.get(key) {
            Some(wanted) => tally.pair(metric, key, wanted, row, is_whole),
            None if is_nothing(row.outputs.iter().map(|(_, value)| value)) => {}
            None => {
                tally.extra(metric, key, row);
                tally.balance(if is_whole { samples(key, row) } else { 0 });
            }
        }
    }
    let mut missing: Vec<&Key> =
        expected.keys().filter(|key| key.start >= first && !by_key.contains_key(key)).collect();
    missing.sort();
    for key in missing {
        let Wanted { outputs, samples, .. } = &expected[key];
        for output in outputs {
            tally.compared(key, 1);
            tally.differs(metric, key, output.name, output.value.to_string(), "no row".into());
        }
        tally.balance(if key.set == all { -samples.unwrap_or(0) } else { 0 });
    }
    tally
}

/// Of a row of current values the rows that it counts: its samples are all that ever moved it.
fn samples(key: &Key, row: &Row) -> i64 {
    match row.get("count") {
        Some(Number::Int(count)) if key.window == "now" => *count,
        _ => row.samples,
    }
}

/// The outputs of 'nothing': counts and lengths are 0, all else is null.
pub fn is_nothing<'a>(mut values: impl Iterator<Item = &'a Number>) -> bool {
    values.all(|value| match value {
        Number::Null | Number::Int(0) => true,
        Number::Float(value) => *value == 0.0,
        Number::Ints(list) => list.is_empty(),
        Number::Int(_) | Number::Text(_) => false,
    })
}

/// Whether every sample changes an output.
fn tells_samples(outputs: &[Output]) -> bool {
    let blind = |output: &Output| output.rule == Rule::Distinct || matches!(output.value, Number::Ints(_));
    !outputs.iter().all(blind)
}

impl Tally {
    fn compared(&mut self, key: &Key, numbers: usize) {
        self.compared += numbers;
        self.sets.entry(key.set).or_default().0 += numbers;
    }

    fn balance(&mut self, samples: i64) {
        self.lost += (-samples).max(0);
        self.double += samples.max(0);
    }

    /// A row that is there and should be.
    fn pair(&mut self, metric: &str, key: &Key, expected: &Wanted, row: &Row, is_whole: bool) {
        let differ_before = self.differ;
        self.outputs(metric, key, expected, row);
        let differs = self.differ - differ_before;
        let have = samples(key, row);
        // How many samples moved a current value that is no count says nothing.
        let counts = key.window != "now" || row.get("count").is_some();
        // A row is written when an output changes, which a sample more need not do to an estimate or a list.
        let may_lag = |wanted: i64| differs == 0 && have < wanted && !tells_samples(&expected.outputs);
        match expected.samples.filter(|wanted| counts && *wanted != have && !may_lag(*wanted)) {
            None => self.wrong += differs,
            Some(samples) => {
                if differs == 0 {
                    self.differs(metric, key, "samples", samples.to_string(), have.to_string());
                }
                self.balance(if is_whole { have - samples } else { 0 });
            }
        }
    }

    fn outputs(&mut self, metric: &str, key: &Key, wanted: &Wanted, row: &Row) {
        let Wanted { end, outputs, .. } = wanted;
        let differ_before = self.differ;
        self.compared(key, outputs.len());
        self.finals += if row.is_final { outputs.len() } else { 0 };
        for output in outputs {
            // A list that is null is not there.
            let absent = matches!(output.value, Number::Ints(_)).then_some(&Number::Null);
            let found = row.get(output.name).or(absent);
            if output.rule == Rule::Distinct {
                self.estimates += 1;
                self.not_close += usize::from(!found.is_some_and(|found| is_close(&output.value, found)));
            }
            if !found.is_some_and(|found| output.rule.agrees(&output.value, found)) {
                let found = found.map_or("no such output".into(), |found| found.to_string());
                self.differs(metric, key, output.name, output.value.to_string(), found);
            }
        }
        let unknown = row.outputs.iter().filter(|(name, _)| outputs.iter().all(|o| o.name != *name));
        for (name, _) in unknown {
            self.compared(key, 1);
            self.differs(metric, key, name, "no such output".into(), "there".into());
        }
        if row.end != *end && key.window != "now" {
            self.compared(key, 1);
            self.differs(metric, key, "end", end.to_string(), row.end.to_string());
        }
        if row.is_final {
            self.finals_differ += self.differ - differ_before;
        }
    }

    fn extra(&mut self, metric: &str, key: &Key, row: &Row) {
        for (name, value) in &row.outputs {
            self.compared(key, 1);
            self.finals += usize::from(row.is_final);
            self.finals_differ += usize::from(row.is_final);
            self.differs(metric, key, name, "no row".into(), value.to_string());
        }
    }

    fn differs(&mut self, metric: &str, key: &Key, output: &str, expected: String, found: String) {
        self.differ += 1;
        self.sets.entry(key.set).or_default().1 += 1;
        if self.examples.len() < EXAMPLES {
            let Key { window, set, dims, start } = key;
            let at =
                chrono::DateTime::from_timestamp_micros(*start).map_or(start.to_string(), |t| t.to_rfc3339());
            self.examples.push(format!(
                "{metric} {window} [{set}]={dims:?} {at} {output}: recomputed {expected}, found {found}"
            ));
        }
    }
}
