//! Metrics over sources whose records do not say what happened: stopped and mended at any moment, they end up
//! with the numbers of a twin that was never away.

mod metrics;
mod rig;
mod world;

use super::harness::Kills::{self, Every, Told};
use super::harness::both;
use super::*;
use crate::recover::admit;
use metrics::metrics;
use proptest::prelude::*;
use rig::{Rig, Turn, turn};
use weir_types::control::{ControlError, Resnapshot};
use world::{Kind, Step, World, lacking, options_of, step};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z
const PARTITIONS: usize = 3;
/// Rows without the column after which metrics are suspended here.
const LIMIT: u64 = 3;

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Plain), Just(Kind::PlainVersioned), Just(Kind::Canal)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_metric_that_failed_and_was_mended_has_the_numbers_of_its_twin(
        kind in kind(),
        steps in proptest::collection::vec(step(), 1..60),
        turns in proptest::collection::vec(turn(), 1..60),
    ) {
        let world = World::new(kind, &steps);
        both(&[Told], |kills| {
            let mut rig = Rig::new(options_of(kind, u64::MAX), kills);
            turns.iter().for_each(|turn| rig.turn(&world, turn));
            rig.mend();
            rig.settle(&world);
            rig.redrive(&world, usize::MAX);
            rig.end_epoch();
            rig.flush();
            for name in ["t.created", "t.closed"] {
                assert_eq!(rig.newest.get(name), rig.newest.get(&format!("{name}.twin")), "{name}");
            }
            assert_eq!(rig.late, 0);
            assert_eq!(rig.kept(), 0, "nobody needs it any more");
        });
    }

    #[test]
    fn metrics_whose_column_was_dropped_have_the_numbers_of_a_host_that_stops_none(
        kind in kind(),
        steps in proptest::collection::vec(lacking(), 1..60),
        turns in proptest::collection::vec(turn(), 1..60),
    ) {
        let mut world = World::new(kind, &steps);
        world.lacks = false;
        // Rows in every partition, so that each ends with one that fits.
        (20..20 + PARTITIONS as i64).for_each(|id| world.take(&Step::Put(id, 0, true)));
        // A dead letter that is taken up again counts where it is taken up: that differs by host.
        let turns: Vec<&Turn> = turns.iter().filter(|turn| !matches!(turn, Turn::Redrive(_))).collect();
        // Where a truncate ends rows depends on what is read before it.
        let comparable = kind != Kind::Canal || !steps.iter().any(|step| matches!(step, Step::Truncate));
        both(&[Told], |kills| {
            let mut rig = Rig::new(options_of(kind, LIMIT), kills);
            turns.iter().for_each(|turn| rig.turn(&world, turn));
            rig.mend();
            rig.settle(&world);
            if !comparable {
                return;
            }
            let mut other = Rig::new(options_of(kind, u64::MAX), Kills::None);
            other.read_all(&world);
            other.end_epoch();
            other.flush();
            assert_eq!(rig.newest, other.newest);
            assert_eq!(rig.late, 0);
            assert_eq!(rig.kept(), 0, "nobody needs it any more");
        });
    }
}

/// Ten rows in the world, of which the shard has read none.
fn ten_rows() -> World {
    let put = |id: i64| Step::Put(id, 0, true);
    World::new(Kind::Plain, &(0..10).map(put).collect::<Vec<_>>())
}

#[test]
fn what_is_missed_is_kept_up_to_a_limit_and_beyond_it_a_mended_version_is_told_what_to_do() {
    both(&[Told, Every(1), Every(3)], |kills| {
        let mut world = ten_rows();
        let mut rig = Rig::new(Options { missed_bytes: 500, ..options_of(Kind::Plain, u64::MAX) }, kills);
        rig.read_all(&world);
        rig.end_epoch();
        rig.flush();
        assert_eq!(rig.kept(), 0, "nobody is away");
        rig.fail();
        rig.end_epoch();
        (0..40).for_each(|round| {
            world.take(&Step::Put(round % 10, round, round % 3 == 0));
            rig.read_all(&world);
            rig.end_epoch();
        });
        rig.flush();
        assert_eq!(rig.kept(), 0, "what is not whole is of no use");
        for _ in 0..2 {
            let created = metrics().into_iter().filter(|m| m.info().name == "t.created").collect();
            let refused = admit(&mut rig.shard, "mended.wasm", created, &*rig.store, 1, rig.clock);
            let refused = refused.expect_err("refused");
            assert!(refused.contains("source ticket") && refused.contains("retire"), "{refused}");
            rig.end_epoch();
            rig.flush();
            rig.kill();
        }
    });
}

