//! Canal JSON: every sample of a real Canal, and what may be wrong with a record.
#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;
mod support;
use support::record;

use samples::sample;
use std::sync::Arc;
use support::{Row, call_record_with, decode_fresh, source, survey, ticket, written_as};
use weir_decode::{DeadReason, Outcome, SkipReason};
use weir_types::batch::{Op, cell};
use weir_types::schema::{Format, SourceDecl};

fn canal(source: SourceDecl) -> [Arc<SourceDecl>; 1] {
    [Arc::new(written_as(Format::CanalJson, source))]
}

fn read(source: SourceDecl, name: &str) -> Vec<Row> {
    let sample = sample("canal", name);
    let (outcome, mut rows) = decode_fresh(&canal(source), 0, &sample.record());
    let rows = rows.remove(0);
    assert_eq!(outcome, Outcome::Applied { source: 0, rows: rows.len() as u32 }, "{name}");
    rows
}

fn tickets(name: &str) -> Vec<Row> {
    read(ticket("datetime-text"), name)
}

fn decode(value: &str) -> (Outcome, Vec<Row>) {
    let (outcome, mut rows) =
        decode_fresh(&canal(ticket("datetime-text")), 0, &record(None, Some(value.as_bytes())));
    (outcome, rows.remove(0))
}

fn cells(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

#[test]
fn a_partial_old_is_completed_from_the_new_row() {
    let rows = tickets("ticket-update");
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.op, row.present, row.origin), (Op::Update, (1, 1), None));
    assert_eq!(row.event_time, (cell::VALUE, 1_795_424_700_250_000));
    assert_eq!(
        row.before,
        cells(
            "40 10 \"app\" 3 503 null \"new\" 1795424400001000 null null null null 0 0 false \
             1795428000000000 null 1795424400001000"
        )
    );
    assert_eq!(
        row.after,
        cells(
            "40 10 \"app\" 3 503 71 \"open\" 1795424400001000 1795424700250000 null null null 0 0 false \
             1795428000000000 null 1795424700250000"
        )
    );
}

#[test]
fn the_rows_of_a_statement_are_numbered_and_have_an_old_each() {
    let rows = tickets("ticket-update-two-rows");
    assert_eq!(rows.iter().map(|r| r.coordinates).collect::<Vec<_>>(), [(0, 7, 0), (0, 7, 1)]);
    assert_eq!(rows.iter().map(|r| r.before[6].as_str()).collect::<Vec<_>>(), ["\"open\"", "\"new\""]);
    assert!(rows.iter().all(|r| r.op == Op::Update && r.after[6] == "\"solved\"" && r.before[10] == "null"));
    assert_eq!(rows[0].before[17], "1795424700250000");
    assert_eq!(rows[1].before[17], "1795424400250000");
    let born = tickets("ticket-insert-two-rows");
    assert_eq!(born.iter().map(|r| (r.op, r.present)).collect::<Vec<_>>(), [(Op::Insert, (0, 1)); 2]);
    assert_eq!(born[1].coordinates, (0, 7, 1));
    assert_eq!((born[0].after[0].as_str(), born[1].after[0].as_str()), ("40", "41"));
    assert_eq!(born[0].before, vec!["null"; 18]);
}

#[test]
fn a_delete_has_the_row_as_it_was() {
    let rows = tickets("ticket-delete");
    assert_eq!((rows.len(), rows[0].op, rows[0].present), (1, Op::Delete, (1, 0)));
    assert_eq!(rows[0].before[..7], cells("40 10 \"app\" 3 503 71 \"solved\""));
    assert_eq!(rows[0].event_time, (cell::VALUE, 1_795_426_200_500_000));
}

