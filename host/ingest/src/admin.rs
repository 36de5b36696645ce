//! Questions to brokers outside of the stream: for `weir check`, the demo's journal and tests.

use crate::native::{Consumer, Message, Messages, code, list_of};
use crate::{IngestError, Properties, config};
use rdkafka::Offset;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use weir_types::record::TopicPartition;

/// Offsets [low, high) that the broker holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    pub partition: TopicPartition,
    pub low: i64,
    pub high: i64,
}

/// A record with everything that a journal keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRecord {
    pub partition: TopicPartition,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

fn client(properties: &Properties) -> Result<Consumer, IngestError> {
    Consumer::new(&config::consumer(properties, "weir-admin")?)
}

/// The partitions of a topic, ascending. An error says why there are none.
pub fn partitions(
    properties: &Properties,
    topic: &str,
    timeout: Duration,
) -> Result<Vec<TopicPartition>, IngestError> {
    partitions_of(&client(properties)?, topic, timeout)
}

fn partitions_of(
    consumer: &Consumer,
    topic: &str,
    timeout: Duration,
) -> Result<Vec<TopicPartition>, IngestError> {
    let metadata =
        consumer.client().fetch_metadata(Some(topic), timeout).map_err(|e| broker(consumer, &e))?;
    let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
        return Err(IngestError::Broker(format!("kafka says nothing about topic `{topic}`")));
    };
    match found.error().map(|error| (error as i32, crate::native::describe(error))) {
        Some((code::UNKNOWN_TOPIC, _)) => Err(IngestError::Broker(format!(
            "topic `{topic}` does not exist: create it, or correct `topics` of its source"
        ))),
        Some((code::TOPIC_DENIED, _)) => Err(IngestError::Broker(format!(
            "reading topic `{topic}` is not allowed: grant READ and DESCRIBE on it"
        ))),
        Some((_, text)) => Err(IngestError::Broker(format!("topic `{topic}` is not available: {text}"))),
        None => {
            let mut ids: Vec<i32> = found.partitions().iter().map(|p| p.id()).collect();
            ids.sort_unstable();
            Ok(ids
                .into_iter()
                .map(|partition| TopicPartition { topic: topic.to_string(), partition })
                .collect())
        }
    }
}

fn broker(consumer: &Consumer, error: &KafkaError) -> IngestError {
    // The callback that knows the reason is served by polling.
    consumer.poll(&mut Messages::default(), Duration::from_millis(1));
    let (_, reason) = consumer.client().context().last_error();
    IngestError::Broker(format!(
        "kafka does not answer: {}",
        if reason.is_empty() { error.to_string() } else { reason }
    ))
}

/// What the broker holds of every partition of the topics; `high` is the last stable offset.
pub fn watermarks(
    properties: &Properties,
    topics: &[String],
    timeout: Duration,
) -> Result<Vec<PartitionRange>, IngestError> {
    watermarks_of(&client(properties)?, topics, timeout)
}

fn watermarks_of(
    consumer: &Consumer,
    topics: &[String],
    timeout: Duration,
) -> Result<Vec<PartitionRange>, IngestError> {
    let mut ranges = Vec::new();
    for topic in topics {
        for partition in partitions_of(consumer, topic, timeout)? {
            let (low, high) = consumer
                .client()
                .fetch_watermarks(topic, partition.partition, timeout)
                .map_err(|e| broker(consumer, &e))?;
            ranges.push(PartitionRange { partition, low, high });
        }
    }
    Ok(ranges)
}

/// Gives every committed record of the topics from beginning to end as of now, in order within each
/// partition, and the offsets that were there. `idle` = give up when nothing comes for so long.
pub fn read_topics(
    properties: &Properties,
    topics: &[String],
    idle: Duration,
    mut each: impl FnMut(JournalRecord) -> Result<(), IngestError>,
) -> Result<Vec<PartitionRange>, IngestError> {
    let consumer = client(properties)?;
    let ranges = watermarks_of(&consumer, topics, Duration::from_secs(10))?;
    let mut open: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    for range in &ranges {
        let TopicPartition { topic, partition } = &range.partition;
        consumer.assign(topic, *partition, Offset::Beginning).map_err(|e| {
            IngestError::Broker(format!("cannot read partition {partition} of `{topic}`: {e}"))
        })?;
        open.insert(range.partition.clone(), range.high);
    }
    let step = Duration::from_millis(100);
    let mut messages = Messages::default();
    let mut waited = Duration::ZERO;
    while !open.is_empty() {
        consumer.poll(&mut messages, step);
        waited = if messages.len() == 0 { waited + step } else { Duration::ZERO };
        if waited > idle {
            return Err(IngestError::Broker(format!("{} partitions have not come to their end", open.len())));
        }
        for message in messages.iter() {
            let name = TopicPartition { topic: message.topic().into_owned(), partition: message.partition() };
            match message.error() {
                code::NONE if open.get(&name).is_some_and(|high| message.offset() < *high) => {
                    each(journal_record(name, &message))?;
                }
                code::NONE => {}
                code::END_OF_PARTITION => {
                    if open.get(&name).is_some_and(|high| message.offset() >= *high) {
                        open.remove(&name);
                    }
                }
                _ => {
                    let text = message.error_text();
                    return Err(IngestError::Broker(format!("cannot read topic `{}`: {text}", name.topic)));
                }
            }
        }
    }
    Ok(ranges)
}

fn journal_record(partition: TopicPartition, message: &Message<'_>) -> JournalRecord {
    let mut headers = Vec::new();
    message.each_header(|name, value| {
        headers.push((String::from_utf8_lossy(name).into_owned(), value.unwrap_or_default().to_vec()));
    });
    JournalRecord {
        partition,
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.value().map(<[u8]>::to_vec),
        headers,
    }
}

/// Makes topics with their numbers of partitions, one replica each; those that are there stay.
pub fn create_topics(
    properties: &Properties,
    topics: &[(String, i32)],
    timeout: Duration,
) -> Result<(), IngestError> {
    let admin: AdminClient<DefaultClientContext> =
        config::with_defaults(properties, &[]).create().map_err(config::client_error)?;
    let new: Vec<_> =
        topics.iter().map(|(name, count)| NewTopic::new(name, *count, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let results = wait_for(admin.create_topics(&new, &options))
        .map_err(|e| IngestError::Broker(format!("cannot create topics: {e}")))?;
    for result in results {
        match result {
            Ok(_) | Err((_, rdkafka::types::RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, error)) => {
                return Err(IngestError::Broker(format!("cannot create topic `{topic}`: {error}")));
            }
        }
    }
    Ok(())
}

/// Deletes the records of a partition below an offset, as retention would.
pub fn delete_records(
    properties: &Properties,
    topic: &str,
    partition: i32,
    below: i64,
    timeout: Duration,
) -> Result<(), IngestError> {
    let admin: AdminClient<DefaultClientContext> =
        config::with_defaults(properties, &[]).create().map_err(config::client_error)?;
    let failed =
        |reason: String| IngestError::Broker(format!("cannot delete records of `{topic}`: {reason}"));
    let list = list_of(&[(topic, partition, Offset::Offset(below))]).map_err(failed)?;
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    wait_for(admin.delete_records(&list, &options)).map(drop).map_err(|e| failed(e.to_string()))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs one future on this thread; what it waits for happens on librdkafka's threads.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
