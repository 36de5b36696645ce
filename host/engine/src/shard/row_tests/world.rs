//! A table upstream, its log, and a connector that writes the log to some partitions.

use proptest::prelude::*;
use std::collections::BTreeMap;
use weir_types::record::{Record, RecordBatch, Rekey};
use weir_types::{Micros, SECOND};

pub const PARTITIONS: usize = 3;
pub const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z

/// What happens upstream.
#[derive(Clone, Debug)]
pub enum Step {
    /// Row `id` is made, or changed.
    Put(i64, i64, bool),
    /// The same, by a statement that began a minute before.
    SlowPut(i64, i64, bool),
    Delete(i64),
    /// Row `id` gets another primary key.
    Rekey(i64, i64),
    Truncate,
    /// The connector reads all rows anew, as it does when it has lost its offsets.
    Snapshot,
    /// The connector was killed, and sends its last changes again.
    Repeat(usize),
    /// The server's log begins anew, a quarter of an hour later.
    NewLog,
    /// As [`Step::Put`] and [`Step::Delete`], but nothing of it reaches Kafka.
    LostPut(i64, i64, bool),
    LostDelete(i64),
    /// As [`Step::Snapshot`], with the last read marked as such.
    WholeSnapshot,
}

/// A record on its way to Kafka.
#[derive(Clone)]
pub struct Sent {
    pub key: Option<String>,
    pub value: String,
    pub rekey: Rekey,
    is_read: bool,
    partition: usize,
}

/// Counts by window, dimension set, dims and window start.
pub type Created = BTreeMap<(String, String, Vec<String>, Micros), i64>;

/// The table upstream, and what the connector wrote.
pub struct World {
    pub rows: BTreeMap<i64, (i64, bool)>,
    file: u64,
    pos: u64,
    seconds: i64,
    /// Whether the next read is the last one of its snapshot.
    is_last: bool,
    /// A column that the table lacks at the moment.
    pub lacks: Option<&'static str>,
    /// `t.created` by window, set, dims and start, from the births that have what it needs.
    pub created: Created,
    sent: Vec<Sent>,
    pub partitions: Vec<Vec<Sent>>,
}

impl World {
    pub fn new() -> World {
        World {
            rows: BTreeMap::new(),
            file: 5,
            pos: 100,
            seconds: 0,
            is_last: false,
            lacks: None,
            created: Created::new(),
            sent: Vec::new(),
            partitions: vec![Vec::new(); PARTITIONS],
        }
    }

    pub fn take(&mut self, step: &Step) {
        self.pos += 10;
        self.seconds += 1;
        match *step {
            Step::Put(id, queue, open) => self.put(id, (queue, open), 0),
            Step::SlowPut(id, queue, open) => self.put(id, (queue, open), 60),
            Step::Delete(id) => {
                if let Some(old) = self.rows.remove(&id) {
                    self.send('d', id, Some(old), None, Rekey::None, 0);
                }
            }
            Step::Rekey(from, to) => {
                if from != to && self.rows.contains_key(&from) && !self.rows.contains_key(&to) {
                    let row = self.rows.remove(&from).expect("it is there");
                    self.rows.insert(to, row);
                    self.send('d', from, Some(row), None, Rekey::Delete, 0);
                    self.send('c', to, None, Some(row), Rekey::Insert, 0);
                }
            }
            Step::Truncate => {
                self.rows.clear();
                self.send('t', 0, None, None, Rekey::None, 60);
            }
            Step::Snapshot | Step::WholeSnapshot => {
                let last = self.rows.last_key_value().map(|(id, _)| *id);
                for (id, row) in self.rows.clone() {
                    self.is_last = matches!(step, Step::WholeSnapshot) && last == Some(id);
                    self.send('r', id, None, Some(row), Rekey::None, 0);
                }
            }
            Step::LostPut(id, queue, open) => drop(self.rows.insert(id, (queue, open))),
            Step::LostDelete(id) => drop(self.rows.remove(&id)),
            Step::Repeat(count) => {
                let from = self.sent.len().saturating_sub(count);
                // A snapshot's reads are not sent again as they were: it begins anew.
                let again: Vec<Sent> = self.sent[from..].iter().filter(|s| !s.is_read).cloned().collect();
                again.into_iter().for_each(|sent| self.partitions[sent.partition].push(sent));
            }
            Step::NewLog => {
                (self.file, self.pos) = (1, 4);
                self.seconds += 900;
                // The connector lost its place with the log.
                self.sent.clear();
            }
        }
    }

