//! The plugin contract (`wit/v0.1`) as plain Rust: what the engine speaks, whoever runs the code.
//! Field by field as in the WIT, where layouts and duties are described.

use crate::{Micros, window::Window};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a column holds; 8 bytes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueType {
    Int,
    Float,
    Text,
    Bool,
    Time,
}

/// A named, typed value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub value_type: ValueType,
    pub nullable: bool,
}

/// A result of `evaluate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub name: String,
    pub value_type: ValueType,
    pub is_list: bool,
    pub nullable: bool,
    pub unit: String,
    pub description: String,
}

/// A source that a metric reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub source: String,
    pub fields: Vec<Field>,
    /// Names out of `fields`; empty = all.
    pub watches: Vec<String>,
}

/// Which rows the host keeps for a metric over current values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowMemory {
    Live,
    All,
}

/// Outputs of another metric that a derived one reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub metric: String,
    /// In the order in which `compute` gets them.
    pub outputs: Vec<String>,
}

/// Everything the host must know about one metric, over rows or derived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricInfo {
    pub name: String,
    pub title: String,
    pub unit: String,
    pub description: String,
    pub owner: String,
    pub version: String,
    pub deprecated: Option<String>,
    pub replaced_by: Option<String>,
    /// Of a derived metric the component names none: the host notes what its bases read.
    pub inputs: Vec<Input>,
    /// What a derived metric is computed from; empty for one over rows.
    #[serde(default)]
    pub bases: Vec<Base>,
    pub dimensions: Vec<String>,
    /// Never empty here: the loader expands "every subset".
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

impl MetricInfo {
    /// Whether it is a metric over current values.
    pub fn is_now(&self) -> bool {
        self.windows == [Window::Now]
    }

    /// What the metric says under a key of `extra`.
    pub fn extra(&self, key: &str) -> Option<&str> {
        self.extra.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The board that shows it: the one it names, else the first part of its name.
    pub fn board(&self) -> &str {
        self.extra("board").unwrap_or_else(|| self.name.split('.').next().unwrap_or_default())
    }

    /// For how long after its end a window must be corrected at least, by the metric's own account;
    /// the error is the text that is no duration.
    pub fn correct_for(&self) -> Result<Option<Micros>, &str> {
        self.extra("correct_for").map(|text| crate::span::parse(text).ok_or(text)).transpose()
    }

    /// Whether it is computed from other metrics' outputs.
    pub fn is_derived(&self) -> bool {
        !self.bases.is_empty()
    }
}

/// Values of one field, packed as on the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedColumn {
    pub validity: Vec<u8>,
    pub values: Vec<u8>,
    pub offsets: Vec<u8>,
}

/// The distinct texts of one text field, packed as on the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedDictionary {
    pub offsets: Vec<u8>,
    pub bytes: Vec<u8>,
}

/// Columns and dictionaries may belong to several metrics' changes: each is packed once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub rows: u32,
    pub before_present: Vec<u8>,
    pub after_present: Vec<u8>,
    pub event_times: Vec<u8>,
    pub before: Vec<Arc<PackedColumn>>,
    pub after: Vec<Arc<PackedColumn>>,
    pub dictionaries: Vec<Arc<PackedDictionary>>,
}

/// Shared as the columns of [`Changes`] are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    pub rows: u32,
    pub columns: Vec<Arc<PackedColumn>>,
    pub dictionaries: Vec<Arc<PackedDictionary>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    pub rows: Vec<u8>,
    pub weights: Vec<u8>,
    pub images: Vec<u8>,
    pub times: Vec<u8>,
    pub times_validity: Vec<u8>,
    pub untils: Vec<u8>,
    pub values: Vec<PackedColumn>,
    pub computed: Vec<PackedColumn>,
    pub dictionaries: Vec<PackedDictionary>,
    pub rejects: Vec<(u32, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States {
    pub offsets: Vec<u8>,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    pub columns: Vec<PackedColumn>,
    pub dictionaries: Vec<PackedDictionary>,
}

/// Arguments of `accumulate`, packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub slots: Vec<u8>,
    pub weights: Vec<u8>,
    pub times: Vec<u8>,
    pub untils: Vec<u8>,
    pub values: Vec<PackedColumn>,
    pub dictionaries: Vec<PackedDictionary>,
}

/// Arguments of `compute`, packed: for each base, in order, a column for each of its outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseRows {
    pub rows: u32,
    pub columns: Vec<PackedColumn>,
    pub dictionaries: Vec<PackedDictionary>,
    /// Empty for `now`, as the ends.
    pub window_starts: Vec<u8>,
    pub window_ends: Vec<u8>,
}

/// Why a call into a guest did not give a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// The guest answered `err(…)`.
    #[error("the metric refused the call: {0}")]
    Refused(String),
    /// The guest trapped (with the trap's text).
    #[error("the metric crashed: {0}")]
    Trap(String),
    /// The call took longer than the limit.
    #[error("the call took longer than {limit_ms} ms")]
    Timeout { limit_ms: u64 },
    /// What came back breaks the contract.
    #[error("the metric broke the contract: {0}")]
    BadOutput(String),
}

