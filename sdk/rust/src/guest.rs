//! The component's side of the contract: moves the bindings' records into [`crate::raw`] and back.
//! Lists are moved, never copied.

#![allow(clippy::all, reason = "bindings are generated")]

use crate::raw;
use std::cell::RefCell;

wit_bindgen::generate!({
    path: "../../wit/v0.1",
    world: "metric",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "weir_metric::guest",
});

use exports::weir::metric::metric_api as api;
use weir::metric::types;

/// The metrics of the component that is built.
pub trait Component {
    fn plugin() -> raw::Plugin;
}

thread_local! {
    static OPEN: RefCell<Option<Box<dyn raw::Instance>>> = const { RefCell::new(None) };
}

fn opened<T>(call: impl FnOnce(&mut dyn raw::Instance) -> Result<T, String>) -> Result<T, String> {
    OPEN.with_borrow_mut(|open| match open {
        Some(instance) => call(instance.as_mut()),
        None => Err("the metric is not opened yet".into()),
    })
}

pub(crate) fn log(level: crate::log::Level, message: &str) {
    use crate::log::Level;
    use weir::metric::host_log;
    let level = match level {
        Level::Debug => host_log::Level::Debug,
        Level::Info => host_log::Level::Info,
        Level::Warn => host_log::Level::Warn,
        Level::Error => host_log::Level::Error,
    };
    host_log::log(level, message);
}

impl<C: Component> api::Guest for C {
    fn describe() -> Vec<types::MetricInfo> {
        C::plugin().describe().into_iter().map(info).collect()
    }
    fn open(metric: String, config: Vec<(String, String)>) -> Result<(), String> {
        let instance = C::plugin().open(&metric, &config)?;
        OPEN.with_borrow_mut(|open| match open {
            Some(_) => Err("this instance is opened already".into()),
            None => {
                *open = Some(instance);
                Ok(())
            }
        })
    }
    fn observe(input: u32, changes: types::Changes) -> Result<types::Samples, String> {
        let changes = raw::Changes {
            rows: changes.rows,
            before_present: changes.before_present,
            after_present: changes.after_present,
            event_times: changes.event_times,
            before: columns_in(changes.before),
            after: columns_in(changes.after),
            dictionaries: dictionaries_in(changes.dictionaries),
        };
        opened(|open| open.observe(input, &changes)).map(samples)
    }
    fn observe_image(input: u32, images: types::Images) -> Result<types::Samples, String> {
        let images = raw::Images {
            rows: images.rows,
            columns: columns_in(images.columns),
            dictionaries: dictionaries_in(images.dictionaries),
        };
        opened(|open| open.observe_image(input, &images)).map(samples)
    }
    fn accumulate(
        slots: Vec<u8>,
        weights: Vec<u8>,
        times: Vec<u8>,
        untils: Vec<u8>,
        values: Vec<types::Column>,
        dictionaries: Vec<types::Dictionary>,
    ) -> Result<(), String> {
        let (values, dictionaries) = (columns_in(values), dictionaries_in(dictionaries));
        opened(|open| open.accumulate(&raw::Parts { slots, weights, times, untils, values, dictionaries }))
    }
    fn merge(into: Vec<u8>, from: Vec<u8>) -> Result<(), String> {
        opened(|open| open.merge(&into, &from))
    }
    fn evaluate(slots: Vec<u8>, starts: Vec<u8>, ends: Vec<u8>, now: i64) -> Result<types::Outputs, String> {
        let outputs = opened(|open| open.evaluate(&slots, &starts, &ends, now))?;
        Ok(types::Outputs {
            columns: columns_out(outputs.columns),
            dictionaries: dictionaries_out(outputs.dictionaries),
        })
    }
    fn save(slots: Vec<u8>) -> Result<types::States, String> {
        let states = opened(|open| open.save(&slots))?;
        Ok(types::States { offsets: states.offsets, bytes: states.bytes })
    }
    fn load(slots: Vec<u8>, states: types::States, state_version: u32) -> Result<(), String> {
        let states = raw::States { offsets: states.offsets, bytes: states.bytes };
        opened(|open| open.load(&slots, &states, state_version))
    }
    fn release(slots: Vec<u8>) -> Result<(), String> {
        opened(|open| open.release(&slots))
    }
}

