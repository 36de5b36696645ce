//! Plain rows with a version: what happened to a row is known to the host alone, and a metric that was away
//! has missed none of it.

mod common;

use anyhow::Result;
use common::{LIMIT, TICKET, World, key, now_ms, wait_created, wait_number};
use weir_e2e::wait;
use weir_ingest::Producer;

const TICKETS: i64 = 40;

/// Tickets counted as solved, by the day windows of the grand total.
const SOLVED: &str = "SELECT toInt64(sum(ints['count'])) FROM weir.metric_realtime FINAL \
    WHERE metric = 'ticket.solved' AND window = 'day' AND dimension_set = ''";

/// Writes rows, each a millisecond newer than the one before.
struct Rows {
    producer: Producer,
    time: i64,
    sent: i64,
}

impl Rows {
    /// The row that a ticket has from now on; `status` is left out where there is none. Tickets of even numbers
    /// are in partition 0, the others in partition 1.
    fn put(&mut self, id: i64, status: Option<&str>) -> Result<String> {
        self.time += 1;
        let (now, time) = (now_ms(), self.time);
        let solved = if status == Some("solved") { now.to_string() } else { "null".into() };
        let status = status.map(|status| format!(r#""status":"{status}","#)).unwrap_or_default();
        let row = format!(
            r#"{{"id":{id},"queue_id":101,"channel":"web","priority":2,"customer_id":7,"assignee_id":null,{status}"created_at":{now},"assigned_at":null,"first_reply_at":null,"solved_at":{solved},"closed_at":null,"reopen_count":0,"reply_count":0,"escalated":0,"first_reply_due_at":null,"resolve_due_at":null,"updated_at":{time}}}"#
        );
        self.send(id, &row)?;
        Ok(row)
    }

    fn send(&mut self, id: i64, row: &str) -> Result<()> {
        self.sent += 1;
        let partition = (id % 2) as i32;
        self.producer.send(
            TICKET,
            Some(partition),
            Some(key(id).as_bytes()),
            Some(row.as_bytes()),
            &[],
            0,
        )?;
        self.producer.flush(LIMIT)?;
        Ok(())
    }
}

fn wait_status(world: &World, metric: &str, status: &str) -> Result<()> {
    wait::until(&format!("{metric} is {status}"), LIMIT, || {
        let metrics = world.host.api().get("metrics").map_err(|e| format!("{e:#}"))?;
        let found = metrics["metrics"].as_array().into_iter().flatten().find(|m| m["name"] == metric);
        let found = found.ok_or("it is not loaded")?;
        if found["status"] == status { Ok(Some(())) } else { Err(found.to_string()) }
    })
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_metric_over_plain_rows_that_was_suspended_reads_again_what_happened_to_them() -> Result<()> {
    let mut world = World::new("plain-rows", |config| {
        config.set("epoch", "suspend_after_rows", 20);
        let ticket = config.source("ticket")?;
        ticket.insert("format".into(), "plain-json".into());
        ticket.insert("version_column".into(), "updated_at".into());
        Ok(())
    })?;
    world.host.start()?;
    let mut rows = Rows { producer: world.producer()?, time: now_ms(), sent: 0 };
    (1..=TICKETS).try_for_each(|id| rows.put(id, Some("open")).map(drop))?;
    wait_created(&world.clickhouse, TICKETS)?;

    // The column goes, seen in partition 1 alone; what is born without it is a birth all the same.
    for id in (1..=TICKETS).chain(TICKETS..TICKETS + 20).filter(|id| id % 2 == 1) {
        rows.put(id, None)?;
    }
    wait_status(&world, "ticket.solved", "suspended")?;
    world.host.kill();

    // All in one epoch of the next host: the column comes back, tickets are solved, sent again, and touched.
    let solved = |id: &i64| id % 2 == 0;
    let mut again = Vec::new();
    for id in (1..=TICKETS).filter(solved) {
        again.push((id, rows.put(id, Some("solved"))?));
    }
    again.iter().try_for_each(|(id, row)| rows.send(*id, row))?;
    (1..=TICKETS).filter(solved).try_for_each(|id| rows.put(id, Some("solved")).map(drop))?;
    world.host.launch()?;
    world.wait_read(rows.sent)?;
    wait_status(&world, "ticket.solved", "live")?;
    wait_number(&world.clickhouse, "tickets solved", SOLVED, TICKETS / 2)?;
    wait_created(&world.clickhouse, TICKETS + 10)?;
    assert_eq!(world.host.api().status()?.count("skipped"), TICKETS / 2, "what was sent again");

    // It goes on as if it had never been away.
    rows.put(1, Some("open"))?;
    rows.put(1, Some("solved"))?;
    world.wait_read(rows.sent)?;
    wait_number(&world.clickhouse, "tickets solved", SOLVED, TICKETS / 2 + 1)?;
    world.host.stop()
}
