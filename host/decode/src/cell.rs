//! One JSON value → one cell of a column. Both paths end here, so they agree.

use crate::{scan, time};
use std::borrow::Cow;
use weir_types::batch::{Cells, Dictionary};
use weir_types::schema::{ColumnType, TimeUnit};

/// Type and nullability of a declared column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CellType {
    pub ty: ColumnType,
    pub nullable: bool,
}

impl CellType {
    #[inline(always)]
    pub fn push_null(self, cells: &mut Cells) {
        if self.nullable { cells.push_null() } else { cells.push_unfit() }
    }

    /// Appends the cell of `token`, a valid JSON value without white space around it.
    pub fn push(self, token: &[u8], cells: &mut Cells, dictionary: &mut Dictionary) {
        if token == b"null" {
            return self.push_null(cells);
        }
        let value = match self.ty {
            ColumnType::Int => integer(&bare(token)),
            ColumnType::Float => float(&bare(token)),
            ColumnType::Bool => boolean(&bare(token)),
            ColumnType::Time(TimeUnit::Iso) => text(token).and_then(|t| time::from_iso(&t)),
            ColumnType::Time(unit) => integer(&bare(token)).and_then(|n| time::from_count(n, unit)),
            ColumnType::Text => text(token).map(|t| i64::from(dictionary.code(&t))),
        };
        match value {
            Some(value) => cells.push(value),
            None => cells.push_unfit(),
        }
    }
}

/// The text of a quoted token with its escapes resolved; None for other tokens and for escapes that
/// stand for no character (half a surrogate pair).
pub(crate) fn text(token: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = token.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_slice::<String>(token).ok().map(|t| Cow::Owned(t.into_bytes()))
}

/// The token without its quotes, if it has any: numbers and booleans may stand in text.
fn bare(token: &[u8]) -> Cow<'_, [u8]> {
    text(token).unwrap_or(Cow::Borrowed(token))
}

fn integer(text: &[u8]) -> Option<i64> {
    // `parse` takes a plus sign, which no source writes.
    if text.first() == Some(&b'+') {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn float(text: &[u8]) -> Option<i64> {
    // `parse` takes `inf`, `.5` and the like; only JSON's numbers are meant.
    if scan::number(text, 0) != Some(text.len()) {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then(|| value.to_bits() as i64)
}

fn boolean(text: &[u8]) -> Option<i64> {
    match text {
        b"1" | b"true" => Some(1),
        b"0" | b"false" => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::batch::cell;

    fn read(ty: ColumnType, token: &str) -> Option<i64> {
        let mut cells = Cells::default();
        CellType { ty, nullable: true }.push(token.as_bytes(), &mut cells, &mut Dictionary::default());
        assert_eq!(cells.len(), 1);
        match cells.states[0] {
            cell::VALUE => Some(cells.values[0]),
            cell::UNFIT => None,
            state => panic!("state {state} of {token}"),
        }
    }

    #[test]
    fn integers_may_be_quoted_but_must_be_whole_and_fit() {
        let int = |token| read(ColumnType::Int, token);
        assert_eq!(int("10"), Some(10));
        assert_eq!(int("\"10\""), Some(10));
        assert_eq!(int("\"\\u0031\""), Some(1));
        assert_eq!(int("-0"), Some(0));
        assert_eq!(int("9223372036854775807"), Some(i64::MAX));
        assert_eq!(int("-9223372036854775808"), Some(i64::MIN));
        for token in [
            "9223372036854775808",
            "18446744073709551615",
            "12.0",
            "1e3",
            "true",
            "\"\"",
            "\"ten\"",
            "\"+5\"",
            "\" 5\"",
            "\"-\"",
            "{}",
            "[1]",
            "\"MDk=\"",
            "\"\\ud800\"",
        ] {
            assert_eq!(int(token), None, "{token}");
        }
    }

    #[test]
    fn floats_are_finite_numbers_quoted_or_not() {
        let float = |token| read(ColumnType::Float, token).map(|bits| f64::from_bits(bits as u64));
        assert_eq!(float("0.1"), Some(0.1));
        assert_eq!(float("\"12.345\""), Some(12.345));
        assert_eq!(float("12"), Some(12.0));
        assert_eq!(float("18446744073709551616"), Some(18446744073709551616.0));
        for token in ["1e999", "-1e999", "\"NaN\"", "\"inf\"", "\".5\"", "true", "{}", "\"\""] {
            assert_eq!(float(token), None, "{token}");
        }
    }

    #[test]
    fn booleans_are_true_false_one_and_zero_quoted_or_not() {
        let bool = |token: &str| read(ColumnType::Bool, token);
        for (token, value) in [("1", 1), ("0", 0), ("true", 1), ("false", 0)] {
            assert_eq!(bool(token), Some(value));
            assert_eq!(bool(&format!("\"{token}\"")), Some(value));
        }
        for token in ["2", "-1", "1.0", "\"yes\"", "\"TRUE\"", "[]"] {
            assert_eq!(bool(token), None, "{token}");
        }
    }

    #[test]
    fn times_are_read_in_their_unit_and_in_no_other_form() {
        let ms = |token| read(ColumnType::Time(TimeUnit::Ms), token);
        let iso = |token| read(ColumnType::Time(TimeUnit::Iso), token);
        assert_eq!(ms("1795420800123"), Some(1_795_420_800_123_000));
        assert_eq!(ms("\"1795420800123\""), Some(1_795_420_800_123_000));
        assert_eq!(ms("9223372036854775807"), None);
        assert_eq!(ms("1795420800123.5"), None);
        assert_eq!(ms("\"2026-11-23T08:00:00Z\""), None);
        assert_eq!(iso("\"2026-11-23T08:00:00Z\""), Some(1_795_420_800_000_000));
        assert_eq!(iso("1795420800123"), None);
    }

    #[test]
    fn texts_have_their_escapes_resolved() {
        let mut cells = Cells::default();
        let mut dictionary = Dictionary::default();
        let text = CellType { ty: ColumnType::Text, nullable: false };
        for token in
            ["\"größe \\\"x\\\" \\u4f60好\"", "\"\"", "\"\\ud83d\\ude00\"", "5", "null", "\"\\udead\""]
        {
            text.push(token.as_bytes(), &mut cells, &mut dictionary);
        }
        assert_eq!(
            cells.states,
            [cell::VALUE, cell::VALUE, cell::VALUE, cell::UNFIT, cell::UNFIT, cell::UNFIT]
        );
        assert_eq!(dictionary.get(0), "größe \"x\" 你好");
        assert_eq!(dictionary.get(1), "");
        assert_eq!(dictionary.get(2), "😀");
    }

    #[test]
    fn null_fits_only_where_declared() {
        let mut cells = Cells::default();
        for nullable in [true, false] {
            CellType { ty: ColumnType::Int, nullable }.push(b"null", &mut cells, &mut Dictionary::default());
        }
        assert_eq!(cells.states, [cell::NULL, cell::UNFIT]);
    }
}
