//! Whatever was decoded before, a record gives the same rows or the same reason, and nothing panics.
#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;
mod support;
use support::record;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use samples::Sample;
use serde::de::IgnoredAny;
use std::sync::{Arc, LazyLock};
use support::{agent_state, asking_for_all, batches, call_record, check_lengths, decode_fresh};
use support::{im_session, rows, source, survey, ticket};
use weir_decode::{DeadReason, Outcome};
use weir_types::record::Record;
use weir_types::schema::SourceDecl;

/// All sample tables on one topic.
static SOURCES: LazyLock<Vec<Arc<SourceDecl>>> = LazyLock::new(|| {
    let probe = source(
        "types_probe",
        "all",
        "id:int d:int dt0:time-ms? dt6:time-us? ts3:time-iso? dec_:float dbl:float b1:bool bool_:bool? js:text? dt3:time-ms",
    );
    let mut all =
        vec![ticket("time-ms"), call_record(), im_session("time-ms", "text"), agent_state(), survey(), probe];
    all.iter_mut().for_each(|s| s.topics = vec!["all".into()]);
    all.into_iter().map(Arc::new).collect()
});

static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let folders = ["debezium-schemaless", "debezium-schema", "debezium-time-isostring-decimal-double"];
    folders.iter().flat_map(|f| samples::all(f)).collect()
});

