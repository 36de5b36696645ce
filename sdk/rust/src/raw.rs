//! The contract's records and calls as plain Rust over packed bytes, field by field as in
//! `wit/v0.1`, where layouts and duties are described. The component glue speaks it, and so can a
//! native host: nothing here is tied to WebAssembly.

/// What a column holds; 8 bytes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    Int,
    Float,
    Text,
    Bool,
    Time,
}

/// Values of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    pub validity: Vec<u8>,
    pub values: Vec<u8>,
    pub offsets: Vec<u8>,
}

/// The distinct texts of one text field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary {
    pub offsets: Vec<u8>,
    pub bytes: Vec<u8>,
}

/// Row changes of one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub rows: u32,
    pub before_present: Vec<u8>,
    pub after_present: Vec<u8>,
    pub event_times: Vec<u8>,
    pub before: Vec<Column>,
    pub after: Vec<Column>,
    pub dictionaries: Vec<Dictionary>,
}

/// Row images of one input, for metrics over current values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    pub rows: u32,
    pub columns: Vec<Column>,
    pub dictionaries: Vec<Dictionary>,
}

/// A row that the metric refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub row: u32,
    pub reason: String,
}

/// What rows contribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    pub rows: Vec<u8>,
    pub weights: Vec<u8>,
    pub images: Vec<u8>,
    pub times: Vec<u8>,
    pub times_validity: Vec<u8>,
    pub untils: Vec<u8>,
    pub values: Vec<Column>,
    pub computed: Vec<Column>,
    pub dictionaries: Vec<Dictionary>,
    pub rejects: Vec<Reject>,
}

/// Arguments of `accumulate`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub slots: Vec<u8>,
    pub weights: Vec<u8>,
    pub times: Vec<u8>,
    pub untils: Vec<u8>,
    pub values: Vec<Column>,
    pub dictionaries: Vec<Dictionary>,
}

/// States of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States {
    pub offsets: Vec<u8>,
    pub bytes: Vec<u8>,
}

/// Columns of outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    pub columns: Vec<Column>,
    pub dictionaries: Vec<Dictionary>,
}

/// A named, typed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub value_type: ValueType,
    pub nullable: bool,
}

/// A result of `evaluate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub name: String,
    pub value_type: ValueType,
    pub is_list: bool,
    pub nullable: bool,
    pub unit: String,
    pub description: String,
}

/// A source that the metric reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub source: String,
    pub fields: Vec<Field>,
    pub watches: Vec<String>,
}

/// A way to cut time; lengths in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Tumbling(i64),
    Day,
    Sliding { size: i64, step: i64 },
    Session(i64),
    Now,
}

/// Which rows the host keeps for a metric over current values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowMemory {
    Live,
    All,
}

/// Everything the host must know about one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    pub name: String,
    pub title: String,
    pub unit: String,
    pub description: String,
    pub owner: String,
    pub version: String,
    pub deprecated: Option<String>,
    pub replaced_by: Option<String>,
    pub inputs: Vec<Input>,
    pub dimensions: Vec<String>,
    /// Empty = every subset.
    pub dimension_sets: Vec<Vec<String>>,
    pub windows: Vec<Window>,
    pub values: Vec<Field>,
    pub computed_dimensions: Vec<Field>,
    pub outputs: Vec<Output>,
    pub time_varying: bool,
    pub rows: RowMemory,
    pub state_version: u32,
    pub state_versions_read: Vec<u32>,
    pub meaning_version: u32,
    pub extra: Vec<(String, String)>,
}

/// One opened metric: the calls of `metric-api`. A text in `Err` is for the operator; after it the
/// instance must be dropped. No input, however wrong, panics.
pub trait Instance: Send {
    fn observe(&self, input: u32, changes: &Changes) -> Result<Samples, String>;
    fn observe_image(&self, input: u32, images: &Images) -> Result<Samples, String>;
    fn accumulate(&mut self, parts: &Parts) -> Result<(), String>;
    fn merge(&mut self, into: &[u8], from: &[u8]) -> Result<(), String>;
    fn evaluate(&self, slots: &[u8], starts: &[u8], ends: &[u8], now: i64) -> Result<Outputs, String>;
    fn save(&self, slots: &[u8]) -> Result<States, String>;
    fn load(&mut self, slots: &[u8], states: &States, state_version: u32) -> Result<(), String>;
    fn release(&mut self, slots: &[u8]) -> Result<(), String>;
}

/// Opens a metric with the operator's configuration.
pub type Open = fn(&[(String, String)]) -> Result<Box<dyn Instance>, String>;

/// One metric of a plugin.
#[derive(Clone, Copy)]
pub struct Entry {
    pub describe: fn() -> MetricInfo,
    pub open: Open,
}

/// The metrics of one component.
#[derive(Clone)]
pub struct Plugin {
    pub entries: Vec<Entry>,
}

impl Plugin {
    /// What the component's `describe` gives.
    pub fn describe(&self) -> Vec<MetricInfo> {
        self.entries.iter().map(|entry| (entry.describe)()).collect()
    }

    /// What the component's `open` does, but the instance is handed out.
    pub fn open(&self, metric: &str, config: &[(String, String)]) -> Result<Box<dyn Instance>, String> {
        let entry = self.entries.iter().find(|entry| (entry.describe)().name == metric);
        match entry {
            Some(entry) => (entry.open)(config),
            None => {
                let names: Vec<String> = self.describe().into_iter().map(|info| info.name).collect();
                Err(format!("no metric {metric:?} in this component; it has {}", names.join(", ")))
            }
        }
    }
}
