//! The sample records under `tests/data`, taken from real connectors.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use weir_types::record::{Record, Rekey};

#[derive(Clone, Debug)]
pub struct Sample {
    pub folder: String,
    /// As `ticket-update`.
    pub name: String,
    pub key: Option<Vec<u8>>,
    /// None: a tombstone.
    pub value: Option<Vec<u8>>,
    pub rekey: Rekey,
}

impl Sample {
    pub fn record(&self) -> Record<'_> {
        Record { rekey: self.rekey, ..super::record(self.key.as_deref(), self.value.as_deref()) }
    }
    pub fn is_of(&self, table: &str) -> bool {
        self.name.starts_with(table)
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// One sample by folder and name.
pub fn sample(in_folder: &str, name: &str) -> Sample {
    let read = |ending: &str| {
        let bytes = std::fs::read(folder(in_folder).join(format!("{name}{ending}"))).ok()?;
        // The files of keys end with a line break that was not in the record.
        Some(bytes.trim_ascii_end().to_vec())
    };
    let headers = read(".headers.json").unwrap_or_default();
    let has = |header: &str| String::from_utf8_lossy(&headers).contains(header);
    let rekey = if has("__debezium.newkey") {
        Rekey::Delete
    } else if has("__debezium.oldkey") {
        Rekey::Insert
    } else {
        Rekey::None
    };
    let sample = Sample {
        folder: in_folder.into(),
        name: name.into(),
        key: read(".key.json"),
        value: read(".json"),
        rekey,
    };
    assert!(sample.key.is_some() || sample.value.is_some(), "no sample {in_folder}/{name}");
    sample
}

/// All samples of a folder, by name.
pub fn all(in_folder: &str) -> Vec<Sample> {
    let mut names: Vec<String> = std::fs::read_dir(folder(in_folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|file| !file.ends_with(".headers.json"))
        .map(|file| file.trim_end_matches(".json").trim_end_matches(".key").to_string())
        .collect();
    names.sort();
    names.dedup();
    names.iter().map(|name| sample(in_folder, name)).collect()
}
