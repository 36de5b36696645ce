//! The journal: one JSON line for each record, as the oracle reads it:
//! `{"topic":…,"partition":N,"offset":N,"key":TEXT|null,"value":TEXT|null,"headers":[[NAME,TEXT],…]}`.
//!
//! Keys and values are the record's bytes as text; a null value is a tombstone. Headers are those of the
//! connector, and two of our own: `generator.injected` on a spoilt record says what must become of it
//! ([`crate::bad::Fault::fate`]); `generator.correction` on a record says that its row was mended by hand, so
//! that it may break the catalogue's rules, and so may the row from then on.

use crate::records::Record;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Lines are written together, about so many bytes at once.
const WRITTEN_AT_ONCE: usize = 1 << 20;

pub struct Journal {
    out: File,
    lines: Vec<u8>,
    partitions: BTreeMap<(&'static str, i32), Partition>,
}

#[derive(Default)]
struct Partition {
    records: u64,
    /// The offset after the last record.
    end: i64,
}

impl Journal {
    pub fn create(path: &Path) -> io::Result<Journal> {
        let lines = Vec::with_capacity(2 * WRITTEN_AT_ONCE);
        Ok(Journal { out: File::create(path)?, lines, partitions: BTreeMap::new() })
    }

    pub fn write(&mut self, record: &Record, offset: i64) -> io::Result<()> {
        let partition = self.partitions.entry((record.topic, record.partition)).or_default();
        partition.records += 1;
        partition.end = offset + 1;
        self.write_line(record, offset)
    }

    /// Writes a record at the end of its partition.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let partition = self.partitions.entry((record.topic, record.partition)).or_default();
        let offset = partition.end;
        partition.records += 1;
        partition.end = offset + 1;
        self.write_line(record, offset)
    }

    fn write_line(&mut self, record: &Record, offset: i64) -> io::Result<()> {
        line(&mut self.lines, record, offset);
        if self.lines.len() >= WRITTEN_AT_ONCE { self.flush() } else { Ok(()) }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }

    /// `{"records":N,"topics":{"svc.service.ticket":{"0":{"records":n,"end":offset},…},…}}`
    pub fn summary(&self) -> serde_json::Value {
        let mut topics = serde_json::Map::new();
        for ((topic, number), partition) in &self.partitions {
            let of_topic = topics.entry(topic.to_string()).or_insert_with(|| serde_json::json!({}));
            of_topic[number.to_string()] =
                serde_json::json!({ "records": partition.records, "end": partition.end });
        }
        let records: u64 = self.partitions.values().map(|partition| partition.records).sum();
        serde_json::json!({ "records": records, "topics": topics })
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
    match &record.value {
        Some(value) if record.in_string => {
            out.push(b'"');
            out.extend_from_slice(value);
            out.push(b'"');
        }
        value => text(out, value.as_deref()),
    }
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
    if bytes.iter().all(|byte| *byte >= b' ') {
        printable(out, bytes);
    } else {
        bytes.iter().for_each(|byte| escaped(out, *byte));
    }
    out.push(b'"');
}

/// Text without control characters, eight bytes at a time: most of a journal is this.
fn printable(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len() + 8, 0);
    let room = &mut out[start..];
    let (mut from, mut to) = (0, 0);
    while let Some(word) = bytes[from..].first_chunk::<8>() {
        room[to..to + 8].copy_from_slice(word);
        let special = special_bytes(u64::from_le_bytes(*word));
        let plain = special.trailing_zeros() as usize / 8;
        (from, to) = (from + plain, to + plain);
        if special != 0 {
            room[to..to + 2].copy_from_slice(&[b'\\', bytes[from]]);
            (from, to) = (from + 1, to + 2);
        }
    }
    out.truncate(start + to);
    bytes[from..].iter().for_each(|byte| escaped(out, *byte));
}

/// Marks quotes and backslashes in the highest bit of their byte; beyond the lowest mark others may be marked
/// too (Sean Anderson, "Bit Twiddling Hacks", determine if a word has a byte equal to n).
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let marks = |byte: u8| {
        let zeroed = word ^ (ONES * u64::from(byte));
        zeroed.wrapping_sub(ONES) & !zeroed & (ONES << 7)
    };
    marks(b'"') | marks(b'\\')
}

fn escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        0..b' ' => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
        _ => out.push(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    #[test]
    fn a_text_of_any_length_with_quotes_anywhere_reads_back() {
        let mut dice = Dice::new(1);
        for length in 0..200 {
            let alphabet = if length % 7 == 0 { "\"\\a\n\u{1}\u{fc}" } else { "\"\\abcdefghijkl\u{fc}" };
            let letters: Vec<char> = alphabet.chars().collect();
            let wanted: String = (0..length).map(|_| dice.pick(&letters)).collect();
            let mut out = Vec::new();
            text(&mut out, Some(wanted.as_bytes()));
            let read: String = serde_json::from_slice(&out).unwrap_or_default();
            assert_eq!(read, wanted);
        }
    }
}
