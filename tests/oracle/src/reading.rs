//! From the journal's records to what counts. Each is parsed once, whatever is asked of it later.

use crate::debezium::{Change, Meaning, Op};
use crate::fields::{Cell, Row, Table};
use crate::injected::Injected;
use crate::journal::{Partition, Record};
use crate::repeats::Mark;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A record as it counts.
#[derive(Clone, Debug)]
pub enum Counted {
    Applied(Box<Change>),
    Skipped,
    Dead,
}

/// Records by partition, with their offsets, in order.
pub type Records = BTreeMap<Partition, Vec<(i64, Counted)>>;

/// Header of a row change that broke the rules which all others keep.
const CORRECTION: &str = "generator.correction";

/// Table and primary key.
pub type RowId = (&'static str, i64);

/// All that is known of the journal.
#[derive(Debug, Default)]
pub struct Reading {
    pub records: Records,
    pub injected: Injected,
    /// Rows whose whole life is not there, or not by the rules: mended by hand, spoilt, or alive before the
    /// journal begins. Ratios of what happened to them are not bound to lie in 0..1.
    pub irregular: HashSet<RowId>,
    /// Of these the ones that were mended or spoilt.
    pub mended: HashSet<RowId>,
    marks: HashMap<Partition, Mark>,
    newest: HashMap<RowId, Row>,
}

impl Reading {
    /// Reads records of a journal, each partition's in order.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Reading {
        let mut reading = Reading::default();
        records.into_iter().for_each(|record| reading.take(record));
        reading.newest = HashMap::new();
        reading
    }

    pub fn take(&mut self, record: Record) {
        let at: Partition = (record.topic.clone(), record.partition);
        let counted = match crate::foreign::read(&record) {
            Meaning::Dead => Counted::Dead,
            Meaning::Skipped => Counted::Skipped,
            Meaning::Change(change) if self.marks.entry(at.clone()).or_default().is_repeat(change.origin) => {
                Counted::Skipped
            }
            Meaning::Change(change) => Counted::Applied(self.remember(change, &record)),
        };
        self.injected.record(&record, &counted);
        self.records.entry(at).or_default().push((record.offset, counted));
    }

    /// A row's image stands in two records, after the one change and before the next: it is kept once.
    fn remember(&mut self, mut change: Box<Change>, record: &Record) -> Box<Change> {
        let Some(id) = change.row_id() else { return change };
        let known = self.newest.remove(&id);
        let is_marked = record.headers.iter().any(|(name, _)| name == CORRECTION);
        let is_born = change.op == Op::Insert && known.is_none();
        let is_unfit = |row: &Option<Row>| row.iter().flat_map(|r| r.iter()).any(|cell| *cell == Cell::Unfit);
        if is_marked || is_unfit(&change.after) || is_unfit(&change.before) {
            self.mended.insert(id);
            self.irregular.insert(id);
        }
        if known.is_none() && !is_born {
            self.irregular.insert(id);
        }
        if let Some(before) = known.filter(|known| change.before.as_ref() == Some(known)) {
            change.before = Some(before);
        }
        if let Some(after) = &change.after {
            self.newest.insert(id, after.clone());
        }
        change
    }
}

impl Change {
    /// The row that it changes.
    pub fn row_id(&self) -> Option<RowId> {
        let image = self.after.as_ref().or(self.before.as_ref())?;
        Some((self.table.name, image[0].int()?))
    }
}

/// The partitions that carry changes of a table.
pub fn of_table<'a>(
    records: &'a Records,
    table: &Table,
) -> impl Iterator<Item = (&'a Partition, &'a [(i64, Counted)])> {
    let name = table.name;
    records
        .iter()
        .filter(move |(partition, _)| partition.0.rsplit('.').next() == Some(name))
        .map(|(partition, all)| (partition, all.as_slice()))
}
