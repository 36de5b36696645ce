//! Rows of several epochs in memory, coalesced.

use super::newest::Newest;
use super::weight;
use weir_types::rows::Outbox;

/// Rows of several epochs, coalesced: the newest row of a key stands for all.
#[derive(Debug, Default)]
pub struct Waiting {
    realtime: Newest,
    latest: Newest,
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
            self.bytes -= self.realtime.add(row.start, row).map_or(0, |row| weight::coalesced(&row));
        }
        for row in outbox.latest {
            self.bytes += weight::coalesced(&row);
            self.bytes -= self.latest.add(0, row).map_or(0, |row| weight::coalesced(&row));
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
        Outbox { realtime: self.realtime.into_rows(), latest: self.latest.into_rows(), ..self.rest }
    }
}
