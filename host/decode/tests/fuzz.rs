//! The fuzz harness as a test: `WEIR_FUZZ_RECORDS` makes it longer, `WEIR_FUZZ_SEED` another. The example
//! `fuzz` runs it until it finds something.
#![allow(clippy::unwrap_used)]

#[path = "support/fuzz.rs"]
mod fuzz;
#[path = "support/samples.rs"]
mod samples;
mod support;
use support::*;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn mutated_records_of_every_format_are_applied_skipped_or_dead_and_never_panic() {
    let (seed, records) = (number("WEIR_FUZZ_SEED", 1), number("WEIR_FUZZ_RECORDS", 20_000));
    let report = fuzz::run(seed, records).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(report.read, records);
    assert_eq!(report.read, report.applied + report.skipped + report.dead, "{report:?}");
    // A corpus that is always refused would show nothing.
    assert!(
        report.applied * 10 > records && report.dead * 10 > records && report.skipped * 50 > records,
        "{report:?}"
    );
}
