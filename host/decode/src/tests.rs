//! That the fast path is taken: nothing else would show if it were not.
#![allow(clippy::unwrap_used)]

use super::*;
use weir_types::record::Rekey;
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, TimeUnit};

fn source(table: &str) -> Arc<SourceDecl> {
    let column = |name: &str, ty| ColumnDecl { name: name.into(), ty, nullable: false, values: Vec::new() };
    Arc::new(SourceDecl {
        name: table.into(),
        topics: vec!["all".into()],
        table: table.into(),
        format: Format::DebeziumJson,
        reading: Reading::default(),
        columns: vec![column("id", ColumnType::Int), column("at", ColumnType::Time(TimeUnit::Ms))],
        primary_key: vec![0],
        event_time: 1,
        out_of_orderness: 0,
        idle_after: 0,
        max_dead_share: 1.0,
    })
}

/// Change number `i` of a table, with everything in it that differs from record to record.
fn change(table: &str, i: usize, enveloped: bool) -> String {
    let image = |n: usize| format!("{{\"id\":{i},\"note\":\"n{n}\",\"at\":{}}}", 1_795_420_800_000 + n);
    let (before, after, op) = match i % 4 {
        0 => ("null".into(), image(i), 'c'),
        3 => (image(i), "null".into(), 'd'),
        _ => (image(i), image(i + 1), 'u'),
    };
    let transaction = if i.is_multiple_of(3) {
        "null".into()
    } else {
        format!("{{\"id\":\"0-1-{i}\",\"total_order\":{i}}}")
    };
    let payload = format!(
        "{{\"before\":{before},\"after\":{after},\"source\":{{\"connector\":\"mariadb\",\"ts_ms\":{},\"gtid\":\"0-1-{i}\",\
         \"table\":\"{table}\",\"server_id\":1,\"file\":\"binlog.{:06}\",\"pos\":{},\"row\":{}}},\
         \"transaction\":{transaction},\"op\":\"{op}\",\"ts_ms\":{i}}}",
        i / 7,
        i / 300,
        i * 100,
        i % 2
    );
    if enveloped { format!("{{\"schema\":{{\"name\":\"{table}\"}},\"payload\":{payload}}}") } else { payload }
}

/// Decodes these changes; how many went the fast way.
fn fast(sources: &[Arc<SourceDecl>], changes: &[String]) -> usize {
    let mut decoder = Decoder::new(sources);
    let mut batches = vec![ChangeBatch::new(2); sources.len()];
    let mut fast = 0;
    for value in changes {
        let value = value.as_bytes();
        let key = Some(&b"{\"id\":1}"[..]);
        let record =
            Record { partition: 0, offset: 0, timestamp: None, key, value: Some(value), rekey: Rekey::None };
        match decoder.decode_fast(0, value, &record, &mut batches) {
            Some(outcome) => {
                assert!(!matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
                fast += 1;
            }
            None => assert!(!matches!(decoder.decode(0, &record, &mut batches), Outcome::Dead(_))),
        }
    }
    fast
}

#[test]
fn a_steady_stream_goes_the_fast_way_after_a_few_records() {
    for enveloped in [false, true] {
        let changes: Vec<_> = (0..1000).map(|i| change("a", i, enveloped)).collect();
        let fast = fast(&[source("a")], &changes);
        assert!(fast > 985, "only {fast} of 1000");
    }
}

#[test]
fn many_tables_on_one_topic_go_the_fast_way_and_unknown_ones_do_not_push_them_out() {
    let names: Vec<String> = (0..5).map(|n| format!("table{n}")).collect();
    let sources: Vec<_> = names.iter().map(|n| source(n)).collect();
    let mut changes = Vec::new();
    for i in 0..1000 {
        changes.push(change(&names[i % 5], i, false));
        // 40 tables that nobody declared: these may go the slow way.
        changes.push(change(&format!("unknown{}", i % 40), i, false));
    }
    let fast = fast(&sources, &changes);
    assert!(fast > 960, "only {fast} of 1000");
}

#[test]
fn one_unknown_table_among_known_ones_goes_the_fast_way_too() {
    let mut changes = Vec::new();
    for i in 0..500 {
        changes.push(change("a", i, false));
        changes.push(change("other", i, false));
    }
    let fast = fast(&[source("a")], &changes);
    assert!(fast > 970, "only {fast} of 1000");
}
