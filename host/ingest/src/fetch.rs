//! Single records by their coordinates.

use crate::native::{Consumer, Messages, code};
use rdkafka::{ClientConfig, Offset};
use std::time::Duration;
use weir_types::record::{OwnedRecord, TopicPartition};

/// Longest wait in one call.
const STEP: Duration = Duration::from_millis(100);
/// Calls without a message of the partition after which the broker counts as away.
const SILENT_STEPS: u32 = 100;

/// Reads the records at these places, in their order; None where the broker no longer holds one, or
/// never showed it (a transaction's marker, an aborted record).
pub fn fetch(
    config: &ClientConfig,
    places: &[(TopicPartition, i64)],
) -> Result<Vec<Option<OwnedRecord>>, String> {
    let consumer = Consumer::new(config).map_err(|e| e.to_string())?;
    let mut messages = Messages::default();
    let mut assigned: Vec<&TopicPartition> = Vec::new();
    let mut found = Vec::with_capacity(places.len());
    for (at, offset) in places {
        let begin = Offset::Offset(*offset);
        match assigned.contains(&at) {
            true => consumer.reassign(&at.topic, at.partition, begin)?,
            false => consumer.assign(&at.topic, at.partition, begin)?,
        }
        if !assigned.contains(&at) {
            assigned.push(at);
        }
        found.push(one(&consumer, &mut messages, at, *offset)?);
        consumer.pause(&crate::native::list_of(&[(at.topic.as_str(), at.partition, Offset::Invalid)])?);
    }
    Ok(found)
}

fn one(
    consumer: &Consumer,
    messages: &mut Messages,
    at: &TopicPartition,
    offset: i64,
) -> Result<Option<OwnedRecord>, String> {
    for _ in 0..SILENT_STEPS {
        consumer.poll(messages, STEP);
        let ours = messages.iter().filter(|m| m.partition() == at.partition && m.topic() == at.topic);
        for message in ours {
            match message.error() {
                code::NONE if message.offset() == offset => return Ok(Some(message.record(0).into())),
                code::NONE if message.offset() < offset => {}
                // Beyond it, at the end, deleted, or the topic is gone.
                code::NONE
                | code::END_OF_PARTITION
                | code::OFFSET_RESET
                | code::OFFSET_OUT_OF_RANGE
                | code::UNKNOWN_TOPIC
                | code::UNKNOWN_PARTITION => return Ok(None),
                _ => return Err(format!("topic `{}` cannot be read: {}", at.topic, message.error_text())),
            }
        }
    }
    let (_, reason) = consumer.client().context().last_error();
    Err(format!("kafka does not give the record at offset {offset} of topic `{}`: {reason}", at.topic))
}
