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
    let mut seen: BTreeMap<(String, i64), Vec<i64>> = BTreeMap::new();
    each_record(journal, |record| {
        let topic = record["topic"].as_str().context("a record without topic")?;
        let partition = record["partition"].as_i64().context("a record without partition")?;
        let offset = record["offset"].as_i64().context("a record without offset")?;
        seen.entry((topic.to_owned(), partition)).or_default().push(offset);
        Ok(())
    })?;
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

/// Records of one journal that another does not hold at the same place with the same key and value; the
/// first ten.
pub fn missing(journal: &Path, held: &Path) -> Result<Vec<String>> {
    let mut known = std::collections::HashMap::new();
    each_record(held, |record| {
        known.insert(place(&record), content(&record));
        Ok(())
    })?;
    let mut missing = Vec::new();
    each_record(journal, |record| {
        if known.get(&place(&record)) != Some(&content(&record)) && missing.len() < 10 {
            missing.push(format!("{} {} {}", record["topic"], record["partition"], record["offset"]));
        }
        Ok(())
    })?;
    Ok(missing)
}

fn place(record: &serde_json::Value) -> (String, Option<i64>, Option<i64>) {
    let topic = record["topic"].as_str().unwrap_or_default().to_owned();
    (topic, record["partition"].as_i64(), record["offset"].as_i64())
}

fn content(record: &serde_json::Value) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (record["key"].as_str(), record["value"].as_str()).hash(&mut hasher);
    hasher.finish()
}

/// Reads a journal line by line.
fn each_record(journal: &Path, mut take: impl FnMut(serde_json::Value) -> Result<()>) -> Result<()> {
    let file = std::fs::File::open(journal).with_context(|| format!("open {}", journal.display()))?;
    for (n, line) in BufReader::new(file).lines().enumerate() {
        let at = || format!("{} line {}", journal.display(), n + 1);
        let record = serde_json::from_str(&line?).with_context(at)?;
        take(record).with_context(at)?;
    }
    Ok(())
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
