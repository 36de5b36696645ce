//! Maxwell JSON: every sample of a real Maxwell, and what may be wrong with a record.
#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;
mod support;
use support::record;

use samples::sample;
use std::sync::Arc;
use support::{Row, call_record_with, decode_fresh, source, ticket, written_as};
use weir_decode::{DeadReason, Outcome, SkipReason};
use weir_types::batch::{Op, Origin, Position, cell};
use weir_types::schema::{Format, SourceDecl};

fn maxwell(source: SourceDecl) -> [Arc<SourceDecl>; 1] {
    [Arc::new(written_as(Format::MaxwellJson, source))]
}

fn read_in(folder: &str, source: SourceDecl, name: &str) -> Vec<Row> {
    let sample = sample(folder, name);
    let (outcome, mut rows) = decode_fresh(&maxwell(source), 0, &sample.record());
    let rows = rows.remove(0);
    assert_eq!(outcome, Outcome::Applied { source: 0, rows: rows.len() as u32 }, "{name}");
    rows
}

fn tickets(name: &str) -> Vec<Row> {
    read_in("maxwell", ticket("datetime-text"), name)
}

fn decode(value: &str) -> (Outcome, Vec<Row>) {
    let record = record(None, Some(value.as_bytes()));
    let (outcome, mut rows) = decode_fresh(&maxwell(ticket("datetime-text")), 0, &record);
    (outcome, rows.remove(0))
}

