//! `cargo xtask bench NAME`. Every claim of speed is a ratio of two things measured in one run.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod latency;
mod native;
mod peer;
mod recovery;
mod sources;
mod throughput;
mod whole;

use clap::{Parser, Subcommand};
use weir_alloc as _; // As the host does.

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Changes a second on one core: decode only, with the metrics, natively, and the yardstick.
    Throughput(throughput::Options),
    /// From kill -9 to the first commit, by live slots.
    Recovery(recovery::Options),
    /// From a record in Kafka to its event on the stream and to its row in ClickHouse.
    Latency(latency::Options),
    /// The same metrics as a job of Apache Flink and here: CPU seconds, rate and memory.
    Peer(peer::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Throughput(options) => throughput::run(&options),
        Bench::Recovery(options) => recovery::run(&options),
        Bench::Latency(options) => latency::run(&options),
        Bench::Peer(options) => peer::run(&options),
    }
}
