//! librdkafka's mock cluster: a broker on loopback that ordinary clients can connect to. It keeps
//! at most 5 MB and 100 000 records a partition, and nothing once it is dropped.

use crate::IngestError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaRespErr;

/// A running mock cluster of one broker. Stays on the thread that made it.
pub struct MockBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl MockBroker {
    /// Starts it with topics and their numbers of partitions.
    pub fn start(topics: &[(String, i32)]) -> Result<MockBroker, IngestError> {
        let cluster = MockCluster::new(1)
            .map_err(|e| IngestError::Broker(format!("mock cluster does not start: {e}")))?;
        let broker = MockBroker { cluster };
        for (topic, partitions) in topics {
            broker.create_topic(topic, *partitions)?;
        }
        Ok(broker)
    }

    /// `host:port` for clients.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Makes a topic.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), IngestError> {
        self.cluster.create_topic(topic, partitions, 1).map_err(|e| {
            IngestError::Broker(format!("cannot make topic {topic} of {partitions} partitions: {e}"))
        })
    }

    /// Closes the broker's connections and refuses new ones, until [`MockBroker::up`].
    pub fn down(&self) -> Result<(), IngestError> {
        self.cluster
            .broker_down(1)
            .map_err(|e| IngestError::Broker(format!("mock broker does not go down: {e}")))
    }

    pub fn up(&self) -> Result<(), IngestError> {
        self.cluster
            .broker_up(1)
            .map_err(|e| IngestError::Broker(format!("mock broker does not come up: {e}")))
    }

    /// Lets metadata requests for a topic fail as if it did not exist; false = ends that.
    pub fn hide_topic(&self, topic: &str, hidden: bool) -> Result<(), IngestError> {
        let error = if hidden {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        } else {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
        };
        self.cluster
            .topic_error(topic, error)
            .map_err(|e| IngestError::Broker(format!("cannot set the error of topic {topic}: {e}")))
    }
}
