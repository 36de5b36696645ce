//! Canal JSON, its "flat messages": the rows that one statement changed stand in one record, as lists.
//! Values are texts, and `old` has only the columns that an update changed. There is no position in
//! it by which a repeat would be known.

use crate::json::{Entry, find, members, shown, text_of, wrong};
use crate::outcome::{DeadReason, Outcome, SkipReason};
use crate::plan::Plan;
use crate::rows::{Kind, RowFacts, Tables, append, push_change, push_image};
use serde_json::value::RawValue;
use weir_types::batch::{ChangeBatch, Op};
use weir_types::record::Record;

/// Decodes one record. On an error the batches are as before.
pub(crate) fn decode(
    value: &str,
    tables: &Tables<'_>,
    record: &Record<'_>,
    batches: &mut [ChangeBatch],
) -> Result<Outcome, DeadReason> {
    let Some(top) = members(value, "the value")? else { return Ok(Outcome::Skipped(SkipReason::Tombstone)) };
    let Some(kind) = find(&top, "type") else { return Err(wrong("it has no type")) };
    let kind = text_of(kind).ok_or_else(|| wrong("its type is no text"))?;
    let is_ddl = matches!(find(&top, "isDdl"), Some("true"));
    if is_ddl && kind != "TRUNCATE" {
        return Ok(Outcome::Skipped(SkipReason::Ddl));
    }
    let Some(table) = find(&top, "table") else { return Err(wrong("it has no table")) };
    let table = text_of(table).ok_or_else(|| wrong("its table is no text"))?;
    let Some((source, plan)) = tables.find(&table, &top) else {
        return Ok(Outcome::Skipped(SkipReason::UnknownTable));
    };
    let batch = &mut batches[source];
    if is_ddl {
        // Of all definitions it is the one that changes rows.
        truncate(plan, record, batch);
        return Ok(Outcome::Applied { source, rows: 1 });
    }
    let kind = match &*kind {
        "INSERT" => Kind::Insert,
        "UPDATE" => Kind::Update,
        "DELETE" => Kind::Delete,
        other => return Err(wrong(format!("its type is {}", shown(other.as_bytes())))),
    };
    let data = images(&top, "data")?;
    let old = if kind == Kind::Update { images(&top, "old")? } else { Vec::new() };
    if data.is_empty() {
        return Err(wrong("its data has no row"));
    }
    if kind == Kind::Update && data.len() != old.len() {
        return Err(wrong(format!(
            "its data has {} rows and its old has {}, so nobody can tell which belong together",
            data.len(),
            old.len()
        )));
    }
    let first = batch.len();
    let mut rows = 0;
    for (at, image) in data.iter().enumerate() {
        let change = (kind, &image[..], old.get(at).map_or(&[][..], |o| &o[..]));
        match push_change(plan, change, (None, rows), record, batch) {
            Ok(more) => rows += more,
            Err(reason) => {
                batch.truncate(first);
                return Err(reason);
            }
        }
    }
    Ok(Outcome::Applied { source, rows })
}

/// The list of images of that name; empty if it is null or missing.
fn images<'a>(top: &[Entry<'a>], name: &str) -> Result<Vec<Vec<Entry<'a>>>, DeadReason> {
    let raw = match find(top, name) {
        None | Some("null") => return Ok(Vec::new()),
        Some(raw) => raw,
    };
    let images: Vec<&RawValue> =
        serde_json::from_str(raw).map_err(|_| wrong(format!("its {name} is no list")))?;
    let image = |raw: &&'a RawValue| {
        let what = format!("a row of its {name}");
        members(raw.get(), &what)?.ok_or_else(|| wrong(format!("{what} is null")))
    };
    images.iter().map(image).collect()
}

fn truncate(plan: &Plan, record: &Record<'_>, batch: &mut ChangeBatch) {
    push_image(plan, None, batch, false);
    push_image(plan, None, batch, true);
    let facts = RowFacts { op: Op::Truncate, before: false, after: false, origin: None, row_in_record: 0 };
    append(plan, facts, record, batch);
}
