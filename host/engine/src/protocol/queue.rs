//! What compute, commit and delivery tell each other.

use super::Stamps;
use crate::outbox::Waiting;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_types::contract::MetricInfo;
use weir_types::rows::Outbox;

/// The right to insert rows under a generation: it is this start's own, and a durable write has noted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit(u64);

impl Permit {
    pub fn generation(self) -> u64 {
        self.0
    }
}

/// See the module.
#[derive(Default)]
pub struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
    /// The generation that the state held at the start; the new one must be greater.
    pub(super) stored_generation: u64,
    /// All epochs up to this are durable.
    durable: AtomicU64,
    /// All epochs up to this are delivered.
    delivered: AtomicU64,
    /// The generation, once claimed; 0 before.
    claimed: AtomicU64,
    /// The same, once it is durable.
    noted: AtomicU64,
    /// Whether the sink holds rows of a later time than the state, and no epoch has answered that yet.
    ahead: AtomicBool,
    stop: AtomicBool,
    inserted: AtomicU64,
}

#[derive(Default)]
struct QueueState {
    waiting: Waiting,
    stamps: Stamps,
    prepare: Vec<Arc<MetricInfo>>,
    /// Epochs and rows being inserted at the moment.
    in_flight: (u64, u64),
}

impl Queue {
    pub(super) fn new(waiting: Waiting, delivered: u64, stored_generation: u64) -> Queue {
        let queue = Queue { stored_generation, ..Queue::default() };
        queue.lock().waiting = waiting;
        queue.delivered.store(delivered, Ordering::Release);
        queue
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows of an epoch that is durable.
    pub(super) fn add(&self, epoch: u64, outbox: Outbox, prepare: Vec<Arc<MetricInfo>>, stamps: Stamps) {
        let mut state = self.lock();
        state.waiting.add(epoch, outbox);
        state.prepare.extend(prepare);
        state.stamps.append(stamps);
        self.changed.notify_all();
    }

    /// Moves all that waits into delivery's hands.
    pub(super) fn take(
        &self,
        in_hand: &mut Waiting,
        prepare: &mut Vec<Arc<MetricInfo>>,
        stamps: &mut Stamps,
    ) {
        let mut state = self.lock();
        let newer = std::mem::take(&mut state.waiting);
        if !newer.is_empty() {
            in_hand.absorb(newer);
        }
        prepare.append(&mut state.prepare);
        stamps.append(std::mem::take(&mut state.stamps));
        state.in_flight = (in_hand.epochs, in_hand.rows());
    }

    /// The sink has acknowledged so many rows, of all epochs up to `upto`.
    pub(super) fn acknowledged(&self, upto: u64, rows: u64) {
        self.inserted.fetch_add(rows, Ordering::Relaxed);
        self.delivered.fetch_max(upto, Ordering::AcqRel);
        self.lock().in_flight = (0, 0);
    }

    /// This epoch's write is durable.
    pub(super) fn written(&self, epoch: u64) {
        self.durable.fetch_max(epoch, Ordering::AcqRel);
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Acquire)
    }

    /// Rows inserted since the start.
    pub(super) fn inserted(&self) -> u64 {
        self.inserted.load(Ordering::Relaxed)
    }

    /// Epochs and rows that are not delivered yet.
    pub fn backlog(&self) -> (u64, u64) {
        let state = self.lock();
        (state.waiting.epochs + state.in_flight.0, state.waiting.rows() + state.in_flight.1)
    }

    /// A generation is this start's own. `ahead`: the sink holds rows that this state does not know of.
    pub(super) fn claim(&self, generation: u64, ahead: bool) {
        self.ahead.store(ahead, Ordering::Release);
        self.claimed.store(generation, Ordering::Release);
    }

    pub(super) fn claimed(&self) -> Option<u64> {
        Some(self.claimed.load(Ordering::Acquire)).filter(|g| *g > 0)
    }

    /// Whether the running epoch must emit everything anew; told once.
    pub(super) fn take_ahead(&self) -> bool {
        self.ahead.swap(false, Ordering::AcqRel)
    }

    /// A write that holds this generation is durable.
    pub(super) fn note(&self, generation: Option<u64>) {
        if generation.is_some() && generation == self.claimed() && self.permit().is_none() {
            self.noted.store(generation.unwrap_or(0), Ordering::Release);
            self.changed.notify_all();
        }
    }

    pub(super) fn permit(&self) -> Option<Permit> {
        Some(self.noted.load(Ordering::Acquire)).filter(|g| *g > 0).map(Permit)
    }

    /// No more waiting: delivery ends.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Blocks until something new has come, at most for `time`.
    pub fn wait(&self, time: Duration) {
        let state = self.lock();
        if !self.stopped() {
            drop(self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner));
        }
    }
}
