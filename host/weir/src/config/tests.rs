#![allow(clippy::unwrap_used)]

use super::*;
use weir_types::schema::{ColumnType, Digits, Format, TimeUnit};

const SOURCE: &str = r#"
[[source]]
name = "ticket"
topics = ["svc.service.ticket"]
format = "debezium-json"
primary_key = ["id"]
event_time = "updated_at"
[source.columns]
id = "int"
status = { type = "text", values = ["new", "open"] }
assignee_id = "int?"
updated_at = "time-ms"
"#;

fn read(text: &str) -> Result<Config, String> {
    parse(&format!("{text}\n{SOURCE}"), Path::new("/etc/weir"))
}

fn refused(text: &str) -> String {
    read(text).expect_err("refused")
}

/// The source with one line replaced.
fn refused_source(from: &str, to: &str) -> String {
    let text = SOURCE.replace(from, to);
    assert_ne!(text, SOURCE);
    parse(&text, Path::new("/etc/weir")).expect_err("refused")
}

#[test]
fn everything_has_a_default_but_the_sources() {
    let config = read("").unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.state, "/etc/weir/state");
    assert_eq!(config.epoch_length, Duration::from_secs(1));
    assert_eq!((config.epoch_bytes, config.suspend_after), (64 << 20, 1000));
    assert_eq!(config.stalled_after, Duration::from_secs(60));
    assert_eq!(config.emit_every["15m"], 5 * SECOND);
    assert_eq!(config.correct_for["day"], 8 * DAY);
    let source = &config.sources[0];
    assert_eq!(source.table, "ticket");
    assert_eq!(source.columns[source.event_time].ty, ColumnType::Time(TimeUnit::Ms));
    assert_eq!(source.columns[source.primary_key[0]].name, "id");
    let status = &source.columns[source.column("status").unwrap()];
    assert_eq!(status.values, ["new", "open"]);
    assert!(source.columns[source.column("assignee_id").unwrap()].nullable);
    assert!(parse("", Path::new(".")).unwrap_err().contains("[[source]]"));
}

