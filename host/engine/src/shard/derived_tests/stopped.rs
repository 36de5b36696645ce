//! Derived metrics that fail, and such whose bases are away.

use super::super::harness::Kills::Told;
use super::super::{Shard, fakes::MemoryStore};
use super::*;
use crate::recover::admit;
use weir_types::ports::StateStore;
use weir_types::record::SourceEvent;

/// A shard whose epochs a test ends by hand, and the newest row of each key.
struct Hand {
    /// With the versions that are loaded now.
    world: World,
    kills: Kills,
    /// Epochs that the test has ended.
    epochs: u64,
    shard: Shard,
    store: Arc<MemoryStore>,
    clock: Micros,
    rows: BTreeMap<(String, String, Vec<String>, Micros), RealtimeRow>,
}

impl Hand {
    fn begin(world: World, kills: Kills) -> Hand {
        let store = Arc::default();
        let shard = open(&world, &store, BASE);
        let mut hand = Hand { world, kills, epochs: 0, shard, store, clock: BASE, rows: BTreeMap::new() };
        enter(&mut hand.shard, 1, BASE);
        hand.commit();
        hand
    }

    /// kill -9 and a start on what is stored, but for the straight run.
    fn kill(&mut self) {
        if !self.kills.never() {
            self.shard = open(&self.world, &self.store, self.clock);
            enter(&mut self.shard, 1, self.clock);
            self.commit();
        }
    }

    /// The epoch ends and is durable; a host that is killed now begins the next one anew.
    fn epoch(&mut self) {
        self.commit();
        self.epochs += 1;
        if self.kills.hit(self.epochs) {
            self.kill();
        }
    }

    fn commit(&mut self) {
        let commit = self.shard.end_epoch(self.clock, true, None, 0).expect("the store answers");
        self.shard.durable(commit.update.epoch);
        self.store.write(commit.writes).expect("writes");
        for row in commit.outbox.realtime.into_iter().filter(|r| r.series.metric == "t.balance") {
            let key = (
                row.series.window.to_string(),
                row.series.dimension_set.to_string(),
                row.dims.to_vec(),
                row.start,
            );
            self.rows.insert(key, row);
        }
    }

    /// Another version comes in the place of a metric.
    fn admit(&mut self, factory: Arc<dyn MetricFactory>) -> Result<Vec<String>, String> {
        let factories = vec![factory.clone()];
        let admitted = admit(&mut self.shard, "mended.wasm", factories, &*self.store, 1, self.clock)?;
        self.world.metrics.retain(|held| held.info().name != factory.info().name);
        self.world.metrics.push(factory);
        Ok(admitted)
    }

    fn read(&mut self, entries: &[Entry], changes: &[Change]) {
        for (records, of) in entries.chunks(4).zip(changes.chunks(4)) {
            self.clock = self.clock.max(of.iter().map(|c| c.updated).max().unwrap_or(self.clock));
            self.shard.apply(SourceEvent::Records(batch_of(records)), self.clock);
            self.epoch();
        }
    }

    fn status(&self) -> (String, Option<String>) {
        let all = self.shard.catalogue();
        let mine = all.iter().find(|e| e.info.name == "t.balance").expect("it is loaded");
        (mine.status.clone(), mine.reason.clone())
    }

    /// A base fails: it stops, and its batch's work is lost.
    fn stop(&mut self, name: &str) {
        let at = self.shard.metrics.iter().position(|m| m.info.name == name).expect("it runs");
        self.shard.quarantine(vec![(at, "a trap".into())]);
        self.epoch();
    }

    /// A mended version of it reads what it missed.
    fn mend(&mut self, factory: Arc<dyn MetricFactory>, entries: &[Entry]) {
        let name = factory.info().name.clone();
        self.admit(factory).expect("taken up");
        for _ in 0..5 {
            self.epoch();
            let Some(catchup) = self.shard.catchups.iter().find(|c| c.metric.info.name == name) else {
                return;
            };
            let next = catchup.start().values().next().map_or(0, |at| at.next as usize);
            self.shard.catch_up(&name, &batch_of(&entries[next..]), &[0], self.clock).expect("reads");
            self.shard.catch_up_reached_end(&name, 0, self.clock);
        }
        panic!("it does not come back");
    }

