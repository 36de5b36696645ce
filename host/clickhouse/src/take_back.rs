//! Taking back what was delivered of a future that was lost: a restored state goes on from an earlier
//! epoch, and what came after it must not stand beside what comes now.
//!
//! The tables may be large and the lost future long, so this has a time limit of its own, works on one
//! partition of a table after the other, and remembers which are done: what is tried again goes on there.
//! Each statement changes nothing when it is repeated.

use crate::ClickHouse;
use crate::sql;
use crate::tables::{AUDIT, DEAD_LETTERS, EPOCHS, LATE_EVENTS, LATEST, PROMOTED, REALTIME, Table};
use clickhouse::query::Query;
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;
use weir_types::ports::{LostFuture, SinkError};
use weir_types::rows::DeadOutcome;

/// Bits of a version that hold the epoch.
const EPOCH_BITS: u32 = 40;
/// Time for one statement: it reads one partition of a table whole, but a table without partitions is one.
const LIMIT: Duration = Duration::from_secs(3600);
/// The server gives up first, so that its reason is told and nothing goes on that nobody waits for.
const GRACE: Duration = Duration::from_secs(30);

/// What is done of a take-back: generation, number of the way, partition.
pub(crate) type Done = BTreeSet<(u64, usize, String)>;

/// How rows of a table are taken back.
#[derive(Clone, Copy)]
enum Way {
    /// By a row of the same key with this column set, under a version between those of the lost rows and
    /// those that the new generation will give.
    Mark(&'static str),
    /// In the same way, as a letter that was not taken up, if its record was read by the last epoch that stands:
    /// the restored state has it as one.
    Dead,
    /// There is no such column, or the restored state gives it again.
    Delete,
}

/// In order.
const WAYS: [(&Table, Way); 7] = [
    (&REALTIME, Way::Mark("deleted")),
    (&LATEST, Way::Mark("deleted")),
    (&PROMOTED, Way::Mark("retired")),
    (&DEAD_LETTERS, Way::Dead),
    (&DEAD_LETTERS, Way::Delete),
    (&LATE_EVENTS, Way::Delete),
    (&EPOCHS, Way::Delete),
];

impl ClickHouse {
    pub(crate) async fn take_back_all(&self, lost: LostFuture, generation: u64) -> Result<(), SinkError> {
        // First, so that the generation is known as taken whatever is left of the others.
        let audit = audit_statement(&self.database, lost, generation);
        let note = limited(self.client.query_raw(&audit));
        self.within_time(LIMIT + GRACE, "noting that rows are taken back", note.execute()).await?;
        for (nth, (table, way)) in WAYS.into_iter().enumerate() {
            let partitions = self.partitions_with_lost(table, lost, generation).await?;
            for (number, partition) in partitions.iter().enumerate() {
                let step = (generation, nth, partition.clone());
                if self.taken_back.lock().unwrap_or_else(PoisonError::into_inner).contains(&step) {
                    continue;
                }
                let (table_name, of) = (table.name, partitions.len());
                tracing::info!(table_name, partition, number = number + 1, of, "lost rows are taken back");
                self.take_back_of(table, way, lost, generation, partition).await?;
                self.taken_back.lock().unwrap_or_else(PoisonError::into_inner).insert(step);
            }
        }
        Ok(())
    }

    /// Partitions, by their ids, that hold rows of the lost future, or held them: reads two columns.
    async fn partitions_with_lost(
        &self,
        table: &Table,
        lost: LostFuture,
        generation: u64,
    ) -> Result<Vec<String>, SinkError> {
        let what = format!("looking for rows of {} to take back", table.name);
        let query = self
            .client
            .query(&partitions_statement(table, &self.database, lost, generation))
            .with_setting("max_execution_time", LIMIT.as_secs().to_string());
        self.within_time(LIMIT + GRACE, &what, query.fetch_all::<String>()).await
    }

