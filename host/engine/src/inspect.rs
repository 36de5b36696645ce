//! What stands in a state, for people and tools: where the shard is, and what its kinds of values take.

use crate::stored::{Head, Keyspace, Status, StoredMetric, decode, epoch_of};
use crate::watermark::{BEGINNING, Watermarks};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use weir_types::Micros;
use weir_types::ports::{StateError, reserved};

/// A shard's state. Times are microseconds since the Unix epoch, UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inspection {
    pub shard: String,
    /// Whether a host has ever finished an epoch on it.
    pub started: bool,
    pub epoch: u64,
    /// The clock of that epoch.
    pub clock: Option<Micros>,
    /// The generation under which rows were last delivered, and the greatest one claimed.
    pub generation: Option<u64>,
    pub claimed: Option<u64>,
    /// All epochs up to this one are delivered.
    pub delivered: u64,
    /// Epochs whose rows wait for ClickHouse.
    pub waiting_epochs: u64,
    /// Whether it was imported and no host has run on it since.
    pub imported: bool,
    pub partitions: Vec<PartitionPlace>,
    pub watermarks: Vec<SourceWatermarks>,
    pub metrics: Vec<MetricPlace>,
    /// By kind of value.
    pub sizes: BTreeMap<String, Size>,
}

/// Where a partition is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionPlace {
    pub topic: String,
    pub partition: i32,
    /// The next offset to be read.
    pub next: i64,
    pub greatest_event_time: Option<Micros>,
}

/// How far a source is known to have come; None = not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceWatermarks {
    pub source: String,
    /// Closes windows.
    pub closing: Option<Micros>,
    /// Ends the time of correction.
    pub records: Option<Micros>,
}

/// One line of the metric table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetricPlace {
    pub name: String,
    /// `live`, `quarantined`, `retired`.
    pub status: &'static str,
    pub reason: Option<String>,
    pub digest: String,
    pub incarnation: i64,
    /// The file or upload that it came from.
    pub origin: String,
    pub since: Micros,
    /// The last epoch at whose end a checkpoint of it was written; 0 = none.
    pub checkpoint: u64,
    pub state_version: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    pub keys: u64,
    /// Of keys and values, before the store compresses or doubles them.
    pub bytes: u64,
}

/// Collects an inspection from the entries of a state, in any order.
pub struct Inspector {
    keys: Keyspace,
    prefix: Vec<u8>,
    head: Option<Head>,
    waiting: BTreeSet<u64>,
    found: Inspection,
}

impl Inspector {
    pub fn new(shard: &str) -> Inspector {
        Inspector {
            keys: Keyspace::new(shard),
            prefix: format!("{shard}/").into_bytes(),
            head: None,
            waiting: BTreeSet::new(),
            found: Inspection { shard: shard.to_string(), ..Inspection::default() },
        }
    }

    /// Takes one entry. The error says which value cannot be read.
    pub fn entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        let shard = &self.found.shard;
        if key == self.keys.head() {
            self.head = Some(decode("head", value)?);
        } else if key == reserved::claimed(shard) {
            self.found.claimed = reserved::read_claimed(value);
        } else if key == reserved::imported(shard) {
            self.found.imported = true;
        } else if let Some(epoch) = outbox_epoch(key, &self.keys.outboxes()) {
            self.waiting.insert(epoch);
        }
        let kind = kind_of(key, &self.prefix);
        let size = self.found.sizes.entry(kind).or_default();
        size.keys += 1;
        size.bytes += (key.len() + value.len()) as u64;
        Ok(())
    }

    pub fn finish(self) -> Inspection {
        let Inspector { head, waiting, mut found, .. } = self;
        let Some(head) = head else { return found };
        found.started = true;
        found.epoch = head.epoch;
        found.clock = Some(head.clock);
        found.generation = head.generation;
        found.delivered = head.delivered;
        found.waiting_epochs = waiting.iter().filter(|epoch| **epoch > head.delivered).count() as u64;
        let partition = |(at, stored): (_, crate::stored::StoredPartition)| {
            let weir_types::record::TopicPartition { topic, partition } = at;
            PartitionPlace { topic, partition, next: stored.next, greatest_event_time: stored.greatest }
        };
        found.partitions = head.partitions.into_iter().map(partition).collect();
        found.watermarks = head.watermarks.into_iter().map(|(name, marks)| watermarks(name, marks)).collect();
        found.metrics = head.metrics.into_iter().map(metric).collect();
        found.metrics.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }
}

