//! One opened metric: a store and an instance of its own, every call under limits, every answer checked.

use crate::bindings::Metric as World;
use crate::bindings::exports::weir::metric::metric_api::Guest as Api;
use crate::bindings::weir::metric::types as wit;
use crate::check::{self, Asked, Shape};
use crate::guest::{Guest, cut};
use crate::portion::{self, SLOTS_PER_CALL};
use crate::sandbox::{Compiled, Pre, TICK_MS};
use std::borrow::Borrow;
use std::sync::Arc;
use wasmtime::{Store, Trap};
use weir_types::Micros;
use weir_types::contract::{
    Changes, GuestError, Images, MetricInstance, Outputs, PackedColumn, PackedDictionary, Parts, Samples,
    States,
};

/// Bytes kept of the text with which a guest refuses a call.
pub(crate) const MAX_ERROR_BYTES: usize = 2_000;

/// What wasmtime says when a guest gives back more bytes than it may (its error has no public type).
const FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// See the module.
pub struct Instance {
    guest: Running,
    world: World,
    shape: Arc<Shape>,
    scratch: Scratch,
    /// Set by the first failure: nothing that the guest holds can be relied on any more.
    broken: Option<GuestError>,
}

/// The guest's memory and what limits it.
pub(crate) struct Running {
    pub store: Store<Guest>,
    limit_ticks: u64,
}

impl Instance {
    /// A fresh instance on which `describe` can be called, and nothing else yet.
    pub fn bare(compiled: &Compiled, metric: &str, shape: Arc<Shape>) -> Result<Instance, GuestError> {
        let Pre::Metric(pre) = &compiled.pre else {
            return Err(GuestError::Refused("it is a derived metric".into()));
        };
        let mut instance = Running::new(compiled, metric);
        let world = pre.instantiate(&mut instance.store);
        let world = world.map_err(|error| instance.failure(&error, true))?;
        Ok(Instance { guest: instance, world, shape, scratch: Scratch::default(), broken: None })
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
        self.guest.start_call();
        let outcome = match call(self.world.weir_metric_metric_api(), &mut self.guest.store) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(text)) => GuestError::Refused(cut(&text, MAX_ERROR_BYTES).to_string()),
            Err(error) => self.guest.failure(&error, false),
        };
        self.broken = Some(outcome.clone());
        Err(outcome)
    }

    fn with_scratch<T>(&mut self, call: impl FnOnce(&mut Self, &mut Scratch) -> T) -> T {
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = call(self, &mut scratch);
        self.scratch = scratch;
        outcome
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

impl Instance {
    fn save_portion(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        let states = self.with_scratch(|this, packed| {
            pack_u32s(slots, &mut packed.a);
            this.call(|api, store| api.call_save(store, &packed.a))
        })?;
        let checked = check::states(states, slots.len());
        self.checked(checked)
    }

    fn load_portion(&mut self, slots: &[u32], states: &States, version: u32) -> Result<(), GuestError> {
        let given = wit::StatesParam { offsets: &states.offsets, bytes: &states.bytes };
        self.with_scratch(|this, packed| {
            pack_u32s(slots, &mut packed.a);
            this.call(|api, store| api.call_load(store, &packed.a, given, version))
        })
    }
}

impl Running {
    /// A store for one instance, whose first call begins with its instantiation.
    pub fn new(compiled: &Compiled, metric: &str) -> Running {
        let limits = compiled.limits(metric);
        let guest = Guest::new(metric, &limits, compiled.ticks.clone());
        let mut store = Store::new(&compiled.engine, guest);
        store.limiter(|guest| &mut guest.limiter);
        store.set_hostcall_fuel(limits.bytes_returned);
        let limit_ticks = (limits.call.as_millis() as u64).div_ceil(TICK_MS).max(1);
        let mut instance = Running { store, limit_ticks };
        instance.start_call();
        instance
    }

    /// Bytes of all linear memories.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory
    }

    /// Warnings and errors that the guest logged.
    pub fn warned(&self) -> u64 {
        self.store.data().log.warned
    }

    pub fn start_call(&mut self) {
        let guest = self.store.data_mut();
        guest.log.next_call();
        guest.limiter.refused = false;
        // One tick more: the running one has begun already.
        self.store.set_epoch_deadline(self.limit_ticks + 1);
    }

    /// A failed call as an error, with the reason that the trap alone does not tell.
    pub fn failure(&self, error: &wasmtime::Error, starting: bool) -> GuestError {
        let limiter = &self.store.data().limiter;
        let text = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => return GuestError::Timeout { limit_ms: self.limit_ticks * TICK_MS },
            Some(trap) => trap.to_string(),
            None => format!("{error:#}"),
        };
        if limiter.refused {
            let limit = limiter.limits.memory_bytes;
            return GuestError::Trap(format!("{text} (it asked for more than its {limit} bytes of memory)"));
        }
        if error.is::<Trap>() || starting {
            return GuestError::Trap(text);
        }
        if text.contains(FUEL) {
            let limit = limiter.limits.bytes_returned;
            return GuestError::BadOutput(format!("it gave more than the limit of {limit} bytes"));
        }
        GuestError::BadOutput(text)
    }
}

