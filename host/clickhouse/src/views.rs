//! The typed views of a metric, made from its description: one column for each output and dimension,
//! only the promoted incarnation, only the newest version of each row.

use crate::sql;
use crate::tables::{ALL, LATEST, PROMOTED, REALTIME, Table};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use weir_types::contract::{MetricInfo, Output, ValueType};
use weir_types::key::{self, NULL};
use weir_types::window::Window;

/// A view and the statement that makes it.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    pub name: String,
    pub create: String,
    /// Which metric it is of, and how it is defined: one that bears it need not be made.
    pub comment: String,
}

/// What the comment of a metric's view begins with; the metric's name follows, and a hash of its definition.
const COMMENT: &str = "Weir metric ";

/// The metric that a view's comment names.
pub fn metric_of(comment: &str) -> Option<&str> {
    let named = comment.strip_prefix(COMMENT)?;
    Some(named.split_once(' ').map_or(named, |(metric, _)| metric))
}

/// Columns that every view has before and after the metric's own.
const HEAD: [&str; 2] = ["window", "dimension_set"];
const TIMES: [&str; 2] = ["start", "end"];
const TAIL: [&str; 8] =
    ["final", "complete", "samples", "late", "watermark", "digest", "epoch", "incarnation"];

/// The views of a metric: `ticket_created` for ticket.created. A metric over current values shows the
/// newest values under its name and the minutes under `…_history`; one that has both kinds of windows shows
/// the newest values under `…_latest`.
pub fn views(database: &str, info: &MetricInfo) -> Vec<View> {
    let name = view_name(&info.name);
    let view = |name: String, table: &Table| {
        let definition = create(database, &name, table, info);
        let comment = format!("{COMMENT}{} {:016x}", info.name, hash(&definition));
        View { create: format!("{definition}\nCOMMENT {}", sql::text(&comment)), name, comment }
    };
    if info.is_now() {
        vec![view(name.clone(), &LATEST), view(format!("{name}_history"), &REALTIME)]
    } else if info.windows.contains(&Window::Now) {
        vec![view(name.clone(), &REALTIME), view(format!("{name}_latest"), &LATEST)]
    } else {
        vec![view(name, &REALTIME)]
    }
}

/// Another release of the compiler may give another hash: then views are made once more.
fn hash(definition: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    definition.hash(&mut hasher);
    hasher.finish()
}

/// `.` becomes `_`. A metric named like one of Weir's tables gets a `_` more.
fn view_name(metric: &str) -> String {
    let name = metric.replace('.', "_");
    if ALL.iter().any(|table| table.name == name) { name + "_" } else { name }
}

fn create(database: &str, name: &str, table: &Table, info: &MetricInfo) -> String {
    let mut columns = Columns::default();
    columns.plain(&HEAD);
    for dimension in &info.dimensions {
        columns.add("dimension", dimension, dimension_column(info, dimension));
    }
    columns.plain(&TIMES);
    for output in &info.outputs {
        columns.add("output", &output.name, output_column(output));
    }
    columns.plain(&TAIL);
    let metric = sql::text(&info.name);
    format!(
        "CREATE OR REPLACE VIEW {}.{} AS\nSELECT\n    {}\nFROM {} AS r FINAL\nWHERE r.metric = {metric} AND \
         r.incarnation IN (SELECT incarnation FROM {} FINAL WHERE metric = {metric} AND retired = 0)",
        sql::name(database),
        sql::name(name),
        columns.lines.join(",\n    "),
        table.qualified(database),
        PROMOTED.qualified(database),
    )
}

#[derive(Default)]
struct Columns {
    names: BTreeSet<String>,
    lines: Vec<String>,
}

impl Columns {
    fn plain(&mut self, names: &[&str]) {
        for name in names {
            self.lines.push(format!("r.{0} AS {0}", sql::name(name)));
        }
    }

    /// A name that is taken gets the kind before it.
    fn add(&mut self, kind: &str, name: &str, expression: String) {
        let mut name = name.to_string();
        while HEAD.iter().chain(&TIMES).chain(&TAIL).any(|taken| *taken == name)
            || !self.names.insert(name.clone())
        {
            name = format!("{kind}_{name}");
        }
        self.lines.push(format!("{expression} AS {}", sql::name(&name)));
    }
}

/// A dimension's value in its own type; NULL for null and in sets without it (`dimension_set` tells).
fn dimension_column(info: &MetricInfo, dimension: &str) -> String {
    let text = dimension_text(info, dimension);
    let null = sql::text(NULL);
    match dimension_type(info, dimension) {
        // The text of null is no number.
        ValueType::Int => format!("toInt64OrNull({text})"),
        ValueType::Float => format!("toFloat64OrNull({text})"),
        ValueType::Time => format!("fromUnixTimestamp64Micro(toInt64OrNull({text}), 'UTC')"),
        ValueType::Bool => format!("CAST(if({text} = {null}, NULL, {text} = 'true') AS Nullable(Bool))"),
        ValueType::Text => format!(
            "CAST(if({text} = {null}, NULL, replaceAll({text}, '\\\\\\\\', '\\\\')) AS Nullable(String))"
        ),
    }
}

