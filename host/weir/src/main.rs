//! `weir`: the host.

mod api;
mod check;
mod cli;
mod clock;
mod config;
mod dlq;
mod kill_points;
mod logging;
mod plugin;
mod run;
mod source;
mod state;
mod wiring;

use clap::Parser as _;
use cli::{Cli, Command};
use std::process::ExitCode;
use weir_alloc as _; // The allocator.

/// Why a command failed; each kind has an exit code of its own.
#[derive(Debug)]
pub enum Failure {
    /// 1
    Error(String),
    /// 2: configuration or command line.
    Config(String),
    /// 3: another host has taken over; do not restart.
    Fenced(String),
}

impl Failure {
    pub fn text(&self) -> &str {
        match self {
            Failure::Error(text) | Failure::Config(text) | Failure::Fenced(text) => text,
        }
    }
}

impl From<config::ConfigError> for Failure {
    fn from(error: config::ConfigError) -> Self {
        Failure::Config(error.to_string())
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Plugin { host, command } => {
            plugin::run(&host, &command).map_err(|e| Failure::Error(format!("{e:#}")))
        }
        Command::Source { host, command } => {
            source::run(&host, &command).map_err(|e| Failure::Error(format!("{e:#}")))
        }
        Command::Dlq { host, command } => {
            dlq::run(&host, &command).map_err(|e| Failure::Error(format!("{e:#}")))
        }
        Command::Version => {
            println!("weir {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Command::Run { config, dev, take_over } => run::run(&config, dev, take_over),
        Command::State { place, command } => state::run(&place, &command),
        Command::Check { config } => check::run(&config),
    };
    let (code, text) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Error(text)) => (1, text),
        Err(Failure::Config(text)) => (2, text),
        Err(Failure::Fenced(text)) => (3, text),
    };
    eprintln!("weir: {text}");
    ExitCode::from(code)
}