    fn put(&mut self, id: i64, row: (i64, bool), age: i64) {
        let old = self.rows.insert(id, row);
        self.send(if old.is_some() { 'u' } else { 'c' }, id, old, Some(row), Rekey::None, age);
    }

    fn send(
        &mut self,
        op: char,
        id: i64,
        before: Option<(i64, bool)>,
        after: Option<(i64, bool)>,
        rekey: Rekey,
        age: i64,
    ) {
        let at = BASE / 1000 + self.seconds * 1000;
        let image = |row: Option<(i64, bool)>| match row {
            None => "null".to_string(),
            Some((queue, open)) => {
                let status = if open { r#""open""# } else { r#""solved""# };
                let cells = [
                    ("queue_id", queue.to_string()),
                    ("status", status.into()),
                    ("created_at", at.to_string()),
                ];
                let there = cells.iter().filter(|(name, _)| self.lacks != Some(*name));
                let cells: String = there.map(|(name, cell)| format!(r#""{name}":{cell},"#)).collect();
                format!(r#"{{"id":"{id}",{cells}"updated_at":{at}}}"#)
            }
        };
        if let ('c', Rekey::None, None | Some("status"), Some((queue, _))) = (op, rekey, self.lacks, after) {
            for (window, length) in [("1m", 60), ("1h", 3600), ("day", 86400)] {
                let start = (at * 1000).div_euclid(length * SECOND) * length * SECOND;
                for (set, dims) in [("", vec![]), ("queue_id", vec![queue.to_string()])] {
                    *self.created.entry((window.into(), set.into(), dims, start)).or_default() += 1;
                }
            }
        }
        let (server, snapshot) = match op {
            'r' if self.is_last => (0, "last_in_data_collection"),
            'r' => (0, "true"),
            _ => (1, "false"),
        };
        let value = format!(
            r#"{{"before":{},"after":{},"source":{{"version":"3","connector":"mariadb","name":"s","ts_ms":{},"snapshot":"{snapshot}","db":"service","table":"ticket","server_id":{server},"gtid":null,"file":"binlog.{:06}","pos":{},"row":0}},"op":"{op}","ts_ms":1}}"#,
            image(before),
            image(after),
            at - age * 1000,
            self.file,
            self.pos,
        );
        let partition = if op == 't' { 1 } else { id as usize % PARTITIONS };
        let key = (op != 't').then(|| format!(r#"{{"id":"{id}"}}"#));
        let sent = Sent { key, value, rekey, is_read: op == 'r', partition };
        self.sent.push(sent.clone());
        self.partitions[partition].push(sent);
    }

    /// `t.open` by set and dims.
    pub fn open(&self) -> BTreeMap<(String, Vec<String>), i64> {
        let mut numbers = BTreeMap::new();
        for (queue, _) in self.rows.values().filter(|(_, open)| *open) {
            for key in [("".to_string(), vec![]), ("queue_id".to_string(), vec![queue.to_string()])] {
                *numbers.entry(key).or_default() += 1;
            }
        }
        numbers
    }
}

/// Records of a partition from an offset on.
pub fn batch(partitions: &[Vec<Sent>], partition: usize, from: usize, count: usize) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for (at, sent) in partitions[partition].iter().enumerate().skip(from).take(count) {
        batch.push(Record {
            partition: partition as u32,
            offset: at as i64,
            timestamp: None,
            key: sent.key.as_deref().map(str::as_bytes),
            value: Some(sent.value.as_bytes()),
            rekey: sent.rekey,
        });
    }
    batch
}

pub fn step() -> impl Strategy<Value = Step> {
    let (id, queue) = (0..9i64, 0..2i64);
    prop_oneof![
        8 => (id.clone(), queue.clone(), any::<bool>()).prop_map(|(i, q, o)| Step::Put(i, q, o)),
        3 => (id.clone(), queue, any::<bool>()).prop_map(|(i, q, o)| Step::SlowPut(i, q, o)),
        3 => id.clone().prop_map(Step::Delete),
        3 => (id.clone(), id).prop_map(|(from, to)| Step::Rekey(from, to)),
        2 => Just(Step::Truncate),
        1 => Just(Step::Snapshot),
        2 => (1..12usize).prop_map(Step::Repeat),
        1 => Just(Step::NewLog),
    ]
}

/// Steps that reach Kafka whole, and some that do not.
pub fn lossy() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => step(),
        1 => (0..9i64, 0..2i64, any::<bool>()).prop_map(|(i, q, o)| Step::LostPut(i, q, o)),
        1 => (0..9i64).prop_map(Step::LostDelete),
    ]
}
