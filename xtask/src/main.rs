//! Everything a developer does with this repository: `cargo xtask demo`, `test`, `plugins`, `languages`, `mutate`,
//! `chaos`, `bench`. Each command installs or builds what it needs, shows what takes time, and says in one line
//! what is missing when it cannot.

#![allow(
    clippy::disallowed_methods,
    reason = "a developer's tool: it waits for real processes on the real clock"
)]

mod bench;
mod build;
mod chaos;
mod demo;
mod dice;
mod dirs;
mod fences;
mod languages;
mod mutate;
mod plugins;
mod say;
mod suite;
mod tools;
mod world;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use weir_e2e::interrupt;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, run and test Weir")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything on this machine and watch numbers move in a browser.
    Demo(demo::Options),
    /// Run all tests: exactly what CI runs.
    Test(suite::Options),
    /// Kill host, broker and ClickHouse while they work, again and again; then recompute every number.
    Chaos(chaos::Options),
    /// ClickHouse away under load: the host's memory must stay flat, and no number differ afterwards.
    Outage {
        /// How long it is away.
        #[arg(long, default_value_t = 120)]
        seconds: u64,
        /// Row changes a second.
        #[arg(long, default_value_t = 2_500)]
        rate: u32,
    },
    /// Build the shipped metrics as WebAssembly components.
    Plugins,
    /// Build the metrics that exist in C, Go, JavaScript and Python as well.
    Languages,
    /// Build each metric with an off-by-one and fail unless the demo's check catches it.
    Mutate(mutate::Options),
    /// Run a benchmark by name, such as `throughput`.
    Bench(bench::Options),
    /// Check that adapters are used only where they may be, and that arrows point one way.
    Fences,
    /// Install one tool or all of them: wasm, clickhouse, kafka, debezium, mariadb, chromium, promtool, minio, languages.
    Tools {
        /// Names; none means all.
        names: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = interrupt::listen().and_then(|()| match cli.command {
        Task::Demo(options) => demo::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Test(options) => suite::run(&options),
        Task::Outage { seconds, rate } => suite::outage(seconds, rate),
        Task::Plugins => plugins::build().map(|_| true),
        Task::Languages => languages::run(),
        Task::Mutate(options) => mutate::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Fences => fences::run(),
        Task::Tools { names } => tools::ensure_named(&names),
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) if interrupt::asked() => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
