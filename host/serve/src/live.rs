//! What the engine has published: the newest values, and who listens.

use crate::cache::{Applied, Cache, Filter, Key, Row, is_served};
use crate::display::Display;
use crate::json;
use crate::prometheus::Totals;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use weir_types::Micros;
use weir_types::contract::MetricInfo;
use weir_types::live::{CatalogueEntry, Condition, EpochUpdate, MetricCost, Publisher, SourceStatus};

/// Bounds and the time zone of what is shown.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Time zone of window labels and times shown to people.
    pub time_zone: jiff::tz::TimeZone,
    /// Values kept at most. Beyond it new keys are not shown (they are counted, and stand in
    /// ClickHouse all the same); about 1 kB each.
    pub rows_max: usize,
    /// Epochs that a slow stream may lag behind before it is given a fresh snapshot instead.
    pub lag_epochs_max: usize,
}

impl Default for LiveOptions {
    fn default() -> Self {
        LiveOptions { time_zone: jiff::tz::TimeZone::UTC, rows_max: 400_000, lag_epochs_max: 16 }
    }
}

/// The latest values, the status and the streams. Its [`Publisher`] side is the engine's.
pub struct Live {
    display: Display,
    inner: Mutex<Inner>,
    changes: broadcast::Sender<Arc<Change>>,
    subscribers: AtomicUsize,
    pub(crate) totals: Totals,
}

/// What one publication changed.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Number and clock of the epoch; None when only conditions changed.
    pub epoch: Option<(u64, Micros)>,
    /// The clock of an engine that has nothing to commit.
    pub alive: Option<Micros>,
    pub rows: Vec<Arc<Row>>,
    pub gone: Vec<Key>,
    /// JSON texts, where they differ from those of before.
    pub catalogue: Option<Arc<str>>,
    pub health: Option<Arc<str>>,
}

/// Everything at one moment, and the changes from then on.
pub(crate) struct Subscription {
    pub epoch: Option<u64>,
    pub clock: Option<Micros>,
    pub rows: Vec<Arc<Row>>,
    pub catalogue: Arc<str>,
    pub health: Arc<str>,
    pub changes: broadcast::Receiver<Arc<Change>>,
}

/// What `/readyz` says.
pub(crate) struct Readiness {
    pub ready: bool,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivery {
    pub waiting_epochs: u64,
    pub waiting_rows: u64,
    pub inserted_rows: u64,
}

pub(crate) struct Inner {
    pub epoch: Option<u64>,
    pub clock: Option<Micros>,
    pub generation: Option<u64>,
    pub catalogue: Arc<Vec<CatalogueEntry>>,
    pub costs: BTreeMap<String, MetricCost>,
    pub sources: Vec<SourceStatus>,
    pub conditions: BTreeMap<&'static str, Condition>,
    pub delivery: Delivery,
    pub cache: Cache,
    catalogue_json: Arc<str>,
    health_json: Arc<str>,
}

impl Live {
    pub fn new(options: LiveOptions) -> Self {
        let mut inner = Inner {
            epoch: None,
            clock: None,
            generation: None,
            catalogue: Arc::default(),
            costs: BTreeMap::new(),
            sources: Vec::new(),
            conditions: BTreeMap::new(),
            delivery: Delivery::default(),
            cache: Cache::new(options.rows_max),
            catalogue_json: "[]".into(),
            health_json: "{}".into(),
        };
        inner.health_json = inner.health().to_string().into();
        Live {
            display: Display::new(options.time_zone),
            inner: Mutex::new(inner),
            changes: broadcast::Sender::new(options.lag_epochs_max.max(1)),
            subscribers: AtomicUsize::new(0),
            totals: Totals::default(),
        }
    }

    pub(crate) fn display(&self) -> &Display {
        &self.display
    }

    /// Never held across an await, nor while rendering rows.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held can at worst have lost part of one update.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of now, and all changes after it: none is missed and none comes twice.
    pub(crate) fn subscribe(&self, filter: &Filter) -> Subscription {
        let inner = self.lock();
        Subscription {
            epoch: inner.epoch,
            clock: inner.clock,
            rows: inner.cache.select(filter),
            catalogue: inner.catalogue_json.clone(),
            health: inner.health_json.clone(),
            changes: self.changes.subscribe(),
        }
    }

    /// A seat for one more stream, if there are fewer than `most`. It is free again when dropped.
    pub(crate) fn seat(self: &Arc<Self>, most: usize) -> Option<Seat> {
        let taken = self.subscribers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
            if n < most { Some(n + 1) } else { None }
        });
        taken.is_ok().then(|| Seat { live: self.clone() })
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Relaxed)
    }

    pub(crate) fn readiness(&self) -> Readiness {
        self.lock().readiness()
    }

    /// What `/api/v1/status` says.
    pub(crate) fn status(&self) -> Value {
        let inner = self.lock();
        let readiness = inner.readiness();
        json!({
            "epoch": inner.epoch,
            "clock": inner.clock.map(json::time),
            "generation": inner.generation,
            "ready": readiness.ready,
            "conditions": readiness.conditions.iter().map(json::condition).collect::<Vec<_>>(),
            "sources": inner.sources.iter().map(json::source).collect::<Vec<_>>(),
            "delivery": {
                "waiting_epochs": inner.delivery.waiting_epochs,
                "waiting_rows": inner.delivery.waiting_rows,
                "inserted_rows": inner.delivery.inserted_rows,
            },
            "latest": {
                "rows": inner.cache.len(),
                "rows_max": inner.cache.rows_max(),
                "rows_dropped": inner.cache.dropped(),
            },
            "subscribers": self.subscribers(),
        })
    }
}

