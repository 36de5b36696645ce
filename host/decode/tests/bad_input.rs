//! Bad records: each is excluded, skipped or dead with its reason, and the stream goes on.
#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;
mod support;
use support::record;

use samples::sample;
use std::sync::Arc;
use support::{Row, asking_for_all, batches, check_lengths, decode_fresh, rows, ticket};
use weir_decode::{DeadReason, Decoder, Outcome, SkipReason};
use weir_types::batch::ChangeBatch;
use weir_types::record::Record;
use weir_types::schema::SourceDecl;

const KEY: &[u8] = br#"{"id":3}"#;

fn good() -> String {
    String::from_utf8(sample("debezium-schemaless", "ticket-update").value.unwrap()).unwrap()
}

/// Decodes by a fresh decoder and by one that has seen good records; both must say the same, and a
/// good record afterwards must be read as if nothing had been.
fn decode(record: &Record<'_>) -> (Outcome, Option<Row>) {
    let sources: [Arc<SourceDecl>; 1] = [Arc::new(ticket("time-ms"))];
    let (fresh, fresh_rows) = decode_fresh(&sources, 0, record);
    let good = good();
    let good = self::record(Some(KEY), Some(good.as_bytes()));
    let mut decoder = asking_for_all(&sources);
    let mut into = batches(&sources);
    let feed = |decoder: &mut Decoder, into: &mut Vec<ChangeBatch>| {
        assert_eq!(decoder.decode(0, &good, into), Outcome::Applied { source: 0, rows: 1 });
    };
    feed(&mut decoder, &mut into);
    feed(&mut decoder, &mut into);
    let outcome = decoder.decode(0, record, &mut into);
    check_lengths(&into[0], decoder.asked(0));
    feed(&mut decoder, &mut into);
    let all = rows(&sources[0], &into[0]);
    assert_eq!(outcome, fresh);
    assert_eq!(all.len(), 3 + fresh_rows[0].len());
    assert_eq!(all[0], all[all.len() - 1]);
    let row = (all.len() == 4).then(|| all[2].clone());
    assert_eq!(row, fresh_rows[0].first().cloned());
    (outcome, row)
}

fn decode_value(value: &str) -> (Outcome, Option<Row>) {
    decode(&record(Some(KEY), Some(value.as_bytes())))
}

fn code(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Dead(reason) => reason.code(),
        Outcome::Skipped(reason) => reason.name(),
        Outcome::Applied { .. } => "applied",
    }
}

/// The good record with one thing replaced (in the after image, where it occurs twice).
fn with(what: &str, by: &str) -> String {
    let good = good();
    let at = good.rfind(what).unwrap();
    format!("{}{by}{}", &good[..at], &good[at + what.len()..])
}

#[test]
fn bytes_that_are_no_json_are_dead() {
    for value in
        ["", "hello", "{", "{\"op\":\"u\"", "\"open", "[1,2", "{\"a\":tru}", "nul", "{}{}", "{'op':'u'}"]
    {
        assert_eq!(code(&decode_value(value).0), "not-json", "{value}");
    }
    for value in [&[0xff, 0xfe][..], b"\x00\x01", b"{\"op\":\"\xff\"}", &[b'['; 100_000]] {
        assert_eq!(code(&decode(&record(Some(KEY), Some(value))).0), "not-json");
    }
}

#[test]
fn a_record_cut_anywhere_or_with_bytes_after_its_end_is_dead() {
    let good = good();
    for end in 0..good.len() {
        assert_eq!(code(&decode_value(&good[..end]).0), "not-json", "cut at {end}");
    }
    for tail in ["}", ",", "x", "{}", "\u{0}", good.as_str()] {
        assert_eq!(code(&decode_value(&format!("{good}{tail}")).0), "not-json", "{tail}");
    }
    assert_eq!(code(&decode_value(&format!(" {good}\n")).0), "applied", "white space is JSON");
}

#[test]
fn garbage_in_a_value_that_nobody_asked_for_is_seen_too() {
    for (what, by) in [
        ("\"gtid\":\"0-1-17\"", "\"gtid\":\"0-1-\n\""),
        ("\"gtid\":\"0-1-17\"", "\"gtid\":nul"),
        ("\"gtid\":\"0-1-17\"", "\"gtid\":\"\\q\""),
        ("\"ts_ns\":1795465991628767880", "\"ts_ns\":01"),
        ("\"total_order\":1", "\"total_order\":[1}"),
        ("\"thread\":null", "\"thread\":+1"),
    ] {
        assert_eq!(code(&decode_value(&with(what, by)).0), "not-json", "{by}");
    }
}

