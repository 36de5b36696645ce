//! Rates of the decoder and of its yardstick over the same bytes, in one run on one core.
//!
//! `cargo run --release -p weir-decode --example decode_rate [-- JOURNAL]`
//!
//! Without a journal (JSON lines, one for each Kafka record) it generates Debezium updates of about 1 kB
//! of the tables `ticket` and `call_record`.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use support::{asking_for_all, batches, call_record, rows, ticket};
use weir_decode::yardstick::Yardstick;
use weir_decode::{Decoder, Outcome};
use weir_types::batch::ChangeBatch;
use weir_types::record::{Record, RecordBatch, Rekey};
use weir_types::schema::SourceDecl;

const RECORDS: u64 = 200_000;
/// Records between two clearings of the batches, about an epoch's.
const BATCH: usize = 4096;
const ROUNDS: usize = 7;

/// Fields of the four metrics.
const FEW: [&[&str]; 2] = [
    &["queue_id", "channel", "priority", "assignee_id", "status", "created_at", "first_reply_at"],
    &["queue_id", "direction", "queued_at"],
];

fn main() {
    let sources = [Arc::new(ticket("time-ms")), Arc::new(call_record())];
    let (records, topics) = match std::env::args().nth(1) {
        Some(path) => from_journal(&path, &sources),
        None => generate(),
    };
    let bytes: usize = records.iter().map(|r| r.value.map_or(0, <[u8]>::len)).sum();
    println!("{} records, {} bytes on average", records.len(), bytes / records.len().max(1));
    let few: Vec<BTreeSet<usize>> = sources
        .iter()
        .zip(FEW)
        .map(|(s, names)| names.iter().map(|n| s.column(n).unwrap()).collect())
        .collect();
    let all: Vec<BTreeSet<usize>> = sources.iter().map(|s| (0..s.columns.len()).collect()).collect();
    for (what, asked) in [("all columns", all), ("columns of four metrics", few)] {
        compare(what, &sources, &asked, &records, &topics);
    }
}

fn compare(
    what: &str,
    sources: &[Arc<SourceDecl>],
    asked: &[BTreeSet<usize>],
    records: &RecordBatch,
    topics: &[usize],
) {
    let mut decoder = asking_for_all(sources);
    let yardsticks: Vec<Yardstick> = sources.iter().zip(asked).map(|(s, a)| Yardstick::new(s, a)).collect();
    for (index, columns) in asked.iter().enumerate() {
        decoder.set_asked(index, columns);
    }
    let (mut ours, mut theirs) = (batches(sources), batches(sources));
    let (mut best_ours, mut best_theirs) = (f64::MAX, f64::MAX);
    for round in 0..ROUNDS {
        let (mut spent_ours, mut spent_theirs) = (0.0, 0.0);
        for from in (0..records.len()).step_by(BATCH) {
            let to = (from + BATCH).min(records.len());
            ours.iter_mut().chain(&mut theirs).for_each(ChangeBatch::clear);
            spent_theirs += timed(|| {
                for (i, &at) in (from..to).zip(&topics[from..to]) {
                    yardsticks[at].decode(&records.get(i), &mut theirs[at]).unwrap();
                }
            });
            spent_ours += timed(|| decode(&mut decoder, records, topics, from..to, &mut ours));
            if round == 0 {
                for ((source, a), b) in sources.iter().zip(&ours).zip(&theirs) {
                    assert!(rows(source, a) == rows(source, b), "columns differ");
                }
            }
        }
        best_ours = best_ours.min(spent_ours);
        best_theirs = best_theirs.min(spent_theirs);
    }
    let rate = |seconds: f64| records.len() as f64 / seconds / 1e6;
    println!(
        "{what}: yardstick {:.2} M/s, decoder {:.2} M/s, {:.2} ×",
        rate(best_theirs),
        rate(best_ours),
        best_theirs / best_ours
    );
}

