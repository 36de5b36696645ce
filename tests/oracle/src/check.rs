//! The whole check of some metrics against what was found.

use crate::compare::{Scope, Tally, compare};
use crate::epochs::Epochs;
use crate::fields::{TABLES, Word};
use crate::injected;
use crate::journal::Partition;
use crate::lateness::{Bounds, Course};
use crate::metrics::{self, Form, Metric};
use crate::number::NOT_CLOSE_PER_MILLE;
use crate::reading::{Counted, Reading};
use crate::recompute::{self, Expected, Windowed};
use crate::report::{Cell, Report};
use crate::results::{Dead, Key, Row, Store};
use crate::samples::{self, Aside, Samples};
use crate::settings::Settings;
use crate::standing::{self, Now};
use crate::time::Kind;
use anyhow::{Context, Result};
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet, HashSet};

mod cohort;

/// What is checked, and how.
pub struct Task {
    pub metrics: Vec<&'static Metric>,
    /// Metrics loaded while the host ran.
    pub pushed: BTreeSet<String>,
    pub zone: Tz,
    pub settings: Settings,
    pub bounds: Bounds,
    /// All partitions were idle before the host stopped in order: every window that had ended by then is
    /// closed.
    pub settled: bool,
}

pub struct Check {
    reading: Reading,
    pub epochs: Epochs,
    /// By table.
    courses: BTreeMap<Word, Course>,
    /// Coordinates of samples that lie too far ahead of the clock, by metric.
    ahead: BTreeMap<String, BTreeSet<(Partition, i64)>>,
    pub report: Report,
}

impl Check {
    /// Balances the epochs' counts against the journal.
    pub fn new(reading: Reading, epochs: Epochs, bounds: &Bounds) -> Check {
        let records = &reading.records;
        let mut report = Report::default();
        let balance = epochs.balance(records);
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
        let course = |table| Course::new(table, records, &epochs, bounds);
        let courses = TABLES.into_iter().map(|table| (table.name, course(table))).collect();
        Check { reading, epochs, courses, ahead: BTreeMap::new(), report }
    }

    /// Compares `dead_letters` with the records that nobody can read, and remembers the samples that lie
    /// too far ahead of the clock.
    pub fn dead_letters(&mut self, found: &[Dead]) {
        let mut unreadable = BTreeSet::new();
        for dead in found {
            let at = (dead.partition.clone(), dead.offset);
            if dead.metric.is_empty() {
                unreadable.insert(at);
            } else if dead.code == "future-time" {
                self.ahead.entry(dead.metric.clone()).or_default().insert(at);
            } else {
                self.report.others.push(format!("{dead:?} is dead for a reason that nobody gave"));
            }
        }
        let expected = injected::dead(&self.reading.records);
        let missing = expected.difference(&unreadable).map(|at| format!("{at:?} is not in dead_letters"));
        let extra = unreadable.difference(&expected).map(|at| format!("{at:?} is dead, but can be read"));
        self.report.others.extend(missing.chain(extra));
        self.report.notes.push(format!("dead_letters: {} records, as in the journal", unreadable.len()));
    }

    /// Are exactly those records dead, skipped or excluded that were spoilt on purpose?
    pub fn injected(&mut self) {
        let injected = &self.reading.injected;
        self.report.notes.push(format!(
            "injected: {} dead, {} skipped, {} excluded; {} repeats and {} tombstones are skipped too",
            injected.dead, injected.skipped, injected.excluded, injected.repeats, injected.tombstones
        ));
        self.report.others.extend(injected.differ.iter().cloned());
        if injected.more > 0 {
            self.report.others.push(format!("{} more records met another fate than theirs", injected.more));
        }
    }

    pub fn metric(&mut self, metric: &'static Metric, store: &dyn Store, task: &Task) -> Result<()> {
        let scope = match task.pushed.contains(metric.name) {
            true => Scope::Complete { not_before: self.coverage(metric, &task.bounds) },
            false => Scope::All,
        };
        match metric.is_now() {
            true => self.now(metric, store, scope, task),
            false => self.period(metric, store, scope, task),
        }
    }

    fn period(
        &mut self,
        metric: &'static Metric,
        store: &dyn Store,
        scope: Scope,
        task: &Task,
    ) -> Result<()> {
        let bases = self.bases(metric);
        let mut samples: Vec<Samples> = Vec::new();
        for base in &bases {
            samples.push(self.samples(base, store, task)?);
        }
        if let (Form::Period { .. }, [samples]) = (&metric.form, samples.as_slice()) {
            self.aside(metric, samples);
        }
        let cell_before = self.report.cells.len();
        for kind in metric.windows() {
            let mut windowed = Vec::new();
            for (base, samples) in bases.iter().zip(&samples) {
                windowed.push(recompute::windowed(base, samples, *kind, task.zone)?);
            }
            let found = store.realtime(metric.name, kind.name())?;
            if task.settled {
                self.finality(metric, &found, &task.bounds);
            }
            let irregular: HashSet<Key> =
                windowed.iter_mut().flat_map(|w| std::mem::take(&mut w.irregular)).collect();
            let expected = expected_of(metric, &bases, windowed);
            self.cell(metric, kind.name(), &expected, &found, scope);
            self.cohort(metric, &expected, &found, &irregular);
        }
        let others = store.windows(metric.name)?;
        for window in others.iter().filter(|name| !is_one_of(metric.windows(), name)) {
            self.surplus(metric, window, &store.realtime(metric.name, window)?);
        }
        self.closeness(metric, cell_before);
        Ok(())
    }

