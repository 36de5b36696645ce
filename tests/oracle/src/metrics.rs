//! The metric definitions of the catalogue, as plain code, by board. A new metric is a new entry of its
//! board's list.

pub mod call;
pub mod derived;
pub mod im;
pub mod measure;
pub mod team;
pub mod ticket;

use crate::debezium::{Change, Op};
use crate::fields::{Cell, Row, Table, Word};
use crate::number::{Number, Rule};
use crate::settings::Settings;
use crate::time::Kind;
use std::collections::BTreeMap;

/// A metric of the catalogue.
pub struct Metric {
    pub number: u8,
    pub name: Word,
    /// Of a derived metric that of its bases.
    pub table: &'static Table,
    /// In the catalogue's order; the metric is kept for every subset.
    pub dims: &'static [Word],
    /// Every column that is looked at beside the dimensions: a row in which one of them or a dimension
    /// does not fit is left out of this metric.
    pub columns: &'static [Word],
    pub form: Form,
    /// How long every window is corrected at least, in microseconds.
    pub correct_for: i64,
}

/// How rows become numbers.
pub enum Form {
    /// Windows of time; a sample at a transition.
    Period { windows: &'static [Kind], sample: SampleOf, outputs: fn(&Bag) -> Vec<Output> },
    /// No window; whether the row as it stands counts, and what of it is looked at.
    Now { stands: StandsOf, outputs: fn(&Standing) -> Vec<Output> },
    /// Computed from the outputs of other metrics of the same dimensions and window.
    Derived {
        of: &'static [Word],
        outputs: fn(&Bases) -> Vec<Output>,
        /// Both sides of the ratio are counted at the same time, so it lies in 0..1.
        cohort: bool,
    },
}

type SampleOf = fn(&Transition, &Settings) -> Option<Sample>;
type StandsOf = fn(&Image, &Settings) -> Option<Facts>;

/// What is kept of a sample.
pub type Values = [i64; 3];

/// What is kept of a row as it stands.
pub type Facts = [Cell; 5];

pub const NO_FACTS: Facts = [Cell::Null; 5];

/// One sample of a period metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    pub time: i64,
    /// Of a span, which is cut at the borders of windows: its values are then (what was left, the part's
    /// length).
    pub until: Option<i64>,
    /// Which image has the dimensions: the one before or the one after.
    pub of_before: bool,
    /// How much it counts.
    pub weight: i64,
    /// Durations in microseconds, whatever the metric's outputs need; nothing where it is only counted.
    pub values: Option<Values>,
}

impl Sample {
    pub fn at(time: i64) -> Sample {
        Sample { time, weight: 1, ..Sample::default() }
    }
    pub fn times(self, weight: i64) -> Sample {
        Sample { weight, ..self }
    }
    pub fn value(self, value: i64) -> Sample {
        self.values([value, 0, 0])
    }
    pub fn values(self, values: Values) -> Sample {
        Sample { values: Some(values), ..self }
    }
}

/// All samples of one key in one window.
#[derive(Clone, Debug, Default)]
pub struct Bag {
    pub start: i64,
    pub end: i64,
    pub samples: i64,
    pub weight: i64,
    pub values: Vec<Values>,
}

/// All rows of one key as they stand.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub clock: i64,
    pub count: i64,
    pub facts: BTreeMap<Facts, i64>,
}

pub struct Output {
    pub name: Word,
    pub rule: Rule,
    pub value: Number,
}

/// Outputs of the metrics that a derived one is computed from, in the order that it names them.
pub struct Bases<'a>(pub &'a [&'a [Output]]);

impl Bases<'_> {
    fn find(&self, base: usize, name: &str) -> Option<&Number> {
        self.0.get(base)?.iter().find(|output| output.name == name).map(|output| &output.value)
    }
    pub fn int(&self, base: usize, name: &str) -> i64 {
        match self.find(base, name) {
            Some(Number::Int(value)) => *value,
            _ => 0,
        }
    }
    pub fn float(&self, base: usize, name: &str) -> f64 {
        match self.find(base, name) {
            Some(Number::Float(value)) => *value,
            _ => 0.0,
        }
    }
}

/// A row image as one metric sees it.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    table: &'static Table,
    row: &'a Row,
}