/// One opened metric. All packed layouts and duties as in the WIT. Implemented by the sandbox, and
/// natively by the benchmark. Called from one thread at a time; may take as long as the time limit.
/// After an error the instance must be dropped.
///
/// Implementations check what comes back: lengths, indexes in range, valid UTF-8, ordered rows,
/// counts of columns; a caller may rely on it.
pub trait MetricInstance: Send {
    fn observe(&mut self, input: u32, changes: &Changes) -> Result<Samples, GuestError>;
    fn observe_image(&mut self, input: u32, images: &Images) -> Result<Samples, GuestError>;
    fn accumulate(&mut self, parts: &Parts) -> Result<(), GuestError>;
    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError>;
    /// `starts` and `ends` are empty for `now`.
    fn evaluate(
        &mut self,
        slots: &[u32],
        starts: &[Micros],
        ends: &[Micros],
        now: Micros,
    ) -> Result<Outputs, GuestError>;
    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError>;
    fn load(&mut self, slots: &[u32], states: &States, state_version: u32) -> Result<(), GuestError>;
    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError>;
    /// Bytes of memory that the instance holds.
    fn memory_bytes(&self) -> usize;
    /// Warnings and errors that it has logged since it was opened.
    fn warned(&self) -> u64 {
        0
    }
}

/// One opened derived metric. As for [`MetricInstance`]: what comes back is checked by implementations, and after
/// an error the instance must be dropped.
pub trait DerivedInstance: Send {
    /// A pure function of each row.
    fn compute(&mut self, given: &BaseRows) -> Result<Outputs, GuestError>;
    /// Bytes of memory that the instance holds.
    fn memory_bytes(&self) -> usize;
    /// Warnings and errors that it has logged since it was opened.
    fn warned(&self) -> u64 {
        0
    }
}

/// Makes instances of one metric of one component, always the same way.
pub trait MetricFactory: Send + Sync {
    fn info(&self) -> &MetricInfo;
    /// Hex digest of the component's bytes.
    fn digest(&self) -> &str;
    /// An instance of a metric over rows.
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError>;
    /// An instance of a derived metric ([`MetricInfo::is_derived`]).
    fn open_derived(&self) -> Result<Box<dyn DerivedInstance>, GuestError> {
        Err(GuestError::Refused("it is a metric over rows, not a derived one".into()))
    }
}

/// Packing and unpacking of the contract's byte lists.
pub mod pack {
    /// Packed u32 list.
    pub fn u32s(values: &[u32]) -> Vec<u8> {
        values.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>().into_flattened()
    }
    /// Packed i64 list.
    pub fn i64s(values: &[i64]) -> Vec<u8> {
        values.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>().into_flattened()
    }
    /// The i-th entry of a packed u32 list. The length must have been checked.
    #[inline(always)]
    pub fn u32_at(bytes: &[u8], i: usize) -> u32 {
        let at = i * 4;
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }
    /// The i-th entry of a packed i64 list. The length must have been checked.
    #[inline(always)]
    pub fn i64_at(bytes: &[u8], i: usize) -> i64 {
        let mut entry = [0; 8];
        entry.copy_from_slice(&bytes[i * 8..i * 8 + 8]);
        i64::from_le_bytes(entry)
    }
    /// Bit i of a bit list; an empty list is all ones.
    #[inline(always)]
    pub fn bit(bits: &[u8], i: usize) -> bool {
        bits.is_empty() || bits[i >> 3] >> (i & 7) & 1 == 1
    }
    /// Bit list of n entries; empty if all are set.
    pub fn bits(n: usize, mut set: impl FnMut(usize) -> bool) -> Vec<u8> {
        bits_of(&(0..n).map(|i| u8::from(set(i))).collect::<Vec<u8>>())
    }
    /// Bit list of entries that are 0 or 1; empty if all are 1.
    pub fn bits_of(set: &[u8]) -> Vec<u8> {
        if set.iter().fold(1, |all, bit| all & bit) == 1 {
            return Vec::new();
        }
        let (eights, rest) = set.as_chunks::<8>();
        let mut bytes: Vec<u8> = eights.iter().map(|eight| byte_of(*eight)).collect();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            bytes.push(byte_of(last));
        }
        bytes
    }
    /// Eight entries that are 0 or 1 as the bits of a byte, the first one lowest: the product brings bit 8 · i
    /// to bit 56 + i, and no other bit into the highest byte.
    #[inline(always)]
    pub fn byte_of(set: [u8; 8]) -> u8 {
        (u64::from_le_bytes(set).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::pack;

    #[test]
    fn a_bit_list_has_the_bit_of_each_entry_and_none_if_all_are_set() {
        for n in 0..70 {
            let set = |i: usize| i * i % 7 < 3 || n % 8 == 1;
            let bits = pack::bits(n, set);
            assert!((0..n).all(|i| pack::bit(&bits, i) == set(i)), "{n}");
            assert_eq!(bits.len(), if (0..n).all(set) { 0 } else { n.div_ceil(8) });
        }
        assert!((0..=255u8).all(|b| pack::byte_of(std::array::from_fn(|i| b >> i & 1)) == b));
    }
}
