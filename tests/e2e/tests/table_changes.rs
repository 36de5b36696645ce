//! ALTER TABLE over real MariaDB, Debezium and Kafka: the host is never restarted for it, and every number
//! ends up as SQL over the table says.

mod common;

use anyhow::{Context, Result, bail};
use common::Dir;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use weir_e2e::clickhouse::ClickHouse;
use weir_e2e::connect::Connect;
use weir_e2e::host::Host;
use weir_e2e::kafka::Kafka;
use weir_e2e::mariadb::MariaDb;
use weir_e2e::{net, paths, wait};

const LIMIT: Duration = Duration::from_secs(120);

/// How the column `priority` is.
#[derive(Clone, Copy)]
enum Priority {
    Number,
    Word,
    Gone,
}

/// Fields are dropped in order: readers before what they read.
struct Service {
    host: Host,
    clickhouse: ClickHouse,
    connect: Connect,
    kafka: Kafka,
    mariadb: MariaDb,
    /// Tickets inserted so far.
    tickets: i64,
    dir: Dir,
}

impl Service {
    fn start() -> Result<Service> {
        let dir = Dir::new("table-changes")?;
        let bins = paths::bins_from_env()?;
        let clickhouse = ClickHouse::started(&bins, &paths::from_env(paths::CHDB_LIB)?, &dir.0)?;
        let kafka = Kafka::started(&paths::from_env(paths::KAFKA)?, &dir.0)?;
        let mariadb = MariaDb::start(&dir.0)?;
        mariadb.run(
            "CREATE DATABASE service; CREATE TABLE service.ticket (
               id INT PRIMARY KEY, queue_id INT NOT NULL, channel VARCHAR(10) NOT NULL, priority INT NOT NULL,
               assignee_id INT, status VARCHAR(10) NOT NULL, created_at DATETIME(3) NOT NULL,
               first_reply_at DATETIME(3), updated_at DATETIME(3) NOT NULL);
             CREATE TABLE service.call_record (id INT PRIMARY KEY, queue_id INT, updated_at DATETIME(3) NOT NULL);
             INSERT INTO service.call_record VALUES (1, 100, NOW(3));",
        )?;
        let connect = Connect::start(&paths::from_env(paths::CONNECT)?, &dir.0, &kafka, &mariadb, "service")?;
        let mut config = common::configuration(&kafka.bootstrap())?;
        config.keep_sources(&["ticket", "call_record"]);
        config.clickhouse(&clickhouse.server()).set("epoch", "suspend_after_rows", 20);
        let mut host = Host::new(&bins, &dir.0, net::free_port()?, &config)?;
        host.start()?;
        Ok(Service { host, clickhouse, connect, kafka, mariadb, tickets: 0, dir })
    }

    /// Inserts so many tickets, in three queues.
    fn insert(&mut self, count: i64, priority: Priority) -> Result<()> {
        for id in self.tickets + 1..=self.tickets + count {
            let (name, value) = match priority {
                Priority::Number => (", priority", format!(", {}", 1 + id % 2)),
                Priority::Word => (", priority", ", 'high'".to_owned()),
                Priority::Gone => ("", String::new()),
            };
            self.mariadb.run(&format!(
                "INSERT INTO service.ticket (id, queue_id, channel, status, created_at, updated_at{name})
                 VALUES ({id}, {}, 'web', '{}', NOW(3), NOW(3){value})",
                100 + id % 3,
                if id % 5 == 0 { "closed" } else { "open" }
            ))?;
        }
        self.tickets += count;
        Ok(())
    }

    fn status_of(&self, metric: &str) -> Result<String> {
        let metrics = self.host.api().get("metrics")?;
        let found = metrics["metrics"].as_array().into_iter().flatten().find(|m| m["name"] == metric);
        let status = found.with_context(|| format!("{metric} is not loaded"))?["status"].as_str();
        Ok(status.unwrap_or_default().to_owned())
    }

    fn wait_status(&self, metric: &str, status: &str) -> Result<()> {
        wait::until(&format!("{metric} is {status}"), LIMIT, || {
            let now = self.status_of(metric).map_err(|e| format!("{e:#}"))?;
            if now == status { Ok(Some(())) } else { Err(format!("it is {now}")) }
        })
    }

    /// Waits until a table of keys and counts in ClickHouse is that of SQL over MariaDB.
    fn wait_equal(&self, what: &str, clickhouse: &str, mariadb: &str) -> Result<()> {
        let wanted = counts(self.mariadb.run(mariadb)?.lines())?;
        if wanted.is_empty() {
            bail!("{what}: SQL gives nothing to compare with");
        }
        wait::until(&format!("{what} as SQL says, {wanted:?}"), LIMIT, || {
            let got = self.clickhouse.server().query(clickhouse).and_then(|text| counts(text.lines()));
            let got = got.map_err(|e| format!("{e:#}"))?;
            if got == wanted { Ok(Some(())) } else { Err(format!("there is {got:?}")) }
        })
    }

    /// Tickets created, by queue, of those ids.
    fn wait_created(&self, ids: &str) -> Result<()> {
        self.wait_equal(
            "tickets created",
            "SELECT dims[1], toInt64(sum(ints['count'])) FROM weir.metric_realtime FINAL \
             WHERE metric = 'ticket.created' AND window = 'day' AND dimension_set = 'queue_id' GROUP BY 1 FORMAT TSV",
            &format!("SELECT queue_id, count(*) FROM service.ticket WHERE {ids} GROUP BY 1"),
        )
    }

    fn wait_replies(&self) -> Result<()> {
        self.wait_equal(
            "first replies",
            "SELECT dims[1], toInt64(sum(ints['count'])) FROM weir.metric_realtime FINAL \
             WHERE metric = 'ticket.first_reply_time' AND window = 'day' AND dimension_set = 'queue_id' \
             GROUP BY 1 FORMAT TSV",
            "SELECT queue_id, count(*) FROM service.ticket WHERE first_reply_at IS NOT NULL GROUP BY 1",
        )
    }

    fn wait_backlog(&self) -> Result<()> {
        self.wait_equal(
            "the backlog",
            "SELECT concat(dims[1], ' ', dims[2]), toInt64(ints['count']) FROM weir.metric_latest FINAL \
             WHERE metric = 'ticket.backlog' AND dimension_set = 'queue_id,priority' AND ints['count'] != 0 FORMAT TSV",
            "SELECT concat(queue_id, ' ', priority), count(*) FROM service.ticket WHERE status = 'open' GROUP BY 1",
        )
    }

    fn log(&self) -> PathBuf {
        self.dir.0.join("weir.log")
    }
}

