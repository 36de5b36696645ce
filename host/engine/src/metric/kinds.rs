//! Which windows and dimensions a metric has, and how long windows are corrected: stored with it, so that its state
//! is read and judged as it was written, whatever the configuration says today.

use super::{Metric, MetricError};
use crate::keys::reads_as;
use crate::plan::KindPlan;
use crate::stored::{Keyspace, StoredKinds, decode_kinds, encode_kinds};
use weir_types::Micros;
use weir_types::contract::ValueType;
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::window::{Calendar, Interval};

/// What of a metric's windows is not in its plan.
#[derive(Debug)]
pub struct Kinds {
    /// By kind: windows that end by then are forgotten, however long windows are corrected now.
    forgotten: Vec<Micros>,
    /// While cells are restored: how long windows were corrected when they were written.
    then: Option<Vec<Micros>>,
    /// Whether it is stored as it is.
    saved: bool,
}

impl Kinds {
    pub fn new(kinds: &[KindPlan]) -> Kinds {
        Kinds { forgotten: vec![Micros::MIN; kinds.len()], then: None, saved: false }
    }

    /// Whether a sample of this pane comes too late for a kind.
    pub fn misses(
        &self,
        at: usize,
        kind: &KindPlan,
        pane: Interval,
        records: Micros,
        calendar: &Calendar,
    ) -> bool {
        let correct_for = self.then.as_ref().map_or(kind.correct_for, |then| then[at]);
        let end = calendar.last_end(kind.window, pane);
        end <= self.forgotten[at] || end.saturating_add(correct_for) <= records
    }

    /// Whether windows of a kind that end then are forgotten whatever the watermark is.
    pub fn has_forgotten(&self, kind: u16, end: Micros) -> bool {
        end <= self.forgotten[kind as usize]
    }
}

impl Metric {
    /// Reads what its windows and dimensions were. Refuses a state of other windows, whose numbers cannot become those
    /// of these, and one of other keys.
    pub(super) fn restore_kinds(
        &mut self,
        store: &dyn StateStore,
        keys: &Keyspace,
        calendar: &Calendar,
    ) -> Result<(), MetricError> {
        let key = keys.kinds(&self.entry.name, self.entry.incarnation);
        // An older host has stored none: they are taken to be what they are now.
        let Some(bytes) = store.get(&key)? else { return Ok(()) };
        let stored = decode_kinds(&bytes)?;
        let now = self.kinds_now(calendar);
        if (&stored.time_zone, &stored.windows) != (&now.time_zone, &now.windows) {
            let of = |kinds: &StoredKinds| format!("{} in {}", kinds.windows.join(", "), kinds.time_zone);
            return Err(self.is_not_of("windows", &of(&stored), &of(&now)));
        }
        let (then, today) = (stored.dimensions.as_ref(), now.dimensions.as_ref());
        if let (Some(then), Some(today)) = (then, today)
            && !reads_as(then, today)
        {
            return Err(self.is_not_of("dimensions", &dimensions_of(then), &dimensions_of(today)));
        }
        self.kinds.saved = stored.correct_for == now.correct_for && then == today;
        self.kinds.forgotten = stored.forgotten;
        self.kinds.then = Some(stored.correct_for);
        Ok(())
    }

    fn is_not_of(&self, what: &str, then: &str, now: &str) -> MetricError {
        let text = format!(
            "metric {}: its state is of the {what} {then}, and it is now configured with {now}: what it has counted is not \
             theirs. Configure it as before, retire it, and then change it and push it anew; or begin on a fresh state \
             directory",
            self.entry.name
        );
        StateError::Corrupt(text).into()
    }

    /// Everything is restored: from now on windows are corrected as long as is configured now. What was
    /// forgotten before stays so. The write that says how long from now on covers the cells that were judged by
    /// what was configured then: they are not judged again.
    pub(super) fn settle_kinds(&mut self) {
        let records = self.watermarks.records;
        let Some(then) = self.kinds.then.take().filter(|_| !self.kinds.saved) else { return };
        for (forgotten, then) in self.kinds.forgotten.iter_mut().zip(then) {
            *forgotten = (*forgotten).max(records.saturating_sub(then));
        }
        self.store_whole();
    }

    /// Puts them into the write, if they are not stored as they are.
    pub fn save_kinds(&self, keys: &Keyspace, calendar: &Calendar, writes: &mut WriteSet) {
        if !self.kinds.saved {
            let key = keys.kinds(&self.entry.name, self.entry.incarnation);
            writes.put(key, encode_kinds(&self.kinds_now(calendar)));
        }
    }

    /// They are in a write that will be done.
    pub fn kinds_saved(&mut self) {
        self.kinds.saved = true;
    }

    fn kinds_now(&self, calendar: &Calendar) -> StoredKinds {
        let kinds = &self.plan.kinds;
        StoredKinds {
            time_zone: calendar.zone_name(),
            windows: kinds.iter().map(|kind| kind.name.to_string()).collect(),
            correct_for: kinds.iter().map(|kind| kind.correct_for).collect(),
            forgotten: self.kinds.forgotten.clone(),
            dimensions: Some(
                self.info.dimensions.iter().cloned().zip(self.plan.dimension_types.clone()).collect(),
            ),
        }
    }
}

fn dimensions_of(dimensions: &[(String, ValueType)]) -> String {
    let all: Vec<String> = dimensions.iter().map(|(name, ty)| format!("{name} {ty:?}")).collect();
    all.join(", ")
}
