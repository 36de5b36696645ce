//! Taking back what was delivered of a future that was lost: a restored state goes on from an earlier
//! epoch, and what came after it must not stand beside what comes now.

use crate::ClickHouse;
use crate::tables::{EPOCHS, LATE_EVENTS, LATEST, PROMOTED, REALTIME, Table};
use weir_types::ports::{LostFuture, SinkError};

/// Bits of a version that hold the epoch.
const EPOCH_BITS: u32 = 40;

impl ClickHouse {
    pub(crate) async fn take_back_all(&self, lost: LostFuture, generation: u64) -> Result<(), SinkError> {
        let statements = statements(&self.database, lost, generation);
        for (table, statement) in statements {
            let what = format!("taking back rows of {table}");
            let query = self
                .client
                .query_raw(&statement)
                .with_setting("insert_deduplicate", "0")
                // Days and windows of a lost future may be many.
                .with_setting("max_partitions_per_insert_block", "0")
                .with_setting("lightweight_deletes_sync", "2");
            self.within(&what, query.execute()).await?;
        }
        Ok(())
    }
}

/// Table and statement, in order. Values go under a version between those of the lost rows and those that
/// the new generation will give; what has no such mark is deleted.
fn statements(database: &str, lost: LostFuture, generation: u64) -> Vec<(&'static str, String)> {
    let version = (generation << EPOCH_BITS) + lost.epoch;
    let condition = format!(
        "epoch > {} AND version >= {} AND version < {}",
        lost.epoch,
        lost.generation << EPOCH_BITS,
        generation << EPOCH_BITS
    );
    let marked = |table: &Table, column: &str| {
        let name = table.qualified(database);
        let select = format!("SELECT * REPLACE (toUInt8(1) AS {column}, toUInt64({version}) AS version)");
        // Chosen inside: beside the replacement, `version` would mean the new one.
        let lost = format!("SELECT * FROM {name} FINAL WHERE {condition}");
        (table.name, format!("INSERT INTO {name} {select} FROM ({lost})"))
    };
    let deleted =
        |table: &Table| (table.name, format!("DELETE FROM {} WHERE {condition}", table.qualified(database)));
    vec![
        marked(&REALTIME, "deleted"),
        marked(&LATEST, "deleted"),
        marked(&PROMOTED, "retired"),
        deleted(&LATE_EVENTS),
        deleted(&EPOCHS),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_epochs_of_the_lost_history_are_meant() {
        let lost = LostFuture { epoch: 7, generation: 2 };
        let all = statements("weir", lost, 5);
        for (table, statement) in &all {
            let lost = "WHERE epoch > 7 AND version >= 2199023255552 AND version < 5497558138880";
            assert!(statement.trim_end_matches(')').ends_with(lost), "{table}: {statement}");
        }
        assert!(all[0].1.contains("toUInt64(5497558138887) AS version"), "{}", all[0].1);
    }
}
