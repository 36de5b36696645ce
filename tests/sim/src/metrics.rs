//! Small metrics in plain Rust, the components they come in, and the options of the simulated hosts.

use crate::world::Guests;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use weir_engine::Options;
use weir_types::contract::*;
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl, TimeUnit};
use weir_types::window::Window;
use weir_types::{HOUR, MINUTE, SECOND};

/// Rows born: their number and the sum of their amounts.
pub const MADE: &str = "t.made";
/// The mean amount of rows born: a value that may come back to what it was.
pub const MEAN: &str = "t.mean";
/// Rows open now: their number and the sum of their amounts.
pub const OPEN: &str = "t.open";
/// As [`MADE`], and not there from the beginning.
pub const MADE_LATER: &str = "t.made_later";
/// Rows shut now; not there from the beginning.
pub const SHUT_LATER: &str = "t.shut_later";

/// Derived from [`MADE`] and [`MEAN`]: what the sum of amounts is more than the mean times the number.
pub const REST: &str = "t.rest";

/// As [`MADE`], in days, sliding windows and sessions.
pub const WIDE: &str = "t.wide";

pub const NAMES: [&str; 7] = [MADE, MEAN, OPEN, MADE_LATER, SHUT_LATER, REST, WIDE];
/// Metrics over events.
pub const OF_EVENTS: [&str; 4] = [MADE, MEAN, MADE_LATER, WIDE];
/// Metrics over current values.
pub const OF_ROWS: [&str; 2] = [OPEN, SHUT_LATER];

/// Correction times, by which the auditor judges late events.
pub const CORRECT_FOR: [(&str, i64); 5] =
    [("1m", 2 * MINUTE), ("1h", 2 * HOUR), ("day", 2 * HOUR), ("5m/1m", MINUTE), ("session-60s", 3 * MINUTE)];
pub const OUT_OF_ORDERNESS: i64 = 5 * SECOND;

/// The bytes of a component: its metrics and its version. Each version keeps its state in another way than the
/// one before, and reads both.
pub fn component(names: &[&str], version: u32) -> Vec<u8> {
    format!("{}@{version}", names.join(",")).into_bytes()
}

/// Makes instances of one of them.
pub struct Factory {
    info: Arc<MetricInfo>,
    digest: String,
    guests: Arc<Guests>,
}

struct Instance {
    is_mean: bool,
    /// The status of the rows that count.
    status: &'static [u8],
    /// Version of the states that it saves.
    state_version: u32,
    guests: Arc<Guests>,
    /// Number and sum by slot.
    slots: Vec<(i64, i64)>,
}

fn u32s(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    (0..bytes.len() / 4).map(|i| pack::u32_at(bytes, i))
}

fn column(values: Vec<i64>) -> PackedColumn {
    PackedColumn { values: pack::i64s(&values), ..PackedColumn::default() }
}

fn samples(rows: &[u32], times: &[i64], amounts: Vec<i64>) -> Samples {
    Samples {
        rows: pack::u32s(rows),
        times: pack::i64s(times),
        values: vec![column(amounts)],
        ..Samples::default()
    }
}

fn text(dictionary: &PackedDictionary, index: i64) -> &[u8] {
    let at = index as usize;
    let range =
        pack::u32_at(&dictionary.offsets, at) as usize..pack::u32_at(&dictionary.offsets, at + 1) as usize;
    &dictionary.bytes[range]
}

impl Instance {
    fn held(&self, slot: u32) -> (i64, i64) {
        self.slots.get(slot as usize).copied().unwrap_or_default()
    }
    fn set(&mut self, slot: u32, held: (i64, i64)) {
        let slot = slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, (0, 0));
        }
        self.slots[slot] = held;
    }
    fn add(&mut self, slot: u32, number: i64, sum: i64) {
        let held = self.held(slot);
        self.set(slot, (held.0 + number, held.1 + sum));
    }
}

