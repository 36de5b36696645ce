//! `/metrics` in Prometheus' text format 0.0.4, written here: the format is a few lines, and almost
//! every value is a total that the engine keeps, not an instrument of ours.

use crate::live::Live;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_types::SECOND;
use weir_types::live::{MetricCost, PartitionStatus};

/// Upper bounds of the epoch stage histogram, in seconds.
const STAGE_BOUNDS: [f64; 12] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
/// Upper bounds of the latency histogram, in seconds: dense around the promised 0.7 s and 2 s.
const LATENCY_BOUNDS: [f64; 12] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 5.0, 15.0, 60.0];

/// What is added up on this side.
#[derive(Default)]
pub(crate) struct Totals {
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    epochs: u64,
    write_bytes: u64,
    stages: BTreeMap<&'static str, Histogram>,
    /// From reading a record to each stage.
    latencies: BTreeMap<&'static str, Histogram>,
    /// By route and status.
    requests: BTreeMap<(&'static str, u16), u64>,
    /// Streams that were too slow and got a new snapshot.
    resyncs: u64,
}

#[derive(Default)]
struct Histogram {
    /// Observations up to each bound, not cumulated.
    buckets: [u64; 12],
    count: u64,
    sum: f64,
}

impl Totals {
    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn epoch(&self, stages_ns: &BTreeMap<&'static str, u64>, write_bytes: u64) {
        let mut sums = self.lock();
        sums.epochs += 1;
        sums.write_bytes += write_bytes;
        for (stage, ns) in stages_ns {
            sums.stages.entry(stage).or_default().observe(&STAGE_BOUNDS, *ns as f64 / 1e9, 1);
        }
    }
    pub fn latency(&self, stage: &'static str, ages: &[(Duration, u64)]) {
        let mut sums = self.lock();
        let histogram = sums.latencies.entry(stage).or_default();
        for (age, records) in ages {
            histogram.observe(&LATENCY_BOUNDS, age.as_secs_f64(), *records);
        }
    }
    pub fn request(&self, route: &'static str, status: u16) {
        *self.lock().requests.entry((route, status)).or_default() += 1;
    }
    pub fn resync(&self) {
        self.lock().resyncs += 1;
    }
}

impl Histogram {
    fn observe(&mut self, bounds: &[f64; 12], seconds: f64, times: u64) {
        if let Some(bucket) = bounds.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket] += times;
        }
        self.count += times;
        self.sum += seconds * times as f64;
    }
}

