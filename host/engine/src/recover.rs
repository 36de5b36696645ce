//! From what is stored to a running shard.

use crate::deadset::DeadSet;
use crate::metric::{Metric, RestoreError};
use crate::plan::{Overrides, Plan};
use crate::shard::{Monotonic, Shard};
use crate::stored::{Head, Keyspace, Status, StoredMetric, StoredSource, decode};
use crate::{EngineError, Options};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::Micros;
use weir_types::contract::MetricFactory;
use weir_types::ports::{Loader, LostFuture, StateError, StateStore};

/// A shard as it stood at its last durable epoch.
pub fn recover(
    options: Options,
    store: &dyn StateStore,
    loader: &dyn Loader,
    monotonic: Monotonic,
) -> Result<Shard, EngineError> {
    let keys = Keyspace::new(&options.shard);
    let head = match store.get(&keys.head())? {
        Some(bytes) => decode::<Head>("head", &bytes)?,
        None => Head::default(),
    };
    let mut stored = BTreeMap::new();
    for source in &options.sources {
        if let Some(bytes) = store.get(&keys.source(&source.name))? {
            stored.insert(source.name.clone(), decode::<StoredSource>("source", &bytes)?);
        }
    }
    let mut shard = Shard::new(options, head, &stored, monotonic);
    restore_tables(&mut shard, store)?;
    restore_dead(&mut shard, store)?;
    restore_metrics(&mut shard, store, loader)?;
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
    shard.revive(lost);
    Ok(shard)
}

fn restore_tables(shard: &mut Shard, store: &dyn StateStore) -> Result<(), EngineError> {
    for (at, source) in shard.options.sources.iter().enumerate() {
        let columns = shard.head.row_columns.get(&source.name).cloned().unwrap_or_default();
        shard.tables[at].restore(&columns, &shard.keys, &mut shard.shared.texts, store)?;
    }
    Ok(())
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

fn restore_metrics(
    shard: &mut Shard,
    store: &dyn StateStore,
    loader: &dyn Loader,
) -> Result<(), EngineError> {
    let mut components: BTreeMap<String, Vec<Arc<dyn MetricFactory>>> = BTreeMap::new();
    for entry in shard.head.metrics.clone() {
        if entry.status == Status::Retired {
            shard.resting.push((entry, None));
            continue;
        }
        let factory = factory_of(&entry, store, loader, &mut components)?;
        if entry.status != Status::Live {
            let info = Arc::new(factory.info().clone());
            shard.resting.push((entry, Some(info)));
            continue;
        }
        let name = entry.name.clone();
        let at = shard.join(factory, entry).map_err(EngineError::Fatal)?;
        let metric: &mut Metric = &mut shard.metrics[at];
        match metric.restore(&mut shard.shared, &shard.keys, store) {
            Ok(()) => {}
            Err(RestoreError::State(error)) => return Err(error.into()),
            Err(RestoreError::Guest(error)) => {
                return Err(EngineError::Fatal(format!(
                    "metric {name} cannot take up its stored state: {error}"
                )));
            }
        }
    }
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
        admit(shard, &origin, unknown, wall, now).map_err(EngineError::Fatal)?;
    }
    Ok(())
}

/// Stores a component under its digest.
pub fn put_component(store: &dyn StateStore, digest: &str, bytes: &[u8]) -> Result<(), StateError> {
    store.put_blob(&Keyspace::component(digest), bytes)
}

/// Lets new metrics join from the next epoch on.
pub fn admit(
    shard: &mut Shard,
    origin: &str,
    factories: Vec<Arc<dyn MetricFactory>>,
    wall: Micros,
    now: Micros,
) -> Result<Vec<String>, String> {
    // All or none: everything that can be refused is refused before the first joins.
    for factory in &factories {
        Plan::new(factory.info(), &Overrides { options: &shard.options })?;
    }
    let known = shard
        .metrics
        .iter()
        .map(|m| m.entry.incarnation)
        .chain(shard.resting.iter().map(|r| r.0.incarnation));
    let newest = known.max().unwrap_or(0).max(wall - 1);
    let coverage = match shard.sources.untouched() {
        true => Micros::MIN,
        false => now.max(shard.sources.greatest().unwrap_or(Micros::MIN)),
    };
    let mut names = Vec::new();
    for (incarnation, factory) in (newest + 1..).zip(factories) {
        let info = factory.info().clone();
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
        names.push(info.name);
    }
    Ok(names)
}
