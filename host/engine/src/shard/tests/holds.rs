//! Sources that hold: nothing of a failed batch is taken, others go on, and every way on counts each
//! record once.

use super::super::harness::Kills::{Every, Told};
use super::super::*;
use super::feed::{Feed, Rig};
use super::*;
use crate::recover::{join_initial, recover};
use proptest::prelude::*;
use std::time::Duration;
use weir_types::live::SourceStatus;
use weir_types::schema::SourceDecl;

const BAD: &str = "no change at all";

/// `count` births, one a second, with record number = id; `bad` of them cannot be read.
fn births(count: usize, bad: impl Fn(usize) -> bool) -> (Vec<Raw>, Vec<String>) {
    let mut raws = Vec::new();
    let mut records = Vec::new();
    for nth in 0..count {
        let (id, at) = (nth as i64, nth as i64);
        let raw = Raw { id, op: 'c', queue: id % 3, status: "open", before: None, created: at, updated: at };
        match bad(nth) {
            true => records.push(BAD.to_string()),
            false => {
                records.push(raw.change().json(100 + id));
                raws.push(raw);
            }
        }
    }
    (raws, records)
}

/// `ticket` on topic `t` with this share, and `other` on topic `o`, which no metric reads.
pub fn open_with(share: f64, primary_key: usize) -> impl Fn(&Arc<MemoryStore>, Micros) -> Shard + Clone {
    move |store, now| {
        let mut options = options();
        let ticket = (*options.sources[0]).clone();
        let other = SourceDecl {
            name: "other".into(),
            table: "other".into(),
            topics: vec!["o".into()],
            ..ticket.clone()
        };
        let ticket = SourceDecl { max_dead_share: share, primary_key: vec![primary_key], ..ticket };
        options.sources = vec![Arc::new(ticket), Arc::new(other)];
        let loader = &Counting { info: metrics()[0].info().clone() };
        let mut shard =
            recover(options, store.clone(), loader, Arc::new(|| Duration::ZERO)).expect("recovers");
        join_initial(&mut shard, &**store, loader, 1, now).expect("joins");
        shard
    }
}

fn rig(
    records: &[String],
    per_batch: usize,
    kills: Kills,
    open: impl Fn(&Arc<MemoryStore>, Micros) -> Shard + 'static,
) -> Rig {
    let others: Vec<String> = records.iter().map(|r| r.replace("\"ticket\"", "\"other\"")).collect();
    let feed = Feed::new(&[("t", records.to_vec()), ("o", others)], per_batch);
    Rig::new(feed, BASE + 3000 * SECOND, kills, open)
}

impl Rig {
    fn resume(&mut self, accept_dead: bool) -> Result<(), crate::hold::ResumeError> {
        self.shard.resume("ticket", accept_dead, self.clock)
    }
}

fn status(rig: &Rig) -> SourceStatus {
    rig.shard.source_status(rig.clock).remove(0)
}

fn next_of(rig: &Rig, topic: &str) -> i64 {
    head(&rig.store)
        .partitions
        .get(&TopicPartition { topic: topic.into(), partition: 0 })
        .map_or(0, |p| p.next)
}

fn dead_offsets(outbox: &Outbox) -> Vec<i64> {
    let mut offsets: Vec<i64> = outbox
        .dead_letters
        .iter()
        .filter(|d| d.metric.is_empty() && d.partition.topic == "t")
        .map(|d| d.offset)
        .collect();
    offsets.sort();
    offsets
}

#[test]
fn a_source_of_which_too_much_cannot_be_read_holds_before_the_batch_and_others_go_on() {
    let (_, records) = births(600, |n| n >= 300 && n % 4 != 0);
    both(&[Every(3)], |kills| {
        let mut rig = rig(&records, 100, kills, open_with(0.5, 0));
        rig.turns(30);
        assert_eq!(next_of(&rig, "t"), 300, "nothing of the batch is taken");
        assert_eq!(next_of(&rig, "o"), 600, "the other source goes on");
        let trouble = status(&rig).trouble.expect("it is told");
        for part in
            ["source ticket holds", "75 of 100", "75 %", "50 %", "t 0 @ 301 (not-json)", "--accept-dead"]
        {
            assert!(trouble.contains(part), "{part} is missing: {trouble}");
        }
        let outbox = rig.finish();
        assert!(outbox.dead_letters.iter().all(|d| d.partition.topic == "o"), "nothing is dead-lettered");
    });
}