impl<'a> Image<'a> {
    pub fn new(table: &'static Table, row: &'a Row) -> Image<'a> {
        Image { table, row }
    }
    pub fn cell(&self, column: &str) -> Cell {
        self.row[self.table.place(column)]
    }
    pub fn int(&self, column: &str) -> Option<i64> {
        self.cell(column).int()
    }
    pub fn is(&self, column: &str, text: &str) -> bool {
        self.cell(column).text() == text
    }
    pub fn is_in(&self, column: &str, texts: &[&str]) -> bool {
        texts.contains(&self.cell(column).text())
    }
    /// Whether every column of the metric fits.
    pub fn fits(&self, metric: &Metric) -> bool {
        let mut columns = metric.dims.iter().chain(metric.columns);
        columns.all(|column| self.cell(column) != Cell::Unfit)
    }
    pub fn dims(&self, metric: &Metric) -> Vec<Cell> {
        metric.dims.iter().map(|dim| self.cell(dim)).collect()
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
    pub fn became_set(&self, column: &str) -> Option<i64> {
        let was_set = self.before.as_ref().is_some_and(|before| before.int(column).is_some());
        if was_set { None } else { self.after.int(column) }
    }
    /// The text in `column` is this one, and was not, or there was no row.
    pub fn became(&self, column: &str, text: &str) -> bool {
        self.after.is(column, text) && !self.before.as_ref().is_some_and(|before| before.is(column, text))
    }
    /// As [`Transition::became`], of a flag that is now 1.
    pub fn became_one(&self, column: &str) -> bool {
        let is_one = |image: &Image| image.int(column) == Some(1);
        is_one(&self.after) && !self.before.as_ref().is_some_and(is_one)
    }
    /// By how much a number has grown, if it has; on an insert from 0.
    pub fn growth(&self, column: &str) -> Option<i64> {
        let before = self.before.as_ref().map_or(Some(0), |before| before.int(column))?;
        Some(self.after.int(column)? - before).filter(|growth| *growth > 0)
    }
}

impl Metric {
    const fn new(number: u8, name: Word, table: &'static Table, dims: &'static [Word], form: Form) -> Metric {
        Metric { number, name, table, dims, columns: &[], form, correct_for: 0 }
    }

    /// The sample that a change gives a period metric, with its dimensions. Snapshot reads give none, nor
    /// does the insert half of a changed key; a row with an unfit column is left out.
    pub fn sample(&self, change: &Change, settings: &Settings) -> Option<(Vec<Cell>, Sample)> {
        let Form::Period { sample, .. } = self.form else { return None };
        if !matches!(change.op, Op::Insert | Op::Update) {
            return None;
        }
        let image = |row| Image::new(self.table, row);
        let transition = Transition {
            inserted: change.op == Op::Insert,
            before: change.before.as_ref().map(image),
            after: image(change.after.as_ref()?),
        };
        let sample = sample(&transition, settings)?;
        let fits = transition.after.fits(self) && transition.before.is_none_or(|b| b.fits(self));
        let image = if sample.of_before { transition.before? } else { transition.after };
        fits.then(|| (image.dims(self), sample))
    }

    /// The dimensions under which a row as it stands counts in a metric of current values, and its facts.
    pub fn stands(&self, row: &Row, settings: &Settings) -> Option<(Vec<Cell>, Facts)> {
        let Form::Now { stands, .. } = self.form else { return None };
        let image = Image::new(self.table, row);
        let facts = stands(&image, settings)?;
        image.fits(self).then(|| (image.dims(self), facts))
    }

    /// Whether a change of its table cannot be looked at by this metric: a column does not fit.
    pub fn leaves_out(&self, change: &Change) -> bool {
        let unfit = |row: &Row| !Image::new(self.table, row).fits(self);
        let before = change.before.as_ref().filter(|_| !self.is_now() && change.op == Op::Update);
        change.table.name == self.table.name
            && (change.after.as_ref().is_some_and(unfit) || before.is_some_and(unfit))
    }

    /// Whether it has no windows, but a value that stands.
    pub fn is_now(&self) -> bool {
        match self.form {
            Form::Now { .. } => true,
            Form::Period { .. } => false,
            Form::Derived { of, .. } => self.base(of).is_some_and(Metric::is_now),
        }
    }

    /// The kinds of windows that it has.
    pub fn windows(&self) -> &'static [Kind] {
        match self.form {
            Form::Period { windows, .. } => windows,
            Form::Now { .. } => &[],
            Form::Derived { of, .. } => self.base(of).map_or(&[], Metric::windows),
        }
    }

    fn base(&self, of: &[Word]) -> Option<&'static Metric> {
        of.first().and_then(|name| by_name(name))
    }

    /// Its outputs for a key without samples or rows.
    pub fn of_nothing(&self) -> Vec<Output> {
        match self.form {
            Form::Period { outputs, .. } => outputs(&Bag::default()),
            Form::Now { outputs, .. } => outputs(&Standing::default()),
            Form::Derived { outputs, .. } => outputs(&Bases(&[])),
        }
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

/// All metrics, in the catalogue's order by board, the derived ones last.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    let bases = ticket::METRICS.iter().chain(&call::METRICS).chain(&im::METRICS).chain(&team::METRICS);
    bases.chain(&derived::METRICS)
}

pub fn by_name(name: &str) -> Option<&'static Metric> {
    all().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests;
