//! Current values against a small model: a table upstream, its log, a connector that writes the log to three
//! partitions, and a shard that reads them in any order.

pub mod reading;
pub mod world;

use super::fakes::*;
use super::harness::Kills::{self, Every, Told};
use super::harness::both;
use crate::recover::admit;
use proptest::prelude::*;
use reading::{Reading, Turn, turn};
use weir_types::SECOND;
use weir_types::control::{ControlError, Resnapshot};
use world::{BASE, PARTITIONS, Step, World, lossy, step};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn current_values_are_those_of_the_table_whatever_the_order_in_which_partitions_are_read(
        steps in proptest::collection::vec(step(), 1..60),
        order in proptest::collection::vec((0..PARTITIONS, 1..4usize, turn()), 0..40),
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        both(&[Told], |kills| {
            let mut reading = Reading::new(kills);
            for (partition, count, turn) in &order {
                reading.read(&world, *partition, *count);
                reading.turn(*turn);
            }
            reading.read_all(&world);
            reading.end_epoch();
            assert_eq!(reading.shown(), world.open());
        });
    }

    #[test]
    fn a_rebuild_mends_whatever_was_lost_before_it_while_changes_go_on(
        before in proptest::collection::vec(lossy(), 1..30),
        during in proptest::collection::vec(step(), 0..12),
        after in proptest::collection::vec(step(), 0..12),
        order in proptest::collection::vec((0..PARTITIONS, 1..4usize, turn()), 0..30),
        is_marked in any::<bool>(),
    ) {
        both(&[Told], |kills| {
            let mut world = World::new();
            before.iter().for_each(|step| world.take(step));
            let mut reading = Reading::new(kills);
            reading.read_all(&world);
            reading.end_epoch();
            reading.shard.resnapshot("ticket", Resnapshot::Begin, reading.clock).expect("begins");
            reading.end_epoch();
            during.iter().for_each(|step| world.take(step));
            world.take(if is_marked { &Step::WholeSnapshot } else { &Step::Snapshot });
            let is_marked = is_marked && !world.rows.is_empty();
            after.iter().for_each(|step| world.take(step));
            for (partition, count, turn) in &order {
                reading.read(&world, *partition, *count);
                reading.turn(*turn);
            }
            reading.read_all(&world);
            reading.end_epoch();
            if !is_marked {
                reading.shard.resnapshot("ticket", Resnapshot::Finish, reading.clock).expect("finishes");
                reading.end_epoch();
            }
            reading.clock += 40 * SECOND;
            let waits = reading.shard.rebuild_condition().is_some();
            assert!(!waits || reading.shard.has_work(reading.clock, false));
            reading.end_epoch();
            assert!(reading.shard.rebuild_condition().is_none());
            assert_eq!(reading.shown(), world.open());
        });
    }
}

/// Ten open rows, of which one is gone upstream and nobody said so.
fn with_a_ghost(kills: Kills) -> (World, Reading) {
    let mut world = World::new();
    (0..10).for_each(|id| world.take(&Step::Put(id, 0, true)));
    let mut reading = Reading::new(kills);
    reading.read_all(&world);
    reading.end_epoch();
    world.take(&Step::LostDelete(9));
    (world, reading)
}

#[test]
fn a_table_under_rebuild_is_never_shown_half_full() {
    both(&[Told, Every(1)], |kills| {
        let (mut world, mut reading) = with_a_ghost(kills);
        reading.shard.resnapshot("ticket", Resnapshot::Begin, reading.clock).expect("begins");
        world.take(&Step::WholeSnapshot);
        for nth in 0..30 {
            reading.read(&world, nth % PARTITIONS, 1);
            reading.turn(if nth % 7 == 3 { Turn::Restore } else { Turn::EndEpoch });
        }
        let total = |reading: &Reading| reading.newest()[&(String::new(), vec![])];
        assert_eq!(total(&reading), 10, "no partition was read to its end");
        reading.read_all(&world);
        reading.end_epoch();
        assert_eq!(total(&reading), 9);
        assert_eq!(reading.least, 9);
    });
}

