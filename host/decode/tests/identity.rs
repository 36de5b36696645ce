//! What names a row beside its record's key: the primary key in its image, and the database of its table.
#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;
mod support;
use support::record;

use samples::sample;
use std::sync::Arc;
use support::{asking_for_all, batches, decode_fresh, im_session, rows, source, survey, ticket, written_as};
use weir_decode::{DeadReason, Outcome, SkipReason};
use weir_types::schema::{ColumnType, Format, Reading, SourceDecl};

const UNKNOWN: Outcome = Outcome::Skipped(SkipReason::UnknownTable);

fn tickets(format: Format) -> SourceDecl {
    written_as(format, source("ticket", "t", "id:int status:text updated_at:time-ms"))
}

fn row(id: &str) -> String {
    format!("{{\"id\":{id},\"status\":\"open\",\"updated_at\":1000}}")
}

fn debezium(op: &str, before: &str, after: &str) -> String {
    format!(
        "{{\"before\":{before},\"after\":{after},\"source\":{{\"db\":\"service\",\"table\":\"ticket\"}},\"op\":\"{op}\"}}"
    )
}

fn canal(kind: &str, data: &[String], old: &str) -> String {
    let data = data.join(",");
    format!(
        "{{\"type\":\"{kind}\",\"isDdl\":false,\"database\":\"service\",\"table\":\"ticket\",\"data\":[{data}],\"old\":{old}}}"
    )
}

fn maxwell(kind: &str, data: &str, old: &str) -> String {
    format!(
        "{{\"type\":\"{kind}\",\"database\":\"service\",\"table\":\"ticket\",\"data\":{data},\"old\":{old}}}"
    )
}

/// Decodes good records, this one, and a good one again; what became of it alone and among them must be the same.
fn outcome(format: Format, good: &str, value: &str) -> Outcome {
    let sources = [Arc::new(tickets(format))];
    let mut decoder = asking_for_all(&sources);
    let mut into = batches(&sources);
    let mut feed = |value: &str| {
        let key = b"{\"id\":7}";
        decoder.decode(0, &record(Some(key), Some(value.as_bytes())), &mut into)
    };
    assert_eq!(feed(good), Outcome::Applied { source: 0, rows: 1 });
    assert_eq!(feed(good), Outcome::Applied { source: 0, rows: 1 });
    let outcome = feed(value);
    assert_eq!(feed(good), Outcome::Applied { source: 0, rows: 1 });
    if !matches!(outcome, Outcome::Applied { .. }) {
        assert_eq!(rows(&sources[0], &into[0]).len(), 3, "nothing of it is left");
    }
    let record = record(Some(b"{\"id\":7}"), Some(value.as_bytes()));
    assert_eq!(decode_fresh(&sources, 0, &record).0, outcome);
    outcome
}

#[test]
fn a_record_whose_primary_key_does_not_fit_its_declared_type_is_dead_in_every_format() {
    let why = "its id is not of the declared type, so no row can be found";
    let dead = Outcome::Dead(DeadReason::Key(why.into()));
    let fine = row("7");
    for id in ["\"abc\"", "7.5", "18446744073709551615", "[7]", "true"] {
        let bad = row(id);
        let old = format!("{{\"id\":{id}}}");
        let good = debezium("c", "null", &fine);
        for value in [
            debezium("c", "null", &bad),
            debezium("r", "null", &bad),
            debezium("u", &bad, &bad),
            debezium("d", &bad, "null"),
        ] {
            assert_eq!(outcome(Format::DebeziumJson, &good, &value), dead, "{value}");
        }
        let good = canal("INSERT", std::slice::from_ref(&fine), "null");
        for value in [
            canal("INSERT", std::slice::from_ref(&bad), "null"),
            canal("INSERT", &[fine.clone(), bad.clone()], "null"),
            canal("DELETE", &[bad.clone(), fine.clone()], "null"),
            canal("UPDATE", std::slice::from_ref(&bad), "[{}]"),
            canal("UPDATE", std::slice::from_ref(&fine), &format!("[{old}]")),
        ] {
            assert_eq!(outcome(Format::CanalJson, &good, &value), dead, "{value}");
        }
        let good = maxwell("insert", &fine, "null");
        for value in [
            maxwell("insert", &bad, "null"),
            maxwell("bootstrap-insert", &bad, "null"),
            maxwell("delete", &bad, "null"),
            maxwell("update", &bad, "{}"),
            maxwell("update", &fine, &old),
        ] {
            assert_eq!(outcome(Format::MaxwellJson, &good, &value), dead, "{value}");
        }
        assert_eq!(outcome(Format::PlainJson, &fine, &bad), dead, "{bad}");
    }
}

#[test]
fn a_debezium_row_whose_image_lacks_its_primary_key_is_dead_though_its_record_s_key_has_it() {
    let good = debezium("c", "null", &row("7"));
    for after in ["{\"status\":\"open\",\"updated_at\":1000}".to_string(), row("null")] {
        let outcome = outcome(Format::DebeziumJson, &good, &debezium("c", "null", &after));
        assert!(matches!(outcome, Outcome::Dead(DeadReason::Key(_))), "{outcome:?}");
    }
}

