//! What became of a record.

/// Outcome of decoding one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Rows were appended to the batch of that source.
    Applied { source: usize, rows: u32 },
    /// A record that carries no row of a declared table, as expected.
    Skipped(SkipReason),
    /// A record that could not be read; the batches are as they were.
    Dead(DeadReason),
}

/// Why a record was passed over without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// No value, or the value `null`: it only tells log compaction to forget the key.
    Tombstone,
    /// A change of a table's definition.
    Ddl,
    /// Begin or end of a transaction.
    Mark,
    /// A sign of life of the connector.
    Heartbeat,
    /// A change of a table that no source on this topic declares.
    UnknownTable,
}

impl SkipReason {
    /// The stable name under which it is counted.
    pub fn name(self) -> &'static str {
        match self {
            SkipReason::Tombstone => "tombstone",
            SkipReason::Ddl => "ddl",
            SkipReason::Mark => "mark",
            SkipReason::Heartbeat => "heartbeat",
            SkipReason::UnknownTable => "unknown_table",
        }
    }
}

/// Why a record is a dead letter. `Display` is one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeadReason {
    #[error("the value is not JSON: {0}")]
    NotJson(String),
    #[error("the value is JSON but no record of the source's format: {0}")]
    WrongShape(String),
    #[error("the record's key cannot be used: {0}")]
    Key(String),
    #[error(
        "the value carries a schema registry header (schema {0}), so it is Avro or Protobuf; \
         only JSON is read here: set the connector's value.converter to org.apache.kafka.connect.json.JsonConverter"
    )]
    RegistryFramed(u32),
}

impl DeadReason {
    /// The stable word that stands in `dead_letters.code`.
    pub fn code(&self) -> &'static str {
        match self {
            DeadReason::NotJson(_) => "not-json",
            DeadReason::WrongShape(_) => "wrong-shape",
            DeadReason::Key(_) => "key",
            DeadReason::RegistryFramed(_) => "registry-framed",
        }
    }
}
