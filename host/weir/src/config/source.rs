//! From a `[[source]]` to a declaration that is right in itself.

use super::sections::{Column, Source};
use jiff::tz::TimeZone;
use weir_types::contract::ValueType;
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl, TYPE_NAMES};

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
    if columns[event_time].ty.value_type() != ValueType::Time {
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
        reading: reading(source, &columns)?,
        columns,
        primary_key,
        event_time,
        out_of_orderness: source.out_of_orderness.0,
        idle_after: source.idle_after.0,
        max_dead_share: source.max_dead_share,
    })
}

fn reading(source: &Source, columns: &[ColumnDecl]) -> Result<Reading, String> {
    let zone = source.time_zone.as_deref().unwrap_or("UTC");
    let time_zone = TimeZone::get(zone).map_err(|_| {
        format!("`time_zone`: there is no time zone `{zone}`; use a name such as Europe/Berlin or UTC")
    })?;
    let format = source.format.name();
    let delete_marker = source.delete_marker.clone();
    if delete_marker.is_some() && source.format != Format::PlainJson {
        return Err(format!(
            "`delete_marker` is for plain-json; a {format} record says itself what it deletes"
        ));
    }
    let database = source.database.clone();
    if database.is_some() && source.format == Format::PlainJson {
        return Err("`database` is for records that name theirs; plain rows do not".into());
    }
    if database.as_deref().is_some_and(str::is_empty) {
        return Err("`database` must not be empty; leave it out to take the table of any database".into());
    }
    let Some(name) = &source.version_column else {
        return Ok(Reading { time_zone, delete_marker, version_column: None, database });
    };
    if !matches!(source.format, Format::CanalJson | Format::PlainJson) {
        return Err(format!("`version_column` is for canal-json and plain-json; {format} carries positions"));
    }
    let column = columns
        .iter()
        .position(|c| c.name == *name)
        .ok_or_else(|| format!("`version_column` names the column `{name}`, which is not among `columns`"))?;
    if !matches!(columns[column].ty.value_type(), ValueType::Int | ValueType::Time) {
        return Err(format!(
            "`version_column` names `{name}`, whose type is neither a whole number nor a time"
        ));
    }
    Ok(Reading { time_zone, delete_marker, version_column: Some(column), database })
}

fn column_decl(name: &str, column: &Column) -> Result<ColumnDecl, String> {
    let (ty, nullable) = match column.ty.strip_suffix('?') {
        Some(ty) => (ty, true),
        None => (column.ty.as_str(), false),
    };
    let ty = ColumnType::parse(ty)
        .ok_or_else(|| format!("unknown type `{}`; known are {TYPE_NAMES}; with `?` nulls fit", column.ty))?;
    if !column.values.is_empty() && !ty.takes_values() {
        return Err("`values` are for columns of type text, enum or set".into());
    }
    if let Some(twice) = column.values.iter().enumerate().find(|(i, v)| column.values[..*i].contains(v)) {
        return Err(format!("`values` names `{}` twice", twice.1));
    }
    Ok(ColumnDecl { name: name.to_string(), ty, nullable, values: column.values.clone() })
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
