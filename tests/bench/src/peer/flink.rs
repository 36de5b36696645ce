//! The peer's best durable form: 59 metrics, RocksDB, pre-aggregation, a checkpoint a second.

use super::built::Built;
use super::figures::{Figures, Part};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use weir_e2e::{net, process};

const LIMIT: Duration = Duration::from_secs(1800);
/// As its own script starts it.
const JVM: [&str; 6] = [
    "-Xms2g",
    "-Xmx2g",
    "-XX:+UseG1GC",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.time=ALL-UNNAMED",
];
const JOB: &str = "--job all --backend rocksdb --preagg true --parallelism 1 --checkpoint 1000";

/// Runs the job to the end of the topics. With `dump` it writes each key's last row there, which costs it: such
/// a run measures nothing. It then ends after five quiet seconds, not at the end of the topics: current values
/// of the last second would not be shown.
pub fn run(built: &Built, bootstrap: &str, dir: &Path, dump: Option<&Path>) -> Result<Figures> {
    std::fs::create_dir_all(dir)?;
    let mut command = Command::new("java");
    command.current_dir(dir).args(JVM).arg("-cp").arg(built.classes()).arg("peer.Job");
    command.args(JOB.split(' '));
    command.args(["--bootstrap", bootstrap, "--rest", &net::free_port()?.to_string()]);
    command.arg("--dir").arg(dir.join("state"));
    command.args(["--bounded", if dump.is_some() { "false" } else { "true" }]);
    if let Some(dump) = dump {
        command.arg("--dump").arg(dump);
    }
    eprintln!(
        "  … Flink reads everything{}",
        if dump.is_some() { " once more, and writes its values down" } else { "" }
    );
    let log = dir.join("flink.log");
    process::run("the Flink job", command, &log, LIMIT)?;
    let text = std::fs::read_to_string(&log)?;
    let _ = std::fs::remove_dir_all(dir.join("state"));
    let line = |start: &str| text.lines().find(|line| line.starts_with(start));
    let result = line("RESULT ").context("the Flink job has printed no RESULT")?;
    figures(result, line("CHECKPOINTS ").unwrap_or_default()).with_context(|| format!("read `{result}`"))
}

/// Reads the line in which the job says what it cost.
fn figures(result: &str, checkpoints: &str) -> Result<Figures> {
    let after = |text: &str, mark: &str| -> Result<f64> {
        let rest = text.split_once(mark).with_context(|| format!("no `{mark}`"))?.1;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[..end].parse().with_context(|| format!("no number after `{mark}`"))
    };
    let part = |name: &str| -> Result<Part> {
        let text = result.split_once(name).with_context(|| format!("no `{name}`"))?.1;
        Ok(Part { per_second: after(text, ": ")?, cpu_per_million: after(text, "msg/s, ")? })
    };
    Ok(Figures {
        variant: "Flink 2.2, RocksDB, pre-aggregation",
        records: after(result, "records=")? as u64,
        all: part("| all")?,
        second_half: part("| second half")?,
        process_wall: after(result, "wall ")?,
        process_cpu: after(result, " s, cpu ")?,
        peak_mib: after(result, "peak rss ")? as u64,
        rows: after(result, " rows=")? as u64,
        beside: checkpoints.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_job_is_read() -> Result<()> {
        let line = "RESULT all/rocksdb/p1/chk1000 records=2000000 rows=123 samples=4 states=5 | all: 39600 msg/s, 46.80 cpu-s/M | second half: 53900 msg/s, 33.20 cpu-s/M | process: wall 60.1 s, cpu 99.5 s | peak rss 2274 MiB";
        let read = figures(line, "CHECKPOINTS completed=5")?;
        assert_eq!((read.records, read.rows, read.peak_mib), (2_000_000, 123, 2274));
        assert_eq!(read.all, Part { per_second: 39600.0, cpu_per_million: 46.8 });
        assert_eq!(read.second_half, Part { per_second: 53900.0, cpu_per_million: 33.2 });
        assert_eq!((read.process_wall, read.process_cpu), (60.1, 99.5));
        Ok(())
    }
}
