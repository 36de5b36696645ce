//! Dead letters that are redriven: whenever and in whatever order, each change counts once, and current
//! values are those of the newest change.

use super::super::harness::Kills::{Every, Told};
use super::super::*;
use super::feed::{Feed, Rig};
use super::holds::open_with;
use super::*;
use crate::recover::admit;
use proptest::prelude::*;
use weir_types::control::Redriven;
use weir_types::rows::{DeadLetterRow, DeadOutcome};

/// Column that is no part of the records' keys: declared as the primary key, it makes every record a
/// dead letter.
const WRONG_KEY: usize = 1;
const RIGHT_KEY: usize = 0;

fn rig(records: &[String], wrong: usize, kills: Kills) -> Rig {
    let feed = Feed::new(&[("t", records[..wrong].to_vec()), ("o", Vec::new())], 40);
    let mut rig = Rig::new(feed, BASE + 3000 * SECOND, kills, open_with(1.0, WRONG_KEY));
    rig.turns(40);
    assert_eq!(rig.letters.len(), wrong);
    rig.feed.tapes[0].records = records.to_vec();
    rig.reopen(open_with(1.0, RIGHT_KEY));
    rig
}

fn json_of(raws: &[Raw]) -> Vec<String> {
    (100..).zip(raws).map(|(pos, raw)| raw.change().json(pos)).collect()
}

fn names(answers: &[Redriven]) -> Vec<&'static str> {
    answers.iter().map(Redriven::name).collect()
}

#[test]
fn with_a_mended_declaration_all_dead_letters_are_applied_once_and_say_so() {
    let raws = life(4, 400);
    both(&[Told, Every(3)], |kills| {
        let mut rig = rig(&json_of(&raws), 400, kills);
        let letters = rig.letters.clone();
        for chunk in letters.chunks(60) {
            // kill -9 before the epoch is durable: as if it had not been asked for.
            if !kills.never() {
                rig.redrive(chunk);
                rig.restart();
                rig.turns(4);
            }
            assert!(names(&rig.redrive(chunk)).iter().all(|name| *name == "applied"));
            assert!(names(&rig.redrive(chunk)).iter().all(|name| *name == "refused"), "within the epoch");
            rig.turn();
            if !kills.never() {
                rig.restart();
                rig.turns(4);
            }
            assert!(names(&rig.redrive(chunk)).iter().all(|name| *name == "refused"), "and ever after");
        }
        let outbox = rig.finish();
        assert_eq!(emitted(&outbox.realtime), created(&raws));
        assert_eq!(shown(&outbox.latest), open(&raws));
        assert!(outbox.late_events.is_empty());
        let newest: BTreeMap<i64, DeadOutcome> =
            outbox.dead_letters.iter().map(|l| (l.offset, l.outcome)).collect();
        assert!(newest.len() == 400 && newest.values().all(|o| *o == DeadOutcome::Applied));
        let noted: usize = outbox.epochs.iter().map(|e| e.redriven.len()).sum();
        assert_eq!(noted, 400, "each stands in the epoch that took it up");
    });
}

#[test]
fn a_record_that_still_cannot_be_read_stays_dead_and_can_be_tried_again() {
    let mut records = json_of(&life(6, 100));
    records[50] = "no change at all".into();
    both(&[Told, Every(3)], |kills| {
        let mut rig = rig(&records, 100, kills);
        let letter = rig.letters[50].clone();
        assert_eq!(letter.code, "not-json");
        for _ in 0..2 {
            let answers = rig.redrive(std::slice::from_ref(&letter));
            assert!(matches!(&answers[0], Redriven::Dead { code, .. } if code == "not-json"), "{answers:?}");
            rig.turn();
            rig.kill();
            rig.turns(3);
        }
        let told = rig.letters.last().expect("it is told anew");
        assert_eq!((told.offset, told.outcome, told.epoch > letter.epoch), (50, DeadOutcome::Dead, true));
    });
}

