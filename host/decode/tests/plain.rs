//! Plain rows: what a value, a tombstone and a delete marker do, and what may be wrong with a record.
#![allow(clippy::unwrap_used)]

mod support;
use support::record;

use std::sync::Arc;
use support::{Row, decode_fresh, source, written_as};
use weir_decode::{DeadReason, Outcome};
use weir_types::batch::{Op, cell};
use weir_types::schema::{Format, Reading, SourceDecl};

const APPLIED: Outcome = Outcome::Applied { source: 0, rows: 1 };

fn tickets() -> SourceDecl {
    let source = source("ticket", "t", "id:int status:text assignee_id:int? updated_at:time-ms");
    let reading = Reading { delete_marker: Some("__deleted".into()), ..Reading::default() };
    SourceDecl { reading, ..written_as(Format::PlainJson, source) }
}

fn decode_by(source: SourceDecl, key: Option<&str>, value: Option<&str>) -> (Outcome, Option<Row>) {
    let record = record(key.map(str::as_bytes), value.map(str::as_bytes));
    let (outcome, mut rows) = decode_fresh(&[Arc::new(source)], 0, &record);
    let row = rows.remove(0).pop();
    assert_eq!(row.is_some(), outcome == APPLIED);
    (outcome, row)
}

fn decode(key: &str, value: &str) -> Row {
    let (outcome, row) = decode_by(tickets(), Some(key), Some(value));
    row.unwrap_or_else(|| panic!("{outcome:?}"))
}

