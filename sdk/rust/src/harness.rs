//! A host in miniature, for a plugin's unit tests: rows go in, samples and outputs come out, under
//! plain `cargo test`. It runs the metric through the same packed calls as the host does, keeps it
//! for every dimension set and window, and checks what the host would refuse.

mod pack;
mod sessions;
mod summary;

use crate::metric::{Metric, describe, open};
use crate::packed::{Bits, I64s};
use crate::raw::{Instance, MetricInfo, Outputs, Parts, Samples, ValueType, Window};
use crate::row::Cells;
use crate::value::{Cell, Time};
pub use pack::Key;
use pack::{Batch, windows_of};
use std::collections::BTreeMap;
use std::marker::PhantomData;
pub use summary::summary;

/// A sample as the host would see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub weight: i64,
    /// None: counted as skipped (or the metric is one over current values).
    pub at: Option<Time>,
    pub until: Option<Time>,
    /// Texts of the dimensions, in the metric's order; null is `\N`.
    pub dims: Vec<String>,
    /// Values, in the metric's order: integers, microseconds, or bits of floats. None = null.
    pub values: Vec<Option<i64>>,
}

/// One value that `evaluate` gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Out {
    Null,
    Int(i64),
    Float(f64),
    Bool(bool),
    Time(Time),
    Text(String),
    List(Vec<Out>),
}

/// The outputs of one key and window.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(BTreeMap<String, Out>);

impl Row {
    /// An output by name.
    pub fn get(&self, output: &str) -> &Out {
        match self.0.get(output) {
            Some(out) => out,
            None => panic!("no output {output:?}; there are {:?}", self.0.keys()),
        }
    }
    pub fn is_null(&self, output: &str) -> bool {
        *self.get(output) == Out::Null
    }
    pub fn int(&self, output: &str) -> i64 {
        match self.get(output) {
            Out::Int(value) => *value,
            other => panic!("{output} is {other:?}, no integer"),
        }
    }
    pub fn float(&self, output: &str) -> f64 {
        match self.get(output) {
            Out::Float(value) => *value,
            other => panic!("{output} is {other:?}, no float"),
        }
    }
    /// A time; None = null.
    pub fn time(&self, output: &str) -> Option<Time> {
        match self.get(output) {
            Out::Time(value) => Some(*value),
            Out::Null => None,
            other => panic!("{output} is {other:?}, no time"),
        }
    }
}

/// Runs one metric. Panics with an explanation where the host would refuse the metric: it is for
/// tests only. Calendar days are those of UTC.
pub struct Harness<M: Metric> {
    info: MetricInfo,
    instance: Box<dyn Instance>,
    time: Time,
    seen: Vec<Seen>,
    rejected: Vec<String>,
    slots: BTreeMap<Key, u32>,
    /// Slots given out so far.
    made: u32,
    metric: PhantomData<M>,
}

impl<M: Metric> Default for Harness<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Metric> Harness<M> {
    /// The metric with the defaults of its settings.
    pub fn new() -> Self {
        Self::with_config(&[])
    }

    /// The metric with the operator's settings.
    pub fn with_config(config: &[(&str, &str)]) -> Self {
        let config: Vec<(String, String)> =
            config.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Harness {
            info: describe::<M>(),
            instance: open::<M>(&config).unwrap_or_else(|why| panic!("the metric cannot be opened: {why}")),
            time: Time(0),
            seen: Vec::new(),
            rejected: Vec::new(),
            slots: BTreeMap::new(),
            made: 0,
            metric: PhantomData,
        }
    }

    /// What the host would learn about the metric.
    pub fn info(&self) -> &MetricInfo {
        &self.info
    }

    /// Event time of the changes that follow (what `Change::time` gives).
    pub fn set_time(&mut self, time: Time) {
        self.time = time;
    }

    pub fn insert<R: Cells>(&mut self, row: &R) {
        self.change(None, Some(row));
    }

    pub fn update<R: Cells>(&mut self, before: &R, after: &R) {
        self.change(Some(before), Some(after));
    }

