//! Metrics of current values by SQL over the service's own tables: the numbers without Weir and without
//! Kafka. One statement for each metric; each dimension set groups by other columns.

use crate::compare::is_nothing;
use crate::fields::{Word, word};
use crate::metrics::{Metric, Output};
use crate::number::{Number, Rule};
use crate::recompute::{Expected, Wanted};
use crate::results::Key;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder, Row, Value};

pub struct MariaDb {
    /// HOST:PORT.
    pub address: String,
    pub user: String,
    pub password: String,
    pub database: String,
}

/// What an output is.
#[derive(Clone, Copy)]
enum Type {
    Int,
    Float,
    Text,
}

/// A metric as SQL: outputs over the rows of a table for which a condition holds.
struct Statement {
    outputs: Vec<(Word, Type, String)>,
    from: &'static str,
}

const BACKLOG: &str = "ticket WHERE status IN ('new', 'open', 'pending')";
const QUEUED_CALLS: &str = "call_record WHERE status = 'queued'";
const QUEUED_SESSIONS: &str = "im_session WHERE status = 'queued'";
const PRESENT: &str = "agent_state WHERE state <> 'offline'";

impl MariaDb {
    pub fn connect(&self) -> Result<Conn> {
        let (host, port) = self.address.rsplit_once(':').context("--mariadb is HOST:PORT")?;
        let options = OptsBuilder::new()
            .ip_or_hostname(Some(host))
            .tcp_port(port.parse().with_context(|| format!("--mariadb: {port} is no port"))?)
            .user(Some(&self.user))
            .pass(Some(&self.password))
            .db_name(Some(&self.database))
            .prefer_socket(false);
        Conn::new(options).with_context(|| format!("cannot connect to MariaDB at {}", self.address))
    }
}

/// A metric's numbers by every subset of its dimensions, as of `clock`; keys have start 0, as of
/// `metric_latest`. None for a metric that is not one of current values.
pub fn by_sql(
    connection: &mut Conn,
    metric: &Metric,
    clock: i64,
    settings: &Settings,
) -> Result<Option<Expected>> {
    let Some(statement) = statement(metric, clock, settings) else { return Ok(None) };
    let mut expected = Expected::new();
    for subset in metric.subsets() {
        let dims: Vec<Word> = subset.iter().map(|d| metric.dims[*d]).collect();
        let set = word(&metric.set_name(&subset));
        let rows: Vec<Row> = connection.query(statement.sql(&dims))?;
        for row in rows {
            let (key, wanted) = statement.read(set, dims.len(), row.unwrap())?;
            // SQL has a row of zeros for a key of which no row gives a sample.
            if !is_nothing(wanted.outputs.iter().map(|output| &output.value)) {
                expected.insert(key, wanted);
            }
        }
    }
    Ok(Some(expected))
}

impl Statement {
    fn sql(&self, dims: &[Word]) -> String {
        let outputs = self.outputs.iter().map(|(_, _, expression)| expression.as_str());
        let columns: Vec<&str> = dims.iter().copied().chain(outputs).collect();
        let group = if dims.is_empty() { String::new() } else { format!(" GROUP BY {}", dims.join(", ")) };
        format!("SELECT {} FROM {}{group} HAVING COUNT(*) > 0", columns.join(", "), self.from)
    }

    fn read(&self, set: Word, dims: usize, values: Vec<Value>) -> Result<(Key, Wanted)> {
        let texts: Vec<Option<String>> = values.into_iter().map(text).collect::<Result<_>>()?;
        let canonical = |text: &Option<String>| match text {
            Some(text) => word(&text.replace('\\', "\\\\")),
            None => "\\N",
        };
        let key = Key { window: "now", set, dims: texts[..dims].iter().map(canonical).collect(), start: 0 };
        let mut outputs = Vec::new();
        for ((name, ty, _), text) in self.outputs.iter().zip(&texts[dims..]) {
            let rule = if matches!(ty, Type::Float) { Rule::Near } else { Rule::Exact };
            outputs.push(Output { name, rule, value: number(*ty, text.as_deref())? });
        }
        // How many rows there are is no output of most.
        Ok((key, Wanted { end: 0, samples: None, outputs }))
    }
}

