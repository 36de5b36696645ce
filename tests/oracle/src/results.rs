//! What stands in ClickHouse, read over its HTTP interface.

use crate::number::Number;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One value of a metric, without the metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub window: String,
    pub set: String,
    pub dims: Vec<String>,
    pub start: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub end: i64,
    pub is_final: bool,
    pub complete: bool,
    /// Samples that went into it.
    pub samples: i64,
    pub outputs: BTreeMap<String, Number>,
}

/// A sample that came too late for some windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Late {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub row: i64,
    pub sample: i64,
    pub time: i64,
    pub weight: i64,
    pub windows: Vec<String>,
    pub dims: Vec<String>,
    /// The epoch that took its record.
    pub epoch: i64,
}

/// A record that could not be used; `metric` is empty if nobody could use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    pub partition: (String, i32),
    pub offset: i64,
    pub metric: String,
    pub code: String,
}

/// What makes a row of each table one row.
const KEYS: [(&str, &str); 5] = [
    ("metric_realtime", "metric, incarnation, `window`, dimension_set, dims, start"),
    ("metric_latest", "metric, incarnation, dimension_set, dims"),
    ("epochs", "epoch, version"),
    ("late_events", "metric, incarnation, topic, partition, `offset`, row, sample"),
    ("dead_letters", "topic, partition, `offset`, metric"),
];

/// Everything that is known of one metric.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub realtime: Vec<(Key, Row)>,
    /// Of `metric_latest`; keys have start 0.
    pub latest: Vec<(Key, Row)>,
    pub late: Vec<Late>,
    /// Coordinates of samples whose time lies too far ahead of the clock.
    pub ahead: BTreeSet<((String, i32), i64)>,
}

