//! The journal: one JSON line for each record, as the oracle reads it.

use crate::records::Record;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

pub struct Journal {
    out: BufWriter<File>,
    line: Vec<u8>,
    /// Records by topic and partition.
    counts: BTreeMap<(&'static str, i32), u64>,
    /// The offset after the last record, likewise.
    ends: BTreeMap<(&'static str, i32), i64>,
}

impl Journal {
    pub fn create(path: &Path) -> io::Result<Journal> {
        let out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        Ok(Journal { out, line: Vec::new(), counts: BTreeMap::new(), ends: BTreeMap::new() })
    }

    pub fn write(&mut self, record: &Record, offset: i64) -> io::Result<()> {
        self.line.clear();
        line(&mut self.line, record, offset);
        self.out.write_all(&self.line)?;
        *self.counts.entry((record.topic, record.partition)).or_default() += 1;
        self.ends.insert((record.topic, record.partition), offset + 1);
        Ok(())
    }

    /// The offset after the last record of a partition.
    pub fn end(&self, topic: &'static str, partition: i32) -> i64 {
        self.ends.get(&(topic, partition)).copied().unwrap_or(0)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// `{"records":N,"topics":{"svc.service.ticket":{"0":{"records":n,"end":offset},…},…}}`
    pub fn summary(&self) -> serde_json::Value {
        let mut topics = serde_json::Map::new();
        for ((topic, partition), records) in &self.counts {
            let of_topic = topics.entry(topic.to_string()).or_insert_with(|| serde_json::json!({}));
            of_topic[partition.to_string()] =
                serde_json::json!({ "records": records, "end": self.end(topic, *partition) });
        }
        serde_json::json!({ "records": self.counts.values().sum::<u64>(), "topics": topics })
    }
}

/// One line, its newline included.
pub fn line(out: &mut Vec<u8>, record: &Record, offset: i64) {
    out.extend_from_slice(b"{\"topic\":\"");
    out.extend_from_slice(record.topic.as_bytes());
    out.extend_from_slice(b"\",\"partition\":");
    out.extend_from_slice(itoa::Buffer::new().format(record.partition).as_bytes());
    out.extend_from_slice(b",\"offset\":");
    out.extend_from_slice(itoa::Buffer::new().format(offset).as_bytes());
    out.extend_from_slice(b",\"key\":");
    text(out, record.key.as_deref());
    out.extend_from_slice(b",\"value\":");
    text(out, record.value.as_deref());
    out.extend_from_slice(b",\"headers\":[");
    for (n, (name, value)) in record.headers.iter().enumerate() {
        out.extend_from_slice(if n == 0 { b"[" } else { b",[" });
        text(out, Some(name.as_bytes()));
        out.push(b',');
        text(out, Some(value));
        out.push(b']');
    }
    out.extend_from_slice(b"]}\n");
}

/// A JSON string. The generator makes valid UTF-8 only.
fn text(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        out.extend_from_slice(b"null");
        return;
    };
    out.push(b'"');
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}
