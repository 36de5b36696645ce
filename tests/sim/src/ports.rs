//! How one host reaches the world. A dead host's calls change nothing.

use crate::metrics;
use crate::tables::{greatest_epoch, statements};
use crate::topic::{Entry, PARTITIONS, partition};
use crate::world::{Breach, Fault, Mutation, Point, Reading, Times, World};
use rand::Rng;
use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_engine::Ports;
use weir_types::Micros;
use weir_types::contract::{MetricFactory, MetricInfo};
use weir_types::live::{Condition, EpochUpdate, Publisher};
use weir_types::ports::*;
use weir_types::record::{OwnedRecord, SourceEvent, TopicPartition};
use weir_types::rows::Outbox;
use weir_types::schema::SourceDecl;

pub type Shared = Arc<Mutex<World>>;

/// Everything that one host holds of the world.
#[derive(Clone)]
struct Port {
    world: Shared,
    host: usize,
}

struct SimClock(Arc<Times>);

impl Clock for SimClock {
    fn now(&self) -> Micros {
        self.0.now()
    }
}

pub fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ports of a host.
pub fn ports(world: &Shared, times: &Arc<Times>, host: usize) -> Ports {
    let port = Arc::new(Port { world: world.clone(), host });
    let (clock, monotonic, walls) = (times.clone(), times.clone(), world.clone());
    Ports {
        clock: Arc::new(SimClock(clock)),
        monotonic: Arc::new(move || monotonic.monotonic()),
        wall: Arc::new(move || {
            let mut world = lock(&walls);
            world.wall += 1000;
            world.wall
        }),
        broker: port.clone(),
        state: port.clone(),
        sink: port.clone(),
        loader: port.clone(),
        publisher: port,
    }
}

impl Port {
    /// Draws a fault and, where it lets a call through, carries it out.
    fn store<T>(&self, point: Point, call: impl FnOnce(&mut World) -> T) -> Result<T, StateError> {
        let mut world = lock(&self.world);
        let fault = world.fault(self.host, point);
        let done = fault.is_done().then(|| call(&mut world));
        match (fault, done) {
            (Fault::None, Some(done)) => Ok(done),
            _ => Err(StateError::Unavailable(format!("{point:?}: {fault:?}"))),
        }
    }

    fn is_fenced(&self, world: &World) -> bool {
        world.disk.owner != self.host && world.mutation != Mutation::NoFence
    }
}

impl StateStore for Port {
    fn write(&self, writes: WriteSet) -> Result<(), StateError> {
        self.store(Point::Write, |world| {
            if self.is_fenced(world) {
                return Err(StateError::Fenced("a newer host opened it".into()));
            }
            let listed = &mut world.hosts[self.host].listed;
            let outcome = world.disk.write(writes, listed, world.mutation);
            world.note(outcome);
            Ok(())
        })?
    }
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        // As the engine's threads do: an epoch that has begun to merge waits for its cold slots.
        loop {
            let answer = self.store(Point::Get, |world| match self.is_fenced(world) {
                true => Err(StateError::Fenced("a newer host opened it".into())),
                false => Ok(world.disk.get(key)),
            });
            match answer {
                Ok(answer) => return answer,
                Err(error) if lock(&self.world).hosts[self.host].crashed => return Err(error),
                Err(_) => {}
            }
        }
    }
    fn scan(&self, prefix: &[u8]) -> Result<KeyValues, StateError> {
        self.store(Point::Scan, |world| match self.is_fenced(world) {
            true => Err(StateError::Fenced("a newer host opened it".into())),
            false => Ok(world.disk.scan(prefix)),
        })?
    }
    fn put_blob(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.store(Point::PutBlob, |world| drop(world.disk.blobs.insert(name.into(), bytes.to_vec())))
    }
    fn get_blob(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.store(Point::GetBlob, |world| world.disk.blobs.get(name).cloned())
    }
    fn claim_generation(&self, at_least: u64) -> Result<u64, StateError> {
        self.store(Point::Claim, |world| match self.is_fenced(world) {
            true => Err(StateError::Fenced("a newer host opened it".into())),
            false => Ok(world.disk.claim(at_least)),
        })?
    }
}

