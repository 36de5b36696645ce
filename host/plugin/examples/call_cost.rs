//! What a row costs in the sandbox, by batch size:
//!
//!     cargo run --release -p weir-plugin --example call_cost -- path/to/ticket.wasm
//!
//! For each metric of the component: nanoseconds per row of observe, per sample of accumulate, per
//! slot of merge and evaluate, the least of several rounds. It measures, it checks nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};
use weir_plugin::{Sandbox, SandboxOptions};
use weir_types::contract::{
    Changes, Field, GuestError, Images, MetricFactory, MetricInstance, PackedColumn, PackedDictionary, Parts,
    Samples, ValueType, pack,
};
use weir_types::ports::Loader;

const BATCHES: [usize; 5] = [1, 64, 1_024, 8_192, 65_536];
/// Rows in one round, whatever the batch size.
const ROUND: usize = 262_144;
const ROUNDS: usize = 5;
const SLOTS: u32 = 500;
/// 2026-11-23T09:00:00Z.
const START: i64 = 1_795_424_400_000_000;
const WORDS: [&str; 6] = ["open", "new", "mail", "chat", "inbound", "closed"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name a component: … --example call_cost -- ticket.wasm")?;
    let sandbox = Sandbox::new(SandboxOptions::default())?;
    let bytes = std::fs::read(&path).map_err(|e| format!("{path}: {e}"))?;
    for metric in sandbox.reload(&path, &bytes)? {
        println!("{}", metric.info().name);
        println!(
            "  {:>8} {:>10} {:>12} {:>8} {:>10}   samples",
            "batch", "observe", "accumulate", "merge", "evaluate"
        );
        for batch in BATCHES {
            // A lone row costs a whole call: fewer of them tell as much.
            let calls = (ROUND / batch).min(20_000);
            println!("  {batch:>8} {}", measure(&*metric, batch, calls)?);
        }
    }
    Ok(())
}

fn measure(metric: &dyn MetricFactory, batch: usize, calls: usize) -> Result<String, GuestError> {
    let info = metric.info();
    let mut instance = metric.open()?;
    let fields = &info.inputs[0].fields;
    let (samples, observe) = if info.is_now() {
        let images = images(fields, batch);
        let samples = instance.observe_image(0, &images)?;
        (samples, least(calls, || instance.observe_image(0, &images).map(drop))?)
    } else {
        // Some metrics look at inserts, others at what becomes set.
        let mut changes = changes(fields, batch, false);
        if instance.observe(0, &changes)?.rows.is_empty() {
            changes = self::changes(fields, batch, true);
        }
        let samples = instance.observe(0, &changes)?;
        (samples, least(calls, || instance.observe(0, &changes).map(drop))?)
    };
    let count = samples.rows.len() / 4;
    let parts = parts(samples, count);
    let accumulate = least(calls, || instance.accumulate(&parts))?;
    let (into, from): (Vec<u32>, Vec<u32>) =
        (0..batch as u32).map(|i| (SLOTS + 1 + i % 5_000, 1 + i % SLOTS)).unzip();
    let merge = least(calls, || instance.merge(&into, &from))?;
    let evaluate = evaluate(&mut *instance, &into, info.is_now(), calls)?;
    let per = |time: Duration, rows: usize| time.as_nanos() as f64 / (calls * rows.max(1)) as f64;
    Ok(format!(
        "{:>7.1} ns {:>9.1} ns {:>5.1} ns {:>7.1} ns   {count} of {batch}",
        per(observe, batch),
        per(accumulate, count),
        per(merge, batch),
        per(evaluate, batch)
    ))
}

fn evaluate(
    instance: &mut dyn MetricInstance,
    slots: &[u32],
    now: bool,
    calls: usize,
) -> Result<Duration, GuestError> {
    let times = |time: i64| if now { vec![] } else { vec![time; slots.len()] };
    let (starts, ends) = (times(START), times(START + 60_000_000));
    least(calls, || instance.evaluate(slots, &starts, &ends, START).map(drop))
}

/// The shortest of several rounds of so many calls.
#[allow(clippy::disallowed_methods, reason = "a cost is measured")]
fn least(calls: usize, mut call: impl FnMut() -> Result<(), GuestError>) -> Result<Duration, GuestError> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..calls {
            black_box(call()?);
        }
        best = best.min(began.elapsed());
    }
    Ok(best)
}

fn column(field: &Field, rows: usize, there: bool) -> PackedColumn {
    if !there {
        let validity = if rows == 0 { vec![] } else { vec![0; rows.div_ceil(8)] };
        return PackedColumn { validity, values: vec![0; rows * 8], offsets: vec![] };
    }
    let value = |row: i64| match field.value_type {
        ValueType::Time => START + row * 1_500,
        ValueType::Text => row % WORDS.len() as i64,
        ValueType::Bool => row & 1,
        ValueType::Float => ((row % 100) as f64).to_bits() as i64,
        ValueType::Int => row * 7_919 % 50,
    };
    let values: Vec<i64> = (0..rows as i64).map(value).collect();
    PackedColumn { values: pack::i64s(&values), ..PackedColumn::default() }
}

fn dictionary(field: &Field) -> PackedDictionary {
    if field.value_type != ValueType::Text {
        return PackedDictionary::default();
    }
    let ends = WORDS.iter().scan(0, |end, word| {
        *end += word.len() as u32;
        Some(*end)
    });
    let offsets: Vec<u32> = std::iter::once(0).chain(ends).collect();
    PackedDictionary { offsets: pack::u32s(&offsets), bytes: WORDS.concat().into_bytes() }
}

/// Inserts, or updates in which every nullable field becomes set.
fn changes(fields: &[Field], rows: usize, updates: bool) -> Changes {
    Changes {
        rows: rows as u32,
        before_present: if updates { vec![] } else { vec![0; rows.div_ceil(8)] },
        after_present: vec![],
        event_times: pack::i64s(&(0..rows as i64).map(|row| START + row).collect::<Vec<_>>()),
        before: fields.iter().map(|f| column(f, rows, updates && !f.nullable).into()).collect(),
        after: fields.iter().map(|f| column(f, rows, true).into()).collect(),
        dictionaries: fields.iter().map(|f| dictionary(f).into()).collect(),
    }
}

fn images(fields: &[Field], rows: usize) -> Images {
    Images {
        rows: rows as u32,
        columns: fields.iter().map(|f| column(f, rows, true).into()).collect(),
        dictionaries: fields.iter().map(|f| dictionary(f).into()).collect(),
    }
}

fn parts(samples: Samples, count: usize) -> Parts {
    let values = samples.values.len();
    Parts {
        slots: pack::u32s(&(0..count as u32).map(|i| 1 + i * 7_919 % SLOTS).collect::<Vec<_>>()),
        weights: pack::i64s(&vec![1; count]),
        times: samples.times,
        untils: samples.untils,
        values: samples.values,
        dictionaries: samples.dictionaries.into_iter().take(values).collect(),
    }
}
