//! Many seeds, and seeds with a part of the world that does not do its duty.

use crate::audit::Audit;
use crate::schedule::{Report, play};
use crate::world::{Fault, Mutation, Point};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use weir_alloc as _; // As in the host.

/// Schedules without a wish: seconds in CI.
const SCHEDULES: u64 = 15_000;
const THREADS: u64 = 2;

/// Schedules in which a mutation must be noticed.
const MUTATED: u64 = 1_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn failure(seed: u64, report: &Report) -> String {
    let shown = &report.breaches[..report.breaches.len().min(8)];
    format!(
        "seed {seed} breaks {} laws:\n  {}\nplay it again with every step told: WEIR_SIM_SEED={seed} cargo test --release -p weir-sim",
        report.breaches.len(),
        shown.join("\n  ")
    )
}

#[derive(Default)]
struct Sum {
    schedules: u64,
    steps: u64,
    calls: u64,
    records: u64,
    epochs: u64,
    computed: u64,
    hosts: u64,
    audit: Audit,
    events: BTreeMap<&'static str, u64>,
    injected: BTreeMap<(Point, Fault), u64>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.schedules += 1;
        self.steps += report.steps;
        self.calls += report.calls;
        self.records += report.records;
        self.epochs += report.audit.epochs;
        self.computed += report.computed;
        self.hosts += report.hosts;
        self.audit.add(report.audit);
        report.events.into_iter().for_each(|(event, n)| *self.events.entry(event).or_default() += n);
        report.injected.into_iter().for_each(|(at, n)| *self.injected.entry(at).or_default() += n);
    }

    fn print(&self) {
        let each = |n: u64| n as f64 / self.schedules.max(1) as f64;
        let ends = ["killed", "died in a call", "frozen", "stopped", "failed start"];
        let ends: u64 = ends.iter().filter_map(|event| self.events.get(event)).sum();
        println!(
            "a schedule has {:.0} steps, {:.0} calls to the outside with {:.1} faults, {:.1} hosts that {:.1} times \
             were killed, died, froze, stopped or failed to start, {:.0} records, {:.1} epochs computed and {:.1} kept",
            each(self.steps),
            each(self.calls),
            each(self.injected.values().sum()),
            each(self.hosts),
            each(ends),
            each(self.records),
            each(self.computed),
            each(self.epochs),
        );
        let Audit { inputs, windows, late, current, .. } = self.audit;
        println!(
            "compared: {inputs} changes, {windows} windows, {current} current values, {late} late events"
        );
        println!("events: {:?}", self.events);
        let mut points: BTreeMap<Point, Vec<String>> = BTreeMap::new();
        for ((point, fault), n) in &self.injected {
            points.entry(*point).or_default().push(format!("{fault:?} {n}"));
        }
        points.iter().for_each(|(point, faults)| println!("{point:?}: {}", faults.join(", ")));
    }
}

/// Seconds that this thread has had a core.
#[allow(clippy::disallowed_methods, reason = "for the rate that is printed")]
fn core_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns: Option<f64> = text.split(' ').next().and_then(|ns| ns.parse().ok());
    ns.unwrap_or(0.0) / 1e9
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the rate is printed, not asserted")]
fn whatever_fails_each_input_counts_once_no_row_is_left_out_and_versions_grow() {
    if let Some(seed) = number("WEIR_SIM_SEED") {
        let report = play(seed, Mutation::None, true);
        report.trace.iter().for_each(|line| println!("{line}"));
        assert!(report.breaches.is_empty(), "{}", failure(seed, &report));
        return;
    }
    let count = number("WEIR_SIM_SCHEDULES").unwrap_or(SCHEDULES);
    let first = number("WEIR_SIM_FIRST").unwrap_or(1);
    let (next, sum, failed) = (AtomicU64::new(first), Mutex::new(Sum::default()), Mutex::new(Vec::new()));
    let cores = Mutex::new(0.0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failed.lock().expect("lock").len() >= 5 {
                        break;
                    }
                    let report = play(seed, Mutation::None, false);
                    if !report.breaches.is_empty() {
                        failed.lock().expect("lock").push((seed, failure(seed, &report)));
                    }
                    sum.lock().expect("lock").add(report);
                }
                *cores.lock().expect("lock") += core_seconds();
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let sum = sum.into_inner().expect("lock");
    let cores = cores.into_inner().expect("lock");
    println!(
        "{} schedules in {seconds:.1} s: {:.0} a second; {:.0} a second of {THREADS} cores' time",
        sum.schedules,
        sum.schedules as f64 / seconds,
        sum.schedules as f64 / cores * THREADS as f64
    );
    sum.print();
    let mut failed = failed.into_inner().expect("lock");
    failed.sort();
    let texts: Vec<String> = failed.into_iter().map(|(_, text)| text).collect();
    assert!(texts.is_empty(), "{}", texts.join("\n"));
    if count >= SCHEDULES {
        assert_everything_happened(&sum);
    }
}

