//! `cargo xtask bench NAME`. Every claim of speed is a ratio of two things measured in one run.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod native;
mod sources;
mod throughput;

/// As in the host.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Changes a second on one core: decode only, with the metrics, natively, and the yardstick.
    Throughput(throughput::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Throughput(options) => throughput::run(&options),
    }
}
