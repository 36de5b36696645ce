//! How a derived metric meets its bases: indexes instead of names.

use crate::Options;
use crate::plan::{KindPlan, Overrides, Plan as BasePlan, plan_kind};
use crate::watermark::Watermarks;
use std::sync::Arc;
use weir_types::contract::{Base, Field, Input, MetricInfo, ValueType};
use weir_types::key::set_name;
use weir_types::window::{Window, check_windows, pane_length};
use weir_types::{MINUTE, Micros, Name};

/// One base, in its own numbers.
#[derive(Clone, Debug)]
pub struct Source {
    pub metric: String,
    /// Which of its outputs are read, in the order asked for.
    pub outputs: Vec<usize>,
    /// By window kind of the derived metric.
    pub kinds: Vec<u16>,
    /// By dimension set of the derived metric.
    pub sets: Vec<u16>,
    /// By window kind of the derived metric: how long the base keeps a window, in microseconds.
    pub keep_for: Vec<i64>,
}

/// A derived metric, resolved.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kinds: Vec<KindPlan>,
    pub set_names: Vec<Name>,
    /// Types of the dimensions, by set.
    pub set_types: Vec<Vec<ValueType>>,
    pub bases: Vec<Source>,
    pub is_now: bool,
    /// What its bases read.
    pub sources: Vec<Input>,
}

impl Plan {
    /// `find` gives the description of a loaded metric. The error says which base does not fit, and why.
    pub fn new(
        info: &MetricInfo,
        options: &Options,
        find: impl Fn(&str) -> Option<Arc<MetricInfo>>,
    ) -> Result<Plan, String> {
        let named = |text: String| format!("metric {}: {text}", info.name);
        let windows = options.windows_metric.get(&info.name).unwrap_or(&info.windows);
        check_windows(windows).map_err(named)?;
        if windows.iter().any(|w| matches!(w, Window::Session { .. })) {
            return Err(named("a derived metric has no session windows: each base has its own".into()));
        }
        let pane = pane_length(windows).unwrap_or(MINUTE);
        let mut plan = Plan {
            kinds: windows.iter().map(|w| plan_kind(*w, pane, info, options)).collect(),
            set_names: info.dimension_sets.iter().map(|s| set_name(s).into()).collect(),
            set_types: Vec::new(),
            bases: Vec::new(),
            is_now: windows.contains(&Window::Now),
            sources: Vec::new(),
        };
        for base in &info.bases {
            let found = find(&base.metric)
                .ok_or_else(|| named(format!("its base {} is not loaded: push that first", base.metric)))?;
            let (source, types) = source(info, base, &found, &plan.kinds, options).map_err(named)?;
            if plan.bases.is_empty() {
                plan.set_types = types;
            } else if plan.set_types != types {
                return Err(named(format!(
                    "its bases {} and {} have dimensions of different types",
                    plan.bases[0].metric, base.metric
                )));
            }
            plan.bases.push(source);
            plan.add_sources(&found);
        }
        Ok(plan)
    }

    fn add_sources(&mut self, base: &MetricInfo) {
        for input in &base.inputs {
            if self.sources.iter().all(|s| s.source != input.source) {
                let source = input.source.clone();
                self.sources.push(Input { source, fields: Vec::new(), watches: Vec::new() });
            }
        }
    }

    /// How far back a base must keep its windows for a metric that was computed with these watermarks: as if
    /// records had come only this far.
    pub fn keeps_from(&self, watermarks: Watermarks, base: &str) -> Micros {
        let ours = self.bases.iter().filter(|b| b.metric == base);
        let longer = ours.flat_map(|ours| {
            let others = self.bases.iter().flat_map(|b| b.keep_for.iter().enumerate());
            others.map(|(kind, keep_for)| keep_for.saturating_sub(ours.keep_for[kind]))
        });
        watermarks.records.saturating_sub(longer.max().unwrap_or(0).max(0))
    }

    /// The description with what the component cannot know: types of its dimensions, and the sources behind it.
    pub fn complete(&self, info: &MetricInfo) -> MetricInfo {
        let field = |name: &String| {
            let sets = info.dimension_sets.iter().zip(&self.set_types);
            let found =
                sets.filter_map(|(set, types)| Some(types[set.iter().position(|d| d == name)?])).next();
            Some(Field { name: name.clone(), value_type: found?, nullable: true })
        };
        MetricInfo {
            inputs: self.sources.clone(),
            computed_dimensions: info.dimensions.iter().filter_map(field).collect(),
            ..info.clone()
        }
    }
}

/// One base, and the types of the dimensions in it by set.
fn source(
    info: &MetricInfo,
    base: &Base,
    found: &MetricInfo,
    kinds: &[KindPlan],
    options: &Options,
) -> Result<(Source, Vec<Vec<ValueType>>), String> {
    if found.is_derived() {
        return Err(format!("its base {} is a derived metric itself: name that one's bases", base.metric));
    }
    let plan = BasePlan::new(found, &Overrides { options })?;
    let output = |name: &String| {
        let known = || found.outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(", ");
        let at = found.outputs.iter().position(|o| o.name == *name);
        at.ok_or_else(|| format!("its base {} has no output {name} (it has: {})", base.metric, known()))
    };
    let kind = |kind: &KindPlan| {
        let at = plan.kinds.iter().position(|k| k.window == kind.window);
        at.map(|at| at as u16).ok_or_else(|| {
            let known = plan.kinds.iter().map(|k| &*k.name).collect::<Vec<_>>().join(", ");
            let whose = match options.windows_metric.contains_key(&base.metric) {
                true => ", as the configuration sets its windows",
                false => "",
            };
            format!("its base {} is not kept in window {} (it has: {known}{whose})", base.metric, kind.name)
        })
    };
    let set = |names: &Vec<String>| {
        let at = found.dimension_sets.iter().position(|s| s == names);
        at.map(|at| at as u16).ok_or_else(|| {
            let named = if names.is_empty() { "the grand total".into() } else { names.join(", ") };
            format!("its base {} is not kept for the dimension set [{named}]", base.metric)
        })
    };
    let sets = info.dimension_sets.iter().map(set).collect::<Result<Vec<u16>, _>>()?;
    let own_kinds = kinds.iter().map(kind).collect::<Result<Vec<u16>, _>>()?;
    let types = |set: &u16| plan.sets[*set as usize].iter().map(|d| plan.dimension_types[*d]).collect();
    let types = sets.iter().map(types).collect();
    let source = Source {
        metric: base.metric.clone(),
        outputs: base.outputs.iter().map(output).collect::<Result<_, _>>()?,
        keep_for: own_kinds.iter().map(|k| plan.kinds[*k as usize].keep_for).collect(),
        kinds: own_kinds,
        sets,
    };
    Ok((source, types))
}
