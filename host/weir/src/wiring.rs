//! From the configuration to the parts: the only place that knows every adapter.

use crate::Failure;
use crate::config::{Config, Limits, MetricSetting};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use weir_clickhouse::ClickHouse;
use weir_engine::Options;
use weir_ingest::KafkaBroker;
use weir_plugin::{Sandbox, SandboxOptions};
use weir_types::control::History;
use weir_types::ports::{Broker, Loader, Monotonic, Sink};

/// Slots of one metric in its guest: at a kilobyte a slot, the default limit of a guest's memory.
const HOT_SLOTS: u64 = 250_000;
/// Slots of all metrics together.
const HOT_SLOTS_TOTAL: u64 = 2_000_000;
/// Texts of keys and rows: some ten megabytes before it is looked which are needed.
const TEXTS_BEFORE_SWEEP: usize = 1 << 17;
/// Rows of some tens of seconds under full load, so that a ClickHouse that only hesitates costs no reading
/// of the state; small beside the gigabyte that a host may take, and one delivery is well within what
/// ClickHouse takes at once.
const WAITING_BYTES: usize = 64 << 20;
/// State that stopped metrics may cost: hours of a busy source, and no disk is full of it.
const MISSED_BYTES: u64 = 4 << 30;

/// What the engine and the web server reach the outside through.
pub struct Adapters {
    pub broker: Arc<dyn Broker>,
    pub sink: Arc<dyn Sink>,
    pub history: Arc<dyn History>,
    pub loader: Arc<dyn Loader>,
}

/// Makes all adapters; none of them connects to anything yet.
pub fn adapters(config: &Config, monotonic: &Monotonic) -> Result<Adapters, Failure> {
    let broker = Arc::new(broker(config)?.with_monotonic(monotonic.clone()));
    let loader = Arc::new(sandbox(config)?);
    let clickhouse = clickhouse(config)?;
    Ok(Adapters { broker, sink: clickhouse.clone(), history: clickhouse, loader })
}

pub fn broker(config: &Config) -> Result<KafkaBroker, Failure> {
    KafkaBroker::new(config.kafka.clone(), &config.shard)
        .map_err(|e| Failure::Config(format!("[kafka.properties]: {e}")))
}

/// Components to be loaded when the state knows none of their metrics: name of the file, bytes.
pub fn initial_plugins(config: &Config) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    config.plugins.iter().map(|path| read_plugin(path).map_err(Failure::Config)).collect()
}

/// Name and bytes of a component.
pub fn read_plugin(path: &Path) -> Result<(String, Vec<u8>), String> {
    let name =
        path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    match std::fs::read(path) {
        Ok(bytes) => Ok((name, bytes)),
        Err(e) => Err(format!("plugin {} cannot be read: {e}", path.display())),
    }
}

pub fn engine_options(config: &Config, initial_plugins: Vec<(String, Vec<u8>)>) -> Options {
    let by_metric = |name: &String, setting: &BTreeMap<String, i64>| (name.clone(), setting.clone());
    Options {
        shard: config.shard.clone(),
        sources: config.sources.clone(),
        time_zone: config.time_zone.clone(),
        epoch_length: config.epoch_length,
        epoch_bytes: config.epoch_bytes,
        suspend_after: config.suspend_after,
        stalled_after: config.stalled_after,
        emit_every: config.emit_every.clone(),
        correct_for: config.correct_for.clone(),
        correct_for_default: config.correct_for_default,
        correct_for_metric: config.metrics.iter().map(|(name, m)| by_metric(name, &m.correct_for)).collect(),
        windows_metric: config
            .metrics
            .iter()
            .filter_map(|(name, m)| Some((name.clone(), m.windows.clone()?)))
            .collect(),
        hot_slots: config.limits.hot_slots.unwrap_or(HOT_SLOTS),
        hot_slots_total: config.limits.hot_slots_total.unwrap_or(HOT_SLOTS_TOTAL),
        texts_before_sweep: TEXTS_BEFORE_SWEEP,
        waiting_bytes: config.limits.waiting.map_or(WAITING_BYTES, |size| size.0),
        missed_bytes: config.limits.missed.map_or(MISSED_BYTES, |size| size.0 as u64),
        initial_plugins,
    }
}

/// The sandbox with limits and configuration of each metric.
pub fn sandbox(config: &Config) -> Result<Sandbox, Failure> {
    let settings = |m: &MetricSetting| m.config.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let options = SandboxOptions {
        cache_dir: Some(config.cache.clone()),
        limits: sandbox_limits(&config.limits),
        limits_metric: BTreeMap::new(),
        config: config.metrics.iter().map(|(name, m)| (name.clone(), settings(m))).collect(),
    };
    Sandbox::new(options).map_err(|e| Failure::Error(format!("{e} ({})", config.cache.display())))
}

fn sandbox_limits(given: &Limits) -> weir_plugin::Limits {
    let default = weir_plugin::Limits::default();
    weir_plugin::Limits {
        memory_bytes: given.memory.map_or(default.memory_bytes, |size| size.0),
        call: given.call.map_or(default.call, |span| span.std()),
        table_elements: given.table_elements.unwrap_or(default.table_elements),
        tables: given.tables.unwrap_or(default.tables),
        instances: given.instances.unwrap_or(default.instances),
        component_bytes: given.component.map_or(default.component_bytes, |size| size.0),
        rows_returned: given.rows_returned.unwrap_or(default.rows_returned),
        bytes_returned: given.bytes_returned.map_or(default.bytes_returned, |size| size.0),
        log_lines_per_second: given.log_lines.unwrap_or(default.log_lines_per_second),
        ..default
    }
}

/// The sink and the history behind it.
///
/// It connects when the engine first has something to ask.
pub fn clickhouse(config: &Config) -> Result<Arc<ClickHouse>, Failure> {
    let mut options = weir_clickhouse::Options::new(&config.clickhouse.url);
    options.user.clone_from(&config.clickhouse.user);
    options.password.clone_from(&config.clickhouse.password);
    options.database.clone_from(&config.clickhouse.database);
    options.retention.clone_from(&config.retention);
    ClickHouse::new(options).map(Arc::new).map_err(|e| Failure::Config(format!("[clickhouse]: {e}")))
}
