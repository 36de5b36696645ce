//! The configuration file as it is written: every option with its unit and default.

use super::values::{Scalar, Size, Span};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// `[host]`: the process itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Address of API and dashboard, `IP:PORT`. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Where state lies: a directory (relative ones stand beside the configuration file), or an
    /// object store's URL such as `s3://bucket/prefix`. Default `state`.
    pub state: String,
    /// Name of the shard: letters, digits, `-`, `_`. Default `0`.
    pub shard: String,
    /// Time zone of calendar days, an IANA name. Default `UTC`.
    pub time_zone: String,
    /// What is logged: a level, or levels by module such as `info,weir_engine=debug`. Default `info`.
    pub log: String,
    /// `text` or `json`. Default `text`.
    pub log_format: LogFormat,
    /// Directory of compiled components, which may be deleted at any time. Default `cache`.
    pub cache: String,
    /// How long a graceful stop waits for ClickHouse, and before that for a state that cannot be written.
    /// Default `10s`.
    pub stop_patience: Span,
}

impl Default for Host {
    fn default() -> Self {
        Host {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            state: "state".into(),
            shard: "0".into(),
            time_zone: "UTC".into(),
            log: "info".into(),
            log_format: LogFormat::Text,
            cache: "cache".into(),
            stop_patience: Span(10_000_000),
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// `[tokens]`: secrets of callers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// Secret that plugin changes must carry. Without one they are allowed from this machine only,
    /// and only under `--dev`. Default: none.
    pub operator: Option<String>,
}

/// `[time]`: what time it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Time {
    /// A clock other than the real one, for tests and compressed days. Default: none.
    pub clock: Option<ClockSpec>,
}

/// `[time] clock`: at the real time `origin` the clock shows `origin`; then it runs `speed` times as fast.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSpec {
    /// RFC 3339, such as `2026-11-23T08:00:00Z`.
    pub origin: String,
    /// Clock seconds in a real second, above 0.
    pub speed: f64,
}

/// `[epoch]`: the unit of work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Epoch {
    /// Real time after which an epoch ends. Default `1s`.
    pub length: Span,
    /// Bytes of columns after which it ends earlier. Default `64MiB`.
    pub max_bytes: Size,
    /// A column that does not fit in so many changes in a row is taken for dropped or retyped: metrics
    /// that need it are suspended. At least 1. Default 1000.
    pub suspend_after_rows: u64,
}

impl Default for Epoch {
    fn default() -> Self {
        Epoch { length: Span(1_000_000), max_bytes: Size(64 << 20), suspend_after_rows: 1000 }
    }
}

/// `[kafka]`: the brokers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// Any of librdkafka's properties; `bootstrap.servers` must be among them.
    pub properties: BTreeMap<String, Scalar>,
    /// Real time without any record, while partitions are not read to their ends, after which `/readyz`
    /// fails and says so. Default `60s`.
    pub stalled_after: Span,
}

impl Default for Kafka {
    fn default() -> Self {
        Kafka { properties: BTreeMap::new(), stalled_after: Span(60_000_000) }
    }
}

/// `[clickhouse]`: where results go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouse {
    /// HTTP interface. Default `http://127.0.0.1:8123`.
    pub url: String,
    /// Default `default`.
    pub user: String,
    /// Default empty.
    pub password: String,
    /// Database of all tables; made if it is missing. Default `weir`.
    pub database: String,
}

impl Default for ClickHouse {
    fn default() -> Self {
        ClickHouse {
            url: "http://127.0.0.1:8123".into(),
            user: "default".into(),
            password: String::new(),
            database: "weir".into(),
        }
    }
}

/// `[limits]`: what each metric may use. Defaults are those of the sandbox.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory of one metric's instance. Default `256MiB`.
    pub memory: Option<Size>,
    /// Time of one call. Default `5s`.
    pub call: Option<Span>,
    /// Elements over all tables of an instance. Default 200000.
    pub table_elements: Option<usize>,
    /// Tables of an instance. Default 64.
    pub tables: Option<usize>,
    /// Core instances within an instance. Default 256.
    pub instances: Option<usize>,
    /// Size of a component. Default `64MiB`.
    pub component: Option<Size>,
    /// Rows that one call may give back. Default 4194304.
    pub rows_returned: Option<usize>,
    /// Bytes that one call may give back. Default `128MiB`.
    pub bytes_returned: Option<Size>,
    /// Log lines kept of a second. Default 50.
    pub log_lines: Option<u32>,
    /// Slots (a key in a window) of one metric that are held in memory; those touched longest ago lie
    /// in the state store alone and are loaded when they are touched. Default 250000.
    pub hot_slots: Option<u64>,
    /// The same for all metrics together. Default 2000000.
    pub hot_slots_total: Option<u64>,
    /// Memory for rows that wait for ClickHouse; what is more waits in the state alone. Default `64MiB`.
    pub waiting: Option<Size>,
    /// State, for each source of plain rows or with a `version_column`, in which is kept what stopped metrics
    /// need besides Kafka to read again what they miss. Default `4GiB`.
    pub missed: Option<Size>,
}

