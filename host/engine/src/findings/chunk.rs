//! The findings of one partition and epoch: from batches, and back into a batch that is read again.

use crate::rowtable::{date_tombstone, declared};
use crate::stored::{StoredChange, StoredFinding, StoredFindings, StoredRowCell};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::batch::{ChangeBatch, Op, cell};
use weir_types::contract::ValueType;
use weir_types::schema::SourceDecl;

/// A row of the batches that were shown: its place in the partition, and where it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    offset: i64,
    row: u32,
    batch: usize,
    at: usize,
}

/// Makes findings of the batches of an epoch.
pub struct Writer<'a> {
    decl: &'a SourceDecl,
    /// Columns of the row table.
    columns: &'a [usize],
    batches: &'a [ChangeBatch],
    by_partition: BTreeMap<u32, Vec<Shown>>,
}

impl<'a> Writer<'a> {
    pub fn new(decl: &'a SourceDecl, columns: &'a [usize], batches: &'a [ChangeBatch]) -> Writer<'a> {
        Writer { decl, columns, batches, by_partition: BTreeMap::new() }
    }

    /// The rows of a partition, in order.
    pub fn rows_of(&mut self, partition: u32) -> Vec<Shown> {
        if self.by_partition.is_empty() {
            for (batch, shown) in self.batches.iter().enumerate() {
                for (at, partition) in shown.partitions.iter().enumerate() {
                    let (offset, row) = (shown.offsets[at], shown.rows_in_record[at]);
                    let rows = self.by_partition.entry(*partition).or_default();
                    rows.push(Shown { offset, row, batch, at });
                }
            }
        }
        let mut rows = self.by_partition.remove(&partition).unwrap_or_default();
        rows.sort_unstable();
        rows
    }

    pub fn findings(&self, rows: Vec<Shown>) -> StoredFindings {
        let mut texts = Texts::default();
        let finding = |shown: Shown| {
            let batch = &self.batches[shown.batch];
            // A row that its version brings back is no event, which its record does not say either.
            let is_told = self.decl.keeps_rows() || batch.ops[shown.at] == Op::RekeyInsert;
            let change = is_told.then(|| StoredChange {
                op: batch.ops[shown.at].into(),
                before: (batch.before_present[shown.at] != 0)
                    .then(|| self.before(batch, shown.at, &mut texts)),
            });
            StoredFinding { offset: shown.offset, row: shown.row, change }
        };
        let rows = rows.into_iter().map(finding).collect();
        let columns = self.columns.iter().map(|column| declared(self.decl, *column)).collect();
        StoredFindings { columns, texts: texts.all, rows }
    }

    fn before(&self, batch: &ChangeBatch, at: usize, texts: &mut Texts) -> Vec<StoredRowCell> {
        let cell = |column: &usize| {
            let cells = &batch.before[*column];
            match cells.states[at] {
                cell::VALUE if is_text(self.decl, *column) => {
                    texts.cell(batch.dictionaries[*column].get(cells.values[at] as u32))
                }
                cell::VALUE => StoredRowCell::Value(cells.values[at]),
                cell::NULL => StoredRowCell::Null,
                _ => StoredRowCell::Unfit,
            }
        };
        self.columns.iter().map(cell).collect()
    }
}

fn is_text(decl: &SourceDecl, column: usize) -> bool {
    decl.columns[column].ty.value_type() == ValueType::Text
}

#[derive(Default)]
struct Texts {
    codes: FxHashMap<String, u32>,
    all: Vec<String>,
}

impl Texts {
    fn cell(&mut self, text: &str) -> StoredRowCell {
        if let Some(code) = self.codes.get(text) {
            return StoredRowCell::Text(*code);
        }
        let code = self.all.len() as u32;
        self.codes.insert(text.into(), code);
        self.all.push(text.into());
        StoredRowCell::Text(code)
    }
}

/// See the module.
pub struct Chunk {
    decl: Arc<SourceDecl>,
    /// Offsets [from, next) of the partition.
    from: i64,
    next: i64,
    /// The declared column of each cell, if it is declared as it was.
    columns: Vec<Option<usize>>,
    texts: Vec<String>,
    rows: Vec<StoredFinding>,
}

impl Chunk {
    pub fn new(stored: StoredFindings, (from, next): (i64, i64), decl: Arc<SourceDecl>) -> Chunk {
        let StoredFindings { columns, texts, rows } = stored;
        let known = |stored: &(String, String)| {
            decl.column(&stored.0).filter(|column| declared(&decl, *column) == *stored)
        };
        let columns = columns.iter().map(known).collect();
        Chunk { decl, from, next, columns, texts, rows }
    }