/// Every call failed in every way that it can, and every event took place: else the schedules are too tame.
fn assert_everything_happened(sum: &Sum) {
    for point in Point::ALL {
        for fault in Fault::ALL.into_iter().filter(|fault| point.can(*fault)) {
            assert!(sum.injected.contains_key(&(point, fault)), "{point:?} never saw {fault:?}");
        }
    }
    for event in [
        "killed",
        "stopped",
        "second host",
        "frozen",
        "shut out",
        "restored",
        "wiped",
        "failed start",
        "died in a call",
        "joined",
        "push refused",
        "quarantined",
        "mended",
        "went back to a former version",
        "caught up",
        "retired",
        "rebuild begun",
        "snapshot sent",
        "rebuild finished",
        "rebuild given up",
        "rebuild refused",
        "redriven",
        "redriven in vain",
        "redrive refused",
        "held",
        "resumed",
        "went on",
    ] {
        assert!(sum.events.contains_key(event), "never: {event}");
    }
    let Audit { windows, late, current, .. } = sum.audit;
    assert!(late > 0 && windows > 0 && current > 0);
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in 1..40 {
        let (one, two) = (play(seed, Mutation::None, true), play(seed, Mutation::None, true));
        assert_eq!(one.trace, two.trace, "seed {seed}");
        assert_eq!(one.epochs, two.epochs);
    }
}

/// The first seed that notices a mutation, which without it is clean.
fn noticed(mutation: Mutation) {
    for seed in 1..=MUTATED {
        let report = play(seed, mutation, false);
        if !report.breaches.is_empty() {
            println!("{mutation:?}: noticed by schedule {seed}: {}", report.breaches[0]);
            let sound = play(seed, Mutation::None, false);
            assert!(sound.breaches.is_empty(), "{}", failure(seed, &sound));
            return;
        }
    }
    panic!("{mutation:?} is not noticed in {MUTATED} schedules");
}

#[test]
fn rows_without_their_version_are_noticed() {
    noticed(Mutation::VersionIgnored);
}

#[test]
fn offsets_noted_before_the_outbox_are_noticed() {
    noticed(Mutation::OutboxAfterOffsets);
}

#[test]
fn a_delivery_noted_before_its_insert_is_noticed() {
    noticed(Mutation::DeliveryBeforeInsert);
}

#[test]
fn a_store_that_does_not_shut_out_the_older_host_is_noticed() {
    noticed(Mutation::NoFence);
}

#[test]
fn a_pointer_of_a_metric_that_stays_where_it_was_is_noticed() {
    noticed(Mutation::PointerStays);
}

#[test]
fn a_version_that_misreads_the_state_of_the_one_before_is_noticed() {
    noticed(Mutation::StateVersionIgnored);
}

#[test]
fn a_metric_that_catches_up_without_a_record_is_noticed() {
    noticed(Mutation::CatchUpSkips);
}

#[test]
fn a_snapshot_that_lacks_a_row_is_noticed() {
    noticed(Mutation::SnapshotLacksRow);
}
