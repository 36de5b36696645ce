//! Debezium's `time.precision.mode` and `decimal.handling.mode`: whatever a connector writes, the
//! declared types give the same values.
#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;
mod support;
use support::record;

use samples::sample;
use std::sync::Arc;
use support::{asking_for_all, batches, decode_fresh, im_session, rows, source};
use weir_decode::Outcome;
use weir_types::batch::cell;
use weir_types::schema::{Reading, SourceDecl};

/// A mode's samples, and the types with which they are declared: of dates, of the three DATETIMEs, of
/// TIME and of DECIMAL.
const MODES: [(&str, [&str; 6]); 6] = [
    (
        "debezium-schemaless",
        ["date-days", "datetime-ms", "datetime-ms", "datetime-us", "duration-us", "decimal-base64(3)"],
    ),
    (
        "debezium-schema",
        ["date-days", "datetime-ms", "datetime-ms", "datetime-us", "duration-us", "decimal-base64(3)"],
    ),
    (
        "debezium-time-microseconds",
        ["date-days", "datetime-us", "datetime-us", "datetime-us", "duration-us", "decimal-base64(3)"],
    ),
    (
        "debezium-time-nanoseconds",
        ["date-days", "datetime-ns", "datetime-ns", "datetime-ns", "duration-ns", "decimal-base64(3)"],
    ),
    (
        "debezium-time-connect-decimal-string",
        ["date-days", "datetime-ms", "datetime-ms", "datetime-ms", "duration-ms", "decimal(3)"],
    ),
    (
        "debezium-time-isostring-decimal-double",
        ["date-text", "datetime-text", "datetime-text", "datetime-text", "duration-text", "decimal(3)"],
    ),
];

fn probe(types: [&str; 6]) -> SourceDecl {
    let [d, dt0, dt3, dt6, t3, dec] = types;
    let columns = format!(
        "id:int d:{d}? dt0:{dt0}? dt6:{dt6}? ts3:time-iso? t3:{t3}? dec_:{dec}? dbl:float? flt:float? b1:bool? \
         bool_:bool? bit1:bool? bit8:bits-base64? ub:uint-text? js:json? bl:text? en:enum? st:set? yr:int? txt:text? dt3:{dt3}"
    );
    source("types_probe", "t", &columns)
}

fn cells(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

#[test]
fn every_mode_gives_the_same_values() {
    for (folder, types) in MODES {
        let sources = [Arc::new(probe(types))];
        let (outcome, rows) = decode_fresh(&sources, 0, &sample(folder, "types_probe-insert").record());
        assert_eq!(outcome, Outcome::Applied { source: 0, rows: 1 });
        // The mode `connect` has milliseconds only.
        let dt6 = if types[3] == "datetime-ms" { "1795420800123000" } else { "1795420800123456" };
        let expected = cells(&format!(
            "1 1795392000000000 1795420800000000 {dt6} 1795420800123000 28800123000 12345 0.1 0.1 true true true 129 \
             \"18446744073709551615\" \"{{\\\"a\\\":1}}\" \"AP8Q\" \"b\" \"x,y\" 2026 \"hello\" 1795420800123000"
        ));
        assert_eq!(rows[0][0].after, expected, "{folder}");
        let before_1970 = sample(folder, "types_probe-insert-before-1970");
        let (_, rows) = decode_fresh(&sources, 0, &before_1970.record());
        assert_eq!(rows[0][0].event_time, (cell::VALUE, -1_000), "{folder}");
        assert_eq!(rows[0][0].after[1..20], vec!["null"; 19], "{folder}");
    }
}

#[test]
fn decimals_are_exact_in_their_smallest_unit_in_every_mode() {
    for (folder, types) in MODES {
        let time = types[2].replace("datetime-text", "time-iso");
        let sources = [Arc::new(im_session(&time, types[5]))];
        let (_, rows) = decode_fresh(&sources, 0, &sample(folder, "im_session-update").record());
        assert_eq!(
            (rows[0][0].before[15].as_str(), rows[0][0].after[15].as_str()),
            ("0", "12345"),
            "{folder}"
        );
    }
    let sources = [Arc::new(im_session("time-ms", "decimal-base64(3)"))];
    let max = sample("debezium-schemaless", "im_session-insert-unsigned-max");
    assert_eq!(decode_fresh(&sources, 0, &max.record()).1[0][0].after[15], "-500");
}

#[test]
fn clock_readings_of_a_source_in_another_zone_are_moved_and_points_in_time_are_not() {
    for (folder, types) in MODES {
        let time_zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
        let reading = Reading { time_zone, ..Reading::default() };
        let sources = [Arc::new(SourceDecl { reading, ..probe(types) })];
        let (_, rows) = decode_fresh(&sources, 0, &sample(folder, "types_probe-insert").record());
        let after = &rows[0][0].after;
        // Eight hours before the same reading in UTC.
        assert_eq!(after[1..3], ["1795363200000000", "1795392000000000"], "{folder}");
        assert_eq!(
            (after[20].as_str(), after[4].as_str()),
            ("1795392000123000", "1795420800123000"),
            "{folder}"
        );
        assert_eq!(after[5], "28800123000", "a duration has no zone");
    }
}

#[test]
fn the_fast_path_reads_every_mode_as_the_general_one_does() {
    for (folder, types) in MODES {
        let sources = [Arc::new(probe(types))];
        let mut decoder = asking_for_all(&sources);
        let mut into = batches(&sources);
        let mut expected = Vec::new();
        for _ in 0..3 {
            for name in ["types_probe-insert", "types_probe-insert-before-1970"] {
                let sample = sample(folder, name);
                let (outcome, fresh) = decode_fresh(&sources, 0, &sample.record());
                assert_eq!(decoder.decode(0, &sample.record(), &mut into), outcome);
                expected.extend(fresh.into_iter().flatten());
            }
        }
        assert_eq!(rows(&sources[0], &into[0]), expected, "{folder}");
    }
}

#[test]
fn booleans_may_change_their_form_within_a_stream() {
    // The connector writes 0 and 1 where it read the table's definition, and true and false where it
    // saw it made.
    let sources = [Arc::new(source("t", "t", "id:int flag:bool updated_at:time-ms"))];
    let mut decoder = asking_for_all(&sources);
    let mut into = batches(&sources);
    let forms = [
        ("0", "false"),
        ("1", "true"),
        ("true", "true"),
        ("false", "false"),
        ("\"AQ==\"", "true"),
        ("2", "unfit"),
    ];
    for (form, _) in forms {
        let value = format!(
            "{{\"before\":null,\"after\":{{\"id\":1,\"flag\":{form},\"updated_at\":1795420800000}},\
             \"source\":{{\"table\":\"t\"}},\"op\":\"c\"}}"
        );
        let outcome = decoder.decode(0, &record(Some(b"{\"id\":1}"), Some(value.as_bytes())), &mut into);
        assert_eq!(outcome, Outcome::Applied { source: 0, rows: 1 });
    }
    let read: Vec<String> = rows(&sources[0], &into[0]).into_iter().map(|row| row.after[1].clone()).collect();
    assert_eq!(read, forms.map(|(_, value)| value.to_string()));
}
