//! What the API says, as JSON.

use crate::cache::Key;
use crate::display::{Display, iso};
use serde_json::{Map, Value, json};
use weir_types::contract::{MetricInfo, RowMemory, ValueType};
use weir_types::live::{CatalogueEntry, Condition, LiveRow, MetricCost, SourceStatus};
use weir_types::rows::{Counts, OutputValue};
use weir_types::{Micros, key};

/// The greatest integer that a JSON reader with doubles keeps exactly.
const EXACT: u64 = 1 << 53;

/// A number where every reader keeps it exactly, else text.
fn int(n: i64) -> Value {
    if n.unsigned_abs() <= EXACT { n.into() } else { n.to_string().into() }
}

pub(crate) fn time(time: Micros) -> Value {
    iso(time).map_or_else(|| int(time), Value::from)
}

fn value(value: &OutputValue) -> Value {
    match value {
        OutputValue::Null => Value::Null,
        OutputValue::Int(n) => int(*n),
        // A float that JSON cannot say is null.
        OutputValue::Float(x) => (*x).into(),
        OutputValue::Bool(b) => (*b).into(),
        OutputValue::Time(t) => time(*t),
        OutputValue::Text(text) => text.clone().into(),
        OutputValue::Ints(ns) => ns.iter().map(|n| int(*n)).collect(),
        OutputValue::Floats(xs) => xs.iter().map(|x| Value::from(*x)).collect(),
        OutputValue::Texts(texts) => texts.iter().map(|t| Value::from(t.as_str())).collect(),
    }
}

/// Canonical texts as they were: null for null.
pub(crate) fn dims(dims: &[String]) -> Value {
    dims.iter().map(|d| key::unescape(d).map_or(Value::Null, Value::from)).collect()
}

/// Names of a set's dimensions; the grand total has none.
pub(crate) fn row(row: &LiveRow, info: &MetricInfo, display: &Display) -> Value {
    let named = info.outputs.iter().zip(&*row.values).map(|(output, v)| (output.name.as_str(), v));
    let (outputs, shown) = outputs(named, info, display);
    json!({
        "metric": &*row.series.metric,
        "window": &*row.series.window,
        "set": &*row.series.dimension_set,
        "dims": dims(&row.dims),
        "start": time(row.start),
        "end": time(row.end),
        "label": display.window(&row.series.window, row.start, row.end),
        "at": display.minute(row.start),
        "outputs": outputs,
        "display": shown,
        "final": row.is_final,
        "complete": row.complete,
        "samples": row.samples,
    })
}

/// Outputs by name, as values and as people read them.
pub(crate) fn outputs<'a>(
    named: impl Iterator<Item = (&'a str, &'a OutputValue)>,
    info: &MetricInfo,
    display: &Display,
) -> (Value, Value) {
    let mut values = Map::new();
    let mut shown = Map::new();
    for (name, v) in named {
        let unit = info.outputs.iter().find(|o| o.name == name).map_or("", |o| o.unit.as_str());
        values.insert(name.into(), value(v));
        shown.insert(name.into(), display.value(v, unit).into());
    }
    (values.into(), shown.into())
}

pub(crate) fn gone(key: &Key) -> Value {
    json!({ "metric": &*key.metric, "window": &*key.window, "set": &*key.set, "dims": dims(&key.dims) })
}

/// One metric of the catalogue. Costs move all the time, so they are left out of what is compared.
pub(crate) fn entry(entry: &CatalogueEntry, cost: Option<&MetricCost>) -> Value {
    let info = &entry.info;
    let mut object = json!({
        "name": info.name,
        "board": info.board(),
        "title": info.title,
        "unit": info.unit,
        "description": info.description,
        "owner": info.owner,
        "version": info.version,
        "deprecated": info.deprecated,
        "replaced_by": info.replaced_by,
        "dimensions": info.dimensions,
        "dimension_sets": info.dimension_sets,
        "windows": info.windows.iter().map(|w| w.name()).collect::<Vec<_>>(),
        "outputs": info.outputs.iter().map(output).collect::<Vec<_>>(),
        "sources": info.inputs.iter().map(|i| i.source.as_str()).collect::<Vec<_>>(),
        "bases": info.bases.iter().map(|b| json!({"metric": b.metric, "outputs": b.outputs})).collect::<Vec<_>>(),
        "time_varying": info.time_varying,
        "keeps_all_rows": info.is_now() && info.rows == RowMemory::All,
        "state_version": info.state_version,
        "meaning_version": info.meaning_version,
        "digest": entry.digest,
        "incarnation": int(entry.incarnation),
        "status": entry.status,
        "reason": entry.reason,
        "since": time(entry.since),
    });
    if let (Some(cost), Some(object)) = (cost, object.as_object_mut()) {
        object.insert("cost".into(), self::cost(cost));
    }
    object
}

fn output(output: &weir_types::contract::Output) -> Value {
    let value_type = match output.value_type {
        ValueType::Int => "int",
        ValueType::Float => "float",
        ValueType::Text => "text",
        ValueType::Bool => "bool",
        ValueType::Time => "time",
    };
    json!({
        "name": output.name,
        "label": output.name.replace('_', " "),
        "type": value_type,
        "list": output.is_list,
        "nullable": output.nullable,
        "unit": output.unit,
        "description": output.description,
    })
}

fn cost(cost: &MetricCost) -> Value {
    json!({
        "busy_seconds": cost.busy_ns as f64 / 1e9,
        "rows": cost.rows_in,
        "samples": cost.samples,
        "excluded": cost.excluded,
        "rejected": cost.rejected,
        "skipped": cost.skipped,
        "late": cost.late,
        "live_slots": cost.live_slots,
        "memory_bytes": cost.memory_bytes,
        "failures": cost.failures,
        "warnings": cost.warned,
    })
}

pub(crate) fn condition(condition: &Condition) -> Value {
    json!({ "part": condition.part, "blocking": condition.blocking, "reason": condition.reason })
}

pub(crate) fn source(source: &SourceStatus) -> Value {
    let partitions = source.partitions.iter().map(|p| {
        json!({
            "topic": p.partition.topic,
            "partition": p.partition.partition,
            "next_offset": p.next_offset,
            "caught_up": p.caught_up,
            "idle": p.idle,
            "greatest_event_time": p.greatest_event_time.map(time),
            "counts": counts(&p.counts),
            "redriven": p.redriven,
        })
    });
    json!({
        "name": source.name,
        "watermark": source.watermark.map(time),
        "trouble": source.trouble,
        "partitions": partitions.collect::<Vec<_>>(),
    })
}

fn counts(counts: &Counts) -> Value {
    json!({ "read": counts.read, "applied": counts.applied, "skipped": counts.skipped, "dead": counts.dead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_beyond_two_to_the_53_are_texts() {
        assert_eq!(int(1 << 53), json!(9_007_199_254_740_992i64));
        assert_eq!(int((1 << 53) + 1), json!("9007199254740993"));
        assert_eq!(int(i64::MIN), json!("-9223372036854775808"));
    }

    #[test]
    fn null_and_the_text_that_looks_like_it_differ() {
        assert_eq!(dims(&["\\N".into(), "\\\\N".into()]), json!([null, "\\N"]));
    }

    #[test]
    fn times_are_iso_and_floats_finite() {
        assert_eq!(value(&OutputValue::Time(1_500_000)), json!("1970-01-01T00:00:01.5Z"));
        assert_eq!(value(&OutputValue::Float(f64::INFINITY)), Value::Null);
    }
}
