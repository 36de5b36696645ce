//! What compute, commit and delivery tell each other.

use super::Stamps;
use crate::outbox::{Held, Waiting, weight};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_types::contract::MetricInfo;
use weir_types::live::Publisher;
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
    /// Bytes of rows that may wait in memory; see [`crate::Options::waiting_bytes`].
    pub(super) budget: usize,
}

/// Rows that wait, oldest first: those in delivery's hands, those that wait in memory, those that lie in
/// the store alone. No epoch is in two of these places, and while any is in the last, newer ones go there.
#[derive(Default)]
struct QueueState {
    in_flight: Held,
    waiting: Waiting,
    left: Left,
    /// Of all records whose rows wait.
    stamps: Stamps,
    prepare: Vec<Arc<MetricInfo>>,
}

/// Epochs whose rows lie in the store alone, until there is room for them: `read < epoch ≤ upto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub read: u64,
    pub upto: u64,
    /// Their rows, not coalesced.
    pub rows: u64,
}

impl Left {
    fn epochs(self) -> u64 {
        self.upto.saturating_sub(self.read)
    }
    fn next(self) -> Option<u64> {
        (self.read < self.upto).then_some(self.read + 1)
    }
}

impl Queue {
    /// All that an earlier start has left in the store waits there.
    pub(super) fn new(budget: usize, left: Left, stored_generation: u64) -> Queue {
        let queue = Queue { stored_generation, budget, ..Queue::default() };
        queue.lock().left = left;
        queue.delivered.store(left.read, Ordering::Release);
        queue
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows of an epoch that is durable, the one after the last. Beyond the budget they are dropped here
    /// and read again later. Gives whether older rows are in delivery's hands.
    pub(super) fn add(
        &self,
        epoch: u64,
        outbox: Outbox,
        prepare: Vec<Arc<MetricInfo>>,
        stamps: Stamps,
    ) -> bool {
        let bytes = weight(&outbox);
        let mut state = self.lock();
        let held = state.in_flight.bytes + state.waiting.held().bytes;
        // An epoch that is larger than the budget waits in memory alone, or it could never be delivered.
        let has_room = held == 0 || held + bytes <= self.budget;
        if state.left.next().is_none() && has_room {
            state.waiting.add(epoch, outbox);
        } else {
            if state.left.next().is_none() {
                state.left = Left { read: epoch - 1, upto: epoch, rows: 0 };
            }
            state.left.upto = epoch;
            state.left.rows += outbox.len() as u64;
        }
        state.prepare.extend(prepare);
        state.stamps.append(epoch, stamps);
        self.changed.notify_all();
        state.in_flight.epochs > 0
    }

    /// Moves all rows that wait in memory into delivery's hands. Gives the epoch that follows them, if it
    /// lies in the store alone: as long as it does, no rows come to wait in memory.
    pub(super) fn take(&self, in_hand: &mut Waiting) -> Option<u64> {
        let mut state = self.lock();
        in_hand.absorb(std::mem::take(&mut state.waiting));
        state.in_flight = in_hand.held();
        state.left.next()
    }

    /// Metrics that the sink must know before it gets rows of theirs.
    pub(super) fn take_metrics(&self, prepare: &mut Vec<Arc<MetricInfo>>) {
        prepare.append(&mut self.lock().prepare);
    }

    /// This epoch was read from the store, with so many rows; `held` is in delivery's hands now.
    pub(super) fn has_read(&self, epoch: u64, rows: u64, held: Held) {
        let mut state = self.lock();
        state.left.read = epoch;
        // States of older hosts do not count what they hold: then there are more than was known.
        state.left.rows = state.left.rows.saturating_sub(rows);
        state.in_flight = held;
    }

    /// The sink has acknowledged so many rows, of all epochs up to `upto`. Gives the stamps of their records.
    pub(super) fn acknowledged(&self, upto: u64, rows: u64) -> Stamps {
        self.inserted.fetch_add(rows, Ordering::Relaxed);
        self.delivered.fetch_max(upto, Ordering::AcqRel);
        let mut state = self.lock();
        state.in_flight = Held::default();
        state.stamps.take_upto(upto)
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

    /// Epochs and rows that are not delivered yet. Rows in memory are coalesced, those in the store not.
    pub fn backlog(&self) -> (u64, u64) {
        let QueueState { in_flight, waiting, left, .. } = &*self.lock();
        let waiting = waiting.held();
        (in_flight.epochs + waiting.epochs + left.epochs(), in_flight.rows + waiting.rows + left.rows)
    }

    /// Tells how delivery stands: before an epoch is published, so that it counts as waiting when it is seen, and
    /// by delivery after each step, and again while it rests.
    pub(super) fn tell(&self, publisher: &dyn Publisher) {
        let (epochs, rows) = self.backlog();
        // The newest may not have been handed over.
        let owed = self.durable().saturating_sub(self.delivered());
        publisher.delivery(epochs.max(owed), rows, self.inserted.load(Ordering::Relaxed));
    }

    /// Bytes of waiting rows in memory, and epochs whose rows lie in the store alone.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, u64) {
        let state = self.lock();
        (state.in_flight.bytes + state.waiting.held().bytes, state.left.epochs())
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
