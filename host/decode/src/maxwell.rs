//! Maxwell JSON: one row in a record; `old` has only the columns that an update changed. A bootstrap's
//! rows are snapshot reads and have no position.
//!
//! `position` is that of the statement's row event, so all its rows share it: `xoffset`, the number of the
//! row in its transaction, or `commit`, which marks the last, tells them apart. A row that has neither
//! (`output_xoffset` is off) cannot be known again.

use crate::json::{Entry, find, members, number_at_end, shown, text_of, wrong};
use crate::outcome::{DeadReason, Outcome, SkipReason};
use crate::rows::{Kind, Tables, push_change};
use weir_types::SECOND;
use weir_types::batch::{ChangeBatch, Origin, Position};
use weir_types::record::Record;

/// Place of a transaction's last row, after any `xoffset`.
const LAST_ROW: u32 = u32::MAX;

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
    let kind = match &*kind {
        "insert" => Kind::Insert,
        "update" => Kind::Update,
        "delete" => Kind::Delete,
        "bootstrap-insert" => Kind::Read,
        "bootstrap-start" | "bootstrap-complete" => return Ok(Outcome::Skipped(SkipReason::Mark)),
        other if other.starts_with("table-") || other.starts_with("database-") => {
            return Ok(Outcome::Skipped(SkipReason::Ddl));
        }
        other => return Err(wrong(format!("its type is {}", shown(other.as_bytes())))),
    };
    let Some(table) = find(&top, "table") else { return Err(wrong("it has no table")) };
    let table = text_of(table).ok_or_else(|| wrong("its table is no text"))?;
    let Some((source, plan)) = tables.find(&table, &top) else {
        return Ok(Outcome::Skipped(SkipReason::UnknownTable));
    };
    let data = image(&top, "data")?;
    let old = if kind == Kind::Update { image(&top, "old")? } else { Vec::new() };
    let place = (origin(&top)?, 0);
    let rows = push_change(plan, (kind, &data, &old), place, record, &mut batches[source])?;
    Ok(Outcome::Applied { source, rows })
}

fn image<'a>(top: &[Entry<'a>], name: &str) -> Result<Vec<Entry<'a>>, DeadReason> {
    match find(top, name) {
        None | Some("null") => Err(wrong(format!("it has no {name}"))),
        Some(raw) => Ok(members(raw, &format!("its {name}"))?.unwrap_or_default()),
    }
}

fn origin(top: &[Entry]) -> Result<Option<Origin>, DeadReason> {
    let count = |name: &str| match find(top, name) {
        None | Some("null") => Ok(None),
        Some(raw) => raw.parse::<u64>().map(Some).map_err(|_| wrong(format!("its {name} is no count"))),
    };
    let (server, seconds, xoffset) = (count("server_id")?, count("ts")?, count("xoffset")?);
    let row = match (xoffset, find(top, "commit")) {
        (_, Some("true")) => LAST_ROW,
        (Some(n), _) => u32::try_from(n).map_err(|_| wrong("its xoffset is too large"))?,
        (None, _) => return Ok(None),
    };
    let Some((file, pos)) = find(top, "position").and_then(file_and_position) else { return Ok(None) };
    let source_time = i64::try_from(seconds.unwrap_or(0)).ok().and_then(|s| s.checked_mul(SECOND));
    let source_time = source_time.ok_or_else(|| wrong("its ts is too large"))?;
    let position = Position { file, pos, row, rank: 1 };
    Ok(Some(Origin { server: server.unwrap_or(0), position, source_time }))
}

/// `"binlog.000003:35125"`. Where the server keeps GTIDs, something else stands there.
fn file_and_position(raw: &str) -> Option<(u64, u64)> {
    let text = text_of(raw)?;
    let (file, pos) = text.rsplit_once(':')?;
    Some((number_at_end(file)?, pos.parse().ok()?))
}
