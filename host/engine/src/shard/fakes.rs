//! A store in memory and a counting metric in plain Rust, for tests of the shard.

use crate::{Options, stored::Head};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_types::contract::*;
use weir_types::ports::{KeyValues, Loader, StateError, StateStore, WriteSet};
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl, TimeUnit};
use weir_types::window::Window;
use weir_types::{DAY, HOUR, MINUTE, Micros, SECOND};

/// Keys and values in memory; what one shard wrote, the next one reads.
#[derive(Default)]
pub struct MemoryStore {
    pub data: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Chunks read by key.
    pub loads: AtomicU64,
    /// Whether scans fail.
    pub away: AtomicBool,
}

impl StateStore for MemoryStore {
    fn write(&self, writes: WriteSet) -> Result<(), StateError> {
        let mut data = self.data.lock().expect("lock");
        data.extend(writes.puts);
        writes.deletes.iter().for_each(|key| drop(data.remove(key)));
        Ok(())
    }
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let is_chunk = key.starts_with(b"0/chunk/");
        self.loads.fetch_add(u64::from(is_chunk), Ordering::Relaxed);
        Ok(self.data.lock().expect("lock").get(key).cloned())
    }
    fn scan(&self, prefix: &[u8]) -> Result<KeyValues, StateError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(StateError::Unavailable("it is away".into()));
        }
        let data = self.data.lock().expect("lock");
        let from = data.range(prefix.to_vec()..).take_while(|(k, _)| k.starts_with(prefix));
        Ok(from.map(|(k, v)| (k.clone(), v.clone())).collect())
    }
    fn put_blob(&self, _: &str, _: &[u8]) -> Result<(), StateError> {
        Ok(())
    }
    fn get_blob(&self, _: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(Some(Vec::new()))
    }
    fn claim_generation(&self, at_least: u64) -> Result<u64, StateError> {
        Ok(at_least)
    }
}

/// Counts what its rule lets through.
pub struct Counting {
    pub info: MetricInfo,
}

struct CountingInstance {
    now: bool,
    counts: BTreeMap<u32, i64>,
}

fn slots(bytes: &[u8]) -> Vec<u32> {
    (0..bytes.len() / 4).map(|i| pack::u32_at(bytes, i)).collect()
}

fn samples(rows: Vec<u32>, times: Vec<i64>) -> Samples {
    Samples { rows: pack::u32s(&rows), times: pack::i64s(&times), ..Samples::default() }
}

impl MetricInstance for CountingInstance {
    /// A sample at `created_at` (field 0) for each inserted row.
    fn observe(&mut self, _: u32, changes: &Changes) -> Result<Samples, GuestError> {
        assert!(!self.now);
        let born = |i: &u32| !pack::bit(&changes.before_present, *i as usize);
        let rows: Vec<u32> = (0..changes.rows).filter(born).collect();
        let times = rows.iter().map(|r| pack::i64_at(&changes.after[0].values, *r as usize)).collect();
        Ok(samples(rows, times))
    }
    /// A sample for each row whose status (field 0) is `open`.
    fn observe_image(&mut self, _: u32, images: &Images) -> Result<Samples, GuestError> {
        let (column, dictionary) = (&images.columns[0], &images.dictionaries[0]);
        let text = |i: u32| crate::metric::text_of(dictionary, pack::i64_at(&column.values, i as usize));
        let open = |i: &u32| pack::bit(&column.validity, *i as usize) && text(*i) == "open";
        Ok(samples((0..images.rows).filter(open).collect(), Vec::new()))
    }
    fn accumulate(&mut self, parts: &Parts) -> Result<(), GuestError> {
        for (i, slot) in slots(&parts.slots).into_iter().enumerate() {
            assert_ne!(slot, 0);
            *self.counts.entry(slot).or_default() += pack::i64_at(&parts.weights, i);
        }
        Ok(())
    }
    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError> {
        for (into, from) in into.iter().zip(from) {
            let add = self.counts.get(from).copied().unwrap_or(0);
            *self.counts.entry(*into).or_default() += add;
        }
        Ok(())
    }
    fn evaluate(
        &mut self,
        slots: &[u32],
        _: &[Micros],
        _: &[Micros],
        _: Micros,
    ) -> Result<Outputs, GuestError> {
        let counts: Vec<i64> = slots.iter().map(|s| self.counts.get(s).copied().unwrap_or(0)).collect();
        let column = PackedColumn { values: pack::i64s(&counts), ..PackedColumn::default() };
        Ok(Outputs { columns: vec![column], dictionaries: vec![PackedDictionary::default()] })
    }
    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for slot in slots {
            bytes.extend(self.counts.get(slot).copied().unwrap_or(0).to_le_bytes());
            offsets.push(bytes.len() as u32);
        }
        Ok(States { offsets: pack::u32s(&offsets), bytes })
    }
    fn load(&mut self, slots: &[u32], states: &States, _: u32) -> Result<(), GuestError> {
        for (i, slot) in slots.iter().enumerate() {
            self.counts.insert(*slot, pack::i64_at(&states.bytes, i));
        }
        Ok(())
    }
    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        self.counts.retain(|slot, _| !slots.contains(slot));
        Ok(())
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