/// `[[plugin]]`: a component loaded when the state knows none of its metrics yet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// File of the component; relative ones stand beside the configuration file.
    pub path: String,
}

/// `[metric."board.name"]`: what the operator sets for one metric.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metric {
    /// Thresholds, calendars and the like, handed to the metric. Default: empty.
    pub config: BTreeMap<String, Scalar>,
    /// Names of the windows in place of the metric's own. Default: its own.
    pub windows: Option<Vec<String>>,
    /// As `[correct_for]`, for this metric alone; stands above what the metric itself asks for. Default: empty.
    pub correct_for: BTreeMap<String, Span>,
}

/// `[[source]]`: one table whose changes are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The name that metrics use for it.
    pub name: String,
    /// Kafka topics with its changes, at least one.
    pub topics: Vec<String>,
    /// The table's name as it stands in the records. Default: the source's name.
    pub table: Option<String>,
    /// The database of the table, as it stands in the records: those of the same table in another one are skipped.
    /// Not for `plain-json`, which does not name it. Default: the table of any database.
    #[serde(default)]
    pub database: Option<String>,
    /// How records are written: `debezium-json`, `canal-json`, `maxwell-json` or `plain-json`. All sources
    /// of a topic have the same format, and a topic of plain rows has one source.
    pub format: weir_types::schema::Format,
    /// Zone of the source's own clock, an IANA name: of dates, and of times written without an offset.
    /// Default `UTC`.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// For `plain-json`: the field that is true in a row that ends, such as `__deleted`; a tombstone ends
    /// the row of its key anyhow. Default: none.
    #[serde(default)]
    pub delete_marker: Option<String>,
    /// For `canal-json` and `plain-json`, which carry no position: the column that grows with every change
    /// of a row, over the whole life of its key. A change with a version not above the row's is a repeat of
    /// the upstream, and is skipped. Two changes with one version count as one, so a time must be finer
    /// than changes come. Default: none, and upstream repeats count twice.
    #[serde(default)]
    pub version_column: Option<String>,
    /// Columns of the primary key, in order.
    pub primary_key: Vec<String>,
    /// Column whose time moves the watermark.
    pub event_time: String,
    /// How far behind the greatest event time a record may come. Default `5s`.
    #[serde(default = "five_seconds")]
    pub out_of_orderness: Span,
    /// A partition that is caught up and quiet for this long no longer holds the watermark back.
    /// Default `30s`.
    #[serde(default = "thirty_seconds")]
    pub idle_after: Span,
    /// The source holds when more than this share of what is read together cannot be read, and of
    /// the last 100 records at least; it says so, takes nothing of the batch, and goes on after a
    /// start with a mended declaration, or by `weir source resume`. Above 0; 1 = never. Default 0.5.
    #[serde(default = "half")]
    pub max_dead_share: f64,
    /// Columns that metrics may ask for, by name; others are ignored.
    pub columns: BTreeMap<String, Column>,
}

fn five_seconds() -> Span {
    Span(5_000_000)
}
fn thirty_seconds() -> Span {
    Span(30_000_000)
}
fn half() -> f64 {
    0.5
}

/// A column: `"int?"`, or `{ type = "text", values = ["new", "open"] }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// A type out of docs/formats.md, such as `int`, `text`, `decimal(3)` or `time-ms`; with `?` nulls fit.
    pub ty: String,
    /// Of a text: values that occur, if they are few; for the checks of a plugin only. Of an enum or a
    /// set: the values of the table's definition, in its order. Default: empty.
    pub values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnTable {
    r#type: String,
    #[serde(default)]
    values: Vec<String>,
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextOrTable;
        impl<'de> Visitor<'de> for TextOrTable {
            type Value = Column;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type like \"int?\", or { type = \"text\", values = [\"a\", \"b\"] }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Column, E> {
                Ok(Column { ty: text.to_string(), values: Vec::new() })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Column, A::Error> {
                let table = ColumnTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Column { ty: table.r#type, values: table.values })
            }
        }
        from.deserialize_any(TextOrTable)
    }
}