impl Port {
    fn sink<T>(&self, point: Point, call: impl FnOnce(&mut World) -> T) -> Result<T, SinkError> {
        let mut world = lock(&self.world);
        let fault = world.fault(self.host, point);
        let done = fault.is_done().then(|| call(&mut world));
        match (fault, done) {
            (Fault::None, Some(done)) => Ok(done),
            _ => Err(SinkError::Retry(format!("{point:?}: {fault:?}"))),
        }
    }

    /// What every delivery must keep, whatever becomes of it.
    fn check_delivery(&self, world: &mut World, generation: u64, rows: &Outbox) {
        let mut wrong = Vec::new();
        if greatest_epoch(rows) > world.disk.epoch {
            wrong.push(format!(
                "rows of epoch {} are delivered, durable is {}",
                greatest_epoch(rows),
                world.disk.epoch
            ));
        }
        let epochs: Vec<u64> = rows.epochs.iter().map(|row| row.epoch).collect();
        if epochs.windows(2).any(|pair| pair[1] != pair[0] + 1) {
            wrong.push(format!("a delivery holds epochs {epochs:?}: some are left out"));
        }
        let known = &mut world.hosts[self.host];
        if let (Some(upto), Some(first)) = (known.delivered, epochs.first())
            && *first != upto + 1
        {
            wrong.push(format!("after epoch {upto} comes a delivery from epoch {first} on"));
        }
        if known.generation.is_some_and(|before| before != generation) {
            wrong.push("a host has changed its generation".into());
        }
        let older = world.hosts[..self.host].iter().filter_map(|h| h.generation).max().unwrap_or(0);
        let newer = world.hosts[self.host + 1..].iter().filter_map(|h| h.generation).min();
        if generation <= older || newer.is_some_and(|newer| generation >= newer) {
            wrong.push(format!(
                "host {} inserts under generation {generation}; older hosts under {older}, newer under {newer:?}",
                self.host
            ));
        }
        world.breaches.extend(wrong);
    }
}

impl Sink for Port {
    fn prepare(&self) -> Result<(), SinkError> {
        self.sink(Point::Prepare, |_| ())
    }
    fn max_generation(&self) -> Result<u64, SinkError> {
        self.sink(Point::FindGeneration, |world| world.tables.greatest_generation())
    }
    fn prepare_metric(&self, _: &MetricInfo) -> Result<(), SinkError> {
        self.sink(Point::PrepareMetric, |_| ())
    }
    fn insert(&self, generation: u64, rows: &Outbox) -> Result<(), SinkError> {
        let mut world = lock(&self.world);
        let fault = world.fault(self.host, Point::Insert);
        if fault == Fault::Dead {
            return Err(SinkError::Retry("dead".into()));
        }
        self.check_delivery(&mut world, generation, rows);
        let mutation = world.mutation;
        if mutation == Mutation::DeliveryBeforeInsert && !world.hosts[self.host].crashed {
            world.hosts[self.host].pretended.push_back((generation, rows.clone()));
            return Ok(());
        }
        let parts = statements(rows);
        let whole = if fault.is_partial() { world.dice.random_range(0..=parts.len()) } else { parts.len() };
        if fault.is_done() || fault.is_partial() {
            if whole > 0 {
                world.hosts[self.host].generation = Some(generation);
            }
            for part in &parts[..whole] {
                let outcome = world.tables.insert(generation, rows, *part, mutation);
                world.note(outcome);
            }
        }
        match fault {
            Fault::None => {
                world.hosts[self.host].delivered = rows.epochs.last().map(|row| row.epoch);
                Ok(())
            }
            _ => Err(SinkError::Retry(format!("insert: {fault:?}"))),
        }
    }

    fn take_back(&self, lost: LostFuture, generation: u64) -> Result<(), SinkError> {
        self.sink(Point::TakeBack, |world| world.tables.take_back(lost, generation))
    }
}

impl Loader for Port {
    fn load(
        &self,
        origin: &str,
        component: &[u8],
        _: &[Arc<SourceDecl>],
    ) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        self.reload(origin, component)
    }
    fn reload(&self, _: &str, component: &[u8]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        let mut world = lock(&self.world);
        match world.fault(self.host, Point::Load) {
            Fault::None => metrics::factories(component, &world.guests),
            fault => Err(format!("load: {fault:?}")),
        }
    }
}

