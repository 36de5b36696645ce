//! The life as Kafka records: a snapshot first, then changes in binlog order, each in the partition of
//! its id.

use crate::bad;
use crate::binlog::Binlog;
use crate::debezium::{self, Envelope};
use crate::dice::{Dice, mix};
use crate::foreign::{self, Writer};
use crate::late;
use crate::life::world::World;
use crate::life::{Life, Options, Row, RowChange};
use std::collections::VecDeque;

/// A record for the broker or the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// When it is due, on the clock, in milliseconds.
    pub at: i64,
    pub topic: &'static str,
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The value is written as it stands inside a JSON string: for the journal only.
    pub in_string: bool,
}

/// What is mixed into the good records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    /// So many bad records, one after every 25 changes.
    pub bad: u64,
    /// After so many changes the last 200 records come again, as from a restarted connector; 0 = never.
    pub repeat_every: u64,
    /// One record of 5 MB after 100 changes.
    pub large: bool,
    /// After so many changes one comes whose time is long past or far ahead ([`late`]); 0 = never.
    pub late_every: u64,
}

const BAD_EVERY: u64 = 25;
const REPEATED: usize = 200;
const LARGE_AT: u64 = 100;
const LARGE_BYTES: usize = 5 << 20;

/// Endless records. The buffers of [`Records::next_batch`] are used again and again.
#[derive(Debug)]
pub struct Records {
    life: Life,
    binlog: Binlog,
    dice: Dice,
    partitions: u64,
    mischief: Mischief,
    writer: Writer,
    for_journal: bool,
    changes: u64,
    bad_made: u64,
    late_made: u64,
    batch: Vec<Record>,
    used: usize,
    recent: VecDeque<Record>,
}

impl Records {
    pub fn new(options: &Options, partitions: u32, mischief: Mischief) -> Records {
        let dice = Dice::new(options.seed);
        Records {
            life: Life::new(options),
            binlog: Binlog::new(dice.fork(2)),
            dice: dice.fork(3),
            partitions: u64::from(partitions.max(1)),
            mischief,
            writer: Writer::default(),
            for_journal: false,
            changes: 0,
            bad_made: 0,
            late_made: 0,
            batch: Vec::new(),
            used: 0,
            recent: VecDeque::new(),
        }
    }

    /// The same life, written by another connector.
    pub fn written_by(self, writer: Writer) -> Records {
        Records { writer, ..self }
    }

    /// For a journal and nobody else: most values come as they stand inside a JSON string
    /// ([`Record::in_string`]), which is quicker.
    pub fn for_journal(self) -> Records {
        Records { for_journal: true, ..self }
    }

    /// The rows that stand at the start, as a connector's snapshot reads them. Canal has none.
    pub fn snapshot(&mut self, start_ms: i64) -> Vec<Record> {
        let rows = self.life.standing().to_vec();
        match self.writer {
            Writer::Debezium => self.debezium_snapshot(&rows, start_ms),
            Writer::Canal => Vec::new(),
            Writer::Maxwell => rows
                .iter()
                .map(|row| {
                    let mut record = Record { at: start_ms, ..Record::default() };
                    self.address(&mut record, row);
                    let value = record.value.get_or_insert_with(Vec::new);
                    foreign::bootstrap(value, row, start_ms.div_euclid(1_000));
                    record
                })
                .collect(),
        }
    }

    fn debezium_snapshot(&self, rows: &[Row], start_ms: i64) -> Vec<Record> {
        let mut position = self.binlog.end();
        position.second = start_ms.div_euclid(1_000);
        let mut records = Vec::with_capacity(rows.len());
        for (n, row) in rows.iter().enumerate() {
            let mut record = Record { at: start_ms, ..Record::default() };
            let envelope = Envelope {
                op: 'r',
                table: row.table(),
                position,
                sent_us: start_ms * 1_000 + n as i64 * 17,
                snapshot: snapshot_mark(rows, n),
            };
            self.address(&mut record, row);
            let value = record.value.get_or_insert_with(Vec::new);
            debezium::value(value, None, Some(row), &envelope);
            records.push(record);
        }
        records
    }

    /// When the next batch is due, on the clock.
    pub fn next_at(&self) -> i64 {
        self.life.next_at()
    }

    /// Row changes so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Rows that something will still happen to.
    pub fn alive(&self) -> usize {
        self.life.alive()
    }

    /// The records of the next row change, and of the mischief that falls between. A batch is never
    /// empty; delete and changed key give several records.
    pub fn next_batch(&mut self) -> &[Record] {
        let change = self.life.next_change();
        self.changes += 1;
        self.used = 0;
        self.render(&change);
        if self.mischief.repeat_every > 0 {
            self.repeat();
        }
        if self.bad_made < self.mischief.bad && self.changes.is_multiple_of(BAD_EVERY) {
            let mut dice = self.dice.fork(self.bad_made);
            let record = bad::record(self, &mut dice, self.bad_made, change.at);
            self.push(record);
            self.bad_made += 1;
        }
        if self.mischief.late_every > 0 && self.changes.is_multiple_of(self.mischief.late_every) {
            let mut dice = self.dice.fork(u64::MAX / 2 + self.late_made);
            let record = late::record(self, &mut dice, self.late_made, change.at);
            self.push(record);
            self.late_made += 1;
        }
        if self.mischief.large && self.changes == LARGE_AT {
            let mut dice = self.dice.fork(u64::MAX);
            let record = bad::large(self, &mut dice, change.at, LARGE_BYTES);
            self.push(record);
        }
        &self.batch[..self.used]
    }

    pub(crate) fn world(&self) -> &World {
        self.life.world()
    }

