//! Every number, again, from the samples and rows of the records.

use crate::fields::{Cell, Word, word};
use crate::metrics::{Bag, Bases, Form, Metric, Output};
use crate::results::Key;
use crate::samples::{Counting, Samples};
use crate::time::{Kind, SESSION_GAP};
use anyhow::Result;
use chrono_tz::Tz;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// What should stand under a key.
#[derive(Default)]
pub struct Wanted {
    pub end: i64,
    /// Samples in it; of a metric of current values, its count. None if there is nothing to count.
    pub samples: Option<i64>,
    pub outputs: Vec<Output>,
}

pub type Expected = HashMap<Key, Wanted>;

/// The numbers of a metric in one kind of window.
#[derive(Default)]
pub struct Windowed {
    pub expected: Expected,
    /// Keys in which something happened to a row whose life is not whole or not by the rules, or was late:
    /// a ratio may lie beyond 0..1 there.
    pub irregular: HashSet<Key>,
}

/// A metric's keys of one dimension set.
pub struct Projection {
    pub set: Word,
    /// By number of the whole dimensions: that of the key.
    pub of: Vec<u32>,
    pub keys: Vec<Vec<Word>>,
}

/// What is known of one key in one window on the way.
type Bags = HashMap<(u32, i64), Bag>;

/// The keys of every subset of the dimensions.
pub fn projections(metric: &Metric, dims: &[Vec<Cell>]) -> Vec<Projection> {
    metric.subsets().iter().map(|subset| Projection::new(metric, subset, dims)).collect()
}

impl Projection {
    fn new(metric: &Metric, subset: &[usize], dims: &[Vec<Cell>]) -> Projection {
        let mut known: HashMap<Vec<Cell>, u32> = HashMap::new();
        let mut projection =
            Projection { set: word(&metric.set_name(subset)), of: Vec::new(), keys: Vec::new() };
        for whole in dims {
            let part: Vec<Cell> = subset.iter().map(|d| whole[*d]).collect();
            let next = known.len() as u32;
            let number = match known.entry(part) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    projection.keys.push(entry.key().iter().map(|cell| cell.canonical()).collect());
                    *entry.insert(next)
                }
            };
            projection.of.push(number);
        }
        projection
    }

    pub fn key(&self, window: Word, number: u32, start: i64) -> Key {
        Key { window, set: self.set, dims: self.keys[number as usize].clone(), start }
    }
}

/// A period metric's numbers for every subset of its dimensions, without the samples that missed this
/// kind of window.
pub fn windowed(metric: &Metric, samples: &Samples, kind: Kind, zone: Tz) -> Result<Windowed> {
    let mut windowed = Windowed::default();
    let Form::Period { outputs, .. } = metric.form else { return Ok(windowed) };
    for projection in projections(metric, &samples.dims) {
        let (mut bags, mut irregular) = (Bags::new(), HashSet::new());
        match kind {
            Kind::Session => sessions(&projection, &samples.list, &mut bags),
            _ => fixed(&projection, &samples.list, kind, zone, &mut bags, &mut irregular)?,
        }
        let keys = irregular.into_iter().map(|(number, start)| projection.key(kind.name(), number, start));
        windowed.irregular.extend(keys);
        windowed.expected.reserve(bags.len());
        for ((number, start), bag) in bags {
            let wanted = Wanted { end: bag.end, samples: Some(bag.samples), outputs: outputs(&bag) };
            windowed.expected.insert(projection.key(kind.name(), number, start), wanted);
        }
    }
    Ok(windowed)
}

/// Windows whose borders are known from a time alone.
fn fixed(
    projection: &Projection,
    samples: &[Counting],
    kind: Kind,
    zone: Tz,
    bags: &mut Bags,
    irregular: &mut HashSet<(u32, i64)>,
) -> Result<()> {
    for sample in samples {
        let number = projection.of[sample.dims as usize];
        for (start, end) in kind.windows(sample.time, zone)? {
            if sample.irregular || sample.misses(kind) {
                irregular.insert((number, start));
            }
            if !sample.misses(kind) {
                let bag = bags.entry((number, start)).or_insert_with(|| Bag { start, end, ..Bag::default() });
                bag.add(sample);
            }
        }
    }
    Ok(())
}

/// Runs of samples of a key with no gap over [`SESSION_GAP`].
fn sessions(projection: &Projection, samples: &[Counting], bags: &mut Bags) {
    let counting = samples.iter().filter(|sample| !sample.misses(Kind::Session));
    let mut sorted: Vec<(u32, i64, &Counting)> =
        counting.map(|sample| (projection.of[sample.dims as usize], sample.time, sample)).collect();
    sorted.sort_by_key(|(number, time, _)| (*number, *time));
    let joins = |a: &(u32, i64, &Counting), b: &(u32, i64, &Counting)| a.0 == b.0 && b.1 - a.1 <= SESSION_GAP;
    for run in sorted.chunk_by(joins) {
        let (number, start, _) = run[0];
        let end = run[run.len() - 1].1 + SESSION_GAP;
        let mut bag = Bag { start, end, ..Bag::default() };
        run.iter().for_each(|(_, _, sample)| bag.add(sample));
        bags.insert((number, start), bag);
    }
}

impl Bag {
    fn add(&mut self, sample: &Counting) {
        self.samples += 1;
        self.weight += sample.weight;
        self.values.extend(sample.values);
    }
}

/// A derived metric's numbers: a row for each key of which one of its bases has one; one that has none has
/// the outputs of nothing.
pub fn derived(metric: &Metric, bases: &[(&Metric, &Expected)]) -> Expected {
    let mut expected = Expected::new();
    let Form::Derived { outputs, .. } = metric.form else { return expected };
    let sets: HashSet<String> = metric.subsets().iter().map(|subset| metric.set_name(subset)).collect();
    let nothing: Vec<Vec<Output>> = bases.iter().map(|(base, _)| base.of_nothing()).collect();
    for (key, wanted) in bases.iter().flat_map(|(_, of_base)| of_base.iter()) {
        if !sets.contains(key.set) || expected.contains_key(key) {
            continue;
        }
        let of_bases: Vec<&[Output]> = bases
            .iter()
            .zip(&nothing)
            .map(|((_, all), nothing)| all.get(key).map_or(nothing.as_slice(), |w| w.outputs.as_slice()))
            .collect();
        let wanted = Wanted { end: wanted.end, samples: None, outputs: outputs(&Bases(&of_bases)) };
        expected.insert(key.clone(), wanted);
    }
    expected
}
