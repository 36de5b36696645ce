//! `weir-oracle check`: exit 0 if every number agrees.

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use weir_oracle::check::{Check, Task};
use weir_oracle::epochs::Epochs;
use weir_oracle::lateness::{self, Bounds};
use weir_oracle::mariadb::{self, MariaDb};
use weir_oracle::metrics::{self, Metric};
use weir_oracle::reading::Reading;
use weir_oracle::report::Excuse;
use weir_oracle::results::{ClickHouse, Promoted, Store};
use weir_oracle::settings::Settings;

/// Recomputes the numbers from the raw records and compares them with ClickHouse.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compares every number of some metrics.
    Check(Options),
}

#[derive(Args)]
struct Options {
    /// JSON lines, one for each Kafka record.
    #[arg(long)]
    journal: PathBuf,
    #[arg(long)]
    clickhouse_url: String,
    #[arg(long, default_value = "default")]
    user: String,
    #[arg(long, default_value = "")]
    password: String,
    #[arg(long, default_value = "weir")]
    database: String,
    /// Time zone of calendar days.
    #[arg(long, default_value = "UTC")]
    time_zone: String,
    /// Names, with commas, or `all` of the catalogue.
    #[arg(long, value_delimiter = ',', default_value = "all")]
    metrics: Vec<String>,
    /// Of these, the ones loaded while the host ran: only windows with complete = 1 are compared.
    #[arg(long, value_delimiter = ',')]
    pushed: Vec<String>,
    #[arg(long, default_value = "Mon-Fri 09:00-18:00 UTC")]
    business_hours: String,
    /// A threshold in seconds, for one queue after a dot: `target_s=20`, `target_s.7=30`.
    #[arg(long = "threshold")]
    thresholds: Vec<String>,
    /// METRIC, METRIC/WINDOW or METRIC/WINDOW/SET (`*` for any) of which the run was too short to have
    /// something: else a metric, a kind of window or a dimension set that nothing was compared for fails.
    #[arg(long)]
    excuse: Vec<String>,
    /// The sources' disorder.
    #[arg(long, default_value = "5s")]
    out_of_orderness: String,
    /// After which a quiet partition of the sources holds nobody back.
    #[arg(long, default_value = "30s")]
    idle_after: String,
    /// How long a closed window is corrected, by kind.
    #[arg(long, default_value = "1m=2h,15m=6h,1h=48h,day=8d")]
    correct_for: String,
    /// All partitions were idle before the host was stopped in order: check that each window that had
    /// ended is final, and no other.
    #[arg(long)]
    settled: bool,
    /// The journal is the generator's own work: check that exactly those records are dead, skipped or
    /// excluded that it has spoilt or repeated.
    #[arg(long)]
    injected: bool,
    /// HOST:PORT of the service's database: metrics of current values are compared with SQL too.
    #[arg(long)]
    mariadb: Option<String>,
    #[arg(long, default_value = "root")]
    mariadb_user: String,
    #[arg(long, default_value = "")]
    mariadb_password: String,
    #[arg(long, default_value = "service")]
    mariadb_database: String,
    /// Write the report here too, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let Command::Check(options) = Cli::parse().command;
    check(&options)
}

fn check(options: &Options) -> Result<ExitCode> {
    let task = Task {
        metrics: chosen(&options.metrics)?,
        pushed: options.pushed.iter().cloned().collect::<BTreeSet<_>>(),
        zone: options
            .time_zone
            .parse()
            .map_err(|_| anyhow!("--time-zone: {} is no time zone", options.time_zone))?,
        settings: Settings::new(&options.business_hours, &options.thresholds)?,
        bounds: Bounds {
            out_of_orderness: lateness::span(&options.out_of_orderness)?,
            idle_after: lateness::span(&options.idle_after)?,
            correct_for: lateness::correct_for(&options.correct_for)?,
        },
        settled: options.settled,
    };
    if let Some(name) = task.pushed.iter().find(|name| task.metrics.iter().all(|m| m.name != **name)) {
        bail!("--pushed: {name} is not among --metrics");
    }
    let store = ClickHouse {
        url: options.clickhouse_url.clone(),
        user: options.user.clone(),
        password: options.password.clone(),
        database: options.database.clone(),
    };
    let mut reading = Reading::default();
    weir_oracle::journal::read(&options.journal, |record| reading.take(record))?;
    let mut check = Check::new(reading, Epochs::of_rows(&store.epochs()?)?, &task.bounds);
    check.dead_letters(&store.dead_letters()?);
    if options.injected {
        check.injected();
    }
    let promoted = Promoted { store: &store, incarnations: store.promoted()? };
    let mut sql = options.mariadb.as_ref().map(|address| database(options, address).connect()).transpose()?;
    for metric in &task.metrics {
        if !promoted.incarnations.contains_key(metric.name) {
            let failure = format!("{} is not promoted: ClickHouse shows nothing of it", metric.name);
            check.report.failures.push(failure);
            continue;
        }
        if let Some(connection) = &mut sql {
            let clock = check.epochs.list.last().map_or(0, |epoch| epoch.clock);
            if let Some(expected) = mariadb::by_sql(connection, metric, clock, &task.settings)? {
                check.latest(metric, "sql", &expected, &promoted.latest(metric.name)?);
            }
        }
        check.metric(metric, &promoted, &task)?;
    }
    for (table, rows, keys) in store.rows_and_keys()? {
        if rows != keys {
            check.report.others.push(format!("{table} has {rows} rows under FINAL for {keys} keys"));
        }
    }
    let excuses: Vec<Excuse> = options.excuse.iter().map(|text| Excuse::parse(text)).collect();
    check.report.finish(&excuses);
    if let Some(path) = &options.json {
        std::fs::write(path, check.report.json().to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{}", check.report.text());
    Ok(if check.report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn database(options: &Options, address: &str) -> MariaDb {
    MariaDb {
        address: address.to_owned(),
        user: options.mariadb_user.clone(),
        password: options.mariadb_password.clone(),
        database: options.mariadb_database.clone(),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Metric>> {
    if names.iter().any(|name| name == "all") {
        return Ok(metrics::all().collect());
    }
    names
        .iter()
        .map(|name| {
            let known = || metrics::all().map(|m| m.name).collect::<Vec<_>>().join(", ");
            metrics::by_name(name).with_context(|| format!("the oracle knows no {name}, only {}", known()))
        })
        .collect()
}
