//! A fuzz harness for every decoder that runs on stable Rust: real records, mutated by a seeded
//! generator. What is checked of each record:
//!
//! * nothing panics;
//! * a decoder that has seen all the others says the same of it, row for row, as one that has seen none;
//! * it is applied (and gives as many rows as it says), skipped or dead, and then it gives none;
//! * what is called no JSON is none, and what is applied is JSON, by another parser;
//! * all columns keep one length.
#![allow(dead_code, clippy::unwrap_used)]

use super::samples::{self, Sample};
use super::{agent_state, asking_for_all, batches, call_record_with, check_lengths, decode_fresh};
use super::{im_session, row, source, survey, ticket, written_as};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use weir_decode::{DeadReason, Decoder, Outcome};
use weir_types::batch::ChangeBatch;
use weir_types::record::Record;
use weir_types::schema::{Format, Reading, SourceDecl};

/// How many records of each outcome there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub read: u64,
    pub applied: u64,
    pub skipped: u64,
    pub dead: u64,
    pub rows: u64,
}

/// Numbers that look random, the same for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    /// From 0 to below `below`, which is above 0.
    pub fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }
}

/// A format, its sources and its real records.
struct Corpus {
    sources: Vec<Arc<SourceDecl>>,
    samples: Vec<Sample>,
}

fn corpora() -> Vec<Corpus> {
    let probe = "id:int d:date-text? dt0:datetime-text? dt6:datetime-us? ts3:time-iso? t3:duration-text? dec_:decimal(3)? \
        dbl:float? b1:bool? bool_:bool? bit8:bits-base64? ub:uint-text? js:json? en:enum? st:set? yr:uint? dt3:datetime-text";
    let tables = |time: &str| {
        vec![
            ticket(time),
            call_record_with(time, "enum"),
            im_session(time, "decimal-base64(3)"),
            agent_state(),
            survey(),
            source("types_probe", "all", probe),
        ]
    };
    let folder = |names: &[&str]| names.iter().flat_map(|f| samples::all(f)).collect::<Vec<_>>();
    let corpus = |format, mut sources: Vec<SourceDecl>, samples| {
        sources.iter_mut().for_each(|s| s.topics = vec!["all".into()]);
        let sources = sources.into_iter().map(|s| Arc::new(written_as(format, s))).collect();
        Corpus { sources, samples }
    };
    let reading = Reading {
        delete_marker: Some("escalated".into()),
        time_zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
        ..Reading::default()
    };
    let plain = SourceDecl { reading, ..ticket("datetime-text") };
    vec![
        corpus(Format::DebeziumJson, tables("time-ms"), folder(&["debezium-schemaless", "debezium-schema"])),
        corpus(Format::CanalJson, tables("datetime-text"), folder(&["canal"])),
        corpus(
            Format::MaxwellJson,
            tables("datetime-text"),
            folder(&["maxwell", "maxwell-mariadb-no-fraction"]),
        ),
        corpus(Format::PlainJson, vec![plain], plain_rows()),
    ]
}

/// Real rows by themselves: the `data` of Maxwell's records of tickets, with a tombstone after each.
fn plain_rows() -> Vec<Sample> {
    let mut all = Vec::new();
    for sample in samples::all("maxwell") {
        let Some(value) = sample.value.as_deref().filter(|_| sample.is_of("ticket")) else { continue };
        let change: serde_json::Value = serde_json::from_slice(value).unwrap();
        let id = change["data"]["id"].to_string();
        let row = serde_json::to_vec(&change["data"]).unwrap();
        let enveloped = format!("{{\"schema\":{{}},\"payload\":{}}}", change["data"]);
        for value in [Some(row), None, Some(enveloped.into_bytes())] {
            all.push(Sample { key: Some(format!("{{\"id\":{id}}}").into_bytes()), value, ..sample.clone() });
        }
    }
    all
}

/// Mutates and decodes so many records. The error is the seed, the number of the record, and the record.
pub fn run(seed: u64, records: u64) -> Result<Report, String> {
    let corpora = corpora();
    let mut lanes: Vec<Lane> = corpora.iter().map(Lane::new).collect();
    let mut dice = Dice::new(seed);
    let mut report = Report::default();
    for number in 0..records {
        let at = dice.below(corpora.len());
        let mut sample = corpora[at].samples[dice.below(corpora[at].samples.len())].clone();
        let other = &corpora[at].samples[dice.below(corpora[at].samples.len())];
        // Some stay whole, so that the long-lived decoder knows their shapes.
        for _ in 0..dice.below(4) {
            match &mut sample.value {
                Some(value) if dice.below(8) > 0 => mutate(value, other.value.as_deref(), &mut dice),
                _ => mutate(sample.key.get_or_insert_default(), other.key.as_deref(), &mut dice),
            }
        }
        let lane = &mut lanes[at];
        let checked = catch_unwind(AssertUnwindSafe(|| lane.check(&sample.record(), &mut report)));
        let problem = match checked {
            Ok(Ok(())) => continue,
            Ok(Err(problem)) => problem,
            Err(_) => "it panics".to_string(),
        };
        let shown = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|b| b.escape_ascii().to_string());
        return Err(format!(
            "seed {seed}, record {number}, {:?}: {problem}\nkey {:?}\nvalue {:?}",
            corpora[at].sources[0].format,
            shown(&sample.key),
            shown(&sample.value)
        ));
    }
    Ok(report)
}

