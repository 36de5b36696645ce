//! The real services alone: MariaDB, Debezium and Kafka start, pass a change on, and survive a kill.

use std::time::Duration;
use weir_e2e::connect::Connect;
use weir_e2e::kafka::Kafka;
use weir_e2e::mariadb::MariaDb;
use weir_e2e::{paths, wait};

const LIMIT: Duration = Duration::from_secs(60);

/// Whether Kafka's data folder holds this text in some segment of the topic.
fn kafka_holds(data: &std::path::Path, topic: &str, text: &str) -> Result<Option<()>, String> {
    let holds = (0..4).any(|partition| {
        let segment = data.join(format!("{topic}-{partition}/00000000000000000000.log"));
        let bytes = std::fs::read(segment).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    });
    Ok(holds.then_some(()))
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_row_written_to_mariadb_reaches_kafka_through_debezium_before_and_after_a_kill() -> anyhow::Result<()> {
    let dir = paths::run_dir(&std::env::temp_dir(), "weir-services")?;
    let (kafka_tool, connect_tool) = (paths::from_env(paths::KAFKA)?, paths::from_env(paths::CONNECT)?);
    let mut kafka = Kafka::started(&kafka_tool, &dir)?;
    let mariadb = MariaDb::start(&dir)?;
    mariadb.run("CREATE DATABASE service; CREATE TABLE service.pet (id INT PRIMARY KEY, name TEXT);")?;
    let mut connect = Connect::start(&connect_tool, &dir, &kafka, &mariadb, "service")?;
    mariadb.run("INSERT INTO service.pet VALUES (1, 'first-of-all')")?;
    let data = dir.join("kafka/data");
    wait::until("the first row in Kafka", LIMIT, || kafka_holds(&data, "svc.service.pet", "first-of-all"))?;
    connect.kill();
    mariadb.run("INSERT INTO service.pet VALUES (2, 'while-it-was-dead')")?;
    connect.launch()?;
    connect.wait_running()?;
    wait::until("the second row in Kafka", LIMIT, || {
        kafka_holds(&data, "svc.service.pet", "while-it-was-dead")
    })?;
    kafka.kill();
    kafka.start()?;
    mariadb.run("INSERT INTO service.pet VALUES (3, 'after-kafka-came-back')")?;
    wait::until("the third row in Kafka", LIMIT, || {
        kafka_holds(&data, "svc.service.pet", "after-kafka-came-back")
    })?;
    connect.stop()?;
    kafka.stop()?;
    drop(mariadb);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
