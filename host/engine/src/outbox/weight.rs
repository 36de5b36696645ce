//! What waiting rows take in memory, near enough to hold a budget by.

use std::mem::size_of;
use weir_types::record::TopicPartition;
use weir_types::rows::{
    AuditRow, DeadLetterRow, EpochRow, Gap, LateEventRow, Outbox, OutputValue, PromotedRow, RealtimeRow,
    RedrivenRecord,
};

/// What the allocator adds to a piece of memory, rounding included.
const PIECE: usize = 16;
/// A list that has just grown is half empty.
const GROWN: usize = 2;
/// Where a row stands in the list, by its key.
const PLACE: usize = GROWN * (size_of::<(i64, u32)>() + 1);
/// An entry of a small tree map takes about so much beside its texts.
const ENTRY: usize = 2 * size_of::<(String, String)>();

/// Bytes that these rows take before they are coalesced.
pub fn weight(rows: &Outbox) -> usize {
    sum(&rows.realtime, coalesced)
        + sum(&rows.latest, coalesced)
        + sum(&rows.epochs, epoch)
        + sum(&rows.late_events, late_event)
        + sum(&rows.dead_letters, dead_letter)
        + sum(&rows.promoted, promoted)
        + sum(&rows.audit, audit)
}

/// Bytes of a row among coalesced ones. Its series stands once for all rows.
pub(super) fn coalesced(row: &RealtimeRow) -> usize {
    GROWN * size_of::<RealtimeRow>() + PLACE + texts(&row.dims) + PIECE + sum(&row.values, output)
}

fn sum<T>(rows: &[T], one: impl Fn(&T) -> usize) -> usize {
    rows.iter().map(one).sum()
}

fn text(text: &str) -> usize {
    text.len() + PIECE
}

fn texts(list: &[String]) -> usize {
    PIECE + sum(list, |one| size_of::<String>() + text(one))
}

fn output(value: &OutputValue) -> usize {
    size_of::<OutputValue>()
        + match value {
            OutputValue::Text(one) => text(one),
            OutputValue::Texts(list) => texts(list),
            OutputValue::Ints(list) => PIECE + size_of_val(&list[..]),
            OutputValue::Floats(list) => PIECE + size_of_val(&list[..]),
            _ => 0,
        }
}

fn place(partition: &TopicPartition) -> usize {
    text(&partition.topic)
}

fn epoch(row: &EpochRow) -> usize {
    let partitions = sum(&row.partitions, |p| {
        let skipped: usize = p.counts.skipped.keys().map(|reason| ENTRY + text(reason)).sum();
        size_of_val(p) + place(&p.partition) + skipped
    });
    let digests: usize = row.digests.iter().map(|(name, digest)| ENTRY + text(name) + text(digest)).sum();
    let gaps = sum(&row.gaps, |gap| size_of::<Gap>() + place(&gap.partition));
    let redriven = sum(&row.redriven, |one| size_of::<RedrivenRecord>() + place(&one.partition));
    size_of::<EpochRow>() + partitions + digests + gaps + redriven
}

fn late_event(row: &LateEventRow) -> usize {
    size_of::<LateEventRow>()
        + text(&row.metric)
        + place(&row.partition)
        + texts(&row.windows)
        + texts(&row.dims)
}

fn dead_letter(row: &DeadLetterRow) -> usize {
    let bytes = row.key.len() + row.value.len() + 2 * PIECE;
    let texts = text(&row.metric) + text(&row.code) + text(&row.reason) + place(&row.partition);
    size_of::<DeadLetterRow>() + bytes + texts
}

fn promoted(row: &PromotedRow) -> usize {
    size_of::<PromotedRow>() + text(&row.metric) + text(&row.digest)
}

fn audit(row: &AuditRow) -> usize {
    size_of::<AuditRow>() + text(&row.action) + text(&row.subject) + text(&row.detail)
}
