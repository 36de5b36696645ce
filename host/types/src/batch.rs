//! Decoded changes of one source as columns: what the decoder fills and the engine reads.

use crate::Micros;
use rustc_hash::FxHashMap;

/// State of one cell of a column.
pub mod cell {
    /// The column is null in this row, or the row has no such image.
    pub const NULL: u8 = 0;
    /// There is a value.
    pub const VALUE: u8 = 1;
    /// The value is missing or does not fit the declared type: the row is excluded for the metrics
    /// that ask for the column, and for no other.
    pub const UNFIT: u8 = 2;
}

/// One column of a batch. A null or unfit cell's value is 0, so that two cells are equal exactly when
/// their states and values are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    /// i64; f64 bits; 0 or 1; microseconds; or a code of the column's [`Dictionary`].
    pub values: Vec<i64>,
    /// One of [`cell`] for each row.
    pub states: Vec<u8>,
}

impl Cells {
    #[inline(always)]
    pub fn push(&mut self, value: i64) {
        self.values.push(value);
        self.states.push(cell::VALUE);
    }
    #[inline(always)]
    pub fn push_null(&mut self) {
        self.values.push(0);
        self.states.push(cell::NULL);
    }
    #[inline(always)]
    pub fn push_unfit(&mut self) {
        self.values.push(0);
        self.states.push(cell::UNFIT);
    }
    pub fn len(&self) -> usize {
        self.states.len()
    }
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }
    pub fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.states.truncate(rows);
    }
    pub fn clear(&mut self) {
        self.truncate(0);
    }
    /// Keeps, of the rows from `first` on, those for which `keep` is true. A column that is not decoded
    /// stays empty.
    fn retain_from(&mut self, first: usize, keep: &[bool]) {
        if !self.is_empty() {
            retain_from(&mut self.values, first, keep);
            retain_from(&mut self.states, first, keep);
        }
    }
}

/// Keeps, of the items from `first` on, those for which `keep` is true.
fn retain_from<T: Copy>(items: &mut Vec<T>, first: usize, keep: &[bool]) {
    let mut to = first;
    for (from, keep) in (first..).zip(keep) {
        if *keep {
            items[to] = items[from];
            to += 1;
        }
    }
    items.truncate(to);
}

/// The distinct texts of one column of a batch; codes are dense and given in order of appearance.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    codes: FxHashMap<Box<[u8]>, u32>,
    offsets: Vec<u32>,
    bytes: Vec<u8>,
    last: u32,
}

impl Dictionary {
    /// The code of a text. `text` must be valid UTF-8 (the decoder checks it).
    #[inline]
    pub fn code(&mut self, text: &[u8]) -> u32 {
        if !self.codes.is_empty() && self.get_bytes(self.last) == text {
            return self.last;
        }
        let next = self.codes.len() as u32;
        let code = match self.codes.get(text) {
            Some(code) => *code,
            None => {
                if self.offsets.is_empty() {
                    self.offsets.push(0);
                }
                self.codes.insert(text.into(), next);
                self.bytes.extend_from_slice(text);
                self.offsets.push(self.bytes.len() as u32);
                next
            }
        };
        self.last = code;
        code
    }
    /// The bytes of a code that was given out.
    #[inline]
    pub fn get_bytes(&self, code: u32) -> &[u8] {
        let at = code as usize;
        &self.bytes[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }
    /// The text of a code that was given out.
    pub fn get(&self, code: u32) -> &str {
        std::str::from_utf8(self.get_bytes(code)).unwrap_or("\u{fffd}")
    }
    pub fn len(&self) -> usize {
        self.codes.len()
    }
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }
    /// Ends of the texts in [`Dictionary::bytes`], with a leading 0; empty when there are no texts.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }
    /// The texts, one after the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    pub fn clear(&mut self) {
        self.codes.clear();
        self.offsets.clear();
        self.bytes.clear();
        self.last = 0;
    }
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A row was born: no before image.
    Insert,
    /// Both images, as far as the format carries them.
    Update,
    /// A row ended: no after image.
    Delete,
    /// A snapshot's read of a standing row: sets current values, is no event.
    Read,
    /// As [`Op::Read`], and the snapshot has no more rows of this table.
    LastRead,
    /// The delete half of a changed primary key: as [`Op::Delete`] for current values, no event.
    RekeyDelete,
    /// The insert half of a changed primary key: as [`Op::Insert`] for current values, no event.
    RekeyInsert,
    /// The whole table was emptied; both images are absent.
    Truncate,
}

impl Op {
    /// Whether it is a snapshot's read.
    #[inline]
    pub fn is_read(self) -> bool {
        matches!(self, Op::Read | Op::LastRead)
    }
    /// Whether event metrics see it.
    #[inline]
    pub fn is_event(self) -> bool {
        matches!(self, Op::Insert | Op::Update | Op::Delete)
    }
}