impl MetricInstance for Instance {
    /// Fields: created_at, amount. A sample at `created_at` for each inserted row.
    fn observe(&mut self, _: u32, changes: &Changes) -> Result<Samples, GuestError> {
        self.guests.call()?;
        let born = |i: &u32| {
            !pack::bit(&changes.before_present, *i as usize) && pack::bit(&changes.after_present, *i as usize)
        };
        let rows: Vec<u32> = (0..changes.rows).filter(born).collect();
        let of = |field: usize| {
            rows.iter().map(|r| pack::i64_at(&changes.after[field].values, *r as usize)).collect()
        };
        let (times, amounts): (Vec<i64>, Vec<i64>) = (of(0), of(1));
        Ok(samples(&rows, &times, amounts))
    }
    /// Fields: status, amount. A sample for each row of the status.
    fn observe_image(&mut self, _: u32, images: &Images) -> Result<Samples, GuestError> {
        self.guests.call()?;
        let status =
            |i: u32| text(&images.dictionaries[0], pack::i64_at(&images.columns[0].values, i as usize));
        let rows: Vec<u32> = (0..images.rows).filter(|i| status(*i) == self.status).collect();
        let amounts = rows.iter().map(|r| pack::i64_at(&images.columns[1].values, *r as usize)).collect();
        Ok(samples(&rows, &[], amounts))
    }
    fn accumulate(&mut self, parts: &Parts) -> Result<(), GuestError> {
        self.guests.call()?;
        for (i, slot) in u32s(&parts.slots).enumerate() {
            let weight = pack::i64_at(&parts.weights, i);
            self.add(slot, weight, weight * pack::i64_at(&parts.values[0].values, i));
        }
        Ok(())
    }
    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError> {
        self.guests.call()?;
        for (into, from) in into.iter().zip(from) {
            let (number, sum) = self.held(*from);
            self.add(*into, number, sum);
        }
        Ok(())
    }
    fn evaluate(&mut self, slots: &[u32], _: &[i64], _: &[i64], _: i64) -> Result<Outputs, GuestError> {
        self.guests.call()?;
        let held: Vec<(i64, i64)> = slots.iter().map(|s| self.held(*s)).collect();
        let columns = match self.is_mean {
            true => vec![column(held.iter().map(|(n, sum)| if *n == 0 { 0 } else { sum / n }).collect())],
            false => vec![
                column(held.iter().map(|(n, _)| *n).collect()),
                column(held.iter().map(|(_, sum)| *sum).collect()),
            ],
        };
        let dictionaries = vec![PackedDictionary::default(); columns.len()];
        Ok(Outputs { columns, dictionaries })
    }
    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        self.guests.call()?;
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for slot in slots {
            let (number, sum) = self.held(*slot);
            let (first, second) = if self.state_version == 1 { (number, sum) } else { (sum, number) };
            bytes.extend(first.to_le_bytes());
            bytes.extend(second.to_le_bytes());
            offsets.push(bytes.len() as u32);
        }
        Ok(States { offsets: pack::u32s(&offsets), bytes })
    }
    fn load(&mut self, slots: &[u32], states: &States, version: u32) -> Result<(), GuestError> {
        self.guests.call()?;
        let version = if self.guests.forgets_versions { self.state_version } else { version };
        for (i, slot) in slots.iter().enumerate() {
            let (first, second) =
                (pack::i64_at(&states.bytes, 2 * i), pack::i64_at(&states.bytes, 2 * i + 1));
            self.set(*slot, if version == 1 { (first, second) } else { (second, first) });
        }
        Ok(())
    }
    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        self.guests.call()?;
        slots.iter().for_each(|slot| self.set(*slot, (0, 0)));
        Ok(())
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

/// The instance of [`REST`].
struct RestInstance(Arc<Guests>);

