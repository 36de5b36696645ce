//! The outbox as it was stored in version 2: each row by itself.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use weir_types::rows::{self, AuditRow, DeadLetterRow, EpochRow, LateEventRow, OutputValue, PromotedRow};
use weir_types::{Micros, Name};

#[derive(Serialize, Deserialize)]
pub struct Outbox {
    realtime: Vec<RealtimeRow>,
    latest: Vec<RealtimeRow>,
    epochs: Vec<EpochRow>,
    late_events: Vec<LateEventRow>,
    dead_letters: Vec<DeadLetterRow>,
    promoted: Vec<PromotedRow>,
    audit: Vec<AuditRow>,
}

/// As it stood in versions 1 and 2.
#[derive(Serialize, Deserialize)]
pub struct RealtimeRow {
    metric: Name,
    incarnation: i64,
    window: Name,
    dimension_set: Name,
    dims: Arc<[String]>,
    day: i32,
    start: Micros,
    end: Micros,
    outputs: Vec<(Name, OutputValue)>,
    is_final: bool,
    complete: bool,
    watermark: Micros,
    digest: Name,
    epoch: u64,
    epoch_first: u64,
    samples: u64,
    late: u64,
    deleted: bool,
}

/// The rows in their form of today.
pub fn rows_of(old: Vec<RealtimeRow>) -> Vec<rows::RealtimeRow> {
    old.into_iter().map(rows::RealtimeRow::from).collect()
}

impl From<Outbox> for rows::Outbox {
    fn from(old: Outbox) -> rows::Outbox {
        rows::Outbox {
            realtime: rows_of(old.realtime),
            latest: rows_of(old.latest),
            epochs: old.epochs,
            late_events: old.late_events,
            dead_letters: old.dead_letters,
            promoted: old.promoted,
            audit: old.audit,
        }
    }
}

impl From<RealtimeRow> for rows::RealtimeRow {
    fn from(old: RealtimeRow) -> rows::RealtimeRow {
        let (outputs, values): (Vec<Name>, Vec<OutputValue>) = old.outputs.into_iter().unzip();
        let series = rows::Series {
            metric: old.metric,
            incarnation: old.incarnation,
            window: old.window,
            dimension_set: old.dimension_set,
            digest: old.digest,
            outputs,
        };
        rows::RealtimeRow {
            series: series.into(),
            dims: old.dims,
            day: old.day,
            start: old.start,
            end: old.end,
            values: values.into(),
            is_final: old.is_final,
            complete: old.complete,
            watermark: old.watermark,
            epoch: old.epoch,
            epoch_first: old.epoch_first,
            samples: old.samples,
            late: old.late,
            deleted: old.deleted,
        }
    }
}

#[cfg(test)]
impl Outbox {
    /// As a host of that version would have stored it.
    pub fn of(rows: &rows::Outbox) -> Outbox {
        let old = |rows: &[rows::RealtimeRow]| rows.iter().map(RealtimeRow::of).collect();
        Outbox {
            realtime: old(&rows.realtime),
            latest: old(&rows.latest),
            epochs: rows.epochs.clone(),
            late_events: rows.late_events.clone(),
            dead_letters: rows.dead_letters.clone(),
            promoted: rows.promoted.clone(),
            audit: rows.audit.clone(),
        }
    }
}

#[cfg(test)]
impl RealtimeRow {
    fn of(row: &rows::RealtimeRow) -> RealtimeRow {
        let series = &row.series;
        RealtimeRow {
            metric: series.metric.clone(),
            incarnation: series.incarnation,
            window: series.window.clone(),
            dimension_set: series.dimension_set.clone(),
            dims: row.dims.clone(),
            day: row.day,
            start: row.start,
            end: row.end,
            outputs: row.outputs().map(|(name, value)| (name.clone(), value.clone())).collect(),
            is_final: row.is_final,
            complete: row.complete,
            watermark: row.watermark,
            digest: series.digest.clone(),
            epoch: row.epoch,
            epoch_first: row.epoch_first,
            samples: row.samples,
            late: row.late,
            deleted: row.deleted,
        }
    }
}