#[test]
fn one_bad_record_of_one_does_not_hold_but_a_run_of_them_does() {
    let (raws, one) = births(90, |n| n == 40);
    let (_, run) = births(400, |n| n >= 10);
    both(&[Every(3)], |kills| {
        let mut first = rig(&one, 1, kills, open_with(0.5, 0));
        first.turns(200);
        let outbox = first.finish();
        assert_eq!((emitted(&outbox.realtime), dead_offsets(&outbox)), (created(&raws), vec![40]));
        let mut rig = rig(&run, 1, kills, open_with(0.5, 0));
        rig.turns(400);
        // Ten good ones and ninety bad ones are a batch of a hundred; the last of those is held back.
        assert_eq!(next_of(&rig, "t"), 99);
    });
}

#[test]
fn with_its_dead_accepted_a_source_goes_on_and_is_watched_again_later() {
    let (_, records) = births(1000, |n| (300..500).contains(&n) || n >= 700);
    both(&[Every(3)], |kills| {
        let mut rig = rig(&records, 100, kills, open_with(0.5, 0));
        rig.turns(20);
        assert_eq!(next_of(&rig, "t"), 300);
        rig.resume(true).expect("it holds");
        rig.turns(40);
        assert_eq!(next_of(&rig, "t"), 700, "it holds again at the next run of bad ones");
        let outbox = rig.finish();
        assert_eq!(dead_offsets(&outbox), (300..500).collect::<Vec<i64>>());
    });
}

#[test]
fn a_mended_declaration_takes_the_batch_that_failed_and_every_record_counts_once() {
    let (raws, records) = births(500, |_| false);
    both(&[Every(3)], |kills| {
        let mut rig = rig(&records, 150, kills, open_with(0.5, 1));
        rig.turns(10);
        assert_eq!(next_of(&rig, "t"), 0);
        rig.kill();
        rig.turns(10);
        assert!(status(&rig).trouble.is_some(), "a start with the same declaration holds again");
        rig.reopen(open_with(0.5, 0));
        rig.turns(20);
        assert_eq!((next_of(&rig, "t"), status(&rig).trouble), (500, None));
        let outbox = rig.finish();
        assert_eq!((emitted(&outbox.realtime), dead_offsets(&outbox)), (created(&raws), vec![]));
    });
}

#[test]
fn only_a_source_that_holds_can_be_resumed_and_a_second_try_changes_nothing() {
    let (_, records) = births(300, |_| true);
    both(&[Every(3)], |kills| {
        let mut rig = rig(&records, 150, kills, open_with(0.5, 0));
        assert!(rig.resume(false).is_err() && rig.shard.resume("no such", true, BASE).is_err());
        rig.turns(5);
        let trouble = status(&rig).trouble;
        assert!(trouble.is_some());
        rig.resume(false).expect("it holds");
        rig.turns(8);
        assert_eq!((next_of(&rig, "t"), status(&rig).trouble), (0, trouble));
        assert!(rig.finish().dead_letters.iter().all(|d| d.partition.topic == "o"));
    });
}

