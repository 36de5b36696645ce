//! What stands in ClickHouse, read over its HTTP interface.

use crate::fields::{Word, word};
use crate::number::Number;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

/// One value of a metric, without the metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub window: Word,
    pub set: Word,
    pub dims: Vec<Word>,
    pub start: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub end: i64,
    pub is_final: bool,
    pub complete: bool,
    /// Samples that went into it.
    pub samples: i64,
    pub outputs: Vec<(Word, Number)>,
}

impl Row {
    pub fn get(&self, name: &str) -> Option<&Number> {
        self.outputs.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// A sample that came too late for some windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Late {
    pub partition: (String, i32),
    pub offset: i64,
    pub row: i64,
    pub sample: i64,
    pub time: i64,
    pub weight: i64,
    pub windows: Vec<Word>,
    pub dims: Vec<Word>,
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

/// What is known of metrics.
pub trait Store {
    /// The kinds of windows of which `metric_realtime` has rows.
    fn windows(&self, metric: &str) -> Result<Vec<String>>;
    /// Rows of `metric_realtime` in one kind of window.
    fn realtime(&self, metric: &str, window: &str) -> Result<Vec<(Key, Row)>>;
    /// Rows of `metric_latest`; keys have start 0.
    fn latest(&self, metric: &str) -> Result<Vec<(Key, Row)>>;
    fn late(&self, metric: &str) -> Result<Vec<Late>>;
}

/// ClickHouse, and the promoted incarnation of each metric.
pub struct Promoted<'a> {
    pub store: &'a ClickHouse,
    pub incarnations: BTreeMap<String, i64>,
}

/// Columns of both tables of values.
const COLUMNS: &str = "`window`, dimension_set, dims, toUnixTimestamp64Micro(start), \
    toUnixTimestamp64Micro(end), final, complete, samples, ints, floats, texts, int_lists, \
    arrayConcat(mapKeys(float_lists), mapKeys(text_lists))";

impl Promoted<'_> {
    /// Rows of one metric; none if no incarnation is shown.
    fn rows(&self, table: &str, metric: &str, also: &str) -> Result<Vec<(Key, Row)>> {
        let Some(condition) = self.of(metric) else { return Ok(Vec::new()) };
        let table = self.store.table(table);
        let mut rows = Vec::new();
        let sql = format!("SELECT {COLUMNS} FROM {table} FINAL WHERE {condition}{also}");
        self.store.lines(&sql, "JSONCompactEachRow", |line| {
            rows.push(value_row(line).with_context(|| format!("ClickHouse answered {line}"))?);
            Ok(())
        })?;
        Ok(rows)
    }

    fn of(&self, metric: &str) -> Option<String> {
        let incarnation = self.incarnations.get(metric)?;
        Some(format!("metric = '{metric}' AND incarnation = {incarnation}"))
    }
}