#[test]
fn an_unsigned_key_beyond_its_type_is_dead_and_as_text_it_is_the_number_that_it_stands_for() {
    let of = |ty: &str| {
        let mut source = im_session("time-ms", "decimal-base64(3)");
        source.columns[0].ty = ColumnType::parse(ty).unwrap();
        [Arc::new(source)]
    };
    let max = sample("debezium-schemaless", "im_session-insert-unsigned-max");
    let (outcome, left) = decode_fresh(&of("uint"), 0, &max.record());
    assert!(matches!(outcome, Outcome::Dead(DeadReason::Key(_))), "{outcome:?}");
    assert!(left[0].is_empty());
    let (_, left) = decode_fresh(&of("uint-text"), 0, &max.record());
    assert_eq!(left[0][0].after[0], "\"18446744073709551615\"");
}

/// The source, of one database.
fn of(database: &str, source: SourceDecl) -> SourceDecl {
    SourceDecl { reading: Reading { database: Some(database.into()), ..Reading::default() }, ..source }
}

/// The same record of another database, or of none.
fn elsewhere(value: &str, name: &str) -> Vec<String> {
    let ours = format!("\"{name}\":\"service\"");
    assert!(value.contains(&ours), "{value}");
    let others = ["\"staging\"", "\"servic\"", "\"Service\"", "null", "7"];
    let other = |other: &str| value.replace(&ours, &format!("\"{name}\":{other}"));
    others.iter().map(|name| other(name)).chain([value.replace(&format!("{ours},"), "")]).collect()
}

#[test]
fn a_record_of_another_database_is_of_an_unknown_table_where_the_source_names_its_own() {
    for (folder, name, format, declared) in [
        ("debezium-schemaless", "ticket-update", Format::DebeziumJson, ticket("time-ms")),
        ("debezium-schema", "ticket-update", Format::DebeziumJson, ticket("time-ms")),
        ("debezium-schemaless", "survey-truncate", Format::DebeziumJson, survey()),
        ("canal", "ticket-update", Format::CanalJson, ticket("datetime-text")),
        ("canal", "ddl-truncate", Format::CanalJson, survey()),
        ("maxwell", "ticket-update", Format::MaxwellJson, ticket("datetime-text")),
    ] {
        let field = if format == Format::DebeziumJson { "db" } else { "database" };
        let sample = sample(folder, name);
        let ours = String::from_utf8(sample.value.clone().unwrap()).unwrap();
        let declared = written_as(format, declared);
        let applied = Outcome::Applied { source: 0, rows: 1 };
        let sources = [Arc::new(of("service", declared.clone()))];
        let mut decoder = asking_for_all(&sources);
        let mut into = batches(&sources);
        let mut feed = |value: &str| {
            decoder.decode(
                0,
                &weir_types::record::Record { value: Some(value.as_bytes()), ..sample.record() },
                &mut into,
            )
        };
        for other in elsewhere(&ours, field) {
            for _ in 0..2 {
                assert_eq!(feed(&ours), applied, "{folder} {name}");
                assert_eq!(feed(&other), UNKNOWN, "{folder} {name}: {other}");
                assert_eq!(feed(&other), UNKNOWN, "{folder} {name}: {other}");
            }
        }
        let anywhere = [Arc::new(declared)];
        for other in elsewhere(&ours, field) {
            let record = weir_types::record::Record { value: Some(other.as_bytes()), ..sample.record() };
            assert_eq!(decode_fresh(&anywhere, 0, &record).0, applied, "{folder} {name}: {other}");
        }
    }
}

#[test]
fn one_table_of_two_databases_is_two_sources_and_one_that_names_none_takes_the_rest() {
    let one = |name: &str, source: SourceDecl| SourceDecl { name: name.into(), ..source };
    for format in [Format::DebeziumJson, Format::CanalJson, Format::MaxwellJson] {
        let sources = [
            Arc::new(one("a", of("service", tickets(format)))),
            Arc::new(one("b", of("staging", tickets(format)))),
            Arc::new(one("c", tickets(format))),
        ];
        let value = match format {
            Format::DebeziumJson => debezium("c", "null", &row("7")),
            Format::CanalJson => canal("INSERT", &[row("7")], "null"),
            _ => maxwell("insert", &row("7"), "null"),
        };
        let mut decoder = asking_for_all(&sources);
        let mut into = batches(&sources);
        for (nth, database) in ["service", "x", "y", "staging", "x", "service", "z", "staging"]
            .iter()
            .cycle()
            .take(40)
            .enumerate()
        {
            let value = value.replace("\"service\"", &format!("\"{database}\""));
            let record = record(Some(b"{\"id\":7}"), Some(value.as_bytes()));
            let source = match *database {
                "service" => 0,
                "staging" => 1,
                _ => 2,
            };
            let outcome = decoder.decode(0, &record, &mut into);
            assert_eq!(outcome, Outcome::Applied { source, rows: 1 }, "{format:?}, {nth}: {database}");
        }
    }
}
