//! What a row costs in one language: batches as the host makes them, through a sandboxed instance.

use crate::sources::sources;
use std::time::Duration;
use weir_types::SECOND;
use weir_types::contract::{
    Changes, Field, GuestError, Images, MetricFactory, MetricInstance, PackedColumn, PackedDictionary, Parts,
    Samples, ValueType, pack,
};

/// Rows of a call: the host's batch.
const BATCH: usize = 2_048;
/// Slots that the samples go to.
const SLOTS: u32 = 500;
const ROUNDS: usize = 5;
/// 2026-11-23T09:00:00Z.
const START: i64 = 1_795_424_400 * SECOND;

/// Nanoseconds a row (or slot), the least of several rounds; memory after all of it.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub observe: f64,
    pub accumulate: f64,
    pub merge: f64,
    pub evaluate: f64,
    /// For each slot, there and back.
    pub save_load: f64,
    pub memory_bytes: usize,
}

/// Measures one metric.
pub fn measure(metric: &dyn MetricFactory) -> Result<Cost, GuestError> {
    let info = metric.info();
    let mut instance = metric.open()?;
    let fields = &info.inputs[0].fields;
    let source = sources().into_iter().find(|s| s.name == info.inputs[0].source);
    let words = |name: &str| -> Vec<String> {
        let source = source.as_ref();
        let column = source.and_then(|s| s.column(name).map(|at| s.columns[at].values.clone()));
        column.filter(|values| !values.is_empty()).unwrap_or_else(|| vec![String::new()])
    };
    let (samples, observe) = if info.is_now() {
        let (columns, dictionaries) = columns(fields, &words, 1);
        let images = Images {
            rows: BATCH as u32,
            columns: columns.into_iter().map(Into::into).collect(),
            dictionaries: dictionaries.into_iter().map(Into::into).collect(),
        };
        (instance.observe_image(0, &images)?, least(BATCH, || instance.observe_image(0, &images).map(drop))?)
    } else {
        // Some metrics look at inserts, others at what becomes another.
        let mut changes = changes(fields, &words, false);
        if instance.observe(0, &changes)?.rows.is_empty() {
            changes = self::changes(fields, &words, true);
        }
        (instance.observe(0, &changes)?, least(BATCH, || instance.observe(0, &changes).map(drop))?)
    };
    let count = samples.rows.len() / 4;
    let parts = parts(samples, count);
    let accumulate = least(count, || instance.accumulate(&parts))?;
    let from: Vec<u32> = (1..=SLOTS).collect();
    let into: Vec<u32> = from.iter().map(|slot| slot + SLOTS).collect();
    let merge = least(from.len(), || instance.merge(&into, &from))?;
    let evaluate = least(from.len(), || evaluate(&mut *instance, &from, info.is_now()))?;
    let save_load = least(from.len(), || {
        let states = instance.save(&from)?;
        instance.load(&into, &states, info.state_version)
    })?;
    Ok(Cost { observe, accumulate, merge, evaluate, save_load, memory_bytes: instance.memory_bytes() })
}

fn evaluate(instance: &mut dyn MetricInstance, slots: &[u32], now: bool) -> Result<(), GuestError> {
    let times = |time: i64| if now { Vec::new() } else { vec![time; slots.len()] };
    instance.evaluate(slots, &times(START), &times(START + 3_600 * SECOND), START).map(drop)
}

/// Nanoseconds of one of `n` entries of a call, over calls of at least 20 ms a round.
fn least(n: usize, mut call: impl FnMut() -> Result<(), GuestError>) -> Result<f64, GuestError> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (began, mut calls) = (processor_time(), 0);
        while calls == 0 || processor_time() - began < Duration::from_millis(20) {
            call()?;
            calls += 1;
        }
        least = least.min((processor_time() - began).as_nanos() as f64 / (calls * n.max(1)) as f64);
    }
    Ok(least)
}

/// What this thread has had of a core: a machine that is busy otherwise does not count.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, which is there.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

type Words<'a> = &'a dyn Fn(&str) -> Vec<String>;

fn columns(fields: &[Field], words: Words<'_>, shift: i64) -> (Vec<PackedColumn>, Vec<PackedDictionary>) {
    let column = |field: &Field| {
        let words = words(&field.name);
        let value = |row: i64| match field.value_type {
            ValueType::Text => (row + shift) % words.len() as i64,
            ValueType::Time => {
                START + (row % 600) * SECOND + shift * 60 * SECOND * i64::from(field.nullable) + shift
            }
            _ => row % 7,
        };
        let values = pack::i64s(&(0..BATCH as i64).map(value).collect::<Vec<_>>());
        let dictionary = match field.value_type {
            ValueType::Text => dictionary(&words),
            _ => PackedDictionary::default(),
        };
        (PackedColumn { values, ..PackedColumn::default() }, dictionary)
    };
    fields.iter().map(column).unzip()
}

fn dictionary(words: &[String]) -> PackedDictionary {
    let mut offsets = vec![0];
    let mut bytes = Vec::new();
    for word in words {
        bytes.extend_from_slice(word.as_bytes());
        offsets.push(bytes.len() as u32);
    }
    PackedDictionary { offsets: pack::u32s(&offsets), bytes }
}

fn changes(fields: &[Field], words: Words<'_>, update: bool) -> Changes {
    let (mut before, dictionaries) = columns(fields, words, 1);
    let (after, _) = columns(fields, words, 2);
    let none = || pack::bits(BATCH, |_| false);
    for (column, field) in before.iter_mut().zip(fields) {
        // What may be null was null before.
        if field.nullable || !update {
            *column = PackedColumn { validity: none(), values: vec![0; BATCH * 8], offsets: vec![] };
        }
    }
    Changes {
        rows: BATCH as u32,
        before_present: if update { vec![] } else { none() },
        after_present: vec![],
        event_times: pack::i64s(&[START; BATCH]),
        before: before.into_iter().map(Into::into).collect(),
        after: after.into_iter().map(Into::into).collect(),
        dictionaries: dictionaries.into_iter().map(Into::into).collect(),
    }
}

fn parts(samples: Samples, count: usize) -> Parts {
    let slots: Vec<u32> = (0..count as u32).map(|i| 1 + i.wrapping_mul(2_654_435_761) % SLOTS).collect();
    Parts {
        slots: pack::u32s(&slots),
        weights: pack::i64s(&vec![1; count]),
        times: samples.times,
        untils: samples.untils,
        values: samples.values,
        dictionaries: samples.dictionaries,
    }
}
