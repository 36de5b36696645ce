//! The topic: what upstream wrote, and what each record truly is.

use crate::world::Dice;
use rand::Rng;
use std::collections::BTreeMap;
use std::fmt::Write;
use weir_types::record::{Record, Rekey, TopicPartition};
use weir_types::{MINUTE, Micros, SECOND};

pub const PARTITIONS: usize = 2;
pub const TOPIC: &str = "t";
/// How far event times lie behind the clock at most; below the source's bound of 5 s.
const DISORDER_SECONDS: i64 = 4;

/// A row of the table `ticket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub queue: i64,
    pub open: bool,
    pub amount: i64,
    pub created: Micros,
    pub updated: Micros,
}

/// A change of one row.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub id: i64,
    pub before: Option<Row>,
    pub after: Option<Row>,
    /// Position in the binlog, over all partitions.
    pub position: u64,
}

/// What a record is, whatever the engine takes it for.
#[derive(Clone, Copy, Debug)]
pub enum Truth {
    Change(Change),
    /// A change that was written before.
    Repeat,
    /// A snapshot's read of a row.
    Read,
    Tombstone,
    OtherTable,
    Garbage,
    /// A change whose record cannot be read, and can once it is mended.
    Garbled(Change),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub offset: i64,
    pub key: Option<String>,
    pub value: Option<String>,
    /// What a garbled record is to be read as once it is mended.
    pub meant: Option<String>,
    pub truth: Truth,
    /// The greatest event time that upstream had told before.
    pub told_before: Micros,
}

