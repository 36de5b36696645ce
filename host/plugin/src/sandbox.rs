//! Compiles components and makes metrics of them.

use crate::bindings::derived::{Derived as DerivedWorld, DerivedPre};
use crate::bindings::{Metric as MetricWorld, MetricPre};
use crate::cache::Cache;
use crate::check::Shape;
use crate::guest::Guest;
use crate::inspect::World;
use crate::instance::Instance;
use crate::limits::Limits;
use crate::{derived, describe, fit, inspect, laws};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine};
use weir_types::contract::{DerivedInstance, GuestError, MetricFactory, MetricInfo, MetricInstance};
use weir_types::ports::Loader;
use weir_types::schema::SourceDecl;

/// Milliseconds between two ticks: the grain of time limits.
pub const TICK_MS: u64 = 10;
pub const TICKS_PER_SECOND: u64 = 1000 / TICK_MS;

/// Counts ticks since the sandbox was made.
#[derive(Debug, Default)]
pub struct Ticks {
    count: AtomicU64,
}

impl Ticks {
    pub fn now(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
    pub fn tick(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// How the sandbox works.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// Folder for compiled components, which must belong to this host alone. Default none: they are
    /// compiled at every start.
    pub cache_dir: Option<PathBuf>,
    /// Limits of every metric, and of `describe`.
    pub limits: Limits,
    /// Limits of single metrics, in place of `limits`.
    pub limits_metric: BTreeMap<String, Limits>,
    /// Pairs that `open` gets, by metric; default none.
    pub config: BTreeMap<String, Vec<(String, String)>>,
}

/// The sandbox cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the WebAssembly engine cannot be set up on this machine: {0}")]
    Engine(String),
    #[error("the folder for compiled components cannot be used: {0}")]
    Cache(std::io::Error),
}

/// Loads components. What it made lives on without it.
pub struct Sandbox {
    engine: Engine,
    cache: Option<Cache>,
    options: Arc<SandboxOptions>,
    ticks: Arc<Ticks>,
}

/// A component ready to be instantiated, by its world.
pub enum Pre {
    Metric(MetricPre<Guest>),
    Derived(DerivedPre<Guest>),
}

/// A compiled component, with what its instances need.
pub struct Compiled {
    pub engine: Engine,
    pub pre: Pre,
    pub ticks: Arc<Ticks>,
    options: Arc<SandboxOptions>,
    digest: String,
}

impl Compiled {
    pub fn limits(&self, metric: &str) -> Limits {
        self.options.limits_metric.get(metric).unwrap_or(&self.options.limits).clone()
    }
}

impl Sandbox {
    pub fn new(options: SandboxOptions) -> Result<Sandbox, SandboxError> {
        let mut config = Config::new();
        // A call costs several times as much with it, and metrics make no concurrent calls.
        config.concurrency_support(false);
        config.epoch_interruption(true);
        // The same bits on every machine.
        config.cranelift_nan_canonicalization(true);
        config.relaxed_simd_deterministic(true);
        // Compiling goes on beside the hot path: it may have one core, not all.
        config.parallel_compilation(false);
        let engine = Engine::new(&config).map_err(|e| SandboxError::Engine(format!("{e:#}")))?;
        let ticks = Arc::new(Ticks::default());
        start_ticking(&engine, &ticks)?;
        let cache = options.cache_dir.clone().map(Cache::new).transpose().map_err(SandboxError::Cache)?;
        Ok(Sandbox { engine, cache, options: Arc::new(options), ticks })
    }

    fn compile(&self, bytes: &[u8]) -> Result<Arc<Compiled>, String> {
        let world = inspect::inspect(bytes, self.options.limits.component_bytes)?;
        let digest = blake3::hash(bytes).to_hex().to_string();
        let component = self.component(bytes, &digest)?;
        let pre = self.link(&component, world)?;
        Ok(Arc::new(Compiled {
            engine: self.engine.clone(),
            pre,
            ticks: self.ticks.clone(),
            options: self.options.clone(),
            digest,
        }))
    }

    fn link(&self, component: &Component, world: World) -> Result<Pre, String> {
        type Own = wasmtime::component::HasSelf<Guest>;
        let mut linker = Linker::<Guest>::new(&self.engine);
        let linked = match world {
            World::Metric => MetricWorld::add_to_linker::<_, Own>(&mut linker, |guest| guest),
            World::Derived => DerivedWorld::add_to_linker::<_, Own>(&mut linker, |guest| guest),
        };
        linked.map_err(|e| format!("cannot be linked: {e:#}"))?;
        let pre = linker.instantiate_pre(component).and_then(|pre| match world {
            World::Metric => MetricPre::new(pre).map(Pre::Metric),
            World::Derived => DerivedPre::new(pre).map(Pre::Derived),
        });
        pre.map_err(|e| format!("does not keep the contract weir:metric@0.1.0: {e:#}"))
    }

