//! One host: the engine's steps, and the two bounded channels between them that threads would use.

use crate::metrics;
use crate::ports::{self, Shared, lock};
use crate::world::{Known, Listed, Listing, Mutation, Times};
use rand::Rng;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use weir_engine::protocol::{Ask, Command, Commit, Compute, Delivery, Job, Push, Queue, Readers};
use weir_engine::{EngineError, Options, Ports};
use weir_types::control::ControlError;
use weir_types::live::CatalogueEntry;
use weir_types::ports::ReaderHandle;
use weir_types::record::SourceEvent;

/// Events that wait for the compute step.
const EVENTS: usize = 4;

/// See the module.
pub struct Host {
    pub number: usize,
    world: Shared,
    ports: Arc<Ports>,
    compute: Compute,
    commit: Commit,
    delivery: Delivery,
    queue: Arc<Queue>,
    reader: Arc<Mutex<Option<Box<dyn ReaderHandle>>>>,
    events: Option<Receiver<SourceEvent>>,
    /// Of metrics that catch up.
    readers: Readers,
    /// What operators have asked and what was not looked at yet.
    commands: VecDeque<Command>,
    /// The metrics of the newest epoch that was computed.
    metrics: Listing,
    /// The epoch that was computed and finds no room; then nothing is computed.
    blocked: VecDeque<Job>,
    /// The one epoch that may wait for the commit.
    waiting: Option<Job>,
    stopping: bool,
    /// Whether its last epoch was computed.
    ended: bool,
}

/// What takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Reader,
    Compute,
    Commit,
    Delivery,
}

impl Host {
    /// Opens the disk, which shuts out the host before, and recovers. An error is a start that failed.
    pub fn start(world: &Shared, times: &Arc<Times>) -> Result<Host, EngineError> {
        let (number, initial, is_plain, few_hot_slots) = {
            let mut world = lock(world);
            world.hosts.push(Known::default());
            world.disk.owner = world.hosts.len() - 1;
            (world.disk.owner, world.initial, world.topic.is_plain, world.few_hot_slots)
        };
        let ports = Arc::new(ports::ports(world, times, number));
        // Every epoch waits in the store, some do, or none does.
        let waiting_bytes = [0, 20_000, usize::MAX][lock(world).dice.random_range(0..3)];
        let hot_slots = if few_hot_slots { metrics::FEW_HOT_SLOTS } else { u64::MAX };
        let options = Options { waiting_bytes, hot_slots, ..metrics::options(initial, is_plain) };
        let mut compute = Compute::recover(options, ports.clone())?;
        {
            let mut world = lock(world);
            let outcome = world.disk.check_recovered(&listing(&compute.catalogue()));
            world.note(outcome);
        }
        let queue = compute.queue();
        let reader = Arc::new(Mutex::new(None));
        let first = compute.end_epoch(false)?;
        let mut host = Host {
            number,
            world: world.clone(),
            commit: Commit::new(ports.clone(), queue.clone(), reader.clone()),
            delivery: compute.delivery(ports.clone()),
            blocked: VecDeque::new(),
            readers: Readers::new(ports.broker.clone()),
            commands: VecDeque::new(),
            metrics: Listing::default(),
            ports,
            compute,
            queue,
            reader,
            events: None,
            waiting: None,
            stopping: false,
            ended: false,
        };
        host.computed(first);
        Ok(host)
    }

    /// Takes an epoch that was computed.
    fn computed(&mut self, job: Job) {
        let mut world = lock(&self.world);
        world.computed += 1;
        if let Some(catalogue) = job.catalogue() {
            let metrics = listing(catalogue);
            for (name, metric) in metrics.iter() {
                let before = self.metrics.get(name).map_or("", |before| before.status.as_str());
                match (before, metric.status.as_str()) {
                    ("live" | "catching-up", "quarantined") => world.count("quarantined"),
                    ("catching-up", "live") => world.count("caught up"),
                    _ => {}
                }
            }
            self.metrics = metrics;
            world.hosts[self.number].listed.push_back((job.epoch(), self.metrics.clone()));
        }
        drop(world);
        self.blocked.push_back(job);
    }

    /// The metrics that are not retired.
    pub fn catalogue(&self) -> Vec<CatalogueEntry> {
        self.compute.catalogue()
    }