    async fn take_back_of(
        &self,
        table: &Table,
        way: Way,
        lost: LostFuture,
        generation: u64,
        partition: &str,
    ) -> Result<(), SinkError> {
        let what = format!("taking back rows of {}, partition {partition}", table.name);
        let statement = statement(table, way, &self.database, lost, generation, partition);
        // Should the connection be lost while the server goes on, the next attempt is refused until it is done.
        let id = format!("weir-take-back-{}-{}-{generation}-{partition}", self.database, table.name);
        let query = limited(self.client.query_raw(&statement)).with_setting("query_id", id);
        self.within_time(LIMIT + GRACE, &what, query.execute()).await
    }
}

fn limited(query: Query) -> Query {
    query
        .with_setting("max_execution_time", LIMIT.as_secs().to_string())
        .with_setting("insert_deduplicate", "0")
        .with_setting("lightweight_deletes_sync", "2")
}

/// Which rows are of the lost future.
fn condition(lost: LostFuture, generation: u64) -> String {
    format!(
        "epoch > {} AND version >= {} AND version < {}",
        lost.epoch,
        lost.generation << EPOCH_BITS,
        generation << EPOCH_BITS
    )
}

fn partitions_statement(table: &Table, database: &str, lost: LostFuture, generation: u64) -> String {
    format!(
        "SELECT DISTINCT _partition_id AS id FROM {} WHERE {} ORDER BY id",
        table.qualified(database),
        condition(lost, generation)
    )
}

fn statement(
    table: &Table,
    way: Way,
    database: &str,
    lost: LostFuture,
    generation: u64,
    partition: &str,
) -> String {
    let name = table.qualified(database);
    let condition = condition(lost, generation);
    let (set, more) = match way {
        Way::Mark(column) => (format!("toUInt8(1) AS {column}"), String::new()),
        Way::Dead => {
            let outcome = format!("{} AS outcome", sql::text(DeadOutcome::Dead.name()));
            (outcome, format!(" AND {}", was_read(database, lost)))
        }
        // These tables have one partition only.
        Way::Delete => return format!("DELETE FROM {name} WHERE {condition}"),
    };
    let version = version_of(lost, generation);
    // Chosen inside: beside the replacement, `version` would mean the new one. A key's rows are all of one
    // partition, so its newest is found within it.
    format!(
        "INSERT INTO {name} SELECT * REPLACE ({set}, toUInt64({version}) AS version) FROM (SELECT * FROM {name} \
         FINAL WHERE _partition_id = '{partition}'{more} AND {condition})"
    )
}

/// Whether a record was read by the last epoch that stands. What an older history read besides only makes more of
/// them so.
fn was_read(database: &str, lost: LostFuture) -> String {
    format!(
        "offset < (SELECT CAST((groupArray(place), groupArray(upto)), 'Map(String, Int64)') FROM (SELECT \
         concat(read.topic, ' ', toString(read.partition)) AS place, max(read.to) AS upto FROM {} ARRAY JOIN \
         partitions AS read WHERE epoch <= {} GROUP BY place))[concat(topic, ' ', toString(partition))]",
        EPOCHS.qualified(database),
        lost.epoch
    )
}

/// Between the versions of the lost rows and those that the new generation will give.
fn version_of(lost: LostFuture, generation: u64) -> u64 {
    (generation << EPOCH_BITS) + lost.epoch
}

fn audit_statement(database: &str, lost: LostFuture, generation: u64) -> String {
    format!(
        "INSERT INTO {} SELECT {epoch}, 0, {version}, now64(6, 'UTC'), 'taken-back', 'epochs after {epoch}', \
         'the state was imported: what was delivered since is taken back'",
        AUDIT.qualified(database),
        epoch = lost.epoch,
        version = version_of(lost, generation),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_epochs_of_the_lost_history_are_meant() {
        let lost = LostFuture { epoch: 7, generation: 2 };
        let of_history = "epoch > 7 AND version >= 2199023255552 AND version < 5497558138880";
        for (table, way) in WAYS {
            let statement = statement(table, way, "weir", lost, 5, "20231114");
            assert!(statement.trim_end_matches(')').ends_with(of_history), "{}: {statement}", table.name);
            let found = partitions_statement(table, "weir", lost, 5);
            assert!(found.contains(of_history), "{found}");
        }
        let marks = statement(&REALTIME, WAYS[0].1, "weir", lost, 5, "20231114");
        assert!(marks.contains("toUInt64(5497558138887) AS version"), "{marks}");
    }

    #[test]
    fn rows_are_marked_partition_by_partition() {
        let lost = LostFuture { epoch: 7, generation: 2 };
        let marks = statement(&REALTIME, WAYS[0].1, "weir", lost, 5, "20231114");
        assert!(marks.contains("FINAL WHERE _partition_id = '20231114' AND epoch > 7"), "{marks}");
    }
}