#[test]
fn json_of_another_shape_is_dead_and_says_why() {
    for (value, why) in [
        ("12", "the value is no object"),
        ("[1]", "the value is no object"),
        ("\"text\"", "the value is no object"),
        ("{}", "it has no op"),
        ("{\"a\":1}", "it has no op"),
        ("{\"ts_ms\":1,\"id\":3}", "it has no op"),
        ("{\"status\":\"open\",\"id\":3}", "it has no op"),
        ("{\"schema\":{},\"payload\":[1]}", "its payload is no object"),
        ("{\"op\":\"u\"}", "it has no source block"),
        ("{\"op\":\"u\",\"source\":\"mysql\"}", "its source is no object"),
        ("{\"op\":\"u\",\"source\":{\"table\":5}}", "its source.table is no text"),
        (&with("\"op\":\"u\"", "\"op\":\"x\""), "its op is \"x\""),
        (&with("\"op\":\"u\"", "\"op\":7"), "its op is 7"),
        (&with("\"pos\":8439", "\"pos\":\"8439\""), "its source.pos is no count"),
        (&with("\"pos\":8439", "\"pos\":-1"), "its source.pos is no count"),
        (&with("\"row\":0", "\"row\":4294967296"), "its source.row is too large"),
        (&with("\"after\":{", "\"after\":5,\"later\":{"), "its after image is no object"),
    ] {
        let (outcome, _) = decode_value(value);
        assert_eq!(outcome, Outcome::Dead(DeadReason::WrongShape(why.into())), "{value}");
    }
}

#[test]
fn an_op_whose_images_do_not_go_with_it_is_dead() {
    for op in ["c", "r", "d", "t"] {
        let (outcome, _) = decode_value(&with("\"op\":\"u\"", &format!("\"op\":\"{op}\"")));
        assert_eq!(code(&outcome), "wrong-shape", "{op} with both images");
    }
    let no_after = with("\"after\":{", "\"after\":null,\"later\":{");
    assert_eq!(code(&decode_value(&no_after).0), "wrong-shape");
    let (outcome, row) = decode_value(&with("\"before\":{", "\"before\":null,\"sooner\":{"));
    assert_eq!((code(&outcome), row.unwrap().present), ("applied", (0, 1)));
}

#[test]
fn a_field_that_does_not_fit_is_unfit_for_its_column_only() {
    let good_row = decode_value(&good()).1.unwrap();
    for (what, by) in [
        // A missing field.
        ("\"queue_id\":10,", ""),
        // A wrong type.
        ("\"queue_id\":10,", "\"queue_id\":\"ten\","),
        ("\"queue_id\":10,", "\"queue_id\":10.0,"),
        ("\"queue_id\":10,", "\"queue_id\":{\"a\":[1,\"}\"]},"),
        ("\"queue_id\":10,", "\"queue_id\":[],"),
        ("\"queue_id\":10,", "\"queue_id\":true,"),
        ("\"queue_id\":10,", "\"queue_id\":\"\\udc00\","),
        // Greater than an i64.
        ("\"queue_id\":10,", "\"queue_id\":18446744073709551615,"),
        ("\"queue_id\":10,", "\"queue_id\":-9223372036854775809,"),
        // Null where null does not fit.
        ("\"queue_id\":10,", "\"queue_id\":null,"),
    ] {
        let (outcome, row) = decode_value(&with(what, by));
        assert_eq!(code(&outcome), "applied", "{by}");
        let mut expected = good_row.clone();
        expected.after[1] = "unfit".into();
        assert_eq!(row.unwrap(), expected, "{by}");
    }
}

#[test]
fn a_number_in_text_is_that_number_and_the_last_of_two_fields_counts() {
    let good_row = decode_value(&good()).1.unwrap();
    for by in [
        "\"queue_id\":\"10\",",
        "\"queue_id\":99,\"queue_id\":10,",
        " \"queue_id\" : 10 ,",
        "\"queue_\\u0069d\":10,",
    ] {
        assert_eq!(decode_value(&with("\"queue_id\":10,", by)).1.unwrap(), good_row, "{by}");
    }
}

#[test]
fn an_event_time_that_does_not_fit_is_unfit_as_the_column_is() {
    let (_, row) = decode_value(&with("\"updated_at\":1795424700250", "\"updated_at\":9223372036854775807"));
    let row = row.unwrap();
    assert_eq!(row.after[17], "unfit");
    assert_eq!(row.event_time, (weir_types::batch::cell::UNFIT, 0));
}

#[test]
fn a_key_that_cannot_be_used_is_dead() {
    let good = good();
    for (key, why) in [
        (None, "it is null"),
        (Some("".as_bytes()), "no JSON object"),
        (Some(b"3"), "no JSON object"),
        (Some(b"{\"id\":3"), "no JSON object"),
        (Some(b"{\"id\":3}}"), "no JSON object"),
        (Some(b"{\"no\":3}"), "it lacks id"),
        (Some(b"{\"id\":null}"), "its id is null"),
        (Some(b"{}"), "it lacks id"),
        (Some(b"\xff"), "not UTF-8"),
        (Some(b"\x00\x00\x00\x00\x01\x06"), "schema registry header"),
        (Some(b"{\"schema\":{},\"payload\":3}"), "payload is no object"),
    ] {
        let (outcome, _) = decode(&record(key, Some(good.as_bytes())));
        let Outcome::Dead(reason) = &outcome else { panic!("{outcome:?} of {key:?}") };
        assert_eq!(reason.code(), "key");
        assert!(reason.to_string().contains(why), "{reason} lacks {why}");
    }
    for key in
        [&b"{\"id\":4}"[..], b"{ \"id\" : 3 }\n", b"{\"more\":[1],\"id\":\"3\"}", b"{\"id\":1,\"id\":3}"]
    {
        assert_eq!(code(&decode(&record(Some(key), Some(good.as_bytes()))).0), "applied");
    }
}