#[test]
fn a_metric_that_catches_up_when_the_limit_is_reached_is_quarantined_and_says_why() {
    both(&[Told, Every(1), Every(3)], |kills| {
        let mut world = ten_rows();
        let mut rig = Rig::new(Options { missed_bytes: 2000, ..options_of(Kind::Plain, u64::MAX) }, kills);
        rig.fail();
        rig.end_epoch();
        // In several epochs: what it has read of the first tells nothing of the others.
        while (0..PARTITIONS).any(|partition| rig.read(&world, partition, 1)) {
            rig.end_epoch();
        }
        rig.mend();
        rig.end_epoch();
        rig.catch_up(&world, 1);
        (0..200).for_each(|round| {
            world.take(&Step::Put(round % 10, round, round % 3 == 0));
            rig.read_all(&world);
            rig.end_epoch();
        });
        rig.flush();
        rig.kill();
        rig.catch_up(&world, 1000);
        rig.end_epoch();
        for entry in rig.shard.catalogue().into_iter().filter(|e| !e.info.name.ends_with(".twin")) {
            assert_eq!(entry.status, "quarantined");
            let reason = entry.reason.unwrap_or_default();
            assert!(reason.contains("no longer kept") && reason.contains("retire"), "{reason}");
        }
    });
}

#[test]
fn a_state_of_before_findings_were_kept_is_read_and_its_stopped_metrics_are_refused() {
    both(&[Every(1), Every(3)], |kills| {
        let mut world = ten_rows();
        let mut rig = Rig::new(options_of(Kind::Plain, u64::MAX), kills);
        rig.fail();
        rig.end_epoch();
        rig.read_all(&world);
        rig.end_epoch();
        rig.flush();
        // An older host wrote none.
        rig.store.data.lock().expect("lock").retain(|key, _| !key.starts_with(b"0/findings/"));
        rig.start_anew();
        world.take(&Step::Put(0, 1, true));
        rig.read_all(&world);
        rig.end_epoch();
        let created = metrics().into_iter().filter(|m| m.info().name == "t.created").collect();
        let refused = admit(&mut rig.shard, "mended.wasm", created, &*rig.store, 1, rig.clock);
        assert!(refused.expect_err("refused").contains("no longer kept"));
        rig.flush();
        assert_eq!(rig.kept(), 0);
    });
}

#[test]
fn what_a_long_absence_left_behind_is_deleted_little_by_little_whatever_is_killed() {
    both(&[Told, Every(50)], |kills| {
        let mut world = ten_rows();
        let mut rig = Rig::new(options_of(Kind::Plain, u64::MAX), kills);
        rig.fail();
        rig.end_epoch();
        for round in 0..3000 {
            world.take(&Step::Put(round % 10, round, true));
            rig.read(&world, (round % 10) as usize % PARTITIONS, 9);
            rig.end_epoch();
        }
        rig.flush();
        let kept = rig.kept();
        assert!(kept > 2 * 2048, "{kept}");
        for name in ["t.created", "t.closed"] {
            rig.shard.retire(name, &*rig.store).expect("it is there");
        }
        rig.end_epoch();
        rig.flush();
        assert!(rig.kept() > 0 && rig.kept() < kept);
        rig.kill();
        rig.flush();
        assert_eq!(rig.kept(), 0);
    });
}

#[test]
fn a_rebuild_is_refused_where_versions_would_take_the_snapshot_for_repeats() {
    for (kind, refuses) in [(Kind::Plain, false), (Kind::PlainVersioned, true), (Kind::Canal, true)] {
        let mut rig = Rig::new(options_of(kind, u64::MAX), Kills::None);
        let begun = rig.shard.resnapshot("ticket", Resnapshot::Begin, rig.clock);
        match begun {
            Err(ControlError::Refused(reason)) => {
                assert!(refuses && !reason.is_empty(), "{kind:?}: {reason}")
            }
            begun => assert!(!refuses && begun.is_ok(), "{kind:?}"),
        }
    }
}