    /// The metrics whose samples or rows it is computed from: itself, unless it is derived.
    fn bases(&self, metric: &'static Metric) -> Vec<&'static Metric> {
        match metric.form {
            Form::Derived { of, .. } => of.iter().filter_map(|name| metrics::by_name(name)).collect(),
            Form::Period { .. } | Form::Now { .. } => vec![metric],
        }
    }

    fn samples(&self, metric: &'static Metric, store: &dyn Store, task: &Task) -> Result<Samples> {
        let late = store.late(metric.name)?;
        let none = BTreeSet::new();
        let aside = Aside {
            late: &late,
            ahead: self.ahead.get(metric.name).unwrap_or(&none),
            course: self.courses.get(metric.table.name).context("a table without a course")?,
            bounds: &task.bounds,
        };
        samples::gather(metric, &self.reading, &aside, task.zone, &task.settings)
    }

    /// Notes what did not count in its windows.
    fn aside(&mut self, metric: &Metric, samples: &Samples) {
        self.report.late += samples.late;
        if samples.late + samples.ahead > 0 {
            self.report.notes.push(format!(
                "{}: {} late events, taken out of the windows that they missed; {} samples ahead of the clock",
                metric.name, samples.late, samples.ahead
            ));
        }
        self.report.others.extend(samples.strange.iter().map(|text| format!("{}: {text}", metric.name)));
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

    fn now(&mut self, metric: &'static Metric, store: &dyn Store, scope: Scope, task: &Task) -> Result<()> {
        let now = self.standing(metric, &task.settings)?;
        let none = HashSet::new();
        let latest = store.latest(metric.name)?;
        self.cell(metric, "now", &now.latest, &latest, scope);
        let history = store.realtime(metric.name, "now")?;
        self.cell(metric, "history", &now.history, &history, scope);
        if !self.reading.mended.iter().any(|(table, _)| *table == metric.table.name) {
            self.cohort(metric, &now.latest, &latest, &none);
            self.cohort(metric, &now.history, &history, &none);
        }
        for window in store.windows(metric.name)?.iter().filter(|name| *name != "now") {
            self.surplus(metric, window, &store.realtime(metric.name, window)?);
        }
        Ok(())
    }

    fn standing(&self, metric: &'static Metric, settings: &Settings) -> Result<Now> {
        let of_base = |base| standing::now(base, &self.reading, &self.epochs, settings);
        if let Form::Now { .. } = metric.form {
            return of_base(metric);
        }
        let bases = self.bases(metric);
        let all: Vec<Now> = bases.iter().map(|base| of_base(base)).collect::<Result<_>>()?;
        let of = |part: fn(&Now) -> &Expected| {
            let parts: Vec<(&Metric, &Expected)> = bases.iter().copied().zip(all.iter().map(part)).collect();
            recompute::derived(metric, &parts)
        };
        Ok(Now { latest: of(|now| &now.latest), history: of(|now| &now.history) })
    }

    /// `metric_latest` against numbers from elsewhere.
    pub fn latest(
        &mut self,
        metric: &'static Metric,
        window: &str,
        expected: &Expected,
        found: &[(Key, Row)],
    ) {
        self.cell(metric, window, expected, found, Scope::All);
    }

    fn cell(
        &mut self,
        metric: &Metric,
        window: &str,
        expected: &Expected,
        found: &[(Key, Row)],
        scope: Scope,
    ) {
        let mut tally = compare(metric, expected, found, scope);
        self.report.others.append(&mut tally.twice);
        let (metric, window) = (metric.name.to_string(), window.to_string());
        self.report.cells.push(Cell { metric, window, tally });
    }

    /// Rows in a kind of window that the metric does not have.
    fn surplus(&mut self, metric: &Metric, window: &str, found: &[(Key, Row)]) {
        let tally = Tally { sets: BTreeMap::new(), ..compare(metric, &Expected::new(), found, Scope::All) };
        self.report.cells.push(Cell { metric: metric.name.into(), window: window.into(), tally });
    }

    /// Of the estimates of a metric nearly all must be close.
    fn closeness(&mut self, metric: &Metric, from: usize) {
        let of_metric = &self.report.cells[from..];
        let estimates: usize = of_metric.iter().map(|cell| cell.tally.estimates).sum();
        let not_close: usize = of_metric.iter().map(|cell| cell.tally.not_close).sum();
        if not_close * 1_000 > estimates * NOT_CLOSE_PER_MILLE {
            self.report
                .others
                .push(format!("{}: of {estimates} estimates {not_close} are more than 2 % off", metric.name));
        }
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
        let updated_at = metric.table.place("updated_at");
        let greatest = |(partition, to): (&&(String, i32), &i64)| {
            let records = self.reading.records.get(*partition)?;
            let read = records.iter().take_while(|(offset, _)| offset < to);
            let time = |(_, counted): &(i64, Counted)| match counted {
                Counted::Applied(change) if change.table.name == metric.table.name => {
                    change.after.as_ref().and_then(|row| row[updated_at].int())
                }
                _ => None,
            };
            read.filter_map(time).max()
        };
        before.iter().filter_map(greatest).min().map_or(i64::MIN, |time| time - bounds.out_of_orderness)
    }
}

fn is_one_of(kinds: &[Kind], name: &str) -> bool {
    kinds.iter().any(|kind| kind.name() == name)
}

fn expected_of(metric: &Metric, bases: &[&Metric], mut windowed: Vec<Windowed>) -> Expected {
    if let Form::Derived { .. } = metric.form {
        let of = windowed.iter().map(|windowed| &windowed.expected);
        return recompute::derived(metric, &bases.iter().copied().zip(of).collect::<Vec<_>>());
    }
    windowed.pop().map(|windowed| windowed.expected).unwrap_or_default()
}

#[cfg(test)]
mod tests;