/// The text being written.
#[derive(Default)]
struct Page {
    text: String,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
    fn sample(&mut self, name: &str, labels: Labels, value: impl std::fmt::Display) {
        self.text.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{text}\"", if i == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
    /// A family without labels.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// Everything that Prometheus may know.
pub(crate) fn render(live: &Live) -> String {
    let mut page = Page::default();
    host(&mut page, live);
    sources(&mut page, live);
    metrics(&mut page, live);
    totals(&mut page, live);
    page.text
}

fn host(page: &mut Page, live: &Live) {
    let readiness = live.readiness();
    let inner = live.lock();
    page.family("weir_build_info", "gauge", "Always 1; the version stands in the label.");
    page.sample("weir_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.single("weir_ready", "gauge", "1 if /readyz answers 200.", u8::from(readiness.ready));
    page.family("weir_condition", "gauge", "1 for each part that has trouble.");
    for condition in &readiness.conditions {
        let blocking = if condition.blocking { "true" } else { "false" };
        page.sample("weir_condition", &[("part", condition.part), ("blocking", blocking)], 1);
    }
    page.single("weir_epoch", "gauge", "Number of the newest durable epoch.", inner.epoch.unwrap_or(0));
    let clock = inner.clock.unwrap_or(0) as f64 / SECOND as f64;
    page.single("weir_epoch_clock_seconds", "gauge", "The clock of the newest epoch, Unix time.", clock);
    page.single(
        "weir_generation",
        "gauge",
        "Generation of this host; 0 until it is claimed.",
        inner.generation.unwrap_or(0),
    );
    let delivery = inner.delivery;
    let waiting = "Epochs that wait for delivery to ClickHouse.";
    page.single("weir_delivery_waiting_epochs", "gauge", waiting, delivery.waiting_epochs);
    let waiting =
        "Rows that wait for delivery to ClickHouse: in memory the newest of each key, in the state all.";
    page.single("weir_delivery_waiting_rows", "gauge", waiting, delivery.waiting_rows);
    let inserted = "Rows inserted into ClickHouse since the start.";
    page.single("weir_delivery_inserted_rows_total", "counter", inserted, delivery.inserted_rows);
    page.single("weir_latest_rows", "gauge", "Values in the latest-values cache.", inner.cache.len());
    let dropped = "Values of new keys that found no place in the latest-values cache.";
    page.single("weir_latest_dropped_rows_total", "counter", dropped, inner.cache.dropped());
    page.single("weir_subscribers", "gauge", "Streams being served.", live.subscribers());
}

/// A family with one number for each partition.
type PartitionFamily = (&'static str, &'static str, &'static str, fn(&PartitionStatus) -> f64);

const PARTITION_FAMILIES: [PartitionFamily; 7] = [
    ("weir_partition_read_records_total", "counter", "Records read.", |p| p.counts.read as f64),
    ("weir_partition_applied_records_total", "counter", "Records applied.", |p| p.counts.applied as f64),
    ("weir_partition_dead_records_total", "counter", "Unreadable records, dead-lettered.", |p| {
        p.counts.dead as f64
    }),
    ("weir_partition_redriven_records_total", "counter", "Dead letters taken up again.", |p| {
        p.redriven as f64
    }),
    ("weir_partition_next_offset", "gauge", "Next offset to read, durable.", |p| p.next_offset as f64),
    ("weir_partition_caught_up", "gauge", "1 if the end of the partition was reached.", |p| {
        f64::from(p.caught_up)
    }),
    ("weir_partition_idle", "gauge", "1 if it no longer holds the watermark back.", |p| f64::from(p.idle)),
];

fn sources(page: &mut Page, live: &Live) {
    let inner = live.lock();
    page.family("weir_source_watermark_seconds", "gauge", "Watermark of the source, Unix time.");
    for source in &inner.sources {
        if let Some(watermark) = source.watermark {
            let seconds = watermark as f64 / SECOND as f64;
            page.sample("weir_source_watermark_seconds", &[("source", &source.name)], seconds);
        }
    }
    page.family("weir_source_trouble", "gauge", "1 if the source cannot go on at the moment.");
    for source in &inner.sources {
        let trouble = u8::from(source.trouble.is_some());
        page.sample("weir_source_trouble", &[("source", &source.name)], trouble);
    }
    let partitions = || inner.sources.iter().flat_map(|s| s.partitions.iter().map(move |p| (s, p)));
    for (name, kind, help, value) in PARTITION_FAMILIES {
        page.family(name, kind, help);
        for (source, p) in partitions() {
            let number = p.partition.partition.to_string();
            let labels = [("source", &*source.name), ("topic", &p.partition.topic), ("partition", &number)];
            page.sample(name, &labels, value(p));
        }
    }
    let skipped = "weir_partition_skipped_records_total";
    page.family(skipped, "counter", "Records skipped, by reason.");
    for (source, p) in partitions() {
        let number = p.partition.partition.to_string();
        for (reason, n) in &p.counts.skipped {
            let labels = [
                ("source", &*source.name),
                ("topic", &p.partition.topic),
                ("partition", &number),
                ("reason", reason),
            ];
            page.sample(skipped, &labels, n);
        }
    }
}

/// A family with one number for each metric.
type MetricFamily = (&'static str, &'static str, &'static str, fn(&MetricCost) -> f64);

const METRIC_FAMILIES: [MetricFamily; 11] = [
    ("weir_metric_busy_seconds_total", "counter", "Time in calls into the metric.", |c| {
        c.busy_ns as f64 / 1e9
    }),
    ("weir_metric_rows_total", "counter", "Rows given to the metric.", |c| c.rows_in as f64),
    ("weir_metric_samples_total", "counter", "Samples that the metric gave.", |c| c.samples as f64),
    ("weir_metric_excluded_rows_total", "counter", "Rows not shown: a field did not fit.", |c| {
        c.excluded as f64
    }),
    ("weir_metric_rejected_rows_total", "counter", "Rows that the metric rejected.", |c| c.rejected as f64),
    ("weir_metric_skipped_samples_total", "counter", "Samples without a time.", |c| c.skipped as f64),
    ("weir_metric_late_samples_total", "counter", "Samples too late for a window.", |c| c.late as f64),
    ("weir_metric_live_slots", "gauge", "Aggregates that the metric holds.", |c| c.live_slots as f64),
    ("weir_metric_memory_bytes", "gauge", "Memory of the metric's instance.", |c| c.memory_bytes as f64),
    ("weir_metric_failures_total", "counter", "Crashes, time-outs and contract breaks.", |c| {
        c.failures as f64
    }),
    ("weir_metric_warnings_total", "counter", "Warnings and errors that the metric logged.", |c| {
        c.warned as f64
    }),
];

fn metrics(page: &mut Page, live: &Live) {
    let inner = live.lock();
    page.family("weir_metric_info", "gauge", "Always 1; version, digest and status stand in the labels.");
    for entry in inner.served() {
        let (name, version) = (entry.info.name.as_str(), entry.info.version.as_str());
        let labels =
            [("metric", name), ("version", version), ("digest", &entry.digest), ("status", &entry.status)];
        page.sample("weir_metric_info", &labels, 1);
    }
    for (name, kind, help, value) in METRIC_FAMILIES {
        page.family(name, kind, help);
        for entry in inner.served() {
            let cost = inner.costs.get(&entry.info.name).unwrap_or(&entry.cost);
            page.sample(name, &[("metric", &entry.info.name)], value(cost));
        }
    }
}

/// One histogram for each stage.
fn histograms(
    page: &mut Page,
    name: &str,
    help: &str,
    bounds: &[f64; 12],
    stages: &BTreeMap<&'static str, Histogram>,
) {
    page.family(name, "histogram", help);
    for (stage, histogram) in stages {
        let mut below = 0;
        for (bound, n) in bounds.iter().zip(histogram.buckets) {
            below += n;
            let bound = bound.to_string();
            page.sample(&format!("{name}_bucket"), &[("stage", stage), ("le", &bound)], below);
        }
        page.sample(&format!("{name}_bucket"), &[("stage", stage), ("le", "+Inf")], histogram.count);
        page.sample(&format!("{name}_sum"), &[("stage", stage)], histogram.sum);
        page.sample(&format!("{name}_count"), &[("stage", stage)], histogram.count);
    }
}

fn totals(page: &mut Page, live: &Live) {
    let sums = live.totals.lock();
    page.single("weir_epochs_total", "counter", "Durable epochs since the start.", sums.epochs);
    let written = "Bytes of the durable writes since the start.";
    page.single("weir_write_bytes_total", "counter", written, sums.write_bytes);
    let help = "Time of an epoch by stage.";
    histograms(page, "weir_epoch_stage_seconds", help, &STAGE_BOUNDS, &sums.stages);
    let help = "Time from reading a record to its stage: decoded, committed, published, delivered.";
    histograms(page, "weir_record_latency_seconds", help, &LATENCY_BOUNDS, &sums.latencies);
    page.family("weir_http_requests_total", "counter", "Requests answered, by route and status.");
    for ((route, status), n) in &sums.requests {
        let status = status.to_string();
        page.sample("weir_http_requests_total", &[("route", route), ("status", &status)], n);
    }
    let slow = "Streams that were too slow and got a new snapshot.";
    page.single("weir_stream_resyncs_total", "counter", slow, sums.resyncs);
}
