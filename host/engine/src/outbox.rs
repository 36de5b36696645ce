//! The rows that wait for delivery: stored with their epoch until it is delivered; in memory within a
//! budget, coalesced.

mod newest;
mod waiting;
mod weight;

pub use waiting::{Held, Waiting};
pub use weight::weight;

use crate::stored::{Keyspace, decode, decode_outbox, encode, encode_outbox, epoch_of};
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::rows::Outbox;

/// Names under which an epoch's rows are stored, one packed value each.
const TABLES: [&str; 7] =
    ["audit", "dead_letters", "epochs", "late_events", "latest", "promoted", "realtime"];

/// Puts an epoch's rows into its write. The rows are moved out and back, not copied.
pub fn put(outbox: &mut Outbox, epoch: u64, keys: &Keyspace, writes: &mut WriteSet) {
    writes.put(keys.outbox_rows(epoch), encode(&(outbox.len() as u64)));
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
    writes.delete(keys.outbox_rows(epoch));
}

/// The rows of one epoch that is durable and not noted as delivered, table by table.
pub fn read(store: &dyn StateStore, keys: &Keyspace, epoch: u64) -> Result<Vec<Outbox>, StateError> {
    let found = store.scan(keys.outbox_of(epoch).as_bytes())?;
    if found.is_empty() {
        // Each epoch has at least its row of `epochs`. Going on would leave rows out for ever.
        return Err(StateError::Corrupt(format!(
            "the rows of epoch {epoch} have not been delivered and are not in the state: restore it from an export"
        )));
    }
    found.iter().map(|(_, value)| decode_outbox(value)).collect()
}

/// How many rows are stored and not noted as delivered. Epochs stored by a host that did not count them
/// yet are left out.
pub fn count_rows(store: &dyn StateStore, keys: &Keyspace, delivered: u64) -> Result<u64, StateError> {
    let prefix = keys.outboxes_rows();
    let mut rows = 0;
    for (key, value) in store.scan(prefix.as_bytes())? {
        if epoch_of(&key, &prefix).is_some_and(|epoch| epoch > delivered) {
            rows += decode::<u64>("number of waiting rows", &value)?;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
