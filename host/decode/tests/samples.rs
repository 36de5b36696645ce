//! Every sample record of real connectors, against expectations written by hand.
#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;
mod support;
use support::record;

use samples::sample;
use std::sync::Arc;
use support::{
    Row, agent_state, asking_for_all, batches, call_record, decode_fresh, im_session, rows, source,
};
use support::{survey, ticket};
use weir_decode::{DeadReason, Outcome, SkipReason};
use weir_types::batch::{Op, Origin, Position, cell};
use weir_types::schema::SourceDecl;

const APPLIED: Outcome = Outcome::Applied { source: 0, rows: 1 };

fn one(source: SourceDecl, folder: &str, name: &str) -> Row {
    let sources = [Arc::new(source)];
    let sample = sample(folder, name);
    let (outcome, mut rows) = decode_fresh(&sources, 0, &sample.record());
    assert_eq!(outcome, APPLIED, "{folder}/{name}");
    rows[0].remove(0)
}

fn cells(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

fn at(pos: u64, rank: u8) -> Option<Origin> {
    let position = Position { file: 1, pos, row: 0, rank };
    Some(Origin { server: 1, position, source_time: 1_795_465_991_000_000 })
}

#[test]
fn a_ticket_update_has_both_images() {
    let row = one(ticket("time-ms"), "debezium-schemaless", "ticket-update");
    assert_eq!(row.op, Op::Update);
    assert_eq!(row.present, (1, 1));
    assert_eq!(row.event_time, (cell::VALUE, 1_795_424_700_250_000));
    assert_eq!(row.origin, at(8439, 1));
    assert_eq!(row.coordinates, (0, 7, 0));
    assert_eq!(
        row.before,
        cells(
            "3 10 \"app\" 3 503 null \"new\" 1795424400001000 null null null null 0 0 false \
             1795428000000000 1795510800000000 1795424400001000"
        )
    );
    assert_eq!(
        row.after,
        cells(
            "3 10 \"app\" 3 503 71 \"open\" 1795424400001000 1795424700250000 null null null 0 0 false \
             1795428000000000 1795510800000000 1795424700250000"
        )
    );
}

#[test]
fn a_ticket_update_within_the_schema_envelope_is_read_the_same_way() {
    let row = one(ticket("time-ms"), "debezium-schema", "ticket-update");
    assert_eq!((row.op, row.present), (Op::Update, (1, 1)));
    assert_eq!(row.event_time, (cell::VALUE, 1_795_424_760_999_000));
    assert_eq!(row.origin, at(9158, 1));
    assert_eq!(
        row.before,
        cells(
            "1 10 \"web\" 2 501 null \"new\" 1795420800123000 null null null null 0 0 false \
             1795424400000000 1795507200000000 1795420800123000"
        )
    );
    assert_eq!(
        row.after,
        cells(
            "1 10 \"web\" 2 501 null \"new\" 1795420800123000 null 1795424760999000 null null 0 1 true \
             1795424400000000 1795507200000000 1795424760999000"
        )
    );
}

#[test]
fn a_call_update_has_both_images() {
    for folder in ["debezium-schemaless", "debezium-schema"] {
        let row = one(call_record(), folder, "call_record-update");
        assert_eq!((row.op, row.present), (Op::Update, (1, 1)));
        assert_eq!(row.event_time, (cell::VALUE, 1_795_421_160_000_000));
        assert_eq!(row.origin, at(11789, 1));
        assert_eq!(
            row.before,
            cells(
                "1 20 \"inbound\" 501 null \"queued\" 1795420800000000 1795420805250000 null null null \
                 0 0 0 0 false false null 1795420805250000"
            )
        );
        assert_eq!(
            row.after,
            cells(
                "1 20 \"inbound\" 501 71 \"done\" 1795420800000000 1795420805250000 1795420820750000 \
                 1795421100000000 1795421160000000 270 9 1 0 false true \"customer\" 1795421160000000"
            )
        );
    }
}

#[test]
fn an_insert_has_no_before_image_and_a_delete_no_after_image() {
    for folder in ["debezium-schemaless", "debezium-schema"] {
        let insert = one(ticket("time-ms"), folder, "ticket-insert");
        assert_eq!((insert.op, insert.present), (Op::Insert, (0, 1)));
        assert_eq!(insert.origin, at(7815, 1));
        assert_eq!(insert.before, vec!["null"; 18]);
        assert_eq!(insert.after[0], "3");
        let delete = one(ticket("time-ms"), folder, "ticket-delete");
        assert_eq!((delete.op, delete.present), (Op::Delete, (1, 0)));
        assert_eq!(delete.origin, at(15016, 0));
        assert_eq!(delete.after, vec!["null"; 18]);
        assert_eq!(delete.before[..6], cells("4 11 \"email\" 1 502 71"));
        assert_eq!(delete.event_time, (cell::VALUE, 1_795_420_920_001_000), "that of the before image");
    }
}

#[test]
fn the_halves_of_a_changed_key_are_no_events_and_the_delete_comes_first() {
    for folder in ["debezium-schemaless", "debezium-schema"] {
        let delete = one(ticket("time-ms"), folder, "ticket-pk-change-delete");
        let insert = one(ticket("time-ms"), folder, "ticket-pk-change-insert");
        assert_eq!((delete.op, insert.op), (Op::RekeyDelete, Op::RekeyInsert));
        assert_eq!((delete.origin, insert.origin), (at(14415, 0), at(14415, 1)));
        assert!(delete.origin.unwrap().position < insert.origin.unwrap().position);
        assert_eq!((delete.before[0].as_str(), insert.after[0].as_str()), ("2", "4"));
    }
}

#[test]
fn a_snapshot_read_stands_at_the_place_of_its_snapshot() {
    let row = one(ticket("time-ms"), "debezium-schemaless", "ticket-snapshot-read");
    assert_eq!((row.op, row.present), (Op::Read, (0, 1)));
    let origin = row.origin.unwrap();
    assert_eq!((origin.server, origin.position.row, origin.position.rank), (0, 0, 0));
    assert_eq!(row.event_time, (cell::VALUE, 1_795_420_800_123_000));
    let row = one(call_record(), "debezium-schemaless", "call_record-snapshot-read");
    assert_eq!(row.op, Op::LastRead);
    assert_eq!(
        row.after,
        cells(
            "1 20 \"inbound\" 501 null \"queued\" 1795420800000000 1795420805250000 null null null \
             0 0 0 0 false false null 1795420805250000"
        )
    );
}

#[test]
fn a_truncate_has_no_image_at_all_and_needs_no_key() {
    let row = one(survey(), "debezium-schemaless", "survey-truncate");
    assert_eq!((row.op, row.present), (Op::Truncate, (0, 0)));
    assert_eq!(row.event_time, (cell::NULL, 0));
    assert_eq!(row.origin.unwrap().position, Position { file: 1, pos: 479_152, row: 0, rank: 1 });
}

#[test]
fn a_column_that_nobody_declared_is_ignored_and_one_that_is_declared_is_read() {
    for folder in ["debezium-schemaless", "debezium-schema"] {
        let row = one(ticket("time-ms"), folder, "ticket-update-after-alter");
        assert_eq!(row.after[6], "\"pending\"");
        let declared = source("ticket", "t", "id:int status:text subject_line:text? updated_at:time-ms");
        let row = one(declared, folder, "ticket-update-after-alter");
        assert_eq!(row.before, ["1", "\"new\"", "null", "1795424760999000"]);
        assert_eq!(row.after[2], format!("{:?}", "größe \"x\" 你好"));
    }
}

#[test]
fn the_same_ticket_is_read_whatever_form_the_connector_gives_to_times() {
    // The folders' samples of that name are two different updates.
    let first = one(ticket("time-ms"), "debezium-schemaless", "ticket-update");
    let second = one(ticket("time-ms"), "debezium-schema", "ticket-update");
    for (folder, time) in [
        ("debezium-time-microseconds", "time-us"),
        ("debezium-time-connect-decimal-string", "time-ms"),
        ("debezium-time-isostring-decimal-double", "time-iso"),
    ] {
        let row = one(ticket(time), folder, "ticket-update");
        assert!(row == first || row == second, "{folder}: {row:?}");
        let read = one(ticket(time), folder, "ticket-snapshot-read");
        assert_eq!(read.event_time, (cell::VALUE, 1_795_420_800_123_000), "{folder}");
    }
}

#[test]
fn the_other_tables_are_read() {
    let folder = "debezium-schemaless";
    let session = one(im_session("time-ms", "text"), folder, "im_session-update");
    assert_eq!(session.after[..6], cells("1 30 \"wechat\" 503 null \"closed\""));
    assert_eq!(session.after[12..], cells("1795421400000000 1 3 \"MDk=\" 1795421400000000"));
    let state = one(agent_state(), folder, "agent_state-update");
    let expected = "71 10 \"on_contact\" 1795424820000000 5 2 1795424820000000";
    assert_eq!(state.after, cells(expected));
    let answer = one(survey(), folder, "survey-update");
    let expected = "2 \"ticket\" 3 10 71 1795424820000000 5 true 1795424880000000 1795424880000000";
    assert_eq!(answer.after, cells(expected));
    assert_eq!(answer.before[6..9], cells("null null null"));
    let insert = one(survey(), folder, "survey-insert");
    assert_eq!((insert.op, insert.after[7].as_str()), (Op::Insert, "null"));
}

#[test]
fn decimals_are_floats_where_the_connector_writes_numbers_or_digits_and_unfit_as_base64() {
    let wait = |folder, time| one(im_session(time, "float"), folder, "im_session-update").after[15].clone();
    assert_eq!(wait("debezium-time-connect-decimal-string", "time-ms"), "12.345");
    assert_eq!(wait("debezium-time-isostring-decimal-double", "time-iso"), "12.345");
    assert_eq!(wait("debezium-schemaless", "time-ms"), "unfit");
}

#[test]
fn every_type_of_column_is_read_or_unfit_for_that_column_only() {
    let declared = || {
        source(
            "types_probe",
            "t",
            "id:int d:int dt0:time-ms? dt6:time-us? ts3:time-iso t3:int dec_:float dbl:float flt:float b1:bool \
             bool_:bool bit1:bool bit8:text ub:int js:text bl:text en:text? yr:int txt:text nowhere:int? dt3:time-ms",
        )
    };
    for folder in ["debezium-schemaless", "debezium-schema"] {
        let row = one(declared(), folder, "types_probe-insert");
        let expected = "1 20780 1795420800000000 1795420800123456 1795420800123000 28800123000 unfit 0.1 0.1 true \
            true true \"gQ==\" -1 \"{\\\"a\\\":1}\" \"AP8Q\" \"b\" 2026 \"hello\" unfit 1795420800123000";
        assert_eq!(row.after, cells(expected), "{folder}");
        let row = one(declared(), folder, "types_probe-insert-before-1970");
        let expected = "2 unfit null null unfit unfit unfit unfit unfit unfit \
            unfit unfit unfit unfit unfit unfit null unfit unfit unfit -1000";
        assert_eq!(row.after, cells(expected), "{folder}");
        assert_eq!(row.event_time, (cell::VALUE, -1_000));
    }
    let row = one(declared(), "debezium-time-connect-decimal-string", "types_probe-insert");
    assert_eq!(row.after[6], "12.345");
}

#[test]
fn control_records_are_skipped_with_their_reason() {
    let sources = [Arc::new(ticket("time-ms"))];
    for (name, reason) in [
        ("heartbeat", SkipReason::Heartbeat),
        ("transaction-begin", SkipReason::Mark),
        ("transaction-end", SkipReason::Mark),
        ("ddl-alter-table", SkipReason::Ddl),
        ("ddl-create-table", SkipReason::Ddl),
        ("ticket-tombstone", SkipReason::Tombstone),
        ("survey-insert", SkipReason::UnknownTable),
    ] {
        for folder in ["debezium-schemaless", "debezium-schema"] {
            let sample = sample(folder, name);
            let (outcome, _) = decode_fresh(&sources, 0, &sample.record());
            assert_eq!(outcome, Outcome::Skipped(reason), "{folder}/{name}");
        }
    }
    for name in ["ddl-snapshot-drop-table", "schema-history-record"] {
        let sample = sample("debezium-schemaless", name);
        let (outcome, _) = decode_fresh(&sources, 0, &sample.record());
        assert_eq!(outcome, Outcome::Skipped(SkipReason::Ddl), "{name}");
    }
}

#[test]
fn a_stream_of_all_samples_on_one_topic_goes_to_its_sources_in_any_order() {
    let mut sources =
        vec![ticket("time-ms"), call_record(), im_session("time-ms", "text"), agent_state(), survey()];
    sources.iter_mut().for_each(|s| s.topics = vec!["all".into()]);
    let sources: Vec<_> = sources.into_iter().map(Arc::new).collect();
    let mut all = samples::all("debezium-schemaless");
    all.extend(samples::all("debezium-schema"));
    let mut decoder = asking_for_all(&sources);
    assert_eq!(decoder.topics(), ["all"]);
    let mut into = batches(&sources);
    let mut expected = vec![Vec::new(); sources.len()];
    for round in 0..4 {
        for i in 0..all.len() {
            // Another order each round: 7 and 1 have no factor in common with the number of samples.
            let sample = &all[(i * [1, 7, all.len() - 1, 1][round]) % all.len()];
            let (fresh, fresh_rows) = decode_fresh(&sources, 0, &sample.record());
            let outcome = decoder.decode(0, &sample.record(), &mut into);
            assert_eq!(outcome, fresh, "{}/{}", sample.folder, sample.name);
            assert!(!matches!(outcome, Outcome::Dead(_)), "{}/{}: {outcome:?}", sample.folder, sample.name);
            for (all, one) in expected.iter_mut().zip(fresh_rows) {
                all.extend(one);
            }
        }
    }
    for (index, source) in sources.iter().enumerate() {
        assert_eq!(rows(source, &into[index]), expected[index], "{}", source.name);
        assert!(!into[index].is_empty());
    }
}

#[test]
fn only_columns_asked_for_are_decoded_besides_key_and_event_time() {
    let sources = [Arc::new(ticket("time-ms"))];
    let mut decoder = weir_decode::Decoder::new(&sources);
    decoder.set_asked(0, &[4].into());
    assert_eq!(decoder.asked(0), [0, 4, 17]);
    let mut into = batches(&sources);
    let sample = sample("debezium-schemaless", "ticket-update");
    for _ in 0..3 {
        assert_eq!(decoder.decode(0, &sample.record(), &mut into), APPLIED);
    }
    support::check_lengths(&into[0], decoder.asked(0));
    decoder.set_asked(0, &[1].into());
    into[0].clear();
    assert_eq!(decoder.decode(0, &sample.record(), &mut into), APPLIED);
    support::check_lengths(&into[0], &[0, 1, 17]);
}

#[test]
fn a_source_may_have_several_topics_and_a_topic_several_sources() {
    let mut first = ticket("time-ms");
    first.topics = vec!["a".into(), "b".into()];
    let mut second = call_record();
    second.topics = vec!["b".into(), "c".into()];
    let sources = [Arc::new(first), Arc::new(second)];
    let mut decoder = asking_for_all(&sources);
    assert_eq!(decoder.topics(), ["a", "b", "c"]);
    let mut into = batches(&sources);
    let ticket = sample("debezium-schemaless", "ticket-update");
    let call = sample("debezium-schemaless", "call_record-update");
    let unknown = Outcome::Skipped(SkipReason::UnknownTable);
    for _ in 0..3 {
        assert_eq!(decoder.decode(0, &ticket.record(), &mut into), APPLIED);
        assert_eq!(decoder.decode(1, &ticket.record(), &mut into), APPLIED);
        assert_eq!(decoder.decode(2, &ticket.record(), &mut into), unknown);
        assert_eq!(decoder.decode(0, &call.record(), &mut into), unknown);
        assert_eq!(decoder.decode(1, &call.record(), &mut into), Outcome::Applied { source: 1, rows: 1 });
    }
    assert_eq!((into[0].len(), into[1].len()), (6, 3));
}

#[test]
fn the_key_is_read_in_the_schema_envelope_too() {
    let sources = [Arc::new(ticket("time-ms"))];
    let mut sample = sample("debezium-schema", "ticket-update");
    sample.key = Some(br#"{"schema":{"type":"struct"},"payload":{"no":1}}"#.to_vec());
    let (outcome, _) = decode_fresh(&sources, 0, &sample.record());
    assert_eq!(outcome, Outcome::Dead(DeadReason::Key("it lacks id, but the table's key is id".into())));
    let plain = record(Some(br#"{"id":1}"#), sample.value.as_deref());
    assert_eq!(decode_fresh(&sources, 0, &plain).0, APPLIED);
}