/// Where the dimension stands in `dims` depends on the set.
fn dimension_text(info: &MetricInfo, dimension: &str) -> String {
    let mut cases = String::new();
    for at in 0..info.dimensions.len() {
        let of_set = |set: &&Vec<String>| set.get(at).is_some_and(|d| d == dimension);
        let sets: Vec<String> =
            info.dimension_sets.iter().filter(of_set).map(|s| sql::text(&key::set_name(s))).collect();
        if !sets.is_empty() {
            cases += &format!("r.dimension_set IN ({}), r.dims[{}], ", sets.join(", "), at + 1);
        }
    }
    let null = sql::text(NULL);
    if cases.is_empty() { null } else { format!("multiIf({cases}{null})") }
}

fn dimension_type(info: &MetricInfo, dimension: &str) -> ValueType {
    let fields = info.computed_dimensions.iter().chain(info.inputs.iter().flat_map(|i| &i.fields));
    fields.into_iter().find(|f| f.name == dimension).map_or(ValueType::Text, |f| f.value_type)
}

/// A list that is null reads as empty: ClickHouse has no nullable arrays.
fn output_column(output: &Output) -> String {
    let key = sql::text(&output.name);
    match (output.value_type, output.is_list) {
        (ValueType::Int, false) => format!("r.ints[{key}]"),
        (ValueType::Float, false) => format!("r.floats[{key}]"),
        (ValueType::Text, false) => format!("r.texts[{key}]"),
        (ValueType::Bool, false) => format!("CAST(r.ints[{key}] AS Nullable(Bool))"),
        (ValueType::Time, false) => format!("fromUnixTimestamp64Micro(r.ints[{key}], 'UTC')"),
        (ValueType::Int, true) => format!("r.int_lists[{key}]"),
        (ValueType::Float, true) => format!("r.float_lists[{key}]"),
        (ValueType::Text, true) => format!("r.text_lists[{key}]"),
        (ValueType::Bool, true) => format!("CAST(r.int_lists[{key}] AS Array(Bool))"),
        (ValueType::Time, true) => {
            format!("arrayMap(t -> fromUnixTimestamp64Micro(t, 'UTC'), r.int_lists[{key}])")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::MINUTE;
    use weir_types::contract::{Field, RowMemory};

    fn info(name: &str, windows: Vec<Window>, dimensions: &[&str], outputs: &[&str]) -> MetricInfo {
        let dimensions: Vec<String> = dimensions.iter().map(|d| d.to_string()).collect();
        let output = |name: &&str| Output {
            name: name.to_string(),
            value_type: ValueType::Int,
            is_list: false,
            nullable: false,
            unit: String::new(),
            description: String::new(),
        };
        MetricInfo {
            name: name.into(),
            title: String::new(),
            unit: String::new(),
            description: String::new(),
            owner: String::new(),
            version: String::new(),
            deprecated: None,
            replaced_by: None,
            inputs: vec![],
            dimension_sets: vec![vec![], dimensions.clone()],
            computed_dimensions: dimensions
                .iter()
                .map(|d| Field { name: d.clone(), value_type: ValueType::Int, nullable: true })
                .collect(),
            bases: vec![],
            dimensions,
            windows,
            values: vec![],
            outputs: outputs.iter().map(output).collect(),
            time_varying: false,
            rows: RowMemory::Live,
            state_version: 1,
            state_versions_read: vec![1],
            meaning_version: 1,
            extra: vec![],
        }
    }

    fn names(name: &str, windows: Vec<Window>) -> Vec<String> {
        views("weir", &info(name, windows, &[], &[])).into_iter().map(|v| v.name).collect()
    }

    #[test]
    fn each_kind_of_metric_has_its_views() {
        assert_eq!(names("ticket.created", vec![Window::Tumbling(MINUTE)]), ["ticket_created"]);
        assert_eq!(names("ticket.backlog", vec![Window::Now]), ["ticket_backlog", "ticket_backlog_history"]);
        assert_eq!(names("a.b", vec![Window::Day, Window::Now]), ["a_b", "a_b_latest"]);
        assert_eq!(names("metric.latest", vec![Window::Day]), ["metric_latest_"], "no table is overwritten");
    }

    #[test]
    fn a_name_that_is_taken_gets_its_kind_before_it() {
        let info = info("m", vec![Window::Day], &["start", "queue_id"], &["count", "queue_id"]);
        let create = &views("weir", &info)[0].create;
        for name in ["AS `dimension_start`", "AS `queue_id`", "AS `count`", "AS `output_queue_id`"] {
            assert_eq!(create.matches(name).count(), 1, "{name} in {create}");
        }
    }
}
