//! Formats of the outbox.

mod series;
mod version2;

use super::{append, body_of, read};
use serde::{Deserialize, Serialize};
use series::{Read, Written};
use std::borrow::Cow;
use weir_types::ports::StateError;
use weir_types::rows::{AuditRow, DeadLetterRow, EpochRow, LateEventRow, Outbox, PromotedRow};

/// The version of a stored [`Outbox`]. Version 2 was the outbox as it is, version 1 had no audit, no gaps, and
/// nothing redriven.
const FORMAT: u8 = 3;

/// `R`: [`Written`] or [`Read`].
#[derive(Serialize, Deserialize)]
struct Stored<'a, R> {
    realtime: R,
    latest: R,
    epochs: Cow<'a, [EpochRow]>,
    late_events: Cow<'a, [LateEventRow]>,
    dead_letters: Cow<'a, [DeadLetterRow]>,
    promoted: Cow<'a, [PromotedRow]>,
    audit: Cow<'a, [AuditRow]>,
}

/// Bytes of rows that wait for delivery.
pub fn encode_outbox(rows: &Outbox) -> Vec<u8> {
    let stored = Stored {
        realtime: Written::of(&rows.realtime),
        latest: Written::of(&rows.latest),
        epochs: Cow::Borrowed(&rows.epochs),
        late_events: Cow::Borrowed(&rows.late_events),
        dead_letters: Cow::Borrowed(&rows.dead_letters),
        promoted: Cow::Borrowed(&rows.promoted),
        audit: Cow::Borrowed(&rows.audit),
    };
    // One that grows is copied, and its new pages are cleared, again and again.
    let mut bytes = Vec::with_capacity(64 + rows.len() * 64);
    bytes.push(FORMAT);
    append(&mut bytes, &stored);
    bytes
}

/// Rows that wait for delivery from their bytes, of this version or an older one.
pub fn decode_outbox(bytes: &[u8]) -> Result<Outbox, StateError> {
    match body_of(WHAT, bytes, FORMAT)? {
        (1, body) => read::<version1::Outbox>(WHAT, body).map(Outbox::from),
        (2, body) => read::<version2::Outbox>(WHAT, body).map(Outbox::from),
        (_, body) => {
            let stored: Stored<'_, Read> = read(WHAT, body)?;
            let broken = || StateError::Corrupt(format!("the stored {WHAT} has a row without its head"));
            Ok(Outbox {
                realtime: stored.realtime.into_rows().ok_or_else(broken)?,
                latest: stored.latest.into_rows().ok_or_else(broken)?,
                epochs: stored.epochs.into_owned(),
                late_events: stored.late_events.into_owned(),
                dead_letters: stored.dead_letters.into_owned(),
                promoted: stored.promoted.into_owned(),
                audit: stored.audit.into_owned(),
            })
        }
    }
}

const WHAT: &str = "outbox";

mod version1 {
    use super::version2::{RealtimeRow, rows_of};
    use serde::Deserialize;
    use std::collections::BTreeMap;
    use weir_types::Micros;
    use weir_types::record::{Rekey, TopicPartition};
    use weir_types::rows::{self, DeadOutcome, EpochPartition, LateEventRow, PromotedRow};

    #[derive(Deserialize)]
    pub struct Outbox {
        realtime: Vec<RealtimeRow>,
        latest: Vec<RealtimeRow>,
        epochs: Vec<EpochRow>,
        late_events: Vec<LateEventRow>,
        dead_letters: Vec<DeadLetterRow>,
        promoted: Vec<PromotedRow>,
    }

    #[derive(Deserialize)]
    struct EpochRow {
        epoch: u64,
        clock: Micros,
        partitions: Vec<EpochPartition>,
        digests: BTreeMap<String, String>,
    }

    #[derive(Deserialize)]
    struct DeadLetterRow {
        partition: TopicPartition,
        offset: i64,
        metric: String,
        code: String,
        reason: String,
        key: Vec<u8>,
        value: Vec<u8>,
        whole: bool,
        clock: Micros,
        epoch: u64,
    }

