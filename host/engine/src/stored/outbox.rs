//! Formats of the outbox.

use super::{decode_2_or_1, encode_in};
use weir_types::ports::StateError;
use weir_types::rows::Outbox;

/// The version of a stored [`Outbox`]. Version 1 had no audit, no gaps, and nothing redriven.
const FORMAT: u8 = 2;

/// Bytes of rows that wait for delivery.
pub fn encode_outbox(rows: &Outbox) -> Vec<u8> {
    encode_in(FORMAT, rows)
}

/// Rows that wait for delivery from their bytes, of this version or an older one.
pub fn decode_outbox(bytes: &[u8]) -> Result<Outbox, StateError> {
    decode_2_or_1::<_, version1::Outbox>("outbox", bytes)
}

mod version1 {
    use serde::Deserialize;
    use std::collections::BTreeMap;
    use weir_types::Micros;
    use weir_types::record::{Rekey, TopicPartition};
    use weir_types::rows::{self, DeadOutcome, EpochPartition, LateEventRow, PromotedRow, RealtimeRow};

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
                realtime: old.realtime,
                latest: old.latest,
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
