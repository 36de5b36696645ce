//! Many seeds, and seeds with a part of the world that does not do its duty.

use crate::schedule::{Report, play};
use crate::world::{Fault, Mutation, Point};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Schedules without a wish: seconds in CI.
const SCHEDULES: u64 = 6_000;
const THREADS: u64 = 2;

/// As in the host.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    records: u64,
    epochs: u64,
    hosts: u64,
    inputs: u64,
    windows: u64,
    late: u64,
    current: u64,
    events: BTreeMap<&'static str, u64>,
    injected: BTreeMap<(Point, Fault), u64>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.records += report.records;
        self.epochs += report.audit.epochs;
        self.hosts += report.hosts;
        self.inputs += report.audit.inputs;
        self.windows += report.audit.windows;
        self.late += report.audit.late;
        self.current += report.audit.current;
        report.events.into_iter().for_each(|(event, n)| *self.events.entry(event).or_default() += n);
        report.injected.into_iter().for_each(|(at, n)| *self.injected.entry(at).or_default() += n);
    }

    fn print(&self) {
        println!(
            "{} records ({} changes), {} epochs, {} hosts; compared: {} windows, {} current values, {} late events",
            self.records, self.inputs, self.epochs, self.hosts, self.windows, self.current, self.late
        );
        println!("events: {:?}", self.events);
        let mut points: BTreeMap<Point, Vec<String>> = BTreeMap::new();
        for ((point, fault), n) in &self.injected {
            points.entry(*point).or_default().push(format!("{fault:?} {n}"));
        }
        points.iter().for_each(|(point, faults)| println!("{point:?}: {}", faults.join(", ")));
    }
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
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failed.lock().expect("lock").len() >= 5 {
                        return;
                    }
                    let report = play(seed, Mutation::None, false);
                    if !report.breaches.is_empty() {
                        failed.lock().expect("lock").push((seed, failure(seed, &report)));
                    }
                    sum.lock().expect("lock").add(report);
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let sum = sum.into_inner().expect("lock");
    println!(
        "{count} schedules in {seconds:.1} s: {:.0} a second on {THREADS} threads",
        count as f64 / seconds
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
    use Point::*;
    for point in [
        Get,
        Scan,
        Write,
        PutBlob,
        GetBlob,
        Claim,
        Load,
        Prepare,
        FindGeneration,
        PrepareMetric,
        Insert,
        TakeBack,
        Read,
        Publish,
        Tell,
        Acknowledge,
    ] {
        let mut faults = vec![Fault::CrashBefore, Fault::CrashAfter];
        if !matches!(point, Load | Read | Publish | Tell | Acknowledge) {
            faults.push(Fault::Refused);
        }
        if matches!(point, Write | PutBlob | Claim | Prepare | PrepareMetric | Insert | TakeBack) {
            faults.push(Fault::Unknown);
        }
        if point == Insert {
            faults.extend([Fault::Part, Fault::CrashPart]);
        }
        for fault in faults {
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
    ] {
        assert!(sum.events.contains_key(event), "never: {event}");
    }
    assert!(sum.late > 0 && sum.windows > 0 && sum.current > 0);
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
