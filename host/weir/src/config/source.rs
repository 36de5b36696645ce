//! From a `[[source]]` to a declaration that is right in itself.

use super::sections::{Column, Source};
use weir_types::schema::{ColumnDecl, ColumnType, SourceDecl, TimeUnit};

const TYPES: &str = "int, float, text, bool, time-s, time-ms, time-us, time-ns, time-iso; with `?` nulls fit";

/// The error names the key.
pub fn declare(source: &Source) -> Result<SourceDecl, String> {
    if !is_name(&source.name) {
        return Err("`name` must be lower-case letters, digits and underscores, a letter first".into());
    }
    if source.topics.is_empty() || source.topics.iter().any(|topic| topic.trim().is_empty()) {
        return Err("`topics` must name at least one topic".into());
    }
    if let Some(twice) = source.topics.iter().enumerate().find(|(i, t)| source.topics[..*i].contains(t)) {
        return Err(format!("`topics` names `{}` twice", twice.1));
    }
    let columns = source
        .columns
        .iter()
        .map(|(name, column)| column_decl(name, column).map_err(|e| format!("`columns.{name}`: {e}")))
        .collect::<Result<Vec<_>, _>>()?;
    let index_of = |key: &str, name: &String| {
        columns
            .iter()
            .position(|c| c.name == *name)
            .ok_or_else(|| format!("`{key}` names the column `{name}`, which is not among `columns`"))
    };
    let mut primary_key = Vec::new();
    for name in &source.primary_key {
        let index = index_of("primary_key", name)?;
        if primary_key.contains(&index) {
            return Err(format!("`primary_key` names `{name}` twice"));
        }
        primary_key.push(index);
    }
    if primary_key.is_empty() {
        return Err("`primary_key` must name at least one column".into());
    }
    let event_time = index_of("event_time", &source.event_time)?;
    if !matches!(columns[event_time].ty, ColumnType::Time(_)) {
        return Err(format!("`event_time` names `{}`, whose type is no time", source.event_time));
    }
    if source.idle_after.0 <= 0 {
        return Err("`idle_after` must be longer than 0".into());
    }
    if !(source.max_dead_share > 0.0 && source.max_dead_share <= 1.0) {
        return Err(format!(
            "`max_dead_share` is {}; it must be above 0 and at most 1",
            source.max_dead_share
        ));
    }
    Ok(SourceDecl {
        name: source.name.clone(),
        topics: source.topics.clone(),
        table: source.table.clone().unwrap_or_else(|| source.name.clone()),
        format: source.format,
        columns,
        primary_key,
        event_time,
        out_of_orderness: source.out_of_orderness.0,
        idle_after: source.idle_after.0,
        max_dead_share: source.max_dead_share,
    })
}

fn column_decl(name: &str, column: &Column) -> Result<ColumnDecl, String> {
    let (ty, nullable) = match column.ty.strip_suffix('?') {
        Some(ty) => (ty, true),
        None => (column.ty.as_str(), false),
    };
    let ty = match ty {
        "int" => ColumnType::Int,
        "float" => ColumnType::Float,
        "text" => ColumnType::Text,
        "bool" => ColumnType::Bool,
        "time-s" => ColumnType::Time(TimeUnit::S),
        "time-ms" => ColumnType::Time(TimeUnit::Ms),
        "time-us" => ColumnType::Time(TimeUnit::Us),
        "time-ns" => ColumnType::Time(TimeUnit::Ns),
        "time-iso" => ColumnType::Time(TimeUnit::Iso),
        _ => return Err(format!("unknown type `{}`; known are {TYPES}", column.ty)),
    };
    if !column.values.is_empty() && ty != ColumnType::Text {
        return Err("`values` are for text columns".into());
    }
    Ok(ColumnDecl { name: name.to_string(), ty, nullable, values: column.values.clone() })
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
