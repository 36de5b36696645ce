//! Series out of `metric_realtime`.

use crate::tables::{PROMOTED, REALTIME};
use clickhouse::Row;
use serde::Deserialize;
use weir_types::contract::{Output, ValueType};
use weir_types::control::SeriesPoint;
use weir_types::rows::OutputValue;

/// As the statement selects it.
#[derive(Debug, Row, Deserialize)]
pub struct Point {
    start: i64,
    end: i64,
    #[serde(rename = "final")]
    is_final: u8,
    complete: u8,
    ints: Vec<(String, Option<i64>)>,
    floats: Vec<(String, Option<f64>)>,
    texts: Vec<(String, Option<String>)>,
    int_lists: Vec<(String, Vec<i64>)>,
    float_lists: Vec<(String, Vec<f64>)>,
    text_lists: Vec<(String, Vec<String>)>,
}

/// To be bound: metric, metric, window, dimension set, dims, from, to, limit. The newest points come
/// first. The whole key but `start` is a prefix of the sorting key, and `start` is bounded.
pub fn statement(database: &str) -> String {
    format!(
        "SELECT `start`, `end`, `final`, complete, ints, floats, texts, int_lists, float_lists, text_lists \
         FROM {} FINAL WHERE metric = ? AND incarnation IN (SELECT incarnation FROM {} FINAL WHERE \
         metric = ? AND retired = 0) AND `window` = ? AND dimension_set = ? AND dims = ? \
         AND `start` >= fromUnixTimestamp64Micro(?, 'UTC') AND `start` < fromUnixTimestamp64Micro(?, 'UTC') \
         ORDER BY `start` DESC LIMIT ?",
        REALTIME.qualified(database),
        PROMOTED.qualified(database),
    )
}

impl Point {
    /// With the metric's description, outputs come in its order and types; without (a metric that
    /// this process never loaded), as they are stored.
    pub fn into_series(self, outputs: Option<&[Output]>) -> SeriesPoint {
        let (start, end) = (self.start, self.end);
        let (is_final, complete) = (self.is_final != 0, self.complete != 0);
        let outputs = match outputs {
            Some(outputs) => outputs.iter().map(|o| (o.name.clone(), self.typed(o))).collect(),
            None => self.untyped(),
        };
        SeriesPoint { start, end, outputs, is_final, complete }
    }

    fn typed(&self, output: &Output) -> OutputValue {
        let name = &output.name;
        let value = match (output.value_type, output.is_list) {
            (ValueType::Int, false) => find(&self.ints, name).map(OutputValue::Int),
            (ValueType::Time, false) => find(&self.ints, name).map(OutputValue::Time),
            (ValueType::Bool, false) => find(&self.ints, name).map(|n| OutputValue::Bool(n != 0)),
            (ValueType::Float, false) => find(&self.floats, name).map(OutputValue::Float),
            (ValueType::Text, false) => find(&self.texts, name).map(OutputValue::Text),
            (ValueType::Float, true) => find_list(&self.float_lists, name).map(OutputValue::Floats),
            (ValueType::Text, true) => find_list(&self.text_lists, name).map(OutputValue::Texts),
            (_, true) => find_list(&self.int_lists, name).map(OutputValue::Ints),
        };
        value.unwrap_or(OutputValue::Null)
    }

    fn untyped(self) -> Vec<(String, OutputValue)> {
        let or_null = OutputValue::Null;
        let ints = self.ints.into_iter().map(|(n, v)| (n, v.map_or(or_null.clone(), OutputValue::Int)));
        let floats = self.floats.into_iter().map(|(n, v)| (n, v.map_or(or_null.clone(), OutputValue::Float)));
        let texts = self.texts.into_iter().map(|(n, v)| (n, v.map_or(or_null.clone(), OutputValue::Text)));
        let int_lists = self.int_lists.into_iter().map(|(n, v)| (n, OutputValue::Ints(v)));
        let float_lists = self.float_lists.into_iter().map(|(n, v)| (n, OutputValue::Floats(v)));
        let text_lists = self.text_lists.into_iter().map(|(n, v)| (n, OutputValue::Texts(v)));
        ints.chain(floats).chain(texts).chain(int_lists).chain(float_lists).chain(text_lists).collect()
    }
}

fn find<V: Clone>(entries: &[(String, Option<V>)], name: &str) -> Option<V> {
    entries.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone())
}

fn find_list<V: Clone>(entries: &[(String, V)], name: &str) -> Option<V> {
    entries.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}
