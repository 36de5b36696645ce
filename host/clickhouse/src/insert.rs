//! Delivery of an outbox: one insert = one partition, in chunks.

use crate::ClickHouse;
use crate::rows::{Audit, DeadLetter, Epoch, LateEvent, Promoted, Value, stored_day};
use crate::tables::{AUDIT, DEAD_LETTERS, EPOCHS, LATE_EVENTS, LATEST, PROMOTED, REALTIME, Table};
use clickhouse::{Client, RowWrite};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::contract::Output;
use weir_types::ports::SinkError;
use weir_types::rows::{Outbox, RealtimeRow, Series};

/// Rows in one insert: well below the million that ClickHouse takes as one block.
const ROWS_MAX: usize = 100_000;
/// Dead letters carry up to 128 kB each.
const DEAD_LETTERS_MAX: usize = 500;
/// Before an insert is acknowledged it is merged into maps and synced to disk.
const END_TIMEOUTS: u32 = 4;

impl ClickHouse {
    pub(crate) async fn insert_all(&self, generation: u64, rows: &Outbox) -> Result<(), SinkError> {
        // Epochs go first: should the state be lost after half a delivery, the next generation is taken
        // from them, and it must be greater than that of any row here.
        let epochs = rows.epochs.iter().map(|row| Epoch::new(generation, row));
        self.insert_rows::<Epoch>(&EPOCHS, ROWS_MAX, epochs).await?;

        let mut known = Known::new(self);
        let latest = rows.latest.iter().map(|row| known.value(generation, row));
        let late = rows.late_events.iter().map(|row| LateEvent::new(generation, row));
        let dead = rows.dead_letters.iter().map(|row| DeadLetter::new(generation, row));
        let audit = rows.audit.iter().map(|row| Audit::new(generation, row));
        // All tables at once: an insert is mostly waiting. Where one fails, all are made again.
        tokio::try_join!(
            self.insert_realtime(generation, &rows.realtime),
            self.insert_rows::<Value>(&LATEST, ROWS_MAX, latest),
            self.insert_rows::<LateEvent>(&LATE_EVENTS, ROWS_MAX, late),
            self.insert_rows::<DeadLetter>(&DEAD_LETTERS, DEAD_LETTERS_MAX, dead),
            self.insert_rows::<Audit>(&AUDIT, ROWS_MAX, audit),
        )?;
        // Views follow this pointer, so it comes after the rows that it points to.
        let promoted = rows.promoted.iter().map(|row| Promoted::new(generation, row));
        self.insert_rows::<Promoted>(&PROMOTED, ROWS_MAX, promoted).await
    }

    async fn insert_realtime(&self, generation: u64, rows: &[RealtimeRow]) -> Result<(), SinkError> {
        let mut by_day: BTreeMap<u16, Vec<&RealtimeRow>> = BTreeMap::new();
        for row in rows {
            by_day.entry(stored_day(row.day)).or_default().push(row);
        }
        let mut known = Known::new(self);
        for rows in by_day.into_values() {
            let rows = rows.into_iter().map(|row| known.value(generation, row));
            self.insert_rows::<Value>(&REALTIME, ROWS_MAX, rows).await?;
        }
        Ok(())
    }

    /// All rows must belong to one partition.
    async fn insert_rows<'a, T: RowWrite>(
        &self,
        table: &Table,
        rows_max: usize,
        rows: impl Iterator<Item = T::Value<'a>>,
    ) -> Result<(), SinkError> {
        let what = format!("inserting into {}", table.name);
        let client = self.insert_client(table);
        let qualified = table.qualified(&self.database);
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let insert = self.within(&what, client.insert_unescaped::<T>(&qualified)).await?;
            let mut insert =
                insert.with_timeouts(Some(self.timeout), Some(self.timeout.saturating_mul(END_TIMEOUTS)));
            for row in rows.by_ref().take(rows_max) {
                insert.write(&row).await.map_err(|e| self.target.classify(&what, &e))?;
            }
            insert.end().await.map_err(|e| self.target.classify(&what, &e))?;
        }
        Ok(())
    }

    fn insert_client(&self, table: &Table) -> Client {
        let client = self
            .client
            .clone()
            // Acknowledged = on disk, and never taken for a repetition (see the crate's documentation).
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "0");
        // The crate cannot read the named tuples of `epochs`, so it cannot compare types there;
        // `prepare` has.
        client.with_validation(table.name != EPOCHS.name)
    }
}

/// Outputs of the series in a delivery, looked up once each as long as their rows come together.
struct Known<'c, 'r> {
    sink: &'c ClickHouse,
    last: Option<(&'r Arc<Series>, Option<Arc<[Output]>>)>,
}

impl<'c, 'r> Known<'c, 'r> {
    fn new(sink: &'c ClickHouse) -> Known<'c, 'r> {
        Known { sink, last: None }
    }

    fn value(&mut self, generation: u64, row: &'r RealtimeRow) -> Value<'r> {
        let outputs = match self.last.take() {
            Some((series, outputs)) if Arc::ptr_eq(series, &row.series) => outputs,
            _ => self.sink.outputs(&row.series.metric),
        };
        let value = Value::new(generation, row, outputs.as_deref().unwrap_or_default());
        self.last = Some((&row.series, outputs));
        value
    }
}
