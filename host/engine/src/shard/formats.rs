//! The same life written in formats that carry no position or no before image: every number equals the
//! recomputation from the raw changes, with the upstream repeating itself.

use super::fakes::options;
use super::harness::{Entry, Left, World, twice};
use super::tests::{BASE, Raw, created, emitted, in_epochs, life, open, shown, world};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl};

/// A record's key and value.
type Text = (Option<String>, Option<String>);

/// The tests' source in another format, with a version.
fn world_of(format: Format, versioned: bool) -> World {
    let mut options = options();
    let mut source: SourceDecl = (*options.sources[0]).clone();
    let version =
        ColumnDecl { name: "version".into(), ty: ColumnType::Int, nullable: false, values: Vec::new() };
    source.columns.push(version);
    let version_column = versioned.then_some(source.columns.len() - 1);
    options.sources = vec![Arc::new(SourceDecl {
        format,
        reading: Reading { version_column, ..Reading::default() },
        ..source
    })];
    World { options, ..world() }
}

/// The image of a row; `version` grows with every change of any row.
fn image(raw: &Raw, queue: i64, status: &str, version: usize) -> String {
    let ms = |s: i64| BASE / 1000 + s * 1000;
    format!(
        r#"{{"id":"{}","queue_id":"{queue}","status":"{status}","created_at":"{}","updated_at":"{}","version":"{version}"}}"#,
        raw.id,
        ms(raw.created),
        ms(raw.updated)
    )
}

/// The changes as Canal writes them: up to `rows` neighbours of one kind in a record.
fn canal(raws: &[Raw], rows: usize) -> Vec<Text> {
    let kind = |raw: &Raw| match raw.op {
        'c' => "INSERT",
        'd' => "DELETE",
        _ => "UPDATE",
    };
    let mut versions: BTreeMap<i64, usize> = BTreeMap::new();
    let mut texts = Vec::new();
    let mut at = 0;
    while at < raws.len() {
        let first = &raws[at];
        let same = raws[at..].iter().take(rows).take_while(|raw| raw.op == first.op).count();
        let (mut data, mut old) = (Vec::new(), Vec::new());
        for (i, raw) in raws[at..at + same].iter().enumerate() {
            let before = versions.get(&raw.id).copied();
            // A delete shows the row as it was, with the version that it had.
            let version = if raw.op == 'd' { before.unwrap_or(0) } else { at + i };
            versions.insert(raw.id, version);
            data.push(image(raw, raw.queue, raw.status, version));
            if let (Some((queue, status)), 'u') = (raw.before, raw.op) {
                old.push(format!(
                    r#"{{"queue_id":"{queue}","status":"{status}","version":"{}"}}"#,
                    before.unwrap_or(0)
                ));
            }
        }
        let old = if old.is_empty() { "null".into() } else { format!("[{}]", old.join(",")) };
        let text = format!(
            r#"{{"type":"{}","isDdl":false,"table":"ticket","data":[{}],"old":{old}}}"#,
            kind(first),
            data.join(",")
        );
        texts.push((None, Some(text)));
        at += same;
    }
    texts
}

/// The changes as a compacted topic has them.
fn plain(raws: &[Raw]) -> Vec<Text> {
    let text = |(version, raw): (usize, &Raw)| {
        let value = (raw.op != 'd').then(|| image(raw, raw.queue, raw.status, version));
        (Some(raw.id.to_string()), value)
    };
    raws.iter().enumerate().map(text).collect()
}

/// Runs the records in epochs of many and of a few, straight and killed.
fn check(world: &World, texts: &[Text], of: impl Fn(&Left, &str)) {
    for per_epoch in [40, 7] {
        let case = format!("{per_epoch} an epoch");
        twice(world, &in_epochs(&entries(texts), per_epoch, 21), |left, _| of(left, &case));
    }
}

fn entries(texts: &[Text]) -> Vec<Entry> {
    let texts = (0..).zip(texts.iter().cloned());
    texts.map(|(offset, (key, value))| Entry { partition: 0, offset, key, value }).collect()
}

fn skipped(left: &Left, reason: &str) -> u64 {
    let partitions = left.outbox.epochs.iter().flat_map(|e| &e.partitions);
    partitions.filter_map(|p| p.counts.skipped.get(reason)).sum()
}

