//! The whole check of some metrics against what was found.

use crate::compare::{Scope, compare};
use crate::epochs::Epochs;
use crate::injected;
use crate::journal::{Journal, Partition};
use crate::lateness::{Bounds, Course};
use crate::metrics::{Metric, Settings};
use crate::recompute::{self, Aside, Counted, Expected, Records};
use crate::report::{Cell, Report};
use crate::results::{Dead, Found, Key, Row};
use crate::time::KINDS;
use anyhow::Result;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};

/// What is checked, and how.
pub struct Task {
    pub metrics: Vec<&'static Metric>,
    /// Metrics loaded while the host ran.
    pub pushed: BTreeSet<String>,
    pub zone: TimeZone,
    pub settings: Settings,
    pub bounds: Bounds,
    /// All partitions were idle before the host stopped in order: every window that had ended by then is
    /// closed.
    pub settled: bool,
}

pub struct Check {
    records: Records,
    epochs: Epochs,
    pub report: Report,
}

impl Check {
    /// Reads the journal and balances the epochs' counts against it.
    pub fn new(journal: &Journal, epochs: Epochs) -> Check {
        let records = recompute::read(journal);
        let mut report = Report::default();
        let balance = epochs.balance(&records);
        report.notes.push(format!(
            "{} epochs: {} counts compared with the journal, {} differ",
            epochs.list.len(),
            balance.compared,
            balance.differ.len()
        ));
        report.others.extend(balance.differ);
        let (mut applied, mut skipped, mut dead) = (0, 0, 0);
        for (_, counted) in records.values().flatten() {
            match counted {
                Counted::Applied(_) => applied += 1,
                Counted::Skipped => skipped += 1,
                Counted::Dead => dead += 1,
            }
        }
        report.notes.push(format!("the journal: {applied} records applied, {skipped} skipped, {dead} dead"));
        Check { records, epochs, report }
    }

    /// Compares `dead_letters` with the records that nobody can read. Gives the coordinates of samples
    /// that lie too far ahead of the clock, by metric.
    pub fn dead_letters(&mut self, found: &[Dead]) -> BTreeMap<String, BTreeSet<(Partition, i64)>> {
        let mut ahead: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        let mut unreadable = BTreeSet::new();
        for dead in found {
            let at = (dead.partition.clone(), dead.offset);
            if dead.metric.is_empty() {
                unreadable.insert(at);
            } else if dead.code == "future-time" {
                ahead.entry(dead.metric.clone()).or_default().insert(at);
            } else {
                self.report.others.push(format!("{dead:?} is dead for a reason that nobody gave"));
            }
        }
        let expected = injected::dead(&self.records);
        let missing = expected.difference(&unreadable).map(|at| format!("{at:?} is not in dead_letters"));
        let extra = unreadable.difference(&expected).map(|at| format!("{at:?} is dead, but can be read"));
        self.report.others.extend(missing.chain(extra));
        self.report.notes.push(format!("dead_letters: {} records, as in the journal", unreadable.len()));
        ahead
    }

    /// Are exactly those records dead, skipped or excluded that were spoilt on purpose?
    pub fn injected(&mut self, journal: &Journal) {
        let injected = injected::compare(journal, &self.records);
        self.report.notes.push(format!(
            "injected: {} dead, {} skipped, {} excluded; {} repeats and {} tombstones are skipped too",
            injected.dead, injected.skipped, injected.excluded, injected.repeats, injected.tombstones
        ));
        self.report.others.extend(injected.differ);
        if injected.more > 0 {
            self.report.others.push(format!("{} more records met another fate than theirs", injected.more));
        }
    }

    pub fn metric(&mut self, metric: &'static Metric, found: Found, task: &Task) -> Result<()> {
        let scope = match task.pushed.contains(metric.name) {
            true => Scope::Complete { not_before: self.coverage(metric, &task.bounds) },
            false => Scope::All,
        };
        if metric.is_now() { self.now(metric, found, scope) } else { self.period(metric, found, scope, task) }
    }

    fn period(&mut self, metric: &'static Metric, found: Found, scope: Scope, task: &Task) -> Result<()> {
        let course = Course::new(metric.table, &self.records, &self.epochs, &task.bounds);
        let aside = Aside { late: &found.late, ahead: &found.ahead, course: &course, bounds: &task.bounds };
        let period = recompute::period(metric, &self.records, &aside, &task.zone, &task.settings)?;
        self.report.late += period.late;
        if period.late + period.ahead > 0 {
            self.report.notes.push(format!(
                "{}: {} late events, taken out of the windows that they missed; {} samples ahead of the clock",
                metric.name, period.late, period.ahead
            ));
        }
        self.report.others.extend(period.strange.iter().map(|text| format!("{}: {text}", metric.name)));
        if task.settled {
            self.finality(metric, &found.realtime, &task.bounds);
        }
        let mut expected = by_window(period.expected);
        let mut rows = self.keyed(metric, found.realtime);
        for kind in KINDS {
            let expected = expected.remove(kind.name()).unwrap_or_default();
            let found = rows.remove(kind.name()).unwrap_or_default();
            self.cell(metric, kind.name(), &expected, &found, scope);
        }
        for (window, rows) in rows {
            self.cell(metric, &window, &Expected::new(), &rows, Scope::All);
        }
        Ok(())
    }

