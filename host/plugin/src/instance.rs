//! One opened metric: a store and an instance of its own, every call under limits, every answer checked.

use crate::bindings::Metric as World;
use crate::bindings::exports::weir::metric::metric_api::Guest as Api;
use crate::bindings::weir::metric::types as wit;
use crate::check::{self, Shape};
use crate::guest::Guest;
use crate::sandbox::{Compiled, TICK_MS};
use std::sync::Arc;
use wasmtime::{Store, Trap};
use weir_types::Micros;
use weir_types::contract::{
    Changes, GuestError, Images, MetricInstance, Outputs, PackedColumn, PackedDictionary, Parts, Samples,
    States, pack,
};

/// See the module.
pub struct Instance {
    store: Store<Guest>,
    world: World,
    shape: Arc<Shape>,
    limit_ticks: u64,
    /// Set by the first failure: nothing that the guest holds can be relied on any more.
    broken: Option<GuestError>,
}

impl Instance {
    /// A fresh instance on which `describe` can be called, and nothing else yet.
    pub fn bare(compiled: &Compiled, metric: &str, shape: Arc<Shape>) -> Result<Instance, GuestError> {
        let limits = compiled.limits(metric);
        let guest = Guest::new(metric, &limits, compiled.ticks.clone());
        let mut store = Store::new(&compiled.engine, guest);
        store.limiter(|guest| &mut guest.limiter);
        let limit_ticks = (limits.call.as_millis() as u64).div_ceil(TICK_MS).max(1);
        store.set_epoch_deadline(limit_ticks + 1);
        let world = compiled.pre.instantiate(&mut store).map_err(|e| trap(&e, &store, limit_ticks))?;
        Ok(Instance { store, world, shape, limit_ticks, broken: None })
    }

    pub fn open(&mut self, metric: &str, config: &[(String, String)]) -> Result<(), GuestError> {
        let config: Vec<(&str, &str)> = config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        self.call(|api, store| api.call_open(store, metric, &config))
    }

    pub fn describe(&mut self) -> Result<Vec<wit::MetricInfo>, GuestError> {
        self.call(|api, store| api.call_describe(store).map(Ok))
    }

    /// Makes one call under the time limit; the first failure breaks the instance for good.
    fn call<T>(
        &mut self,
        call: impl FnOnce(&Api, &mut Store<Guest>) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<T, GuestError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.store.data_mut().log.next_call();
        self.store.set_epoch_deadline(self.limit_ticks + 1);
        let outcome = match call(self.world.weir_metric_metric_api(), &mut self.store) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(text)) => GuestError::Refused(text),
            Err(error) => trap(&error, &self.store, self.limit_ticks),
        };
        self.broken = Some(outcome.clone());
        Err(outcome)
    }

    /// Breaks the instance if what came back was wrong.
    fn checked<T>(&mut self, outcome: Result<T, String>) -> Result<T, GuestError> {
        outcome.map_err(|text| {
            let error = GuestError::BadOutput(text);
            self.broken = Some(error.clone());
            error
        })
    }
}

/// A failed call as an error, with the reason that the trap alone does not tell.
fn trap(error: &wasmtime::Error, store: &Store<Guest>, limit_ticks: u64) -> GuestError {
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return GuestError::Timeout { limit_ms: limit_ticks * TICK_MS };
    }
    let limiter = &store.data().limiter;
    let reason = error.downcast_ref::<Trap>().map_or_else(|| format!("{error:#}"), ToString::to_string);
    match limiter.refused {
        true => {
            GuestError::Trap(format!("{reason} (after it was refused more memory than its limit allows)"))
        }
        false => GuestError::Trap(reason),
    }
}

impl MetricInstance for Instance {
    fn observe(&mut self, input: u32, changes: &Changes) -> Result<Samples, GuestError> {
        let (before, after) = (columns(&changes.before), columns(&changes.after));
        let dictionaries = dictionaries(&changes.dictionaries);
        let given = wit::Changes {
            rows: changes.rows,
            before_present: &changes.before_present,
            after_present: &changes.after_present,
            event_times: &changes.event_times,
            before: &before,
            after: &after,
            dictionaries: &dictionaries,
        };
        let samples = self.call(|api, store| api.call_observe(store, input, given))?;
        let checked = check::samples(samples, changes.rows, false, &self.shape);
        self.checked(checked)
    }

    fn observe_image(&mut self, input: u32, images: &Images) -> Result<Samples, GuestError> {
        let (columns, dictionaries) = (columns(&images.columns), dictionaries(&images.dictionaries));
        let given = wit::Images { rows: images.rows, columns: &columns, dictionaries: &dictionaries };
        let samples = self.call(|api, store| api.call_observe_image(store, input, given))?;
        let checked = check::samples(samples, images.rows, true, &self.shape);
        self.checked(checked)
    }

    fn accumulate(&mut self, parts: &Parts) -> Result<(), GuestError> {
        let (values, dictionaries) = (columns(&parts.values), dictionaries(&parts.dictionaries));
        self.call(|api, store| {
            let (times, untils) = (&parts.times, &parts.untils);
            api.call_accumulate(store, &parts.slots, &parts.weights, times, untils, &values, &dictionaries)
        })
    }

    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError> {
        self.call(|api, store| api.call_merge(store, &pack::u32s(into), &pack::u32s(from)))
    }

    fn evaluate(
        &mut self,
        slots: &[u32],
        starts: &[Micros],
        ends: &[Micros],
        now: Micros,
    ) -> Result<Outputs, GuestError> {
        let (packed, starts, ends) = (pack::u32s(slots), pack::i64s(starts), pack::i64s(ends));
        let outputs = self.call(|api, store| api.call_evaluate(store, &packed, &starts, &ends, now))?;
        let checked = check::outputs(outputs, slots.len(), &self.shape);
        self.checked(checked)
    }

    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        let packed = pack::u32s(slots);
        let states = self.call(|api, store| api.call_save(store, &packed))?;
        let checked = check::states(states, slots.len(), &self.shape);
        self.checked(checked)
    }

    fn load(&mut self, slots: &[u32], states: &States, state_version: u32) -> Result<(), GuestError> {
        let packed = pack::u32s(slots);
        let given = wit::StatesParam { offsets: &states.offsets, bytes: &states.bytes };
        self.call(|api, store| api.call_load(store, &packed, given, state_version))
    }

    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        self.call(|api, store| api.call_release(store, &pack::u32s(slots)))
    }

    fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory
    }
}

fn columns(columns: &[PackedColumn]) -> Vec<wit::ColumnParam<'_>> {
    fn column(c: &PackedColumn) -> wit::ColumnParam<'_> {
        let PackedColumn { validity, values, offsets } = c;
        wit::ColumnParam { validity, values, offsets }
    }
    columns.iter().map(column).collect()
}

fn dictionaries(dictionaries: &[PackedDictionary]) -> Vec<wit::DictionaryParam<'_>> {
    dictionaries.iter().map(|d| wit::DictionaryParam { offsets: &d.offsets, bytes: &d.bytes }).collect()
}
