//! One host: the engine's steps, and the two bounded channels between them that threads would use.

use crate::metrics;
use crate::ports::{self, Shared, lock};
use crate::world::{Known, Mutation, Times};
use rand::Rng;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use weir_engine::protocol::{Commit, Compute, Delivery, Job, Queue};
use weir_engine::{EngineError, Options, Ports};
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
        let number = {
            let mut world = lock(world);
            world.hosts.push(Known::default());
            world.disk.owner = world.hosts.len() - 1;
            world.disk.owner
        };
        let ports = Arc::new(ports::ports(world, times, number));
        // Every epoch waits in the store, some do, or none does.
        let waiting_bytes = [0, 20_000, usize::MAX][lock(world).dice.random_range(0..3)];
        let options = Options { waiting_bytes, ..metrics::options() };
        let mut compute = Compute::recover(options, ports.clone())?;
        let queue = compute.queue();
        let reader = Arc::new(Mutex::new(None));
        Ok(Host {
            number,
            world: world.clone(),
            commit: Commit::new(ports.clone(), queue.clone(), reader.clone()),
            delivery: compute.delivery(ports.clone()),
            blocked: VecDeque::from([compute.end_epoch(false)?]),
            ports,
            compute,
            queue,
            reader,
            events: None,
            waiting: None,
            stopping: false,
            ended: false,
        })
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
                self.blocked.push_back(self.compute.end_epoch(true)?);
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
        let mut any = event.is_some();
        if let Some(event) = event {
            self.compute.take(event)?;
        }
        if let Some(job) = self.compute.turn()? {
            self.blocked.push_back(job);
            any = true;
        }
        Ok(any)
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
            let outcome = world.tables.insert(generation, &rows, mutation);
            world.note(outcome);
        }
    }
}
