//! Plain rows, as a compacted topic has them: a value is the row that its key has from now on. A
//! tombstone ends the row of its key, and so does a row whose delete marker is true.
//!
//! A row says what is, and not what was: there is no before image in it, and no telling whether it is
//! new. So a row is an update without a before image, and an end is a delete without one; its primary
//! key stands in the before columns all the same.

use crate::json::{Entry, find, members, wrong};
use crate::outcome::{DeadReason, Outcome};
use crate::plan::Plan;
use crate::rows::{RowFacts, append, check_fits, check_key, push_image};
use std::borrow::Cow;
use weir_types::batch::{ChangeBatch, Op};
use weir_types::contract::ValueType;
use weir_types::record::Record;

/// Decodes one record; None is a tombstone. On an error the batch is as before.
pub(crate) fn decode(
    value: Option<&str>,
    (source, plan): (usize, &Plan),
    record: &Record<'_>,
    batch: &mut ChangeBatch,
) -> Result<Outcome, DeadReason> {
    let row = match value {
        Some(value) => row_of(value)?,
        None => None,
    };
    let key = KeyTokens::new(record.key, plan);
    let Some(mut row) = row else {
        end(plan, &key.all()?, record, batch)?;
        return Ok(Outcome::Applied { source, rows: 1 });
    };
    key.complete(&mut row, plan);
    check_key(plan, &row)?;
    if plan.delete_marker.as_ref().is_some_and(|marker| find(&row, marker).is_some_and(is_true)) {
        end(plan, &row, record, batch)?;
        return Ok(Outcome::Applied { source, rows: 1 });
    }
    let at = batch.len();
    push_image(plan, None, batch, false);
    push_image(plan, Some(&row), batch, true);
    if let Err(reason) = check_fits(plan, &batch.after, at) {
        batch.truncate(at);
        return Err(reason);
    }
    let facts = RowFacts { op: Op::Update, before: false, after: true, origin: None, row_in_record: 0 };
    append(plan, facts, record, batch);
    Ok(Outcome::Applied { source, rows: 1 })
}

/// The members of the row, within the schema envelope or without; None for null.
fn row_of(value: &str) -> Result<Option<Vec<Entry<'_>>>, DeadReason> {
    let Some(top) = members(value, "the value")? else { return Ok(None) };
    match payload(&top) {
        Some(payload) => members(payload, "its payload"),
        None => Ok(Some(top)),
    }
}

/// The payload, if this is the schema envelope of Kafka Connect's JSON converter.
fn payload<'a>(top: &[Entry<'a>]) -> Option<&'a str> {
    if top.len() == 2 { find(top, "schema").and(find(top, "payload")) } else { None }
}

fn is_true(token: &str) -> bool {
    matches!(token, "true" | "1" | "\"true\"" | "\"1\"")
}

/// Appends the end of a row: of `row` counts what is always decoded (primary key, event time, version).
fn end(plan: &Plan, row: &[Entry], record: &Record<'_>, batch: &mut ChangeBatch) -> Result<(), DeadReason> {
    let at = batch.len();
    push_image(plan, None, batch, true);
    for &column in &plan.asked {
        let cells = &mut batch.before[column];
        let counts = plan.always.contains(&column);
        match find(row, &plan.names[column]).filter(|_| counts) {
            Some(token) => plan.types[column].push(token.as_bytes(), cells, &mut batch.dictionaries[column]),
            None => cells.push_null(),
        }
    }
    if let Err(reason) = check_fits(plan, &batch.before, at) {
        batch.truncate(at);
        return Err(reason);
    }
    let facts = RowFacts { op: Op::Delete, before: false, after: false, origin: None, row_in_record: 0 };
    append(plan, facts, record, batch);
    Ok(())
}

/// What the record's key says of the primary key.
struct KeyTokens<'a> {
    found: Result<Vec<(String, Cow<'a, str>)>, DeadReason>,
}

impl<'a> KeyTokens<'a> {
    fn new(key: Option<&'a [u8]>, plan: &Plan) -> KeyTokens<'a> {
        KeyTokens { found: read_key(key, plan) }
    }

    /// All columns of the primary key.
    fn all(&'a self) -> Result<Vec<Entry<'a>>, DeadReason> {
        let found = self.found.as_ref().map_err(Clone::clone)?;
        Ok(found.iter().map(|(name, raw)| Entry { key: Cow::Borrowed(name), raw }).collect())
    }

    /// Adds to a row the columns of its primary key that it lacks and the record's key has.
    fn complete<'b>(&'b self, row: &mut Vec<Entry<'b>>, plan: &Plan)
    where
        'a: 'b,
    {
        if plan.key_names.iter().all(|name| find(row, name).is_some()) {
            return;
        }
        for (name, raw) in self.found.iter().flatten() {
            if find(row, name).is_none() {
                row.push(Entry { key: Cow::Borrowed(name), raw });
            }
        }
    }
}

/// The primary key's columns and tokens: members of an object (or of its payload), or the whole key
/// where the primary key is one column.
fn read_key<'a>(key: Option<&'a [u8]>, plan: &Plan) -> Result<Vec<(String, Cow<'a, str>)>, DeadReason> {
    let dead = |what: String| Err(DeadReason::Key(what));
    let names = || plan.key_names.join(", ");
    let Some(key) = key else { return dead(format!("it is null, but the table's key is {}", names())) };
    let text = match std::str::from_utf8(key) {
        Ok(text) => text,
        Err(error) => return dead(format!("it is not UTF-8: {error}")),
    };
    let Ok(Some(top)) = members(text, "the key") else { return whole_key(text, plan) };
    let inner = match payload(&top) {
        Some(payload) => match members(payload, "its payload") {
            Ok(Some(inner)) => inner,
            _ => return whole_key(payload, plan),
        },
        None => top,
    };
    let mut found = Vec::new();
    for name in &plan.key_names {
        match find(&inner, name) {
            None => return dead(format!("it lacks {name}, but the table's key is {}", names())),
            Some("null") => return dead(format!("its {name} is null")),
            Some(raw) => found.push((name.clone(), Cow::Borrowed(raw))),
        }
    }
    Ok(found)
}

/// A key that is no object: the value of the only column of the primary key, as JSON or as it is.
fn whole_key<'a>(text: &'a str, plan: &Plan) -> Result<Vec<(String, Cow<'a, str>)>, DeadReason> {
    let ([name], [column]) = (&plan.key_names[..], &plan.key_columns[..]) else {
        let names = plan.key_names.join(", ");
        return Err(DeadReason::Key(format!("it is no JSON object, but the table's key is {names}")));
    };
    let is_text = plan.types[*column].ty.value_type() == ValueType::Text;
    let token = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::String(_)) => Cow::Borrowed(text.trim_ascii()),
        Ok(serde_json::Value::Number(_) | serde_json::Value::Bool(_)) if !is_text => {
            Cow::Borrowed(text.trim_ascii())
        }
        _ => {
            let quoted =
                serde_json::to_string(text).map_err(|e| wrong(format!("its key cannot be quoted: {e}")))?;
            Cow::Owned(quoted)
        }
    };
    Ok(vec![(name.clone(), token)])
}