    /// A row is final if, and only if, its window has ended by the clock of the last epoch less the
    /// disorder: with all partitions idle the watermark stands there.
    fn finality(&mut self, metric: &Metric, rows: &[(Key, Row)], bounds: &Bounds) {
        let last = self.epochs.list.last().map_or(i64::MIN, |epoch| epoch.clock);
        let watermark = last.saturating_sub(bounds.out_of_orderness);
        let wrong = rows.iter().filter(|(_, row)| row.is_final != (row.end <= watermark));
        let text = |(key, row): &(Key, Row)| {
            let state = if row.is_final { "final" } else { "provisional" };
            format!(
                "{}: {key:?} is {state}; it ends at {}, the watermark is {watermark}",
                metric.name, row.end
            )
        };
        self.report.others.extend(wrong.map(text));
    }

    fn now(&mut self, metric: &'static Metric, found: Found, scope: Scope) -> Result<()> {
        let now = recompute::now(metric, &self.records, &self.epochs)?;
        let mut latest = self.keyed(metric, found.latest);
        self.cell(metric, "now", &now.latest, &latest.remove("now").unwrap_or_default(), scope);
        let mut history = self.keyed(metric, found.realtime);
        let found = history.remove("now").unwrap_or_default();
        self.cell(metric, "history", &now.history, &found, scope);
        for (window, rows) in latest.into_iter().chain(history) {
            self.cell(metric, &window, &Expected::new(), &rows, Scope::All);
        }
        Ok(())
    }

    /// `metric_latest` against numbers from elsewhere.
    pub fn latest(&mut self, metric: &'static Metric, window: &str, expected: &Expected, found: Found) {
        let mut latest = self.keyed(metric, found.latest);
        self.cell(metric, window, expected, &latest.remove("now").unwrap_or_default(), Scope::All);
    }

    fn cell(
        &mut self,
        metric: &Metric,
        window: &str,
        expected: &Expected,
        found: &BTreeMap<Key, Row>,
        scope: Scope,
    ) {
        let tally = compare(metric, expected, found, scope);
        let (metric, window) = (metric.name.to_string(), window.to_string());
        self.report.cells.push(Cell { metric, window, tally });
    }

    /// Rows by window and key. Two rows of one key differ from what should be.
    fn keyed(&mut self, metric: &Metric, rows: Vec<(Key, Row)>) -> BTreeMap<String, BTreeMap<Key, Row>> {
        let mut windows: BTreeMap<String, BTreeMap<Key, Row>> = BTreeMap::new();
        for (key, row) in rows {
            let of_window = windows.entry(key.window.clone()).or_default();
            if let Some(other) = of_window.insert(key.clone(), row) {
                self.report.others.push(format!("{}: two rows of {key:?}, one is {other:?}", metric.name));
            }
        }
        windows
    }

    /// No window that a metric saw whole may begin before this: what was consumed before the metric
    /// joined had already come so far in event time.
    fn coverage(&mut self, metric: &Metric, bounds: &Bounds) -> i64 {
        let Some(first) = self.epochs.first_with(metric.name) else {
            self.report.failures.push(format!("no epoch knows {}, which was pushed", metric.name));
            return i64::MIN;
        };
        let mut before: BTreeMap<_, i64> = BTreeMap::new();
        for part in
            self.epochs.list.iter().take_while(|e| e.number < first.number).flat_map(|e| &e.partitions)
        {
            before.insert(&part.partition, part.to);
        }
        let updated_at = metric.table.column("updated_at");
        let greatest = |(partition, to): (&&(String, i32), &i64)| {
            let records = self.records.get(*partition)?;
            let read = records.iter().take_while(|(offset, _)| offset < to);
            let time = |(_, counted): &(i64, Counted)| match counted {
                Counted::Applied(change) if change.table.name == metric.table.name => {
                    change.after.as_ref().and_then(|row| crate::fields::cell(row, updated_at).int())
                }
                _ => None,
            };
            read.filter_map(time).max()
        };
        before.iter().filter_map(greatest).min().map_or(i64::MIN, |time| time - bounds.out_of_orderness)
    }
}

fn by_window(expected: Expected) -> BTreeMap<String, Expected> {
    let mut windows: BTreeMap<String, Expected> = BTreeMap::new();
    for (key, value) in expected {
        windows.entry(key.window.clone()).or_default().insert(key, value);
    }
    windows
}

#[cfg(test)]
mod tests;
