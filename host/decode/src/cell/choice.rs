//! Enums and sets: some formats write the values' texts, others their numbers.

use super::{integer, text};
use std::borrow::Cow;

/// The number of a value, or a mask of them. With `numbered`, digits in text are one too.
fn number(token: &[u8], numbered: bool) -> Option<u64> {
    match text(token) {
        Some(digits) if numbered => integer(&digits).and_then(|n| u64::try_from(n).ok()),
        Some(_) => None,
        None => std::str::from_utf8(token).ok()?.parse().ok(),
    }
}

/// An enum's value. Number 0 is what MySQL keeps for a value that it refused: the empty text.
pub(super) fn one<'a>(token: &'a [u8], values: &'a [String], numbered: bool) -> Option<Cow<'a, [u8]>> {
    match number(token, numbered) {
        None => text(token),
        Some(0) => Some(Cow::Borrowed(b"")),
        Some(n) => values.get(usize::try_from(n).ok()? - 1).map(|v| v.as_bytes().into()),
    }
}

/// A set's values, joined by commas. Bit i of a mask stands for value i.
pub(super) fn set<'a>(token: &'a [u8], values: &[String], numbered: bool) -> Option<Cow<'a, [u8]>> {
    if token.starts_with(b"[") {
        let texts: Vec<String> = serde_json::from_slice(token).ok()?;
        return Some(texts.join(",").into_bytes().into());
    }
    let Some(mask) = number(token, numbered) else { return text(token) };
    let known = u32::try_from(values.len()).ok()?;
    if mask.checked_shr(known).unwrap_or(0) != 0 {
        return None;
    }
    let chosen = values.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1);
    let chosen: Vec<&str> = chosen.map(|(_, value)| value.as_str()).collect();
    Some(chosen.join(",").into_bytes().into())
}
