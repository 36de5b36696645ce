//! The configuration file: read, completed and checked as a whole before anything starts.

mod interpolate;
mod place;
mod sections;
mod source;
mod values;

pub use sections::{ClickHouse, Limits, LogFormat};

use jiff::tz::TimeZone;
use sections::{ClockSpec, Epoch, Host, Kafka, Metric, Plugin, Source, Time, Tokens};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::Value;
use values::{Span, parse_window};
use weir_types::schema::{Format, SourceDecl};
use weir_types::window::Window;
use weir_types::{DAY, HOUR, Micros, SECOND};

/// What is wrong with the file, in one sentence that names the key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Everything that a host is told.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// A directory made absolute by the file's folder, or a URL.
    pub state: String,
    pub shard: String,
    pub time_zone: TimeZone,
    pub log: String,
    pub log_format: LogFormat,
    pub cache: PathBuf,
    pub stop_patience: Duration,
    pub operator_token: Option<String>,
    pub clock: Option<ClockSetting>,
    pub epoch_length: Duration,
    pub epoch_bytes: usize,
    pub suspend_after: u64,
    pub stalled_after: Duration,
    pub kafka: BTreeMap<String, String>,
    pub clickhouse: ClickHouse,
    /// By window name, in microseconds.
    pub emit_every: BTreeMap<String, Micros>,
    pub correct_for: BTreeMap<String, Micros>,
    pub correct_for_default: Micros,
    pub retention: BTreeMap<String, Micros>,
    pub limits: Limits,
    pub plugins: Vec<PathBuf>,
    pub metrics: BTreeMap<String, MetricSetting>,
    pub sources: Vec<Arc<SourceDecl>>,
}

/// A clock that is not the real one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockSetting {
    pub origin: Micros,
    pub speed: f64,
}

/// What the operator sets for one metric.
#[derive(Clone, Debug, Default)]
pub struct MetricSetting {
    pub config: BTreeMap<String, String>,
    pub windows: Option<Vec<Window>>,
    pub correct_for: BTreeMap<String, Micros>,
}

/// Clock time between two provisional rows, by window.
const EMIT_EVERY: &[(&str, Micros)] =
    &[("1m", 0), ("15m", 5 * SECOND), ("1h", 10 * SECOND), ("day", 30 * SECOND)];
/// How long a closed window is still corrected, by window.
const CORRECT_FOR: &[(&str, Micros)] =
    &[("1m", 2 * HOUR), ("15m", 6 * HOUR), ("1h", 48 * HOUR), ("day", 8 * DAY)];
/// The same for all others.
const CORRECT_FOR_OTHERS: Micros = 2 * HOUR;

const PARTS: &[&str] = &[
    "host",
    "tokens",
    "time",
    "epoch",
    "kafka",
    "clickhouse",
    "emit_every",
    "correct_for",
    "retention",
    "limits",
    "plugin",
    "metric",
    "source",
];

/// Reads a file. Relative paths in it start at its folder.
pub fn load(file: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| ConfigError(format!("configuration file {} cannot be read: {e}", file.display())))?;
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let folder = absolute.parent().unwrap_or(Path::new("."));
    let shown =
        file.file_name().map_or_else(|| file.display().to_string(), |n| n.to_string_lossy().into_owned());
    parse(&text, folder).map_err(|reason| ConfigError(format!("{shown}: {reason}")))
}

