//! How sources were declared when what is stored of them was written: their rows and versions are keyed and compared by
//! that, and mean nothing under another declaration.

use crate::stored::{Keyspace, StoredDeclared, StoredSourceDeclared, decode, encode};
use crate::{EngineError, Options};
use std::collections::BTreeMap;
use weir_types::ports::StateStore;
use weir_types::schema::{ColumnType, SourceDecl};

/// How a column is declared: its type, and the time zone where that makes the value.
pub fn column(source: &SourceDecl, at: usize) -> String {
    let ty = source.columns[at].ty;
    let zoned = matches!(ty, ColumnType::DateTime(_) | ColumnType::DateDays | ColumnType::DateText);
    let zone = &source.reading.time_zone;
    match zone.iana_name().unwrap_or("an offset") {
        name if zoned && name != "UTC" => format!("{ty:?} in {name}"),
        _ => format!("{ty:?}"),
    }
}

/// Refuses a state in which a source was declared in another way. Gives what is to be stored, if it is news.
pub fn check(
    options: &Options,
    keys: &Keyspace,
    store: &dyn StateStore,
) -> Result<Option<Vec<u8>>, EngineError> {
    let stored: StoredDeclared = match store.get(&keys.declared())? {
        Some(bytes) => decode("declaration of sources", &bytes)?,
        None => StoredDeclared::default(),
    };
    let mut all = stored.clone();
    for source in &options.sources {
        let now = of(source);
        let kept = all.sources.remove(&source.name).unwrap_or_else(|| now.clone());
        let rekeyed = kept.primary_key != now.primary_key;
        if rekeyed && any(&stored_by_key(keys, source, &kept.versions), store)? {
            let (then, now) = (kept.primary_key.join(", "), now.primary_key.join(", "));
            return Err(differs(source, "primary_key", &then, &now));
        }
        // Versions of a column that is none today are still there.
        let mut versions = kept.versions;
        for (column, declared) in now.versions {
            let rows = versions_of(keys, source, &column);
            let kept = versions.insert(column, declared.clone()).unwrap_or_else(|| declared.clone());
            if kept != declared && any(&rows, store)? {
                return Err(differs(source, "version_column", &kept, &declared));
            }
        }
        all.sources
            .insert(source.name.clone(), StoredSourceDeclared { primary_key: now.primary_key, versions });
    }
    Ok((all != stored).then(|| encode(&all)))
}

/// Where rows and versions of a source are stored, by its primary key.
fn stored_by_key(keys: &Keyspace, source: &SourceDecl, versions: &BTreeMap<String, String>) -> Vec<String> {
    let rows = [keys.rows_deltas(&source.name), keys.rows_buckets(&source.name)];
    rows.into_iter().chain(versions.keys().flat_map(|column| versions_of(keys, source, column))).collect()
}

fn versions_of(keys: &Keyspace, source: &SourceDecl, column: &str) -> [String; 2] {
    [keys.versions_deltas(&source.name, column), keys.versions_buckets(&source.name, column)]
}

/// Whether anything is stored under these: under a declaration by which nothing could be read there is nothing.
fn any(prefixes: &[String], store: &dyn StateStore) -> Result<bool, EngineError> {
    for prefix in prefixes {
        if !store.scan(prefix.as_bytes())?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn differs(source: &SourceDecl, part: &str, then: &str, now: &str) -> EngineError {
    EngineError::Fatal(format!(
        "source {}: its {part} was declared as {then}, and is declared as {now}: what is stored of its rows is known by that. \
         Declare it as before, or begin on a fresh state directory",
        source.name
    ))
}

fn of(source: &SourceDecl) -> StoredSourceDeclared {
    let named = |at: &usize| format!("{} {}", source.columns[*at].name, column(source, *at));
    let versions = source.reading.version_column.iter();
    StoredSourceDeclared {
        primary_key: source.primary_key.iter().map(named).collect(),
        versions: versions.map(|at| (source.columns[*at].name.clone(), column(source, *at))).collect(),
    }
}
