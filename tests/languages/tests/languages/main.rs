//! Four metrics in C, Go, JavaScript and Python, written by hand against wit/v0.1, and in Rust: the same
//! rows, to the byte.
//!
//! `cargo xtask languages` builds them and names their folder in WEIR_LANGUAGES; without it this is skipped.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the time of a load is shown, and decides nothing")]

mod built;
mod extremes;

use built::{METRICS, languages, load, loader};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use weir_languages::{cost, run, stream};
use weir_types::contract::{MetricInfo, Output};

const RECORDS: usize = 3_000;
/// What the recorded stream is: another one would be another test.
const STREAM: &str = "bdd4b3ef2ad3ebdbed9594157b92f09516515d491f3d7994e35f18a8bf981699";

#[test]
fn the_stream_is_the_one_that_was_recorded() {
    let mut hasher = blake3::Hasher::new();
    for record in stream::record(RECORDS) {
        hasher.update(format!("{record:?}\n").as_bytes());
    }
    assert_eq!(hasher.finalize().to_hex().as_str(), STREAM);
}

/// What decides the rows. In which order it asks for fields is a metric's own affair, and so is what its samples
/// carry; texts for people may differ.
fn meaning(info: &MetricInfo) -> MetricInfo {
    let mut inputs = info.inputs.clone();
    inputs.iter_mut().for_each(|input| input.fields.sort_by(|a, b| a.name.cmp(&b.name)));
    let outputs = info.outputs.iter().map(|o| Output { description: String::new(), ..o.clone() }).collect();
    // The others say where it is shown, and who made it.
    let extra = info.extra.iter().filter(|(key, _)| key == "correct_for").cloned().collect();
    MetricInfo {
        inputs,
        outputs,
        extra,
        title: String::new(),
        description: String::new(),
        owner: String::new(),
        version: String::new(),
        values: vec![],
        ..info.clone()
    }
}

#[test]
fn every_language_describes_the_same_metrics_and_keeps_the_laws() {
    let Some(languages) = languages() else { return };
    let mut first: BTreeMap<String, MetricInfo> = BTreeMap::new();
    for (language, components) in &languages {
        let began = Instant::now();
        let metrics = load(components);
        println!("{language:<11} loaded, laws included, in {:.1} s", began.elapsed().as_secs_f64());
        if *language != "rust" {
            assert_eq!(metrics.keys().collect::<Vec<_>>(), METRICS.iter().collect::<Vec<_>>(), "{language}");
        }
        for (name, metric) in metrics {
            let meaning = meaning(metric.info());
            assert_eq!(first.entry(name).or_insert_with(|| meaning.clone()), &meaning, "{language}");
        }
    }
}

/// Rows of a language by metric.
type Rows = BTreeMap<String, Vec<String>>;

fn same_rows(name: &str, (one, ours): (&str, &Rows), (other, theirs): (&str, &Rows)) {
    let (ours, theirs) = (&ours[name], &theirs[name]);
    if let Some((a, b)) = ours.iter().zip(theirs).find(|(a, b)| a != b) {
        panic!("{name}: {one} gives\n{a}\nand {other}\n{b}");
    }
    assert_eq!(ours.len(), theirs.len(), "{name}: rows of {one} and {other}");
}

#[test]
fn every_language_gives_the_same_rows_to_the_byte() {
    let Some(languages) = languages() else { return };
    let records = stream::record(RECORDS);
    let mut first: BTreeMap<&str, (&str, Rows)> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for (language, components) in &languages {
        let left = run::run(&records, components, &loader()).unwrap();
        for name in METRICS.into_iter().filter(|name| left.rows.contains_key(*name)) {
            match first.get(name) {
                Some((one, rows)) => same_rows(name, (*one, rows), (*language, &left.rows)),
                None => drop(first.insert(name, (*language, left.rows.clone()))),
            }
            println!("{language:<11} {name:<25} {:>6} rows", left.rows[name].len());
        }
        if let Some(spans) = left.rejected.get("agent.state_time") {
            refused.insert(*spans);
        }
    }
    assert_eq!(first.keys().copied().collect::<Vec<_>>(), METRICS);
    assert!(refused.len() == 1 && !refused.contains(&0), "spans over a day that were refused: {refused:?}");
    for (name, (_, rows)) in &first {
        has_everything(name, &rows[*name]);
    }
}

/// A comparison of nothing shows nothing: every window has rows of every dimension set, and values in each output.
fn has_everything(name: &str, rows: &[String]) {
    let (windows, sets) = match name {
        "agent.state_time" => (vec!["15m", "1h", "day"], 4),
        "ticket.backlog" => (vec!["now"], 4),
        "ticket.created" => (vec!["1m", "15m", "1h", "day"], 8),
        _ => (vec!["1m", "15m", "1h", "day"], 4),
    };
    for window in windows {
        let of_window: Vec<&String> =
            rows.iter().filter(|row| row.contains(&format!("window: {window:?}"))).collect();
        let set = |row: &&String| {
            row.split("dimension_set: ")
                .nth(1)
                .and_then(|rest| rest.split(", dims").next())
                .map(str::to_owned)
        };
        let found: BTreeSet<_> = of_window.iter().filter_map(set).collect();
        assert_eq!(found.len(), sets, "{name} {window}: {found:?}");
    }
    if name == "ticket.first_reply_time" {
        assert!(rows.iter().any(|row| row.contains("Float(-")), "a reply before its ticket");
    }
}

#[test]
fn what_a_row_costs_is_printed_for_each_language() {
    let Some(languages) = languages() else { return };
    println!(
        "{:<11} {:<25} {:>9} {:>10} {:>7} {:>9} {:>9} {:>8}",
        "language", "metric", "observe", "accumulate", "merge", "evaluate", "save+load", "memory"
    );
    for (language, components) in &languages {
        for (name, metric) in load(components) {
            let cost = cost::measure(&*metric).unwrap();
            println!(
                "{language:<11} {name:<25} {:>6.1} ns {:>7.1} ns {:>4.0} ns {:>6.0} ns {:>6.0} ns {:>5.1} MB",
                cost.observe,
                cost.accumulate,
                cost.merge,
                cost.evaluate,
                cost.save_load,
                cost.memory_bytes as f64 / 1e6
            );
        }
    }
}