fn dead(key: Option<&str>, value: Option<&str>) -> DeadReason {
    match decode_by(tickets(), key, value).0 {
        Outcome::Dead(reason) => reason,
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn a_value_sets_the_row_of_its_key_and_says_nothing_of_what_was() {
    let row = decode(
        "{\"id\":7}",
        "{\"id\":7,\"status\":\"open\",\"assignee_id\":null,\"updated_at\":1000,\"more\":[1]}",
    );
    assert_eq!((row.op, row.present, row.origin), (Op::Update, (0, 1), None));
    assert_eq!(row.after, ["7", "\"open\"", "null", "1000000"]);
    assert_eq!(row.before, ["null"; 4]);
    assert_eq!(row.event_time, (cell::VALUE, 1_000_000));
    let enveloped = "{\"schema\":{\"type\":\"struct\"},\"payload\":{\"id\":7,\"status\":\"open\",\"assignee_id\":null,\"updated_at\":1000}}";
    assert_eq!(decode("7", enveloped), row);
}

#[test]
fn a_primary_key_that_the_row_lacks_is_taken_from_the_record_s_key() {
    let value = "{\"status\":\"open\",\"updated_at\":1000}";
    for key in [
        "{\"id\":7}",
        "{\"schema\":{},\"payload\":{\"id\":7}}",
        "{\"schema\":{},\"payload\":7}",
        "7",
        "\"7\"",
        " 7 ",
    ] {
        assert_eq!(decode(key, value).after[0], "7", "{key}");
    }
    let (outcome, _) = decode_by(tickets(), None, Some("{\"id\":7,\"updated_at\":1000}"));
    assert_eq!(outcome, APPLIED, "a row that has its primary key needs no record key");
}

#[test]
fn a_tombstone_ends_the_row_of_its_key() {
    for value in [None, Some("null"), Some("{\"schema\":null,\"payload\":null}")] {
        let (_, row) = decode_by(tickets(), Some("{\"id\":7}"), value);
        let row = row.unwrap();
        assert_eq!((row.op, row.present), (Op::Delete, (0, 0)));
        assert_eq!(row.before, ["7", "null", "null", "null"], "only the key is known");
        assert_eq!(row.event_time, (cell::NULL, 0));
    }
}

#[test]
fn a_row_with_a_true_delete_marker_ends_too() {
    for (marker, op) in [
        ("true", Op::Delete),
        ("\"true\"", Op::Delete),
        ("1", Op::Delete),
        ("false", Op::Update),
        ("\"false\"", Op::Update),
        ("0", Op::Update),
        ("null", Op::Update),
    ] {
        let value = format!("{{\"id\":7,\"status\":\"open\",\"updated_at\":1000,\"__deleted\":{marker}}}");
        let row = decode("{\"id\":7}", &value);
        assert_eq!(row.op, op, "{marker}");
        assert_eq!(row.event_time, (cell::VALUE, 1_000_000));
        if op == Op::Delete {
            assert_eq!(
                (row.present, row.before),
                ((0, 0), ["7", "null", "null", "1000000"].map(String::from).to_vec())
            );
        }
    }
}

#[test]
fn a_text_key_may_stand_bare() {
    let source = || {
        let source = source("ticket", "t", "id:text status:text updated_at:time-ms");
        written_as(Format::PlainJson, source)
    };
    for (key, id) in [
        ("73474a29-c004", "\"73474a29-c004\""),
        ("\"a b\"", "\"a b\""),
        ("12", "\"12\""),
        ("größe \"x\"", "\"größe \\\"x\\\"\""),
        ("true", "\"true\""),
        ("{\"id\":\"x\"}", "\"x\""),
    ] {
        let (_, row) = decode_by(source(), Some(key), None);
        assert_eq!(row.unwrap().before[0], id, "{key}");
    }
}

#[test]
fn a_key_of_several_columns_must_be_an_object() {
    let source = || {
        let mut source = tickets();
        source.primary_key = vec![0, 1];
        source
    };
    let (_, row) = decode_by(source(), Some("{\"status\":\"open\",\"id\":7}"), None);
    assert_eq!(row.unwrap().before[..2], ["7", "\"open\""]);
    let (outcome, _) = decode_by(source(), Some("7"), None);
    let why = "it is no JSON object, but the table's key is id, status";
    assert_eq!(outcome, Outcome::Dead(DeadReason::Key(why.into())));
}

#[test]
fn a_row_without_a_readable_key_is_dead() {
    for (key, value, why) in [
        (None, None, "it is null, but the table's key is id"),
        (Some("{\"no\":1}"), None, "it lacks id, but the table's key is id"),
        (Some("{\"id\":null}"), None, "its id is null"),
        (Some("seven"), None, "its id is not of the declared type, so no row can be found"),
        (Some("{\"id\":[7]}"), None, "its id is not of the declared type, so no row can be found"),
        (None, Some("{\"status\":\"open\"}"), "its row lacks id, but the table's key is id"),
        (Some("{\"no\":1}"), Some("{\"status\":\"open\"}"), "its row lacks id, but the table's key is id"),
        (Some("7"), Some("{\"id\":null}"), "its row's id is null"),
    ] {
        assert_eq!(dead(key, value), DeadReason::Key(why.into()), "{key:?} {value:?}");
    }
    let source = [Arc::new(tickets())];
    let (outcome, _) = decode_fresh(&source, 0, &record(Some(b"\xff"), None));
    assert!(matches!(outcome, Outcome::Dead(DeadReason::Key(_))), "{outcome:?}");
}

#[test]
fn what_is_no_row_is_dead_and_a_field_that_does_not_fit_costs_that_field_only() {
    for value in ["7", "[1]", "\"text\""] {
        assert_eq!(dead(Some("7"), Some(value)), DeadReason::WrongShape("the value is no object".into()));
    }
    for value in ["", "{", "{\"id\":7", "{\"id\":7}}"] {
        assert!(matches!(dead(Some("7"), Some(value)), DeadReason::NotJson(_)), "{value}");
    }
    let row = decode("7", "{\"id\":7,\"status\":5,\"updated_at\":\"soon\"}");
    assert_eq!(row.after, ["7", "unfit", "unfit", "unfit"]);
    assert_eq!(row.event_time, (cell::UNFIT, 0));
}
