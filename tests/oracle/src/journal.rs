//! The journal: what stood in Kafka, one JSON line for each record.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

/// A record as the broker had it.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// The bytes as text; None is a null key.
    pub key: Option<String>,
    /// None is a tombstone.
    pub value: Option<String>,
    #[serde(default)]
    pub headers: Vec<(String, Option<String>)>,
}

pub type Partition = (String, i32);

/// All records, by partition, in offset order.
pub type Journal = BTreeMap<Partition, Vec<Record>>;

pub fn read(path: &Path) -> Result<Journal> {
    let file =
        std::fs::File::open(path).with_context(|| format!("cannot read the journal {}", path.display()))?;
    parse(std::io::BufReader::with_capacity(1 << 20, file))
        .with_context(|| format!("in the journal {}", path.display()))
}

pub fn parse(lines: impl BufRead) -> Result<Journal> {
    let mut journal = Journal::new();
    for (number, line) in lines.lines().enumerate() {
        let line = line.with_context(|| format!("line {}", number + 1))?;
        if line.is_empty() {
            continue;
        }
        let record: Record =
            serde_json::from_str(&line).with_context(|| format!("line {} is no record", number + 1))?;
        let records = journal.entry((record.topic.clone(), record.partition)).or_default();
        if let Some(last) = records.last()
            && last.offset >= record.offset
        {
            bail!("line {}: offset {} after {} in one partition", number + 1, record.offset, last.offset);
        }
        records.push(record);
    }
    Ok(journal)
}
