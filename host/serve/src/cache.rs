//! The newest value of every key, as the API shows it. Pure: no clock, no I/O.

use crate::display::Display;
use crate::json;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use weir_types::contract::MetricInfo;
use weir_types::live::{CatalogueEntry, LiveRow};
use weir_types::window::Window;
use weir_types::{MINUTE, Micros, Name};

/// One value in the cache, rendered at most once for all who read it.
#[derive(Debug)]
pub(crate) struct Row {
    pub live: LiveRow,
    pub info: Arc<MetricInfo>,
    json: OnceLock<Box<str>>,
}

impl Row {
    /// The row as a JSON object.
    pub fn json(&self, display: &Display) -> &str {
        self.json.get_or_init(|| json::row(&self.live, &self.info, display).to_string().into())
    }
}

/// What names a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub metric: Name,
    pub window: Name,
    pub set: Name,
    pub dims: Arc<[String]>,
}

/// What a published row did to the cache.
#[derive(Debug)]
pub(crate) enum Applied {
    Changed(Arc<Row>),
    Gone(Key),
    /// Older than what is shown, of an unknown metric, or beyond the bound.
    Nothing,
}

/// Which rows a reader wants. No selector = all rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Filter {
    pub selectors: Vec<Selector>,
}

/// None stands for any.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Selector {
    pub metric: Option<String>,
    pub window: Option<String>,
    pub set: Option<String>,
    /// Canonical texts of one key of the set.
    pub dims: Option<Vec<String>>,
}

impl Filter {
    pub fn accepts(&self, metric: &str, window: &str, set: &str, dims: &[String]) -> bool {
        self.selectors.is_empty() || self.selectors.iter().any(|s| s.accepts(metric, window, set, dims))
    }
}

impl Selector {
    fn accepts(&self, metric: &str, window: &str, set: &str, dims: &[String]) -> bool {
        let is = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
        is(&self.metric, metric)
            && is(&self.window, window)
            && is(&self.set, set)
            && self.dims.as_deref().is_none_or(|want| want == dims)
    }
}

#[derive(Debug)]
struct MetricRows {
    info: Arc<MetricInfo>,
    incarnation: i64,
    windows: BTreeMap<Name, WindowRows>,
}

#[derive(Debug)]
struct WindowRows {
    sets: BTreeMap<Name, BTreeMap<Arc<[String]>, Arc<Row>>>,
    /// No row's window ends earlier: spares looking at every row for those to expire.
    earliest_end: Micros,
}

/// Rows in order of metric, window, set and dimensions.
#[derive(Debug)]
pub(crate) struct Cache {
    metrics: BTreeMap<Name, MetricRows>,
    rows: usize,
    rows_max: usize,
    dropped: u64,
}

impl Cache {
    pub fn new(rows_max: usize) -> Self {
        Cache { metrics: BTreeMap::new(), rows: 0, rows_max, dropped: 0 }
    }
    pub fn len(&self) -> usize {
        self.rows
    }
    pub fn rows_max(&self) -> usize {
        self.rows_max
    }
    /// Rows of new keys that found no place since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes over which metrics there are. A metric that left, was retired or has a new incarnation
    /// loses its rows.
    pub fn set_catalogue(&mut self, entries: &[CatalogueEntry]) {
        let served: BTreeMap<&str, &CatalogueEntry> =
            entries.iter().filter(|e| is_served(e)).map(|e| (e.info.name.as_str(), e)).collect();
        self.metrics.retain(|name, rows| {
            served.get(name.as_ref()).is_some_and(|entry| entry.incarnation == rows.incarnation)
        });
        self.rows = self.metrics.values().map(MetricRows::len).sum();
        for (name, entry) in served {
            let rows = self.metrics.entry(name.into()).or_insert_with(|| MetricRows {
                info: entry.info.clone(),
                incarnation: entry.incarnation,
                windows: BTreeMap::new(),
            });
            rows.info = entry.info.clone();
        }
    }

