//! A producer with delivery reports, for the generator and for tests.

use crate::{IngestError, Properties, config};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Statistics};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// As given to [`Producer::send`].
    pub token: u64,
    pub topic: String,
    pub partition: i32,
    /// The record's offset; None if it was not stored.
    pub offset: Option<i64>,
    /// Why it was not stored.
    pub error: Option<String>,
}

#[derive(Default)]
struct Reports(Mutex<Vec<Delivered>>);

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        config::log(level, facility, message);
    }
    fn stats(&self, _: Statistics) {}
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, "kafka producer: {reason}");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, token: usize) {
        let (message, error) = match result {
            Ok(message) => (message, None),
            Err((error, message)) => (message, Some(error.to_string())),
        };
        let report = Delivered {
            token: token as u64,
            topic: message.topic().to_string(),
            partition: message.partition(),
            offset: error.is_none().then(|| message.offset()),
            error,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }
}

/// Sends records, idempotently and in order unless the properties say otherwise.
pub struct Producer {
    inner: BaseProducer<Reports>,
}

impl Producer {
    /// Connects lazily: a broker that is away shows in the delivery reports.
    pub fn new(properties: &Properties) -> Result<Producer, IngestError> {
        let defaults = [
            ("enable.idempotence", "true"),
            ("linger.ms", "5"),
            ("message.max.bytes", "33554432"),
            ("reconnect.backoff.max.ms", "1000"),
        ];
        let config = config::with_defaults(properties, &defaults);
        let inner = config.create_with_context(Reports::default()).map_err(config::client_error)?;
        Ok(Producer { inner })
    }

    /// Hands a record over to be sent; blocks while the queue is full. `partition` None = by the
    /// hash of the key. `token` comes back in the delivery report.
    pub fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
        token: u64,
    ) -> Result<(), IngestError> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, token as usize);
        record.partition = partition;
        record.key = key;
        record.payload = value;
        if !headers.is_empty() {
            let new = OwnedHeaders::new_with_capacity(headers.len());
            record.headers = Some(
                headers.iter().fold(new, |all, (key, value)| all.insert(Header { key, value: Some(*value) })),
            );
        }
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.inner.poll(Duration::from_millis(10));
                }
                Err((error, _)) => {
                    return Err(IngestError::Broker(format!("cannot send to topic {topic}: {error}")));
                }
            }
        }
    }

    /// Delivery reports since the last call; waits for none.
    pub fn poll(&self) -> Vec<Delivered> {
        let reports = || self.inner.context().0.lock().unwrap_or_else(PoisonError::into_inner);
        // One call serves the reports of one request only: whoever polls now and then would fall behind.
        loop {
            let before = reports().len();
            self.inner.poll(Duration::ZERO);
            if reports().len() == before {
                return std::mem::take(&mut *reports());
            }
        }
    }

    /// Records that are not yet reported.
    pub fn in_flight(&self) -> usize {
        self.inner.in_flight_count().max(0) as usize
    }

    /// Waits until every record is reported; the reports are then given by [`Producer::poll`].
    pub fn flush(&self, timeout: Duration) -> Result<(), IngestError> {
        self.inner.flush(timeout).map_err(|error| {
            IngestError::Broker(format!("{} records are not delivered: {error}", self.in_flight()))
        })
    }
}