impl Entry {
    pub fn record(&self, partition: u32) -> Record<'_> {
        Record {
            partition,
            offset: self.offset,
            timestamp: None,
            key: self.key.as_deref().map(str::as_bytes),
            value: self.value.as_deref().map(str::as_bytes),
            rekey: Rekey::None,
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct Topic {
    /// Whether a record is the row that its key has from then on, with a version; else a change as Debezium
    /// writes it.
    pub is_plain: bool,
    /// Whether some changes are garbled.
    pub garbles: bool,
    /// Whether a swarm of records comes, once, that nobody can read.
    pub swarms: bool,
    pub partitions: [Vec<Entry>; PARTITIONS],
    next: [i64; PARTITIONS],
    /// The table upstream.
    pub rows: BTreeMap<i64, Row>,
    ids: i64,
    position: u64,
    /// Changes of which no record tells.
    pub untold: u64,
    /// The greatest event time of all changes that were told.
    pub told: Micros,
}

pub fn partition(at: usize) -> TopicPartition {
    TopicPartition { topic: TOPIC.into(), partition: at as i32 }
}

impl Topic {
    /// Plain rows say only what a row is from then on: one that is left out changes what those after it are, so
    /// none is garbled.
    pub fn new(is_plain: bool, garbles: bool, swarms: bool) -> Topic {
        Topic { is_plain, garbles: garbles && !is_plain, swarms, told: Micros::MIN, ..Topic::default() }
    }

    /// The entry at an offset that is there.
    pub fn entry(&self, at: usize, offset: i64) -> Option<&Entry> {
        self.partitions[at].get(self.index(at, offset)).filter(|entry| entry.offset == offset)
    }

    /// Index of the first record of a partition with an offset of at least `offset`.
    pub fn index(&self, at: usize, offset: i64) -> usize {
        self.partitions[at].partition_point(|entry| entry.offset < offset)
    }

    /// The offset behind the last record of each partition.
    pub fn ends(&self) -> [i64; PARTITIONS] {
        std::array::from_fn(|at| self.partitions[at].last().map_or(0, |entry| entry.offset + 1))
    }

    /// Upstream writes something. `loses`: some changes never reach the topic.
    pub fn write(&mut self, now: Micros, loses: bool, dice: &mut Dice) {
        match dice.random_range(0..40) {
            0 => {
                let many = if std::mem::take(&mut self.swarms) { dice.random_range(90..150) } else { 1 };
                let at = dice.random_range(0..PARTITIONS);
                (0..many).for_each(|_| self.push(at, Some("no json at all".into()), Truth::Garbage));
            }
            1 if !self.is_plain => {
                let at = dice.random_range(0..PARTITIONS);
                let text = r#"{"before":null,"after":{"id":1},"source":{"table":"other","ts_ms":1,"server_id":1,"file":"b.000001","pos":1,"row":0},"op":"c","ts_ms":1}"#;
                self.push(at, Some(text.into()), Truth::OtherTable);
            }
            // A transaction marker or an aborted record takes an offset and is never seen.
            2 => self.next[dice.random_range(0..PARTITIONS)] += dice.random_range(1..4),
            3 => self.repeat(dice),
            4 | 5 if loses => {
                self.untold += 1;
                self.change(now, dice);
            }
            6..9 if self.garbles => {
                let change = self.change(now, dice);
                self.send(change, now, true);
            }
            _ => {
                let change = self.change(now, dice);
                self.send(change, now, false);
            }
        }
    }

    /// The connector reads the whole table anew. `is_marked`: it says which read is the last. `lacks`: a row is
    /// left out.
    pub fn snapshot(&mut self, now: Micros, is_marked: bool, lacks: bool) {
        let rows: Vec<(i64, Row)> =
            self.rows.iter().map(|(id, row)| (*id, *row)).skip(usize::from(lacks)).collect();
        let last = rows.last().map(|(id, _)| *id);
        for (id, row) in rows {
            let change = Change { id, before: None, after: Some(row), position: self.position };
            let mark = if is_marked && last == Some(id) { "last" } else { "true" };
            let value = debezium(&change, 'r', mark, now);
            self.push_keyed(id as usize % PARTITIONS, Some(key(id)), Some(value), Truth::Read);
        }
    }

    fn push(&mut self, at: usize, value: Option<String>, truth: Truth) {
        self.push_keyed(at, None, value, truth);
    }

    fn push_keyed(&mut self, at: usize, key: Option<String>, value: Option<String>, truth: Truth) {
        let offset = self.next[at];
        self.next[at] += 1;
        let (meant, told_before) = (None, self.told);
        if let Truth::Change(Change { after: Some(row), .. }) = truth {
            self.told = self.told.max(row.updated);
        }
        self.partitions[at].push(Entry { offset, key, value, meant, truth, told_before });
    }

    /// The connector was restarted: the last changes of a partition come again.
    fn repeat(&mut self, dice: &mut Dice) {
        let at = dice.random_range(0..PARTITIONS);
        let known = &self.partitions[at];
        let from = known.len().saturating_sub(dice.random_range(1..6));
        let changes = known[from..].iter().filter(|e| matches!(e.truth, Truth::Change(_)));
        let again: Vec<Entry> = changes.cloned().collect();
        for entry in again {
            self.push_keyed(at, entry.key, entry.value, Truth::Repeat);
        }
    }

    /// The table changes.
    fn change(&mut self, now: Micros, dice: &mut Dice) -> Change {
        let updated = now - dice.random_range(0..=DISORDER_SECONDS) * SECOND;
        let pick = match self.rows.len() {
            0 => None,
            n => self.rows.keys().nth(dice.random_range(0..n)).copied(),
        };
        let (id, after) = match (pick, dice.random_range(0..10)) {
            (Some(id), 0..=3) => {
                let held = self.rows[&id];
                (id, Some(Row { open: dice.random(), amount: dice.random_range(1..4), updated, ..held }))
            }
            (Some(id), 4) => (id, None),
            _ => {
                self.ids += 1;
                // Some births are old by their own time: late for some windows or for all.
                let age = if dice.random_ratio(1, 15) { dice.random_range(1..200) * MINUTE } else { 0 };
                let queue = dice.random_range(0..2);
                let amount = dice.random_range(1..4);
                (self.ids, Some(Row { queue, open: dice.random(), amount, created: updated - age, updated }))
            }
        };
        let before = self.rows.get(&id).copied();
        match after {
            Some(row) => drop(self.rows.insert(id, row)),
            None => drop(self.rows.remove(&id)),
        }
        self.position += 1;
        Change { id, before, after, position: self.position }
    }

    /// The connector tells a change; `garbled`: so that nobody can read it.
    fn send(&mut self, change: Change, now: Micros, garbled: bool) {
        let (at, key) = (change.id as usize % PARTITIONS, key(change.id));
        if self.is_plain {
            let value = change.after.map(|row| plain(&change, row));
            return self.push_keyed(at, Some(key), value, Truth::Change(change));
        }
        let op = match (change.before, change.after) {
            (None, _) => 'c',
            (_, None) => 'd',
            _ => 'u',
        };
        let value = debezium(&change, op, "false", now);
        match garbled {
            false => self.push_keyed(at, Some(key.clone()), Some(value), Truth::Change(change)),
            true => {
                let broken = value.replace("\"op\"", "no more");
                self.push_keyed(at, Some(key.clone()), Some(broken), Truth::Garbled(change));
                self.partitions[at].last_mut().expect("just pushed").meant = Some(value);
            }
        }
        if change.after.is_none() {
            self.push_keyed(at, Some(key), None, Truth::Tombstone);
        }
    }
}

fn key(id: i64) -> String {
    format!("{{\"id\":\"{id}\"}}")
}

/// The fields of a row.
fn fields(text: &mut String, id: i64, row: Row) {
    let _ = write!(
        text,
        "\"id\":\"{id}\",\"queue_id\":\"{}\",\"status\":\"{}\",\"amount\":{},\"created_at\":{},\"updated_at\":{}",
        row.queue,
        if row.open { "open" } else { "shut" },
        row.amount,
        row.created / 1000,
        row.updated / 1000
    );
}

fn plain(change: &Change, row: Row) -> String {
    let mut text = String::with_capacity(192);
    text.push('{');
    fields(&mut text, change.id, row);
    let _ = write!(text, ",\"version\":{}}}", change.position);
    text
}

fn debezium(change: &Change, op: char, snapshot: &str, now: Micros) -> String {
    let mut text = String::with_capacity(512);
    let mut image = |name: &str, row: Option<Row>| {
        let _ = write!(text, "{}\"{name}\":", if name == "before" { "{" } else { "," });
        let Some(row) = row else { return text.push_str("null") };
        text.push('{');
        fields(&mut text, change.id, row);
        text.push('}');
    };
    image("before", change.before);
    image("after", change.after);
    let _ = write!(
        text,
        ",\"source\":{{\"version\":\"3\",\"connector\":\"mariadb\",\"name\":\"s\",\"ts_ms\":{},\"snapshot\":\"{snapshot}\",\"db\":\"service\",\"table\":\"ticket\",\"server_id\":1,\"gtid\":null,\"file\":\"b.000001\",\"pos\":{},\"row\":0}},\"op\":\"{op}\",\"ts_ms\":1}}",
        now / 1000,
        change.position
    );
    text
}
