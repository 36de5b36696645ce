//! `ticket.backlog` by SQL over the service's own table: the number without Weir and without Kafka.

use crate::metrics::{Bag, Metric};
use crate::recompute::{Expected, Wanted};
use crate::results::Key;
use anyhow::{Context, Result};
use mysql::prelude::Queryable;
use std::collections::BTreeMap;

pub struct MariaDb {
    /// HOST:PORT.
    pub address: String,
    pub user: String,
    pub password: String,
    pub database: String,
}

/// The backlog by every subset of its dimensions; keys have start 0, as of `metric_latest`.
pub fn backlog(metric: &Metric, target: &MariaDb) -> Result<Expected> {
    let (host, port) = target.address.rsplit_once(':').context("--mariadb is HOST:PORT")?;
    let options = mysql::OptsBuilder::new()
        .ip_or_hostname(Some(host))
        .tcp_port(port.parse().with_context(|| format!("--mariadb: {port} is no port"))?)
        .user(Some(&target.user))
        .pass(Some(&target.password))
        .db_name(Some(&target.database))
        .prefer_socket(false);
    let mut connection = mysql::Conn::new(options)
        .with_context(|| format!("cannot connect to MariaDB at {}", target.address))?;
    let rows: Vec<(i64, i64, i64)> = connection.query(
        "SELECT queue_id, priority, COUNT(*) FROM ticket \
         WHERE status IN ('new', 'open', 'pending') GROUP BY queue_id, priority",
    )?;
    let mut counts: BTreeMap<Key, i64> = BTreeMap::new();
    for (queue, priority, count) in rows {
        let dims = [queue.to_string(), priority.to_string()];
        for subset in metric.subsets() {
            let key = Key {
                window: "now".into(),
                set: metric.set_name(&subset),
                dims: subset.iter().map(|d| dims[*d].clone()).collect(),
                start: 0,
            };
            *counts.entry(key).or_default() += count;
        }
    }
    let wanted = |(key, count)| {
        let bag = Bag { count, amounts: Vec::new() };
        (key, Wanted { end: 0, samples: count, outputs: (metric.outputs)(&bag) })
    };
    Ok(counts.into_iter().map(wanted).collect())
}