    fn component(&self, bytes: &[u8], digest: &str) -> Result<Component, String> {
        let broken = |e: wasmtime::Error| format!("cannot be compiled: {e:#}");
        let Some(cache) = &self.cache else { return Component::new(&self.engine, bytes).map_err(broken) };
        let path = cache.path(&self.engine, digest);
        if let Some(code) = cache.get(&path) {
            // SAFETY: the file carries its own hash and was written by this host into a folder that
            // belongs to it; wasmtime checks version and settings besides.
            match unsafe { Component::deserialize(&self.engine, code) } {
                Ok(component) => return Ok(component),
                Err(error) => tracing::warn!(%error, "a compiled component is of no use: compiling anew"),
            }
        }
        let component = Component::new(&self.engine, bytes).map_err(broken)?;
        let stored = component.serialize().map_err(|e| e.to_string());
        if let Err(error) = stored.and_then(|code| cache.put(&path, &code).map_err(|e| e.to_string())) {
            tracing::warn!(%error, "a compiled component cannot be cached: the next start compiles it again");
        }
        Ok(component)
    }

    fn factories(&self, bytes: &[u8]) -> Result<Vec<Arc<Factory>>, String> {
        let compiled = self.compile(bytes)?;
        let described = self.describe(&compiled)?;
        if described.is_empty() {
            return Err("describes no metric".into());
        }
        let mut names = BTreeSet::new();
        let mut factories = Vec::new();
        for info in described {
            if !names.insert(info.name.clone()) {
                return Err(format!("metric {} is described twice", info.name));
            }
            let shape = Arc::new(Shape::of(&info, &compiled.limits(&info.name)));
            factories.push(Arc::new(Factory { compiled: compiled.clone(), info, shape }));
        }
        Ok(factories)
    }
}

impl Sandbox {
    /// What a component says of its metrics, checked.
    fn describe(&self, compiled: &Compiled) -> Result<Vec<MetricInfo>, String> {
        let shape = Arc::new(Shape::unknown(&self.options.limits));
        let started = |e: GuestError| format!("cannot be started: {e}");
        let failed = |e: GuestError| format!("describe failed: {e}");
        match &compiled.pre {
            Pre::Metric(_) => {
                let mut instance = Instance::bare(compiled, "describe", shape).map_err(started)?;
                let given = instance.describe().map_err(failed)?;
                given.into_iter().map(describe::info).collect()
            }
            Pre::Derived(_) => {
                let mut instance = derived::Instance::bare(compiled, "describe", shape).map_err(started)?;
                let given = instance.describe().map_err(failed)?;
                given.into_iter().map(describe::derived).collect()
            }
        }
    }
}

impl Loader for Sandbox {
    fn load(
        &self,
        origin: &str,
        component: &[u8],
        sources: &[Arc<SourceDecl>],
    ) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        let named = |text: String| format!("{origin}: {text}");
        let factories = self.factories(component).map_err(named)?;
        for factory in &factories {
            fit::fit(&factory.info, sources).map_err(named)?;
            laws::check(&**factory, sources).map_err(named)?;
        }
        Ok(factories.into_iter().map(|f| f as Arc<dyn MetricFactory>).collect())
    }

    fn reload(&self, origin: &str, component: &[u8]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        let factories = self.factories(component).map_err(|text| format!("{origin}: {text}"))?;
        Ok(factories.into_iter().map(|f| f as Arc<dyn MetricFactory>).collect())
    }
}

/// Makes instances of one metric.
struct Factory {
    compiled: Arc<Compiled>,
    info: MetricInfo,
    shape: Arc<Shape>,
}

impl MetricFactory for Factory {
    fn info(&self) -> &MetricInfo {
        &self.info
    }
    fn digest(&self) -> &str {
        &self.compiled.digest
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        let name = &self.info.name;
        let mut instance = Instance::bare(&self.compiled, name, self.shape.clone())?;
        let config = self.compiled.options.config.get(name);
        instance.open(name, config.map_or(&[], Vec::as_slice))?;
        Ok(Box::new(instance))
    }
    fn open_derived(&self) -> Result<Box<dyn DerivedInstance>, GuestError> {
        let name = &self.info.name;
        let mut instance = derived::Instance::bare(&self.compiled, name, self.shape.clone())?;
        let config = self.compiled.options.config.get(name);
        instance.open(name, config.map_or(&[], Vec::as_slice))?;
        Ok(Box::new(instance))
    }
}

/// The thread by which time limits are kept; it ends with the sandbox and the last of its instances.
fn start_ticking(engine: &Engine, ticks: &Arc<Ticks>) -> Result<(), SandboxError> {
    let (engine, ticks): (_, Weak<Ticks>) = (engine.weak(), Arc::downgrade(ticks));
    let run = move || {
        while let (Some(engine), Some(ticks)) = (engine.upgrade(), ticks.upgrade()) {
            engine.increment_epoch();
            ticks.tick();
            drop((engine, ticks));
            std::thread::sleep(Duration::from_millis(TICK_MS));
        }
    };
    let thread = std::thread::Builder::new().name("weir-ticks".into()).spawn(run);
    thread.map(drop).map_err(|e| SandboxError::Engine(e.to_string()))
}