fn parse(text: &str, folder: &Path) -> Result<Config, String> {
    let mut root: Value = toml::from_str(text).map_err(|e| syntax_error(text, &e))?;
    interpolate::interpolate(&mut root, "", folder)?;
    let Value::Table(table) = root else { return Err("the file is no table".into()) };
    let mut parts = Parts { table };
    if let Some(unknown) = parts.table.keys().find(|key| !PARTS.contains(&key.as_str())) {
        return Err(place::unknown_key(unknown, PARTS));
    }
    let host: Host = parts.one("host")?;
    let tokens: Tokens = parts.one("tokens")?;
    let time: Time = parts.one("time")?;
    let epoch: Epoch = parts.one("epoch")?;
    let kafka: Kafka = parts.one("kafka")?;
    let clickhouse: ClickHouse = parts.one("clickhouse")?;
    let limits: Limits = parts.one("limits")?;
    let plugins: Vec<Plugin> = parts.list("plugin", "path")?;
    let sources: Vec<Source> = parts.list("source", "name")?;
    if epoch.length.0 <= 0 {
        return Err("[epoch]: `length` must be longer than 0".into());
    }
    if epoch.max_bytes.0 == 0 {
        return Err("[epoch]: `max_bytes` must be above 0".into());
    }
    if epoch.suspend_after_rows == 0 {
        return Err("[epoch]: `suspend_after_rows` must be above 0".into());
    }
    if kafka.stalled_after.0 <= 0 {
        return Err("[kafka]: `stalled_after` must be longer than 0".into());
    }
    if !clickhouse.url.starts_with("http://") && !clickhouse.url.starts_with("https://") {
        return Err("[clickhouse]: `url` must begin with http:// or https://".into());
    }
    if !is_identifier(&clickhouse.database) {
        return Err("[clickhouse]: `database` must be letters, digits and underscores".into());
    }
    if host.shard.is_empty() || !host.shard.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        return Err("[host]: `shard` must be letters, digits, `-` and `_`".into());
    }
    if tokens.operator.as_ref().is_some_and(|token| token.trim().is_empty()) {
        return Err("[tokens]: `operator` is empty; leave it out, or set a secret".into());
    }
    let time_zone = TimeZone::get(&host.time_zone)
        .map_err(|_| format!("[host]: `time_zone`: there is no time zone `{}`", host.time_zone))?;
    Ok(Config {
        listen: host.listen,
        state: if host.state.contains("://") { host.state } else { join(folder, &host.state) },
        shard: host.shard,
        time_zone,
        log: host.log,
        log_format: host.log_format,
        cache: folder.join(host.cache),
        stop_patience: host.stop_patience.std(),
        operator_token: tokens.operator,
        clock: time.clock.as_ref().map(clock_setting).transpose()?,
        epoch_length: epoch.length.std(),
        epoch_bytes: epoch.max_bytes.0,
        suspend_after: epoch.suspend_after_rows,
        stalled_after: kafka.stalled_after.std(),
        kafka: kafka.properties.into_iter().map(|(name, value)| (name, value.0)).collect(),
        clickhouse,
        emit_every: parts.spans("emit_every", EMIT_EVERY, true)?,
        correct_for: parts.spans("correct_for", CORRECT_FOR, true)?,
        correct_for_default: CORRECT_FOR_OTHERS,
        retention: parts.spans("retention", &[], false)?,
        limits,
        plugins: plugins.iter().map(|plugin| folder.join(&plugin.path)).collect(),
        metrics: parts.metrics()?,
        sources: declare_sources(&sources)?,
    })
}