/// Decodes the records one after the other, and each by a decoder that has seen nothing.
fn check(sources: &[Arc<SourceDecl>], records: &[Record<'_>]) -> Result<(), TestCaseError> {
    let mut decoder = asking_for_all(sources);
    let mut into = batches(sources);
    let mut expected = vec![Vec::new(); sources.len()];
    for record in records {
        let (fresh, fresh_rows) = decode_fresh(sources, 0, record);
        let outcome = decoder.decode(0, record, &mut into);
        prop_assert_eq!(&outcome, &fresh, "{}", String::from_utf8_lossy(record.value.unwrap_or_default()));
        check_validity(&outcome, record)?;
        for (all, one) in expected.iter_mut().zip(fresh_rows) {
            all.extend(one);
        }
    }
    for (index, source) in sources.iter().enumerate() {
        check_lengths(&into[index], if into[index].is_empty() { &[] } else { decoder.asked(index) });
        prop_assert_eq!(rows(source, &into[index]), &expected[index][..]);
    }
    Ok(())
}

/// What is taken for JSON is JSON, and what is not, is not: by another parser.
fn check_validity(outcome: &Outcome, record: &Record<'_>) -> Result<(), TestCaseError> {
    let Some(value) = record.value else { return Ok(()) };
    let is_json = std::str::from_utf8(value).is_ok() && serde_json::from_slice::<IgnoredAny>(value).is_ok();
    match outcome {
        // Half a surrogate pair in a key is refused, though its syntax is right.
        Outcome::Dead(DeadReason::NotJson(why)) => {
            prop_assert!(!is_json || why.contains("surrogate"), "{}", why)
        }
        Outcome::Dead(DeadReason::RegistryFramed(_)) => {}
        _ => prop_assert!(is_json, "{}", String::from_utf8_lossy(value)),
    }
    Ok(())
}

/// A change to bytes: at a place, by a way.
#[derive(Clone, Debug)]
enum Mutation {
    Cut(Index),
    Put(Index, Vec<u8>),
    Overwrite(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let bytes = prop_oneof![
        select(vec![
            " ",
            "\n",
            ",",
            "}",
            "{",
            "\"",
            "\\",
            ":",
            "0",
            "-",
            "null",
            "e5",
            ".5",
            "\u{1}",
            "é",
            "[]",
            "\\u00",
            "1",
            "\"a\":1,",
            "9999999999999",
            "\"op\":\"c\",",
            "true",
        ])
        .prop_map(|t| t.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..4),
    ];
    let interesting = select(b"\"\\,:{}[]0123456789-. ntfeE\n\x00\xff\xc3".to_vec());
    prop_oneof![
        1 => any::<Index>().prop_map(Mutation::Cut),
        4 => (any::<Index>(), bytes).prop_map(|(at, b)| Mutation::Put(at, b)),
        4 => (any::<Index>(), interesting).prop_map(|(at, b)| Mutation::Overwrite(at, b)),
        2 => (any::<Index>(), 1usize..12).prop_map(|(at, n)| Mutation::Remove(at, n)),
        1 => (any::<Index>(), 1usize..40).prop_map(|(at, n)| Mutation::Repeat(at, n)),
    ]
}

fn mutate(bytes: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for mutation in mutations {
        let len = bytes.len();
        match mutation {
            _ if len == 0 => {}
            Mutation::Cut(at) => bytes.truncate(at.index(len)),
            Mutation::Put(at, new) => {
                let at = at.index(len);
                bytes.splice(at..at, new.iter().copied());
            }
            Mutation::Overwrite(at, new) => bytes[at.index(len)] = *new,
            Mutation::Remove(at, n) => {
                let at = at.index(len);
                bytes.drain(at..(at + n).min(len));
            }
            Mutation::Repeat(at, n) => {
                let at = at.index(len);
                let again = bytes[at..(at + n).min(len)].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

/// The way a record is written: order of keys, white space, envelope.
#[derive(Clone, Debug)]
struct Shape {
    columns: Vec<&'static str>,
    source: Vec<&'static str>,
    top: Vec<&'static str>,
    space: &'static str,
    enveloped: bool,
}

const TICKET: &[&str] = &["id", "n", "f", "b", "t", "t2", "iso", "extra", "größe", "q\\\"x", "updated_at"];
const SOURCE: &[&str] = &["table", "server_id", "file", "pos", "row", "ts_ms", "gtid", "db"];
const TOP: &[&str] = &["before", "after", "source", "op", "ts_ms", "transaction"];

fn shape() -> impl Strategy<Value = Shape> {
    let part = |all: &'static [&'static str], least: usize| {
        prop_oneof![
            3 => prop::sample::subsequence(all.to_vec(), least..=all.len()).prop_shuffle(),
            2 => Just(all.to_vec()).prop_shuffle(),
            1 => prop::collection::vec(select(all.to_vec()), least..all.len() + 2),
        ]
    };
    (part(TICKET, 0), part(SOURCE, 6), part(TOP, 4), select(vec!["", "", " ", "\n\t "]), any::<bool>())
        .prop_map(|(columns, source, top, space, enveloped)| Shape { columns, source, top, space, enveloped })
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        72 => (-3i64..1000).prop_map(|n| n.to_string()),
        36 => any::<i64>().prop_map(|n| n.to_string()),
        24 => any::<i64>().prop_map(|n| format!("\"{n}\"")),
        12 => any::<u128>().prop_map(|n| n.to_string()),
        24 => any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| format!("{f:?}")),
        24 => "-?[0-9]{1,17}(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        36 => Just("null".to_string()),
        36 => select(vec!["true", "false", "0", "1", "\"1\"", "\"true\"", "-0", "-0.0", "1e999"]).prop_map(String::from),
        48 => any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        36 => select(vec!["\"open\"", "\"new\"", "\"a long text of more than sixteen bytes\"", "\"\""]).prop_map(String::from),
        24 => "\"(\\\\u[0-9a-fD][0-9a-f]{3}|\\\\n|\\\\\"|[a-zé你])*\"",
        24 => select(vec!["\"2026-11-23T08:00:00.123Z\"", "\"2026-11-23\""]).prop_map(String::from),
        12 => select(vec!["{}", "[]", "[1,{\"a\":[]}]", "{\"op\":\"c\" , \"x\":[ 1 ]}"]).prop_map(String::from),
        1 => select(vec!["nul", "tru", "01", "1.", "-", "+1", "\"\\x\"", "\"\n\"", "[1,]", "{1}", ""]).prop_map(String::from),
    ]
}

/// Values of one record; each part takes as many as it needs.
#[derive(Clone, Debug)]
struct Values {
    shape: Index,
    before: Option<Vec<String>>,
    after: Option<Vec<String>>,
    op: Option<&'static str>,
    table: &'static str,
    file: &'static str,
    numbers: (u32, u64, u16),
}

fn values() -> impl Strategy<Value = Values> {
    let image = || prop::option::weighted(0.8, prop::collection::vec(token(), 14));
    // Mostly one that goes with the images.
    let op =
        prop::option::weighted(0.2, select(vec!["\"u\"", "\"c\"", "\"d\"", "\"r\"", "\"t\"", "\"x\"", "1"]));
    let table =
        select(vec!["\"ticket\"", "\"ticket\"", "\"ticket\"", "\"other\"", "null", "\"tic\\u006bet\""]);
    let file = select(vec!["\"binlog.000001\"", "\"binlog.000001\"", "\"binlog.000002\"", "\"x\"", "null"]);
    (
        any::<Index>(),
        image(),
        image(),
        op,
        table,
        file,
        (any::<u32>(), prop_oneof![9 => 0..1u64 << 40, 1 => any::<u64>()], any::<u16>()),
    )
        .prop_map(|(shape, before, after, op, table, file, numbers)| Values {
            shape,
            before,
            after,
            op,
            table,
            file,
            numbers,
        })
}

fn write(shape: &Shape, values: &Values) -> String {
    let s = shape.space;
    let object = |members: Vec<(&str, String)>| {
        let members: Vec<_> = members.into_iter().map(|(k, v)| format!("{s}\"{k}\"{s}:{s}{v}")).collect();
        format!("{{{}{s}}}", members.join(&format!("{s},")))
    };
    let image = |image: &Option<Vec<String>>| match image {
        None => "null".to_string(),
        Some(tokens) => {
            let value = |(i, name): (usize, &&'static str)| (*name, tokens[i % tokens.len()].clone());
            object(shape.columns.iter().enumerate().map(value).collect())
        }
    };
    let (small, pos, row) = values.numbers;
    let source = |name: &&'static str| {
        let value = match *name {
            "table" => values.table.to_string(),
            "file" => values.file.to_string(),
            "server_id" => "1".into(),
            "pos" => pos.to_string(),
            "row" => row.to_string(),
            "ts_ms" => (u64::from(small) * 1000).to_string(),
            "gtid" => format!("\"0-1-{}\"", small % 3),
            _ => "\"service\"".into(),
        };
        (*name, value)
    };
    let fitting = match (&values.before, &values.after) {
        (Some(_), Some(_)) => "\"u\"",
        (Some(_), None) => "\"d\"",
        (None, Some(_)) => "\"c\"",
        (None, None) => "\"t\"",
    };
    let top = |name: &&'static str| {
        let value = match *name {
            "before" => image(&values.before),
            "after" => image(&values.after),
            "source" => object(shape.source.iter().map(source).collect()),
            "op" => values.op.unwrap_or(fitting).to_string(),
            "ts_ms" => small.to_string(),
            _ => {
                if small % 2 == 0 {
                    "null".into()
                } else {
                    "{\"id\":\"x\",\"total_order\":1}".to_string()
                }
            }
        };
        (*name, value)
    };
    let payload = object(shape.top.iter().map(top).collect());
    if shape.enveloped {
        object(vec![("schema", "{\"fields\":[1]}".into()), ("payload", payload)])
    } else {
        payload
    }
}

fn random_source() -> Vec<Arc<SourceDecl>> {
    let columns = "id:int n:int? f:float b:bool? t:text t2:text? iso:time-iso? größe:int? updated_at:time-ms";
    vec![Arc::new(source("ticket", "all", columns))]
}

/// `PROPTEST_CASES` makes it longer.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(1500))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_records_are_read_the_same_way_with_any_history(
        shapes in prop::collection::vec(shape(), 1..3),
        values in prop::collection::vec(values(), 1..8),
        mutations in prop::collection::vec(prop::option::weighted(0.2, mutation()), 8),
    ) {
        let sources = random_source();
        let texts: Vec<Vec<u8>> = values
            .iter()
            .zip(&mutations)
            .map(|(v, mutation)| mutate(write(v.shape.get(&shapes), v).as_bytes(), mutation.as_slice()))
            .collect();
        let records: Vec<_> = texts.iter().map(|t| record(Some(b"{\"id\":1}"), Some(t))).collect();
        check(&sources, &records)?;
    }

    #[test]
    fn mutated_samples_are_read_the_same_way_with_any_history(
        picks in prop::collection::vec((any::<Index>(), prop::collection::vec(mutation(), 0..3), any::<bool>()), 1..8),
    ) {
        let mut texts = Vec::new();
        for (pick, mutations, twice) in &picks {
            let sample = pick.get(&SAMPLES);
            if *twice {
                // Its own shape is known, so that the fast path gets far.
                texts.push((sample, sample.value.clone(), sample.key.clone()));
                texts.push((sample, sample.value.clone(), sample.key.clone()));
            }
            let value = sample.value.as_deref().map(|v| mutate(v, mutations));
            let key = sample.key.as_deref().map(|k| mutate(k, &mutations[mutations.len().min(2)..]));
            texts.push((sample, value, key));
        }
        let records: Vec<_> = texts
            .iter()
            .map(|(s, value, key)| Record { rekey: s.rekey, ..record(key.as_deref(), value.as_deref()) })
            .collect();
        check(&SOURCES, &records)?;
    }

    #[test]
    fn mutated_keys_are_judged_the_same_way_with_any_history(
        keys in prop::collection::vec((any::<Index>(), prop::collection::vec(mutation(), 0..3)), 1..8),
    ) {
        let sample = samples::sample("debezium-schemaless", "ticket-update");
        let known: [&[u8]; 5] = [
            b"{\"id\":3}",
            b"{\"other\":[1,2],\"id\":\"3\"}",
            b"{\"schema\":{\"type\":\"struct\"},\"payload\":{\"id\":17}}",
            b"{ \"id\" : 1234567890123456789 }",
            b"{\"id\":null}",
        ];
        let mut bytes = Vec::new();
        for (pick, mutations) in &keys {
            let known = known[pick.index(known.len())];
            bytes.push(known.to_vec());
            bytes.push(mutate(known, mutations));
        }
        let records: Vec<_> = bytes.iter().map(|k| record(Some(k), sample.value.as_deref())).collect();
        check(&SOURCES, &records)?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        all in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 1..6),
    ) {
        let good = samples::sample("debezium-schemaless", "ticket-update");
        let mut records = Vec::new();
        for (as_key, bytes) in &all {
            records.push(good.record());
            records.push(if *as_key {
                record(Some(bytes), good.value.as_deref())
            } else {
                record(good.key.as_deref(), Some(bytes))
            });
        }
        check(&SOURCES, &records)?;
    }
}
