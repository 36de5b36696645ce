//! Sources as the operator declares them: which topics, which table, which columns of which type.

use crate::Micros;
use crate::contract::ValueType;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// How the records of a topic are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Debezium JSON, with or without the schema envelope (told apart record by record).
    DebeziumJson,
    /// Canal JSON ("flat messages"): the rows of a statement in one record, every value a text.
    CanalJson,
    /// Maxwell JSON: one row in a record.
    MaxwellJson,
    /// Rows by themselves, as a compacted topic has them: a value sets the row of its key, a tombstone
    /// (or a row with the source's delete marker) ends it.
    PlainJson,
}

impl Format {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Format::DebeziumJson => "debezium-json",
            Format::CanalJson => "canal-json",
            Format::MaxwellJson => "maxwell-json",
            Format::PlainJson => "plain-json",
        }
    }
}

/// How a time is written in a record. A bare number does not say its unit, so the source must.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Seconds.
    S,
    /// Milliseconds (Debezium's default for `DATETIME(0..3)`).
    Ms,
    /// Microseconds (Debezium's default for `DATETIME(4..6)`).
    Us,
    /// Nanoseconds; rounded down to microseconds.
    Ns,
    /// ISO 8601 text.
    Iso,
}

/// How an exact number or a row of bits is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// Decimal digits, as a number or in text.
    Decimal,
    /// Base64 of bytes, as Debezium's `decimal.handling.mode=precise` and its `BIT(n)` are.
    Base64,
}

/// What a column of a source holds, and how it is written.
///
/// | declared as | written as | on the contract |
/// |---|---|---|
/// | `int` | integer within i64, in text or not | int |
/// | `uint` | integer from 0 to 2⁶³ − 1; above (for Debezium: negative) it does not fit | int |
/// | `uint-text` | integer from 0 to 2⁶⁴ − 1, or its two's complement, which Debezium writes | text of digits |
/// | `float` | number, in text or not; NaN and infinities do not fit | float |
/// | `decimal(S)` | number, in text or not, with at most S digits after the point that are not 0 | int: the number · 10^S |
/// | `decimal-base64(S)` | base64 of the big-endian two's complement of the number · 10^S | int: the number · 10^S |
/// | `text` | text | text |
/// | `json` | JSON in text, or JSON as it stands | text |
/// | `enum` | text, or the number of one of the column's values, counted from 1 | text |
/// | `set` | text, a list of texts, or a mask over the column's values | text, joined by commas |
/// | `bool` | `true`/`false`, `1`/`0`, in text or not; the bytes 1 and 0 as text or base64 | bool |
/// | `bits` | integer from 0 to 2⁶³ − 1, in text or not | int |
/// | `bits-base64` | base64 of little-endian bytes | int |
/// | `time-s`, `-ms`, `-us`, `-ns` | count since 1970-01-01 00:00 UTC | time |
/// | `time-iso` | ISO 8601 with `Z` or an offset | time |
/// | `datetime-s`, `-ms`, `-us`, `-ns` | count since 1970-01-01 00:00 on the source's own clock | time |
/// | `datetime-text` | `2026-11-23 08:00:00.123` on the source's own clock; `T` and a trailing `Z` are allowed | time |
/// | `date-days` | days since 1970-01-01 | time: midnight on the source's own clock |
/// | `date-text` | `2026-11-23`; a trailing `Z` is allowed | time: midnight on the source's own clock |
/// | `duration-ms`, `-us`, `-ns` | count; MySQL's `TIME` | int: microseconds |
/// | `duration-text` | `-12:30:00.5`; a trailing `Z` is allowed | int: microseconds |
///
/// The source's own clock is that of its time zone. Where it is put forward a time within the gap
/// is read as after it, where it is put back the first of two times is meant. A zero date
/// (`0000-00-00`) is a null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Int,
    Unsigned,
    UnsignedText,
    Float,
    /// An exact number with so many digits after the point.
    Decimal(u8, Digits),
    Text,
    Json,
    Enum,
    Set,
    Bool,
    Bits(Digits),
    /// A point in time.
    Time(TimeUnit),
    /// A reading of the source's own clock, which its time zone makes a point in time.
    DateTime(TimeUnit),
    DateDays,
    DateText,
    Duration(TimeUnit),
}

/// Most digits after the point: 10^18 is the greatest power of ten within i64.
pub const MAX_SCALE: u8 = 18;

/// Names of all types, as they are declared.
pub const TYPE_NAMES: &str = "int, uint, uint-text, float, decimal(S), decimal-base64(S), text, json, enum, set, bool, \
    bits, bits-base64, time-s, time-ms, time-us, time-ns, time-iso, datetime-s, datetime-ms, datetime-us, \
    datetime-ns, datetime-text, date-days, date-text, duration-ms, duration-us, duration-ns, duration-text";

impl ColumnType {
    /// The type of the column on the contract.
    pub fn value_type(self) -> ValueType {
        match self {
            ColumnType::Int
            | ColumnType::Unsigned
            | ColumnType::Decimal(..)
            | ColumnType::Bits(_)
            | ColumnType::Duration(_) => ValueType::Int,
            ColumnType::Float => ValueType::Float,
            ColumnType::UnsignedText
            | ColumnType::Text
            | ColumnType::Json
            | ColumnType::Enum
            | ColumnType::Set => ValueType::Text,
            ColumnType::Bool => ValueType::Bool,
            ColumnType::Time(_) | ColumnType::DateTime(_) | ColumnType::DateDays | ColumnType::DateText => {
                ValueType::Time
            }
        }
    }

