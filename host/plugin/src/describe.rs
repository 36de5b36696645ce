//! From what `describe` says to a [`MetricInfo`], or a sentence that says what is wrong with it.

use crate::bindings::derived::exports::weir::metric::derived_api::DerivedInfo;
use crate::bindings::weir::metric::types as wit;
use std::collections::BTreeSet;
use weir_types::contract::{Base, Field, Input, MetricInfo, Output, RowMemory, ValueType};
use weir_types::window::{Window, check_windows};

/// Dimensions of one metric at the most: every subset of them may be kept.
const MAX_DIMENSIONS: usize = 8;

/// Checks one description. The error names the metric.
pub fn info(given: wit::MetricInfo) -> Result<MetricInfo, String> {
    let name = given.name.clone();
    let named = |text: String| format!("metric {name}: {text}");
    let mut info = convert(given);
    check_names(&info).map_err(named)?;
    check_inputs(&info).map_err(named)?;
    check_dimensions(&info).map_err(named)?;
    check_windows(&info.windows).map_err(named)?;
    check_extra(&info).map_err(named)?;
    if !info.state_versions_read.contains(&info.state_version) {
        return Err(named(format!("it writes state version {}, but does not read it", info.state_version)));
    }
    if info.dimension_sets.is_empty() {
        info.dimension_sets = subsets(&info.dimensions);
    }
    Ok(info)
}

/// Checks one description of a derived metric. The error names the metric. Whether its bases fit is seen when it
/// joins.
pub fn derived(given: DerivedInfo) -> Result<MetricInfo, String> {
    let name = given.name.clone();
    let named = |text: String| format!("metric {name}: {text}");
    let base = |b: crate::bindings::derived::exports::weir::metric::derived_api::Base| Base {
        metric: b.metric,
        outputs: b.outputs,
    };
    let mut info = MetricInfo {
        name: given.name,
        title: given.title,
        unit: given.unit,
        description: given.description,
        owner: given.owner,
        version: given.version,
        deprecated: given.deprecated,
        replaced_by: given.replaced_by,
        inputs: Vec::new(),
        bases: given.bases.into_iter().map(base).collect(),
        dimensions: given.dimensions,
        dimension_sets: given.dimension_sets,
        windows: given.windows.into_iter().map(window).collect(),
        values: Vec::new(),
        computed_dimensions: Vec::new(),
        outputs: given.outputs.into_iter().map(output).collect(),
        time_varying: false,
        rows: RowMemory::Live,
        state_version: 0,
        state_versions_read: Vec::new(),
        meaning_version: given.meaning_version,
        extra: given.extra,
    };
    check_names(&info).map_err(named)?;
    check_bases(&info).map_err(named)?;
    check_dimensions(&info).map_err(named)?;
    check_windows(&info.windows).map_err(named)?;
    if info.dimension_sets.is_empty() {
        info.dimension_sets = subsets(&info.dimensions);
    }
    Ok(info)
}

fn check_bases(info: &MetricInfo) -> Result<(), String> {
    if info.bases.is_empty() {
        return Err("it is derived from no metric".into());
    }
    for (at, base) in info.bases.iter().enumerate() {
        if base.outputs.is_empty() {
            return Err(format!("it reads no output of its base {}", base.metric));
        }
        if base.metric == info.name {
            return Err("it is derived from itself".into());
        }
        if info.bases[..at].iter().any(|earlier| earlier.metric == base.metric) {
            return Err(format!("its base {} stands twice: name all its outputs at once", base.metric));
        }
    }
    Ok(())
}

fn output(o: wit::Output) -> Output {
    Output {
        name: o.name,
        value_type: value_type(o.value_type),
        is_list: o.is_list,
        nullable: o.nullable,
        unit: o.unit,
        description: o.description,
    }
}

fn convert(given: wit::MetricInfo) -> MetricInfo {
    let fields = |fields: Vec<wit::Field>| fields.into_iter().map(field).collect();
    let input = |i: wit::Input| Input {
        source: i.source,
        fields: i.fields.into_iter().map(field).collect(),
        watches: i.watches,
    };
    MetricInfo {
        name: given.name,
        title: given.title,
        unit: given.unit,
        description: given.description,
        owner: given.owner,
        version: given.version,
        deprecated: given.deprecated,
        replaced_by: given.replaced_by,
        inputs: given.inputs.into_iter().map(input).collect(),
        bases: vec![],
        dimensions: given.dimensions,
        dimension_sets: given.dimension_sets,
        windows: given.windows.into_iter().map(window).collect(),
        values: fields(given.values),
        computed_dimensions: fields(given.computed_dimensions),
        outputs: given.outputs.into_iter().map(output).collect(),
        time_varying: given.time_varying,
        rows: match given.rows {
            wit::RowMemory::Live => RowMemory::Live,
            wit::RowMemory::All => RowMemory::All,
        },
        state_version: given.state_version,
        state_versions_read: given.state_versions_read,
        meaning_version: given.meaning_version,
        extra: given.extra,
    }
}

fn field(field: wit::Field) -> Field {
    Field { name: field.name, value_type: value_type(field.value_type), nullable: field.nullable }
}

fn value_type(ty: wit::ValueType) -> ValueType {
    match ty {
        wit::ValueType::Int => ValueType::Int,
        wit::ValueType::Float => ValueType::Float,
        wit::ValueType::Text => ValueType::Text,
        wit::ValueType::Bool => ValueType::Bool,
        wit::ValueType::Time => ValueType::Time,
    }
}

fn window(window: wit::Window) -> Window {
    match window {
        wit::Window::Tumbling(length) => Window::Tumbling(length),
        wit::Window::Day => Window::Day,
        wit::Window::Sliding(s) => Window::Sliding { size: s.size, step: s.step },
        wit::Window::Session(gap) => Window::Session { gap },
        wit::Window::Now => Window::Now,
    }
}

