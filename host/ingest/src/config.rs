//! Properties given by the operator, ours beside them, and librdkafka's log lines.

use crate::{IngestError, Properties};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// What a reader rests on, so that nobody may change it.
const FIXED: &[(&str, &str)] = &[
    // Offsets stand in the epochs; the group's are shown to lag monitors only.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // A gap must stop the source, not be jumped over.
    ("auto.offset.reset", "error"),
    // Records of aborted transactions never count.
    ("isolation.level", "read_committed"),
    // Without it nobody knows whether a partition is caught up.
    ("enable.partition.eof", "true"),
    // Asking for a topic that is missing must not make it.
    ("allow.auto.create.topics", "false"),
];

/// Good for a reader of many small records; the operator may set others.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "weir"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.min.bytes", "1"),
    ("max.partition.fetch.bytes", "4194304"),
    ("fetch.max.bytes", "67108864"),
    ("receive.message.max.bytes", "134217728"),
    ("queued.max.messages.kbytes", "65536"),
    // The default of 1 s would starve a reader that is faster than its queue is long.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.error.backoff.ms", "200"),
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.keepalive.enable", "true"),
];

/// librdkafka's other names for what we set.
fn canonical(name: &str) -> &str {
    match name {
        "auto.commit.enable" => "enable.auto.commit",
        "fetch.message.max.bytes" => "max.partition.fetch.bytes",
        "metadata.broker.list" => "bootstrap.servers",
        other => other,
    }
}

/// The configuration of a reader: the operator's properties over our defaults.
pub fn consumer(properties: &Properties, default_group: &str) -> Result<ClientConfig, IngestError> {
    let mut given = Properties::new();
    for (name, value) in properties {
        let name = canonical(name);
        if let Some((_, ours)) = FIXED.iter().find(|(fixed, _)| *fixed == name)
            && *ours != value
        {
            return Err(IngestError::Config(format!(
                "kafka property `{name}` must be `{ours}`, because exactly-once rests on it: remove it"
            )));
        }
        given.insert(name.to_string(), value.clone());
    }
    if given.get("bootstrap.servers").is_none_or(|servers| servers.trim().is_empty()) {
        return Err(IngestError::Config(
            "kafka property `bootstrap.servers` is missing: name at least one broker as host:port".into(),
        ));
    }
    let mut config = with_defaults(&given, DEFAULTS);
    if config.get("group.id").is_none() {
        config.set("group.id", default_group);
    }
    for (name, value) in FIXED {
        config.set(*name, *value);
    }
    Ok(config)
}

/// The given properties, and defaults for those that are not given.
pub fn with_defaults(properties: &Properties, defaults: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in defaults {
        config.set(*name, *value);
    }
    for (name, value) in properties {
        config.set(canonical(name), value);
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

/// Says which property librdkafka does not like, never its value: it may be a secret.
pub fn client_error(error: KafkaError) -> IngestError {
    match error {
        KafkaError::ClientConfig(_, reason, name, value) => {
            let reason = if value.is_empty() { reason } else { reason.replace(&value, "…") };
            IngestError::Config(format!("kafka property `{name}` is refused: {reason}"))
        }
        KafkaError::ClientCreation(reason) => {
            IngestError::Config(format!("kafka properties do not fit together: {reason}"))
        }
        other => IngestError::Config(format!("kafka client cannot be made: {other}")),
    }
}

/// librdkafka's lines go to the log one level lower than it thinks: what matters is said by the
/// reader in one sentence.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
        _ => tracing::trace!(target: "librdkafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn a_property_that_exactly_once_rests_on_cannot_be_changed() {
        for name in ["auto.offset.reset", "enable.auto.commit", "auto.commit.enable", "isolation.level"] {
            let given = properties(&[("bootstrap.servers", "127.0.0.1:1"), (name, "latest")]);
            let error = consumer(&given, "weir-0").expect_err("refused").to_string();
            assert!(error.contains(canonical(name)), "{error}");
        }
    }

    #[test]
    fn any_other_property_passes_through_and_wins_over_our_default() {
        let given = properties(&[
            ("metadata.broker.list", "127.0.0.1:1"),
            ("fetch.message.max.bytes", "1000"),
            ("sasl.username", "weir"),
            ("isolation.level", "read_committed"),
        ]);
        let config = consumer(&given, "weir-0").expect("accepted");
        assert_eq!(config.get("max.partition.fetch.bytes"), Some("1000"));
        assert_eq!(config.get("sasl.username"), Some("weir"));
        assert_eq!(config.get("bootstrap.servers"), Some("127.0.0.1:1"));
        assert_eq!(config.get("group.id"), Some("weir-0"));
    }

    #[test]
    fn a_refused_property_is_named_without_its_value() {
        let given = properties(&[("bootstrap.servers", "127.0.0.1:1"), ("sasl.passwort", "hunter2")]);
        let config = consumer(&given, "weir-0").expect("not looked at yet");
        let error = client_error(config.create_native_config().err().expect("refused")).to_string();
        assert!(error.contains("sasl.passwort") && !error.contains("hunter2"), "{error}");
    }
}
