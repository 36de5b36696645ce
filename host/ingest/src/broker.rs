//! The broker port of `weir-types` over Kafka.

use crate::native::{Consumer, list_of};
use crate::reader::{Order, Reader};
use crate::scout::Scout;
use crate::{IngestError, Properties, config};
use rdkafka::{ClientConfig, Offset};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use weir_types::ports::{Broker, Monotonic, ReaderHandle, Seek, StartAt};
use weir_types::record::{OwnedRecord, SourceEvent, TopicPartition};

/// Kafka brokers, as a source of records.
pub struct KafkaBroker {
    config: ClientConfig,
    monotonic: Option<Monotonic>,
}

impl KafkaBroker {
    /// `properties`: any of librdkafka's. Offsets are shown to lag monitors under `group.id`, or
    /// under `weir-<shard>` if none is given. Connects to nothing yet.
    pub fn new(properties: Properties, shard: &str) -> Result<KafkaBroker, IngestError> {
        let config = config::consumer(&properties, &format!("weir-{shard}"))?;
        config.create_native_config().map_err(config::client_error)?;
        Ok(KafkaBroker { config, monotonic: None })
    }

    /// Batches tell when they were read, by this clock.
    pub fn with_monotonic(self, monotonic: Monotonic) -> KafkaBroker {
        KafkaBroker { monotonic: Some(monotonic), ..self }
    }
}

impl Broker for KafkaBroker {
    fn read(
        &self,
        topics: &[String],
        start: &BTreeMap<TopicPartition, StartAt>,
        events: SyncSender<SourceEvent>,
    ) -> Result<Box<dyn ReaderHandle>, String> {
        let consumer = Arc::new(Consumer::new(&self.config).map_err(|e| e.to_string())?);
        let (findings, found) = channel();
        // One call is enough: a second one while the first waits would tell nothing new.
        let (wake, woken) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let scout = Scout {
            consumer: Arc::clone(&consumer),
            servers: self.config.get("bootstrap.servers").unwrap_or_default().to_string(),
            topics: topics.to_vec(),
            start: start.clone(),
            findings,
            wake: woken,
        };
        let (orders, ordered) = channel();
        let (consumer_, stop_, monotonic) =
            (Arc::clone(&consumer), Arc::clone(&stop), self.monotonic.clone());
        let reader = Reader::new(consumer_, events, found, ordered, wake, stop_, monotonic);
        let thread = std::thread::Builder::new()
            .name("kafka-reader".into())
            .spawn(move || {
                let scout = std::thread::Builder::new().name("kafka-scout".into()).spawn(move || scout.run());
                match scout {
                    Ok(scout) => {
                        reader.run();
                        let _panicked = scout.join();
                    }
                    Err(error) => tracing::error!(%error, "the thread kafka-scout does not start"),
                }
            })
            .map_err(|error| format!("the thread kafka-reader does not start: {error}"))?;
        Ok(Box::new(Handle { consumer, orders, stop, thread: Some(thread) }))
    }

    fn fetch(&self, places: &[(TopicPartition, i64)]) -> Result<Vec<Option<OwnedRecord>>, String> {
        crate::fetch::fetch(&self.config, places)
    }
}

struct Handle {
    consumer: Arc<Consumer>,
    orders: Sender<Order>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread kafka-reader panicked");
        }
    }
}

impl ReaderHandle for Handle {
    fn committed(&self, next: &[(TopicPartition, i64)]) {
        let offsets: Vec<_> =
            next.iter().map(|(tp, next)| (tp.topic.as_str(), tp.partition, Offset::Offset(*next))).collect();
        match list_of(&offsets) {
            Ok(list) if !offsets.is_empty() => self.consumer.commit(&list),
            Ok(_) => {}
            Err(error) => tracing::debug!(error, "offsets for lag monitors are not committed"),
        }
    }

    fn hold(&self, partitions: &[TopicPartition]) {
        // A reader that has ended reads nothing anyway; the same below.
        let _ended = self.orders.send(Order::Hold(partitions.to_vec()));
    }

    fn seek(&self, to: &[(TopicPartition, Seek)]) {
        let _ended = self.orders.send(Order::Seek(to.to_vec()));
    }

    fn stop(mut self: Box<Self>) {
        self.end();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