/// Lower-case ASCII letters, digits and underscores, at most 63, a letter first.
fn is_name(name: &str) -> bool {
    let rest = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    name.len() <= 63 && name.bytes().next().is_some_and(|c| c.is_ascii_lowercase()) && name.bytes().all(rest)
}

/// `major.minor.patch`, with what semver allows after it.
fn is_version(version: &str) -> bool {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    numbers.split('.').count() == 3 && numbers.split('.').all(is_number)
}

fn check_names(info: &MetricInfo) -> Result<(), String> {
    match info.name.split_once('.') {
        Some((board, name)) if is_name(board) && is_name(name) => {}
        _ => {
            return Err("its name is not of the form `board.name` in lower-case letters, digits and _".into());
        }
    }
    if info.title.is_empty() || info.title.chars().count() > 60 {
        return Err("its title must have 1 to 60 characters".into());
    }
    if !is_version(&info.version) {
        return Err(format!("its version `{}` is not of the form 1.2.3", info.version));
    }
    if info.outputs.is_empty() {
        return Err("it has no outputs".into());
    }
    unique("output", info.outputs.iter().map(|o| o.name.as_str()))?;
    unique("sample value", info.values.iter().map(|f| f.name.as_str()))?;
    unique("computed dimension", info.computed_dimensions.iter().map(|f| f.name.as_str()))
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !is_name(name) {
            return Err(format!(
                "{what} `{name}` is no name: lower-case letters, digits and _, a letter first"
            ));
        }
        if !seen.insert(name) {
            return Err(format!("{what} `{name}` stands twice"));
        }
    }
    Ok(())
}

fn check_inputs(info: &MetricInfo) -> Result<(), String> {
    if info.inputs.is_empty() {
        return Err("it reads no source".into());
    }
    for input in &info.inputs {
        if input.fields.is_empty() {
            return Err(format!("it reads no field of source {}", input.source));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = input.fields.iter().find(|f| !seen.insert(f.name.as_str())) {
            return Err(format!("it asks twice for field {}.{}", input.source, twice.name));
        }
        for name in &seen {
            if info.computed_dimensions.iter().any(|c| c.name == *name) {
                return Err(format!(
                    "{name} is both a field of {} and a computed dimension: rename the latter",
                    input.source
                ));
            }
        }
        if let Some(watch) = input.watches.iter().find(|w| !seen.contains(w.as_str())) {
            return Err(format!("it watches {}.{watch}, which is not among its fields", input.source));
        }
    }
    Ok(())
}

fn check_dimensions(info: &MetricInfo) -> Result<(), String> {
    if info.dimensions.len() > MAX_DIMENSIONS {
        return Err(format!("it has {} dimensions, more than {MAX_DIMENSIONS}", info.dimensions.len()));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = info.dimensions.iter().find(|d| !seen.insert(d.as_str())) {
        return Err(format!("dimension {twice} stands twice"));
    }
    let mut sets = BTreeSet::new();
    for set in &info.dimension_sets {
        let mut rest = info.dimensions.iter();
        if !set.iter().all(|name| rest.any(|d| d == name)) {
            return Err(format!(
                "dimension set [{}] is no subset of its dimensions in their order",
                set.join(", ")
            ));
        }
        if !sets.insert(set) {
            return Err(format!("dimension set [{}] stands twice", set.join(", ")));
        }
    }
    Ok(())
}

/// The keys of `extra` that the host acts on. Others are somebody else's.
fn check_extra(info: &MetricInfo) -> Result<(), String> {
    if !is_name(info.board()) {
        return Err(format!(
            "its board `{}` is no name: lower-case letters, digits and _, a letter first",
            info.board()
        ));
    }
    match info.correct_for() {
        Ok(_) => Ok(()),
        Err(text) => Err(format!(
            "its correct_for `{text}` is no duration: write a number and a unit, such as 26h or 8d"
        )),
    }
}

/// Every subset, in the dimensions' order; the grand total first.
fn subsets(dimensions: &[String]) -> Vec<Vec<String>> {
    let member = |set: usize| move |(i, _): &(usize, &String)| set >> i & 1 == 1;
    let subset = |set| dimensions.iter().enumerate().filter(member(set)).map(|(_, d)| d.clone()).collect();
    (0..1usize << dimensions.len()).map(subset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subset_is_given_once_and_in_the_order_of_the_dimensions() {
        let sets = subsets(&["a".to_string(), "b".to_string()]);
        assert_eq!(
            sets,
            [vec![], vec!["a".to_string()], vec!["b".to_string()], vec!["a".to_string(), "b".to_string()]]
        );
    }

    #[test]
    fn names_are_lower_case_and_begin_with_a_letter() {
        assert!(is_name("queue_id") && is_name("p50"));
        assert!(!is_name("") && !is_name("5m") && !is_name("Queue") && !is_name(&"a".repeat(64)));
    }

    #[test]
    fn versions_have_three_numbers() {
        assert!(is_version("0.1.0") && is_version("1.2.3-rc.1+build"));
        assert!(!is_version("1.2") && !is_version("1.2.x") && !is_version("") && !is_version("v1.2.3"));
    }

    #[test]
    fn windows_that_cannot_be_are_refused() {
        assert!(check_windows(&[Window::Now, Window::Day]).is_err());
        assert!(check_windows(&[Window::Tumbling(0)]).is_err());
        assert!(check_windows(&[Window::Sliding { size: 25, step: 10 }]).is_err());
        assert!(check_windows(&[Window::Tumbling(60), Window::Day]).is_ok());
    }
}