/// A stream that is being served.
pub(crate) struct Seat {
    live: Arc<Live>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.live.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    /// The metrics that are shown.
    pub fn served(&self) -> impl Iterator<Item = &CatalogueEntry> {
        self.catalogue.iter().filter(|e| is_served(e))
    }

    pub fn metric(&self, name: &str) -> Option<Arc<MetricInfo>> {
        self.served().find(|e| e.info.name == name).map(|e| e.info.clone())
    }

    fn readiness(&self) -> Readiness {
        let mut conditions: Vec<Condition> = self.conditions.values().cloned().collect();
        if self.epoch.is_none() && !conditions.iter().any(|c| c.blocking) {
            conditions.push(Condition {
                part: "recovery",
                blocking: true,
                reason: "the engine has not published its first epoch yet".into(),
            });
        }
        Readiness { ready: !conditions.iter().any(|c| c.blocking), conditions }
    }

    /// What the page needs to mark values as stale, with the cause.
    fn health(&self) -> Value {
        let readiness = self.readiness();
        let blocking = readiness.conditions.iter().find(|c| c.blocking);
        let metrics: Map<String, Value> = self
            .served()
            .map(|entry| {
                let stale = self.stale(entry).or_else(|| blocking.map(|c| c.reason.clone()));
                (entry.info.name.clone(), json!({ "stale": stale }))
            })
            .collect();
        let sources = self.sources.iter().map(|s| json!({ "name": s.name, "trouble": s.trouble }));
        json!({
            "ready": readiness.ready,
            "conditions": readiness.conditions.iter().map(json::condition).collect::<Vec<_>>(),
            "sources": sources.collect::<Vec<_>>(),
            "metrics": metrics,
        })
    }

    /// Why the metric's values do not move, where the metric or one of its sources says so.
    fn stale(&self, entry: &CatalogueEntry) -> Option<String> {
        if entry.status != "live" {
            let reason = entry.reason.as_deref().unwrap_or("no reason is known");
            return Some(format!("{}: {reason}", entry.status));
        }
        let inputs = entry.info.inputs.iter().map(|i| i.source.as_str());
        let mut sources = inputs.filter_map(|name| self.sources.iter().find(|s| s.name == name));
        sources.find_map(|s| s.trouble.as_ref().map(|t| format!("source {}: {t}", s.name)))
    }

    /// The health as JSON if it changed.
    fn changed_health(&mut self) -> Option<Arc<str>> {
        let text: Arc<str> = self.health().to_string().into();
        (text != self.health_json).then(|| {
            self.health_json = text.clone();
            text
        })
    }

    /// Takes over the catalogue; gives it as JSON if it changed.
    fn take_catalogue(&mut self, catalogue: Arc<Vec<CatalogueEntry>>) -> Option<Arc<str>> {
        self.cache.set_catalogue(&catalogue);
        self.catalogue = catalogue;
        let entries: Vec<Value> = self.served().map(|e| json::entry(e, None)).collect();
        let text: Arc<str> = Value::from(entries).to_string().into();
        (text != self.catalogue_json).then(|| {
            self.catalogue_json = text.clone();
            text
        })
    }

    /// Rows whose window ended long before the watermark of their metric.
    fn expire(&mut self) -> Vec<Key> {
        let sources = &self.sources;
        self.cache.expire(|info| {
            let of = |name: &str| sources.iter().find(|s| s.name == name).and_then(|s| s.watermark);
            info.inputs.iter().map(|i| of(&i.source)).min().flatten()
        })
    }

    /// Takes over a durable epoch.
    fn take(&mut self, update: EpochUpdate) -> Change {
        let catalogue = update.catalogue.and_then(|c| self.take_catalogue(c));
        let mut change = Change { epoch: Some((update.epoch, update.clock)), catalogue, ..Change::default() };
        for row in update.rows {
            match self.cache.apply(row) {
                Applied::Changed(row) => change.rows.push(row),
                Applied::Gone(key) => change.gone.push(key),
                Applied::Nothing => {}
            }
        }
        self.epoch = Some(update.epoch);
        self.clock = Some(update.clock);
        self.generation = update.generation.or(self.generation);
        self.costs = update.costs;
        self.sources = update.sources;
        change.gone.extend(self.expire());
        change.health = self.changed_health();
        change
    }
}

impl Publisher for Live {
    fn publish(&self, update: EpochUpdate) {
        self.totals.epoch(&update.stages_ns, update.write_bytes);
        let mut inner = self.lock();
        let change = inner.take(update);
        // Sent under the lock, so that streams see publications in order. An error means that nobody
        // listens.
        let _ = self.changes.send(Arc::new(change));
    }

    fn condition(&self, part: &'static str, condition: Option<Condition>) {
        let mut inner = self.lock();
        match condition {
            Some(condition) => inner.conditions.insert(part, condition),
            None => inner.conditions.remove(part),
        };
        let health = inner.changed_health();
        if health.is_some() {
            let _ = self.changes.send(Arc::new(Change { health, ..Change::default() }));
        }
    }

    fn latency(&self, stage: &'static str, ages: &[(Duration, u64)]) {
        self.totals.latency(stage, ages);
    }

    fn alive(&self, clock: Micros) {
        let mut inner = self.lock();
        inner.clock = inner.clock.max(Some(clock));
        let _ = self.changes.send(Arc::new(Change { alive: Some(clock), ..Change::default() }));
    }

    fn delivery(&self, waiting_epochs: u64, waiting_rows: u64, inserted_rows: u64) {
        self.lock().delivery = Delivery { waiting_epochs, waiting_rows, inserted_rows };
    }
}

#[cfg(test)]
mod tests;
