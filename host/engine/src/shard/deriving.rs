//! Derived metrics in the shard: how they join and rest, and the end of the epoch for them.

use super::Shard;
use super::ending::Lengths;
use crate::derived::{Derived, DerivedError, End, Plan, Revive};
use crate::metric::{Boundary, Chunks, EpochRows, Metric};
use crate::stored::{Status, StoredMetric, decode_position};
use crate::watermark::Watermarks;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::Micros;
use weir_types::contract::{MetricFactory, MetricInfo};
use weir_types::ports::{StateError, StateStore, WriteSet};

impl Shard {
    /// The description of a loaded metric, whether it runs or not.
    pub(crate) fn info_of(&self, name: &str) -> Option<Arc<MetricInfo>> {
        let opened = self.opened().map(|m| &m.info).chain(self.derived.iter().map(|d| &d.info));
        let resting = self.resting.iter().filter(|(e, _)| e.status != Status::Retired);
        let mut all = opened.chain(resting.filter_map(|(_, info)| info.as_ref()));
        all.find(|info| info.name == name).cloned()
    }

    pub(crate) fn plan_derived(&self, info: &MetricInfo) -> Result<Plan, String> {
        Plan::new(info, &self.options, |name| self.info_of(name))
    }

    /// Refuses a derived metric whose bases are not all loaded and running.
    pub(crate) fn check_derived(&self, info: &MetricInfo) -> Result<(), String> {
        let plan = self.plan_derived(info)?;
        let stopped = plan.bases.iter().find(|b| self.metrics.iter().all(|m| m.info.name != b.metric));
        stopped.map_or(Ok(()), |base| {
            Err(format!(
                "metric {}: its base {} does not run at the moment: mend that first, or wait until it has caught up",
                info.name, base.metric
            ))
        })
    }

    /// Refuses a version of a base that lacks what a derived metric reads.
    pub(crate) fn check_serves(&self, new: &MetricInfo) -> Result<(), String> {
        let new = Arc::new(new.clone());
        for info in self.derived_infos().filter(|i| i.bases.iter().any(|b| b.metric == new.name)) {
            let find = |name: &str| if name == new.name { Some(new.clone()) } else { self.info_of(name) };
            Plan::new(info, &self.options, find).map_err(|reason| {
                format!(
                    "metric {}: this version would break a metric that is derived from it: {reason}",
                    new.name
                )
            })?;
        }
        Ok(())
    }

    /// The derived metrics that read a metric.
    pub fn users_of(&self, name: &str) -> Vec<String> {
        let users = self.derived_infos().filter(|i| i.bases.iter().any(|b| b.metric == name));
        users.map(|info| info.name.clone()).collect()
    }

    /// Of all that are not retired.
    fn derived_infos(&self) -> impl Iterator<Item = &Arc<MetricInfo>> {
        let resting = self.resting.iter().filter(|(e, _)| e.status != Status::Retired);
        let resting = resting.filter_map(|(_, info)| info.as_ref()).filter(|info| info.is_derived());
        self.derived.iter().map(|d| &d.info).chain(resting)
    }

    /// A derived metric joins from the running epoch on.
    pub(crate) fn join_derived(
        &mut self,
        factory: &dyn MetricFactory,
        entry: StoredMetric,
        revive: Revive,
    ) -> Result<(), String> {
        let plan = self.plan_derived(factory.info())?;
        let mut derived = Derived::new(factory, plan, entry, revive).map_err(|e| e.to_string())?;
        if let Ok(bases) = derived.locate(&self.metrics, &BTreeSet::new()) {
            derived.watermarks = Watermarks::least(bases.iter().map(|at| self.metrics[*at].watermarks));
        }
        self.prepare.push(derived.info.clone());
        self.derived.push(derived);
        self.catalogue_changed = true;
        self.must_commit = true;
        Ok(())
    }