/// A decoder that sees all records of one format.
struct Lane<'a> {
    corpus: &'a Corpus,
    decoder: Decoder,
    batches: Vec<ChangeBatch>,
}

/// Rows after which the batches are emptied, as an epoch's end does.
const ROWS: usize = 500;

impl<'a> Lane<'a> {
    fn new(corpus: &'a Corpus) -> Lane<'a> {
        Lane { corpus, decoder: asking_for_all(&corpus.sources), batches: batches(&corpus.sources) }
    }

    fn check(&mut self, record: &Record<'_>, report: &mut Report) -> Result<(), String> {
        let sources = &self.corpus.sources;
        let (fresh, fresh_rows) = decode_fresh(sources, 0, record);
        let lengths: Vec<usize> = self.batches.iter().map(ChangeBatch::len).collect();
        let outcome = self.decoder.decode(0, record, &mut self.batches);
        if outcome != fresh {
            return Err(format!("it is {outcome:?}, but {fresh:?} to a decoder that has seen nothing"));
        }
        let mut given = 0;
        for (at, batch) in self.batches.iter_mut().enumerate() {
            check_lengths(batch, if batch.is_empty() { &[] } else { self.decoder.asked(at) });
            let new: Vec<_> = (lengths[at]..batch.len()).map(|n| row(&sources[at], batch, n)).collect();
            if new != fresh_rows[at] {
                return Err(format!("it gives {new:?}, but {:?} without history", fresh_rows[at]));
            }
            given += new.len() as u64;
            if batch.len() > ROWS {
                batch.clear();
            }
        }
        report.read += 1;
        report.rows += given;
        let claimed = match &outcome {
            Outcome::Applied { rows, .. } => {
                report.applied += 1;
                u64::from(*rows)
            }
            Outcome::Skipped(_) => {
                report.skipped += 1;
                0
            }
            Outcome::Dead(reason) => {
                report.dead += 1;
                if reason.code().is_empty() || reason.to_string().is_empty() {
                    return Err("a dead letter without code or sentence".into());
                }
                0
            }
        };
        if claimed != given || (claimed == 0 && matches!(outcome, Outcome::Applied { .. })) {
            return Err(format!("it gives {given} rows, but is {outcome:?}"));
        }
        valid(&outcome, record)
    }
}

/// Whether the outcome says rightly if the value is JSON.
fn valid(outcome: &Outcome, record: &Record<'_>) -> Result<(), String> {
    let Some(value) = record.value else { return Ok(()) };
    let is_json =
        serde_json::from_slice::<serde::de::IgnoredAny>(value).is_ok() && std::str::from_utf8(value).is_ok();
    match outcome {
        // Half a surrogate pair in a key is refused, though its syntax is right.
        Outcome::Dead(DeadReason::NotJson(why))
            if is_json && !why.contains("surrogate") && !why.contains("hex escape") =>
        {
            Err(format!("it is JSON, but {why}"))
        }
        Outcome::Applied { .. } | Outcome::Skipped(_) if !is_json => {
            Err("it is no JSON, but was not dead".into())
        }
        _ => Ok(()),
    }
}

/// Pieces of JSON that decide things.
const PIECES: [&str; 34] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "\"\"",
    "{}",
    "[]",
    "[[]]",
    "{\"id\":1}",
    "\"id\":null,",
    "\"type\":\"insert\",",
    "\"type\":\"INSERT\",",
    "\"isDdl\":true,",
    "\"op\":\"d\",",
    "\"old\":[{}],",
    "\"data\":null,",
    "\"payload\":",
    "\"schema\":1,",
    "18446744073709551616",
    "1e999",
    "\\u0000",
    "\\ud800",
    "\"AQ==\"",
    "\"0000-00-00\"",
    "\"2026-02-30 25:61:61\"",
    "\"12.345\"",
    ",",
    ":",
    "\"",
    "}",
    "]",
    "\u{feff}",
    "größe",
];

/// One change to bytes; `other` is a record of the same format to take pieces from.
fn mutate(bytes: &mut Vec<u8>, other: Option<&[u8]>, dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let end = (at + 1 + dice.below(16)).min(bytes.len());
    match dice.below(9) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        3 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
        4 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        5 => {
            let piece = PIECES[dice.below(PIECES.len())];
            bytes.splice(at..at, piece.bytes());
        }
        6 => {
            // Another record's piece, in place of as many bytes.
            let Some(other) = other.filter(|o| !o.is_empty()) else { return };
            let from = dice.below(other.len());
            let piece = &other[from..(from + 1 + dice.below(64)).min(other.len())];
            bytes.splice(at..(at + piece.len()).min(bytes.len()), piece.iter().copied());
        }
        // A whole value changes for another: what follows a colon, up to the next comma.
        _ => {
            let Some(colon) = bytes.iter().skip(at).position(|b| *b == b':').map(|n| at + n + 1) else {
                return;
            };
            let comma = bytes[colon..].iter().position(|b| matches!(b, b',' | b'}' | b']'));
            let end = comma.map_or(bytes.len(), |n| colon + n);
            bytes.splice(colon..end, PIECES[dice.below(PIECES.len())].bytes());
        }
    }
}
