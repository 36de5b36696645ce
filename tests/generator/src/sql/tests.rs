#![allow(clippy::unwrap_used)]

use super::*;
use crate::life::Options;
use crate::row::TABLES;
use std::collections::BTreeMap;

const START: i64 = 1_795_500_000_000;

/// Columns with their types by table, as the migrations make them.
fn tables() -> BTreeMap<String, Vec<(String, String)>> {
    let mut tables = BTreeMap::new();
    for statement in MIGRATIONS.into_iter().flat_map(statements) {
        let (head, body) = statement.split_once('(').unwrap();
        let name = head.trim().strip_prefix("CREATE TABLE IF NOT EXISTS ").unwrap();
        let columns = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(')'));
        let columns = columns.filter(|line| !line.starts_with("KEY") && !line.starts_with("PRIMARY"));
        let columns = columns.map(|line| line.trim_end_matches(',').split_once(' ').unwrap());
        let columns = columns.map(|(name, ty)| (name.to_string(), ty.to_string())).collect();
        assert!(tables.insert(name.to_string(), columns).is_none(), "{name} is made twice");
    }
    tables
}

fn life() -> Life {
    Life::new(&Options::new(5, START, 20.0))
}

#[test]
fn every_row_has_the_columns_of_its_table_in_order() {
    let tables = tables();
    assert_eq!(tables.keys().collect::<Vec<_>>(), TABLES.iter().collect::<Vec<_>>());
    for row in life().standing() {
        let names: Vec<&str> = row.cells().iter().map(|(name, _)| *name).collect();
        let made: Vec<&str> = tables[row.table()].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, made, "{}", row.table());
    }
}

#[test]
fn every_value_fits_its_column() {
    let (tables, mut life) = (tables(), life());
    for _ in 0..100_000 {
        let change = life.next_change();
        let Some(row) = &change.after else { continue };
        for ((name, cell), (_, ty)) in row.cells().into_iter().zip(&tables[row.table()]) {
            let fits = match cell {
                Cell::Null => !ty.contains("NOT NULL"),
                Cell::Number(n) if ty.starts_with("BIGINT") => n >= 0,
                Cell::Number(n) if ty.starts_with("INT") => i32::try_from(n).is_ok(),
                Cell::Number(n) => ty.starts_with("TINYINT") && i8::try_from(n).is_ok(),
                Cell::Time(_) => ty.starts_with("DATETIME(3)"),
                Cell::Text(text) => {
                    let length = ty.strip_prefix("VARCHAR(").unwrap().split_once(')').unwrap().0;
                    let length: usize = length.parse().unwrap();
                    text.len() <= length && !text.contains(['\'', '"', '\\'])
                }
            };
            assert!(fits, "{}.{name} {ty} cannot hold {cell:?}", row.table());
        }
    }
}

#[test]
fn an_update_names_its_key_and_what_changes() {
    let mut life = life();
    let mut seen = 0;
    while seen < 100 {
        let change = life.next_change();
        let (Some(before @ Row::State(_)), Some(after)) = (&change.before, &change.after) else { continue };
        seen += 1;
        let sql = statement(&change);
        let set = sql.strip_prefix("UPDATE agent_state SET ").unwrap();
        let set = set.strip_suffix(&format!(" WHERE agent_id={}", before.id())).unwrap();
        let set: Vec<&str> = set.split(',').collect();
        for ((name, old), (_, new)) in before.cells().into_iter().zip(after.cells()) {
            assert_eq!(set.contains(&format!("{name}={}", literal(new)).as_str()), old != new, "{sql}");
        }
    }
}
