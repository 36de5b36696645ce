//! Dead letters out of `dead_letters`.

use crate::tables::DEAD_LETTERS;
use clickhouse::Row;
use clickhouse::query::Query;
use serde::Deserialize;
use weir_types::control::DeadQuery;
use weir_types::record::{Rekey, TopicPartition};
use weir_types::rows::{DeadLetterRow, DeadOutcome};

/// As the statement selects it.
#[derive(Debug, Row, Deserialize)]
pub struct Letter {
    topic: String,
    partition: i32,
    offset: i64,
    metric: String,
    code: String,
    reason: String,
    #[serde(with = "serde_bytes")]
    key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    value: Vec<u8>,
    whole: u8,
    rekey: u8,
    outcome: String,
    clock: i64,
    epoch: u64,
}

/// To be bound by [`bind`]. What narrows by key stands before FINAL's merge can change it.
pub fn statement(database: &str, query: &DeadQuery) -> String {
    let mut conditions = Vec::new();
    let mut add = |wanted: bool, condition: &str| {
        if wanted {
            conditions.push(condition.to_string());
        }
    };
    add(!query.topics.is_empty(), "topic IN ?");
    add(query.partition.is_some(), "partition = ?");
    add(query.offset.is_some(), "offset = ?");
    add(query.metric.is_some(), "metric = ?");
    add(query.code.is_some(), "code = ?");
    add(query.outcome.is_some(), "outcome = ?");
    add(query.from.is_some(), "clock >= fromUnixTimestamp64Micro(?, 'UTC')");
    add(query.to.is_some(), "clock < fromUnixTimestamp64Micro(?, 'UTC')");
    add(query.after.is_some(), "(topic, partition, offset, metric) > (?, ?, ?, ?)");
    let narrowed = match conditions.is_empty() {
        true => String::new(),
        false => format!("WHERE {} ", conditions.join(" AND ")),
    };
    let bytes = if query.bytes { "key, value" } else { "'' AS key, '' AS value" };
    format!(
        "SELECT topic, partition, offset, metric, code, reason, {bytes}, whole, rekey, outcome, clock, epoch \
         FROM {} FINAL {narrowed}ORDER BY topic, partition, offset, metric LIMIT ?",
        DEAD_LETTERS.qualified(database),
    )
}

/// Binds what [`statement`] left open, in its order.
pub fn bind(mut statement: Query, query: &DeadQuery) -> Query {
    if !query.topics.is_empty() {
        statement = statement.bind(&query.topics);
    }
    if let Some(partition) = query.partition {
        statement = statement.bind(partition);
    }
    if let Some(offset) = query.offset {
        statement = statement.bind(offset);
    }
    if let Some(metric) = &query.metric {
        statement = statement.bind(metric);
    }
    if let Some(code) = &query.code {
        statement = statement.bind(code);
    }
    if let Some(outcome) = query.outcome {
        statement = statement.bind(outcome.name());
    }
    for time in [query.from, query.to].into_iter().flatten() {
        statement = statement.bind(time);
    }
    if let Some((at, offset, metric)) = &query.after {
        statement = statement.bind(&at.topic).bind(at.partition).bind(offset).bind(metric);
    }
    statement.bind(query.limit)
}

impl From<Letter> for DeadLetterRow {
    fn from(letter: Letter) -> DeadLetterRow {
        DeadLetterRow {
            partition: TopicPartition { topic: letter.topic, partition: letter.partition },
            offset: letter.offset,
            metric: letter.metric,
            code: letter.code,
            reason: letter.reason,
            key: letter.key,
            value: letter.value,
            whole: letter.whole != 0,
            rekey: match letter.rekey {
                1 => Rekey::Delete,
                2 => Rekey::Insert,
                _ => Rekey::None,
            },
            outcome: DeadOutcome::find(&letter.outcome).unwrap_or(DeadOutcome::Dead),
            clock: letter.clock,
            epoch: letter.epoch,
        }
    }
}