fn cells(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

fn at(pos: u64, row: u32, rank: u8) -> Option<Origin> {
    let position = Position { file: 3, pos, row, rank };
    Some(Origin { server: 0, position, source_time: 1_795_467_121_000_000 })
}

#[test]
fn a_partial_old_is_completed_from_the_new_row_nulls_included() {
    let rows = tickets("ticket-update");
    assert_eq!((rows.len(), rows[0].op, rows[0].present), (1, Op::Update, (1, 1)));
    assert_eq!(rows[0].event_time, (cell::VALUE, 1_795_424_700_250_000));
    assert_eq!(
        rows[0].before,
        cells(
            "40 10 \"app\" 3 503 null \"new\" 1795424400001000 null null null null 0 0 false \
             1795428000000000 null 1795424400001000"
        )
    );
    assert_eq!(
        rows[0].after,
        cells(
            "40 10 \"app\" 3 503 71 \"open\" 1795424400001000 1795424700250000 null null null 0 0 false \
             1795428000000000 null 1795424700250000"
        )
    );
    let call = read_in("maxwell", call_record_with("datetime-text", "text"), "call_record-update");
    assert_eq!((call[0].before[17].as_str(), call[0].after[17].as_str()), ("\"customer\"", "\"agent\""));
    assert_eq!((call[0].before[16].as_str(), call[0].after[16].as_str()), ("true", "false"));
}

#[test]
fn inserts_and_deletes_have_one_image() {
    let born = tickets("ticket-insert");
    assert_eq!((born[0].op, born[0].present), (Op::Insert, (0, 1)));
    assert_eq!(born[0].before, vec!["null"; 18]);
    let gone = tickets("ticket-delete");
    assert_eq!((gone[0].op, gone[0].present), (Op::Delete, (1, 0)));
    assert_eq!(gone[0].before[..7], cells("40 10 \"app\" 3 503 71 \"solved\""));
    assert_eq!(gone[0].event_time, (cell::VALUE, 1_795_426_200_500_000));
}

#[test]
fn the_place_of_a_row_is_its_statement_s_position_and_its_number_or_the_commit() {
    assert_eq!(tickets("ticket-insert")[0].origin, at(32_311, 0, 1));
    assert_eq!(tickets("ticket-update")[0].origin, at(32_828, u32::MAX, 1));
    assert_eq!(tickets("ticket-update-in-transaction")[0].origin, at(33_371, 0, 1));
    assert_eq!(tickets("ticket-delete")[0].origin, at(34_592, u32::MAX, 0));
    // Rows that share a position come in the order of their numbers, the committing one last.
    let text = String::from_utf8(sample("maxwell", "ticket-insert").value.unwrap()).unwrap();
    let place = |by: &str| decode(&text.replace("\"xoffset\":0", by)).1[0].origin.map(|o| o.position);
    let places = [place("\"xoffset\":0"), place("\"xoffset\":1"), place("\"commit\":true")];
    assert!(places.is_sorted() && places[0] < places[1] && places[1] < places[2], "{places:?}");
    assert_eq!(place("\"thread\":1"), None, "neither: the rows of a statement cannot be told apart");
    let of_server = decode(&text.replace("\"xoffset\":0", "\"xoffset\":0,\"server_id\":9")).1[0].origin;
    assert_eq!(of_server.unwrap().server, 9);
    for position in ["null", "\"0-1-17\"", "\"binlog:5\""] {
        let (_, rows) = decode(&text.replace("\"binlog.000003:32311\"", position));
        assert_eq!(rows[0].origin, None, "{position}");
    }
}

#[test]
fn a_changed_primary_key_is_the_end_of_one_row_and_the_beginning_of_another_and_no_event() {
    let rows = tickets("ticket-update-pk-change");
    assert_eq!(
        rows.iter().map(|r| (r.op, r.present)).collect::<Vec<_>>(),
        [(Op::RekeyDelete, (1, 0)), (Op::RekeyInsert, (0, 1))]
    );
    assert_eq!(rows.iter().map(|r| r.coordinates).collect::<Vec<_>>(), [(0, 7, 0), (0, 7, 1)]);
    assert_eq!((rows[0].before[0].as_str(), rows[1].after[0].as_str()), ("41", "42"));
    assert_eq!(rows[0].before[1..], rows[1].after[1..]);
    assert_eq!((rows[0].origin, rows[1].origin), (at(34_059, u32::MAX, 0), at(34_059, u32::MAX, 1)));
}

#[test]
fn a_bootstrap_s_rows_are_snapshot_reads_without_a_place() {
    let rows = tickets("ticket-bootstrap-insert");
    assert_eq!((rows[0].op, rows[0].present, rows[0].origin), (Op::Read, (0, 1), None));
    assert_eq!(rows[0].after[..8], cells("1 10 \"web\" 2 501 null \"pending\" 1795420800123000"));
    for name in ["ticket-bootstrap-start", "ticket-bootstrap-complete"] {
        let sample = sample("maxwell", name);
        let (outcome, _) = decode_fresh(&maxwell(ticket("datetime-text")), 0, &sample.record());
        assert_eq!(outcome, Outcome::Skipped(SkipReason::Mark), "{name}");
    }
}

#[test]
fn every_type_of_column_is_read() {
    let declared = || {
        source(
            "types_probe",
            "t",
            "id:int d:date-text dt0:datetime-text dt6:datetime-text ts3:datetime-text t3:duration-text \
             dec_:decimal(3) dbl:float flt:float b1:bool bool_:bool bit1:bool bit8:bits ub:uint-text js:json en:enum \
             st:set yr:int txt:text? dt3:datetime-text?",
        )
    };
    let text = format!("{:?}", "größe \"x\" 你好");
    let mut expected = cells(
        "12 1795392000000000 1795420800000000 1795420800123456 1795420800123000 28800123000 12345 0.1 0.1 true \
         true true 129 \"18446744073709551615\" \"{\\\"a\\\":1}\" \"b\" \"x,y\" 2026",
    );
    expected.extend([text.clone(), "1795420800123000".into()]);
    assert_eq!(read_in("maxwell", declared(), "types_probe-insert")[0].after, expected);
    let update = &read_in("maxwell", declared(), "types_probe-update")[0];
    assert_eq!(update.before, expected);
    assert_eq!(
        (update.after[6].as_str(), update.after[18].as_str(), update.after[19].as_str()),
        ("-500", "null", "null")
    );
    assert_eq!(read_in("maxwell", declared(), "types_probe-delete")[0].before, update.after);
    let whole = &read_in("maxwell-mariadb-no-fraction", declared(), "types_probe-insert")[0];
    assert_eq!((whole.after[3].as_str(), whole.after[19].as_str()), ("1795420800000000", "1795420800000000"));
    let ticket = &read_in("maxwell-mariadb-no-fraction", ticket("datetime-text"), "ticket-update")[0];
    assert_eq!(
        ticket.origin.unwrap().position,
        Position { file: 1, pos: 237_124_191, row: u32::MAX, rank: 1 }
    );
}

#[test]
fn the_three_formats_give_one_value_for_one_row() {
    let columns = |date: &str, datetime: &str, time: &str, decimal: &str, bits: &str| {
        format!(
            "d:{date} dt0:{datetime} dt6:{} t3:{time} dec_:{decimal}(3) dbl:float b1:bool bool_:bool bit1:bool \
             bit8:{bits} ub:uint-text js:json yr:int dt3:{datetime}",
            datetime.replace("-ms", "-us")
        )
    };
    let probe = |columns: String| source("types_probe", "t", &columns.replace("d:", "id:int d:"));
    let texts = || probe(columns("date-text", "datetime-text", "duration-text", "decimal", "bits"));
    let numbers = probe(columns("date-days", "datetime-ms", "duration-us", "decimal-base64", "bits-base64"));
    let debezium = sample("debezium-schemaless", "types_probe-insert");
    let by_debezium = decode_fresh(&[Arc::new(numbers)], 0, &debezium.record()).1[0][0].after[1..].to_vec();
    let by_maxwell = read_in("maxwell", texts(), "types_probe-insert")[0].after[1..].to_vec();
    let canal = [Arc::new(written_as(Format::CanalJson, texts()))];
    let by_canal =
        decode_fresh(&canal, 0, &sample("canal", "types_probe-insert").record()).1[0][0].after[1..].to_vec();
    assert_eq!(by_debezium, by_maxwell);
    assert_eq!(by_debezium, by_canal);
    assert!(!by_debezium.contains(&"unfit".to_string()), "{by_debezium:?}");
}

#[test]
fn definitions_and_tables_of_others_are_skipped() {
    let outcome =
        |name: &str| decode_fresh(&maxwell(ticket("datetime-text")), 0, &sample("maxwell", name).record()).0;
    assert_eq!(outcome("ddl-table-alter"), Outcome::Skipped(SkipReason::Ddl));
    assert_eq!(outcome("call_record-update"), Outcome::Skipped(SkipReason::UnknownTable));
    let none = decode_fresh(&maxwell(ticket("datetime-text")), 0, &record(Some(b"{\"pk.id\":1}"), None)).0;
    assert_eq!(none, Outcome::Skipped(SkipReason::Tombstone));
    assert_eq!(decode("null").0, Outcome::Skipped(SkipReason::Tombstone));
}

#[test]
fn what_is_no_maxwell_record_is_dead_and_says_why() {
    let change =
        |kind: &str, rest: &str| format!("{{\"type\":\"{kind}\",\"table\":\"ticket\",\"ts\":1{rest}}}");
    let row = ",\"data\":{\"id\":1}";
    let wrong = |why: &str| DeadReason::WrongShape(why.into());
    for (value, reason) in [
        ("[1]".into(), wrong("the value is no object")),
        ("{}".into(), wrong("it has no type")),
        ("{\"type\":1}".into(), wrong("its type is no text")),
        (change("INSERT", row), wrong("its type is INSERT")),
        ("{\"type\":\"insert\"}".into(), wrong("it has no table")),
        (change("insert", ""), wrong("it has no data")),
        (change("insert", ",\"data\":null"), wrong("it has no data")),
        (change("insert", ",\"data\":[1]"), wrong("its data is no object")),
        (change("update", row), wrong("it has no old")),
        (change("update", &format!("{row},\"old\":5")), wrong("its old is no object")),
        (change("insert", &format!("{row},\"xoffset\":-1")), wrong("its xoffset is no count")),
        (change("insert", &format!("{row},\"xoffset\":4294967296")), wrong("its xoffset is too large")),
        (change("insert", &format!("{row},\"server_id\":\"a\"")), wrong("its server_id is no count")),
        (
            change("insert", &format!("{row},\"commit\":true,\"position\":\"b.1:2\""))
                .replace("\"ts\":1", "\"ts\":9223372036854775807"),
            wrong("its ts is too large"),
        ),
        (
            change("insert", ",\"data\":{}"),
            DeadReason::Key("its row lacks id, but the table's key is id".into()),
        ),
        (change("delete", ",\"data\":{\"id\":null}"), DeadReason::Key("its row's id is null".into())),
    ] {
        let (outcome, rows) = decode(&value);
        assert_eq!(outcome, Outcome::Dead(reason), "{value}");
        assert!(rows.is_empty());
    }
    let text = String::from_utf8(sample("maxwell", "ticket-update").value.unwrap()).unwrap();
    for end in 0..text.len() {
        assert!(matches!(decode(&text[..end]).0, Outcome::Dead(DeadReason::NotJson(_))), "cut at {end}");
    }
}

#[test]
fn a_field_that_does_not_fit_costs_that_field_only() {
    let text = String::from_utf8(sample("maxwell", "ticket-update").value.unwrap()).unwrap();
    let (outcome, rows) = decode(&text.replace("\"queue_id\":10", "\"queue_id\":{\"a\":1}"));
    assert_eq!(outcome, Outcome::Applied { source: 0, rows: 1 });
    assert_eq!((rows[0].before[1].as_str(), rows[0].after[1].as_str()), ("unfit", "unfit"));
    assert_eq!(rows[0].after[2], "\"app\"");
}