    /// A derived metric of the metric table. Its bases must have been restored.
    pub(crate) fn restore_derived(
        &mut self,
        factory: &dyn MetricFactory,
        entry: StoredMetric,
        store: &dyn StateStore,
    ) -> Result<Result<(), String>, StateError> {
        if let Err(reason) = self.join_derived(factory, entry, Revive::ClosedForSome) {
            return Ok(Err(reason));
        }
        let Some(mut derived) = self.derived.pop() else { return Ok(Ok(())) };
        let lacks = derived.locate(&self.metrics, &BTreeSet::new()).err();
        if let Some(marks) = self.derived_as_stored(&derived.info.name, store)? {
            // It was stale: its bases have gone on, also those that were catching up.
            derived.watermarks = marks;
            derived.rest(
                lacks.unwrap_or_else(|| "its bases were not all there: these are its last values".into()),
            );
        } else if let Some(reason) = lacks {
            // Stopped by a host that kept none.
            let mut least = Vec::new();
            for base in derived.plan.bases.clone() {
                least.push(match self.metrics.iter().find(|m| m.info.name == base.metric) {
                    Some(metric) => metric.watermarks,
                    None => self.watermarks_of_stopped(&base.metric, store)?,
                });
            }
            derived.watermarks = Watermarks::least(least.into_iter());
            derived.rest(reason);
        }
        self.derived.push(derived);
        Ok(Ok(()))
    }

    fn watermarks_of_stopped(&self, name: &str, store: &dyn StateStore) -> Result<Watermarks, StateError> {
        let position = self.stored_position(name, store)?;
        let inputs = self.info_of(name).map(|info| info.inputs.clone()).unwrap_or_default();
        let of = |source: &String| position.watermarks.get(source).copied().unwrap_or_default();
        Ok(Watermarks::least(inputs.iter().map(|input| of(&input.source))))
    }

    /// Puts a mended version in the place of a derived metric that was stopped: everything is computed anew.
    pub(crate) fn mend_derived(&mut self, factory: &dyn MetricFactory, origin: &str) -> Result<(), String> {
        let new = factory.info();
        let stopped = self.resting.iter().find(|(e, _)| e.name == new.name && e.status != Status::Retired);
        let Some((entry, Some(old))) = stopped.cloned() else {
            return Err(format!("metric {} is not stopped", new.name));
        };
        let same = old.is_derived()
            && old.meaning_version == new.meaning_version
            && old.dimensions == new.dimensions
            && old.dimension_sets == new.dimension_sets
            && old.windows == new.windows
            && old.outputs == new.outputs;
        if !same {
            return Err(format!(
                "metric {}: this version gives other outputs than the one that was stopped (dimensions, windows, outputs \
                 and meaning version must be the same): retire the metric, and push again to begin anew",
                new.name
            ));
        }
        let digest = factory.digest().to_string();
        let entry = StoredMetric { origin: origin.to_string(), digest, status: Status::Live, ..entry };
        self.join_derived(factory, entry, Revive::All)?;
        self.resting.retain(|(e, _)| e.name != new.name);
        if let (Some(marks), Some(derived)) = (self.derived_to.remove(&new.name), self.derived.last_mut()) {
            derived.watermarks = marks;
            derived.position_stored = true;
        }
        Ok(())
    }

    /// Whether a derived metric has work though no base changed.
    pub(super) fn derived_has_work(&self, boundary: &Boundary, advanced: &[Watermarks]) -> bool {
        self.derived.iter().any(|derived| {
            let bases = derived.locate(&self.metrics, &BTreeSet::new()).unwrap_or_default();
            let marks = bases.iter().map(|at| self.watermarks_of(&self.metrics[*at], advanced));
            derived.has_work(boundary, Watermarks::least(marks).closing)
        })
    }

    /// Before metrics end their epoch: bases note what changes, and keep what may be asked for.
    pub(super) fn prepare_bases(&mut self) {
        let mut from: BTreeMap<&str, Micros> = BTreeMap::new();
        let stopped = self.stopped_derived();
        let running = self.derived.iter().map(|derived| (&derived.plan, derived.watermarks));
        for (plan, watermarks) in running.chain(stopped.iter().map(|(plan, marks)| (plan, *marks))) {
            for base in &plan.bases {
                let least = from.entry(&base.metric).or_insert(Micros::MAX);
                *least = (*least).min(plan.keeps_from(watermarks, &base.metric));
            }
        }
        let keep = |metric: &mut Metric, runs: bool| {
            let records = from.get(metric.info.name.as_str());
            // What catches up is read as a whole when it is back.
            metric.feed(runs && records.is_some());
            metric.keep_from(records.copied().unwrap_or(Micros::MAX));
        };
        self.metrics.iter_mut().for_each(|metric| keep(metric, true));
        self.catchups.iter_mut().for_each(|catchup| keep(&mut catchup.metric, false));
    }

    /// Derived metrics that have failed, and how far they were computed: once mended, they go on from there.
    fn stopped_derived(&self) -> Vec<(Plan, Watermarks)> {
        let known = |name: &String| self.resting.iter().find(|(entry, _)| entry.name == *name)?.1.as_ref();
        let plan =
            |(name, marks): (&String, &Watermarks)| Some((self.plan_derived(known(name)?).ok()?, *marks));
        self.derived_to.iter().filter_map(plan).collect()
    }

