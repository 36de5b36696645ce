//! The table upstream, and what is written of it.

use super::super::fakes::options;
use super::{BASE, PARTITIONS};
use crate::Options;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl};

/// How the changes are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Plain,
    PlainVersioned,
    Canal,
}

pub fn options_of(kind: Kind, suspend_after: u64) -> Options {
    let options = options();
    let mut source: SourceDecl = (*options.sources[0]).clone();
    let version =
        ColumnDecl { name: "version".into(), ty: ColumnType::Int, nullable: false, values: Vec::new() };
    source.columns.push(version);
    source.format = if kind == Kind::Canal { Format::CanalJson } else { Format::PlainJson };
    let version_column = (kind != Kind::Plain).then_some(source.columns.len() - 1);
    source.reading = Reading { version_column, ..Reading::default() };
    Options { sources: vec![Arc::new(source)], suspend_after, ..options }
}

/// What happens upstream.
#[derive(Clone, Debug)]
pub enum Step {
    Put(i64, i64, bool),
    /// Two rows of one partition at once.
    Pair(i64, i64, bool),
    Delete(i64),
    Truncate,
    /// The last records of a partition come again.
    Repeat(usize, usize),
    /// A record that can be read only when it is taken up again.
    Broken(i64, i64, bool),
    /// The column `status` goes, or comes back.
    Lack(bool),
}

pub fn step() -> impl Strategy<Value = Step> {
    let (id, queue) = (0..9i64, 0..2i64);
    prop_oneof![
        9 => (id.clone(), queue.clone(), any::<bool>()).prop_map(|(i, q, o)| Step::Put(i, q, o)),
        3 => (id.clone(), queue.clone(), any::<bool>()).prop_map(|(i, q, o)| Step::Pair(i, q, o)),
        4 => id.clone().prop_map(Step::Delete),
        1 => Just(Step::Truncate),
        2 => (0..PARTITIONS, 1..6usize).prop_map(|(p, n)| Step::Repeat(p, n)),
        2 => (id, queue, any::<bool>()).prop_map(|(i, q, o)| Step::Broken(i, q, o)),
    ]
}

/// As [`step`], and the column comes and goes.
pub fn lacking() -> impl Strategy<Value = Step> {
    prop_oneof![8 => step(), 1 => any::<bool>().prop_map(Step::Lack)]
}

#[derive(Clone, Debug)]
pub struct Sent {
    pub key: Option<String>,
    pub value: Option<String>,
    /// What it is when it is taken up again.
    pub mended: Option<String>,
}

/// A row of the table upstream.
#[derive(Clone, Copy)]
pub struct Row {
    queue: i64,
    open: bool,
    created: i64,
    updated: i64,
    version: i64,
}

/// The table upstream and what was written of it.
pub struct World {
    pub kind: Kind,
    pub rows: BTreeMap<i64, Row>,
    pub second: i64,
    pub lacks: bool,
    pub partitions: Vec<Vec<Sent>>,
}

impl World {
    pub fn new(kind: Kind, steps: &[Step]) -> World {
        let partitions = vec![Vec::new(); PARTITIONS];
        let mut world = World { kind, rows: BTreeMap::new(), second: 0, lacks: false, partitions };
        steps.iter().for_each(|step| world.take(step));
        world
    }

    pub fn take(&mut self, step: &Step) {
        self.second += 1;
        match *step {
            Step::Put(id, queue, open) => self.put(&[id], queue, open, false),
            Step::Pair(id, queue, open) => self.put(&[id, id + PARTITIONS as i64], queue, open, false),
            Step::Broken(id, queue, open) => self.put(&[id], queue, open, true),
            Step::Delete(id) => self.delete(id),
            Step::Truncate if self.kind == Kind::Canal => {
                self.rows.clear();
                let value = r#"{"type":"TRUNCATE","isDdl":true,"table":"ticket","data":null,"old":null}"#;
                self.send(1, None, Some(value.into()), false);
            }
            Step::Truncate => {}
            Step::Repeat(partition, count) => {
                let sent = &mut self.partitions[partition];
                let from = sent.len().saturating_sub(count);
                sent.extend_from_within(from..);
            }
            Step::Lack(lacks) => self.lacks = lacks,
        }
    }

    fn put(&mut self, ids: &[i64], queue: i64, open: bool, broken: bool) {
        let partition = ids[0] as usize % PARTITIONS;
        let mut images = Vec::new();
        for id in ids {
            let old = self.rows.get(id).copied();
            let created = old.map_or(self.second, |old| old.created);
            let row = Row { queue, open, created, updated: self.second, version: self.second };
            self.rows.insert(*id, row);
            images.push((*id, old, row));
        }
        if self.kind != Kind::Canal {
            for (id, _, row) in images {
                self.send(partition, Some(id.to_string()), Some(self.image(id, row)), broken);
            }
            return;
        }
        // Rows of one record are of one kind.
        let (new, known): (Vec<_>, Vec<_>) = images.into_iter().partition(|(_, old, _)| old.is_none());
        for (kind, images) in [("INSERT", new), ("UPDATE", known)] {
            if images.is_empty() {
                continue;
            }
            let data: Vec<String> = images.iter().map(|(id, _, row)| self.image(*id, *row)).collect();
            let old: Vec<String> =
                images.iter().filter_map(|(id, old, _)| Some(self.image(*id, (*old)?))).collect();
            let old = if old.is_empty() { "null".into() } else { format!("[{}]", old.join(",")) };
            self.send(partition, None, Some(canal(kind, &data.join(","), &old)), broken);
        }
    }

    fn delete(&mut self, id: i64) {
        let Some(old) = self.rows.remove(&id) else { return };
        let partition = id as usize % PARTITIONS;
        match self.kind {
            Kind::Canal => {
                let value = canal("DELETE", &self.image(id, old), "null");
                self.send(partition, None, Some(value), false);
            }
            _ => self.send(partition, Some(id.to_string()), None, false),
        }
    }

    fn image(&self, id: i64, row: Row) -> String {
        let ms = |s: i64| BASE / 1000 + s * 1000;
        let Row { queue, open, created, updated, version } = row;
        let status = match (self.lacks, open) {
            (true, _) => "",
            (false, true) => r#""status":"open","#,
            (false, false) => r#""status":"done","#,
        };
        format!(
            r#"{{"id":"{id}","queue_id":"{queue}",{status}"created_at":"{}","updated_at":"{}","version":"{version}"}}"#,
            ms(created),
            ms(updated)
        )
    }

    fn send(&mut self, partition: usize, key: Option<String>, value: Option<String>, broken: bool) {
        let (value, mended) = if broken { (Some("no change".into()), value) } else { (value, None) };
        self.partitions[partition].push(Sent { key, value, mended });
    }
}

pub fn canal(kind: &str, data: &str, old: &str) -> String {
    format!(r#"{{"type":"{kind}","isDdl":false,"table":"ticket","data":[{data}],"old":{old}}}"#)
}
