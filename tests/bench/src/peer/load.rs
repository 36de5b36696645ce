//! The generated file into Kafka.

use super::TOPICS;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;
use weir_ingest::{Producer, Properties};

#[derive(Default)]
pub struct Loaded {
    pub records: u64,
    /// Of all values.
    pub bytes: u64,
    /// When the last change was committed upstream, in milliseconds.
    pub last_ms: i64,
}

/// Each line is `topic TAB partition TAB key TAB value`.
pub fn load(file: &Path, mut properties: Properties) -> Result<Loaded> {
    properties.insert("linger.ms".into(), "20".into());
    let producer = Producer::new(&properties)?;
    let reader = File::open(file).with_context(|| format!("open {}", file.display()))?;
    let mut reader = BufReader::with_capacity(1 << 20, reader);
    let (mut line, mut next, mut loaded) = (Vec::new(), Vec::new(), Loaded::default());
    while reader.read_until(b'\n', &mut next)? > 0 {
        std::mem::swap(&mut line, &mut next);
        send(&producer, line.trim_ascii_end(), &mut loaded)
            .with_context(|| format!("{} line {}", file.display(), loaded.records + 1))?;
        next.clear();
        if loaded.records.is_multiple_of(4096) {
            check(&producer)?;
        }
    }
    producer.flush(Duration::from_secs(120))?;
    check(&producer)?;
    let value = line.rsplit(|byte| *byte == b'\t').next().unwrap_or_default();
    let last: serde_json::Value = serde_json::from_slice(value).context("read the last message")?;
    loaded.last_ms = last["source"]["ts_ms"].as_i64().context("the last message has no source.ts_ms")?;
    Ok(loaded)
}

fn send(producer: &Producer, line: &[u8], loaded: &mut Loaded) -> Result<()> {
    let mut fields = line.splitn(4, |byte| *byte == b'\t');
    let mut field = || fields.next().context("a line has four fields");
    let (topic, partition, key, value) = (field()?, field()?, field()?, field()?);
    let topic = std::str::from_utf8(topic)?;
    if !TOPICS.contains(&topic) {
        bail!("{topic} is none of the peer's topics");
    }
    let partition = std::str::from_utf8(partition)?.parse()?;
    producer.send(topic, Some(partition), Some(key), Some(value), &[], loaded.records)?;
    loaded.records += 1;
    loaded.bytes += value.len() as u64;
    Ok(())
}

fn check(producer: &Producer) -> Result<()> {
    let failed = producer.poll().into_iter().find_map(|report| report.error);
    failed.map_or(Ok(()), |error| bail!("Kafka did not take a record: {error}"))
}