    /// The end of the epoch for derived metrics. All others must have ended it.
    pub(super) fn end_derived(
        &mut self,
        boundary: Boundary,
        writes: &mut WriteSet,
        rows: &mut EpochRows,
    ) -> Result<(), StateError> {
        let monotonic = self.monotonic.clone();
        let began = monotonic();
        let mut broken: BTreeMap<usize, String> = BTreeMap::new();
        let mut going = Vec::new();
        for mut derived in std::mem::take(&mut self.derived) {
            let before = Lengths::of(writes, rows);
            let start = monotonic();
            let was_stale = derived.stale.is_some();
            let outcome = self.finish_derived(&mut derived, boundary, rows, &broken);
            derived.spent((monotonic() - start).as_nanos() as u64);
            if outcome.is_err() {
                before.restore(writes, rows);
            }
            match outcome {
                Ok(()) => {}
                Err(DerivedError::State(error)) => return Err(error),
                Err(DerivedError::Own(error)) => {
                    self.rest_derived(derived, error.to_string(), boundary.epoch);
                    continue;
                }
                Err(DerivedError::Base(at, error)) => {
                    derived.rest(format!("its base {} has failed", self.metrics[at].info.name));
                    broken.insert(at, error.to_string());
                }
            }
            self.catalogue_changed |= was_stale != derived.stale.is_some();
            let is_behind = derived.stale.is_some();
            if is_behind != derived.position_stored {
                let position = is_behind.then(|| derived.position());
                self.positions.insert(derived.info.name.clone(), position);
                derived.position_stored = is_behind;
            }
            going.push(derived);
        }
        self.derived = going;
        self.metrics.iter_mut().for_each(|m| m.forget_changed());
        self.rest_broken(broken, boundary.epoch);
        *self.stages.entry("evaluate").or_default() += (monotonic() - began).as_nanos() as u64;
        Ok(())
    }

    fn finish_derived(
        &mut self,
        derived: &mut Derived,
        boundary: Boundary,
        rows: &mut EpochRows,
        broken: &BTreeMap<usize, String>,
    ) -> Result<(), DerivedError> {
        let bases = match derived.locate(&self.metrics, &broken.keys().copied().collect()) {
            Ok(bases) => bases,
            Err(reason) => {
                derived.rest(reason);
                return Ok(());
            }
        };
        let chunks = Chunks { store: &*self.store, keys: &self.keys };
        let (metrics, shared) = (&mut self.metrics, &mut self.shared);
        derived.finish(&bases, &mut End { boundary, metrics, shared, chunks, rows })
    }

    fn rest_derived(&mut self, derived: Derived, reason: String, epoch: u64) {
        tracing::error!(metric = %derived.info.name, %reason, "metric quarantined: push a mended version");
        let status = Status::Quarantined { epoch, reason };
        self.positions.insert(derived.info.name.clone(), Some(derived.position()));
        self.derived_to.insert(derived.info.name.clone(), derived.watermarks);
        self.resting.push((StoredMetric { status, ..derived.entry }, Some(derived.info)));
        self.catalogue_changed = true;
    }

    /// A derived metric of the metric table that has failed.
    pub(crate) fn restore_failed(&mut self, name: &str, store: &dyn StateStore) -> Result<(), StateError> {
        if let Some(marks) = self.derived_as_stored(name, store)? {
            self.derived_to.insert(name.into(), marks);
        }
        Ok(())
    }

    /// How far a derived metric was computed that stood still.
    fn derived_as_stored(
        &self,
        name: &str,
        store: &dyn StateStore,
    ) -> Result<Option<Watermarks>, StateError> {
        let Some(bytes) = store.get(&self.keys.position(name))? else { return Ok(None) };
        Ok(Some(Watermarks::least(decode_position(&bytes)?.watermarks.into_values())))
    }

    /// Bases that failed when they were asked once more: what they did in this epoch is in its write.
    fn rest_broken(&mut self, broken: BTreeMap<usize, String>, epoch: u64) {
        for (at, reason) in broken.into_iter().rev() {
            let metric = self.metrics.remove(at);
            let position = self.position_of(&metric);
            self.positions.insert(metric.info.name.clone(), Some(position));
            self.rest_since(epoch, metric, reason);
        }
    }
}
