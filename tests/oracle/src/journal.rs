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

/// Hands every record over, in the order of the file.
pub fn read(path: &Path, take: impl FnMut(Record)) -> Result<()> {
    let file =
        std::fs::File::open(path).with_context(|| format!("cannot read the journal {}", path.display()))?;
    parse(std::io::BufReader::with_capacity(1 << 20, file), take)
        .with_context(|| format!("in the journal {}", path.display()))
}

pub fn parse(mut lines: impl BufRead, mut take: impl FnMut(Record)) -> Result<()> {
    let mut last: BTreeMap<Partition, i64> = BTreeMap::new();
    let (mut line, mut number) = (String::new(), 0);
    loop {
        line.clear();
        number += 1;
        if lines.read_line(&mut line).with_context(|| format!("line {number}"))? == 0 {
            return Ok(());
        }
        let text = line.trim_end();
        if text.is_empty() {
            continue;
        }
        let record: Record =
            serde_json::from_str(text).with_context(|| format!("line {number} is no record"))?;
        match last.get_mut(&(record.topic.clone(), record.partition)) {
            Some(last) if *last >= record.offset => {
                bail!("line {number}: offset {} after {last} in one partition", record.offset);
            }
            Some(last) => *last = record.offset,
            None => {
                last.insert((record.topic.clone(), record.partition), record.offset);
            }
        }
        take(record);
    }
}
