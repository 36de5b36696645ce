//! Random records of Canal, Maxwell and plain rows against a decoder written here over serde_json's
//! values, which shares nothing with the real one.
#![allow(clippy::unwrap_used)]

mod support;
use support::record;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use support::{Row, decode_fresh, source, written_as};
use weir_decode::Outcome;
use weir_types::batch::{Op, cell};
use weir_types::schema::{Format, Reading, SourceDecl};

const COLUMNS: [(&str, &str); 6] = [
    ("id", "int"),
    ("n", "int?"),
    ("t", "text?"),
    ("b", "bool?"),
    ("d", "decimal(2)?"),
    ("at", "datetime-text"),
];

fn declared(format: Format) -> Arc<SourceDecl> {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, ty)| format!("{name}:{ty}")).collect();
    let reading = Reading {
        time_zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
        delete_marker: (format == Format::PlainJson).then(|| "gone".into()),
        ..Reading::default()
    };
    Arc::new(SourceDecl { reading, ..written_as(format, source("ticket", "t", &columns.join(" "))) })
}

/// What a cell is, by another way than the decoder's.
fn model_cell(ty: &str, value: Option<&Value>) -> String {
    let unfit = "unfit".to_string();
    let (bare, nullable) = (ty.trim_end_matches('?'), ty.ends_with('?'));
    let text = match value {
        None => return unfit,
        Some(Value::Null) => return if nullable { "null".into() } else { unfit },
        Some(Value::String(text)) => text.clone(),
        Some(other) if bare != "text" && bare != "datetime-text" => other.to_string(),
        Some(_) => return unfit,
    };
    let read = match bare {
        "int" => text.parse::<i64>().ok().filter(|_| !text.starts_with('+')).map(|n| n.to_string()),
        "text" => Some(format!("{text:?}")),
        "bool" => match text.as_str() {
            "1" | "true" | "\u{1}" | "AQ==" => Some("true".into()),
            "0" | "false" | "\0" | "AA==" => Some("false".into()),
            _ => None,
        },
        // The records made here have no exponents and at most two digits after the point.
        "decimal(2)" => {
            let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
            format!("{whole}{cents:0<2}").parse::<i64>().ok().map(|n| n.to_string())
        }
        _ if text == "0000-00-00 00:00:00" => None,
        _ => {
            let civil = text.replace(' ', "T").parse::<jiff::civil::DateTime>().ok();
            civil.map(|c| c.in_tz("Europe/Berlin").unwrap().timestamp().as_microsecond().to_string())
        }
    };
    read.unwrap_or(unfit)
}

fn model_image(image: Option<&Map<String, Value>>) -> Vec<String> {
    match image {
        Some(image) => COLUMNS.iter().map(|(name, ty)| model_cell(ty, image.get(*name))).collect(),
        None => vec!["null".into(); COLUMNS.len()],
    }
}

type Image = Map<String, Value>;

fn model_row(op: Op, before: Option<&Image>, after: Option<&Image>, at: u32) -> Row {
    let time = model_image(after.or(before))[5].clone();
    let state = match time.as_str() {
        "unfit" => cell::UNFIT,
        "null" => cell::NULL,
        _ => cell::VALUE,
    };
    Row {
        op,
        coordinates: (0, 7, at),
        event_time: (state, time.parse().unwrap_or(0)),
        origin: None,
        present: (u8::from(before.is_some()), u8::from(after.is_some())),
        before: model_image(before),
        after: model_image(after),
    }
}

/// The rows of one change, whose `old` has what was otherwise.
fn model_change(kind: &str, data: &Image, old: Option<&Image>, first: u32) -> Vec<Row> {
    match kind {
        "insert" => vec![model_row(Op::Insert, None, Some(data), first)],
        "bootstrap-insert" => vec![model_row(Op::Read, None, Some(data), first)],
        "delete" => vec![model_row(Op::Delete, Some(data), None, first)],
        _ => {
            let mut before = data.clone();
            before.extend(old.unwrap().clone());
            if model_cell("int", before.get("id")) == model_cell("int", data.get("id")) {
                return vec![model_row(Op::Update, Some(&before), Some(data), first)];
            }
            vec![
                model_row(Op::RekeyDelete, Some(&before), None, first),
                model_row(Op::RekeyInsert, None, Some(data), first + 1),
            ]
        }
    }
}

