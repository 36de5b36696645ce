//! JSON taken apart as far as records need it: objects into members, without reading the values.

use crate::outcome::DeadReason;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

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

/// Members of the object that `text` is, in its order.
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

pub(crate) fn wrong(what: impl Into<String>) -> DeadReason {
    DeadReason::WrongShape(what.into())
}

/// A record's value as text.
pub(crate) fn utf8(value: &[u8]) -> Result<&str, DeadReason> {
    std::str::from_utf8(value).map_err(|e| DeadReason::NotJson(format!("it is not UTF-8: {e}")))
}

/// The text that the token `raw` is, if it is one.
pub(crate) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    match crate::cell::text(raw.as_bytes())? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(&raw[1..raw.len() - 1])),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Members of an object; None for null.
pub(crate) fn members<'a>(text: &'a str, what: &str) -> Result<Option<Vec<Entry<'a>>>, DeadReason> {
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

/// The beginning of `bytes` for people.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned()
}

/// The number at the end of a binlog file's name, `mysql-bin.000012`.
pub(crate) fn number_at_end(file: &str) -> Option<u64> {
    file.rsplit('.').next()?.parse().ok()
}