/// The records, of which those from `from` to `to` come a second time after `to`.
fn repeated(texts: &[Text], from: usize, to: usize) -> Vec<Text> {
    [&texts[..to], &texts[from..to], &texts[to..]].concat()
}

#[test]
fn canal_s_records_of_several_rows_give_the_numbers_of_their_rows() {
    let world = world_of(Format::CanalJson, false);
    for (seed, rows) in [(1, 1), (2, 4)] {
        let raws = life(seed, 600);
        check(&world, &canal(&raws, rows), |left, case| {
            assert_eq!(emitted(&left.rows), created(&raws), "seed {seed}, {case}");
            assert_eq!(shown(&left.outbox.latest), open(&raws), "seed {seed}, {case}");
            assert!(left.outbox.dead_letters.is_empty() && left.outbox.late_events.is_empty());
        });
    }
}

#[test]
fn what_canal_repeats_counts_once_where_a_version_is_named_and_twice_where_not() {
    let raws = life(5, 400);
    let texts = canal(&raws, 3);
    let twice = repeated(&texts, 40, 120);
    check(&world_of(Format::CanalJson, true), &twice, |left, case| {
        assert_eq!(emitted(&left.rows), created(&raws), "{case}");
        assert_eq!(shown(&left.outbox.latest), open(&raws), "{case}");
        assert_eq!(skipped(left, "repeat"), 80, "{case}");
    });
    check(&world_of(Format::CanalJson, false), &twice, |left, case| {
        assert_ne!(emitted(&left.rows), created(&raws), "nothing tells a repeat without a version: {case}");
        assert_eq!(skipped(left, "repeat"), 0, "{case}");
    });
}

#[test]
fn the_new_rows_of_a_record_count_though_others_of_it_are_repeats() {
    // Short enough that no birth is ahead of the clock.
    let raws = life(3, 40);
    let alone = canal(&raws, 1);
    let births: Vec<usize> = (0..raws.len()).filter(|at| raws[*at].op == 'c').collect();
    // The first birth by itself, and then again in one record with all others.
    let text = |at: usize| alone[at].1.clone().expect("a value");
    let data = |at: usize| {
        let text = text(at);
        let (from, to) = (text.find("[{").expect("data") + 1, text.find("}]").expect("data") + 1);
        text[from..to].to_string()
    };
    let all: Vec<String> = births.iter().map(|at| data(*at)).collect();
    let first = alone[births[0]].clone();
    let together = text(births[0]).replace(&data(births[0]), &all.join(","));
    let texts = [first, (None, Some(together))];
    let births: Vec<Raw> = births.into_iter().map(|at| raws[at]).collect();
    for per_epoch in [1, 2] {
        twice(&world_of(Format::CanalJson, true), &in_epochs(&entries(&texts), per_epoch, 21), |left, _| {
            assert_eq!(emitted(&left.rows), created(&births), "{per_epoch} an epoch");
            assert_eq!(skipped(left, "repeat"), 0, "the record gave rows, so it was applied");
        });
    }
}

#[test]
fn plain_rows_give_births_and_current_values_by_what_was_known_of_their_keys() {
    let world = world_of(Format::PlainJson, false);
    for seed in 1..=3 {
        let raws = life(seed, 600);
        check(&world, &plain(&raws), |left, case| {
            assert_eq!(emitted(&left.rows), created(&raws), "seed {seed}, {case}");
            assert_eq!(shown(&left.outbox.latest), open(&raws), "seed {seed}, {case}");
        });
    }
}

#[test]
fn plain_rows_that_come_again_count_once_where_a_version_is_named() {
    let raws = life(8, 400);
    let twice = repeated(&plain(&raws), 100, 250);
    check(&world_of(Format::PlainJson, true), &twice, |left, case| {
        assert_eq!(emitted(&left.rows), created(&raws), "{case}");
        assert_eq!(shown(&left.outbox.latest), open(&raws), "{case}");
        assert_eq!(skipped(left, "repeat"), 150, "{case}");
    });
}

#[test]
fn a_tombstone_of_a_key_that_nobody_knows_changes_nothing() {
    let texts: Vec<Text> = (0..15).map(|id| (Some(id.to_string()), None)).collect();
    check(&world_of(Format::PlainJson, false), &texts, |left, case| {
        assert!(left.rows.is_empty() && left.outbox.dead_letters.is_empty(), "{case}");
        assert!(shown(&left.outbox.latest).is_empty(), "{case}");
    });
}