#[test]
fn a_null_key_does_not_matter_where_no_row_is_meant() {
    assert_eq!(code(&decode(&record(None, None)).0), "tombstone");
    assert_eq!(code(&decode(&record(None, Some(b"null"))).0), "tombstone");
    assert_eq!(code(&decode(&record(None, Some(b"{\"schema\":null,\"payload\":null}"))).0), "tombstone");
    assert_eq!(code(&decode(&record(None, Some(b"{\"ts_ms\":1795465950105}"))).0), "heartbeat");
    let truncate = sample("debezium-schemaless", "survey-truncate").value.unwrap();
    assert_eq!(code(&decode(&record(None, Some(&truncate))).0), "unknown_table");
    let of_ticket = String::from_utf8(truncate).unwrap().replace("survey", "ticket");
    assert_eq!(code(&decode(&record(None, Some(of_ticket.as_bytes()))).0), "applied");
}

#[test]
fn a_record_of_an_unknown_table_is_skipped_again_and_again() {
    let sources = [Arc::new(ticket("time-ms"))];
    let mut decoder = asking_for_all(&sources);
    let mut into = batches(&sources);
    for table in ["other", "ticke", "Ticket", "ticket2", "other"] {
        for status in ["open", "a\\\"b", "größe"] {
            let value =
                with("\"table\":\"ticket\"", &format!("\"table\":\"{table}\"")).replace("open", status);
            let outcome = decoder.decode(0, &record(None, Some(value.as_bytes())), &mut into);
            assert_eq!(outcome, Outcome::Skipped(SkipReason::UnknownTable));
            let cut = &value[..value.len() - 1];
            assert_eq!(code(&decoder.decode(0, &record(None, Some(cut.as_bytes())), &mut into)), "not-json");
        }
    }
    assert!(into[0].is_empty());
    let no_table = with("\"table\":\"ticket\"", "\"table\":null");
    assert_eq!(code(&decode_value(&no_table).0), "unknown_table");
}

#[test]
fn a_registry_header_is_recognised_and_named() {
    let (outcome, _) = decode(&record(Some(KEY), Some(b"\x00\x00\x00\x00\x2a\x06open")));
    assert_eq!(outcome, Outcome::Dead(DeadReason::RegistryFramed(42)));
    let Outcome::Dead(reason) = outcome else { unreachable!() };
    assert_eq!(reason.code(), "registry-framed");
    assert!(reason.to_string().contains("Avro or Protobuf"), "{reason}");
    assert!(reason.to_string().contains("only JSON is read here"), "{reason}");
    // Plain JSON behind such a header is framed, too.
    let framed = [&b"\x00\x00\x00\x00\x01"[..], good().as_bytes()].concat();
    assert_eq!(code(&decode(&record(Some(KEY), Some(&framed))).0), "registry-framed");
}

#[test]
fn a_record_of_five_megabytes_is_read_or_dead_with_its_reason() {
    let long = "größe \\\"x\\\" ".repeat(400_000);
    let value = with("\"status\":\"open\"", &format!("\"blob\":\"{long}\",\"status\":\"open\""));
    assert!(value.len() > 5_000_000);
    let (outcome, row) = decode_value(&value);
    assert_eq!(code(&outcome), "applied");
    assert_eq!(row.unwrap().after[6], "\"open\"");
    let (_, row) = decode_value(&with("\"status\":\"open\"", &format!("\"status\":\"{long}\"")));
    assert_eq!(row.unwrap().after[6].len(), format!("{:?}", long.replace('\\', "")).len());
    assert_eq!(code(&decode_value(&value[..5_000_000]).0), "not-json");
    let garbage = "\u{1}{[\"".repeat(1_300_000);
    assert_eq!(code(&decode_value(&garbage).0), "not-json");
    let nested = with(
        "\"status\":",
        &format!("\"deep\":{}{},\"status\":", "[".repeat(2_500_000), "]".repeat(2_500_000)),
    );
    assert_eq!(code(&decode_value(&nested).0), "applied");
}

#[test]
fn reasons_have_stable_names() {
    let dead = [
        DeadReason::NotJson(String::new()),
        DeadReason::WrongShape(String::new()),
        DeadReason::Key(String::new()),
        DeadReason::RegistryFramed(0),
    ];
    assert_eq!(dead.map(|r| r.code()), ["not-json", "wrong-shape", "key", "registry-framed"]);
    let skipped = [
        SkipReason::Tombstone,
        SkipReason::Ddl,
        SkipReason::Mark,
        SkipReason::Heartbeat,
        SkipReason::UnknownTable,
    ];
    assert_eq!(skipped.map(|r| r.name()), ["tombstone", "ddl", "mark", "heartbeat", "unknown_table"]);
}