fn text(value: Value) -> Result<Option<String>> {
    match value {
        Value::NULL => Ok(None),
        Value::Bytes(bytes) => Ok(Some(String::from_utf8(bytes)?)),
        Value::Int(number) => Ok(Some(number.to_string())),
        Value::UInt(number) => Ok(Some(number.to_string())),
        Value::Double(number) => Ok(Some(format!("{number:?}"))),
        other => bail!("SQL gave {other:?}"),
    }
}

fn number(ty: Type, text: Option<&str>) -> Result<Number> {
    let Some(text) = text else { return Ok(Number::Null) };
    Ok(match ty {
        Type::Int => Number::Int(text.parse().with_context(|| format!("{text} is no whole number"))?),
        Type::Float => Number::Float(text.parse().with_context(|| format!("{text} is no number"))?),
        Type::Text => Number::Text(text.into()),
    })
}

/// A time as microseconds since the Unix epoch.
fn micros(column: &str) -> String {
    format!("TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', {column})")
}

/// How many rows there are for which a condition holds.
fn count_if(condition: &str) -> String {
    format!("CAST(COALESCE(SUM({condition}), 0) AS SIGNED)")
}

/// The threshold of a row's queue, in microseconds.
fn threshold(key: &str, settings: &Settings) -> String {
    let prefix = format!("{key}.");
    let queues = settings.thresholds.iter().filter_map(|(name, s)| Some((name.strip_prefix(&prefix)?, s)));
    let cases: String = queues.map(|(queue, s)| format!(" WHEN {queue} THEN {s}000000")).collect();
    let general = settings.threshold(key, crate::fields::Cell::Null);
    if cases.is_empty() { general.to_string() } else { format!("CASE queue_id{cases} ELSE {general} END") }
}

fn statement(metric: &Metric, clock: i64, settings: &Settings) -> Option<Statement> {
    use Type::{Float, Int, Text};
    let one = |name, ty, expression: &str| vec![(name, ty, expression.to_string())];
    let rows = || one("count", Int, "COUNT(*)");
    let least = |column: &str| one("oldest_at", Int, &format!("MIN({})", micros(column)));
    let due = micros("resolve_due_at");
    let (outputs, from) = match metric.name {
        "ticket.backlog" | "ticket.assigned_load" => (rows(), BACKLOG),
        "ticket.unassigned" => {
            (rows(), "ticket WHERE status IN ('new', 'open', 'pending') AND assignee_id IS NULL")
        }
        "ticket.pending" => (rows(), "ticket WHERE status = 'pending'"),
        "ticket.oldest_open" => (least("created_at"), BACKLOG),
        "ticket.age_buckets" => (ages(clock), BACKLOG),
        "ticket.sla_at_risk" => {
            let ahead = threshold("at_risk_s", settings);
            let risk = count_if(&format!("{due} >= {clock} AND {due} < {clock} + {ahead}"));
            (one("count", Int, &risk), BACKLOG)
        }
        "ticket.sla_overdue" => (one("count", Int, &count_if(&format!("{due} < {clock}"))), BACKLOG),
        "call.in_queue" => (rows(), QUEUED_CALLS),
        "call.active" => (rows(), "call_record WHERE status IN ('ringing', 'talking', 'held')"),
        "call.longest_wait" => (least("queued_at"), QUEUED_CALLS),
        "im.waiting" => (rows(), QUEUED_SESSIONS),
        "im.active" => (rows(), "im_session WHERE status = 'active'"),
        "im.longest_wait" => (least("queued_at"), QUEUED_SESSIONS),
        "agent.by_state" => {
            let states = ["offline", "available", "on_contact", "wrapup", "break", "error"];
            let in_state = |state: Word| (state, Int, count_if(&format!("state = '{state}'")));
            (states.map(in_state).to_vec(), "agent_state")
        }
        "agent.slots" => (slots(), PRESENT),
        "agent.utilisation" => {
            let ratio = "IF(SUM(slots) > 0, SUM(slots_used) * 1.0e0 / SUM(slots), NULL)";
            let mut outputs = one("ratio", Float, ratio);
            outputs.extend(slots().into_iter().rev());
            (outputs, PRESENT)
        }
        "agent.current" => {
            let only = |column: &str| format!("IF(COUNT(*) = 1, MAX({column}), NULL)");
            let ints = ["queue_id", "slots", "slots_used"].map(|column| (column, Int, only(column)));
            let mut outputs = one("state", Text, &only("state"));
            outputs.push(("since", Int, only(&micros("since"))));
            outputs.extend(ints);
            (outputs, "agent_state")
        }
        _ => return None,
    };
    Some(Statement { outputs, from })
}