    impl From<Outbox> for rows::Outbox {
        fn from(old: Outbox) -> rows::Outbox {
            rows::Outbox {
                realtime: rows_of(old.realtime),
                latest: rows_of(old.latest),
                epochs: old.epochs.into_iter().map(EpochRow::into_row).collect(),
                late_events: old.late_events,
                dead_letters: old.dead_letters.into_iter().map(DeadLetterRow::into_row).collect(),
                promoted: old.promoted,
                audit: Vec::new(),
            }
        }
    }

    impl EpochRow {
        fn into_row(self) -> rows::EpochRow {
            let EpochRow { epoch, clock, partitions, digests } = self;
            rows::EpochRow { epoch, clock, partitions, digests, gaps: Vec::new(), redriven: Vec::new() }
        }
    }

    impl DeadLetterRow {
        fn into_row(self) -> rows::DeadLetterRow {
            rows::DeadLetterRow {
                partition: self.partition,
                offset: self.offset,
                metric: self.metric,
                code: self.code,
                reason: self.reason,
                key: self.key,
                value: self.value,
                whole: self.whole,
                rekey: Rekey::None,
                outcome: DeadOutcome::Dead,
                clock: self.clock,
                epoch: self.epoch,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_types::rows::{OutputValue, RealtimeRow, Series};

    fn value() -> impl Strategy<Value = OutputValue> {
        prop_oneof![
            Just(OutputValue::Null),
            any::<i64>().prop_map(OutputValue::Int),
            ".{0,5}".prop_map(OutputValue::Text),
            prop::collection::vec(any::<i64>(), 0..3).prop_map(OutputValue::Ints),
        ]
    }

    /// Few heads, so that rows share them and differ in one thing only.
    fn row() -> impl Strategy<Value = RealtimeRow> {
        let head = (0i64..2, 0u8..2, 0u8..2, 0u64..2, 0u8..2);
        let rest = (any::<i64>(), any::<i64>(), any::<[bool; 3]>(), any::<u64>(), any::<i32>());
        (head, rest, prop::collection::vec(value(), 0..3), prop::collection::vec(".{0,4}", 0..3)).prop_map(
            |((incarnation, window, set, epoch, name), (start, end, flags, samples, day), values, dims)| {
                let series = Series {
                    metric: "m".into(),
                    incarnation,
                    window: format!("{window}h").into(),
                    dimension_set: format!("set{set}").into(),
                    digest: format!("d{epoch}").into(),
                    outputs: (0..values.len()).map(|at| format!("o{name}{at}").into()).collect(),
                };
                RealtimeRow {
                    series: series.into(),
                    dims: dims.into(),
                    day,
                    start,
                    end,
                    values: values.into(),
                    is_final: flags[0],
                    complete: flags[1],
                    watermark: start / 2,
                    epoch,
                    epoch_first: samples / 3,
                    samples,
                    late: samples / 2,
                    deleted: flags[2],
                }
            },
        )
    }

    proptest! {
        #[test]
        fn an_outbox_is_read_as_it_was_stored_in_this_format_and_in_the_one_before(
            realtime in prop::collection::vec(row(), 0..20), latest in prop::collection::vec(row(), 0..5),
        ) {
            let outbox = Outbox { realtime, latest, ..Outbox::default() };
            prop_assert_eq!(&decode_outbox(&encode_outbox(&outbox)).expect("readable"), &outbox);
            let before = super::super::encode_in(2, &version2::Outbox::of(&outbox));
            prop_assert_eq!(&decode_outbox(&before).expect("readable"), &outbox);
        }

        #[test]
        fn bytes_that_are_no_outbox_never_end_in_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut stored = vec![FORMAT];
            stored.extend(bytes);
            let _ = decode_outbox(&stored);
        }
    }

    #[test]
    fn a_row_of_a_head_that_is_not_there_is_told_as_corrupt() {
        // One row and no head: the row's numbers are all 0.
        let bytes = [&[FORMAT, 0, 1][..], &[0; 24]].concat();
        let error = decode_outbox(&bytes).expect_err("there is no head").to_string();
        assert!(error.contains("without its head"), "{error}");
    }
}
