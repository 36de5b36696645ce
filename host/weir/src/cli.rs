//! The command line.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// A metric engine: reads change events, keeps windows, and commits every result exactly once.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the host until SIGTERM
    ///
    /// Exit codes: 0 stopped in order; 1 an error; 2 the configuration or the command line is wrong;
    /// 3 another host has taken over the state, so this one must not be restarted.
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = "weir.toml")]
        config: PathBuf,
        /// Development: without an operator token, plugins may be changed from this machine
        #[arg(long)]
        dev: bool,
        /// Take the state on an object store from a host that is still alive; that one then ends with code 3
        #[arg(long)]
        take_over: bool,
    },
    /// Check configuration, sources, plugins, Kafka, ClickHouse and state, without changing anything
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = "weir.toml")]
        config: PathBuf,
    },
    /// Load, list and retire metrics of a running host
    Plugin {
        #[command(flatten)]
        host: HostArgs,
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Look into a state, or move it: to another machine, or between a directory and an object store
    State {
        #[command(flatten)]
        place: StateArgs,
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Print the version
    Version,
}

/// Which host is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct HostArgs {
    /// The host's address
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "WEIR_URL"
    )]
    pub url: String,
    /// The operator's token
    #[arg(long, global = true, value_name = "TOKEN", env = "WEIR_OPERATOR_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Load every metric of a component
    Push {
        /// The component, a .wasm file
        file: PathBuf,
    },
    /// Show what is loaded
    List,
    /// Let a metric leave; its rows stay
    Retire {
        /// board.name
        metric: String,
    },
}

/// Which state is meant.
#[derive(Clone, Debug, clap::Args)]
pub struct StateArgs {
    /// The configuration file that names state and shard
    #[arg(long, global = true, value_name = "FILE", default_value = "weir.toml")]
    pub config: PathBuf,
    /// A directory or an object store's URL, in place of the configuration's
    #[arg(long, global = true, value_name = "PLACE")]
    pub state: Option<String>,
    /// Name of the shard, in place of the configuration's (`0` when --state is given)
    #[arg(long, global = true, value_name = "NAME")]
    pub shard: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Write the state as it stands into one file; the host may be running
    Export {
        /// A file that does not exist yet
        file: PathBuf,
    },
    /// Fill an empty place with an exported state; no host may be running on it
    Import {
        /// A file that `export` wrote
        file: PathBuf,
        /// Lose the state that is there
        #[arg(long)]
        replace: bool,
    },
    /// Show where a state stands and what it holds; the host may be running
    Inspect {
        /// An exported file, in place of a state
        file: Option<PathBuf>,
        /// As JSON; times are microseconds since the Unix epoch
        #[arg(long)]
        json: bool,
    },
}
