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
    /// See how the sources of a running host stand, and let one that holds or has stopped go on
    Source {
        #[command(flatten)]
        host: HostArgs,
        #[command(subcommand)]
        command: SourceCommand,
    },
    /// List, show and redrive dead letters: records that could not be read
    Dlq {
        #[command(flatten)]
        host: HostArgs,
        #[command(subcommand)]
        command: DlqCommand,
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

#[derive(Debug, Subcommand)]
pub enum SourceCommand {
    /// Show watermark, counts and trouble of each source
    List,
    /// Let a source that holds go on: too large a share of a batch could not be read
    ///
    /// Without an option the batch is tried again. Nothing of it was taken before, so nothing is
    /// lost and nothing counts twice.
    Resume {
        /// The source's name
        source: String,
        /// Make dead letters of what cannot be read, until a batch is within the share again
        #[arg(long)]
        accept_dead: bool,
    },
    /// Rebuild the row table of a source from a new snapshot of its table
    ///
    /// Begin when the source is caught up, then make the upstream send a snapshot of the table (see
    /// docs/operations.md). Rows that it does not bring are removed at its end, unless they changed after
    /// the beginning; until then every number stays.
    Resnapshot {
        /// The source's name
        source: String,
        /// The snapshot is over, though its records do not say so (an incremental one, an empty table)
        #[arg(long, conflicts_with = "cancel")]
        finish: bool,
        /// Give the rebuild up; rows stay as they are
        #[arg(long)]
        cancel: bool,
    },
    /// Let a source that has stopped go on: records that it had still to read are gone, or its topic
    /// was made anew
    ///
    /// The gap is noted in `epochs` and `audit`.
    Restart {
        /// The source's name
        source: String,
        /// Where its stopped partitions go on; the others go on where they stand
        #[arg(long, value_enum)]
        from: From,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum From {
    /// With the first record that the broker holds
    Earliest,
}

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List dead letters
    List {
        #[command(flatten)]
        filter: DlqFilter,
        /// What has become of them: dead, applied, skipped or any
        #[arg(long, default_value = "dead")]
        outcome: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// Show one dead letter with its key and value
    Show {
        topic: String,
        partition: i32,
        offset: i64,
        /// The metric that could not use it; without, the letter of the whole record
        #[arg(long)]
        metric: Option<String>,
    },
    /// Take up dead letters again, once their cause is gone
    ///
    /// Each is read from Kafka again, else from its stored bytes, and counts once however often it is
    /// redriven. Its own times decide its windows; what is too late goes to late_events.
    Redrive {
        #[command(flatten)]
        filter: DlqFilter,
        /// All dead letters
        #[arg(long)]
        all: bool,
    },
}

/// Which dead letters are meant.
#[derive(Clone, Debug, clap::Args)]
pub struct DlqFilter {
    /// Of the topics of a source
    #[arg(long)]
    pub source: Option<String>,
    #[arg(long)]
    pub topic: Option<String>,
    #[arg(long)]
    pub partition: Option<i32>,
    #[arg(long)]
    pub offset: Option<i64>,
    /// The reason's stable word, such as not-json
    #[arg(long)]
    pub code: Option<String>,
    /// Of a metric that could not use the record; empty: of whole records
    #[arg(long)]
    pub metric: Option<String>,
    /// Read, or last taken up, since this time
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}
