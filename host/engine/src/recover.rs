//! From what is stored to a running shard.

use crate::deadset::DeadSet;
use crate::declared;
use crate::derived::Revive;
use crate::metric::{Chunks, Metric, MetricError};
use crate::plan::{Overrides, Plan};
use crate::shard::Shard;
use crate::stored::{Head, Keyspace, Status, StoredMetric, StoredPosition, StoredSource, decode};
use crate::{EngineError, Options};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weir_types::Micros;
use weir_types::contract::MetricFactory;
use weir_types::ports::{Loader, LostFuture, Monotonic, StateError, StateStore};

/// A shard as it stood at its last durable epoch.
pub fn recover(
    options: Options,
    store: Arc<dyn StateStore>,
    loader: &dyn Loader,
    monotonic: Monotonic,
) -> Result<Shard, EngineError> {
    let keys = Keyspace::new(&options.shard);
    let head = match store.get(&keys.head())? {
        Some(bytes) => decode::<Head>("head", &bytes)?,
        None => Head::default(),
    };
    let began = monotonic();
    let stored = stored_sources(&options, &keys, &*store)?;
    let declared = declared::check(&options, &keys, &*store)?;
    let mut shard = Shard::new(options, head, &stored, store.clone(), monotonic.clone());
    if let Some(declared) = declared {
        shard.extra_writes.put(shard.keys.declared(), declared);
    }
    if let Some(bytes) = store.get(&shard.keys.runs())? {
        shard.shapes.restore(decode("runs", &bytes)?);
    }
    restore_tables(&mut shard, &*store)?;
    restore_dead(&mut shard, &*store)?;
    shard.restore_away(&*store)?;
    let tables = monotonic();
    let lost = lost_future(&shard, &*store)?;
    // Everything is loaded where everything is to be emitted again.
    let allowed = lost.is_none().then_some(shard.options.hot_slots);
    let components = restore_metrics(&mut shard, &*store, loader, allowed, &*monotonic)?;
    shard.shared.texts.keep_all();
    shard.ask();
    shard.revive(lost);
    let (slots, rows) = shard.sizes();
    let rows_s = tables.saturating_sub(began).as_secs_f64();
    let slots_s = monotonic().saturating_sub(tables).saturating_sub(components).as_secs_f64();
    let components_s = components.as_secs_f64();
    tracing::info!(epoch = shard.head.epoch, slots, rows, components_s, rows_s, slots_s, "state recovered");
    Ok(shard)
}

/// How sources are read, by name.
fn stored_sources(
    options: &Options,
    keys: &Keyspace,
    store: &dyn StateStore,
) -> Result<BTreeMap<String, StoredSource>, EngineError> {
    let mut stored = BTreeMap::new();
    for source in &options.sources {
        if let Some(bytes) = store.get(&keys.source(&source.name))? {
            stored.insert(source.name.clone(), decode::<StoredSource>("source", &bytes)?);
        }
    }
    Ok(stored)
}

fn restore_tables(shard: &mut Shard, store: &dyn StateStore) -> Result<(), EngineError> {
    for (at, source) in shard.options.sources.iter().enumerate() {
        let columns = shard.head.row_columns.get(&source.name).cloned().unwrap_or_default();
        shard.tables[at].restore(&columns, &shard.keys, &mut shard.shared.texts, store)?;
        shard.tables[at].began_by(|| shard.sources.next_of_topics(&shard.options.sources[at].topics));
        if let Some(versions) = &mut shard.versions[at] {
            versions.restore(&shard.keys, store)?;
        }
    }
    Ok(())
}

/// Gives the time that went into loading components.
fn restore_metrics(
    shard: &mut Shard,
    store: &dyn StateStore,
    loader: &dyn Loader,
    allowed: Option<u64>,
    monotonic: &dyn Fn() -> Duration,
) -> Result<Duration, EngineError> {
    let mut spent = Duration::ZERO;
    let mut components: BTreeMap<String, Vec<Arc<dyn MetricFactory>>> = BTreeMap::new();
    let mut derived = Vec::new();
    for entry in shard.head.metrics.clone() {
        if entry.status == Status::Retired {
            shard.resting.push((entry, None));
            continue;
        }
        let began = monotonic();
        let factory = factory_of(&entry, store, loader, &mut components)?;
        spent += monotonic().saturating_sub(began);
        if factory.info().is_derived() && entry.status == Status::Live {
            derived.push((factory, entry));
            continue;
        }
        if matches!(entry.status, Status::Suspended { .. } | Status::CatchingUp) {
            restore_stopped(shard, factory, entry, allowed, store)?;
            continue;
        }
        if entry.status != Status::Live {
            let info = Arc::new(factory.info().clone());
            if info.is_derived() {
                shard.restore_failed(&entry.name, store)?;
            }
            shard.resting.push((entry, Some(info)));
            continue;
        }
        let name = entry.name.clone();
        let at = shard.join(factory, entry).map_err(EngineError::Fatal)?;
        let watermarks = shard.watermarks_of(&shard.metrics[at], &shard.sources.watermarks);
        let metric: &mut Metric = &mut shard.metrics[at];
        metric.watermarks = watermarks;
        let chunks = Chunks { store, keys: &shard.keys };
        let restored = metric.restore(allowed, &mut shard.shared, &chunks);
        restored.map_err(|error| cannot_restore(&name, error))?;
        let inputs = &shard.metrics[at].plan.inputs;
        if shard.metrics[at].plan.is_now && inputs.iter().any(|i| shard.tables[i.source].is_redeclared()) {
            // What it counted from the table's rows is not what they say now.
            let mut metric = shard.metrics.remove(at);
            metric.entry.status = Status::CatchingUp;
            shard.add_stopped(metric, StoredPosition::default());
        }
    }
    for (factory, entry) in derived {
        shard.restore_derived(&*factory, entry, store)?.map_err(EngineError::Fatal)?;
    }
    Ok(spent)
}