/// Lines of key, tab, count.
fn counts<'a>(lines: impl Iterator<Item = &'a str>) -> Result<BTreeMap<String, i64>> {
    let count = |line: &'a str| {
        let (key, n) = line.split_once('\t').with_context(|| format!("no key and count: {line}"))?;
        Ok((key.to_owned(), n.trim().parse().with_context(|| format!("no count: {line}"))?))
    };
    lines.map(count).collect()
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn alter_table_needs_no_restart_and_a_dropped_column_costs_only_the_metrics_that_need_it() -> Result<()> {
    let mut service = Service::start()?;
    service.insert(40, Priority::Number)?;
    service.wait_created("true")?;
    service.wait_backlog()?;

    // A new column is ignored, wider ones are accepted.
    service.mariadb.run(
        "ALTER TABLE service.ticket ADD COLUMN note TEXT, MODIFY queue_id BIGINT NOT NULL,
         MODIFY channel VARCHAR(200) NOT NULL",
    )?;
    service.insert(40, Priority::Number)?;
    service.wait_created("true")?;
    service.wait_backlog()?;

    // A dropped one suspends the two metrics that need it; the third goes on.
    service.mariadb.run("ALTER TABLE service.ticket DROP COLUMN priority")?;
    service.insert(40, Priority::Gone)?;
    service
        .mariadb
        .run("UPDATE service.ticket SET first_reply_at = NOW(3), updated_at = NOW(3) WHERE id % 2 = 0")?;
    for metric in ["ticket.created", "ticket.backlog"] {
        service.wait_status(metric, "suspended")?;
    }
    service.wait_replies()?;
    assert_eq!(service.status_of("ticket.first_reply_time")?, "live");
    let (code, conditions) = service.host.api().ready()?;
    assert_eq!(code, 200, "{conditions}");
    for word in ["suspended", "ticket.created", "priority", "dropped"] {
        assert!(conditions.contains(word), "{word} is not told: {conditions}");
    }
    service.host.kill();
    service.host.start()?;
    service.wait_status("ticket.created", "suspended")?;

    // Back again: what was missed and has the column is there; rows born without it are excluded.
    service.mariadb.run("ALTER TABLE service.ticket ADD COLUMN priority INT NOT NULL DEFAULT 3")?;
    service.insert(40, Priority::Number)?;
    for metric in ["ticket.created", "ticket.backlog"] {
        service.wait_status(metric, "live")?;
    }
    service.wait_created("id <= 80 OR id > 120")?;
    service.wait_replies()?;

    // One that becomes another type does the same, until its values are numbers again.
    service.mariadb.run("ALTER TABLE service.ticket MODIFY priority VARCHAR(10) NOT NULL")?;
    service.insert(40, Priority::Word)?;
    for metric in ["ticket.created", "ticket.backlog"] {
        service.wait_status(metric, "suspended")?;
    }
    assert_eq!(service.status_of("ticket.first_reply_time")?, "live");
    service.mariadb.run(
        "UPDATE service.ticket SET priority = '3', updated_at = NOW(3) WHERE priority = 'high';
         ALTER TABLE service.ticket MODIFY priority INT NOT NULL",
    )?;
    service.insert(40, Priority::Number)?;
    for metric in ["ticket.created", "ticket.backlog"] {
        service.wait_status(metric, "live")?;
    }
    service.wait_created("id <= 80 OR id BETWEEN 121 AND 160 OR id > 200")?;

    // Of the default for all rows, and of a row that went past the log, only a new snapshot tells.
    service.mariadb.run("SET sql_log_bin = 0; DELETE FROM service.ticket WHERE id = 7")?;
    let (begun, text) = service.host.ask("source", &["resnapshot", "ticket"])?;
    assert!(begun, "{text}");
    service.connect.kill();
    service.connect.forget()?;
    service.connect.launch()?;
    service.connect.wait_running()?;
    service.insert(10, Priority::Number)?;
    wait::until("the row table is rebuilt", LIMIT, || {
        let log = std::fs::read_to_string(service.log()).map_err(|e| e.to_string())?;
        Ok(log.contains("the row table is rebuilt").then_some(()))
    })?;
    service.wait_backlog()?;
    service.host.stop()?;
    service.connect.stop()?;
    service.kafka.stop()
}
