//! Sources as the operator declares them: which topics, which table, which columns of which type.

use crate::Micros;
use crate::contract::ValueType;
use serde::Deserialize;

/// How the records of a topic are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Debezium JSON, with or without the schema envelope (told apart record by record).
    DebeziumJson,
}

/// How a time is written in a record. A bare number does not say its unit, so the source must.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Seconds since the Unix epoch.
    S,
    /// Milliseconds since the Unix epoch (Debezium's default for `DATETIME(0..3)`).
    Ms,
    /// Microseconds since the Unix epoch (Debezium's default for `DATETIME(4..6)`).
    Us,
    /// Nanoseconds since the Unix epoch; rounded down to microseconds.
    Ns,
    /// ISO 8601 text, with an offset or `Z`.
    Iso,
}

/// What a column of a source holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Integer within i64. Numbers in text (`"10"`) are accepted.
    Int,
    /// Double. NaN and infinities do not fit.
    Float,
    /// UTF-8 text.
    Text,
    /// `true`/`false`, `1`/`0`, in either form, quoted or not.
    Bool,
    /// A point in time.
    Time(TimeUnit),
}

impl ColumnType {
    /// The type of the column on the contract.
    pub fn value_type(self) -> ValueType {
        match self {
            ColumnType::Int => ValueType::Int,
            ColumnType::Float => ValueType::Float,
            ColumnType::Text => ValueType::Text,
            ColumnType::Bool => ValueType::Bool,
            ColumnType::Time(_) => ValueType::Time,
        }
    }
}

/// One declared column. A column that nobody declared is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDecl {
    pub name: String,
    pub ty: ColumnType,
    /// Whether null fits. A null in a column that is not nullable excludes the row for the metrics
    /// that ask for the column.
    pub nullable: bool,
    /// For text: values that occur, if they are few. Used only to make sample input for the checks
    /// at load, never to refuse a value.
    pub values: Vec<String>,
}

/// One declared source: one table.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDecl {
    /// The name that metrics use for it.
    pub name: String,
    /// Kafka topics that carry its changes.
    pub topics: Vec<String>,
    /// The table's name as it stands in the records. Records of other tables on the same topics are
    /// skipped and counted.
    pub table: String,
    pub format: Format,
    pub columns: Vec<ColumnDecl>,
    /// Indexes into `columns`, in key order; never empty.
    pub primary_key: Vec<usize>,
    /// Index into `columns` of the event_time column, a [`ColumnType::Time`].
    pub event_time: usize,
    /// How far behind the greatest event time a record may come, in microseconds.
    pub out_of_orderness: Micros,
    /// A partition that is caught up and quiet for this long no longer holds the watermark back.
    pub idle_after: Micros,
    /// The source holds when more than this share of a batch cannot be read: the records that were
    /// read together, and at least 100 since it was last looked at. 0 < share ≤ 1; 1 = never.
    pub max_dead_share: f64,
}

impl SourceDecl {
    /// Index of a column by name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }
}
