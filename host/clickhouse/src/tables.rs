//! The tables: what Weir makes, and what a table that is there must look like.

use crate::sql;
use std::collections::BTreeMap;
use weir_types::{Micros, SECOND};

/// A table as Weir makes it.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Names and types, in order, types as `system.columns` writes them.
    pub columns: &'static [(&'static str, &'static str)],
    /// Arguments of ReplacingMergeTree.
    engine: &'static str,
    /// Empty = unpartitioned.
    partition: &'static str,
    /// What is unique.
    order: &'static str,
    index: &'static str,
    comment: &'static str,
}

/// A table as it stands in `system.tables`.
#[derive(Clone, Debug)]
pub struct Found {
    pub engine: String,
    /// With partition, order, TTL and settings.
    pub engine_full: String,
    pub partition: String,
    pub sorting: String,
    pub columns: Vec<(String, String)>,
}

/// Durable once acknowledged: an insert's files and their directory are synced. Deduplication is off:
/// its log can swallow a batch after a crash; rows are repeatable by themselves.
const SETTINGS: &str =
    "fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0";
/// What `engine_full` must hold of it.
const DURABLE: [&str; 2] = ["fsync_after_insert = 1", "fsync_part_directory = 1"];

const TIME: &str = "DateTime64(6, 'UTC')";
const WORD: &str = "LowCardinality(String)";

/// Columns of both tables of values.
const VALUES: &[(&str, &str)] = &[
    ("metric", WORD),
    ("incarnation", "Int64"),
    ("window", WORD),
    ("dimension_set", WORD),
    ("dims", "Array(String)"),
    ("day", "Date"),
    ("start", TIME),
    ("end", TIME),
    ("ints", "Map(LowCardinality(String), Nullable(Int64))"),
    ("floats", "Map(LowCardinality(String), Nullable(Float64))"),
    ("texts", "Map(LowCardinality(String), Nullable(String))"),
    ("int_lists", "Map(LowCardinality(String), Array(Int64))"),
    ("float_lists", "Map(LowCardinality(String), Array(Float64))"),
    ("text_lists", "Map(LowCardinality(String), Array(String))"),
    ("final", "UInt8"),
    ("complete", "UInt8"),
    ("watermark", TIME),
    ("digest", WORD),
    ("epoch", "UInt64"),
    ("epoch_first", "UInt64"),
    ("samples", "UInt64"),
    ("late", "UInt64"),
    ("version", "UInt64"),
    ("deleted", "UInt8"),
];

/// Every value of every window: one row a key, the greatest version stands.
pub const REALTIME: Table = Table {
    name: "metric_realtime",
    columns: VALUES,
    engine: "version, deleted",
    partition: "day",
    order: "metric, incarnation, window, dimension_set, dims, start",
    index: "INDEX start_minmax start TYPE minmax GRANULARITY 1",
    comment: "Weir: values of metrics by window; read with FINAL, or through the view of the metric",
};

/// The newest value of each key of metrics over current values.
pub const LATEST: Table = Table {
    name: "metric_latest",
    columns: VALUES,
    engine: "version, deleted",
    partition: "",
    order: "metric, incarnation, dimension_set, dims",
    index: "",
    comment: "Weir: newest values of metrics over current values; read with FINAL",
};

pub const EPOCHS: Table = Table {
    name: "epochs",
    columns: &[
        ("epoch", "UInt64"),
        ("version", "UInt64"),
        ("clock", TIME),
        (
            "partitions",
            "Array(Tuple(topic String, partition Int32, from Int64, to Int64, read UInt64, applied UInt64, \
             skipped Map(String, UInt64), dead UInt64))",
        ),
        ("digests", "Map(String, String)"),
        ("gaps", "Array(Tuple(topic String, partition Int32, from Int64, to Int64))"),
        ("redriven", "Array(Tuple(topic String, partition Int32, offset Int64, outcome String))"),
    ],
    engine: "version",
    partition: "",
    order: "epoch, version",
    index: "",
    comment: "Weir: what each epoch read, offsets [from, to), read = applied + skipped + dead",
};

pub const LATE_EVENTS: Table = Table {
    name: "late_events",
    columns: &[
        ("metric", WORD),
        ("incarnation", "Int64"),
        ("topic", WORD),
        ("partition", "Int32"),
        ("offset", "Int64"),
        ("row", "UInt32"),
        ("sample", "UInt32"),
        ("time", TIME),
        ("windows", "Array(String)"),
        ("weight", "Int64"),
        ("dims", "Array(String)"),
        ("watermark", TIME),
        ("epoch", "UInt64"),
        ("version", "UInt64"),
    ],
    engine: "version",
    partition: "",
    order: "metric, incarnation, topic, partition, offset, row, sample",
    index: "",
    comment: "Weir: samples too late for some windows",
};

