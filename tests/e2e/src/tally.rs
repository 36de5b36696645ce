//! Counting the records of a journal.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Records by topic and partition.
pub type Tally = BTreeMap<(String, i64), i64>;

/// Counts a journal's lines by partition, and checks that the offsets of each are 0, 1, 2, … .
/// `gaps` allows missing offsets (transactions leave markers in Kafka).
pub fn of_journal(journal: &Path, gaps: bool) -> Result<Tally> {
    let file = std::fs::File::open(journal).with_context(|| format!("open {}", journal.display()))?;
    let mut seen: BTreeMap<(String, i64), Vec<i64>> = BTreeMap::new();
    for (n, line) in BufReader::new(file).lines().enumerate() {
        let record: serde_json::Value =
            serde_json::from_str(&line?).with_context(|| format!("{} line {}", journal.display(), n + 1))?;
        let topic = record["topic"].as_str().context("journal line without topic")?;
        let partition = record["partition"].as_i64().context("journal line without partition")?;
        let offset = record["offset"].as_i64().context("journal line without offset")?;
        seen.entry((topic.to_owned(), partition)).or_default().push(offset);
    }
    let mut tally = Tally::new();
    for ((topic, partition), mut offsets) in seen {
        let count = offsets.len() as i64;
        offsets.sort_unstable();
        offsets.dedup();
        if offsets.len() as i64 != count {
            bail!("the journal holds an offset of {topic} [{partition}] twice");
        }
        let next = offsets.last().map_or(0, |last| last + 1);
        if !gaps && next != count {
            bail!("the journal of {topic} [{partition}] has {count} records up to offset {next}");
        }
        tally.insert((topic, partition), next);
    }
    Ok(tally)
}

/// One line for each partition where they differ.
pub fn differences(ours: &Tally, theirs: &Tally) -> Vec<String> {
    let mut lines = Vec::new();
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        let (a, b) = (ours.get(key).copied().unwrap_or(0), theirs.get(key).copied().unwrap_or(0));
        if a != b {
            lines.push(format!("{} [{}]: {a} against {b}", key.0, key.1));
        }
    }
    lines
}