#[test]
fn a_changed_primary_key_is_the_end_of_one_row_and_the_beginning_of_another_and_no_event() {
    let rows = tickets("ticket-update-pk-change");
    assert_eq!(
        rows.iter().map(|r| (r.op, r.present)).collect::<Vec<_>>(),
        [(Op::RekeyDelete, (1, 0)), (Op::RekeyInsert, (0, 1))]
    );
    assert_eq!(rows.iter().map(|r| r.coordinates.2).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((rows[0].before[0].as_str(), rows[1].after[0].as_str()), ("41", "42"));
    assert_eq!(rows[0].before[1..], rows[1].after[1..], "all else is as it was");
    assert_eq!(rows[0].after, vec!["null"; 18]);
    assert_eq!(rows[1].before, vec!["null"; 18]);
    assert_eq!(rows[0].event_time, rows[1].event_time);
}

#[test]
fn an_enum_is_its_text_where_its_values_are_declared() {
    let mut source = call_record_with("datetime-text", "enum");
    let ended_by = source.column("ended_by").unwrap();
    source.columns[ended_by].values = ["agent", "customer", "system"].map(String::from).to_vec();
    let rows = read(source, "call_record-update");
    assert_eq!((rows[0].before[17].as_str(), rows[0].after[17].as_str()), ("\"agent\"", "\"customer\""));
    assert_eq!((rows[0].before[16].as_str(), rows[0].after[16].as_str()), ("false", "true"));
    assert_eq!(rows[0].after[8], "1795420820750000");
}

#[test]
fn every_type_of_column_is_read_from_its_text() {
    let declared = || {
        let mut source = source(
            "types_probe",
            "t",
            "id:int d:date-text dt0:datetime-text dt6:datetime-text ts3:datetime-text t3:duration-text \
             dec_:decimal(3) dbl:float flt:float b1:bool bool_:bool bit1:bool bit8:bits ub:uint-text js:json en:enum \
             st:set yr:int txt:text? dt3:datetime-text?",
        );
        for (column, values) in [("en", ["a", "b"]), ("st", ["x", "y"])] {
            let column = source.column(column).unwrap();
            source.columns[column].values = values.map(String::from).to_vec();
        }
        source
    };
    let rows = read(declared(), "types_probe-insert");
    let text = format!("{:?}", "größe \"x\" 你好");
    let mut expected = cells(
        "12 1795392000000000 1795420800000000 1795420800123456 1795420800123000 28800123000 12345 0.1 0.1 true \
         true true 129 \"18446744073709551615\" \"{\\\"a\\\":1}\" \"b\" \"x,y\" 2026",
    );
    expected.extend([text.clone(), "1795420800123000".into()]);
    assert_eq!(rows[0].after, expected);
    let rows = read(declared(), "types_probe-update");
    assert_eq!((rows[0].before[6].as_str(), rows[0].after[6].as_str()), ("12345", "-500"));
    assert_eq!((&rows[0].before[18], rows[0].after[18].as_str()), (&text, "null"));
    assert_eq!(rows[0].before[..6], rows[0].after[..6]);
}

#[test]
fn definitions_and_tables_of_others_are_skipped_but_a_truncate_empties_the_table() {
    let outcome = |source, name: &str| decode_fresh(&canal(source), 0, &sample("canal", name).record()).0;
    assert_eq!(outcome(ticket("datetime-text"), "ddl-alter"), Outcome::Skipped(SkipReason::Ddl));
    for name in ["agent_state-update", "ddl-truncate"] {
        assert_eq!(outcome(ticket("datetime-text"), name), Outcome::Skipped(SkipReason::UnknownTable));
    }
    let rows = read(survey(), "ddl-truncate");
    assert_eq!((rows.len(), rows[0].op, rows[0].present), (1, Op::Truncate, (0, 0)));
    assert_eq!(rows[0].event_time, (cell::NULL, 0));
    assert_eq!(
        decode_fresh(&canal(survey()), 0, &record(None, None)).0,
        Outcome::Skipped(SkipReason::Tombstone)
    );
}

/// A record of tickets with these members.
fn change(kind: &str, data: &str, old: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"isDdl\":false,\"table\":\"ticket\",\"data\":{data},\"old\":{old}}}")
}

