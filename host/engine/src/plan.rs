//! How a metric's description meets the declared sources: indexes instead of names.

use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::contract::{MetricInfo, ValueType};
use weir_types::schema::SourceDecl;
use weir_types::window::{Window, check_windows, overhang, pane_length};
use weir_types::{MINUTE, Micros, Name};

/// Where a dimension's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DimensionFrom {
    /// A declared column of the input's source.
    Column(usize),
    /// A computed dimension of the sample.
    Computed(usize),
}

/// One input of a metric.
#[derive(Clone, Debug)]
pub struct InputPlan {
    /// Index of the source.
    pub source: usize,
    /// Declared columns that the guest gets, in the order of the input's fields.
    pub fields: Vec<usize>,
    /// Types of `fields`.
    pub types: Vec<ValueType>,
    /// Declared columns watched.
    pub watches: Vec<usize>,
    pub dimensions: Vec<DimensionFrom>,
    /// All declared columns that must fit for a row to be shown: fields and dimensions.
    pub needed: Vec<usize>,
}

/// A window kind of a metric.
#[derive(Clone, Debug)]
pub struct KindPlan {
    pub window: Window,
    pub name: Name,
    /// How long after the end of its last window a sample still counts.
    pub correct_for: Micros,
    /// How long after its end a window is kept: until no sample can come that counts in it.
    pub keep_for: Micros,
    /// Clock time between provisional rows; None = only when it closes.
    pub emit_every: Option<Micros>,
}

impl KindPlan {
    /// The gap of a session.
    pub fn gap(&self) -> Option<Micros> {
        match self.window {
            Window::Session { gap } => Some(gap),
            _ => None,
        }
    }
}

/// A metric, resolved.
#[derive(Clone, Debug)]
pub struct Plan {
    pub inputs: Vec<InputPlan>,
    pub dimension_types: Vec<ValueType>,
    /// For each dimension set, which dimensions it has, ascending.
    pub sets: Vec<Vec<usize>>,
    pub set_names: Vec<Name>,
    pub kinds: Vec<KindPlan>,
    pub pane: Micros,
    /// Whether panes must be cut at day borders too.
    pub by_day: bool,
    pub is_now: bool,
}

/// What of the engine's options a plan depends on.
pub struct Overrides<'a> {
    pub options: &'a crate::Options,
}

impl Plan {
    /// The error says which metric and field do not fit, and why.
    pub fn new(info: &MetricInfo, overrides: &Overrides<'_>) -> Result<Plan, String> {
        let sources = &overrides.options.sources;
        let inputs = info.inputs.iter().map(|input| plan_input(info, input, sources));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let windows = overrides.options.windows_metric.get(&info.name).unwrap_or(&info.windows);
        check_windows(windows).map_err(|text| format!("metric {}: {text}", info.name))?;
        if windows.contains(&Window::Now) != info.is_now() {
            return Err(format!("metric {}: its windows cannot be changed from or to `now`", info.name));
        }
        let pane = pane_length(windows).unwrap_or(MINUTE);
        let dimension = |name: &String| info.dimensions.iter().position(|d| d == name);
        let set = |names: &Vec<String>| -> Vec<usize> { names.iter().filter_map(dimension).collect() };
        Ok(Plan {
            dimension_types: dimension_types(info, &inputs, sources)?,
            inputs,
            sets: info.dimension_sets.iter().map(set).collect(),
            set_names: info.dimension_sets.iter().map(|s| weir_types::key::set_name(s).into()).collect(),
            kinds: windows.iter().map(|w| plan_kind(*w, pane, info, overrides.options)).collect(),
            pane,
            by_day: windows.contains(&Window::Day),
            is_now: info.is_now(),
        })
    }

    /// Declared columns of `source` that must be decoded for this metric.
    pub fn columns_of(&self, source: usize) -> BTreeSet<usize> {
        let inputs = self.inputs.iter().filter(|i| i.source == source);
        inputs.flat_map(|i| i.needed.iter().chain(&i.watches).copied()).collect()
    }
}

pub(crate) fn plan_kind(
    window: Window,
    pane: Micros,
    info: &MetricInfo,
    options: &crate::Options,
) -> KindPlan {
    let name = window.name();
    let own = options.correct_for_metric.get(&info.name).and_then(|kinds| kinds.get(&name)).copied();
    let correct_for = own.unwrap_or_else(|| {
        let general = options.correct_for.get(&name).copied().unwrap_or(options.correct_for_default);
        // A text that is no duration was refused when the component was loaded.
        general.max(info.correct_for().ok().flatten().unwrap_or(0))
    });
    KindPlan {
        window,
        correct_for,
        keep_for: correct_for.saturating_add(overhang(window, pane)),
        emit_every: match window {
            Window::Now => Some(0),
            _ => options.emit_every.get(&name).copied(),
        },
        name: name.into(),
    }
}

