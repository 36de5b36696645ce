//! The rows that wait for delivery: stored with their epoch, coalesced while they wait.

use crate::stored::{Keyspace, decode_outbox, encode_outbox, epoch_of};
use std::collections::HashMap;
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::rows::{Outbox, RealtimeRow};

/// Names under which an epoch's rows are stored, one packed value each.
const TABLES: [&str; 7] =
    ["audit", "dead_letters", "epochs", "late_events", "latest", "promoted", "realtime"];

/// Puts an epoch's rows into its write. The rows are moved out and back, not copied.
pub fn put(outbox: &mut Outbox, epoch: u64, keys: &Keyspace, writes: &mut WriteSet) {
    for table in TABLES {
        let mut part = Outbox::default();
        swap(outbox, &mut part, table);
        if !part.is_empty() {
            writes.put(keys.outbox(epoch, table), encode_outbox(&part));
        }
        swap(outbox, &mut part, table);
    }
}

/// Exchanges the rows of one table.
fn swap(a: &mut Outbox, b: &mut Outbox, table: &str) {
    use std::mem::swap;
    match table {
        "audit" => swap(&mut a.audit, &mut b.audit),
        "dead_letters" => swap(&mut a.dead_letters, &mut b.dead_letters),
        "epochs" => swap(&mut a.epochs, &mut b.epochs),
        "late_events" => swap(&mut a.late_events, &mut b.late_events),
        "latest" => swap(&mut a.latest, &mut b.latest),
        "realtime" => swap(&mut a.realtime, &mut b.realtime),
        _ => swap(&mut a.promoted, &mut b.promoted),
    }
}

/// Deletes the rows of a delivered epoch.
pub fn delete(epoch: u64, keys: &Keyspace, writes: &mut WriteSet) {
    for table in TABLES {
        writes.delete(keys.outbox(epoch, table));
    }
}

/// All rows that are stored and not noted as delivered.
pub fn undelivered(store: &dyn StateStore, keys: &Keyspace, delivered: u64) -> Result<Waiting, StateError> {
    let prefix = keys.outboxes();
    let mut waiting = Waiting::default();
    for (key, value) in store.scan(prefix.as_bytes())? {
        if let Some(epoch) = epoch_of(&key, &prefix).filter(|e| *e > delivered) {
            waiting.add(epoch, decode_outbox(&value)?);
        }
    }
    Ok(waiting)
}

/// What makes rows of `metric_realtime` one row.
type RowKey = (String, i64, String, String, Vec<String>, i64);

/// Rows of several epochs, coalesced: the newest row of a key stands for all.
#[derive(Debug, Default)]
pub struct Waiting {
    realtime: HashMap<RowKey, RealtimeRow>,
    latest: HashMap<RowKey, RealtimeRow>,
    rest: Outbox,
    /// The newest epoch in it; 0 when there is none.
    pub upto: u64,
    /// Epochs in it.
    pub epochs: u64,
}

impl Waiting {
    /// Adds the rows of an epoch newer than those in it.
    pub fn add(&mut self, epoch: u64, outbox: Outbox) {
        if epoch > self.upto {
            self.epochs += 1;
        }
        self.upto = self.upto.max(epoch);
        for row in outbox.realtime {
            insert(&mut self.realtime, row.start, row);
        }
        for row in outbox.latest {
            insert(&mut self.latest, 0, row);
        }
        self.rest.epochs.extend(outbox.epochs);
        self.rest.late_events.extend(outbox.late_events);
        self.rest.dead_letters.extend(outbox.dead_letters);
        self.rest.promoted.extend(outbox.promoted);
        self.rest.audit.extend(outbox.audit);
    }

    /// Adds newer rows that were collected meanwhile.
    pub fn absorb(&mut self, newer: Waiting) {
        let epochs = self.epochs + newer.epochs;
        self.add(newer.upto, newer.into_outbox());
        self.epochs = epochs;
    }

    pub fn is_empty(&self) -> bool {
        self.upto == 0
    }

    pub fn rows(&self) -> u64 {
        (self.realtime.len() + self.latest.len() + self.rest.len()) as u64
    }

    /// The rows, in an order that does not depend on hashing.
    pub fn into_outbox(self) -> Outbox {
        let sorted = |rows: HashMap<RowKey, RealtimeRow>| {
            let mut rows: Vec<(RowKey, RealtimeRow)> = rows.into_iter().collect();
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            rows.into_iter().map(|(_, row)| row).collect()
        };
        Outbox { realtime: sorted(self.realtime), latest: sorted(self.latest), ..self.rest }
    }
}

fn insert(rows: &mut HashMap<RowKey, RealtimeRow>, start: i64, row: RealtimeRow) {
    let key = (
        row.metric.clone(),
        row.incarnation,
        row.window.clone(),
        row.dimension_set.clone(),
        row.dims.clone(),
        start,
    );
    match rows.get(&key) {
        Some(held) if held.epoch > row.epoch => {}
        _ => {
            rows.insert(key, row);
        }
    }
}
