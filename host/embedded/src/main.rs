//! Stand-ins for the servers that Weir needs, for demo, development and tests.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "Stand-ins for the servers that Weir needs: for demo, development and tests")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a ClickHouse engine over HTTP on loopback until SIGTERM
    Clickhouse(weir_embedded::clickhouse::Args),
    /// Serve Kafka topics from memory on loopback until SIGTERM (5 MB and 100,000 records a partition)
    Broker(weir_embedded::broker::Args),
    /// Write every record of Kafka topics to a file, one JSON object a line
    Journal(weir_embedded::journal::Args),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let result = match Cli::parse().command {
        Command::Clickhouse(args) => weir_embedded::clickhouse::run(args).map_err(anyhow::Error::from),
        Command::Broker(args) => weir_embedded::broker::run(args),
        Command::Journal(args) => weir_embedded::journal::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