/// What an imported state does not know of, if it is one and the sink may still hold that.
fn lost_future(shard: &Shard, store: &dyn StateStore) -> Result<Option<LostFuture>, EngineError> {
    let lost = match store.get(&shard.keys.imported())?.as_deref() {
        None => None,
        // No host has run on it yet.
        Some([]) => {
            let (epoch, generation) = (shard.head.epoch, shard.head.generation.unwrap_or(0));
            Some(LostFuture { epoch, generation })
        }
        Some(noted) => Some(decode("mark of an import", noted)?),
    };
    if let Some(LostFuture { epoch, .. }) = lost {
        tracing::info!(epoch, "the state was imported: what ClickHouse has of later epochs is taken back");
    }
    Ok(lost)
}

fn cannot_restore(name: &str, error: MetricError) -> EngineError {
    match error {
        MetricError::State(error) => error.into(),
        MetricError::Guest(error) => {
            EngineError::Fatal(format!("metric {name} cannot take up its stored state: {error}"))
        }
    }
}

fn restore_dead(shard: &mut Shard, store: &dyn StateStore) -> Result<(), EngineError> {
    for partition in shard.head.partitions.keys() {
        let blocks = store.scan(shard.keys.dead_of(partition).as_bytes())?;
        let blocks = blocks.iter().map(|(_, value)| decode("set of dead letters", value));
        let redriven = match store.get(&shard.keys.redriven(partition))? {
            Some(bytes) => decode("set of redriven changes", &bytes)?,
            None => Vec::new(),
        };
        let mut set = DeadSet::default();
        set.restore(blocks.collect::<Result<_, _>>()?, redriven);
        shard.sources.stored_dead.insert(partition.clone(), set);
    }
    Ok(())
}

/// A metric that waits for a column, or was catching up. One that does not fit the sources as they are
/// declared now goes on waiting: it costs itself alone.
fn restore_stopped(
    shard: &mut Shard,
    factory: Arc<dyn MetricFactory>,
    entry: StoredMetric,
    allowed: Option<u64>,
    store: &dyn StateStore,
) -> Result<(), EngineError> {
    let name = entry.name.clone();
    let info = Arc::new(factory.info().clone());
    let mut metric = match shard.open(factory, entry.clone()) {
        Ok(metric) => metric,
        Err(reason) => {
            tracing::warn!(metric = %name, %reason, "metric stays suspended");
            shard.resting.push((entry, Some(info)));
            return Ok(());
        }
    };
    let position = shard.stood[&name].clone();
    metric.watermarks = shard.watermarks_at(&metric, &position);
    let chunks = Chunks { store, keys: &shard.keys };
    let restored = metric.restore(allowed, &mut shard.shared, &chunks);
    restored.map_err(|error| cannot_restore(&name, error))?;
    shard.add_stopped(metric, position);
    shard.ask();
    Ok(())
}

fn factory_of(
    entry: &StoredMetric,
    store: &dyn StateStore,
    loader: &dyn Loader,
    components: &mut BTreeMap<String, Vec<Arc<dyn MetricFactory>>>,
) -> Result<Arc<dyn MetricFactory>, EngineError> {
    if !components.contains_key(&entry.digest) {
        let blob = Keyspace::component(&entry.digest);
        let bytes = store.get_blob(&blob)?.ok_or_else(|| {
            EngineError::Fatal(format!(
                "the component of metric {} ({blob}) is missing beside the state: restore it, or start on a fresh state directory",
                entry.name
            ))
        })?;
        let factories = loader.reload(&entry.origin, &bytes).map_err(EngineError::Fatal)?;
        components.insert(entry.digest.clone(), factories);
    }
    let factories = &components[&entry.digest];
    factories.iter().find(|f| f.info().name == entry.name).cloned().ok_or_else(|| {
        EngineError::Fatal(format!(
            "the stored component {} no longer has metric {}",
            entry.digest, entry.name
        ))
    })
}

