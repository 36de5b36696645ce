//! One opened derived metric: a store and an instance of its own, every call under limits, every answer checked.

use crate::bindings::derived::Derived as World;
use crate::bindings::derived::exports::weir::metric::derived_api::{DerivedInfo, Guest as Api};
use crate::check::{self, Shape};
use crate::guest::{Guest, cut};
use crate::instance::{MAX_ERROR_BYTES, Running, columns, dictionaries};
use crate::sandbox::{Compiled, Pre};
use std::sync::Arc;
use wasmtime::Store;
use weir_types::contract::{BaseRows, DerivedInstance, GuestError, Outputs};

/// See the module.
pub struct Instance {
    guest: Running,
    world: World,
    shape: Arc<Shape>,
    /// Set by the first failure.
    broken: Option<GuestError>,
}

impl Instance {
    /// A fresh instance on which `describe` can be called, and nothing else yet.
    pub fn bare(compiled: &Compiled, metric: &str, shape: Arc<Shape>) -> Result<Instance, GuestError> {
        let Pre::Derived(pre) = &compiled.pre else {
            return Err(GuestError::Refused("it is a metric over rows, not a derived one".into()));
        };
        let mut guest = Running::new(compiled, metric);
        let world = pre.instantiate(&mut guest.store);
        let world = world.map_err(|error| guest.failure(&error, true))?;
        Ok(Instance { guest, world, shape, broken: None })
    }

    pub fn open(&mut self, metric: &str, config: &[(String, String)]) -> Result<(), GuestError> {
        let config: Vec<(&str, &str)> = config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        self.call(|api, store| api.call_open(store, metric, &config))
    }

    pub fn describe(&mut self) -> Result<Vec<DerivedInfo>, GuestError> {
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
        let outcome = match call(self.world.weir_metric_derived_api(), &mut self.guest.store) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(text)) => GuestError::Refused(cut(&text, MAX_ERROR_BYTES).to_string()),
            Err(error) => self.guest.failure(&error, false),
        };
        self.broken = Some(outcome.clone());
        Err(outcome)
    }
}

impl DerivedInstance for Instance {
    fn compute(&mut self, given: &BaseRows) -> Result<Outputs, GuestError> {
        let (columns, dictionaries) = (columns(&given.columns), dictionaries(&given.dictionaries));
        let (starts, ends) = (&given.window_starts, &given.window_ends);
        let outputs = self
            .call(|api, store| api.call_compute(store, given.rows, &columns, &dictionaries, starts, ends))?;
        check::outputs(outputs, given.rows as usize, &self.shape).map_err(|text| {
            let error = GuestError::BadOutput(text);
            self.broken = Some(error.clone());
            error
        })
    }

    fn memory_bytes(&self) -> usize {
        self.guest.memory_bytes()
    }

    fn warned(&self) -> u64 {
        self.guest.warned()
    }
}
