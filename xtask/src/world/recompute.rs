//! After a run: what the oracle needs, and how it is asked.

use super::{Upstream, World};
use crate::say;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weir_e2e::host::Status;
use weir_e2e::mariadb;
use weir_e2e::process;
use weir_e2e::tables::TOPICS;
use weir_e2e::tally;

const JOURNAL_LIMIT: Duration = Duration::from_secs(120);

/// What was produced, what the broker holds and what the host has read must be the same, partition by
/// partition. Gives the journal to recompute from, and how many records it has: the generator's where no
/// broker was killed, else what Kafka holds.
pub fn compare_journal(world: &World, status: &Status) -> Result<(PathBuf, i64)> {
    let (written, held) = (world.dir.join("journal.jsonl"), world.dir.join("held.jsonl"));
    read_back(world, &held)?;
    let real = !matches!(world.upstream, Upstream::Embedded { .. });
    let ours = tally::of_journal(&held, real)?;
    let truth = match world.upstream {
        Upstream::Embedded { .. } => {
            let differences = tally::differences(&tally::of_journal(&written, false)?, &ours);
            if !differences.is_empty() {
                bail!("the generator's journal and the broker differ: {}", differences.join("; "));
            }
            written
        }
        Upstream::Kafka { .. } => {
            let lost = tally::missing(&written, &held)?;
            if !lost.is_empty() {
                bail!("Kafka does not hold what it has acknowledged: {}", lost.join("; "));
            }
            held
        }
        Upstream::Services { .. } => held,
    };
    let differences = tally::differences(&ours, &status.next_offsets());
    if !differences.is_empty() {
        bail!("the journal and what the host has read differ: {}", differences.join("; "));
    }
    let records = ours.values().sum::<i64>();
    say::note(format!("{records} records, in the journal, the broker and the host alike"));
    Ok((truth, records))
}

fn read_back(world: &World, out: &Path) -> Result<()> {
    let mut command = Command::new(world.bins.embedded());
    command.args(["journal", "--brokers", &world.upstream.bootstrap(), "--out"]).arg(out);
    for topic in TOPICS {
        command.args(["--topic", topic]);
    }
    process::run("weir-embedded journal", command, &world.dir.join("journal.log"), JOURNAL_LIMIT)
}

/// The oracle over a journal, of a host that was settled and then stopped in order.
pub fn oracle(world: &World, journal: &Path) -> Command {
    let mut command = Command::new(world.bins.oracle());
    command.arg("check").arg("--journal").arg(journal);
    command.args(["--clickhouse-url", &world.server.url, "--user", &world.server.user]);
    command.args(["--password", &world.server.password, "--database", "weir"]);
    command.args(["--metrics", "all", "--idle-after", &world.idle_after, "--settled"]);
    match &world.upstream {
        Upstream::Services { mariadb, .. } => {
            command.args(["--mariadb", &format!("127.0.0.1:{}", mariadb.port())]);
            command.args(["--mariadb-user", mariadb::USER, "--mariadb-password", mariadb::PASSWORD]);
        }
        Upstream::Embedded { .. } | Upstream::Kafka { .. } => {
            command.arg("--injected");
        }
    }
    command
}