#[test]
fn what_was_never_dead_or_not_read_yet_is_refused() {
    let records = json_of(&life(8, 100));
    both(&[Told, Every(3)], |kills| {
        let mut rig = rig(&records, 50, kills);
        rig.turns(20);
        rig.kill();
        let letter = |offset| DeadLetterRow { offset, ..rig.letters[0].clone() };
        let (applied, unread) = (letter(70), letter(100));
        let partition = TopicPartition { topic: "elsewhere".into(), partition: 0 };
        let elsewhere = DeadLetterRow { partition, ..letter(0) };
        assert_eq!(names(&rig.redrive(&[applied, unread, elsewhere])), ["refused"; 3]);
    });
}

#[test]
fn its_own_time_decides_and_what_is_too_late_is_a_late_event_with_its_coordinates() {
    let raw = |id: i64, at: i64| Raw {
        id,
        op: 'c',
        queue: 1,
        status: "new",
        before: None,
        created: at,
        updated: at,
    };
    // The dead ones were born at the beginning; three hours of event time later, minutes and hours are over.
    let raws: Vec<Raw> = (0..4).map(|n| raw(n, 30 + n)).chain((4..8).map(|n| raw(n, 12_000 + n))).collect();
    both(&[Told, Every(3)], |kills| {
        let mut rig = rig(&json_of(&raws), 4, kills);
        rig.clock = BASE + 12_100 * SECOND;
        rig.turns(5);
        let letters = rig.letters.clone();
        rig.kill();
        assert_eq!(names(&rig.redrive(&letters)), ["applied"; 4]);
        rig.turn();
        rig.kill();
        let outbox = rig.finish();
        let late: Vec<(i64, &[String])> =
            outbox.late_events.iter().map(|l| (l.offset, &l.windows[..])).collect();
        let missed = ["1m".to_string(), "1h".to_string()];
        assert_eq!(late, (0..4).map(|n| (n, &missed[..])).collect::<Vec<_>>());
        let mut expected = created(&raws);
        for (set, dims) in [("", vec![]), ("queue_id", vec!["1".to_string()])] {
            for window in ["1m", "1h"] {
                expected.remove(&(window.to_string(), set.to_string(), dims.clone(), BASE));
            }
        }
        assert_eq!(emitted(&outbox.realtime), expected, "the day still counts them");
    });
}

#[test]
fn a_run_that_the_upstream_sent_again_is_a_repeat_when_it_is_redriven() {
    let raws = life(12, 200);
    let all = json_of(&raws);
    // The first 80 are dead, come again, and then the stream goes on.
    let records: Vec<String> = all[..80].iter().chain(&all).cloned().collect();
    both(&[Told, Every(3)], |kills| {
        let mut rig = rig(&records, 80, kills);
        rig.turns(40);
        rig.kill();
        let letters = rig.letters.clone();
        let answers = rig.redrive(&letters);
        assert!(names(&answers).iter().all(|name| *name == "skipped"), "{answers:?}");
        rig.turn();
        rig.kill();
        let outbox = rig.finish();
        assert_eq!((emitted(&outbox.realtime), shown(&outbox.latest)), (created(&raws), open(&raws)));
    });
}

#[test]
fn a_change_that_was_redriven_is_a_repeat_when_the_upstream_sends_it_again() {
    let raws = life(14, 120);
    let all = json_of(&raws);
    both(&[Told, Every(3)], |kills| {
        let mut rig = rig(&all, 120, kills);
        let letters = rig.letters.clone();
        rig.redrive(&letters);
        rig.turn();
        rig.feed.tapes[0].records.extend(all.clone());
        rig.kill();
        rig.turns(30);
        let outbox = rig.finish();
        assert_eq!((emitted(&outbox.realtime), shown(&outbox.latest)), (created(&raws), open(&raws)));
    });
}

/// Stops every metric in the running epoch.
fn stop_all(rig: &mut Rig) {
    let all = (0..rig.shard.metrics.len()).map(|at| (at, "a trap".to_string())).collect();
    rig.shard.quarantine(all);
    rig.turn();
}

/// Pushes mended versions, and lets them read what they have missed.
fn mend_all(rig: &mut Rig) {
    rig.end_epoch(false);
    admit(&mut rig.shard, "mended.wasm", metrics(), &*rig.store, 1, rig.clock).expect("taken up");
    rig.turn();
}

