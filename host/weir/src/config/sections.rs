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
    /// How long a graceful stop waits for ClickHouse. Default `10s`.
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
}

impl Default for Epoch {
    fn default() -> Self {
        Epoch { length: Span(1_000_000), max_bytes: Size(64 << 20) }
    }
}

/// `[kafka]`: the brokers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// Any of librdkafka's properties; `bootstrap.servers` must be among them.
    pub properties: BTreeMap<String, Scalar>,
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
    /// As `[correct_for]`, for this metric alone. Default: empty.
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
    /// How records are written: `debezium-json`.
    pub format: weir_types::schema::Format,
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
    /// `int`, `float`, `text`, `bool`, `time-s`, `time-ms`, `time-us`, `time-ns`, `time-iso`; with `?`
    /// nulls fit.
    pub ty: String,
    /// Texts that occur, if they are few; for the checks of a plugin only. Default: empty.
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
