//! The component's side of the world `derived`.

#![allow(clippy::all, reason = "bindings are generated")]

use crate::derived::{Compute, DerivedInfo, Plugin};
use crate::guest::{columns_in, columns_out, dictionaries_in, dictionaries_out, output, window};
use std::cell::Cell;

wit_bindgen::generate!({
    path: "../../wit/v0.1",
    world: "derived",
    pub_export_macro: true,
    export_macro_name: "export_derived_component",
    default_bindings_module: "weir_metric::guest_derived",
    with: {
        "weir:metric/types@0.1.0": crate::guest::weir::metric::types,
        "weir:metric/host-log@0.1.0": crate::guest::weir::metric::host_log,
    },
});

use crate::guest::weir::metric::types;
use exports::weir::metric::derived_api as api;

/// The derived metrics of the component that is built.
pub trait Component {
    fn plugin() -> Plugin;
}

thread_local! {
    static OPEN: Cell<Option<Compute>> = const { Cell::new(None) };
}

impl<C: Component> api::Guest for C {
    fn describe() -> Vec<api::DerivedInfo> {
        C::plugin().describe().into_iter().map(info).collect()
    }
    fn open(metric: String, _config: Vec<(String, String)>) -> Result<(), String> {
        let found = C::plugin().find(&metric)?;
        match OPEN.replace(Some(found)) {
            Some(_) => Err("this instance is opened already".into()),
            None => Ok(()),
        }
    }
    fn compute(
        rows: u32,
        columns: Vec<types::Column>,
        dictionaries: Vec<types::Dictionary>,
        _window_starts: Vec<u8>,
        _window_ends: Vec<u8>,
    ) -> Result<types::Outputs, String> {
        let compute = OPEN.get().ok_or("the metric is not opened yet")?;
        let outputs = compute(rows as usize, &columns_in(columns), &dictionaries_in(dictionaries))?;
        Ok(types::Outputs {
            columns: columns_out(outputs.columns),
            dictionaries: dictionaries_out(outputs.dictionaries),
        })
    }
}

fn info(info: DerivedInfo) -> api::DerivedInfo {
    let base = |b: crate::derived::Base| api::Base { metric: b.metric, outputs: b.outputs };
    api::DerivedInfo {
        name: info.name,
        title: info.title,
        unit: info.unit,
        description: info.description,
        owner: info.owner,
        version: info.version,
        deprecated: info.deprecated,
        replaced_by: info.replaced_by,
        bases: info.bases.into_iter().map(base).collect(),
        dimensions: info.dimensions,
        dimension_sets: info.dimension_sets,
        windows: info.windows.into_iter().map(window).collect(),
        outputs: info.outputs.into_iter().map(output).collect(),
        meaning_version: info.meaning_version,
        extra: info.extra,
    }
}
