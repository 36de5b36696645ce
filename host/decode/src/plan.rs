//! What to decode of a source.

use crate::cell::CellType;
use crate::json::text_of;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use weir_types::schema::SourceDecl;

/// A source's declaration, made ready for decoding, and the columns asked for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub table: String,
    /// The database whose table it is; None: that of any.
    pub database: Option<String>,
    /// All declared columns.
    pub types: Vec<CellType>,
    columns: FxHashMap<String, usize>,
    /// Columns that are decoded whatever is asked for.
    pub always: BTreeSet<usize>,
    /// Columns to decode, ascending.
    pub asked: Vec<usize>,
    is_asked: Vec<bool>,
    /// Names of all declared columns.
    pub names: Vec<String>,
    /// Columns of the primary key, in order, and their names.
    pub key_columns: Vec<usize>,
    pub key_names: Vec<String>,
    pub event_time: usize,
    pub delete_marker: Option<String>,
}

impl Plan {
    pub fn new(source: &SourceDecl) -> Plan {
        let mut plan = Plan {
            table: source.table.clone(),
            database: source.reading.database.clone(),
            types: source.columns.iter().map(|c| CellType::new(c, source)).collect(),
            columns: source.columns.iter().enumerate().map(|(i, c)| (c.name.clone(), i)).collect(),
            always: source
                .primary_key
                .iter()
                .copied()
                .chain([source.event_time])
                .chain(source.reading.version_column)
                .collect(),
            asked: Vec::new(),
            is_asked: Vec::new(),
            names: source.columns.iter().map(|c| c.name.clone()).collect(),
            key_columns: source.primary_key.clone(),
            key_names: source.primary_key.iter().map(|&i| source.columns[i].name.clone()).collect(),
            event_time: source.event_time,
            delete_marker: source.reading.delete_marker.clone(),
        };
        plan.ask(&BTreeSet::new());
        plan
    }

    /// Whether records of that table are the source's. `database`: the token of the record's, looked at only
    /// where the source names one.
    pub fn is_of<'a>(&self, table: &str, database: impl FnOnce() -> Option<&'a str>) -> bool {
        self.table == table
            && self
                .database
                .as_deref()
                .is_none_or(|wanted| database().and_then(text_of).is_some_and(|database| database == wanted))
    }

    /// Decodes these columns from now on; primary key and event time besides.
    pub fn ask(&mut self, columns: &BTreeSet<usize>) {
        self.asked = columns.union(&self.always).copied().filter(|c| *c < self.types.len()).collect();
        self.is_asked = vec![false; self.types.len()];
        for &column in &self.asked {
            self.is_asked[column] = true;
        }
    }

    /// Index of the declared column of that name, if it is asked for.
    pub fn asked_column(&self, name: &str) -> Option<usize> {
        self.columns.get(name).copied().filter(|&i| self.is_asked[i])
    }
}
