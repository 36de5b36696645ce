//! Formats of the row tables.

use super::{ReplayMark, append, body_of, encode_in, read, read_first};
use crate::keys::{KeyPart, StoredKey};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weir_types::Micros;
use weir_types::ports::StateError;
use weir_types::record::TopicPartition;

/// The version of [`StoredRows`]. Version 1 had neither places in the log nor rounds.
const FORMAT: u8 = 2;
/// The version of [`StoredTable`]. Version 1 did not say from where on rebuilds began.
const TABLE_FORMAT: u8 = 2;

/// Rows of a row table, as they stood at the end of `epoch`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredRows {
    pub epoch: u64,
    /// Texts of cells, each once.
    pub texts: Vec<String>,
    pub rows: Vec<StoredRow>,
}

/// One row: its primary key, and its cells unless it is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRow {
    pub primary_key: StoredKey,
    pub cells: Option<Vec<StoredRowCell>>,
    /// Where the change that set it stands in the upstream's log, if that is known.
    pub origin: Option<ReplayMark>,
    /// The rebuild that it was last set in.
    pub round: u32,
}

/// One cell of a row table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum StoredRowCell {
    Null,
    Value(i64),
    /// Index into the texts beside it.
    Text(u32),
    Unfit,
}

/// What is known of a row table besides its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredTable {
    /// The newest truncate of each upstream server.
    pub truncates: Vec<ReplayMark>,
    /// Number of the newest rebuild.
    pub round: u32,
    /// The rebuild that is under way.
    pub rebuild: Option<StoredRebuild>,
    /// How the columns were declared whose cells are stored.
    pub types: BTreeMap<String, String>,
    /// None: an older host has not said it.
    #[serde(skip)]
    pub began: Option<StoredBegan>,
}

/// Where the partitions of a source stood when rebuilds began: what was read before is older than their snapshots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredBegan {
    /// Next offsets at the beginning of the rebuild that is under way.
    pub running: BTreeMap<TopicPartition, i64>,
    /// The same for the newest one that was finished.
    pub finished: BTreeMap<TopicPartition, i64>,
}

/// Bytes of what is known of a row table.
pub fn encode_table(table: &StoredTable) -> Vec<u8> {
    let mut bytes = encode_in(TABLE_FORMAT, table);
    append(&mut bytes, table.began.as_ref().unwrap_or(&StoredBegan::default()));
    bytes
}

/// What is known of a row table from its bytes, of this version or an older one.
pub fn decode_table(bytes: &[u8]) -> Result<StoredTable, StateError> {
    let what = "row table's head";
    let (format, body) = body_of(what, bytes, TABLE_FORMAT)?;
    let (table, rest) = read_first::<StoredTable>(what, body)?;
    let began = if format == 1 { None } else { Some(read(what, rest)?) };
    Ok(StoredTable { began, ..table })
}

/// A rebuild of a row table from a new snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRebuild {
    /// The epoch's clock when it was asked for.
    pub since: Micros,
    /// Rows that the snapshot has brought.
    pub reads: u64,
    /// The epoch's clock when the end of the snapshot was seen, or declared.
    pub over: Option<Micros>,
}

/// Bytes of stored rows.
#[cfg(test)]
pub fn encode_rows(rows: &StoredRows) -> Vec<u8> {
    super::encode_in(FORMAT, rows)
}

/// Gives what [`encode_rows`] gives, to the byte, from rows that are handed over one by one: none is kept.
pub struct RowsWriter {
    epoch: u64,
    texts: Vec<u8>,
    codes: FxHashMap<i64, u32>,
    rows: Vec<u8>,
    count: usize,
}

impl RowsWriter {
    /// `rows`: how many are expected.
    pub fn new(epoch: u64, rows: usize) -> RowsWriter {
        let rows = Vec::with_capacity(rows * 48);
        RowsWriter { epoch, texts: Vec::new(), codes: FxHashMap::default(), rows, count: 0 }
    }

    /// A cell that holds the text with this id.
    pub fn text<'a>(&mut self, id: i64, text: impl FnOnce() -> &'a str) -> StoredRowCell {
        let next = self.codes.len() as u32;
        StoredRowCell::Text(*self.codes.entry(id).or_insert_with(|| {
            append(&mut self.texts, &text());
            next
        }))
    }

    /// Begins a row: its primary key, and how many cells follow, unless it is gone.
    pub fn begin<'a>(&mut self, key: impl ExactSizeIterator<Item = KeyPart<'a>>, cells: Option<usize>) {
        self.count += 1;
        append(&mut self.rows, &key.len());
        key.for_each(|part| append(&mut self.rows, &part));
        append(&mut self.rows, &cells);
    }

    pub fn cell(&mut self, cell: StoredRowCell) {
        append(&mut self.rows, &cell);
    }

    /// Ends a row.
    pub fn end(&mut self, origin: Option<ReplayMark>, round: u32) {
        append(&mut self.rows, &(origin, round));
    }

    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.texts.len() + self.rows.len() + 32);
        bytes.push(FORMAT);
        append(&mut bytes, &(self.epoch, self.codes.len()));
        bytes.extend_from_slice(&self.texts);
        append(&mut bytes, &self.count);
        bytes.extend_from_slice(&self.rows);
        bytes
    }
}