fn outbox_epoch(key: &[u8], prefix: &str) -> Option<u64> {
    if key.starts_with(prefix.as_bytes()) { epoch_of(key, prefix) } else { None }
}

/// The second part of a key says what its value is.
fn kind_of(key: &[u8], prefix: &[u8]) -> String {
    let Some(rest) = key.strip_prefix(prefix) else { return "foreign".into() };
    let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    String::from_utf8_lossy(&rest[..end]).into_owned()
}

fn watermarks(source: String, marks: Watermarks) -> SourceWatermarks {
    let known = |time: Micros| (time != BEGINNING).then_some(time);
    SourceWatermarks { source, closing: known(marks.closing), records: known(marks.records) }
}

fn metric(stored: StoredMetric) -> MetricPlace {
    let (status, reason) = match stored.status {
        Status::Live => ("live", None),
        Status::Quarantined { reason, .. } => ("quarantined", Some(reason)),
        Status::Retired => ("retired", None),
        Status::Suspended { reason, .. } => ("suspended", Some(reason)),
        Status::CatchingUp => ("catching-up", None),
    };
    MetricPlace {
        name: stored.name,
        status,
        reason,
        digest: stored.digest,
        incarnation: stored.incarnation,
        origin: stored.origin,
        since: stored.since,
        checkpoint: stored.checkpoint,
        state_version: stored.state_version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::{StoredPartition, encode};
    use weir_types::record::TopicPartition;

    #[test]
    fn a_state_that_no_host_has_run_on_is_told_as_such() {
        let found = Inspector::new("0").finish();
        assert_eq!((found.started, found.epoch, found.clock), (false, 0, None));
    }

    #[test]
    fn everything_is_counted_by_its_kind_and_the_head_is_read() {
        let keys = Keyspace::new("0");
        let place = StoredPartition { next: 7, last: None, greatest: Some(3), mark: None };
        let head = Head {
            epoch: 12,
            clock: 99,
            generation: Some(4),
            delivered: 10,
            partitions: [(TopicPartition { topic: "t".into(), partition: 2 }, place)].into(),
            watermarks: [("ticket".to_string(), Watermarks { closing: 5, records: BEGINNING })].into(),
            ..Head::default()
        };
        let mut inspector = Inspector::new("0");
        let mut see = |key: Vec<u8>, value: &[u8]| inspector.entry(&key, value).expect("readable");
        see(keys.head(), &encode(&head));
        for (epoch, table) in [(10, "latest"), (11, "latest"), (11, "realtime"), (12, "epochs")] {
            see(keys.outbox(epoch, table), b"1234");
        }
        see(keys.cells("a.b", 1, 3), b"12");
        see(reserved::claimed("0"), &reserved::write_claimed(6));
        see(b"1/head".to_vec(), b"");
        let found = inspector.finish();
        assert_eq!(
            (found.epoch, found.clock, found.generation, found.claimed),
            (12, Some(99), Some(4), Some(6))
        );
        assert_eq!((found.delivered, found.waiting_epochs, found.imported), (10, 2, false));
        let partition = &found.partitions[0];
        assert_eq!((partition.topic.as_str(), partition.partition, partition.next), ("t", 2, 7));
        assert_eq!((found.watermarks[0].closing, found.watermarks[0].records), (Some(5), None));
        let keys_of = |kind: &str| found.sizes[kind].keys;
        assert_eq!((keys_of("outbox"), keys_of("cells"), keys_of("head"), keys_of("foreign")), (4, 1, 1, 1));
        assert_eq!(found.sizes["cells"].bytes, keys.cells("a.b", 1, 3).len() as u64 + 2);
    }

    #[test]
    fn a_head_of_another_format_is_refused_with_what_to_do() {
        let mut inspector = Inspector::new("0");
        let error = inspector.entry(b"0/head", &[99, 1, 2]).expect_err("foreign").to_string();
        assert!(error.contains("format 99"), "{error}");
    }
}
