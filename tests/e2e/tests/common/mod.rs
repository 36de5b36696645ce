//! A small world for one test: broker, ClickHouse engine and host, and records written by hand.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "real processes live in real time")]

pub mod load;

use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use weir_e2e::broker::Broker;
use weir_e2e::clickhouse::ClickHouse;
use weir_e2e::host::{Config, Host};
use weir_e2e::paths::{self, Bins};
use weir_e2e::tables::{TABLES, TOPICS};
use weir_e2e::{net, wait};
use weir_ingest::{Producer, Properties};

pub const TICKET: &str = "svc.service.ticket";
pub const CALL: &str = "svc.service.call_record";
pub const LIMIT: Duration = Duration::from_secs(60);

/// A folder that is removed when the test went well.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Result<Dir> {
        Ok(Dir(paths::run_dir(&std::env::temp_dir(), &format!("weir-{name}"))?))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("logs: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Fields are dropped in order: the host before what it needs.
pub struct World {
    pub host: Host,
    pub broker: Broker,
    pub clickhouse: ClickHouse,
    pub bins: Bins,
    pub config: Config,
    pub dir: Dir,
}

impl World {
    /// Everything but the host is started. `prepare` may change the configuration.
    pub fn new(name: &str, prepare: impl FnOnce(&mut Config) -> Result<()>) -> Result<World> {
        let dir = Dir::new(name)?;
        let bins = paths::bins_from_env()?;
        let clickhouse = ClickHouse::started(&bins, &paths::from_env(paths::CHDB_LIB)?, &dir.0)?;
        let broker = Broker::start(&bins, &dir.0, &TOPICS.map(|topic| (topic, 4)))?;
        let mut config = configuration(&broker.bootstrap)?;
        config.clickhouse(&clickhouse.server());
        prepare(&mut config)?;
        let host = Host::new(&bins, &dir.0, net::free_port()?, &config)?;
        Ok(World { host, broker, clickhouse, bins, config, dir })
    }

    pub fn started(name: &str) -> Result<World> {
        let mut world = World::new(name, |_| Ok(()))?;
        world.host.start()?;
        Ok(world)
    }

    pub fn producer(&self) -> Result<Producer> {
        producer(&self.broker.bootstrap)
    }

    /// Waits until the host has read `records` in all, and ClickHouse has acknowledged everything.
    pub fn wait_read(&self, records: i64) -> Result<()> {
        self.host.wait_read(records, LIMIT)
    }
}

/// The example's configuration with the metrics of tickets, rows emitted at once and partitions idle
/// after two seconds.
pub fn configuration(bootstrap: &str) -> Result<Config> {
    let mut config = Config::example()?;
    config.kafka("bootstrap.servers", bootstrap);
    config.plugin(&component("ticket.wasm")?);
    for window in ["1m", "15m", "1h", "day"] {
        config.set("emit_every", window, "0s");
    }
    for source in TABLES {
        config.source(source)?.insert("idle_after".into(), "2s".into());
    }
    Ok(config)
}

pub fn component(name: &str) -> Result<PathBuf> {
    Ok(paths::from_env(paths::COMPONENTS)?.join(name))
}

pub fn producer(bootstrap: &str) -> Result<Producer> {
    let mut properties = Properties::new();
    properties.insert("bootstrap.servers".into(), bootstrap.into());
    Producer::new(&properties).context("producer")
}

/// Sends a record and waits until it is stored.
pub fn send(producer: &Producer, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<()> {
    producer.send(topic, Some(0), key, value, &[], 0)?;
    producer.flush(LIMIT)?;
    for report in producer.poll() {
        if let Some(error) = report.error {
            anyhow::bail!("the broker did not take a record: {error}");
        }
    }
    Ok(())
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// A new ticket as Debezium writes it.
pub fn insert(id: i64) -> String {
    insert_with(id, &ticket(id))
}

/// An insert with this after image.
pub fn insert_with(id: i64, after: &str) -> String {
    static POSITION: AtomicI64 = AtomicI64::new(4);
    let position = POSITION.fetch_add(100, Ordering::Relaxed);
    let now = now_ms();
    format!(
        r#"{{"before":null,"after":{after},"source":{{"version":"3.5.0.Final","connector":"mariadb","name":"svc","ts_ms":{now},"snapshot":"false","db":"service","sequence":null,"table":"ticket","server_id":1,"gtid":"0-1-{id}","file":"binlog.000001","pos":{position},"row":0,"thread":1,"query":null}},"op":"c","ts_ms":{now},"transaction":null}}"#
    )
}

/// The row of a ticket that was created this moment.
pub fn ticket(id: i64) -> String {
    let now = now_ms();
    format!(
        r#"{{"id":{id},"queue_id":101,"channel":"web","priority":2,"customer_id":7,"assignee_id":null,"status":"new","created_at":{now},"assigned_at":null,"first_reply_at":null,"solved_at":null,"closed_at":null,"reopen_count":0,"reply_count":0,"escalated":0,"first_reply_due_at":null,"resolve_due_at":null,"updated_at":{now}}}"#
    )
}

pub fn key(id: i64) -> String {
    format!(r#"{{"id":{id}}}"#)
}

/// Sends inserts of tickets `ids`.
pub fn send_tickets(producer: &Producer, ids: std::ops::Range<i64>) -> Result<()> {
    for id in ids {
        send(producer, TICKET, Some(key(id).as_bytes()), Some(insert(id).as_bytes()))?;
    }
    Ok(())
}

/// Waits until `sql` gives `wanted`: an epoch's tables are inserted one after the other, so that what one
/// of them shows says nothing of the next.
pub fn wait_number(clickhouse: &ClickHouse, what: &str, sql: &str, wanted: i64) -> Result<()> {
    wait::until(&format!("{wanted} {what}, in ClickHouse"), LIMIT, || {
        let found = clickhouse.server().number(sql).map_err(|e| format!("{e:#}"))?;
        if found == wanted { Ok(Some(())) } else { Err(format!("there are {found}")) }
    })
}

/// All tickets ever counted as created, by the day windows of the grand total.
const CREATED: &str = "SELECT toInt64(sum(ints['count'])) FROM weir.metric_realtime FINAL \
    WHERE metric = 'ticket.created' AND window = 'day' AND dimension_set = ''";

pub fn created(clickhouse: &ClickHouse) -> Result<i64> {
    clickhouse.server().number(CREATED)
}

/// Waits until so many tickets are counted as created.
pub fn wait_created(clickhouse: &ClickHouse, tickets: i64) -> Result<()> {
    wait_number(clickhouse, "tickets created", CREATED, tickets)
}

/// Waits until so many records are dead letters.
pub fn wait_dead(clickhouse: &ClickHouse, records: i64) -> Result<()> {
    let count = "SELECT toInt64(countIf(outcome = 'dead')) FROM weir.dead_letters FINAL";
    wait_number(clickhouse, "dead letters", count, records)
}
