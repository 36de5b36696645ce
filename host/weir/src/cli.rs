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