pub(crate) fn columns_in(columns: Vec<types::Column>) -> Vec<raw::Column> {
    let column =
        |c: types::Column| raw::Column { validity: c.validity, values: c.values, offsets: c.offsets };
    columns.into_iter().map(column).collect()
}

pub(crate) fn columns_out(columns: Vec<raw::Column>) -> Vec<types::Column> {
    let column =
        |c: raw::Column| types::Column { validity: c.validity, values: c.values, offsets: c.offsets };
    columns.into_iter().map(column).collect()
}

pub(crate) fn dictionaries_in(dictionaries: Vec<types::Dictionary>) -> Vec<raw::Dictionary> {
    let one = |d: types::Dictionary| raw::Dictionary { offsets: d.offsets, bytes: d.bytes };
    dictionaries.into_iter().map(one).collect()
}

pub(crate) fn dictionaries_out(dictionaries: Vec<raw::Dictionary>) -> Vec<types::Dictionary> {
    let one = |d: raw::Dictionary| types::Dictionary { offsets: d.offsets, bytes: d.bytes };
    dictionaries.into_iter().map(one).collect()
}

fn samples(samples: raw::Samples) -> types::Samples {
    let reject = |r: raw::Reject| types::Reject { row: r.row, reason: r.reason };
    types::Samples {
        rows: samples.rows,
        weights: samples.weights,
        images: samples.images,
        times: samples.times,
        times_validity: samples.times_validity,
        untils: samples.untils,
        values: columns_out(samples.values),
        computed: columns_out(samples.computed),
        dictionaries: dictionaries_out(samples.dictionaries),
        rejects: samples.rejects.into_iter().map(reject).collect(),
    }
}

fn value_type(ty: raw::ValueType) -> types::ValueType {
    match ty {
        raw::ValueType::Int => types::ValueType::Int,
        raw::ValueType::Float => types::ValueType::Float,
        raw::ValueType::Text => types::ValueType::Text,
        raw::ValueType::Bool => types::ValueType::Bool,
        raw::ValueType::Time => types::ValueType::Time,
    }
}

fn fields(fields: Vec<raw::Field>) -> Vec<types::Field> {
    let one = |f: raw::Field| types::Field {
        name: f.name,
        value_type: value_type(f.value_type),
        nullable: f.nullable,
    };
    fields.into_iter().map(one).collect()
}

pub(crate) fn output(output: raw::Output) -> types::Output {
    types::Output {
        name: output.name,
        value_type: value_type(output.value_type),
        is_list: output.is_list,
        nullable: output.nullable,
        unit: output.unit,
        description: output.description,
    }
}

pub(crate) fn window(window: raw::Window) -> types::Window {
    match window {
        raw::Window::Tumbling(length) => types::Window::Tumbling(length),
        raw::Window::Day => types::Window::Day,
        raw::Window::Sliding { size, step } => types::Window::Sliding(types::Sliding { size, step }),
        raw::Window::Session(gap) => types::Window::Session(gap),
        raw::Window::Now => types::Window::Now,
    }
}

fn info(info: raw::MetricInfo) -> types::MetricInfo {
    let input =
        |i: raw::Input| types::Input { source: i.source, fields: fields(i.fields), watches: i.watches };
    types::MetricInfo {
        name: info.name,
        title: info.title,
        unit: info.unit,
        description: info.description,
        owner: info.owner,
        version: info.version,
        deprecated: info.deprecated,
        replaced_by: info.replaced_by,
        inputs: info.inputs.into_iter().map(input).collect(),
        dimensions: info.dimensions,
        dimension_sets: info.dimension_sets,
        windows: info.windows.into_iter().map(window).collect(),
        values: fields(info.values),
        computed_dimensions: fields(info.computed_dimensions),
        outputs: info.outputs.into_iter().map(output).collect(),
        time_varying: info.time_varying,
        rows: match info.rows {
            raw::RowMemory::Live => types::RowMemory::Live,
            raw::RowMemory::All => types::RowMemory::All,
        },
        state_version: info.state_version,
        state_versions_read: info.state_versions_read,
        meaning_version: info.meaning_version,
        extra: info.extra,
    }
}