/// A value for a column: mostly one that fits.
fn value(name: &'static str, quoted: bool) -> BoxedStrategy<Value> {
    let number = move |n: i64| if quoted { json!(n.to_string()) } else { json!(n) };
    let fitting = match name {
        "id" | "n" => {
            prop_oneof![3 => (-2i64..9).prop_map(number), 1 => any::<i64>().prop_map(number)].boxed()
        }
        "t" => any::<String>().prop_map(Value::String).boxed(),
        "b" => select(vec![json!(1), json!("0"), json!(true), json!("false"), json!("\u{1}"), json!("AA==")])
            .boxed(),
        "d" => (any::<i32>(), 0..100u8, any::<bool>())
            .prop_map(|(n, cents, whole)| {
                json!(if whole { n.to_string() } else { format!("{n}.{cents:02}") })
            })
            .boxed(),
        _ => (-3_000_000_000i64..4_000_000_000, 0..1_000_000u32)
            .prop_map(|(second, micros)| {
                let at = jiff::Timestamp::new(second, micros as i32 * if second < 0 { -1000 } else { 1000 })
                    .unwrap();
                json!(jiff::tz::TimeZone::UTC.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S%.f").to_string())
            })
            .boxed(),
    };
    let other = select(vec![
        Value::Null,
        json!("x"),
        json!([1]),
        json!({"a": "b"}),
        json!("0000-00-00 00:00:00"),
        json!("99999999999999999999"),
    ]);
    if name == "id" { fitting } else { prop_oneof![6 => fitting, 1 => other].boxed() }
}

/// An image with all columns that are not left out, and one that nobody declared.
fn image(quoted: bool) -> impl Strategy<Value = Image> {
    let values = COLUMNS.map(|(name, _)| prop::option::weighted(0.9, value(name, quoted)));
    (values, value("id", quoted)).prop_map(|(values, id)| {
        let mut image = Image::new();
        for ((name, _), value) in COLUMNS.iter().zip(values) {
            if let Some(value) = value {
                image.insert((*name).into(), value);
            }
        }
        image.entry("id").or_insert(id);
        image.insert("nobody's".into(), json!({"id": 5}));
        image
    })
}

/// What an update changed: a part of an image; seldom the primary key.
fn old(quoted: bool) -> impl Strategy<Value = Image> {
    (image(quoted), prop::collection::vec(any::<bool>(), 6), 0..8u8).prop_map(|(mut image, keep, rekey)| {
        for ((name, _), keep) in COLUMNS.iter().zip(keep) {
            if !keep || (*name == "id" && rekey > 0) {
                image.remove(*name);
            }
        }
        image.remove("nobody's");
        image
    })
}

fn decoded(source: &Arc<SourceDecl>, key: Option<&[u8]>, value: Option<&[u8]>) -> (Outcome, Vec<Row>) {
    let (outcome, mut rows) = decode_fresh(std::slice::from_ref(source), 0, &record(key, value));
    (outcome, rows.remove(0))
}

fn applied(rows: &[Row]) -> Outcome {
    Outcome::Applied { source: 0, rows: rows.len() as u32 }
}

/// `PROPTEST_CASES` makes it longer.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(1500))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_canal_records_are_read_as_the_model_reads_them(
        kind in select(vec!["INSERT", "UPDATE", "DELETE"]),
        rows in prop::collection::vec((image(true), old(true)), 1..4),
        pretty: bool,
    ) {
        let data: Vec<&Image> = rows.iter().map(|(data, _)| data).collect();
        let olds: Vec<&Image> = rows.iter().map(|(_, old)| old).collect();
        let olds = if kind == "UPDATE" { json!(olds) } else { Value::Null };
        let change = json!({"type": kind, "isDdl": false, "table": "ticket", "data": data, "old": olds, "es": 1});
        let bytes = if pretty { serde_json::to_vec_pretty(&change) } else { serde_json::to_vec(&change) }.unwrap();
        let mut expected = Vec::new();
        for (data, old) in &rows {
            expected.extend(model_change(&kind.to_lowercase(), data, Some(old), expected.len() as u32));
        }
        let (outcome, read) = decoded(&declared(Format::CanalJson), None, Some(&bytes));
        prop_assert_eq!(outcome, applied(&expected));
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn random_maxwell_records_are_read_as_the_model_reads_them(
        kind in select(vec!["insert", "update", "delete", "bootstrap-insert"]),
        data in image(false),
        old in old(false),
    ) {
        let mut change = json!({"type": kind, "table": "ticket", "data": data, "ts": 1});
        if kind == "update" {
            change["old"] = json!(old);
        }
        let expected = model_change(kind, &data, Some(&old), 0);
        let bytes = serde_json::to_vec(&change).unwrap();
        let (outcome, read) = decoded(&declared(Format::MaxwellJson), None, Some(&bytes));
        prop_assert_eq!(outcome, applied(&expected));
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn random_plain_rows_are_read_as_the_model_reads_them(
        data in image(false),
        in_key: bool,
        gone in select(vec![None, Some(json!(true)), Some(json!("false")), Some(Value::Null)]),
        tombstone in prop::bool::weighted(0.2),
    ) {
        let (key, mut row) = (json!({"id": data["id"]}), data.clone());
        if in_key {
            row.remove("id");
        }
        if let Some(gone) = &gone {
            row.insert("gone".into(), gone.clone());
        }
        let expected = if tombstone || gone == Some(json!(true)) {
            // Only the key and the time are kept of a row that ends.
            let mut end = Image::from_iter([("id".to_string(), data["id"].clone())]);
            let at = model_cell("datetime-text", data.get("at"));
            let is_timed = !tombstone && data.contains_key("at");
            if is_timed {
                end.insert("at".into(), data["at"].clone());
            }
            let mut cells = vec!["null".to_string(); 6];
            cells[0] = model_cell("int", end.get("id"));
            if is_timed {
                cells[5] = at;
            }
            let mut row = model_row(Op::Delete, Some(&end), None, 0);
            if !is_timed {
                row.event_time = (cell::NULL, 0);
            }
            Row { before: cells, present: (0, 0), ..row }
        } else {
            model_row(Op::Update, None, Some(&data), 0)
        };
        let (key, value) = (serde_json::to_vec(&key).unwrap(), serde_json::to_vec(&row).unwrap());
        let value = (!tombstone).then_some(&value[..]);
        let (outcome, read) = decoded(&declared(Format::PlainJson), Some(&key), value);
        prop_assert_eq!(outcome, applied(std::slice::from_ref(&expected)));
        prop_assert_eq!(read, vec![expected]);
    }
}
