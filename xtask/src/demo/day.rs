//! What a database's operator does on the day of a run.

use crate::say;
use crate::world::{DATABASE, Upstream, World};
use anyhow::{Result, bail};
use std::time::Duration;
use weir_e2e::connect::SIGNAL_TABLE;
use weir_e2e::host::Host;
use weir_e2e::mariadb::MariaDb;
use weir_e2e::wait;

const ASKED_LIMIT: Duration = Duration::from_secs(30);
const REBUILT_LIMIT: Duration = Duration::from_secs(120);
/// What the host logs when a row table stands again.
const REBUILT: &str = "the row table is rebuilt";

/// Few agents, so that customers wait for them. Nothing that is late: what an upstream or a host brings that was away
/// must not be.
pub const LIFE: [&str; 5] = ["--queues", "12", "--agents", "120", "--punctual"];
/// Tables of which the host keeps rows, for metrics over current values.
const KEPT: [&str; 4] = ["ticket", "call_record", "im_session", "agent_state"];
/// Columns that are added, and others that are widened, while rows change.
const ALTER: [&str; 4] = [
    "ticket ADD COLUMN note TEXT NULL, MODIFY reopen_count BIGINT NOT NULL DEFAULT 0, MODIFY channel VARCHAR(64) NOT NULL",
    "call_record ADD COLUMN recording VARCHAR(200) NULL FIRST, MODIFY queue_id BIGINT NOT NULL",
    "im_session ADD COLUMN language VARCHAR(8) NULL AFTER queue_id, MODIFY reply_wait_seconds BIGINT NOT NULL DEFAULT 0",
    "agent_state ADD COLUMN device VARCHAR(32) NOT NULL DEFAULT 'desk', MODIFY state VARCHAR(40) NOT NULL",
];

/// Contacts that still wait when the day is over, so that no metric of current values is of nothing then.
const LAST: [&str; 3] = [
    "ticket (id, queue_id, channel, priority, customer_id, status, created_at, updated_at)
     SELECT MAX(id) + 1, MAX(queue_id), 'web', 1, MAX(customer_id), 'new', MAX(updated_at), MAX(updated_at) FROM ticket",
    "call_record (id, queue_id, direction, customer_id, status, started_at, queued_at, updated_at)
     SELECT MAX(id) + 1, MAX(queue_id), 'inbound', MAX(customer_id), 'queued', MAX(updated_at), MAX(updated_at),
     MAX(updated_at) FROM call_record",
    "im_session (id, queue_id, channel, customer_id, status, created_at, queued_at, updated_at)
     SELECT MAX(id) + 1, MAX(queue_id), MAX(channel), MAX(customer_id), 'queued', MAX(updated_at), MAX(updated_at),
     MAX(updated_at) FROM im_session",
];

/// Tells the host to rebuild its row tables, then Debezium to send a snapshot in the midst of the changes.
pub fn resnapshot(host: &Host, mariadb: &MariaDb) -> Result<()> {
    for source in KEPT {
        // A host that has just been started answers a little later.
        wait::until(&format!("resnapshot of {source}"), ASKED_LIMIT, || {
            let (begun, text) = host.ask("source", &["resnapshot", source]).map_err(|e| format!("{e:#}"))?;
            if begun { Ok(Some(())) } else { Err(text.trim().to_owned()) }
        })?;
    }
    let tables = KEPT.map(|table| format!("{DATABASE}.{table}"));
    let data = serde_json::json!({ "type": "BLOCKING", "data-collections": tables });
    mariadb.run(&format!(
        "INSERT INTO {DATABASE}.{SIGNAL_TABLE} VALUES ('of-the-day', 'execute-snapshot', '{data}')"
    ))?;
    say::note("asked host and Debezium for new row tables");
    Ok(())
}

pub fn alter(mariadb: &MariaDb) -> Result<()> {
    for change in ALTER {
        mariadb.run(&format!("ALTER TABLE {DATABASE}.{change}"))?;
    }
    say::note(format!("altered {} tables: columns added and widened", ALTER.len()));
    Ok(())
}

/// Somebody comes who is not served any more.
pub fn last_contacts(world: &World) -> Result<()> {
    let Upstream::Services { mariadb, .. } = &world.upstream else { return Ok(()) };
    for row in LAST {
        mariadb.run(&format!("USE {DATABASE}; INSERT INTO {row}"))?;
    }
    Ok(())
}

/// Waits until each row table stands again. No record was lost, so no row may have gone.
pub fn wait_rebuilt(world: &World) -> Result<()> {
    let of = |log: &str, source: &str| {
        let (source, rebuilt) = (format!("source={source} "), |line: &&str| line.contains(REBUILT));
        log.lines().filter(rebuilt).find(|line| line.contains(&source)).map(str::to_owned)
    };
    let lines = wait::until("all row tables are rebuilt", REBUILT_LIMIT, || {
        let log = world.host.log_text();
        let missing: Vec<&str> = KEPT.into_iter().filter(|source| of(&log, source).is_none()).collect();
        match missing.is_empty() {
            true => Ok(Some(KEPT.into_iter().filter_map(|source| of(&log, source)).collect::<Vec<_>>())),
            false => Err(format!("not yet: {}", missing.join(", "))),
        }
    })?;
    match lines.iter().find(|line| !line.contains("removed=0")) {
        Some(line) => bail!("rows went though the snapshot brought all of them: {line}"),
        None => Ok(()),
    }
}