/// Where a change stands in the upstream's log, ordered. Two changes of one server with equal
/// positions are the same change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the binlog file.
    pub file: u64,
    /// Byte position in it.
    pub pos: u64,
    /// Row within the row event.
    pub row: u32,
    /// 0 for a delete, 1 else: the delete half of a changed key comes before its insert half.
    pub rank: u8,
}

/// Where a row came from upstream, for replay marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The upstream server's id (positions of different servers cannot be compared).
    pub server: u64,
    pub position: Position,
    /// Upstream's own time of the change in microseconds (often whole seconds): only to tell a
    /// repeat from a new lineage.
    pub source_time: Micros,
}

/// Changes of one source, one row for each, as columns. Images' columns stand by index of the
/// declared column; columns that no metric asks for stay empty (length 0).
#[derive(Clone, Debug, Default)]
pub struct ChangeBatch {
    pub ops: Vec<Op>,
    /// Index of the partition in the engine's list of partitions.
    pub partitions: Vec<u32>,
    pub offsets: Vec<i64>,
    /// Number of the row within its record (0 unless the format packs several).
    pub rows_in_record: Vec<u32>,
    /// Event time of the change; state as in [`cell`].
    pub event_times: Cells,
    /// None where the format carries none. A snapshot's reads have the place in the log at which the
    /// snapshot was taken (server 0 where the format does not say which): all of them the same, so they are
    /// no replay marks.
    pub origins: Vec<Option<Origin>>,
    /// 1 where there is such an image.
    pub before_present: Vec<u8>,
    pub after_present: Vec<u8>,
    pub before: Vec<Cells>,
    pub after: Vec<Cells>,
    /// One for each declared column, used by text columns; shared by both images.
    pub dictionaries: Vec<Dictionary>,
}

impl ChangeBatch {
    /// An empty batch for a source with so many declared columns.
    pub fn new(columns: usize) -> Self {
        ChangeBatch {
            before: vec![Cells::default(); columns],
            after: vec![Cells::default(); columns],
            dictionaries: vec![Dictionary::default(); columns],
            ..Default::default()
        }
    }
    #[inline]
    pub fn len(&self) -> usize {
        self.ops.len()
    }
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
    /// Drops all rows from `rows` on. Also mends columns of unequal length after a record that failed
    /// half way, as long as `rows` is the length before it.
    pub fn truncate(&mut self, rows: usize) {
        self.ops.truncate(rows);
        self.partitions.truncate(rows);
        self.offsets.truncate(rows);
        self.rows_in_record.truncate(rows);
        self.event_times.truncate(rows);
        self.origins.truncate(rows);
        self.before_present.truncate(rows);
        self.after_present.truncate(rows);
        for column in self.before.iter_mut().chain(&mut self.after) {
            column.truncate(rows);
        }
    }
    /// Keeps, of the rows from `first` on, those for which `keep`, one for each of them, is true.
    pub fn retain_from(&mut self, first: usize, keep: &[bool]) {
        if keep.iter().all(|keep| *keep) {
            return;
        }
        retain_from(&mut self.ops, first, keep);
        retain_from(&mut self.partitions, first, keep);
        retain_from(&mut self.offsets, first, keep);
        retain_from(&mut self.rows_in_record, first, keep);
        retain_from(&mut self.origins, first, keep);
        retain_from(&mut self.before_present, first, keep);
        retain_from(&mut self.after_present, first, keep);
        self.event_times.retain_from(first, keep);
        for column in self.before.iter_mut().chain(&mut self.after) {
            column.retain_from(first, keep);
        }
    }
    /// Drops all rows and texts, keeping the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
        self.dictionaries.iter_mut().for_each(Dictionary::clear);
    }
    /// Roughly the bytes held, for the epoch's limit.
    pub fn size_bytes(&self) -> usize {
        let columns = self.before.iter().chain(&self.after).map(|c| c.values.len() * 9).sum::<usize>();
        columns + self.len() * 80 + self.dictionaries.iter().map(|d| d.bytes.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_out_of_all_columns_alike() {
        let mut batch = ChangeBatch::new(2);
        for row in 0..5u32 {
            batch.ops.push(Op::Insert);
            batch.partitions.push(row);
            batch.offsets.push(i64::from(row));
            batch.rows_in_record.push(row);
            batch.event_times.push(i64::from(row));
            batch.origins.push(None);
            batch.before_present.push(row as u8);
            batch.after_present.push(row as u8);
            batch.before[0].push(i64::from(row));
            batch.after[0].push(i64::from(row));
        }
        batch.retain_from(2, &[false, true, false]);
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.offsets, [0, 1, 3]);
        for column in [&batch.event_times, &batch.before[0], &batch.after[0]] {
            assert_eq!((&column.values[..], column.states.len()), (&[0, 1, 3][..], 3));
        }
        assert_eq!((batch.partitions, batch.rows_in_record), (vec![0, 1, 3], vec![0, 1, 3]));
        assert_eq!((batch.before_present, batch.after_present), (vec![0, 1, 3], vec![0, 1, 3]));
        assert!(batch.before[1].is_empty() && batch.after[1].is_empty(), "a column that is not decoded");
    }
}