pub const DEAD_LETTERS: Table = Table {
    name: "dead_letters",
    columns: &[
        ("topic", WORD),
        ("partition", "Int32"),
        ("offset", "Int64"),
        ("metric", WORD),
        ("code", WORD),
        ("reason", "String"),
        ("key", "String"),
        ("value", "String"),
        ("whole", "UInt8"),
        ("rekey", "UInt8"),
        ("outcome", WORD),
        ("clock", TIME),
        ("epoch", "UInt64"),
        ("version", "UInt64"),
    ],
    engine: "version",
    partition: "",
    order: "topic, partition, offset, metric",
    index: "",
    comment: "Weir: records that could not be used, with the reason; metric is empty if the record is unreadable",
};

pub const PROMOTED: Table = Table {
    name: "promoted",
    columns: &[
        ("metric", "String"),
        ("incarnation", "Int64"),
        ("digest", "String"),
        ("retired", "UInt8"),
        ("epoch", "UInt64"),
        ("version", "UInt64"),
    ],
    engine: "version",
    partition: "",
    order: "metric",
    index: "",
    comment: "Weir: the incarnation of each metric that views and API show",
};

pub const AUDIT: Table = Table {
    name: "audit",
    columns: &[
        ("epoch", "UInt64"),
        ("number", "UInt32"),
        ("version", "UInt64"),
        ("clock", TIME),
        ("action", WORD),
        ("subject", "String"),
        ("detail", "String"),
    ],
    engine: "version",
    partition: "",
    order: "epoch, number, version",
    index: "",
    comment: "Weir: what operators changed, and what the host changed by itself",
};

pub const ALL: [&Table; 7] = [&REALTIME, &LATEST, &EPOCHS, &LATE_EVENTS, &DEAD_LETTERS, &PROMOTED, &AUDIT];

impl Table {
    pub fn qualified(&self, database: &str) -> String {
        format!("{}.{}", sql::name(database), sql::name(self.name))
    }

    pub fn create(&self, database: &str, ttl: &str) -> String {
        let columns = self.columns.iter().map(|(name, ty)| format!("    {} {ty}", sql::name(name)));
        let index = Some(format!("    {}", self.index)).filter(|_| !self.index.is_empty());
        let lines: Vec<String> = columns.chain(index).collect();
        let partition = match self.partition {
            "" => String::new(),
            key => format!("PARTITION BY {key}\n"),
        };
        let ttl = if ttl.is_empty() { String::new() } else { format!("TTL {ttl}\n") };
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\n{}\n)\nENGINE = ReplacingMergeTree({})\n{partition}ORDER BY ({})\n\
             {ttl}SETTINGS {SETTINGS}\nCOMMENT {}",
            self.qualified(database),
            lines.join(",\n"),
            self.engine,
            self.order,
            sql::text(self.comment),
        )
    }

    /// The first difference between what is there and what Weir needs; None if there is none.
    pub fn difference(&self, found: &Found) -> Option<String> {
        // A cluster or cloud names it ReplicatedReplacingMergeTree or SharedReplacingMergeTree and puts
        // arguments of its own first.
        if !found.engine.ends_with("ReplacingMergeTree") {
            return Some(format!("its engine is {}, not ReplacingMergeTree", found.engine));
        }
        let arguments = found.engine_full.split(')').next().unwrap_or_default();
        let fits = |before: &str| arguments.ends_with(&format!("{before}{}", self.engine));
        if !fits("(") && !fits(", ") {
            return Some(format!("its engine is {arguments}), not ReplacingMergeTree({})", self.engine));
        }
        for (i, (name, ty)) in self.columns.iter().enumerate() {
            match found.columns.get(i) {
                None => return Some(format!("column `{name}` {ty} is missing")),
                Some((found, _)) if found != name => {
                    return Some(format!("column {} is `{found}`, not `{name}`", i + 1));
                }
                Some((_, found)) if plain(found) != *ty => {
                    return Some(format!("column `{name}` is {found}, not {ty}"));
                }
                Some(_) => {}
            }
        }
        if let Some((name, _)) = found.columns.get(self.columns.len()) {
            return Some(format!("it has a column `{name}` that Weir does not know"));
        }
        let keys =
            [("partitioned", &found.partition, self.partition), ("ordered", &found.sorting, self.order)];
        for (what, found, expected) in keys {
            if plain(found) != expected {
                return Some(format!("it is {what} by ({}), not by ({expected})", plain(found)));
            }
        }
        None
    }

    /// The statement that makes inserts durable where somebody has taken that setting away. Replicated
    /// and shared tables are durable in their own ways.
    pub fn make_durable(&self, database: &str, found: &Found) -> Option<String> {
        let durable = DURABLE.iter().all(|setting| found.engine_full.contains(setting));
        (found.engine == "ReplacingMergeTree" && !durable)
            .then(|| format!("ALTER TABLE {} MODIFY SETTING {SETTINGS}", self.qualified(database)))
    }

    /// The statement that brings the TTL of a table that is there to `ttl`.
    pub fn change_ttl(&self, database: &str, found: &Found, ttl: &str) -> Option<String> {
        let of_found = found.engine_full.split_once(" TTL ").map_or("", |(_, rest)| rest);
        let of_found = of_found.split(" SETTINGS ").next().unwrap_or_default();
        if plain(of_found).replace(['(', ')'], "") == ttl.replace(['(', ')'], "") {
            return None;
        }
        let table = self.qualified(database);
        Some(match ttl {
            "" => format!("ALTER TABLE {table} REMOVE TTL"),
            ttl => format!("ALTER TABLE {table} MODIFY TTL {ttl}"),
        })
    }
}

