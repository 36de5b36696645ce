//! `weir-oracle check`: exit 0 if every number agrees.

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use weir_oracle::check::{Check, Task};
use weir_oracle::epochs::Epochs;
use weir_oracle::lateness::{self, Bounds};
use weir_oracle::mariadb::{self, MariaDb};
use weir_oracle::metrics::{self, Metric, Settings};
use weir_oracle::results::ClickHouse;
use weir_oracle::time::BusinessHours;

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
    /// Names, with commas. Default: all that the oracle knows.
    #[arg(long, value_delimiter = ',')]
    metrics: Vec<String>,
    /// Of these, the ones loaded while the host ran: only windows with complete = 1 are compared.
    #[arg(long, value_delimiter = ',')]
    pushed: Vec<String>,
    #[arg(long, default_value = "Mon-Fri 09:00-18:00 UTC")]
    business_hours: String,
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
    /// HOST:PORT of the service's database: ticket.backlog is compared with SQL too.
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
        zone: jiff::tz::TimeZone::get(&options.time_zone)
            .with_context(|| format!("--time-zone: {} is no time zone", options.time_zone))?,
        settings: Settings { business_hours: BusinessHours::parse(&options.business_hours)? },
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
    let journal = weir_oracle::journal::read(&options.journal)?;
    let mut check = Check::new(&journal, Epochs::of_rows(&store.epochs()?)?);
    let mut ahead = check.dead_letters(&store.dead_letters()?);
    if options.injected {
        check.injected(&journal);
    }
    let promoted = store.promoted()?;
    for metric in &task.metrics {
        let Some(incarnation) = promoted.get(metric.name) else {
            check
                .report
                .failures
                .push(format!("{} is not promoted: ClickHouse shows nothing of it", metric.name));
            continue;
        };
        let mut found = store.found(metric.name, *incarnation)?;
        found.ahead = ahead.remove(metric.name).unwrap_or_default();
        if let (Some(address), "ticket.backlog") = (&options.mariadb, metric.name) {
            let target = MariaDb {
                address: address.clone(),
                user: options.mariadb_user.clone(),
                password: options.mariadb_password.clone(),
                database: options.mariadb_database.clone(),
            };
            check.latest(metric, "sql", &mariadb::backlog(metric, &target)?, found.clone());
        }
        check.metric(metric, found, &task)?;
    }
    for (table, rows, keys) in store.rows_and_keys()? {
        if rows != keys {
            check.report.others.push(format!("{table} has {rows} rows under FINAL for {keys} keys"));
        }
    }
    check.report.finish();
    if let Some(path) = &options.json {
        std::fs::write(path, check.report.json().to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{}", check.report.text());
    Ok(if check.report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(names: &[String]) -> Result<Vec<&'static Metric>> {
    if names.is_empty() {
        return Ok(metrics::METRICS.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            let known = || metrics::METRICS.iter().map(|m| m.name).collect::<Vec<_>>().join(", ");
            metrics::by_name(name).with_context(|| format!("the oracle knows no {name}, only {}", known()))
        })
        .collect()
}
