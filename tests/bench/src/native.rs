//! The shipped metrics as ordinary Rust, behind the same trait as the sandbox: what the sandbox costs is
//! the difference. Arguments are copied once, as into a guest's memory.

use std::borrow::Borrow;
use std::sync::Arc;
use weir_metric::{derived, raw};
use weir_types::Micros;
use weir_types::contract::*;
use weir_types::ports::Loader;
use weir_types::schema::SourceDecl;

/// Gives the native metrics whatever component it is shown; their descriptions come from the sandbox,
/// so that both are the same.
pub struct NativeLoader {
    pub described: Vec<Arc<dyn MetricFactory>>,
}

impl Loader for NativeLoader {
    fn load(
        &self,
        origin: &str,
        _: &[u8],
        _: &[Arc<SourceDecl>],
    ) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        self.reload(origin, &[])
    }
    fn reload(&self, origin: &str, _: &[u8]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        let plugin = plugin(origin)?;
        let names = plugin.names();
        let described = self.described.iter().filter(|f| names.contains(&f.info().name));
        Ok(described
            .map(|f| {
                let native = Native { info: f.info().clone(), plugin: plugin.clone() };
                Arc::new(native) as Arc<dyn MetricFactory>
            })
            .collect())
    }
}

/// A shipped component as ordinary Rust.
#[derive(Clone)]
enum Plugin {
    Rows(raw::Plugin),
    Derived(derived::Plugin),
}

fn plugin(origin: &str) -> Result<Plugin, String> {
    Ok(match origin {
        "ticket.wasm" => Plugin::Rows(ticket::plugin()),
        "call.wasm" => Plugin::Rows(call::plugin()),
        "im.wasm" => Plugin::Rows(im::plugin()),
        "team.wasm" => Plugin::Rows(team::plugin()),
        "survey.wasm" => Plugin::Rows(survey::plugin()),
        "ticket_rates.wasm" => Plugin::Derived(ticket_rates::plugin()),
        "call_rates.wasm" => Plugin::Derived(call_rates::plugin()),
        "im_rates.wasm" => Plugin::Derived(im_rates::plugin()),
        "team_rates.wasm" => Plugin::Derived(team_rates::plugin()),
        other => return Err(format!("there is no native form of {other}")),
    })
}

impl Plugin {
    fn names(&self) -> Vec<String> {
        match self {
            Plugin::Rows(plugin) => plugin.describe().into_iter().map(|info| info.name).collect(),
            Plugin::Derived(plugin) => plugin.describe().into_iter().map(|info| info.name).collect(),
        }
    }
}

struct Native {
    info: MetricInfo,
    plugin: Plugin,
}

impl MetricFactory for Native {
    fn info(&self) -> &MetricInfo {
        &self.info
    }
    fn digest(&self) -> &str {
        "native"
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        let Plugin::Rows(plugin) = &self.plugin else {
            return Err(GuestError::Refused("it is derived".into()));
        };
        let instance = plugin.open(&self.info.name, &[]).map_err(GuestError::Refused)?;
        Ok(Box::new(Instance(instance)))
    }
    fn open_derived(&self) -> Result<Box<dyn DerivedInstance>, GuestError> {
        let Plugin::Derived(plugin) = &self.plugin else {
            return Err(GuestError::Refused("it is over rows".into()));
        };
        Ok(Box::new(Computed(plugin.find(&self.info.name).map_err(GuestError::Refused)?)))
    }
}

struct Computed(derived::Compute);

