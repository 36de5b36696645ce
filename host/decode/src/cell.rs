//! One JSON value → one cell of a column. All paths end here, so they agree.

mod choice;
mod exact;

use crate::zone::Zone;
use crate::{scan, time};
use std::borrow::Cow;
use weir_types::batch::{Cells, Dictionary};
use weir_types::schema::{ColumnDecl, ColumnType, Digits, Format, SourceDecl, TimeUnit};

/// A declared column, made ready for decoding.
#[derive(Clone, Debug)]
pub(crate) struct CellType {
    /// The type whose reading gives the cell's value: a count on a clock that shows UTC, and a
    /// duration, are read as a time is.
    pub ty: ColumnType,
    nullable: bool,
    zone: Zone,
    /// Values of an enum or a set, in the order of the table's definition.
    values: Vec<String>,
    /// Whether digits in text are the number of a value, and not a value of that name.
    numbered: bool,
}

/// What a token is in its column.
enum Read {
    Null,
    Value(i64),
    Unfit,
}

impl From<Option<i64>> for Read {
    fn from(value: Option<i64>) -> Read {
        value.map_or(Read::Unfit, Read::Value)
    }
}

impl CellType {
    pub fn new(column: &ColumnDecl, source: &SourceDecl) -> CellType {
        let zone = Zone::new(&source.reading.time_zone);
        let ty = match column.ty {
            ColumnType::Duration(unit) if unit != TimeUnit::Iso => ColumnType::Time(unit),
            ColumnType::DateTime(unit) if unit != TimeUnit::Iso && zone.is_utc() => ColumnType::Time(unit),
            ty => ty,
        };
        CellType {
            ty,
            nullable: column.nullable,
            zone,
            values: column.values.clone(),
            numbered: source.format == Format::CanalJson,
        }
    }

    #[inline(always)]
    pub fn push_null(&self, cells: &mut Cells) {
        if self.nullable { cells.push_null() } else { cells.push_unfit() }
    }

    /// Appends the cell of `token`, a valid JSON value without white space around it.
    pub fn push(&self, token: &[u8], cells: &mut Cells, dictionary: &mut Dictionary) {
        let read = if token == b"null" { Read::Null } else { self.read(token, dictionary) };
        match read {
            Read::Value(value) => cells.push(value),
            Read::Null => self.push_null(cells),
            Read::Unfit => cells.push_unfit(),
        }
    }

    fn read(&self, token: &[u8], dictionary: &mut Dictionary) -> Read {
        let mut coded = |text: Option<Cow<'_, [u8]>>| text.map(|t| i64::from(dictionary.code(&t)));
        match self.ty {
            ColumnType::Int => integer(&bare(token)),
            ColumnType::Unsigned | ColumnType::Bits(Digits::Decimal) => {
                integer(&bare(token)).filter(|n| *n >= 0)
            }
            ColumnType::UnsignedText => coded(exact::unsigned(&bare(token))),
            ColumnType::Float => float(&bare(token)),
            ColumnType::Decimal(scale, Digits::Decimal) => exact::decimal(&bare(token), scale),
            ColumnType::Decimal(_, Digits::Base64) => text(token).and_then(|t| exact::unscaled(&t)),
            ColumnType::Bits(Digits::Base64) => text(token).and_then(|t| exact::bits(&t)),
            ColumnType::Bool => boolean(&bare(token)),
            ColumnType::Text => coded(text(token)),
            ColumnType::Json => {
                coded(if token.starts_with(b"\"") { text(token) } else { Some(token.into()) })
            }
            ColumnType::Enum => coded(choice::one(token, &self.values, self.numbered)),
            ColumnType::Set => coded(choice::set(token, &self.values, self.numbered)),
            ColumnType::Time(TimeUnit::Iso) => text(token).and_then(|t| time::from_iso(&t)),
            ColumnType::Time(unit) => integer(&bare(token)).and_then(|n| time::from_count(n, unit)),
            ColumnType::Duration(_) => text(token).and_then(|t| time::duration(&t)),
            ColumnType::DateTime(TimeUnit::Iso) => return self.shown(token, time::datetime),
            ColumnType::DateText => return self.shown(token, time::date),
            ColumnType::DateTime(unit) => {
                let wall = integer(&bare(token)).and_then(|n| time::from_count(n, unit));
                wall.and_then(|w| self.zone.instant(w))
            }
            ColumnType::DateDays => {
                let wall = integer(&bare(token)).and_then(|n| n.checked_mul(weir_types::DAY));
                wall.and_then(|w| self.zone.instant(w))
            }
        }
        .into()
    }

