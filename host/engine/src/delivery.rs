//! Brings committed rows to the sink, oldest first, until they are acknowledged.

use crate::EngineError;
use crate::outbox::Waiting;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_types::contract::MetricInfo;
use weir_types::live::{Condition, Publisher};
use weir_types::ports::{LostFuture, Sink, SinkError, StateError, StateStore};
use weir_types::rows::Outbox;

/// Pause between two attempts.
const RETRY: Duration = Duration::from_secs(1);

/// Why an attempt failed.
enum Failed {
    /// It is made again.
    Retry(String),
    /// The engine ends with it.
    Ended(EngineError),
}

impl From<SinkError> for Failed {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Retry(reason) => Failed::Retry(reason),
            SinkError::Fatal(reason) => Failed::Ended(EngineError::Fatal(reason)),
        }
    }
}

impl From<StateError> for Failed {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Unavailable(reason) => Failed::Retry(reason),
            // Whoever has taken over delivers what waits here.
            fenced_or_corrupt => Failed::Ended(fenced_or_corrupt.into()),
        }
    }
}

/// What the commit thread hands over, and what delivery tells back.
#[derive(Default)]
pub struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
    /// All epochs up to this are delivered.
    pub delivered: AtomicU64,
    /// The generation, once taken; 0 before.
    pub generation: AtomicU64,
    stop: AtomicBool,
    inserted: AtomicU64,
}

#[derive(Default)]
struct QueueState {
    waiting: Waiting,
    prepare: Vec<Arc<MetricInfo>>,
    /// Rows and epochs being inserted at the moment.
    in_flight: (u64, u64),
}

impl Queue {
    pub fn new(waiting: Waiting, delivered: u64) -> Queue {
        let queue = Queue::default();
        queue.lock().waiting = waiting;
        queue.delivered.store(delivered, Ordering::Release);
        queue
    }
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Rows of an epoch that is durable.
    pub fn add(&self, epoch: u64, outbox: Outbox, prepare: Vec<Arc<MetricInfo>>) {
        let mut state = self.lock();
        state.waiting.add(epoch, outbox);
        state.prepare.extend(prepare);
        self.changed.notify_all();
    }
    /// Epochs and rows that are not delivered yet.
    pub fn backlog(&self) -> (u64, u64) {
        let state = self.lock();
        (state.waiting.epochs + state.in_flight.0, state.waiting.rows() + state.in_flight.1)
    }
    /// No more waiting: the thread ends.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.changed.notify_all();
    }
    pub fn generation(&self) -> Option<u64> {
        Some(self.generation.load(Ordering::Acquire)).filter(|g| *g > 0)
    }
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
    fn wait(&self, time: Duration) {
        let state = self.lock();
        if !self.stopped() {
            drop(self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// The delivery thread.
pub struct Delivery {
    pub queue: Arc<Queue>,
    pub sink: Arc<dyn Sink>,
    pub state: Arc<dyn StateStore>,
    pub publisher: Arc<dyn Publisher>,
    /// Generation noted in the state; the new one must be greater.
    pub stored_generation: u64,
    /// What the sink must take back first.
    pub lost: Option<LostFuture>,
}

impl Delivery {
    /// Runs until the queue is stopped, or an error that no retry can heal.
    pub fn run(self) -> Result<(), EngineError> {
        let mut in_hand = Waiting::default();
        let mut prepare: Vec<Arc<MetricInfo>> = Vec::new();
        while !self.queue.stopped() {
            self.take(&mut in_hand, &mut prepare);
            if self.queue.generation().is_some() && in_hand.is_empty() && prepare.is_empty() {
                self.tell();
                self.queue.wait(Duration::from_millis(500));
                continue;
            }
            match self.attempt(&mut in_hand, &mut prepare) {
                Ok(()) => self.publisher.condition("clickhouse", None),
                Err(Failed::Ended(error)) => return Err(error),
                Err(Failed::Retry(reason)) => {
                    tracing::warn!(%reason, "ClickHouse does not take rows: they wait, and it is tried again");
                    let reason =
                        format!("ClickHouse does not take rows, it is tried again every second: {reason}");
                    self.publisher.condition(
                        "clickhouse",
                        Some(Condition { part: "clickhouse", blocking: true, reason }),
                    );
                    self.queue.wait(RETRY);
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
            self.tell();
        }
        Ok(())
    }

    fn take(&self, in_hand: &mut Waiting, prepare: &mut Vec<Arc<MetricInfo>>) {
        let mut state = self.queue.lock();
        let newer = std::mem::take(&mut state.waiting);
        if !newer.is_empty() {
            in_hand.absorb(newer);
        }
        prepare.append(&mut state.prepare);
        state.in_flight = (in_hand.epochs, in_hand.rows());
    }

    fn attempt(&self, in_hand: &mut Waiting, prepare: &mut Vec<Arc<MetricInfo>>) -> Result<(), Failed> {
        let generation = self.claim()?;
        while let Some(info) = prepare.last() {
            self.sink.prepare_metric(info)?;
            prepare.pop();
        }
        if in_hand.is_empty() {
            return Ok(());
        }
        let (upto, epochs) = (in_hand.upto, in_hand.epochs);
        let outbox = std::mem::take(in_hand).into_outbox();
        match self.sink.insert(generation, &outbox) {
            Ok(()) => {
                self.queue.inserted.fetch_add(outbox.len() as u64, Ordering::Relaxed);
                self.queue.delivered.fetch_max(upto, Ordering::AcqRel);
                self.queue.lock().in_flight = (0, 0);
                Ok(())
            }
            Err(error) => {
                in_hand.add(upto, outbox);
                in_hand.epochs = epochs;
                Err(error.into())
            }
        }
    }

    /// The generation of this start: greater than every one seen in the state and in the sink.
    fn claim(&self) -> Result<u64, Failed> {
        if let Some(generation) = self.queue.generation() {
            return Ok(generation);
        }
        self.sink.prepare()?;
        let least = self.sink.max_generation()?.max(self.stored_generation) + 1;
        let generation = self.state.claim_generation(least)?;
        if let Some(lost) = self.lost {
            self.sink.take_back(lost, generation)?;
            tracing::info!(after_epoch = lost.epoch, "rows of a lost future are taken back");
        }
        tracing::info!(generation, "generation taken");
        self.queue.generation.store(generation, Ordering::Release);
        Ok(generation)
    }

    fn tell(&self) {
        let (epochs, rows) = self.queue.backlog();
        self.publisher.delivery(epochs, rows, self.queue.inserted.load(Ordering::Relaxed));
    }
}