impl DerivedInstance for Computed {
    fn compute(&mut self, given: &BaseRows) -> Result<Outputs, GuestError> {
        let (columns, dictionaries) = (columns(&given.columns), dictionaries(&given.dictionaries));
        let outputs = (self.0)(given.rows as usize, &columns, &dictionaries).map_err(GuestError::Refused)?;
        Ok(Outputs { columns: back(outputs.columns), dictionaries: texts(outputs.dictionaries) })
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

struct Instance(Box<dyn raw::Instance>);

fn columns<C: Borrow<PackedColumn>>(columns: &[C]) -> Vec<raw::Column> {
    let copy = |c: &PackedColumn| raw::Column {
        validity: c.validity.clone(),
        values: c.values.clone(),
        offsets: c.offsets.clone(),
    };
    columns.iter().map(|c| copy(c.borrow())).collect()
}

fn dictionaries<D: Borrow<PackedDictionary>>(dictionaries: &[D]) -> Vec<raw::Dictionary> {
    let copy = |d: &PackedDictionary| raw::Dictionary { offsets: d.offsets.clone(), bytes: d.bytes.clone() };
    dictionaries.iter().map(|d| copy(d.borrow())).collect()
}

fn back(columns: Vec<raw::Column>) -> Vec<PackedColumn> {
    columns
        .into_iter()
        .map(|c| PackedColumn { validity: c.validity, values: c.values, offsets: c.offsets })
        .collect()
}

fn texts(dictionaries: Vec<raw::Dictionary>) -> Vec<PackedDictionary> {
    dictionaries.into_iter().map(|d| PackedDictionary { offsets: d.offsets, bytes: d.bytes }).collect()
}

fn samples(s: raw::Samples) -> Samples {
    Samples {
        rows: s.rows,
        weights: s.weights,
        images: s.images,
        times: s.times,
        times_validity: s.times_validity,
        untils: s.untils,
        values: back(s.values),
        computed: back(s.computed),
        dictionaries: texts(s.dictionaries),
        rejects: s.rejects.into_iter().map(|r| (r.row, r.reason)).collect(),
    }
}

impl MetricInstance for Instance {
    fn observe(&mut self, input: u32, c: &Changes) -> Result<Samples, GuestError> {
        let changes = raw::Changes {
            rows: c.rows,
            before_present: c.before_present.clone(),
            after_present: c.after_present.clone(),
            event_times: c.event_times.clone(),
            before: columns(&c.before),
            after: columns(&c.after),
            dictionaries: dictionaries(&c.dictionaries),
        };
        self.0.observe(input, &changes).map(samples).map_err(GuestError::Refused)
    }
    fn observe_image(&mut self, input: u32, images: &Images) -> Result<Samples, GuestError> {
        let images = raw::Images {
            rows: images.rows,
            columns: columns(&images.columns),
            dictionaries: dictionaries(&images.dictionaries),
        };
        self.0.observe_image(input, &images).map(samples).map_err(GuestError::Refused)
    }
    fn accumulate(&mut self, parts: &Parts) -> Result<(), GuestError> {
        let parts = raw::Parts {
            slots: parts.slots.clone(),
            weights: parts.weights.clone(),
            times: parts.times.clone(),
            untils: parts.untils.clone(),
            values: columns(&parts.values),
            dictionaries: dictionaries(&parts.dictionaries),
        };
        self.0.accumulate(&parts).map_err(GuestError::Refused)
    }
    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError> {
        self.0.merge(&pack::u32s(into), &pack::u32s(from)).map_err(GuestError::Refused)
    }
    fn evaluate(
        &mut self,
        slots: &[u32],
        starts: &[Micros],
        ends: &[Micros],
        now: Micros,
    ) -> Result<Outputs, GuestError> {
        let (slots, starts, ends) = (pack::u32s(slots), pack::i64s(starts), pack::i64s(ends));
        let outputs = self.0.evaluate(&slots, &starts, &ends, now).map_err(GuestError::Refused)?;
        Ok(Outputs { columns: back(outputs.columns), dictionaries: texts(outputs.dictionaries) })
    }
    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        let states = self.0.save(&pack::u32s(slots)).map_err(GuestError::Refused)?;
        Ok(States { offsets: states.offsets, bytes: states.bytes })
    }
    fn load(&mut self, slots: &[u32], states: &States, state_version: u32) -> Result<(), GuestError> {
        let states = raw::States { offsets: states.offsets.clone(), bytes: states.bytes.clone() };
        self.0.load(&pack::u32s(slots), &states, state_version).map_err(GuestError::Refused)
    }
    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        self.0.release(&pack::u32s(slots)).map_err(GuestError::Refused)
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}