fn catch_up_all(rig: &mut Rig) {
    for _ in 0..6 {
        rig.catch_up();
        rig.turn();
    }
    assert!(rig.shard.catalogue().iter().all(|e| e.status == "live"));
}

#[test]
fn a_metric_that_reads_a_dead_letter_by_itself_while_catching_up_counts_it_when_it_is_redriven() {
    let raws = life(16, 300);
    let records = json_of(&raws);
    both(&[Told, Every(3)], |kills| {
        let feed = Feed::new(&[("t", records.clone()), ("o", Vec::new())], 40);
        let mut rig = Rig::new(feed, BASE + 3000 * SECOND, kills, open_with(1.0, WRONG_KEY));
        rig.turns(2);
        // Stopped among dead letters; those behind it are dead for all too.
        stop_all(&mut rig);
        rig.turns(30);
        assert_eq!(rig.letters.len(), 300);
        rig.reopen(open_with(1.0, RIGHT_KEY));
        rig.turns(2);
        let letters = rig.letters.clone();
        let stopped = rig.redrive(&letters);
        assert!(
            matches!(&stopped[0], Redriven::Refused(why) if why.contains("t.created is stopped")),
            "{stopped:?}"
        );
        mend_all(&mut rig);
        assert_eq!(names(&rig.redrive(&letters)), vec!["refused"; 300], "while one catches up");
        catch_up_all(&mut rig);
        if !kills.never() {
            rig.restart();
            rig.turns(4);
        }
        assert_eq!(names(&rig.redrive(&letters)), vec!["applied"; 300]);
        let outbox = rig.finish();
        assert_eq!(emitted(&outbox.realtime), created(&raws));
        assert_eq!(shown(&outbox.latest), open(&raws));
    });
}

#[test]
fn a_metric_that_fails_in_the_epoch_of_a_redrive_has_the_dead_letters_of_that_epoch_once() {
    let raws = life(18, 300);
    both(&[Told, Every(3)], |kills| {
        let mut rig = rig(&json_of(&raws), 200, kills);
        rig.turns(20);
        let letters = rig.letters.clone();
        assert_eq!(names(&rig.redrive(&letters[..150])), vec!["applied"; 150]);
        stop_all(&mut rig);
        if !kills.never() {
            rig.restart();
            rig.turns(3);
        }
        mend_all(&mut rig);
        if !kills.never() {
            rig.restart();
            rig.turns(3);
        }
        catch_up_all(&mut rig);
        assert_eq!(names(&rig.redrive(&letters[150..])), vec!["applied"; 50]);
        let outbox = rig.finish();
        assert_eq!(emitted(&outbox.realtime), created(&raws));
        assert_eq!(shown(&outbox.latest), open(&raws));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Some of a life is dead, the rest goes on; the dead are redriven in any order, with kills between.
    #[test]
    fn in_whatever_order_they_are_redriven_every_number_is_that_of_all_changes(
        seed in 1u64..1000,
        wrong in 1usize..200,
        order in prop::collection::vec(any::<u32>(), 200),
        killed in prop::collection::vec(any::<bool>(), 12),
        per_call in 1usize..60,
        first in 0usize..12,
    ) {
        let raws = life(seed, 200);
        both(&[Told], |kills| {
            let mut rig = rig(&json_of(&raws), wrong, kills);
            // The stream goes on before, between, or after.
            rig.turns(first);
            let mut letters = rig.letters.clone();
            letters.sort_by_key(|l| order[l.offset as usize]);
            for (nth, chunk) in letters.chunks(per_call).enumerate() {
                let answers = rig.redrive(chunk);
                assert!(names(&answers).iter().all(|name| *name == "applied"), "{answers:?}");
                rig.turn();
                if killed[nth % killed.len()] {
                    rig.kill();
                    rig.turns(2);
                }
            }
            rig.turns(30);
            let outbox = rig.finish();
            assert_eq!(emitted(&outbox.realtime), created(&raws));
            assert_eq!(shown(&outbox.latest), open(&raws));
            assert!(outbox.late_events.is_empty());
        });
    }
}