    /// The type of that name; None if there is none.
    pub fn parse(name: &str) -> Option<ColumnType> {
        let unit = |name: &str, text: &str| match name {
            "s" => Some(TimeUnit::S),
            "ms" => Some(TimeUnit::Ms),
            "us" => Some(TimeUnit::Us),
            "ns" => Some(TimeUnit::Ns),
            _ => (name == text).then_some(TimeUnit::Iso),
        };
        let scale = |text: &str| {
            let digits = text.strip_prefix('(')?.strip_suffix(')')?;
            digits.parse().ok().filter(|s| *s <= MAX_SCALE && digits.bytes().all(|b| b.is_ascii_digit()))
        };
        Some(match name {
            "int" => ColumnType::Int,
            "uint" => ColumnType::Unsigned,
            "uint-text" => ColumnType::UnsignedText,
            "float" => ColumnType::Float,
            "text" => ColumnType::Text,
            "json" => ColumnType::Json,
            "enum" => ColumnType::Enum,
            "set" => ColumnType::Set,
            "bool" => ColumnType::Bool,
            "bits" => ColumnType::Bits(Digits::Decimal),
            "bits-base64" => ColumnType::Bits(Digits::Base64),
            "date-days" => ColumnType::DateDays,
            "date-text" => ColumnType::DateText,
            _ => {
                if let Some(rest) = name.strip_prefix("time-") {
                    ColumnType::Time(unit(rest, "iso")?)
                } else if let Some(rest) = name.strip_prefix("datetime-") {
                    ColumnType::DateTime(unit(rest, "text")?)
                } else if let Some(rest) = name.strip_prefix("duration-") {
                    ColumnType::Duration(unit(rest, "text").filter(|unit| *unit != TimeUnit::S)?)
                } else if let Some(rest) = name.strip_prefix("decimal-base64") {
                    ColumnType::Decimal(scale(rest)?, Digits::Base64)
                } else {
                    ColumnType::Decimal(scale(name.strip_prefix("decimal")?)?, Digits::Decimal)
                }
            }
        })
    }

    /// Whether the column's declared `values` may be other than empty.
    pub fn takes_values(self) -> bool {
        matches!(self, ColumnType::Text | ColumnType::Enum | ColumnType::Set)
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
    /// at load, never to refuse a value. For [`ColumnType::Enum`] and [`ColumnType::Set`]: the values of
    /// the table's definition, in its order, because Canal writes only their numbers.
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
    /// What else there is to know to read its records.
    pub reading: Reading,
    pub columns: Vec<ColumnDecl>,
    /// Indexes into `columns`, in key order; never empty.
    pub primary_key: Vec<usize>,
    /// Index into `columns` of the event_time column, whose values are times.
    pub event_time: usize,
    /// How far behind the greatest event time a record may come, in microseconds.
    pub out_of_orderness: Micros,
    /// A partition that is caught up and quiet for this long no longer holds the watermark back.
    pub idle_after: Micros,
    /// The source holds when more than this share of a batch cannot be read: the records that were
    /// read together, and at least 100 since it was last looked at. 0 < share ≤ 1; 1 = never.
    pub max_dead_share: f64,
}

/// What a source says about its records beside their format.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The zone of the source's own clock: of dates, and of times that are written without an offset.
    pub time_zone: TimeZone,
    /// For [`Format::PlainJson`]: the field that is true in a row that ends. Tombstones end rows anyhow.
    pub delete_marker: Option<String>,
    /// Index of the column that grows with every change of a row, for formats that carry no position.
    /// Its values are ints or times.
    pub version_column: Option<usize>,
    /// The database that the table is in; None: whichever. Plain rows do not name theirs.
    pub database: Option<String>,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading { time_zone: TimeZone::UTC, delete_marker: None, version_column: None, database: None }
    }
}

impl SourceDecl {
    /// Index of a column by name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// Whether all rows must be remembered, because a record says only what is and not what was.
    pub fn keeps_rows(&self) -> bool {
        self.format == Format::PlainJson
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_known_and_no_other() {
        for name in TYPE_NAMES.split(", ") {
            assert!(ColumnType::parse(&name.replace("(S)", "(3)")).is_some(), "{name}");
        }
        assert_eq!(ColumnType::parse("decimal(18)"), Some(ColumnType::Decimal(18, Digits::Decimal)));
        assert_eq!(ColumnType::parse("decimal-base64(0)"), Some(ColumnType::Decimal(0, Digits::Base64)));
        for name in
            ["", "integer", "decimal", "decimal()", "decimal(19)", "decimal(+3)", "decimal(3", "decimal(3)x"]
                .into_iter()
                .chain([
                    "time-text",
                    "datetime-iso",
                    "duration-s",
                    "duration-iso",
                    "decimal-base64",
                    "date",
                    "time-",
                ])
        {
            assert_eq!(ColumnType::parse(name), None, "{name}");
        }
    }
}