#[test]
fn a_field_that_does_not_fit_costs_that_field_only() {
    let row =
        "{\"id\":\"1\",\"status\":\"open\",\"queue_id\":\"ten\",\"updated_at\":\"2026-11-23 08:00:00\"}";
    let (outcome, rows) =
        decode(&change("UPDATE", &format!("[{row}]"), "[{\"queue_id\":\"9\",\"status\":null}]"));
    assert_eq!(outcome, Outcome::Applied { source: 0, rows: 1 });
    assert_eq!((rows[0].before[1].as_str(), rows[0].after[1].as_str()), ("9", "unfit"));
    assert_eq!(
        (rows[0].before[6].as_str(), rows[0].after[6].as_str()),
        ("unfit", "\"open\""),
        "null does not fit"
    );
    assert_eq!(rows[0].after[17], "1795420800000000");
    assert_eq!(
        (rows[0].before[2].as_str(), rows[0].after[2].as_str()),
        ("unfit", "unfit"),
        "a column that is missing"
    );
}

#[test]
fn lists_of_unequal_length_are_dead() {
    let row = "{\"id\":\"1\",\"status\":\"open\"}";
    for (data, old, rows) in [
        (format!("[{row},{row}]"), "[{\"status\":\"new\"}]", (2, 1)),
        (format!("[{row}]"), "[{},{}]", (1, 2)),
        (format!("[{row}]"), "[]", (1, 0)),
        (format!("[{row}]"), "null", (1, 0)),
    ] {
        let (outcome, left) = decode(&change("UPDATE", &data, old));
        let why = format!(
            "its data has {} rows and its old has {}, so nobody can tell which belong together",
            rows.0, rows.1
        );
        assert_eq!(outcome, Outcome::Dead(DeadReason::WrongShape(why)));
        assert!(left.is_empty());
    }
}

#[test]
fn what_is_no_canal_record_is_dead_and_says_why() {
    let (row, bad) = ("{\"id\":\"1\"}", "{\"id\":null}");
    let wrong = |why: &str| DeadReason::WrongShape(why.into());
    for (value, reason) in [
        ("12".into(), wrong("the value is no object")),
        ("{}".into(), wrong("it has no type")),
        ("{\"op\":\"u\",\"source\":{}}".into(), wrong("it has no type")),
        ("{\"type\":5}".into(), wrong("its type is no text")),
        ("{\"type\":\"INSERT\"}".into(), wrong("it has no table")),
        ("{\"type\":\"INSERT\",\"table\":null}".into(), wrong("its table is no text")),
        (change("UPSERT", "[]", "null"), wrong("its type is UPSERT")),
        (change("insert", &format!("[{row}]"), "null"), wrong("its type is insert")),
        (change("INSERT", "null", "null"), wrong("its data has no row")),
        (change("INSERT", "[]", "null"), wrong("its data has no row")),
        (change("INSERT", row, "null"), wrong("its data is no list")),
        (change("INSERT", "[5]", "null"), wrong("a row of its data is no object")),
        (change("INSERT", "[null]", "null"), wrong("a row of its data is null")),
        (change("UPDATE", &format!("[{row}]"), "[null]"), wrong("a row of its old is null")),
        (
            change("INSERT", "[{}]", "null"),
            DeadReason::Key("its row lacks id, but the table's key is id".into()),
        ),
        (change("DELETE", &format!("[{row},{bad}]"), "null"), DeadReason::Key("its row's id is null".into())),
    ] {
        let (outcome, rows) = decode(&value);
        assert_eq!(outcome, Outcome::Dead(reason), "{value}");
        assert!(rows.is_empty(), "the rows before the bad one are taken back: {value}");
    }
    for value in ["", "{", "{\"type\":\"INSERT\"", "nul"] {
        assert!(matches!(decode(value).0, Outcome::Dead(DeadReason::NotJson(_))), "{value}");
    }
    let framed = decode_fresh(&canal(ticket("datetime-text")), 0, &record(None, Some(&[0, 0, 0, 0, 7, 1])));
    assert_eq!(framed.0, Outcome::Dead(DeadReason::RegistryFramed(7)));
}
