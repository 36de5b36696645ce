//! A metric as the `#[metric]` macro makes it, and the instance that runs one.

use crate::acc::Accumulator;
use crate::config::{Config, Settings};
use crate::raw::{
    Changes, Entry, Images, Input, Instance, MetricInfo, Outputs, Parts, RowMemory, Samples, States, Window,
};
use crate::row::{Change, Row, for_changes, for_images};
use crate::sample::{Observed, Refused, SamplesWriter, Value};
use crate::slots::Slots;

/// What the author wrote about a metric.
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub name: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub description: &'static str,
    pub owner: &'static str,
    pub version: &'static str,
    pub deprecated: Option<&'static str>,
    pub replaced_by: Option<&'static str>,
    pub watches: &'static [&'static str],
    pub dimensions: &'static [&'static str],
    pub dimension_sets: &'static [&'static [&'static str]],
    pub windows: &'static [Window],
    pub values: &'static [&'static str],
    pub time_varying: bool,
    pub rows: RowMemory,
    pub meaning_version: u32,
    /// Pairs for the host and the dashboard: board, form, correct_for.
    pub extra: &'static [(&'static str, &'static str)],
}

/// One metric. Written by `#[metric]`; nobody implements it by hand.
pub trait Metric: Sized + 'static {
    /// The fields of the source that it uses.
    type Row<'a>: Row<'a>;
    type Config: Config;
    type Value: Value;
    const ABOUT: About;

    fn accumulator() -> impl Accumulator<Self::Value>;
    /// For metrics over events; the other kind gives nothing.
    fn observe(change: &Change<Self::Row<'_>>, config: &Self::Config) -> impl Observed<Value = Self::Value>;
    /// For metrics over current values; the other kind gives nothing.
    fn observe_image(row: &Self::Row<'_>, config: &Self::Config) -> impl Observed<Value = Self::Value>;
}

/// The entry of a metric in its plugin.
pub fn entry<M: Metric>() -> Entry {
    Entry { describe: describe::<M>, open: open::<M> }
}

fn versions<V, A: Accumulator<V>>(_: &A) -> (u32, Vec<u32>) {
    let mut read = A::STATE_VERSIONS_READ.to_vec();
    if !read.contains(&A::STATE_VERSION) {
        read.push(A::STATE_VERSION);
    }
    (A::STATE_VERSION, read)
}

/// `board.name`.
pub fn full_name<M: Metric>() -> String {
    let name = M::ABOUT.name;
    if name.contains('.') { name.into() } else { format!("{}.{name}", M::Row::BOARD) }
}

/// The author's title, or the name in words.
fn title<M: Metric>() -> String {
    if !M::ABOUT.title.is_empty() {
        return M::ABOUT.title.into();
    }
    let words = full_name::<M>().replace(['.', '_'], " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// What the host must know about a metric.
pub fn describe<M: Metric>() -> MetricInfo {
    let about = M::ABOUT;
    let accumulator = M::accumulator();
    let (state_version, state_versions_read) = versions::<M::Value, _>(&accumulator);
    let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let mut values = M::Value::fields();
    for (field, name) in values.iter_mut().zip(about.values) {
        field.name = name.to_string();
    }
    let fields = M::Row::fields();
    MetricInfo {
        name: full_name::<M>(),
        title: title::<M>(),
        unit: about.unit.into(),
        description: about.description.into(),
        owner: about.owner.into(),
        version: about.version.into(),
        deprecated: about.deprecated.map(Into::into),
        replaced_by: about.replaced_by.map(Into::into),
        inputs: vec![Input { source: M::Row::SOURCE.into(), fields, watches: texts(about.watches) }],
        dimensions: texts(about.dimensions),
        dimension_sets: about.dimension_sets.iter().map(|set| texts(set)).collect(),
        windows: about.windows.to_vec(),
        values,
        computed_dimensions: Vec::new(),
        outputs: accumulator.outputs(about.unit),
        time_varying: about.time_varying,
        rows: about.rows,
        state_version,
        state_versions_read,
        meaning_version: about.meaning_version,
        extra: extra(about.extra),
    }
}

fn extra(given: &[(&str, &str)]) -> Vec<(String, String)> {
    let sdk = ("sdk", concat!("rust ", env!("CARGO_PKG_VERSION")));
    given.iter().copied().chain([sdk]).map(|(key, value)| (key.into(), value.into())).collect()
}

/// Opens an instance of a metric.
pub fn open<M: Metric>(config: &[(String, String)]) -> Result<Box<dyn Instance>, String> {
    let accumulator = M::accumulator();
    let now = M::ABOUT.windows == [Window::Now];
    if now && !accumulator.retracts() {
        return Err(format!(
            "{}: its accumulator takes no sample back (Min and Max cannot), so it cannot follow current values",
            full_name::<M>()
        ));
    }
    let config =
        M::Config::read(&Settings::new(config)).map_err(|why| format!("{}: {why}", full_name::<M>()))?;
    Ok(Box::new(Typed::<M, _> { config, now, slots: Slots::new(accumulator, M::ABOUT.unit) }))
}

struct Typed<M: Metric, A: Accumulator<M::Value>> {
    config: M::Config,
    now: bool,
    slots: Slots<M::Value, A>,
}

impl<M: Metric, A: Accumulator<M::Value>> Typed<M, A> {
    fn check(&self, input: u32, now: bool) -> Result<(), String> {
        if input != 0 {
            return Err(format!("input {input}: the metric has one, number 0"));
        }
        match (self.now, now) {
            (true, false) => Err("observe: the metric is one over current values".into()),
            (false, true) => Err("observe-image: the metric is one over events".into()),
            _ => Ok(()),
        }
    }
}

/// Writes what one row gives.
#[inline(always)]
fn give<V: Value>(samples: &mut SamplesWriter<V>, row: usize, observed: impl Observed<Value = V>) {
    if let Err(Refused(reason)) = observed.give(&mut |sample| samples.push(row, sample)) {
        samples.refuse(row, reason);
    }
}

impl<M: Metric, A: Accumulator<M::Value>> Instance for Typed<M, A> {
    fn observe(&self, input: u32, changes: &Changes) -> Result<Samples, String> {
        self.check(input, false)?;
        let mut samples = SamplesWriter::new(changes.event_times.len() / 8, true);
        for_changes::<M::Row<'_>>(changes, |row, change| {
            give(&mut samples, row, M::observe(change, &self.config));
        })?;
        Ok(samples.finish())
    }
    fn observe_image(&self, input: u32, images: &Images) -> Result<Samples, String> {
        self.check(input, true)?;
        let known = images.columns.first().map_or(0, |column| column.values.len() / 8);
        let mut samples = SamplesWriter::new(known, false);
        for_images::<M::Row<'_>>(images, |row, image| {
            give(&mut samples, row, M::observe_image(image, &self.config));
        })?;
        Ok(samples.finish())
    }
    fn accumulate(&mut self, parts: &Parts) -> Result<(), String> {
        self.slots.accumulate(parts)
    }
    fn merge(&mut self, into: &[u8], from: &[u8]) -> Result<(), String> {
        self.slots.merge(into, from)
    }
    fn evaluate(&self, slots: &[u8], starts: &[u8], ends: &[u8], now: i64) -> Result<Outputs, String> {
        self.slots.evaluate(slots, starts, ends, now)
    }
    fn save(&self, slots: &[u8]) -> Result<States, String> {
        self.slots.save(slots)
    }
    fn load(&mut self, slots: &[u8], states: &States, state_version: u32) -> Result<(), String> {
        self.slots.load(slots, states, state_version)
    }
    fn release(&mut self, slots: &[u8]) -> Result<(), String> {
        self.slots.release(slots)
    }
}

#[cfg(test)]
mod tests;