impl DerivedInstance for RestInstance {
    /// Columns: number, sum, mean.
    fn compute(&mut self, given: &BaseRows) -> Result<Outputs, GuestError> {
        self.0.call()?;
        let of = |column: usize, row: usize| pack::i64_at(&given.columns[column].values, row);
        let rest = |row| of(1, row) - of(0, row) * of(2, row);
        let columns = vec![column((0..given.rows as usize).map(rest).collect())];
        Ok(Outputs { columns, dictionaries: vec![PackedDictionary::default()] })
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

impl MetricFactory for Factory {
    fn info(&self) -> &MetricInfo {
        &self.info
    }
    fn digest(&self) -> &str {
        &self.digest
    }
    fn open_derived(&self) -> Result<Box<dyn DerivedInstance>, GuestError> {
        Ok(Box::new(RestInstance(self.guests.clone())))
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        Ok(Box::new(Instance {
            is_mean: self.info.name == MEAN,
            status: if self.info.name == SHUT_LATER { b"shut" } else { b"open" },
            state_version: self.info.state_version,
            guests: self.guests.clone(),
            slots: Vec::new(),
        }))
    }
}

/// By name and state version.
static INFOS: LazyLock<BTreeMap<(&str, u32), Arc<MetricInfo>>> = LazyLock::new(|| {
    let both = NAMES.into_iter().flat_map(|name| [(name, 1), (name, 2)]);
    both.map(|(name, version)| ((name, version), Arc::new(describe(name, version)))).collect()
});

/// The metrics of a component.
pub fn factories(component: &[u8], guests: &Arc<Guests>) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
    let unknown = || "no such component".to_string();
    let text = std::str::from_utf8(component).map_err(|e| e.to_string())?;
    let (names, version) = text.split_once('@').ok_or_else(unknown)?;
    let version: u32 = version.parse().map_err(|_| unknown())?;
    let digest = blake3::hash(component).to_hex().to_string();
    let factory = |name| {
        let info = INFOS.get(&(name, 2 - version % 2)).ok_or_else(unknown)?.clone();
        Ok(Arc::new(Factory { info, digest: digest.clone(), guests: guests.clone() })
            as Arc<dyn MetricFactory>)
    };
    names.split(',').map(factory).collect()
}

fn describe(name: &str, state_version: u32) -> MetricInfo {
    let windows = match name {
        WIDE => vec![
            Window::Day,
            Window::Sliding { size: 5 * MINUTE, step: MINUTE },
            Window::Session { gap: MINUTE },
        ],
        _ => vec![Window::Tumbling(MINUTE), Window::Tumbling(HOUR)],
    };
    let (created, status) = (field("created_at", ValueType::Time), field("status", ValueType::Text));
    let info = match name {
        MEAN => info(name, created, windows, &["mean"]),
        REST => rest(info(name, created, windows, &["rest"])),
        OPEN | SHUT_LATER => info(name, status, vec![Window::Now], &["number", "sum"]),
        _ => info(name, created, windows, &["number", "sum"]),
    };
    MetricInfo { state_version, state_versions_read: vec![1, 2], ..info }
}

/// Derived in place of what it was.
fn rest(info: MetricInfo) -> MetricInfo {
    let base = |metric: &str, outputs: &[&str]| Base {
        metric: metric.into(),
        outputs: outputs.iter().map(|output| output.to_string()).collect(),
    };
    let bases = vec![base(MADE, &["number", "sum"]), base(MEAN, &["mean"])];
    MetricInfo { inputs: vec![], values: vec![], bases, ..info }
}

fn field(name: &str, value_type: ValueType) -> Field {
    Field { name: name.into(), value_type, nullable: false }
}

fn info(name: &str, first: Field, windows: Vec<Window>, outputs: &[&str]) -> MetricInfo {
    let output = |name: &&str| Output {
        name: (*name).into(),
        value_type: ValueType::Int,
        is_list: false,
        nullable: false,
        unit: "1".into(),
        description: String::new(),
    };
    let amount = field("amount", ValueType::Int);
    let watches = if windows == [Window::Now] { vec![] } else { vec!["created_at".into()] };
    MetricInfo {
        name: name.into(),
        title: name.into(),
        unit: "1".into(),
        description: String::new(),
        owner: String::new(),
        version: "1.0.0".into(),
        deprecated: None,
        replaced_by: None,
        inputs: vec![Input { source: "ticket".into(), fields: vec![first, amount.clone()], watches }],
        bases: vec![],
        dimensions: vec!["queue_id".into()],
        dimension_sets: vec![vec![], vec!["queue_id".into()]],
        windows,
        values: vec![amount],
        computed_dimensions: vec![],
        outputs: outputs.iter().map(output).collect(),
        time_varying: false,
        rows: RowMemory::Live,
        state_version: 1,
        state_versions_read: vec![1],
        meaning_version: 1,
        extra: vec![],
    }
}

/// Metrics that are there from the beginning, by schedule.
pub const INITIAL: [&[&str]; 3] = [&[MADE, OPEN], &[MEAN, OPEN, WIDE], &[REST, MADE, MEAN, OPEN]];

/// Slots of a metric that a host keeps in memory where they are to be few.
pub const FEW_HOT_SLOTS: u64 = 5;

/// One source `ticket` on one topic, event time `updated_at`; epochs of a second; the nth of [`INITIAL`].
pub fn options(initial: usize, is_plain: bool) -> Options {
    static OPTIONS: LazyLock<[[Options; 3]; 2]> =
        LazyLock::new(|| [false, true].map(|is_plain| INITIAL.map(|names| make_options(names, is_plain))));
    OPTIONS[usize::from(is_plain)][initial].clone()
}

fn make_options(initial: &[&str], is_plain: bool) -> Options {
    let column = |name: &str, ty| ColumnDecl { name: name.into(), ty, nullable: false, values: vec![] };
    let (format, version_column) =
        if is_plain { (Format::PlainJson, Some(6)) } else { (Format::DebeziumJson, None) };
    let source = SourceDecl {
        name: "ticket".into(),
        topics: vec![crate::topic::TOPIC.into()],
        table: "ticket".into(),
        format,
        columns: vec![
            column("id", ColumnType::Text),
            column("queue_id", ColumnType::Text),
            column("status", ColumnType::Text),
            column("amount", ColumnType::Int),
            column("created_at", ColumnType::Time(TimeUnit::Ms)),
            column("updated_at", ColumnType::Time(TimeUnit::Ms)),
            column("version", ColumnType::Int),
        ],
        primary_key: vec![0],
        event_time: 5,
        out_of_orderness: OUT_OF_ORDERNESS,
        idle_after: 30 * SECOND,
        max_dead_share: 0.5,
        reading: Reading { version_column, ..Reading::default() },
    };
    let times = |pairs: &[(&str, i64)]| pairs.iter().map(|(n, t)| (n.to_string(), *t)).collect();
    Options {
        shard: "0".into(),
        sources: vec![Arc::new(source)],
        time_zone: jiff::tz::TimeZone::UTC,
        epoch_length: Duration::from_secs(1),
        epoch_bytes: 1 << 26,
        emit_every: times(&[("1m", 0), ("1h", 10 * SECOND)]),
        correct_for: times(&CORRECT_FOR),
        correct_for_default: 2 * HOUR,
        correct_for_metric: BTreeMap::new(),
        windows_metric: BTreeMap::new(),
        suspend_after: 1000,
        stalled_after: Duration::from_secs(3600),
        hot_slots: u64::MAX,
        hot_slots_total: u64::MAX,
        texts_before_sweep: 8,
        waiting_bytes: 1 << 26,
        missed_bytes: 1 << 26,
        initial_plugins: vec![("simulated.wasm".into(), component(initial, 1))],
    }
}