fn join(folder: &Path, path: &str) -> String {
    folder.join(path).to_string_lossy().into_owned()
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Where the file is no TOML. The reader would print the line, which may hold a secret.
fn syntax_error(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}

fn clock_setting(spec: &ClockSpec) -> Result<ClockSetting, String> {
    let origin: jiff::Timestamp = spec.origin.parse().map_err(|_| {
        format!("[time]: `clock.origin` is `{}`; it must read like 2026-11-23T08:00:00Z", spec.origin)
    })?;
    if !(spec.speed > 0.0 && spec.speed.is_finite()) {
        return Err(format!("[time]: `clock.speed` is {}; it must be above 0", spec.speed));
    }
    Ok(ClockSetting { origin: origin.as_microsecond(), speed: spec.speed })
}

fn declare_sources(sources: &[Source]) -> Result<Vec<Arc<SourceDecl>>, String> {
    if sources.is_empty() {
        return Err("there is no [[source]]: declare at least one table".into());
    }
    let mut names = BTreeSet::new();
    let mut declared = Vec::new();
    for source in sources {
        let wrong = |reason: String| format!("source `{}`: {reason}", source.name);
        let decl = source::declare(source).map_err(wrong)?;
        if !names.insert(decl.name.clone()) {
            return Err(wrong("there are two sources of this name".into()));
        }
        for topic in &decl.topics {
            if let Some(reason) = clash(&decl, topic, &declared) {
                return Err(wrong(reason));
            }
        }
        declared.push(Arc::new(decl));
    }
    Ok(declared)
}

/// Why the source cannot share the topic with those declared before it.
fn clash(decl: &SourceDecl, topic: &str, declared: &[Arc<SourceDecl>]) -> Option<String> {
    let other = declared.iter().find(|other| other.topics.iter().any(|t| t == topic))?;
    if other.format != decl.format {
        return Some(format!("source `{}` reads topic `{topic}` as {}", other.name, other.format.name()));
    }
    if decl.format == Format::PlainJson {
        return Some(format!(
            "source `{}` reads topic `{topic}`, and a plain row does not say which table it is of",
            other.name
        ));
    }
    let on_topic = |other: &&Arc<SourceDecl>| other.topics.iter().any(|t| t == topic);
    let is_same = declared.iter().filter(on_topic).any(|other| is_same_table(decl, other));
    is_same.then(|| format!("another source reads table `{}` of topic `{topic}`", decl.table))
}

/// Whether a record of one topic may be of both.
fn is_same_table(a: &SourceDecl, b: &SourceDecl) -> bool {
    let (of_a, of_b) = (&a.reading.database, &b.reading.database);
    a.table == b.table && (of_a.is_none() || of_b.is_none() || of_a == of_b)
}

/// The parts of the file that are not yet taken.
struct Parts {
    table: toml::Table,
}

impl Parts {
    fn one<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, String> {
        let value = self.table.remove(name).unwrap_or_else(|| Value::Table(toml::Table::new()));
        if !value.is_table() {
            return Err(format!("`{name}` must be a table: write [{name}]"));
        }
        value.try_into().map_err(|e| place::describe(&format!("[{name}]"), &e))
    }

    fn list<T: DeserializeOwned>(&mut self, name: &str, label: &str) -> Result<Vec<T>, String> {
        let Some(value) = self.table.remove(name) else { return Ok(Vec::new()) };
        let Value::Array(items) = value else {
            return Err(format!("`{name}` must be a list of tables: write [[{name}]]"));
        };
        let read = |(index, item): (usize, Value)| {
            let place = match item.get(label).and_then(Value::as_str) {
                Some(label) => format!("{name} `{label}`"),
                None => format!("{name} {}", index + 1),
            };
            item.try_into().map_err(|e| place::describe(&place, &e))
        };
        items.into_iter().enumerate().map(read).collect()
    }

    /// Durations by window name over their defaults.
    fn spans(
        &mut self,
        name: &str,
        defaults: &[(&str, Micros)],
        zero_fits: bool,
    ) -> Result<BTreeMap<String, Micros>, String> {
        let given: BTreeMap<String, Span> = self.one(name)?;
        let mut spans: BTreeMap<String, Micros> = defaults.iter().map(|(k, v)| (k.to_string(), *v)).collect();
        for (window, span) in given {
            let known = parse_window(&window).ok_or_else(|| format!("[{name}]: {}", no_window(&window)))?;
            if span.0 == 0 && !zero_fits {
                return Err(format!("[{name}]: `{window}` must be longer than 0"));
            }
            spans.insert(known.name(), span.0);
        }
        Ok(spans)
    }

    fn metrics(&mut self) -> Result<BTreeMap<String, MetricSetting>, String> {
        let Some(value) = self.table.remove("metric") else { return Ok(BTreeMap::new()) };
        let Value::Table(metrics) = value else {
            return Err("`metric` must be tables by metric: write [metric.\"board.name\"]".into());
        };
        let mut settings = BTreeMap::new();
        for (name, value) in metrics {
            let place = format!("metric `{name}`");
            if !name.contains('.') {
                return Err(format!("{place}: a metric is called board.name: write [metric.\"board.name\"]"));
            }
            let metric: Metric = value.try_into().map_err(|e| place::describe(&place, &e))?;
            let windows = metric.windows.map(|windows| read_windows(&windows)).transpose();
            let mut correct_for = BTreeMap::new();
            for (window, span) in metric.correct_for {
                let known =
                    parse_window(&window).ok_or_else(|| format!("{place}: {}", no_window(&window)))?;
                correct_for.insert(known.name(), span.0);
            }
            let config = metric.config.into_iter().map(|(key, value)| (key, value.0)).collect();
            let windows = windows.map_err(|e| format!("{place}: {e}"))?;
            settings.insert(name, MetricSetting { config, windows, correct_for });
        }
        Ok(settings)
    }
}

fn read_windows(names: &[String]) -> Result<Vec<Window>, String> {
    if names.is_empty() {
        return Err("`windows` must name at least one window".into());
    }
    names.iter().map(|name| parse_window(name).ok_or_else(|| no_window(name))).collect()
}

fn no_window(name: &str) -> String {
    format!("`{name}` is no window; windows are called 1m, 15m, 1h, day, now, 5m/10s or session-60s")
}

#[cfg(test)]
mod tests;