    pub fn delete<R: Cells>(&mut self, row: &R) {
        self.change(Some(row), None);
    }

    /// All samples so far, in order.
    pub fn samples(&self) -> &[Seen] {
        &self.seen
    }

    /// Reasons of the rows that the metric refused.
    pub fn rejected(&self) -> &[String] {
        &self.rejected
    }

    /// Outputs of a key in the window that holds `at`. `window` is a name like `1m`, `day`, `now`;
    /// `dims` says which dimension set and key, in any order; null is `\N`. A key that never had a
    /// sample gives the outputs of nothing.
    pub fn output(&self, window: &str, dims: &[(&str, &str)], at: Time) -> Row {
        let kind = self.info.windows.iter().find(|kind| pack::window_name(**kind) == window);
        let Some(kind) = kind else { panic!("the metric has no window {window:?}") };
        for (name, _) in dims {
            assert!(self.info.dimensions.iter().any(|d| d == name), "the metric has no dimension {name:?}");
        }
        let given = |name: &String| dims.iter().find(|(given, _)| given == name).map(|(_, v)| v.to_string());
        let dims: Vec<Option<String>> = self.info.dimensions.iter().map(given).collect();
        let (start, end) = match kind {
            Window::Session(_) => self.session_at(window, &dims, at.0),
            kind => windows_of(*kind, at, at).last().map(|span| (span.0, span.1)),
        }
        .unwrap_or((0, 0));
        let key = Key { window: window.into(), start, end, dims };
        let slot = self.slots.get(&key).copied().unwrap_or(0);
        self.evaluate(slot, start, end)
    }

    /// Every key and window that has had a sample, with its outputs.
    pub fn outputs(&self) -> Vec<(Key, Row)> {
        self.slots.iter().map(|(key, slot)| (key.clone(), self.evaluate(*slot, key.start, key.end))).collect()
    }

    fn change<R: Cells>(&mut self, before: Option<&R>, after: Option<&R>) {
        let input = self.info.inputs[0].clone();
        assert_eq!(R::SOURCE, input.source, "the metric reads another source");
        if self.info.windows == [Window::Now] {
            // The host shows the image that ceases to hold, then the one that begins to.
            for (row, sign) in [(before, -1), (after, 1)] {
                if let Some(row) = row {
                    let samples = self.observed(&Batch::images(&input, row));
                    self.take(&samples, None, Some(row), sign);
                }
            }
            return;
        }
        let batch = Batch::change(&input, before, after, self.time);
        let samples = self.observed(&batch);
        if let (Some(old), Some(new)) = (before, after)
            && input.watches.iter().all(|name| old.cell(name) == new.cell(name))
            && !input.watches.is_empty()
        {
            assert!(
                samples.rows.is_empty(),
                "an update in which no watched field ({}) changed gave a sample: watch more fields",
                input.watches.join(", ")
            );
        }
        self.take(&samples, before, after, 1);
    }

    fn observed(&self, batch: &Batch) -> Samples {
        let samples = match batch {
            Batch::Changes(changes) => self.instance.observe(0, changes),
            Batch::Images(images) => self.instance.observe_image(0, images),
        };
        samples.unwrap_or_else(|why| panic!("observe gave an error: {why}"))
    }

    fn take<R: Cells>(&mut self, samples: &Samples, before: Option<&R>, after: Option<&R>, sign: i64) {
        self.rejected.extend(samples.rejects.iter().map(|reject| reject.reason.clone()));
        let n = samples.rows.len() / 4;
        let checked = "the SDK packs what it can read";
        let weights = I64s::optional("weights", &samples.weights, n).expect(checked);
        let times = I64s::optional("times", &samples.times, n).expect(checked);
        let valid = Bits::new("times-validity", &samples.times_validity, n).expect(checked);
        let untils = I64s::optional("untils", &samples.untils, n).expect(checked);
        let images = Bits::new("images", &samples.images, n).expect(checked);
        for i in 0..n {
            let image = if images.get(i) { after } else { before };
            let Some(image) = image else {
                panic!("a sample takes its dimensions from an image that is not there")
            };
            let time = times.filter(|_| valid.get(i)).map(|times| Time(times.get(i)));
            let seen = Seen {
                weight: sign * weights.map_or(1, |weights| weights.get(i)),
                at: time,
                until: untils.map(|untils| Time(untils.get(i))),
                dims: self.info.dimensions.iter().map(|name| self.dimension(image, name)).collect(),
                values: samples.values.iter().map(|column| pack::value_at(column, n, i)).collect(),
            };
            assert!(
                sign * seen.weight > 0 || times.is_some(),
                "a sample over current values must have weight > 0"
            );
            self.count(&seen, samples, i);
            self.seen.push(seen);
        }
    }

