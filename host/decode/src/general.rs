//! The general parser of Debezium's records: any JSON, in any order and with any white space, taken apart by serde_json.
//! It decides what a record is, says what is wrong with it, and shows the fast path
//! ([`crate::template`]) what to expect next.

use crate::json::{Entry, find, members, number_at_end, shown, text_of, utf8, wrong};
use crate::outcome::{DeadReason, SkipReason};
use std::borrow::Cow;
use weir_types::batch::{Op, Origin, Position};

/// What a record is, before its rows are looked at.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    Skipped(SkipReason),
    Change(Box<Change<'a>>),
}

/// A change record, taken apart.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// Members of the schema envelope, if there is one.
    pub envelope: Option<Vec<Entry<'a>>>,
    pub payload: Vec<Entry<'a>>,
    pub source: Vec<Entry<'a>>,
    /// `source.table`; empty if null or missing.
    pub table: Cow<'a, str>,
}

/// Takes a record's value apart.
pub(crate) fn parse(value: &[u8]) -> Result<Parsed<'_>, DeadReason> {
    let text = utf8(value)?;
    let top = members(text, "the value")?;
    let Some(top) = top else { return Ok(Parsed::Skipped(SkipReason::Tombstone)) };
    let has = |entries: &[Entry], name: &str| entries.iter().any(|e| e.key == name);
    let (envelope, payload) = match find(&top, "payload") {
        Some(raw) if has(&top, "schema") && !has(&top, "op") => match members(raw, "its payload")? {
            Some(payload) => (Some(top), payload),
            None => return Ok(Parsed::Skipped(SkipReason::Tombstone)),
        },
        _ => (None, top),
    };
    if !has(&payload, "op") {
        return control(&payload).map(Parsed::Skipped);
    }
    let source = match find(&payload, "source") {
        Some(raw) => members(raw, "its source")?,
        None => None,
    };
    let Some(source) = source else { return Err(wrong("it has no source block")) };
    let table = match find(&source, "table") {
        None | Some("null") => Cow::Borrowed(""),
        Some(raw) => text_of(raw).ok_or_else(|| wrong("its source.table is no text"))?,
    };
    Ok(Parsed::Change(Box::new(Change { envelope, payload, source, table })))
}

/// Which kind of control record a payload without `op` is.
fn control(payload: &[Entry]) -> Result<SkipReason, DeadReason> {
    if find(payload, "ddl").is_some() {
        return Ok(SkipReason::Ddl);
    }
    if let Some("\"BEGIN\"" | "\"END\"") = find(payload, "status")
        && find(payload, "id").is_some()
    {
        return Ok(SkipReason::Mark);
    }
    if let [only] = payload
        && only.key == "ts_ms"
    {
        return Ok(SkipReason::Heartbeat);
    }
    Err(wrong("it has no op"))
}

/// What a change says besides its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The letter of `op`.
    pub op: u8,
    pub before: bool,
    pub after: bool,
    /// Whether it says that it is the last read of its table in a snapshot.
    pub last_read: bool,
    /// Server and coordinates, with rank 1 and whatever the op is.
    pub origin: Option<Origin>,
}

/// The images of a change, taken apart; None where null or missing.
#[derive(Debug, Default)]
pub(crate) struct Images<'a> {
    pub before: Option<Vec<Entry<'a>>>,
    pub after: Option<Vec<Entry<'a>>>,
}

/// Reads everything of a change but the cells.
pub(crate) fn facts<'a>(change: &Change<'a>) -> Result<(Facts, Images<'a>), DeadReason> {
    let op = match find(&change.payload, "op").map(str::as_bytes) {
        Some([b'"', letter, b'"']) => *letter,
        Some(other) => return Err(wrong(format!("its op is {}", shown(other)))),
        None => return Err(wrong("it has no op")),
    };
    let image = |name: &str| match find(&change.payload, name) {
        None | Some("null") => Ok(None),
        Some(raw) => members(raw, &format!("its {name} image")),
    };
    let images = Images { before: image("before")?, after: image("after")? };
    let origin = origin(&change.source)?;
    let last_read =
        matches!(find(&change.source, "snapshot"), Some(r#""last""# | r#""last_in_data_collection""#));
    let (before, after) = (images.before.is_some(), images.after.is_some());
    Ok((Facts { op, before, after, last_read, origin }, images))
}

fn origin(source: &[Entry]) -> Result<Option<Origin>, DeadReason> {
    let number = |name: &str| match find(source, name) {
        None | Some("null") => Ok(None),
        Some(raw) => {
            raw.parse::<u64>().map(Some).map_err(|_| wrong(format!("its source.{name} is no count")))
        }
    };
    let (server, ts_ms) = (number("server_id")?, number("ts_ms")?);
    let (pos, row) = (number("pos")?, number("row")?);
    let row = u32::try_from(row.unwrap_or(0)).map_err(|_| wrong("its source.row is too large"))?;
    let file = find(source, "file").and_then(file_number);
    let (Some(file), Some(pos)) = (file, pos) else { return Ok(None) };
    let source_time = i64::try_from(ts_ms.unwrap_or(0)).ok().and_then(|ms| ms.checked_mul(1_000));
    let source_time = source_time.ok_or_else(|| wrong("its source.ts_ms is too large"))?;
    let position = Position { file, pos, row, rank: 1 };
    Ok(Some(Origin { server: server.unwrap_or(0), position, source_time }))
}

/// The number of a binlog file, `"mysql-bin.000012"`.
fn file_number(raw: &str) -> Option<u64> {
    number_at_end(raw.strip_prefix('"')?.strip_suffix('"')?)
}

/// What happened to the row, once its images are known to go with the op.
pub(crate) fn operation(facts: &Facts, rekey: weir_types::record::Rekey) -> Result<Op, DeadReason> {
    use weir_types::record::Rekey;
    let wanted = match facts.op {
        b'c' | b'r' => (Some(false), true),
        b'u' => (None, true),
        b'd' => (Some(true), false),
        b't' => (Some(false), false),
        other => return Err(wrong(format!("its op is {}", shown(&[b'"', other, b'"'])))),
    };
    if wanted.0.is_some_and(|before| before != facts.before) || wanted.1 != facts.after {
        let is = |present: bool| if present { "there" } else { "missing" };
        return Err(wrong(format!(
            "its op is {} but the before image is {} and the after image is {}",
            char::from(facts.op),
            is(facts.before),
            is(facts.after)
        )));
    }
    Ok(match (facts.op, rekey) {
        (b'c', Rekey::Insert) => Op::RekeyInsert,
        (b'c', _) => Op::Insert,
        (b'u', _) => Op::Update,
        (b'd', Rekey::Delete) => Op::RekeyDelete,
        (b'd', _) => Op::Delete,
        (b'r', _) if facts.last_read => Op::LastRead,
        (b'r', _) => Op::Read,
        _ => Op::Truncate,
    })
}