/// Packed arguments, kept between calls for their memory.
#[derive(Default)]
struct Scratch {
    a: Vec<u8>,
    b: Vec<u8>,
    c: Vec<u8>,
}

fn pack_u32s(values: &[u32], into: &mut Vec<u8>) {
    into.resize(values.len() * 4, 0);
    for (bytes, value) in into.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
}

fn pack_i64s(values: &[i64], into: &mut Vec<u8>) {
    into.resize(values.len() * 8, 0);
    for (bytes, value) in into.as_chunks_mut::<8>().0.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
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
        let Changes { rows, before_present, after_present, .. } = changes;
        let asked = Asked::Changes { rows: *rows, before: before_present, after: after_present };
        let checked = check::samples(samples, asked, &self.shape);
        self.checked(checked)
    }

    fn observe_image(&mut self, input: u32, images: &Images) -> Result<Samples, GuestError> {
        let (columns, dictionaries) = (columns(&images.columns), dictionaries(&images.dictionaries));
        let given = wit::Images { rows: images.rows, columns: &columns, dictionaries: &dictionaries };
        let samples = self.call(|api, store| api.call_observe_image(store, input, given))?;
        let checked = check::samples(samples, Asked::Images { rows: images.rows }, &self.shape);
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
        self.with_scratch(|this, packed| {
            for (into, from) in into.chunks(SLOTS_PER_CALL).zip(from.chunks(SLOTS_PER_CALL)) {
                pack_u32s(into, &mut packed.a);
                pack_u32s(from, &mut packed.b);
                this.call(|api, store| api.call_merge(store, &packed.a, &packed.b))?;
            }
            Ok(())
        })
    }

    fn evaluate(
        &mut self,
        slots: &[u32],
        starts: &[Micros],
        ends: &[Micros],
        now: Micros,
    ) -> Result<Outputs, GuestError> {
        let outputs = self.with_scratch(|this, packed| {
            pack_u32s(slots, &mut packed.a);
            pack_i64s(starts, &mut packed.b);
            pack_i64s(ends, &mut packed.c);
            this.call(|api, store| api.call_evaluate(store, &packed.a, &packed.b, &packed.c, now))
        })?;
        let checked = check::outputs(outputs, slots.len(), &self.shape);
        self.checked(checked)
    }

    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        if slots.len() <= SLOTS_PER_CALL {
            return self.save_portion(slots);
        }
        let mut all = States::default();
        for portion in slots.chunks(SLOTS_PER_CALL) {
            let states = self.save_portion(portion)?;
            let appended = portion::append(&mut all, states);
            self.checked(appended)?;
        }
        Ok(all)
    }

    fn load(&mut self, slots: &[u32], states: &States, state_version: u32) -> Result<(), GuestError> {
        if slots.len() <= SLOTS_PER_CALL {
            return self.load_portion(slots, states, state_version);
        }
        for (at, slots) in slots.chunks(SLOTS_PER_CALL).enumerate() {
            let states = portion::part(states, at * SLOTS_PER_CALL, slots.len());
            self.load_portion(slots, &states, state_version)?;
        }
        Ok(())
    }

    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        self.with_scratch(|this, packed| {
            for slots in slots.chunks(SLOTS_PER_CALL) {
                pack_u32s(slots, &mut packed.a);
                this.call(|api, store| api.call_release(store, &packed.a))?;
            }
            Ok(())
        })
    }

    fn memory_bytes(&self) -> usize {
        self.guest.memory_bytes()
    }

    fn warned(&self) -> u64 {
        self.guest.warned()
    }
}

pub(crate) fn columns<C: Borrow<PackedColumn>>(columns: &[C]) -> Vec<wit::ColumnParam<'_>> {
    fn column(c: &PackedColumn) -> wit::ColumnParam<'_> {
        let PackedColumn { validity, values, offsets } = c;
        wit::ColumnParam { validity, values, offsets }
    }
    columns.iter().map(|c| column(c.borrow())).collect()
}

pub(crate) fn dictionaries<D: Borrow<PackedDictionary>>(dictionaries: &[D]) -> Vec<wit::DictionaryParam<'_>> {
    fn dictionary(d: &PackedDictionary) -> wit::DictionaryParam<'_> {
        wit::DictionaryParam { offsets: &d.offsets, bytes: &d.bytes }
    }
    dictionaries.iter().map(|d| dictionary(d.borrow())).collect()
}