/// Components to be loaded at a start: those of the configuration of which no metric is known yet.
pub fn join_initial(
    shard: &mut Shard,
    store: &dyn StateStore,
    loader: &dyn Loader,
    wall: Micros,
    now: Micros,
) -> Result<(), EngineError> {
    let mut derived = Vec::new();
    for (origin, bytes) in shard.options.initial_plugins.clone() {
        let digest = blake3::hash(&bytes).to_hex().to_string();
        let factories = match shard.head.metrics.iter().any(|m| m.digest == digest) {
            true => loader.reload(&origin, &bytes),
            false => loader.load(&origin, &bytes, &shard.options.sources),
        };
        let factories = factories.map_err(EngineError::Fatal)?;
        let unknown: Vec<_> = factories
            .into_iter()
            .filter(|f| {
                let known = shard.head.metrics.iter().find(|m| m.name == f.info().name);
                if known.is_some_and(|m| m.digest != digest && m.status != Status::Retired) {
                    tracing::warn!(metric = %f.info().name, %origin, "another version is loaded already: the file is left alone");
                }
                known.is_none()
            })
            .collect();
        if unknown.is_empty() {
            continue;
        }
        put_component(store, &digest, &bytes)?;
        // Bases first, in whatever order the files stand.
        let (later, first): (Vec<_>, Vec<_>) = unknown.into_iter().partition(|f| f.info().is_derived());
        admit(shard, &origin, first, store, wall, now).map_err(EngineError::Fatal)?;
        derived.push((origin, later));
    }
    for (origin, unknown) in derived {
        admit(shard, &origin, unknown, store, wall, now).map_err(EngineError::Fatal)?;
    }
    Ok(())
}

/// Stores a component under its digest.
pub fn put_component(store: &dyn StateStore, digest: &str, bytes: &[u8]) -> Result<(), StateError> {
    store.put_blob(&Keyspace::component(digest), bytes)
}

/// Lets new metrics join from the next epoch on, and mended versions of stopped ones take up their state.
pub fn admit(
    shard: &mut Shard,
    origin: &str,
    factories: Vec<Arc<dyn MetricFactory>>,
    store: &dyn StateStore,
    wall: Micros,
    now: Micros,
) -> Result<Vec<String>, String> {
    // All or none: everything that can be refused is refused before the first joins.
    for info in factories.iter().map(|f| f.info()) {
        match info.is_derived() {
            true => shard.check_derived(info)?,
            false => drop(Plan::new(info, &Overrides { options: &shard.options })?),
        }
        shard.check_serves(info)?;
    }
    let (derived, factories): (Vec<_>, Vec<_>) = factories.into_iter().partition(|f| f.info().is_derived());
    let (mended, factories): (Vec<_>, Vec<_>) =
        factories.into_iter().partition(|f| shard.is_stopped(&f.info().name));
    let mended = mended.into_iter().map(|f| shard.take_over(f, origin, store));
    // One that is refused may have asked for columns: row tables have them from now on.
    let mended = mended.collect::<Result<Vec<_>, String>>().inspect_err(|_| shard.ask())?;
    let known = shard
        .metrics
        .iter()
        .map(|m| m.entry.incarnation)
        .chain(shard.derived.iter().map(|d| d.entry.incarnation))
        .chain(shard.resting.iter().map(|r| r.0.incarnation));
    let newest = known.max().unwrap_or(0).max(wall - 1);
    let coverage = match shard.sources.untouched() {
        true => Micros::MIN,
        false => now.max(shard.sources.greatest().unwrap_or(Micros::MIN)),
    };
    let mut names: Vec<String> = mended.iter().map(|(metric, _)| metric.info.name.clone()).collect();
    mended.into_iter().for_each(|(metric, position)| shard.replace_stopped(metric, position));
    let mut incarnations = newest + 1..;
    for factory in factories {
        let info = factory.info().clone();
        let incarnation = incarnations.next().unwrap_or(newest);
        let entry = StoredMetric {
            name: info.name.clone(),
            origin: origin.to_string(),
            digest: factory.digest().to_string(),
            incarnation,
            status: Status::Live,
            since: now,
            coverage,
            checkpoint: 0,
            state_version: info.state_version,
        };
        shard.resting.retain(|(e, _)| e.name != info.name);
        let at = shard.join(factory, entry)?;
        shard.promote(at);
        shard.fill(at, now);
        names.push(info.name);
    }
    for factory in derived {
        let name = factory.info().name.clone();
        if shard.is_stopped(&name) {
            shard.mend_derived(&*factory, origin)?;
        } else {
            let incarnation = incarnations.next().unwrap_or(newest);
            join_new_derived(shard, &*factory, origin, incarnation, now)?;
        }
        names.push(name);
    }
    Ok(names)
}

fn join_new_derived(
    shard: &mut Shard,
    factory: &dyn MetricFactory,
    origin: &str,
    incarnation: i64,
    now: Micros,
) -> Result<(), String> {
    let info = factory.info();
    let entry = StoredMetric {
        name: info.name.clone(),
        origin: origin.to_string(),
        digest: factory.digest().to_string(),
        incarnation,
        status: Status::Live,
        since: now,
        // Its windows are as complete as those of its bases.
        coverage: Micros::MIN,
        checkpoint: 0,
        state_version: info.state_version,
    };
    shard.resting.retain(|(e, _)| e.name != info.name);
    shard.join_derived(factory, entry, Revive::Open)?;
    shard.promote_derived();
    Ok(())
}
