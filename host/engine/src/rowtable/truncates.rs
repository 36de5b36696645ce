//! Truncates that were read. One stands in a single partition, while the rows that it ended are in all of
//! them: what it hides may be read after it.

use weir_types::batch::Origin;
use weir_types::{MINUTE, Micros};

/// How far the times of two changes may be apart in another order than their places in the log: a
/// statement's time is that of its beginning, and a truncate waits for locks. Beyond it, time tells the order:
/// they stand in two logs.
const WAIT: Micros = 10 * MINUTE;

/// The newest truncate of each upstream server.
#[derive(Debug, Default)]
pub struct Truncates(Vec<Origin>);

/// Whether `a` is known to be before `b`. The places of different servers cannot be compared; server 0 (a
/// snapshot's reads) goes with any.
fn is_before(a: &Origin, b: &Origin) -> bool {
    let comparable = a.server == b.server || a.server == 0 || b.server == 0;
    let is_older = b.source_time > a.source_time.saturating_add(WAIT);
    let is_newer = a.source_time > b.source_time.saturating_add(WAIT);
    !is_newer && (is_older || (comparable && a.position < b.position))
}

impl Truncates {
    pub fn of(all: impl Iterator<Item = Origin>) -> Truncates {
        Truncates(all.collect())
    }

    pub fn all(&self) -> &[Origin] {
        &self.0
    }

    /// Whether a change is one that a truncate has ended already.
    #[inline]
    pub fn hide(&self, change: Option<&Origin>) -> bool {
        !self.0.is_empty() && change.is_some_and(|c| self.0.iter().any(|t| is_before(c, t)))
    }

    /// Whether a truncate ends a row that was set by that change.
    pub fn ends(truncate: &Origin, row: &Origin) -> bool {
        !is_before(truncate, row)
    }

    /// Remembers a truncate; false if it, or a later one, is remembered already.
    pub fn add(&mut self, truncate: Origin) -> bool {
        match self.0.iter_mut().find(|t| t.server == truncate.server) {
            Some(known) if truncate == *known || is_before(&truncate, known) => return false,
            Some(known) => *known = truncate,
            None => self.0.push(truncate),
        }
        true
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}
