//! The journal: every committed record of some topics, for whoever recomputes the numbers.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use weir_ingest::{IngestError, JournalRecord, Properties, read_topics};

#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Brokers as host:port, separated by commas
    #[arg(long)]
    brokers: String,
    /// A topic; give it once for each
    #[arg(long = "topic", required = true)]
    topics: Vec<String>,
    /// The file to write
    #[arg(long)]
    out: PathBuf,
    /// Another property of librdkafka as NAME=VALUE
    #[arg(long = "property", value_parser = parse_property)]
    properties: Vec<(String, String)>,
    /// Seconds without a record after which it gives up
    #[arg(long, default_value_t = 30)]
    idle_seconds: u64,
}

fn parse_property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_string(), value.to_string()))
}

/// Reads the topics from their beginning to their end as of now. A partition whose first records
/// are gone is an error: numbers recomputed from it would be wrong.
pub fn run(args: Args) -> anyhow::Result<()> {
    let mut properties: Properties = args.properties.into_iter().collect();
    properties.insert("bootstrap.servers".into(), args.brokers);
    let file = File::create(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    let mut out = BufWriter::new(file);
    let mut written = 0u64;
    let idle = Duration::from_secs(args.idle_seconds);
    let ranges = read_topics(&properties, &args.topics, idle, |record| {
        written += 1;
        write_line(&mut out, &record)
            .map_err(|e| IngestError::Broker(format!("cannot write the journal: {e}")))
    })?;
    out.flush().with_context(|| format!("cannot write {}", args.out.display()))?;
    for range in &ranges {
        if range.low > 0 {
            bail!(
                "topic `{}` partition {} begins at offset {}: its first records were deleted, the journal is not whole",
                range.partition.topic,
                range.partition.partition,
                range.low
            );
        }
    }
    println!("wrote {written} records of {} partitions to {}", ranges.len(), args.out.display());
    Ok(())
}

fn write_line(out: &mut impl std::io::Write, record: &JournalRecord) -> std::io::Result<()> {
    let text = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map_or(Value::Null, |b| Value::String(String::from_utf8_lossy(b).into_owned()))
    };
    let headers: Vec<_> =
        record.headers.iter().map(|(k, v)| json!([k, String::from_utf8_lossy(v)])).collect();
    let line = json!({
        "topic": record.partition.topic,
        "partition": record.partition.partition,
        "offset": record.offset,
        "key": text(&record.key),
        "value": text(&record.value),
        "headers": headers,
    });
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::record::TopicPartition;

    #[test]
    fn a_line_holds_the_record_as_raw_text() {
        let record = JournalRecord {
            partition: TopicPartition { topic: "t".into(), partition: 2 },
            offset: 12,
            key: Some(b"{\"id\":1}".to_vec()),
            value: None,
            headers: vec![("a".into(), b"b".to_vec())],
        };
        let mut out = Vec::new();
        write_line(&mut out, &record).expect("writes to memory");
        assert_eq!(
            String::from_utf8_lossy(&out),
            "{\"topic\":\"t\",\"partition\":2,\"offset\":12,\"key\":\"{\\\"id\\\":1}\",\"value\":null,\"headers\":[[\"a\",\"b\"]]}\n"
        );
    }
}