#[test]
fn a_partition_that_lost_records_stops_its_source_until_the_gap_is_accepted_and_noted() {
    let (raws, records) = births(400, |_| false);
    both(&[Told, Every(3)], |kills| {
        let mut rig = rig(&records, 20, kills, open_with(0.5, 0));
        rig.turns(5);
        let next = next_of(&rig, "t");
        assert!((20..200).contains(&next));
        rig.feed.truncate(0, 250);
        rig.kill();
        rig.turns(60);
        let stopped_at = next_of(&rig, "t");
        assert!(stopped_at < 250 && next_of(&rig, "o") == 400, "it stops and the other goes on");
        let trouble = status(&rig).trouble.expect("it is told");
        assert!(
            trouble.contains("is not there") && trouble.contains("weir source restart ticket"),
            "{trouble}"
        );
        assert!(rig.resume(false).is_err(), "there is no batch to try again");
        rig.kill();
        // A turn after a kill: a host that is killed before its reader has moved finds its source stopped again.
        rig.turns(5);
        rig.shard.restart("ticket", rig.clock).expect("it has stopped");
        rig.turns(40);
        assert_eq!((next_of(&rig, "t"), status(&rig).trouble), (400, None));
        let outbox = rig.finish();
        let gaps: Vec<(i64, i64)> =
            outbox.epochs.iter().flat_map(|e| &e.gaps).map(|g| (g.from, g.to)).collect();
        assert_eq!(gaps, [(stopped_at, 250)]);
        let actions: Vec<&str> = outbox.audit.iter().map(|a| &*a.action).collect();
        assert!(actions.ends_with(&["source-restarted", "gap"]), "{actions:?}");
        let left: Vec<Raw> = raws.iter().filter(|r| r.id < stopped_at || r.id >= 250).copied().collect();
        assert_eq!(emitted(&outbox.realtime), created(&left));
    });
}

#[test]
fn a_topic_made_anew_goes_on_from_its_beginning_when_that_is_accepted() {
    let (raws, records) = births(100, |_| false);
    // The new topic is shorter; its changes are further in the upstream's log.
    let (later, newer) = births(150, |_| false);
    both(&[Every(3)], |kills| {
        let mut rig = rig(&records, 30, kills, open_with(0.5, 0));
        rig.turns(20);
        assert_eq!(next_of(&rig, "t"), 100);
        rig.feed.tapes[0].records = newer[100..].to_vec();
        rig.restart();
        rig.turns(5);
        assert!(status(&rig).trouble.is_some_and(|t| t.contains("stopped")));
        rig.shard.restart("ticket", rig.clock).expect("it has stopped");
        rig.turns(20);
        assert_eq!(next_of(&rig, "t"), 50);
        let outbox = rig.finish();
        let gaps: Vec<(i64, i64)> =
            outbox.epochs.iter().flat_map(|e| &e.gaps).map(|g| (g.from, g.to)).collect();
        assert_eq!(gaps, [(100, 0)]);
        let all: Vec<Raw> = raws.iter().chain(&later[100..]).copied().collect();
        assert_eq!(emitted(&outbox.realtime), created(&all));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Runs of good and bad records, read in batches of any size, killed at any moment: with the dead
    /// accepted whenever it holds, each good record counts once and each bad one is a dead letter.
    #[test]
    fn whatever_is_held_and_accepted_each_record_is_taken_once(
        runs in prop::collection::vec((0usize..160, 0usize..5), 1..7),
        per_batch in 1usize..260,
        killed in prop::collection::vec(any::<bool>(), 90),
    ) {
        let mut bad = Vec::new();
        for (length, kind) in runs {
            bad.extend((0..length).map(|n| kind > 0 && n % 4 < kind));
        }
        let (raws, records) = births(bad.len(), |n| bad[n]);
        let dead: Vec<i64> = (0..bad.len()).filter(|n| bad[*n]).map(|n| n as i64).collect();
        both(&[Told], |kills| {
            let mut rig = rig(&records, per_batch.max(bad.len() / 60 + 1), kills, open_with(0.5, 0));
            for is_killed in &killed {
                rig.turn();
                if *is_killed {
                    rig.kill();
                }
                if rig.shard.holds.held().is_some() {
                    rig.resume(true).expect("it holds");
                }
            }
            rig.turns(80);
            assert_eq!(next_of(&rig, "t"), bad.len() as i64);
            let outbox = rig.finish();
            assert_eq!(dead_offsets(&outbox), dead);
            assert_eq!(emitted(&outbox.realtime), created(&raws));
        });
    }
}
