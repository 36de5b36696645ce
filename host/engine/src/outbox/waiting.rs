//! Rows of several epochs in memory, coalesced.

use super::weight;
use std::collections::HashMap;
use std::sync::Arc;
use weir_types::Name;
use weir_types::rows::{Outbox, RealtimeRow};

/// What makes rows of `metric_realtime` one row.
pub(super) type RowKey = (Name, i64, Name, Name, Arc<[String]>, i64);

/// Rows of several epochs, coalesced: the newest row of a key stands for all.
#[derive(Debug, Default)]
pub struct Waiting {
    realtime: HashMap<RowKey, RealtimeRow>,
    latest: HashMap<RowKey, RealtimeRow>,
    rest: Outbox,
    /// [`weight`] of the rows that are left after coalescing.
    bytes: usize,
    /// The newest epoch in it; 0 when there is none.
    pub upto: u64,
    /// Epochs in it.
    pub epochs: u64,
}

/// How much is held somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub epochs: u64,
    pub rows: u64,
    /// [`weight`] of the rows.
    pub bytes: usize,
}

impl Waiting {
    /// Adds the rows of an epoch not older than those in it.
    pub fn add(&mut self, epoch: u64, outbox: Outbox) {
        debug_assert!(epoch >= self.upto, "epoch {epoch} after {}", self.upto);
        if epoch > self.upto {
            self.epochs += 1;
        }
        self.upto = self.upto.max(epoch);
        for row in outbox.realtime {
            self.bytes += weight::coalesced(&row);
            self.bytes -= insert(&mut self.realtime, row.start, row);
        }
        for row in outbox.latest {
            self.bytes += weight::coalesced(&row);
            self.bytes -= insert(&mut self.latest, 0, row);
        }
        let rest = Outbox { realtime: Vec::new(), latest: Vec::new(), ..outbox };
        self.bytes += weight(&rest);
        self.rest.epochs.extend(rest.epochs);
        self.rest.late_events.extend(rest.late_events);
        self.rest.dead_letters.extend(rest.dead_letters);
        self.rest.promoted.extend(rest.promoted);
        self.rest.audit.extend(rest.audit);
    }

    /// Adds newer rows that were collected meanwhile.
    pub fn absorb(&mut self, newer: Waiting) {
        if self.is_empty() {
            *self = newer;
        } else if !newer.is_empty() {
            let epochs = self.epochs + newer.epochs;
            self.add(newer.upto, newer.into_outbox());
            self.epochs = epochs;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.upto == 0
    }

    pub fn held(&self) -> Held {
        let rows = self.realtime.len() + self.latest.len() + self.rest.len();
        Held { epochs: self.epochs, rows: rows as u64, bytes: self.bytes }
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

/// Gives the weight of the row that is not kept.
fn insert(rows: &mut HashMap<RowKey, RealtimeRow>, start: i64, row: RealtimeRow) -> usize {
    let key = (
        row.metric.clone(),
        row.incarnation,
        row.window.clone(),
        row.dimension_set.clone(),
        row.dims.clone(),
        start,
    );
    let dropped = match rows.get(&key) {
        Some(held) if held.epoch > row.epoch => Some(row),
        _ => rows.insert(key, row),
    };
    dropped.map_or(0, |row| weight::coalesced(&row))
}