/// TTL of `metric_realtime`: each window kind for its own time, counted from the window's start on
/// ClickHouse's wall clock. Written as ClickHouse writes it back, so that it can be compared.
pub fn ttl(retention: &BTreeMap<String, Micros>) -> String {
    let part = |(window, span): (&String, &Micros)| {
        let seconds = (span / SECOND).max(1);
        format!("toDateTime(start) + toIntervalSecond({seconds}) WHERE window = {}", sql::text(window))
    };
    retention.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// ClickHouse quotes names in some versions and not in others, and keeps the brackets around a key of
/// one column.
fn plain(text: &str) -> String {
    let text = text.replace('`', "");
    match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        Some(inner) => inner.to_string(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_made(table: &Table) -> Found {
        Found {
            engine: "ReplacingMergeTree".into(),
            engine_full: format!("ReplacingMergeTree({}) ORDER BY x SETTINGS {SETTINGS}", table.engine),
            partition: table.partition.into(),
            sorting: table.order.into(),
            columns: table.columns.iter().map(|(n, t)| (n.to_string(), t.to_string())).collect(),
        }
    }

    #[test]
    fn a_table_as_weir_makes_it_does_not_differ() {
        for table in ALL {
            let found = as_made(table);
            assert_eq!(table.difference(&found), None);
            assert_eq!(table.make_durable("weir", &found), None);
            assert_eq!(table.change_ttl("weir", &found, ""), None);
            let shared = Found {
                engine: "SharedReplacingMergeTree".into(),
                engine_full: format!(
                    "SharedReplacingMergeTree('/a', '{{replica}}', {}) ORDER BY x",
                    table.engine
                ),
                ..found
            };
            assert_eq!(table.difference(&shared), None);
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let made = as_made(&REALTIME);
        let differs = |change: fn(&mut Found)| {
            let mut found = made.clone();
            change(&mut found);
            REALTIME.difference(&found).expect("it differs")
        };
        assert!(differs(|f| f.engine = "MergeTree".into()).contains("MergeTree"));
        assert!(
            differs(|f| f.engine_full = "ReplacingMergeTree(version) ORDER BY x".into())
                .contains("version, deleted")
        );
        assert!(differs(|f| f.columns[1].1 = "UInt8".into()).contains("`incarnation` is UInt8"));
        assert!(differs(|f| f.columns.swap(1, 2)).contains("column 2 is `window`"));
        assert!(differs(|f| f.columns.truncate(3)).contains("`dimension_set`"));
        assert!(differs(|f| f.columns.push(("extra".into(), "String".into()))).contains("`extra`"));
        assert!(differs(|f| f.partition.clear()).contains("partitioned by ()"));
        assert!(differs(|f| f.sorting = "metric".into()).contains("ordered by (metric)"));
    }

    #[test]
    fn each_window_kind_is_kept_for_its_own_time() {
        let retention = BTreeMap::from([("1m".to_string(), 8 * weir_types::DAY)]);
        assert_eq!(ttl(&retention), "toDateTime(start) + toIntervalSecond(691200) WHERE window = '1m'");
        assert_eq!(ttl(&BTreeMap::new()), "");
    }
}
