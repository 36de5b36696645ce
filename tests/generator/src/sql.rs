//! The life as SQL transactions, for a real database with a real connector behind it.

use crate::civil;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::life::{Life, RowChange};
use crate::row::{Cell, Row};
use anyhow::{Context, Result};
use mysql::prelude::Queryable;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The service's tables, in the order in which they are made.
pub const MIGRATIONS: [&str; 6] = [
    include_str!("../../../examples/service/migrations/0001_ticket.sql"),
    include_str!("../../../examples/service/migrations/0002_call_record.sql"),
    include_str!("../../../examples/service/migrations/0003_im_session.sql"),
    include_str!("../../../examples/service/migrations/0004_agent_state.sql"),
    include_str!("../../../examples/service/migrations/0005_survey.sql"),
    include_str!("../../../examples/service/migrations/0006_lookup.sql"),
];

/// Rows in one INSERT of the preparation.
const PREPARE_ROWS: usize = 200;
/// One transaction in so many is rolled back: it must show nowhere.
const ROLLED_BACK: u64 = 100;
/// Changes in one transaction: while in step with the clock, and while catching up.
const TRANSACTION_MAX: u64 = 5;
const CATCH_UP_MAX: usize = 100;

/// Where the database is.
#[derive(Clone, Debug)]
pub struct Target {
    /// `127.0.0.1:PORT`.
    pub address: String,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Target {
    pub fn connect(&self) -> Result<mysql::Conn> {
        let (host, port) = self.address.rsplit_once(':').context("--mysql is HOST:PORT")?;
        let port: u16 = port.parse().with_context(|| format!("--mysql: {port} is no port"))?;
        let options = mysql::OptsBuilder::new()
            .ip_or_hostname(Some(host))
            .tcp_port(port)
            .user(Some(&self.user))
            .pass(Some(&self.password))
            .prefer_socket(false);
        let mut connection = mysql::Conn::new(options)
            .with_context(|| format!("cannot connect to MySQL at {}", self.address))?;
        connection.query_drop(format!("CREATE DATABASE IF NOT EXISTS `{}`", self.database))?;
        connection.query_drop(format!("USE `{}`", self.database))?;
        connection.query_drop("SET time_zone = '+00:00'")?;
        Ok(connection)
    }
}

/// Creates the tables where they are missing and inserts the rows that stand at the start. The same
/// seed, start and rate must then be given to [`run`], else its updates meet other rows.
pub fn prepare(connection: &mut mysql::Conn, life: &Life) -> Result<u64> {
    for statement in MIGRATIONS.into_iter().flat_map(statements) {
        connection.query_drop(&statement).with_context(|| format!("cannot execute {statement}"))?;
    }
    let mut inserted = 0;
    for rows in life.standing().chunk_by(|a, b| a.table() == b.table()) {
        for part in rows.chunks(PREPARE_ROWS) {
            let mut sql = insert_start(&part[0]);
            for (n, row) in part.iter().enumerate() {
                sql.push_str(if n == 0 { "(" } else { ",(" });
                sql.push_str(&values(row));
                sql.push(')');
            }
            connection.query_drop(&sql).context("cannot insert the first rows; are the tables empty?")?;
            inserted += part.len() as u64;
        }
    }
    Ok(inserted)
}

/// The statements of a script without comments at line ends.
fn statements(script: &str) -> Vec<String> {
    let plain: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    plain.join("\n").split(';').map(|s| s.trim().to_string()).filter(|s| !s.is_empty()).collect()
}

/// What was committed.
#[derive(Debug, Default)]
pub struct Committed {
    pub transactions: u64,
    pub rolled_back: u64,
    /// Row changes by `table op`.
    pub changes: BTreeMap<String, u64>,
}

/// Commits what is due until `stop` or until the clock shows `until_ms`.
pub fn run(
    connection: &mut mysql::Conn,
    life: &mut Life,
    dice: &mut Dice,
    clock: &Clock,
    until_ms: i64,
    stop: &AtomicBool,
) -> Result<Committed> {
    let mut done = Committed::default();
    while !stop.load(Ordering::Relaxed) {
        let now = clock.now();
        while life.next_at() <= now.min(until_ms) && !stop.load(Ordering::Relaxed) {
            let behind = now - life.next_at() > 2_000;
            let size = if behind { CATCH_UP_MAX } else { 1 + dice.below(TRANSACTION_MAX) as usize };
            let mut changes = Vec::with_capacity(size);
            while changes.len() < size && life.next_at() <= now.min(until_ms) {
                changes.push(life.next_change());
            }
            if dice.below(ROLLED_BACK) == 0 {
                attempt(connection, &changes, false)?;
                done.rolled_back += 1;
            }
            attempt(connection, &changes, true)?;
            done.transactions += 1;
            for change in &changes {
                *done.changes.entry(name(change)).or_default() += 1;
            }
        }
        if now >= until_ms {
            break;
        }
        let pause = clock.wait_ms(life.next_at().min(until_ms)).clamp(1, 20);
        std::thread::sleep(Duration::from_millis(pause));
    }
    Ok(done)
}

fn attempt(connection: &mut mysql::Conn, changes: &[RowChange], commit: bool) -> Result<()> {
    connection.query_drop("BEGIN")?;
    for change in changes {
        let sql = statement(change);
        connection.query_drop(&sql).with_context(|| format!("cannot execute {sql}"))?;
    }
    connection.query_drop(if commit { "COMMIT" } else { "ROLLBACK" })?;
    Ok(())
}

fn name(change: &RowChange) -> String {
    match (&change.before, &change.after) {
        (Some(row), None) => format!("{} delete", row.table()),
        (Some(_), Some(row)) => format!("{} update", row.table()),
        (None, Some(row)) => format!("{} insert", row.table()),
        (None, None) => String::new(),
    }
}

/// One row change as SQL; an update names only the columns that change.
pub fn statement(change: &RowChange) -> String {
    match (&change.before, &change.after) {
        (None, Some(row)) => format!("{}({})", insert_start(row), values(row)),
        (Some(row), None) => format!("DELETE FROM {} WHERE {}={}", row.table(), row.key(), row.id()),
        (Some(old), Some(new)) => {
            let changed: Vec<String> = old
                .cells()
                .into_iter()
                .zip(new.cells())
                .filter(|(old, new)| old.1 != new.1)
                .map(|(_, (name, value))| format!("{name}={}", literal(value)))
                .collect();
            format!("UPDATE {} SET {} WHERE {}={}", new.table(), changed.join(","), old.key(), old.id())
        }
        (None, None) => "DO 0".into(),
    }
}

fn insert_start(row: &Row) -> String {
    let names: Vec<&str> = row.cells().into_iter().map(|(name, _)| name).collect();
    format!("INSERT INTO {} ({}) VALUES ", row.table(), names.join(","))
}

fn values(row: &Row) -> String {
    let values: Vec<String> = row.cells().into_iter().map(|(_, value)| literal(value)).collect();
    values.join(",")
}

/// The texts of the life hold nothing that SQL would escape.
fn literal(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => "NULL".into(),
        Cell::Number(value) => value.to_string(),
        Cell::Text(text) => format!("'{text}'"),
        Cell::Time(ms) => {
            let mut text = Vec::with_capacity(23);
            civil::text(&mut text, ms);
            format!("'{}'", String::from_utf8_lossy(&text))
        }
    }
}

#[cfg(test)]
mod tests;