    fn found(&self, window: &str) -> Balances {
        let rows = self.rows.values().filter(|r| r.series.window == window);
        rows.map(|r| {
            ((r.series.dimension_set.to_string(), r.dims.to_vec(), r.start, r.end), values(&r.values))
        })
        .collect()
    }
}

#[test]
fn while_a_base_is_away_the_last_values_stand_and_then_all_it_missed_is_computed() {
    let changes = changes(4, 500);
    let entries = entries(&changes);
    both(&[Told, Every(1), Every(3)], |kills| {
        let mut hand = Hand::begin(world(u64::MAX), kills);
        hand.read(&entries[..200], &changes[..200]);
        assert_eq!(hand.status().0, "live");
        hand.stop("t.gone");
        let (status, reason) = hand.status();
        assert_eq!(
            (status.as_str(), reason.as_deref()),
            ("stale", Some("its base t.gone does not run: these are its last values"))
        );
        let before = hand.found("1m");
        hand.kill();
        assert_eq!(hand.status().0, "stale");
        // More than two hours: longer than a minute's window is kept.
        hand.read(&entries[200..], &changes[200..]);
        assert_eq!(hand.found("1m"), before, "the last values stand");
        hand.mend(tally("t.gone", Rule::Gone, &WINDOWS), &entries);
        assert_eq!(hand.status(), ("live".into(), None));
        for hour in 1..=26 {
            hand.shard.apply(SourceEvent::EndOfPartition { index: 0 }, hand.clock);
            hand.clock = hand.clock.max(BASE + hour * HOUR + 10 * HOUR);
            hand.epoch();
        }
        for (window, cut) in [("1m", Cut::Every(MINUTE)), ("1h", Cut::Every(HOUR)), ("day", Cut::Every(DAY))]
        {
            assert_eq!(hand.found(window), expected(&changes, cut), "{window}");
        }
        assert!(hand.rows.values().all(|r| r.is_final));
    });
}

#[test]
fn a_derived_metric_that_fails_costs_itself_alone_and_a_mended_version_computes_all() {
    struct Failing(MetricInfo);
    struct Fails;
    impl DerivedInstance for Fails {
        fn compute(&mut self, given: &BaseRows) -> Result<Outputs, GuestError> {
            match given.rows {
                0 => Ok(Outputs { columns: vec![PackedColumn::default(); 2], ..Outputs::default() }),
                _ => Err(GuestError::Trap("it divides by zero".into())),
            }
        }
        fn memory_bytes(&self) -> usize {
            0
        }
    }
    impl MetricFactory for Failing {
        fn info(&self) -> &MetricInfo {
            &self.0
        }
        fn digest(&self) -> &str {
            "failing"
        }
        fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
            Err(GuestError::Refused("it is derived".into()))
        }
        fn open_derived(&self) -> Result<Box<dyn DerivedInstance>, GuestError> {
            Ok(Box::new(Fails))
        }
    }
    // More than two hours: longer than a minute's window is kept by itself.
    let changes = changes(5, 400);
    let entries = entries(&changes);
    both(&[Told, Every(1), Every(3)], |kills| {
        let mut world = world(u64::MAX);
        let good = world.metrics.remove(0);
        world.metrics.push(Arc::new(Failing(good.info().clone())));
        let mut hand = Hand::begin(world, kills);
        hand.read(&entries, &changes);
        hand.kill();
        let (status, reason) = hand.status();
        assert_eq!(status, "quarantined");
        assert!(reason.is_some_and(|r| r.contains("divides by zero")));
        assert_eq!(hand.shard.metrics.len(), 2, "its bases go on");
        assert_eq!(hand.shard.stopped_reader_of("t"), None, "it misses no redriven change");
        assert!(hand.rows.is_empty());
        let other = Balance(MetricInfo { windows: vec![Window::Day], ..good.info().clone() });
        let refused = hand.admit(Arc::new(other)).expect_err("other windows");
        assert!(refused.contains("retire the metric"), "{refused}");
        assert_eq!(hand.admit(good), Ok(vec!["t.balance".to_string()]));
        hand.epoch();
        hand.kill();
        assert_eq!(hand.status(), ("live".into(), None));
        for (window, cut) in [("1m", Cut::Every(MINUTE)), ("1h", Cut::Every(HOUR))] {
            assert_eq!(hand.found(window), expected(&changes, cut), "{window}");
        }
    });
}
