//! Kafka, and the only user of rdkafka: a reader that implements the port of `weir-types`, and
//! what demo and tests need beside it (producer, mock cluster, reading whole topics).

mod admin;
mod broker;
mod config;
mod fetch;
mod mock;
mod native;
mod producer;
mod reader;
mod scout;

pub use admin::{
    JournalRecord, PartitionRange, create_topics, delete_records, partitions, read_topics, watermarks,
};
pub use broker::KafkaBroker;
pub use mock::MockBroker;
pub use producer::{Delivered, Producer};

use std::collections::BTreeMap;

/// Properties of librdkafka by name, as in its CONFIGURATION.md.
pub type Properties = BTreeMap<String, String>;

/// Why something did not work, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A property is wrong.
    #[error("{0}")]
    Config(String),
    /// The brokers did not do what was asked.
    #[error("{0}")]
    Broker(String),
}
