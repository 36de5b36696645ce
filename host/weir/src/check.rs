//! `weir check`: every part by itself, one line each, `ok` or what to do.

use crate::Failure;
use crate::config::{self, Config};
use crate::wiring;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use weir_types::contract::MetricInfo;
use weir_types::ports::Loader;
use weir_types::schema::{Format, SourceDecl};

/// How long a broker may take to answer.
const KAFKA_PATIENCE: Duration = Duration::from_secs(10);

pub fn run(file: &Path) -> Result<(), Failure> {
    let config = match config::load(file) {
        Ok(config) => config,
        Err(error) => {
            println!("FAIL configuration: {error}");
            return Err(Failure::Config("the configuration is wrong, so nothing else was checked".into()));
        }
    };
    let mut report = Report::default();
    report.add("configuration", Ok(format!("{}, {} plugins", file.display(), config.plugins.len())));
    for source in &config.sources {
        report.add(&format!("source {}", source.name), Ok(describe_source(source)));
    }
    check_plugins(&config, &mut report);
    check_kafka(&config, &mut report);
    report.add("clickhouse", check_clickhouse(&config));
    let state = weir_state::probe(&config.state).map(|()| config.state.clone()).map_err(|e| e.to_string());
    report.add("state", state);
    match report.failed {
        0 => Ok(()),
        1 => Err(Failure::Error("1 check failed".into())),
        n => Err(Failure::Error(format!("{n} checks failed"))),
    }
}

/// Compares what is there with what is needed, and changes nothing.
fn check_clickhouse(config: &Config) -> Result<String, String> {
    let clickhouse = wiring::clickhouse(config).map_err(|failure| failure.text().to_string())?;
    clickhouse.check().map_err(|e| e.to_string())
}

#[derive(Default)]
struct Report {
    failed: u32,
}

impl Report {
    fn add(&mut self, what: &str, result: Result<String, String>) {
        match result {
            Ok(detail) => println!("ok   {what}: {detail}"),
            Err(reason) => {
                self.failed += 1;
                println!("FAIL {what}: {reason}");
            }
        }
    }
}

fn describe_source(source: &SourceDecl) -> String {
    let names = |columns: &[usize]| {
        columns.iter().map(|c| source.columns[*c].name.as_str()).collect::<Vec<_>>().join(", ")
    };
    format!(
        "{}, {} columns, key {}, event time {}, table {} of {}; {}",
        source.format.name(),
        source.columns.len(),
        names(&source.primary_key),
        source.columns[source.event_time].name,
        source.reading.database.iter().chain([&source.table]).cloned().collect::<Vec<_>>().join("."),
        source.topics.join(", "),
        repeats(source)
    )
}

/// By what a change is known again that the upstream sends a second time.
fn repeats(source: &SourceDecl) -> String {
    match (source.format, source.reading.version_column) {
        (Format::DebeziumJson, _) => "upstream repeats are known by their binlog position".into(),
        (Format::MaxwellJson, _) => {
            "upstream repeats are known by their binlog position where Maxwell writes it (output_binlog_position \
             and output_xoffset), else they count twice"
                .into()
        }
        (_, Some(column)) => format!("upstream repeats are known by {}", source.columns[column].name),
        (format, None) => format!(
            "upstream repeats count twice, because {} carries no position: name a version_column if the table has one",
            format.name()
        ),
    }
}

fn check_plugins(config: &Config, report: &mut Report) {
    if config.plugins.is_empty() {
        return;
    }
    let sandbox = match wiring::sandbox(config) {
        Ok(sandbox) => sandbox,
        Err(failure) => return report.add("plugins", Err(failure.text().to_string())),
    };
    let mut all = Vec::new();
    for path in &config.plugins {
        let loaded = wiring::read_plugin(path).and_then(|(origin, bytes)| {
            let metrics = sandbox.load(&origin, &bytes, &config.sources)?;
            let infos: Vec<MetricInfo> = metrics.iter().map(|m| m.info().clone()).collect();
            let names = infos.iter().map(|info| info.name.clone()).collect::<Vec<_>>().join(", ");
            all.extend(infos);
            Ok(names)
        });
        report.add(&format!("plugin {}", path.display()), loaded);
    }
    check_bases(config, &all, report);
}

/// Whether what derived metrics read is loaded by the configuration too.
fn check_bases(config: &Config, all: &[MetricInfo], report: &mut Report) {
    let options = wiring::engine_options(config, Vec::new());
    for info in all.iter().filter(|info| info.is_derived()) {
        let bases = info.bases.iter().map(|base| base.metric.as_str()).collect::<Vec<_>>().join(", ");
        let outcome = weir_engine::check_bases(info, all, &options).map(|()| format!("derived from {bases}"));
        report.add(&format!("metric {}", info.name), outcome);
    }
}

fn check_kafka(config: &Config, report: &mut Report) {
    if let Err(failure) = wiring::broker(config) {
        return report.add("kafka", Err(failure.text().to_string()));
    }
    let topics: BTreeSet<&String> = config.sources.iter().flat_map(|s| &s.topics).collect();
    for topic in topics {
        let what = format!("kafka topic {topic}");
        let found = weir_ingest::watermarks(&config.kafka, std::slice::from_ref(topic), KAFKA_PATIENCE);
        report.add(
            &what,
            match found {
                Ok(ranges) => {
                    let offsets: i64 = ranges.iter().map(|r| r.high - r.low).sum();
                    Ok(format!("{} partitions, {offsets} offsets", ranges.len()))
                }
                Err(error) => Err(error.to_string()),
            },
        );
    }
}
