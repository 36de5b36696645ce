//! The general parser: any JSON, in any order and with any white space, taken apart by serde_json.
//! It decides what a record is, says what is wrong with it, and shows the fast path
//! ([`crate::template`]) what to expect next.

use crate::outcome::{DeadReason, SkipReason};
use crate::plan::Plan;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use weir_types::batch::{ChangeBatch, Op, Origin, Position};

/// A member of an object. `raw` is a slice of the record: its place can be told from its address.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub key: Cow<'a, str>,
    pub raw: &'a str,
}

/// The last member of that name, which is the one that counts.
pub(crate) fn find<'a>(entries: &[Entry<'a>], name: &str) -> Option<&'a str> {
    entries.iter().rev().find(|e| e.key == name).map(|e| e.raw)
}

/// Members of the object that `text` is.
pub(crate) fn object(text: &str) -> Result<Vec<Entry<'_>>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let entries = deserializer.deserialize_map(Members)?;
    deserializer.end()?;
    Ok(entries)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Entry<'de>>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(24);
        while let Some(key) = map.next_key_seed(Name)? {
            entries.push(Entry { key, raw: map.next_value::<&RawValue>()?.get() });
        }
        Ok(entries)
    }
}

/// A key, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_string()))
    }
}

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
    let text =
        std::str::from_utf8(value).map_err(|e| DeadReason::NotJson(format!("it is not UTF-8: {e}")))?;
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

pub(crate) fn wrong(what: impl Into<String>) -> DeadReason {
    DeadReason::WrongShape(what.into())
}

fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    match crate::cell::text(raw.as_bytes())? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(&raw[1..raw.len() - 1])),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Members of an object; None for null.
fn members<'a>(text: &'a str, what: &str) -> Result<Option<Vec<Entry<'a>>>, DeadReason> {
    match object(text) {
        Ok(entries) => Ok(Some(entries)),
        // Another kind of value, or no JSON at all: only reading all of it tells.
        Err(error) => match <&RawValue>::deserialize(&mut serde_json::Deserializer::from_str(text)) {
            Ok(raw) if error.is_data() && ends(text, raw.get()) => {
                if raw.get() == "null" {
                    Ok(None)
                } else {
                    Err(wrong(format!("{what} is no object")))
                }
            }
            _ => Err(DeadReason::NotJson(error.to_string())),
        },
    }
}

/// Whether nothing but white space follows `raw` in `text`.
fn ends(text: &str, raw: &str) -> bool {
    let end = offset_in(text.as_bytes(), raw) + raw.len();
    text.as_bytes()[end..].iter().all(|c| matches!(c, b' ' | b'\n' | b'\r' | b'\t'))
}

/// Where `part`, a slice of `whole`, begins in it.
pub(crate) fn offset_in(whole: &[u8], part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
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

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned()
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

/// The number at the end of a binlog file's name, `"mysql-bin.000012"`.
fn file_number(raw: &str) -> Option<u64> {
    raw.strip_prefix('"')?.strip_suffix('"')?.rsplit('.').next()?.parse().ok()
}

/// Appends the cells of one image; null or missing: nulls.
pub(crate) fn push_image(plan: &Plan, image: Option<&[Entry]>, batch: &mut ChangeBatch, after: bool) {
    let cells = if after { &mut batch.after } else { &mut batch.before };
    let Some(entries) = image else {
        return plan.asked.iter().for_each(|&c| cells[c].push_null());
    };
    let mut tokens = vec![None; plan.types.len()];
    for entry in entries {
        if let Some(column) = plan.asked_column(&entry.key) {
            tokens[column] = Some(entry.raw);
        }
    }
    for &column in &plan.asked {
        match tokens[column] {
            Some(token) => {
                let dictionary = &mut batch.dictionaries[column];
                plan.types[column].push(token.as_bytes(), &mut cells[column], dictionary);
            }
            None => cells[column].push_unfit(),
        }
    }
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