#[test]
fn what_is_set_wins_over_defaults() {
    let config = read(
        r#"
[host]
listen = "127.0.0.1:0"
state = "s3://bucket/weir"
time_zone = "Europe/Berlin"
log_format = "json"
[time]
clock = { origin = "2026-11-23T08:00:00Z", speed = 60.0 }
[kafka.properties]
"bootstrap.servers" = "127.0.0.1:9092"
"fetch.wait.max.ms" = 50
[emit_every]
1h = "1m"
[retention]
1m = "8d"
[limits]
memory = "64MiB"
hot_slots = 1000
waiting = "16MiB"
missed = "1GiB"
[[plugin]]
path = "plugins/ticket.wasm"
[metric."call.offered"]
config = { threshold = 20, business_hours = "Mon-Fri 09:00-18:00 UTC" }
windows = ["1m", "1h"]
correct_for = { "1m" = "4h" }
"#,
    )
    .unwrap();
    assert_eq!(config.state, "s3://bucket/weir");
    assert_eq!(config.clock, Some(ClockSetting { origin: 1_795_420_800 * SECOND, speed: 60.0 }));
    assert_eq!(config.kafka["fetch.wait.max.ms"], "50");
    assert_eq!((config.emit_every["1h"], config.emit_every["1m"]), (60 * SECOND, 0));
    assert_eq!(config.retention["1m"], 8 * DAY);
    assert_eq!(config.plugins, [PathBuf::from("/etc/weir/plugins/ticket.wasm")]);
    assert_eq!((config.limits.hot_slots, config.limits.hot_slots_total), (Some(1000), None));
    assert_eq!(config.limits.waiting.map(|size| size.0), Some(16 << 20));
    assert_eq!(config.limits.missed.map(|size| size.0), Some(1 << 30));
    let metric = &config.metrics["call.offered"];
    assert_eq!(metric.config["threshold"], "20");
    assert_eq!(metric.windows.as_ref().map(Vec::len), Some(2));
    assert_eq!(metric.correct_for["1m"], 4 * HOUR);
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_likely_one() {
    assert_eq!(
        refused_source("[source.columns]", "[source.colums]"),
        "source `ticket`: unknown key `colums`; did you mean `columns`?"
    );
    assert_eq!(refused("[hots]\n"), "unknown key `hots`; did you mean `host`?");
    assert_eq!(refused("[host]\nlisten_on = \"x\""), refused("[host]\nlisten_on = 1"));
    assert!(refused("[host]\nlogs = \"x\"").contains("[host]: unknown key `logs`; did you mean `log`?"));
    let error = refused("[time]\nclock = { origin = \"x\", sped = 1.0 }");
    assert_eq!(error, "[time]: `clock`: unknown key `sped`; did you mean `speed`?");
    let error = refused_source("values = ", "vals = ");
    assert_eq!(error, "source `ticket`: `columns.status`: unknown key `vals`; did you mean `values`?");
}

#[test]
fn an_ill_typed_key_is_named() {
    let error = refused("[epoch]\nlength = 5");
    assert!(
        error.starts_with("[epoch]: `length`: invalid type: integer `5`, expected a duration"),
        "{error}"
    );
    let error = refused("[epoch]\nlength = \"5 weeks\"");
    assert!(error.starts_with("[epoch]: `length`: invalid value"), "{error}");
    let error = refused("[host]\nlisten = \"localhost\"");
    assert!(error.starts_with("[host]: `listen`:"), "{error}");
    let error = refused_source("topics = [\"svc.service.ticket\"]", "topics = \"x\"");
    assert!(error.starts_with("source `ticket`: `topics`: invalid type"), "{error}");
    let error = refused("[emit_every]\n7 = \"1s\"");
    assert!(error.contains("`7` is no window"), "{error}");
    assert!(refused("kafka = 3").contains("[kafka]"));
}

#[test]
fn a_missing_key_is_named() {
    let error = refused_source("event_time = \"updated_at\"\n", "");
    assert_eq!(error, "source `ticket`: missing key `event_time`");
}

#[test]
fn a_source_that_makes_no_sense_is_refused_by_key() {
    for (from, to, expected) in [
        ("[\"id\"]", "[\"idd\"]", "`primary_key` names the column `idd`"),
        ("[\"id\"]", "[]", "`primary_key` must name"),
        ("event_time = \"updated_at\"", "event_time = \"id\"", "whose type is no time"),
        ("[\"svc.service.ticket\"]", "[]", "`topics` must name"),
        ("[\"svc.service.ticket\"]", "[\"a\", \"a\"]", "names `a` twice"),
        ("\"int?\"", "\"integer\"", "`columns.assignee_id`: unknown type `integer`"),
        ("format = \"debezium-json\"", "format = \"avro\"", "unknown variant `avro`"),
        ("primary_key", "time_zone = \"Mars/Olympus\"\nprimary_key", "no time zone `Mars/Olympus`"),
        ("primary_key", "delete_marker = \"gone\"\nprimary_key", "`delete_marker` is for plain-json"),
        (
            "primary_key",
            "version_column = \"id\"\nprimary_key",
            "`version_column` is for canal-json and plain-json",
        ),
        ("primary_key", "database = \"\"\nprimary_key", "`database` must not be empty"),
        ("\"int?\"", "\"decimal\"", "`columns.assignee_id`: unknown type `decimal`"),
        ("[\"new\", \"open\"]", "[\"new\", \"new\"]", "`columns.status`: `values` names `new` twice"),
        ("primary_key", "max_dead_share = 1.5\nprimary_key", "`max_dead_share` is 1.5"),
        ("primary_key", "idle_after = \"0s\"\nprimary_key", "`idle_after` must be longer than 0"),
    ] {
        let error = refused_source(from, to);
        assert!(error.starts_with("source `ticket`: ") && error.contains(expected), "{error}");
    }
}

#[test]
fn a_source_says_how_its_records_are_read() {
    let text = SOURCE
        .replace("debezium-json", "plain-json")
        .replace("primary_key", "time_zone = \"Europe/Berlin\"\ndelete_marker = \"__deleted\"\nversion_column = \"updated_at\"\nprimary_key")
        .replace("int?", "decimal-base64(3)?")
        .replace("time-ms", "datetime-text");
    let source = &parse(&text, Path::new("/etc/weir")).unwrap().sources[0];
    assert_eq!(source.format, Format::PlainJson);
    assert_eq!(source.reading.time_zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(source.reading.delete_marker.as_deref(), Some("__deleted"));
    assert_eq!(source.columns[source.event_time].ty, ColumnType::DateTime(TimeUnit::Iso));
    assert_eq!(source.reading.version_column, Some(source.event_time));
    let assignee = &source.columns[source.column("assignee_id").unwrap()];
    assert_eq!((assignee.ty, assignee.nullable), (ColumnType::Decimal(3, Digits::Base64), true));
}

#[test]
fn a_version_column_must_be_a_declared_number_or_time() {
    for (name, expected) in
        [("versoin", "which is not among `columns`"), ("status", "neither a whole number nor a time")]
    {
        let text = SOURCE
            .replace("debezium", "canal")
            .replace("primary_key", &format!("version_column = \"{name}\"\nprimary_key"));
        let error = parse(&text, Path::new("/etc/weir")).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn sources_that_cannot_share_a_topic_are_refused() {
    let other = SOURCE.replacen("name = \"ticket\"", "name = \"other\"", 1);
    let error = refused(&other.replace("debezium", "canal"));
    assert!(error.contains("source `other` reads topic `svc.service.ticket` as canal-json"), "{error}");
    let both = format!("{SOURCE}{other}").replace("debezium", "plain");
    let error = parse(&both, Path::new("/etc/weir")).unwrap_err();
    assert!(error.contains("source `ticket` reads topic") && error.contains("which table"), "{error}");
}

#[test]
fn two_sources_of_one_name_or_one_table_are_refused() {
    assert!(refused(SOURCE).contains("two sources of this name"));
    let other = SOURCE.replacen("name = \"ticket\"", "name = \"other\"\ntable = \"ticket\"", 1);
    assert!(refused(&other).contains("another source reads table `ticket`"));
}

#[test]
fn a_source_may_name_the_database_of_its_table_where_records_name_theirs() {
    let of =
        |database: &str| SOURCE.replace("primary_key", &format!("database = \"{database}\"\nprimary_key"));
    let base = Path::new("/etc/weir");
    for format in ["debezium-json", "canal-json", "maxwell-json"] {
        let text = of("service").replace("debezium-json", format);
        let source = &parse(&text, base).unwrap().sources[0];
        assert_eq!(source.reading.database.as_deref(), Some("service"), "{format}");
    }
    let error = parse(&of("service").replace("debezium-json", "plain-json"), base).unwrap_err();
    assert!(error.contains("`database` is for records that name theirs"), "{error}");
    let other = |text: String| text.replacen("name = \"ticket\"", "name = \"other\"\ntable = \"ticket\"", 1);
    let both = |other: String| parse(&format!("{}{other}", of("service")), base);
    assert_eq!(both(other(of("staging"))).unwrap().sources.len(), 2, "one table of two databases");
    for same in [other(of("service")), other(SOURCE.into())] {
        assert!(both(same).unwrap_err().contains("another source reads table `ticket`"));
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for (text, expected) in [
        ("[epoch]\nlength = \"0s\"", "`length` must be longer than 0"),
        ("[host]\ntime_zone = \"Mars/Olympus\"", "no time zone `Mars/Olympus`"),
        ("[host]\nshard = \"a/b\"", "`shard`"),
        ("[time]\nclock = { origin = \"2026-11-23T08:00:00Z\", speed = 0.0 }", "`clock.speed` is 0"),
        ("[time]\nclock = { origin = \"yesterday\", speed = 1.0 }", "`clock.origin` is `yesterday`"),
        ("[clickhouse]\nurl = \"127.0.0.1:8123\"", "`url` must begin with http://"),
        ("[retention]\n1m = \"0s\"", "`1m` must be longer than 0"),
        ("[metric.\"a.b\"]\nwindows = [\"week\"]", "metric `a.b`: `week` is no window"),
        ("[metric.a]\nwindows = [\"1m\"]", "metric `a`: a metric is called board.name"),
        ("[tokens]\noperator = \"\"", "`operator` is empty"),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_refused_by_line_without_showing_it() {
    let error = refused("[clickhouse]\npassword = hunter2");
    assert!(error.starts_with("line 2: ") && !error.contains("hunter2"), "{error}");
}