fn plan_input(
    info: &MetricInfo,
    input: &weir_types::contract::Input,
    sources: &[Arc<SourceDecl>],
) -> Result<InputPlan, String> {
    let source = sources.iter().position(|s| s.name == input.source).ok_or_else(|| {
        let known = sources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
        format!("metric {}: unknown source {} (declared are: {known})", info.name, input.source)
    })?;
    let column = |name: &String| {
        sources[source]
            .column(name)
            .ok_or_else(|| format!("metric {}: source {} has no field {name}", info.name, input.source))
    };
    let fields = input.fields.iter().map(|f| column(&f.name)).collect::<Result<Vec<_>, _>>()?;
    for (field, at) in input.fields.iter().zip(&fields) {
        let declared = sources[source].columns[*at].ty.value_type();
        if declared != field.value_type {
            return Err(format!(
                "metric {}: field {}.{} is declared as {declared:?}, but the metric reads {:?}",
                info.name, input.source, field.name, field.value_type
            ));
        }
    }
    let dimension = |name: &String| match info.computed_dimensions.iter().position(|d| &d.name == name) {
        Some(computed) => Ok(DimensionFrom::Computed(computed)),
        None => column(name).map(DimensionFrom::Column),
    };
    let dimensions = info.dimensions.iter().map(dimension).collect::<Result<Vec<_>, _>>()?;
    let watches = match input.watches.is_empty() {
        true => fields.clone(),
        false => input.watches.iter().map(column).collect::<Result<_, _>>()?,
    };
    let from_columns = dimensions.iter().filter_map(|d| match d {
        DimensionFrom::Column(column) => Some(*column),
        DimensionFrom::Computed(_) => None,
    });
    let needed: BTreeSet<usize> = fields.iter().copied().chain(from_columns).collect();
    Ok(InputPlan {
        source,
        types: input.fields.iter().map(|f| f.value_type).collect(),
        fields,
        watches,
        dimensions,
        needed: needed.into_iter().collect(),
    })
}

/// Types of the dimensions, which must agree over all inputs.
fn dimension_types(
    info: &MetricInfo,
    inputs: &[InputPlan],
    sources: &[Arc<SourceDecl>],
) -> Result<Vec<ValueType>, String> {
    let type_in = |input: &InputPlan, at: usize| match input.dimensions[at] {
        DimensionFrom::Column(column) => sources[input.source].columns[column].ty.value_type(),
        DimensionFrom::Computed(computed) => info.computed_dimensions[computed].value_type,
    };
    (0..info.dimensions.len())
        .map(|at| {
            let ty = inputs.first().map_or(ValueType::Int, |i| type_in(i, at));
            match inputs.iter().all(|i| type_in(i, at) == ty) {
                true => Ok(ty),
                false => Err(format!(
                    "metric {}: dimension {} has different types in its sources",
                    info.name, info.dimensions[at]
                )),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::fakes::{info, options};
    use weir_types::contract::Field;
    use weir_types::{DAY, HOUR};

    /// `correct_for` by window of a metric that says `extra` of itself.
    fn corrected(extra: &str, options: &crate::Options) -> Vec<(String, Micros)> {
        let first = Field { name: "created_at".into(), value_type: ValueType::Time, nullable: false };
        let mut info = info("t.created", first, vec![Window::Tumbling(MINUTE), Window::Day]);
        info.extra.push(("correct_for".into(), extra.into()));
        let plan = Plan::new(&info, &Overrides { options }).expect("it fits");
        plan.kinds.iter().map(|kind| (kind.name.to_string(), kind.correct_for)).collect()
    }

    #[test]
    fn a_metric_that_needs_a_longer_correction_gets_it_in_every_window() {
        let days = |minute, day| vec![("1m".to_string(), minute), ("day".to_string(), day)];
        let options = options();
        assert_eq!(corrected("26h", &options), days(26 * HOUR, 8 * DAY));
        assert_eq!(corrected("9d", &options), days(9 * DAY, 9 * DAY));
        assert_eq!(corrected("1s", &options), days(2 * HOUR, 8 * DAY), "it is a least, never a most");
    }

    #[test]
    fn what_the_operator_sets_for_the_metric_stands_above_what_the_metric_says() {
        let mut options = options();
        let own = [("1m".to_string(), HOUR)].into();
        options.correct_for_metric.insert("t.created".into(), own);
        options.correct_for_metric.insert("t.other".into(), [("day".to_string(), HOUR)].into());
        let kinds = corrected("26h", &options);
        assert_eq!(kinds, [("1m".to_string(), HOUR), ("day".to_string(), 8 * DAY)]);
    }
}