    /// Takes over one published row.
    pub fn apply(&mut self, row: LiveRow) -> Applied {
        let Some(metric) = self.metrics.get_mut(&row.series.metric) else { return Applied::Nothing };
        let window = metric
            .windows
            .entry(row.series.window.clone())
            .or_insert_with(|| WindowRows { sets: BTreeMap::new(), earliest_end: Micros::MAX });
        let keys = window.sets.entry(row.series.dimension_set.clone()).or_default();
        match keys.get(&row.dims) {
            Some(shown) if shown.live.start > row.start => return Applied::Nothing,
            Some(_) if row.gone => {
                keys.remove(&row.dims);
                self.rows -= 1;
                return Applied::Gone(Key {
                    metric: row.series.metric.clone(),
                    window: row.series.window.clone(),
                    set: row.series.dimension_set.clone(),
                    dims: row.dims,
                });
            }
            None if row.gone => return Applied::Nothing,
            None if self.rows >= self.rows_max => {
                self.dropped += 1;
                return Applied::Nothing;
            }
            None => self.rows += 1,
            Some(_) => {}
        }
        window.earliest_end = window.earliest_end.min(row.end);
        let row = Arc::new(Row { live: row, info: metric.info.clone(), json: OnceLock::new() });
        keys.insert(row.live.dims.clone(), row.clone());
        Applied::Changed(row)
    }

    /// Removes rows whose window ended so long before the metric's watermark that showing them as
    /// the newest value would mislead: one window length, at most 15 minutes.
    pub fn expire(&mut self, watermark: impl Fn(&MetricInfo) -> Option<Micros>) -> Vec<Key> {
        let mut expired = Vec::new();
        for (name, metric) in &mut self.metrics {
            let Some(watermark) = watermark(&metric.info) else { continue };
            let graces: BTreeMap<String, Micros> =
                metric.info.windows.iter().map(|w| (w.name(), grace(*w))).collect();
            for (window_name, window) in &mut metric.windows {
                let grace = graces.get(window_name.as_ref()).copied().unwrap_or(15 * MINUTE);
                let Some(before) = watermark.checked_sub(grace) else { continue };
                if window_name.as_ref() == "now" || window.earliest_end > before {
                    continue;
                }
                window.expire(name, window_name, before, &mut expired);
            }
        }
        self.rows -= expired.len();
        expired
    }

    /// The rows that a reader wants.
    pub fn select(&self, filter: &Filter) -> Vec<Arc<Row>> {
        let mut rows = Vec::new();
        for (metric, windows) in &self.metrics {
            for (window, sets) in &windows.windows {
                for (set, keys) in &sets.sets {
                    let wanted = keys.values().filter(|r| filter.accepts(metric, window, set, &r.live.dims));
                    rows.extend(wanted.cloned());
                }
            }
        }
        rows
    }
}

/// Whether API and dashboard show the metric.
pub(crate) fn is_served(entry: &CatalogueEntry) -> bool {
    entry.status != "retired"
}

/// How long after its end a window is still shown as the newest.
fn grace(window: Window) -> Micros {
    let length = match window {
        Window::Tumbling(length) => length,
        Window::Sliding { step, .. } => step,
        Window::Session { gap } => gap,
        Window::Day | Window::Now => 15 * MINUTE,
    };
    length.clamp(0, 15 * MINUTE)
}

impl MetricRows {
    fn len(&self) -> usize {
        self.windows.values().flat_map(|w| w.sets.values()).map(BTreeMap::len).sum()
    }
}

impl WindowRows {
    /// Removes rows that ended at `before` or earlier.
    fn expire(&mut self, metric: &Name, window: &Name, before: Micros, expired: &mut Vec<Key>) {
        let mut earliest_end = Micros::MAX;
        for (set, keys) in &mut self.sets {
            keys.retain(|dims, row| {
                let stays = row.live.end > before;
                if stays {
                    earliest_end = earliest_end.min(row.live.end);
                } else {
                    expired.push(Key {
                        metric: metric.clone(),
                        window: window.clone(),
                        set: set.clone(),
                        dims: dims.clone(),
                    });
                }
                stays
            });
        }
        self.earliest_end = earliest_end;
    }
}

#[cfg(test)]
pub(crate) mod tests;