#[test]
fn the_end_of_a_rebuild_waits_for_reads_that_come_to_the_broker_a_little_later() {
    both(&[Every(1), Every(2)], |kills| {
        let (mut world, mut reading) = with_a_ghost(kills);
        reading.shard.resnapshot("ticket", Resnapshot::Begin, reading.clock).expect("begins");
        world.take(&Step::WholeSnapshot);
        // The last read is row 8, in partition 2; those of partition 0 are on their way.
        let late = world.partitions[0].split_off(4);
        reading.read_all(&world);
        reading.end_epoch();
        world.partitions[0].extend(late);
        reading.clock += 10 * SECOND;
        reading.read_all(&world);
        reading.end_epoch();
        reading.clock += 40 * SECOND;
        reading.end_epoch();
        assert_eq!(reading.shown(), world.open());
    });
}

#[test]
fn a_rebuild_that_is_given_up_leaves_the_rows_and_what_cannot_be_done_is_refused() {
    both(&[Told, Every(1)], |kills| {
        let (_, mut reading) = with_a_ghost(kills);
        let mut ask = |source: &str, step| {
            let answer = reading.shard.resnapshot(source, step, BASE);
            if !kills.never() {
                reading.turn(Turn::Restore);
            }
            answer
        };
        assert!(matches!(ask("nobody", Resnapshot::Begin), Err(ControlError::Refused(_))));
        assert!(matches!(ask("ticket", Resnapshot::Finish), Err(ControlError::Refused(_))));
        assert_eq!(ask("ticket", Resnapshot::Begin), Ok(()));
        assert_eq!(ask("ticket", Resnapshot::Finish), Ok(()));
        assert_eq!(ask("ticket", Resnapshot::Cancel), Ok(()));
        reading.clock += 40 * SECOND;
        reading.end_epoch();
        assert_eq!(reading.newest()[&(String::new(), vec![])], 10);
    });
}

#[test]
fn a_metric_over_current_values_that_joins_a_running_table_begins_with_its_rows() {
    both(&[Told, Every(1)], |kills| {
        let (mut world, mut reading) = with_a_ghost(kills);
        world.take(&Step::Delete(8));
        reading.read_all(&world);
        reading.shard.retire("t.open", &*reading.store).expect("it is loaded");
        reading.turn(Turn::EndEpoch);
        let open = metrics().into_iter().filter(|f| f.info().name == "t.open").collect();
        admit(&mut reading.shard, "again.wasm", open, &*reading.store, 1, BASE).expect("it joins");
        reading.turn(Turn::Restore);
        (0..5).for_each(|id| world.take(&Step::Delete(id)));
        reading.read_all(&world);
        reading.end_epoch();
        // Row 9 is gone, and nobody said so.
        assert_eq!(reading.newest()[&(String::new(), vec![])], 4);
    });
}

#[test]
fn texts_of_rows_that_are_gone_are_forgotten() {
    both(&[Told, Every(7)], |kills| {
        let (mut world, mut reading) = (World::new(), Reading::new(kills));
        for id in 0..2000 {
            world.take(&Step::Put(id, 1, true));
            if id >= 10 {
                world.take(&Step::Delete(id - 10));
            }
            reading.read_all(&world);
            reading.end_epoch();
            let texts = reading.shard.shared.texts.len();
            assert!(texts <= 60, "{texts} texts for ten rows");
        }
        assert_eq!(reading.shown(), world.open());
    });
}

/// The rows that a table holds must not depend on which of these a test says; so they are written out.
#[test]
fn a_truncate_read_late_ends_only_the_rows_that_were_set_before_it() {
    both(&[Told, Every(1)], |kills| {
        let mut world = World::new();
        // Row 0 is in partition 0, the truncate in partition 1.
        [Step::Put(0, 0, true), Step::Put(3, 0, true), Step::Truncate, Step::Put(0, 0, true)]
            .iter()
            .for_each(|step| world.take(step));
        let mut reading = Reading::new(kills);
        while reading.read(&world, 0, 1) {}
        reading.turn(Turn::Restore);
        reading.read_all(&world);
        reading.end_epoch();
        assert_eq!(reading.shown(), world.open());
        assert_eq!(world.open()[&(String::new(), vec![])], 1);
    });
}

#[test]
fn a_change_from_before_a_truncate_that_is_read_after_it_sets_nothing() {
    both(&[Told, Every(1)], |kills| {
        let mut world = World::new();
        [Step::Put(0, 0, true), Step::Truncate].iter().for_each(|step| world.take(step));
        let mut reading = Reading::new(kills);
        reading.read(&world, 1, 1);
        reading.turn(Turn::Restore);
        reading.read_all(&world);
        reading.end_epoch();
        assert!(reading.shown().is_empty());
    });
}