pub struct ClickHouse {
    pub url: String,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl ClickHouse {
    /// Rows of a query, one JSON object each.
    pub fn query(&self, sql: &str) -> Result<Vec<Value>> {
        let sql = format!(
            "{sql} SETTINGS output_format_json_quote_64bit_integers = 0, \
             output_format_json_quote_denormals = 1, output_format_json_named_tuples_as_objects = 1 \
             FORMAT JSONEachRow"
        );
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent
            .post(&self.url)
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", &self.password)
            .send(&sql)
            .with_context(|| format!("ClickHouse at {} does not answer", self.url))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(4 << 30).read_to_string()?;
        if !status.is_success() {
            bail!("ClickHouse refused the query ({status}): {}\n{sql}", body.trim());
        }
        let row = |line: &str| {
            serde_json::from_str(line)
                .with_context(|| format!("ClickHouse answered a line that is no row: {line}"))
        };
        body.lines().filter(|line| !line.is_empty()).map(row).collect()
    }

    fn table(&self, name: &str) -> String {
        format!("`{}`.`{name}`", self.database)
    }

    /// The promoted incarnation of each metric.
    pub fn promoted(&self) -> Result<BTreeMap<String, i64>> {
        let sql = format!("SELECT metric, incarnation FROM {} FINAL", self.table("promoted"));
        self.query(&sql)?.iter().map(|row| Ok((text(row, "metric")?, int(row, "incarnation")?))).collect()
    }

    /// All rows of one incarnation of a metric.
    pub fn found(&self, metric: &str, incarnation: i64) -> Result<Found> {
        let of = format!("metric = '{metric}' AND incarnation = {incarnation}");
        let columns = "`window`, dimension_set, dims, toUnixTimestamp64Micro(end) AS end_us, \
                       toUnixTimestamp64Micro(start) AS start_us, final, complete, samples, ints, floats, texts";
        let realtime =
            self.query(&format!("SELECT {columns} FROM {} FINAL WHERE {of}", self.table("metric_realtime")))?;
        let latest =
            self.query(&format!("SELECT {columns} FROM {} FINAL WHERE {of}", self.table("metric_latest")))?;
        let late = self.query(&format!(
            "SELECT topic, partition, `offset`, row, sample, toUnixTimestamp64Micro(time) AS time_us, \
             weight, windows, dims, epoch FROM {} FINAL WHERE {of}",
            self.table("late_events")
        ))?;
        let without_start = |(key, row): (Key, Row)| (Key { start: 0, ..key }, row);
        Ok(Found {
            realtime: realtime.iter().map(result).collect::<Result<_>>()?,
            latest: latest.iter().map(|r| result(r).map(without_start)).collect::<Result<_>>()?,
            late: late.iter().map(late_row).collect::<Result<_>>()?,
            ahead: BTreeSet::new(),
        })
    }

    /// By table: its rows and how many keys they have, which is equal if no key has two.
    pub fn rows_and_keys(&self) -> Result<Vec<(&'static str, i64, i64)>> {
        let count = |(table, key): (&'static str, &str)| {
            let sql =
                format!("SELECT count() AS n, uniqExact(({key})) AS keys FROM {} FINAL", self.table(table));
            let rows = self.query(&sql)?;
            let row = rows.first().context("ClickHouse counted nothing")?;
            Ok((table, int(row, "n")?, int(row, "keys")?))
        };
        KEYS.into_iter().map(count).collect()
    }

    /// The rows of `dead_letters`.
    pub fn dead_letters(&self) -> Result<Vec<Dead>> {
        let sql = format!(
            "SELECT topic, partition, `offset`, metric, code FROM {} FINAL",
            self.table("dead_letters")
        );
        let dead = |row: &Value| {
            Ok(Dead {
                partition: (text(row, "topic")?, int(row, "partition")? as i32),
                offset: int(row, "offset")?,
                metric: text(row, "metric")?,
                code: text(row, "code")?,
            })
        };
        self.query(&sql)?.iter().map(dead).collect()
    }

    /// The rows of `epochs` as they are.
    pub fn epochs(&self) -> Result<Vec<Value>> {
        let sql = format!(
            "SELECT *, toUnixTimestamp64Micro(clock) AS clock_us FROM {} FINAL",
            self.table("epochs")
        );
        self.query(&sql)
    }
}

fn result(row: &Value) -> Result<(Key, Row)> {
    let key = Key {
        window: text(row, "window")?,
        set: text(row, "dimension_set")?,
        dims: texts(row, "dims")?,
        start: int(row, "start_us")?,
    };
    let mut outputs = BTreeMap::new();
    for column in ["ints", "floats", "texts"] {
        for (name, value) in row[column].as_object().into_iter().flatten() {
            let number = match value {
                Value::Null => Number::Null,
                Value::Number(n) if column == "ints" => {
                    Number::Int(n.as_i64().context("an output of no i64")?)
                }
                Value::Number(n) => Number::Float(n.as_f64().context("an output of no f64")?),
                // NaN and infinities come quoted; they equal nothing.
                _ => Number::Float(f64::NAN),
            };
            outputs.insert(name.clone(), number);
        }
    }
    let row = Row {
        end: int(row, "end_us")?,
        is_final: int(row, "final")? != 0,
        complete: int(row, "complete")? != 0,
        samples: int(row, "samples")?,
        outputs,
    };
    Ok((key, row))
}

fn late_row(row: &Value) -> Result<Late> {
    Ok(Late {
        topic: text(row, "topic")?,
        partition: int(row, "partition")? as i32,
        offset: int(row, "offset")?,
        row: int(row, "row")?,
        sample: int(row, "sample")?,
        time: int(row, "time_us")?,
        weight: int(row, "weight")?,
        windows: texts(row, "windows")?,
        dims: texts(row, "dims")?,
        epoch: int(row, "epoch")?,
    })
}

pub fn int(row: &Value, column: &str) -> Result<i64> {
    let value = &row[column];
    value.as_i64().or_else(|| value.as_bool().map(i64::from)).with_context(|| format!("no {column} in {row}"))
}

pub fn text(row: &Value, column: &str) -> Result<String> {
    row[column].as_str().map(str::to_string).with_context(|| format!("no {column} in {row}"))
}

fn texts(row: &Value, column: &str) -> Result<Vec<String>> {
    let texts = row[column].as_array().with_context(|| format!("no {column} in {row}"))?;
    texts
        .iter()
        .map(|t| t.as_str().map(str::to_string).with_context(|| format!("{column} of {row}")))
        .collect()
}
