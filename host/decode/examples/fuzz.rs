//! Fuzzes all decoders: `cargo run --release -p weir-decode --example fuzz [SEED [RECORDS]]`. Without a
//! number of records it goes on, seed after seed, until a record fails.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/fuzz.rs"]
mod fuzz;
#[path = "../tests/support/samples.rs"]
mod samples;
#[path = "../tests/support/mod.rs"]
mod support;
use support::*;

/// Records between two lines of output.
const ROUND: u64 = 200_000;

fn main() {
    let mut numbers =
        std::env::args().skip(1).map(|n| n.parse::<u64>().expect("SEED and RECORDS are numbers"));
    let first = numbers.next().unwrap_or(1);
    let records = numbers.next();
    for seed in first.. {
        match fuzz::run(seed, records.unwrap_or(ROUND)) {
            Ok(report) => println!("seed {seed}: {report:?}"),
            Err(problem) => {
                println!("{problem}");
                std::process::exit(1);
            }
        }
        if records.is_some() {
            break;
        }
    }
}