fn slots() -> Vec<(Word, Type, String)> {
    [("slots", "slots"), ("used", "slots_used")]
        .map(|(name, column)| (name, Type::Int, format!("CAST(SUM({column}) AS SIGNED)")))
        .to_vec()
}

/// Ages in hours; negative ones in the first bucket.
fn ages(clock: i64) -> Vec<(Word, Type, String)> {
    let hours = |h: i64| h * crate::time::HOUR;
    let age = format!("{clock} - {}", micros("created_at"));
    let between =
        |from: i64, to: i64| count_if(&format!("{age} >= {} AND {age} < {}", hours(from), hours(to)));
    vec![
        ("under_1h", Type::Int, count_if(&format!("{age} < {}", hours(1)))),
        ("from_1h_to_8h", Type::Int, between(1, 8)),
        ("from_8h_to_24h", Type::Int, between(8, 24)),
        ("from_1d_to_3d", Type::Int, between(24, 72)),
        ("over_3d", Type::Int, count_if(&format!("{age} >= {}", hours(72)))),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::metrics;

    fn settings(thresholds: &[&str]) -> Settings {
        let thresholds: Vec<String> = thresholds.iter().map(|text| text.to_string()).collect();
        Settings::new("Mon-Fri 09:00-18:00 UTC", &thresholds).unwrap()
    }

    #[test]
    fn every_metric_of_current_values_has_a_statement_with_its_outputs_and_no_other_metric_has() {
        for metric in metrics::all() {
            let statement = statement(metric, 0, &settings(&[]));
            assert_eq!(statement.is_some(), metric.is_now(), "{}", metric.name);
            let Some(statement) = statement else { continue };
            let names: Vec<Word> = statement.outputs.iter().map(|(name, _, _)| *name).collect();
            let outputs: Vec<Word> = metric.of_nothing().iter().map(|output| output.name).collect();
            assert_eq!(names, outputs, "{}", metric.name);
        }
    }

    #[test]
    fn each_dimension_set_groups_by_its_columns() {
        let statement = statement(metrics::by_name("ticket.backlog").unwrap(), 0, &settings(&[])).unwrap();
        let from = "FROM ticket WHERE status IN ('new', 'open', 'pending')";
        assert_eq!(statement.sql(&[]), format!("SELECT COUNT(*) {from} HAVING COUNT(*) > 0"));
        assert_eq!(
            statement.sql(&["queue_id", "priority"]),
            format!(
                "SELECT queue_id, priority, COUNT(*) {from} GROUP BY queue_id, priority HAVING COUNT(*) > 0"
            )
        );
    }

    #[test]
    fn a_queue_s_own_threshold_stands_in_the_statement() {
        let set = settings(&["at_risk_s.7=60"]);
        assert_eq!(threshold("at_risk_s", &set), "CASE queue_id WHEN 7 THEN 60000000 ELSE 1800000000 END");
        assert_eq!(threshold("at_risk_s", &settings(&[])), "1800000000");
    }

    #[test]
    fn a_row_of_the_answer_becomes_a_key_and_its_numbers() {
        let metric = metrics::by_name("agent.current").unwrap();
        let statement = statement(metric, 0, &settings(&[])).unwrap();
        let bytes = |text: &str| Value::Bytes(text.into());
        let values = vec![bytes("7"), bytes("break"), bytes("5000"), bytes("10"), bytes("3"), Value::NULL];
        let (key, wanted) = statement.read("agent_id", 1, values).unwrap();
        assert_eq!((key.window, key.dims, key.start), ("now", vec!["7"], 0));
        let numbers: Vec<Number> = wanted.outputs.into_iter().map(|output| output.value).collect();
        let int = Number::Int;
        assert_eq!(numbers, [Number::Text("break".into()), int(5_000), int(10), int(3), Number::Null]);
    }
}