fn decode(
    decoder: &mut Decoder,
    records: &RecordBatch,
    topics: &[usize],
    range: std::ops::Range<usize>,
    into: &mut [ChangeBatch],
) {
    for (i, &topic) in range.clone().zip(&topics[range]) {
        let outcome = decoder.decode(topic, &records.get(i), into);
        assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn from_journal(path: &str, sources: &[Arc<SourceDecl>]) -> (RecordBatch, Vec<usize>) {
    let (mut records, mut topics) = (RecordBatch::default(), Vec::new());
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let topic = entry["topic"].as_str().unwrap();
        let Some(at) = sources.iter().position(|s| s.topics[0] == topic) else { continue };
        let (Some(key), Some(value)) = (entry["key"].as_str(), entry["value"].as_str()) else { continue };
        push(&mut records, key, value);
        topics.push(at);
    }
    (records, topics)
}

fn push(records: &mut RecordBatch, key: &str, value: &str) {
    records.push(Record {
        partition: 0,
        offset: records.len() as i64,
        timestamp: None,
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        rekey: Rekey::None,
    });
}

/// Updates of both tables by turns, with a few inserts.
fn generate() -> (RecordBatch, Vec<usize>) {
    let (mut records, mut topics) = (RecordBatch::default(), Vec::new());
    let mut seed = 42u64;
    let mut draw = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for i in 0..RECORDS {
        let now = 1_795_420_800_000 + i * 37 + draw(3_000);
        let at = draw(2) as usize;
        let is_insert = draw(10) == 0;
        let (before, after) =
            if at == 0 { ticket_images(&mut draw, i, now) } else { call_images(&mut draw, i, now) };
        let (before, op) = if is_insert { ("null".to_string(), 'c') } else { (before, 'u') };
        let table = ["ticket", "call_record"][at];
        let value = format!(
            "{{\"before\":{before},\"after\":{after},\"source\":{{\"version\":\"3.5.0.Final\",\"connector\":\"mariadb\",\
             \"name\":\"svc\",\"ts_ms\":{now},\"snapshot\":\"false\",\"db\":\"service\",\"sequence\":null,\"ts_us\":{now}000,\
             \"ts_ns\":{now}000000,\"table\":\"{table}\",\"server_id\":1,\"gtid\":\"0-1-{i}\",\"file\":\"binlog.{:06}\",\
             \"pos\":{},\"row\":{},\"thread\":null,\"query\":null}},\"transaction\":null,\"op\":\"{op}\",\
             \"ts_ms\":{},\"ts_us\":{}123,\"ts_ns\":{}123456}}",
            i / 50_000,
            i % 50_000 * 700 + 4,
            draw(3),
            now + 12,
            now + 12,
            now + 12,
        );
        push(&mut records, &format!("{{\"id\":{i}}}"), &value);
        topics.push(at);
    }
    (records, topics)
}

fn ticket_images(draw: &mut impl FnMut(u64) -> u64, i: u64, now: u64) -> (String, String) {
    let statuses = ["new", "open", "pending", "solved", "closed"];
    let (queue, channel) = (draw(50), ["web", "app", "email", "phone"][draw(4) as usize]);
    let (priority, customer) = (draw(4), draw(100_000));
    let created = now - draw(86_400_000);
    let mut image = |status: &str, first: String, updated: u64| {
        format!(
            "{{\"id\":{i},\"queue_id\":{queue},\"channel\":\"{channel}\",\"priority\":{priority},\"customer_id\":{customer},\
             \"assignee_id\":{},\"status\":\"{status}\",\"created_at\":{created},\"assigned_at\":{},\"first_reply_at\":{first},\
             \"solved_at\":null,\"closed_at\":null,\"reopen_count\":0,\"reply_count\":{},\"escalated\":0,\
             \"first_reply_due_at\":{},\"resolve_due_at\":{},\"updated_at\":{updated}}}",
            draw(500),
            created + 60_000,
            draw(9),
            created + 3_600_000,
            created + 86_400_000
        )
    };
    let before = image(statuses[(i % 4) as usize], "null".into(), now - 1_000);
    (before, image(statuses[(i % 4 + 1) as usize], (now - 5).to_string(), now))
}

fn call_images(draw: &mut impl FnMut(u64) -> u64, i: u64, now: u64) -> (String, String) {
    let (queue, customer, agent) = (draw(50), draw(100_000), draw(500));
    let started = now - draw(600_000);
    let image = |status: &str, answered: String, talk: u64, by: &str, updated: u64| {
        format!(
            "{{\"id\":{i},\"queue_id\":{queue},\"direction\":\"inbound\",\"customer_id\":{customer},\"agent_id\":{agent},\
             \"status\":\"{status}\",\"started_at\":{started},\"queued_at\":{},\"answered_at\":{answered},\"ended_at\":null,\
             \"wrapup_ended_at\":null,\"talk_seconds\":{talk},\"hold_seconds\":0,\"hold_count\":0,\"missed_count\":0,\
             \"transferred_in\":0,\"transferred_out\":1,\"ended_by\":{by},\"updated_at\":{updated}}}",
            started + 5_250
        )
    };
    let before = image("queued", "null".into(), 0, "null", now - 1_000);
    (before, image("talking", now.to_string(), draw(600), "\"customer\"", now))
}