    /// The one record of an insert or update, outside the batch.
    pub(crate) fn render_alone(&mut self, change: &RowChange) -> Record {
        let used = self.used;
        // What is spoilt or late is changed as text.
        let for_journal = std::mem::take(&mut self.for_journal);
        self.render(change);
        self.for_journal = for_journal;
        let record = std::mem::take(&mut self.batch[used]);
        self.used = used;
        record
    }

    fn render(&mut self, change: &RowChange) {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        if self.writer != Writer::Debezium {
            return self.render_foreign(change);
        }
        match (before, after) {
            (Some(old), Some(new)) if old.id() != new.id() => self.render_rekey(change, old, new),
            (Some(row), None) => {
                self.render_one(change, 'd', row, before, None, false);
                self.render_tombstone(change.at, row);
            }
            (_, Some(row)) => {
                let op = if before.is_some() { 'u' } else { 'c' };
                self.render_one(change, op, row, before, after, false);
            }
            (None, None) => {}
        }
    }

    /// Delete of the old key, tombstone, insert of the new key: all at one position.
    fn render_rekey(&mut self, change: &RowChange, old: &Row, new: &Row) {
        let (mut old_key, mut new_key) = (Vec::new(), Vec::new());
        debezium::key_of(&mut old_key, old);
        debezium::key_of(&mut new_key, new);
        self.render_one(change, 'd', old, Some(old), None, false);
        self.batch[self.used - 1].headers.push(("__debezium.newkey", new_key));
        self.render_tombstone(change.at, old);
        self.render_one(change, 'c', new, None, Some(new), true);
        self.batch[self.used - 1].headers.push(("__debezium.oldkey", old_key));
    }

    /// One record, whatever the change.
    fn render_foreign(&mut self, change: &RowChange) {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        let Some(row) = after.or(before) else { return };
        let op = match (before, after) {
            (None, _) => 'c',
            (_, None) => 'd',
            _ => 'u',
        };
        let position = self.binlog.append(row.table(), op, change.at, 310);
        let mut record = self.take_buffer(change.at);
        self.address(&mut record, row);
        let value = record.value.get_or_insert_with(Vec::new);
        foreign::value(value, self.writer, before, after, &position, change.at);
        if change.correction {
            record.headers.push(("generator.correction", b"1".to_vec()));
        }
        self.push(record);
    }

    fn render_one(
        &mut self,
        change: &RowChange,
        op: char,
        row: &Row,
        before: Option<&Row>,
        after: Option<&Row>,
        twin: bool,
    ) {
        let table = row.table();
        let bytes = if op == 'u' { 310 } else { 190 };
        let position = match twin {
            true => self.binlog.twin(table),
            false => self.binlog.append(table, op, change.at, bytes),
        };
        let sent_us = change.at * 1_000 + (mix(position.pos) % 30_000) as i64;
        let envelope = Envelope { op, table, position, sent_us, snapshot: "false" };
        let mut record = self.take_buffer(change.at);
        self.address(&mut record, row);
        record.in_string = self.for_journal;
        let value = record.value.get_or_insert_with(Vec::new);
        match self.for_journal {
            true => debezium::value_in_string(value, before, after, &envelope),
            false => debezium::value(value, before, after, &envelope),
        }
        if change.correction {
            record.headers.push(("generator.correction", b"1".to_vec()));
        }
        self.push(record);
    }

    fn render_tombstone(&mut self, at: i64, row: &Row) {
        let mut record = self.take_buffer(at);
        self.address(&mut record, row);
        record.value = None;
        self.push(record);
    }

    /// Topic, partition and key.
    fn address(&self, record: &mut Record, row: &Row) {
        record.topic = debezium::topic(row.table());
        let key = record.key.get_or_insert_with(Vec::new);
        key.clear();
        if self.writer == Writer::Debezium {
            record.partition = (mix(row.id() as u64) % self.partitions) as i32;
            debezium::key_of(key, row);
            return;
        }
        record.partition = (mix(foreign::family(row.id()) as u64) % self.partitions) as i32;
        if !foreign::key(key, self.writer, row) {
            record.key = None;
        }
    }

    /// A record whose buffers may have been in use before.
    fn take_buffer(&mut self, at: i64) -> Record {
        let mut record = self.batch.get_mut(self.used).map(std::mem::take).unwrap_or_default();
        record.at = at;
        record.headers.clear();
        record.in_string = false;
        if let Some(value) = &mut record.value {
            value.clear();
        }
        record
    }

    fn push(&mut self, record: Record) {
        match self.batch.get_mut(self.used) {
            Some(place) => *place = record,
            None => self.batch.push(record),
        }
        self.used += 1;
    }

    /// Keeps the last records, and at its time gives them once more, in order, unchanged.
    fn repeat(&mut self) {
        for record in &self.batch[..self.used] {
            if self.recent.len() == REPEATED {
                self.recent.pop_front();
            }
            self.recent.push_back(record.clone());
        }
        if self.changes.is_multiple_of(self.mischief.repeat_every) {
            for record in self.recent.clone() {
                self.push(record);
            }
        }
    }
}

fn snapshot_mark(rows: &[Row], n: usize) -> &'static str {
    let starts_table = n == 0 || rows[n - 1].table() != rows[n].table();
    let ends_table = n + 1 == rows.len() || rows[n + 1].table() != rows[n].table();
    match (n, starts_table, ends_table) {
        (0, _, _) => "first",
        _ if n + 1 == rows.len() => "last",
        (_, true, _) => "first_in_data_collection",
        (_, _, true) => "last_in_data_collection",
        _ => "true",
    }
}

#[cfg(test)]
mod tests;