    fn dimension<R: Cells>(&self, image: &R, name: &str) -> String {
        let fields = &self.info.inputs[0].fields;
        let ty = fields.iter().find(|field| field.name == name).map(|field| field.value_type);
        match (image.cell(name), ty) {
            (Some(Cell::Text(text)), _) => text.replace('\\', "\\\\"),
            (Some(Cell::Bits(bits)), Some(ValueType::Bool)) => (bits != 0).to_string(),
            (Some(Cell::Bits(bits)), Some(ValueType::Float)) => f64::from_bits(bits as u64).to_string(),
            (Some(Cell::Bits(bits)), _) => bits.to_string(),
            (Some(Cell::Null), _) => "\\N".into(),
            (None, _) => panic!("the row has no field {name}"),
        }
    }

    /// Brings a sample into every dimension set and window.
    fn count(&mut self, seen: &Seen, samples: &Samples, i: usize) {
        let mut parts = Parts::default();
        for kind in self.info.windows.clone() {
            let at = match (kind, seen.at) {
                (Window::Now, _) => Time(0),
                (_, Some(at)) => at,
                // Without a time it is counted as skipped and goes nowhere.
                (_, None) => continue,
            };
            for (start, end, from, until) in windows_of(kind, at, seen.until.unwrap_or(at)) {
                for dims in pack::keys_of(&self.info, &seen.dims) {
                    let key = Key { window: pack::window_name(kind), start, end, dims };
                    let slot = match (kind, self.slots.get(&key)) {
                        (Window::Session(_), _) => self.session_slot(key),
                        (_, Some(slot)) => *slot,
                        (_, None) => {
                            let slot = self.new_slot();
                            self.slots.insert(key, slot);
                            slot
                        }
                    };
                    parts.slots.extend_from_slice(&slot.to_le_bytes());
                    parts.weights.extend_from_slice(&seen.weight.to_le_bytes());
                    if kind != Window::Now {
                        parts.times.extend_from_slice(&from.to_le_bytes());
                        parts.untils.extend_from_slice(&until.to_le_bytes());
                    }
                }
            }
        }
        let n = parts.slots.len() / 4;
        parts.values = samples.values.iter().map(|column| pack::repeat(column, i, n)).collect();
        parts.dictionaries = samples.dictionaries[..parts.values.len()].to_vec();
        self.instance.accumulate(&parts).unwrap_or_else(|why| panic!("accumulate gave an error: {why}"));
    }

    fn new_slot(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    fn evaluate(&self, slot: u32, start: i64, end: i64) -> Row {
        let now = self.info.windows == [Window::Now];
        let packed = |time: i64| if now { Vec::new() } else { time.to_le_bytes().to_vec() };
        let outputs = self.instance.evaluate(&slot.to_le_bytes(), &packed(start), &packed(end), self.time.0);
        let outputs = outputs.unwrap_or_else(|why| panic!("evaluate gave an error: {why}"));
        read_row(&self.info.outputs, &outputs)
    }
}

/// The outputs of one row by name.
pub(crate) fn read_row(infos: &[crate::raw::Output], outputs: &Outputs) -> Row {
    let columns = outputs.columns.iter().zip(&outputs.dictionaries);
    let read = |(output, (column, texts)): (&crate::raw::Output, _)| {
        (output.name.clone(), pack::out(output, column, texts))
    };
    Row(infos.iter().zip(columns).map(read).collect())
}

#[cfg(test)]
mod tests;