    /// Whether it knows of the record at an offset, be it that there is nothing to know.
    pub fn spans(&self, offset: i64) -> bool {
        (self.from..self.next).contains(&offset)
    }

    /// Whether something of the record at an offset was shown.
    pub fn has(&self, offset: i64) -> bool {
        self.rows.binary_search_by_key(&offset, |found| found.offset).is_ok()
    }

    fn get(&self, offset: i64, row: u32) -> Option<&StoredFinding> {
        let at = self.rows.binary_search_by_key(&(offset, row), |found| (found.offset, found.row));
        at.ok().map(|at| &self.rows[at])
    }

    /// Takes the repeats among the rows from `first` on out of the batch; false if no row is left.
    pub fn keep_new(&self, batch: &mut ChangeBatch, first: usize) -> bool {
        let is_new = |row: usize| self.get(batch.offsets[row], batch.rows_in_record[row]).is_some();
        let new: Vec<bool> = (first..batch.len()).map(is_new).collect();
        batch.retain_from(first, &new);
        batch.len() > first
    }

    /// Makes of the rows from `first` on what they were found to be.
    pub fn complete(&self, batch: &mut ChangeBatch, first: usize) {
        for row in first..batch.len() {
            let found = self.get(batch.offsets[row], batch.rows_in_record[row]);
            let Some(change) = found.and_then(|found| found.change.as_ref()) else { continue };
            batch.ops[row] = Op::from(change.op);
            if let Some(before) = &change.before {
                self.fill(batch, row, before);
                date_tombstone(batch, row, self.decl.event_time);
            }
        }
    }

    fn fill(&self, batch: &mut ChangeBatch, row: usize, before: &[StoredRowCell]) {
        batch.before_present[row] = 1;
        // What was not found out is not null: the row before may have had any value.
        for cells in batch.before.iter_mut().filter(|cells| !cells.is_empty()) {
            (cells.values[row], cells.states[row]) = (0, cell::UNFIT);
        }
        for (column, stored) in self.columns.iter().zip(before) {
            // What nobody asks for is not decoded.
            let Some(column) = column.filter(|column| !batch.before[*column].is_empty()) else { continue };
            let (value, state) = match stored {
                StoredRowCell::Value(value) => (*value, cell::VALUE),
                StoredRowCell::Null => (0, cell::NULL),
                StoredRowCell::Unfit => (0, cell::UNFIT),
                StoredRowCell::Text(code) => match self.texts.get(*code as usize) {
                    Some(text) => (i64::from(batch.dictionaries[column].code(text.as_bytes())), cell::VALUE),
                    None => (0, cell::UNFIT),
                },
            };
            let cells = &mut batch.before[column];
            (cells.values[row], cells.states[row]) = (value, state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_found_out_of_the_row_before_does_not_fit_and_is_not_null() {
        let decl = crate::shard::fakes::options().sources[0].clone();
        let before = Some(vec![StoredRowCell::Value(7)]);
        let change = Some(StoredChange { op: Op::Update.into(), before });
        let stored = StoredFindings {
            columns: vec![declared(&decl, 1)],
            texts: Vec::new(),
            rows: vec![StoredFinding { offset: 5, row: 0, change }],
        };
        let mut batch = ChangeBatch::new(decl.columns.len());
        batch.ops.push(Op::Read);
        batch.partitions.push(0);
        batch.offsets.push(5);
        batch.rows_in_record.push(0);
        batch.after_present.push(1);
        batch.before_present.push(0);
        [1, 2].into_iter().for_each(|column| batch.before[column].push_null());
        Chunk::new(stored, (0, 9), decl).complete(&mut batch, 0);
        assert_eq!((batch.ops[0], batch.before_present[0]), (Op::Update, 1));
        assert_eq!((batch.before[1].values[0], batch.before[1].states[0]), (7, cell::VALUE));
        assert_eq!(batch.before[2].states[0], cell::UNFIT);
    }
}