impl Store for Promoted<'_> {
    fn windows(&self, metric: &str) -> Result<Vec<String>> {
        let Some(condition) = self.of(metric) else { return Ok(Vec::new()) };
        let table = self.store.table("metric_realtime");
        let rows = self.store.query(&format!("SELECT DISTINCT `window` FROM {table} WHERE {condition}"))?;
        rows.iter().map(|row| text(row, "window")).collect()
    }

    fn realtime(&self, metric: &str, window: &str) -> Result<Vec<(Key, Row)>> {
        self.rows("metric_realtime", metric, &format!(" AND `window` = '{window}'"))
    }

    fn latest(&self, metric: &str) -> Result<Vec<(Key, Row)>> {
        let rows = self.rows("metric_latest", metric, "")?;
        Ok(rows.into_iter().map(|(key, row)| (Key { start: 0, ..key }, row)).collect())
    }

    fn late(&self, metric: &str) -> Result<Vec<Late>> {
        let Some(condition) = self.of(metric) else { return Ok(Vec::new()) };
        let late = self.store.query(&format!(
            "SELECT topic, partition, `offset`, row, sample, toUnixTimestamp64Micro(time) AS time_us, \
             weight, windows, dims, epoch FROM {} FINAL WHERE {condition}",
            self.store.table("late_events")
        ))?;
        late.iter().map(late_row).collect()
    }
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
        let mut rows = Vec::new();
        self.lines(sql, "JSONEachRow", |line| {
            let row = serde_json::from_str(line);
            rows.push(row.with_context(|| format!("ClickHouse answered a line that is no row: {line}"))?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Hands over the lines of the answer to a query.
    fn lines(&self, sql: &str, format: &str, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let sql = format!(
            "{sql} SETTINGS output_format_json_quote_64bit_integers = 0, \
             output_format_json_quote_denormals = 1, output_format_json_named_tuples_as_objects = 1 \
             FORMAT {format}"
        );
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent
            .post(&self.url)
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", &self.password)
            .send(&sql)
            .with_context(|| format!("ClickHouse at {} does not answer", self.url))?;
        let status = response.status();
        if !status.is_success() {
            let body = response.body_mut().read_to_string()?;
            bail!("ClickHouse refused the query ({status}): {}\n{sql}", body.trim());
        }
        let mut reader =
            BufReader::with_capacity(1 << 18, response.body_mut().with_config().limit(64 << 30).reader());
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            if !line.trim_end().is_empty() {
                take(line.trim_end())?;
            }
            line.clear();
        }
        Ok(())
    }

    fn table(&self, name: &str) -> String {
        format!("`{}`.`{name}`", self.database)
    }

    /// The promoted incarnation of each metric.
    pub fn promoted(&self) -> Result<BTreeMap<String, i64>> {
        let sql = format!("SELECT metric, incarnation FROM {} FINAL", self.table("promoted"));
        self.query(&sql)?.iter().map(|row| Ok((text(row, "metric")?, int(row, "incarnation")?))).collect()
    }

    /// By table: its rows and how many keys they have, which is equal if no key has two. Partitions are not merged
    /// with each other: rows of one key in two of them would never become one.
    pub fn rows_and_keys(&self) -> Result<Vec<(&'static str, i64, i64)>> {
        let count = |(table, key): (&'static str, &str)| {
            let sql = format!(
                "SELECT n, keys FROM (SELECT count() AS n, uniqExact(({key})) AS keys FROM {} FINAL \
                 SETTINGS do_not_merge_across_partitions_select_final = 1)",
                self.table(table)
            );
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

/// A line of [`COLUMNS`].
#[derive(Deserialize)]
struct Line(
    String,
    String,
    Vec<String>,
    i64,
    i64,
    u8,
    u8,
    i64,
    BTreeMap<String, Option<i64>>,
    BTreeMap<String, Value>,
    BTreeMap<String, Option<Box<str>>>,
    BTreeMap<String, Box<[i64]>>,
    Vec<String>,
);

fn value_row(line: &str) -> Result<(Key, Row)> {
    let Line(
        window,
        set,
        dims,
        start,
        end,
        is_final,
        complete,
        samples,
        ints,
        floats,
        texts,
        int_lists,
        others,
    ) = serde_json::from_str(line)?;
    let dims = dims.iter().map(|dim| word(dim)).collect();
    let key = Key { window: word(&window), set: word(&set), dims, start };
    let float = |value: &Value| match value {
        Value::Null => Number::Null,
        // NaN and infinities come quoted; they equal nothing.
        other => Number::Float(other.as_f64().unwrap_or(f64::NAN)),
    };
    let mut outputs = Vec::with_capacity(ints.len() + floats.len() + texts.len() + int_lists.len());
    let or_null = |value: Option<Number>| value.unwrap_or(Number::Null);
    outputs.extend(ints.iter().map(|(name, value)| (word(name), or_null(value.map(Number::Int)))));
    outputs.extend(floats.iter().map(|(name, value)| (word(name), float(value))));
    outputs.extend(texts.into_iter().map(|(name, value)| (word(&name), or_null(value.map(Number::Text)))));
    outputs.extend(int_lists.into_iter().map(|(name, list)| (word(&name), Number::Ints(list))));
    // No metric has lists of other types.
    outputs.extend(others.iter().map(|name| (word(name), Number::Float(f64::NAN))));
    let row = Row { end, is_final: is_final != 0, complete: complete != 0, samples, outputs };
    Ok((key, row))
}

fn late_row(row: &Value) -> Result<Late> {
    Ok(Late {
        partition: (text(row, "topic")?, int(row, "partition")? as i32),
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

fn texts(row: &Value, column: &str) -> Result<Vec<Word>> {
    let texts = row[column].as_array().with_context(|| format!("no {column} in {row}"))?;
    texts.iter().map(|t| t.as_str().map(word).with_context(|| format!("{column} of {row}"))).collect()
}