/// Stored rows from their bytes, of this version or an older one.
pub fn decode_rows(what: &str, bytes: &[u8]) -> Result<StoredRows, StateError> {
    match body_of(what, bytes, FORMAT)? {
        (1, body) => read::<version1::Rows>(what, body).map(StoredRows::from),
        (_, body) => read(what, body),
    }
}

mod version1 {
    use super::{StoredKey, StoredRow, StoredRowCell, StoredRows};

    #[derive(serde::Deserialize)]
    #[cfg_attr(test, derive(serde::Serialize))]
    pub struct Rows {
        pub epoch: u64,
        pub texts: Vec<String>,
        pub rows: Vec<Row>,
    }

    #[derive(serde::Deserialize)]
    #[cfg_attr(test, derive(serde::Serialize))]
    pub struct Row {
        pub primary_key: StoredKey,
        pub cells: Option<Vec<StoredRowCell>>,
    }

    impl From<Rows> for StoredRows {
        fn from(old: Rows) -> StoredRows {
            let row =
                |r: Row| StoredRow { primary_key: r.primary_key, cells: r.cells, origin: None, round: 0 };
            StoredRows { epoch: old.epoch, texts: old.texts, rows: old.rows.into_iter().map(row).collect() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::StoredPart;
    use proptest::prelude::*;

    fn part() -> impl Strategy<Value = StoredPart> {
        prop_oneof![any::<i64>().prop_map(StoredPart::Value), ".{0,9}".prop_map(StoredPart::Text)]
    }

    /// A text stands for its code here: the writer gives codes in the order of first use.
    fn cells() -> impl Strategy<Value = Vec<StoredRowCell>> {
        let cell = prop_oneof![
            Just(StoredRowCell::Null),
            Just(StoredRowCell::Unfit),
            any::<i64>().prop_map(StoredRowCell::Value),
            (0u32..5).prop_map(StoredRowCell::Text),
        ];
        prop::collection::vec(cell, 0..5)
    }

    fn row() -> impl Strategy<Value = StoredRow> {
        let origin = (any::<u64>(), any::<u64>(), any::<u32>(), any::<i64>()).prop_map(
            |(server, pos, row, source_time)| ReplayMark { server, file: 3, pos, row, rank: 1, source_time },
        );
        let key = prop::collection::vec(part(), 0..3);
        (key, prop::option::of(cells()), prop::option::of(origin), any::<u32>())
            .prop_map(|(primary_key, cells, origin, round)| StoredRow { primary_key, cells, origin, round })
    }

    #[test]
    fn a_table_of_the_first_format_does_not_say_where_rebuilds_began() {
        let partition = TopicPartition { topic: "t".into(), partition: 1 };
        let table = StoredTable { round: 3, ..StoredTable::default() };
        assert_eq!(decode_table(&encode_in(1, &table)).expect("read"), table);
        let finished = BTreeMap::from([(partition, 7)]);
        let table = StoredTable { began: Some(StoredBegan { finished, ..StoredBegan::default() }), ..table };
        let bytes = encode_table(&table);
        assert_eq!(decode_table(&bytes).expect("read"), table);
        assert!(decode_table(&bytes[..bytes.len() - 1]).is_err());
    }

    proptest! {
        #[test]
        fn rows_written_one_by_one_give_the_bytes_of_all_at_once(
            mut rows in prop::collection::vec(row(), 0..20), epoch in any::<u64>(),
        ) {
            let (mut writer, mut texts) = (RowsWriter::new(epoch, rows.len()), Vec::new());
            for row in &mut rows {
                let parts = row.primary_key.iter().map(KeyPart::from);
                writer.begin(parts, row.cells.as_ref().map(Vec::len));
                for cell in row.cells.iter_mut().flatten() {
                    if let StoredRowCell::Text(id) = *cell {
                        let text = format!("text {id}");
                        *cell = writer.text(id.into(), || &text);
                        if !texts.contains(&text) {
                            texts.push(text);
                        }
                    }
                    writer.cell(*cell);
                }
                writer.end(row.origin, row.round);
            }
            prop_assert_eq!(writer.finish(), encode_rows(&StoredRows { epoch, texts, rows }));
        }
    }

    #[test]
    fn rows_of_the_first_format_are_read_and_an_unknown_one_is_refused() {
        let key = || vec![StoredPart::Value(7), StoredPart::Text("a".into())];
        let cells = Some(vec![StoredRowCell::Text(0), StoredRowCell::Null]);
        let old = version1::Rows {
            epoch: 3,
            texts: vec!["x".into()],
            rows: vec![version1::Row { primary_key: key(), cells: cells.clone() }],
        };
        let mut bytes = postcard::to_extend(&old, vec![1]).expect("plain data");
        let row = StoredRow { primary_key: key(), cells, origin: None, round: 0 };
        let new = StoredRows { epoch: 3, texts: vec!["x".into()], rows: vec![row] };
        assert_eq!(decode_rows("row table", &bytes).expect("readable"), new);
        assert_eq!(decode_rows("row table", &encode_rows(&new)).expect("readable"), new);
        bytes[0] = 9;
        let error = decode_rows("row table", &bytes).expect_err("unknown").to_string();
        assert!(error.contains("format 9"), "{error}");
    }
}