    /// A text that the source's own clock shows.
    fn shown(&self, token: &[u8], parse: fn(&[u8]) -> Option<time::Shown>) -> Read {
        match text(token).and_then(|t| parse(&t)) {
            Some(time::Shown::Zero) => Read::Null,
            Some(time::Shown::At(wall)) => self.zone.instant(wall).into(),
            None => Read::Unfit,
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
        b"1" | b"true" | [1] | b"AQ==" => Some(1),
        b"0" | b"false" | [0] | b"AA==" => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::batch::cell;
    use weir_types::schema::Reading;

    fn source(format: Format, zone: &str) -> SourceDecl {
        SourceDecl {
            name: "t".into(),
            topics: vec!["t".into()],
            table: "t".into(),
            format,
            reading: Reading {
                time_zone: jiff::tz::TimeZone::get(zone).expect("a zone"),
                ..Reading::default()
            },
            columns: Vec::new(),
            primary_key: vec![0],
            event_time: 0,
            out_of_orderness: 0,
            idle_after: 0,
            max_dead_share: 1.0,
        }
    }

    /// A column of a source, declared by name of its type.
    fn column(ty: &str, values: &[&str], source: &SourceDecl) -> CellType {
        let values = values.iter().map(|v| v.to_string()).collect();
        let ty = ColumnType::parse(ty).expect("a type");
        CellType::new(&ColumnDecl { name: "c".into(), ty, nullable: true, values }, source)
    }

    /// A cell as a person would write it.
    fn shown_by(column: &CellType, token: &str) -> String {
        let (mut cells, mut dictionary) = (Cells::default(), Dictionary::default());
        column.push(token.as_bytes(), &mut cells, &mut dictionary);
        assert_eq!(cells.len(), 1);
        match cells.states[0] {
            cell::UNFIT => "unfit".into(),
            cell::NULL => "null".into(),
            _ if column.ty.value_type() == weir_types::contract::ValueType::Text => {
                dictionary.get(cells.values[0] as u32).into()
            }
            _ => cells.values[0].to_string(),
        }
    }

    fn shown(ty: &str, token: &str) -> String {
        shown_by(&column(ty, &[], &source(Format::DebeziumJson, "UTC")), token)
    }

    fn read(ty: ColumnType, token: &str) -> Option<i64> {
        let source = source(Format::DebeziumJson, "UTC");
        let column = ColumnDecl { name: "c".into(), ty, nullable: true, values: Vec::new() };
        let mut cells = Cells::default();
        CellType::new(&column, &source).push(token.as_bytes(), &mut cells, &mut Dictionary::default());
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
        for (token, value) in [("\"\\u0001\"", 1), ("\"\\u0000\"", 0), ("\"AQ==\"", 1), ("\"AA==\"", 0)] {
            assert_eq!(bool(token), Some(value), "{token}");
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
        let mut text = column("text", &[], &source(Format::DebeziumJson, "UTC"));
        text.nullable = false;
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
            let mut int = column("int", &[], &source(Format::DebeziumJson, "UTC"));
            int.nullable = nullable;
            int.push(b"null", &mut cells, &mut Dictionary::default());
        }
        assert_eq!(cells.states, [cell::NULL, cell::UNFIT]);
    }

    #[test]
    fn unsigned_integers_keep_their_range() {
        for (token, int, text) in [
            ("7", "7", "7"),
            ("\"7\"", "7", "7"),
            ("9223372036854775807", "9223372036854775807", "9223372036854775807"),
            ("18446744073709551615", "unfit", "18446744073709551615"),
            ("\"18446744073709551615\"", "unfit", "18446744073709551615"),
            // The same number as Debezium writes it by default.
            ("-1", "unfit", "18446744073709551615"),
            ("18446744073709551616", "unfit", "unfit"),
            ("007", "7", "7"),
            ("1.5", "unfit", "unfit"),
        ] {
            assert_eq!(shown("uint", token), int, "{token}");
            assert_eq!(shown("uint-text", token), text, "{token}");
        }
    }

    #[test]
    fn json_is_its_text_whether_quoted_or_not() {
        assert_eq!(shown("json", "\"{\\\"a\\\":1}\""), "{\"a\":1}");
        assert_eq!(shown("json", "{\"a\":1}"), "{\"a\":1}");
        assert_eq!(shown("json", "[1]"), "[1]");
        assert_eq!(shown("json", "null"), "null");
        assert_eq!(shown("json", "\"\\ud800\""), "unfit");
    }

    #[test]
    fn clock_readings_are_those_of_the_source_s_zone() {
        let berlin = source(Format::DebeziumJson, "Europe/Berlin");
        let at = |ty: &str, token: &str| shown_by(&column(ty, &[], &berlin), token);
        let seven = "1795417200000000";
        assert_eq!(at("datetime-text", "\"2026-11-23 08:00:00\""), seven);
        assert_eq!(at("datetime-text", "\"2026-11-23T08:00:00Z\""), seven, "Debezium's Z is no zone");
        assert_eq!(at("datetime-ms", "1795420800000"), seven);
        assert_eq!(at("datetime-us", "\"1795420800000000\""), seven);
        assert_eq!(at("time-ms", "1795420800000"), "1795420800000000", "a point in time has no zone");
        assert_eq!(at("date-text", "\"2026-11-23\""), "1795388400000000");
        assert_eq!(at("date-text", "\"2026-11-23Z\""), "1795388400000000");
        assert_eq!(at("date-days", "20780"), "1795388400000000");
        // The clock jumps from 2 to 3 on 2026-03-29 and from 3 back to 2 on 2026-10-25.
        assert_eq!(
            at("datetime-text", "\"2026-03-29 02:30:00\""),
            at("datetime-text", "\"2026-03-29 03:30:00\"")
        );
        assert_eq!(
            at("datetime-text", "\"2026-10-25 02:30:00\""),
            "1792888200000000",
            "the first of the two"
        );
    }

    #[test]
    fn a_zero_date_is_a_null() {
        for (ty, token) in [
            ("date-text", "\"0000-00-00\""),
            ("datetime-text", "\"0000-00-00 00:00:00\""),
            ("datetime-text", "\"0000-00-00 00:00:00.000\""),
        ] {
            assert_eq!(shown(ty, token), "null", "{token}");
        }
        for (ty, token) in [
            ("date-text", "\"2026-00-00\""),
            ("date-text", "\"2026-02-30\""),
            ("date-text", "20780"),
            ("datetime-text", "\"0000-00-00 00:00:01\""),
            ("datetime-text", "\"2026-11-23\""),
            ("datetime-text", "\"2026-11-23 08:00:00+01:00\""),
            ("datetime-text", "1795420800000"),
            ("datetime-ms", "9223372036854775807"),
            ("date-days", "9223372036854775807"),
        ] {
            assert_eq!(shown(ty, token), "unfit", "{token}");
        }
    }

    #[test]
    fn durations_are_microseconds() {
        for (ty, token, value) in [
            ("duration-us", "28800123000", "28800123000"),
            ("duration-ms", "28800123", "28800123000"),
            ("duration-ns", "28800123000000", "28800123000"),
            ("duration-text", "\"08:00:00.123\"", "28800123000"),
            ("duration-text", "\"08:00:00.123Z\"", "28800123000"),
            ("duration-text", "\"-838:59:59\"", "-3020399000000"),
            ("duration-text", "\"08:60:00\"", "unfit"),
            ("duration-text", "\"08:00\"", "unfit"),
            ("duration-ms", "\"x\"", "unfit"),
        ] {
            assert_eq!(shown(ty, token), value, "{ty} {token}");
        }
    }

    #[test]
    fn enums_and_sets_are_their_texts_in_every_format() {
        let values = ["agent", "customer", "2"];
        let debezium = source(Format::DebeziumJson, "UTC");
        let canal = source(Format::CanalJson, "UTC");
        for (ty, token, by_debezium, by_canal) in [
            ("enum", "\"customer\"", "customer", "customer"),
            ("enum", "\"2\"", "2", "customer"),
            ("enum", "2", "customer", "customer"),
            ("enum", "0", "", ""),
            ("enum", "4", "unfit", "unfit"),
            ("enum", "[2]", "unfit", "unfit"),
            ("set", "\"agent,customer\"", "agent,customer", "agent,customer"),
            ("set", "[\"agent\",\"customer\"]", "agent,customer", "agent,customer"),
            ("set", "[]", "", ""),
            ("set", "[1]", "unfit", "unfit"),
            ("set", "\"3\"", "3", "agent,customer"),
            ("set", "3", "agent,customer", "agent,customer"),
            ("set", "\"0\"", "0", ""),
            ("set", "8", "unfit", "unfit"),
        ] {
            assert_eq!(shown_by(&column(ty, &values, &debezium), token), by_debezium, "{ty} {token}");
            assert_eq!(shown_by(&column(ty, &values, &canal), token), by_canal, "{ty} {token} of Canal");
        }
        assert_eq!(shown_by(&column("enum", &[], &canal), "\"2\""), "unfit", "nobody said what 2 stands for");
    }
}