impl Publisher for Port {
    fn publish(&self, update: EpochUpdate) {
        let mut world = lock(&self.world);
        if !world.fault(self.host, Point::Publish).is_done() {
            return;
        }
        if update.epoch > world.disk.epoch {
            let text = format!("epoch {} is published, durable is {}", update.epoch, world.disk.epoch);
            world.breaches.push(text);
        }
        let partitions = update.sources.iter().flat_map(|s| &s.partitions);
        let next = partitions.map(|p| (p.partition.clone(), p.next_offset)).collect();
        let is_delivered = world.tables.epochs.contains_key(&update.epoch);
        if world.hosts[self.host].waiting == 0 && !is_delivered {
            world.breaches.push(format!("epoch {} is published as if it were delivered", update.epoch));
        }
        let before = world.hosts[self.host].published.replace((update.epoch, next));
        if before.is_some_and(|(before, _)| update.epoch != before + 1) {
            world.breaches.push(format!("epoch {} is published out of turn", update.epoch));
        }
    }
    fn condition(&self, part: &'static str, condition: Option<Condition>) {
        let mut world = lock(&self.world);
        if !world.fault(self.host, Point::Tell).is_done() {
            return;
        }
        match part {
            "held" => {
                world.hosts[self.host].holds = condition.is_some();
                world.count(if condition.is_some() { "held" } else { "went on" });
            }
            "resnapshot" => world.hosts[self.host].rebuilds = condition.is_some(),
            _ => {}
        }
    }
    fn latency(&self, _: &'static str, _: &[(Duration, u64)]) {}
    fn delivery(&self, waiting: u64, _: u64, _: u64) {
        lock(&self.world).hosts[self.host].waiting = waiting;
    }
}

impl Broker for Port {
    fn fetch(&self, _: &[(TopicPartition, i64)]) -> Result<Vec<Option<OwnedRecord>>, String> {
        Err("the operator knows what the records were meant to be".into())
    }
    fn read(
        &self,
        _: &[String],
        start: &BTreeMap<TopicPartition, StartAt>,
        events: SyncSender<SourceEvent>,
    ) -> Result<Box<dyn ReaderHandle>, String> {
        let mut world = lock(&self.world);
        if !world.fault(self.host, Point::Read).is_done() {
            return Err("dead".into());
        }
        for (at, start) in start.iter().filter_map(|(p, s)| Some((p.partition as usize, s.last?))) {
            let (offset, fingerprint) = start;
            let entry = world.topic.partitions[at].get(world.topic.index(at, offset));
            let same = |e: &Entry| e.offset == offset && e.record(at as u32).fingerprint() == fingerprint;
            if !entry.is_some_and(same) {
                world.breaches.push(format!("the record at offset {offset} is remembered wrongly"));
            }
        }
        let skips = world.mutation == Mutation::CatchUpSkips;
        let known = &mut world.hosts[self.host];
        let id = known.readers;
        known.readers += 1;
        let next = |at: usize| start.get(&partition(at)).map_or(0, |start| start.next);
        let skipped = i64::from(skips && id > 0);
        known.readings.push(Reading {
            id,
            events,
            places: [None; PARTITIONS],
            known: std::array::from_fn(|at| start.contains_key(&partition(at))),
            starts: std::array::from_fn(|at| next(at) + skipped),
            ended: [false; PARTITIONS],
            held: [false; PARTITIONS],
            seeks: [None; PARTITIONS],
            troubled: false,
        });
        Ok(Box::new(Handle { port: self.clone(), id }))
    }
}

/// A reader of one host.
struct Handle {
    port: Port,
    id: u64,
}

impl Handle {
    fn obey(&self, order: impl FnOnce(&mut Reading)) {
        let mut world = lock(&self.port.world);
        let reading = world.hosts[self.port.host].readings.iter_mut().find(|r| r.id == self.id);
        if let Some(reading) = reading {
            order(reading);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.port.world).hosts[self.port.host].readings.retain(|reading| reading.id != self.id);
    }
}

impl ReaderHandle for Handle {
    fn committed(&self, next: &[(TopicPartition, i64)]) {
        let Port { world, host } = &self.port;
        let mut world = lock(world);
        if !world.fault(*host, Point::Acknowledge).is_done() {
            return;
        }
        let known = &world.hosts[*host];
        // What was published was durable then, and is what may be acknowledged.
        let durable =
            |p: &TopicPartition| known.published.as_ref().and_then(|(_, next)| next.get(p).copied());
        let early = next.iter().find(|(p, next)| durable(p).is_none_or(|durable| *next > durable));
        let early = early.map(|(p, next)| Breach(format!("offset {next} of {p:?} is acknowledged early")));
        world.note(early.map_or(Ok(()), Err));
    }
    fn hold(&self, partitions: &[TopicPartition]) {
        self.obey(|reading| {
            for partition in partitions {
                let at = partition.partition as usize;
                (reading.held[at], reading.seeks[at]) = (true, None);
            }
        });
    }
    fn seek(&self, to: &[(TopicPartition, Seek)]) {
        self.obey(|reading| {
            for (partition, seek) in to {
                let next = if let Seek::At(place) = seek { place.next } else { 0 };
                reading.seeks[partition.partition as usize] = Some(next);
            }
        });
    }
    fn stop(self: Box<Self>) {}
}

/// A reader of a host takes a step: a partition joins, records come, an end is reached, or it has trouble.
/// False when there was nothing to tell, or no room to tell it.
pub fn reader_step(world: &mut World, host: usize) -> bool {
    let World { hosts, dice, topic, .. } = world;
    let readings = &mut hosts[host].readings;
    let which = if readings.len() > 1 { dice.random_range(0..readings.len()) } else { 0 };
    let Some(reading) = readings.get_mut(which) else { return false };
    let at = dice.random_range(0..PARTITIONS);
    let log = &topic.partitions[at];
    let Some(place) = reading.places[at] else {
        // Indexes are given in the order of joining, which must be that of the numbers here.
        if at > 0 && reading.places[at - 1].is_none() {
            return false;
        }
        // As the real one: those that were never read join at once, the others when their broker answers.
        let others = (at + 1..PARTITIONS).take_while(|other| !reading.known[*other]);
        let found: Vec<usize> = std::iter::once(at).chain(others).collect();
        let names = found.iter().map(|at| partition(*at)).collect();
        if reading.events.try_send(SourceEvent::Partitions(names)).is_err() {
            return false;
        }
        for at in found {
            reading.places[at] = Some(topic.index(at, reading.starts[at]));
        }
        return true;
    };
    if let Some(next) = reading.seeks[at] {
        if reading.events.try_send(SourceEvent::Moved { index: at as u32, next }).is_err() {
            return false;
        }
        (reading.seeks[at], reading.held[at], reading.ended[at]) = (None, false, false);
        reading.places[at] = Some(topic.index(at, next));
        return true;
    }
    if reading.held[at] {
        return false;
    }
    let event = if dice.random_ratio(1, 40) || reading.troubled {
        reading.troubled = !reading.troubled;
        SourceEvent::Trouble(reading.troubled.then(|| "the broker is away".into()))
    } else if place < log.len() {
        // Sometimes the reader goes back and tells again what it told.
        let from =
            if dice.random_ratio(1, 20) { place.saturating_sub(dice.random_range(1..4)) } else { place };
        let upto = (place + dice.random_range(1..=12)).min(log.len());
        let mut batch = weir_types::record::RecordBatch::default();
        log[from..upto].iter().for_each(|entry| batch.push(entry.record(at as u32)));
        if reading.events.try_send(SourceEvent::Records(batch)).is_err() {
            return false;
        }
        reading.places[at] = Some(upto);
        reading.ended[at] = false;
        return true;
    } else if !reading.ended[at] {
        reading.ended[at] = true;
        SourceEvent::EndOfPartition { index: at as u32 }
    } else {
        return false;
    };
    if reading.events.try_send(event).is_err() {
        // No room: it is found out again at the next step.
        reading.ended[at] = false;
        reading.troubled = false;
        return false;
    }
    true
}

/// Whether a host's reader has told everything.
pub fn has_read_all(world: &World, host: usize) -> bool {
    let Some(reading) = world.hosts[host].readings.iter().find(|r| r.id == 0) else { return false };
    let read = |at: usize| reading.places[at] == Some(world.topic.partitions[at].len()) && reading.ended[at];
    let stands = |at: usize| reading.held[at] || reading.seeks[at].is_some();
    (0..PARTITIONS).all(|at| read(at) && !stands(at)) && !reading.troubled
}

/// Whether the newest epoch that a host has told lies behind these offsets.
pub fn has_told(world: &World, host: usize, ends: &[i64; PARTITIONS]) -> bool {
    let told = world.hosts[host].published.as_ref();
    let next = |at: usize| told.and_then(|(_, next)| next.get(&partition(at)).copied()).unwrap_or(0);
    (0..PARTITIONS).all(|at| next(at) >= ends[at])
}
