//! Formats of the row tables.

use super::{ReplayMark, decode_2_or_1, encode_in};
use crate::keys::StoredKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weir_types::Micros;
use weir_types::ports::StateError;

/// The version of [`StoredRows`]. Version 1 had neither places in the log nor rounds.
const FORMAT: u8 = 2;

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
pub fn encode_rows(rows: &StoredRows) -> Vec<u8> {
    encode_in(FORMAT, rows)
}

/// Stored rows from their bytes, of this version or an older one.
pub fn decode_rows(what: &str, bytes: &[u8]) -> Result<StoredRows, StateError> {
    decode_2_or_1::<_, version1::Rows>(what, bytes)
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