impl MetricFactory for Counting {
    fn info(&self) -> &MetricInfo {
        &self.info
    }
    fn digest(&self) -> &str {
        "counting"
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        Ok(Box::new(CountingInstance { now: self.info.is_now(), counts: BTreeMap::new() }))
    }
}

fn field(name: &str, value_type: ValueType) -> Field {
    Field { name: name.into(), value_type, nullable: false }
}

/// `t.created`: rows born, by queue, in 1m, 1h and day. `t.open`: rows open now, by queue.
pub fn metrics() -> Vec<Arc<dyn MetricFactory>> {
    let windows = vec![Window::Tumbling(MINUTE), Window::Tumbling(HOUR), Window::Day];
    let created = info("t.created", field("created_at", ValueType::Time), windows);
    let open = info("t.open", field("status", ValueType::Text), vec![Window::Now]);
    vec![Arc::new(Counting { info: created }), Arc::new(Counting { info: open })]
}

pub fn info(name: &str, first: Field, windows: Vec<Window>) -> MetricInfo {
    let fields = vec![first, field("queue_id", ValueType::Int)];
    let count = Output {
        name: "count".into(),
        value_type: ValueType::Int,
        is_list: false,
        nullable: false,
        unit: "1".into(),
        description: String::new(),
    };
    MetricInfo {
        name: name.into(),
        title: name.into(),
        unit: "1".into(),
        description: String::new(),
        owner: String::new(),
        version: "1.0.0".into(),
        deprecated: None,
        replaced_by: None,
        inputs: vec![Input { source: "ticket".into(), fields, watches: vec![] }],
        bases: vec![],
        dimensions: vec!["queue_id".into()],
        dimension_sets: vec![vec![], vec!["queue_id".into()]],
        windows,
        values: vec![],
        computed_dimensions: vec![],
        outputs: vec![count],
        time_varying: false,
        rows: RowMemory::Live,
        state_version: 1,
        state_versions_read: vec![1],
        meaning_version: 1,
        extra: vec![],
    }
}

impl Loader for Counting {
    fn load(&self, _: &str, _: &[u8], _: &[Arc<SourceDecl>]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        Ok(metrics())
    }
    fn reload(&self, _: &str, _: &[u8]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        Ok(metrics())
    }
}

/// One source `ticket` on one topic, event time `updated_at`.
pub fn options() -> Options {
    let column = |name: &str, ty| ColumnDecl { name: name.into(), ty, nullable: false, values: vec![] };
    let source = SourceDecl {
        name: "ticket".into(),
        topics: vec!["t".into()],
        table: "ticket".into(),
        format: Format::DebeziumJson,
        reading: Reading::default(),
        columns: vec![
            column("id", ColumnType::Int),
            column("queue_id", ColumnType::Int),
            column("status", ColumnType::Text),
            column("created_at", ColumnType::Time(TimeUnit::Ms)),
            column("updated_at", ColumnType::Time(TimeUnit::Ms)),
        ],
        primary_key: vec![0],
        event_time: 4,
        out_of_orderness: 5 * SECOND,
        idle_after: 30 * SECOND,
        max_dead_share: 1.0,
    };
    Options {
        shard: "0".into(),
        sources: vec![Arc::new(source)],
        time_zone: jiff::tz::TimeZone::UTC,
        epoch_length: Duration::from_secs(1),
        epoch_bytes: 1 << 26,
        emit_every: [("1m", 0), ("1h", 10 * SECOND), ("day", 30 * SECOND)]
            .map(|(n, e)| (n.to_string(), e))
            .into(),
        correct_for: [("1m".to_string(), 2 * HOUR), ("day".to_string(), 8 * DAY)].into(),
        correct_for_default: 2 * HOUR,
        correct_for_metric: BTreeMap::new(),
        windows_metric: BTreeMap::new(),
        suspend_after: 1000,
        stalled_after: std::time::Duration::from_secs(60),
        hot_slots: u64::MAX,
        hot_slots_total: u64::MAX,
        texts_before_sweep: 16,
        waiting_bytes: 1 << 26,
        missed_bytes: 1 << 26,
        initial_plugins: vec![("counting.wasm".into(), b"counting".to_vec())],
    }
}

/// The head that a store holds.
pub fn head(store: &MemoryStore) -> Head {
    let key = crate::stored::Keyspace::new("0").head();
    let bytes = store.get(&key).expect("store").expect("a head was written");
    crate::stored::decode("head", &bytes).expect("readable")
}