    /// Asks for something.
    pub fn send(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    /// What a push does before it reaches the epochs.
    pub fn push(&self, component: Vec<u8>) -> Result<Push, ControlError> {
        let factories = self.ports.loader.load("pushed.wasm", &component, &[]);
        let factories = factories.map_err(ControlError::Unavailable)?;
        let push = Push::check("pushed.wasm", component, factories, &self.catalogue())?;
        push.store(&*self.ports.state)?;
        Ok(push)
    }

    pub fn has_crashed(&self) -> bool {
        lock(&self.world).hosts[self.number].crashed
    }

    /// One step of one part; true if it changed something.
    pub fn step(&mut self, part: Part) -> Result<bool, EngineError> {
        use weir_engine::protocol::Progress;
        match part {
            Part::Reader => Ok(!self.stopping && ports::reader_step(&mut lock(&self.world), self.number)),
            Part::Compute => self.compute_step(),
            Part::Commit => {
                if self.commit.is_idle() {
                    let Some(job) = self.waiting.take() else { return Ok(false) };
                    self.commit.take(job);
                }
                Ok(self.commit.step()? != Progress::Idle)
            }
            Part::Delivery => {
                self.settle_pretended();
                Ok(self.delivery.step()? != Progress::Idle)
            }
        }
    }

    fn compute_step(&mut self) -> Result<bool, EngineError> {
        if !self.blocked.is_empty() {
            if self.waiting.is_some() {
                return Ok(false);
            }
            self.waiting = self.blocked.pop_front();
            return Ok(true);
        }
        if self.stopping {
            if !self.ended {
                self.ended = true;
                let last = self.compute.end_epoch(true)?;
                self.computed(last);
            }
            return Ok(!self.blocked.is_empty());
        }
        let Some(events) = &self.events else {
            let (send, receive) = sync_channel(EVENTS);
            let handle = self.ports.broker.read(&self.compute.topics(), &self.compute.start(), send);
            let handle = handle.map_err(EngineError::Fatal)?;
            *self.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(handle);
            self.events = Some(receive);
            return Ok(true);
        };
        let event = events.try_recv().ok();
        self.compute.catch_up(&mut self.readers)?;
        let mut any = event.is_some() || !self.commands.is_empty();
        if let Some(event) = event {
            self.compute.take(event)?;
        }
        if let Some(command) = self.commands.pop_front()
            && let Some(job) = self.compute.obey(command)?
        {
            self.computed(job);
        }
        any |= self.ask_reader();
        if let Some(job) = self.compute.turn()? {
            self.computed(job);
            any = true;
        }
        Ok(any)
    }

    /// Passes on what the shard asks of the reader.
    fn ask_reader(&mut self) -> bool {
        let asks = self.compute.asks();
        let reader = self.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(reader) = reader.as_ref() else { return false };
        for ask in &asks {
            match ask {
                Ask::Hold(partitions) => reader.hold(partitions),
                Ask::Seek(to) => reader.seek(to),
            }
        }
        !asks.is_empty()
    }

    /// Asks for a graceful stop: the last epoch emits what is due.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether everything that was computed is durable and told.
    pub fn is_committed(&self) -> bool {
        let ended = self.ended || !self.stopping;
        ended && self.blocked.is_empty() && self.waiting.is_none() && self.commit.is_idle()
    }

    /// Whether everything that is durable is delivered.
    pub fn is_delivered(&self) -> bool {
        self.queue.backlog().0 == 0 && lock(&self.world).hosts[self.number].pretended.is_empty()
    }

    /// With [`crate::world::Mutation::DeliveryBeforeInsert`]: what counted as inserted is inserted, some time.
    fn settle_pretended(&self) {
        let mut world = lock(&self.world);
        let mutation = world.mutation;
        if mutation != Mutation::DeliveryBeforeInsert || (!world.healed && !world.dice.random_ratio(1, 8)) {
            return;
        }
        while let Some((generation, rows)) = world.hosts[self.number].pretended.pop_front() {
            let outcome = world.tables.insert_all(generation, &rows, mutation);
            world.note(outcome);
        }
    }
}

fn listing(catalogue: &[CatalogueEntry]) -> Listing {
    let listed = |entry: &CatalogueEntry| Listed {
        incarnation: entry.incarnation,
        digest: entry.digest.clone(),
        status: entry.status.clone(),
    };
    Arc::new(catalogue.iter().map(|entry| (entry.info.name.clone(), listed(entry))).collect())
}
