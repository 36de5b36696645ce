//! The threads that drive the epoch protocol: one computes epochs, one makes them durable, one delivers.

use crate::catchup::Readers;
use crate::hold::Ask;
use crate::patient::Patient;
use crate::protocol::{Command, Commit, Compute, Delivery, Job, Progress, Queue};
use crate::{EngineError, Options, Ports};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use weir_types::live::Condition;
use weir_types::ports::ReaderHandle;
use weir_types::record::SourceEvent;

/// Events of the reader that may wait: each is at most a megabyte.
const EVENTS: usize = 16;
/// Longest wait for an event, so that commands and ticks are served.
const STEP: Duration = Duration::from_millis(20);
/// A turn that took so long, far longer than waiting and an epoch do, kept the reader waiting.
const HELD_UP: Duration = Duration::from_secs(2);
/// Longest rest of delivery.
const REST: Duration = Duration::from_millis(500);
/// How long an insert that is under way at the end may still take, beyond the patience of the stop.
const LAST_INSERT: Duration = Duration::from_secs(5);
/// Least pause after an insert that failed, whatever new rows come.
const BREATH: Duration = Duration::from_millis(200);

/// Asked from outside, seen by all threads.
#[derive(Default)]
pub struct Signals {
    pub stop: AtomicBool,
    pub failed: AtomicBool,
    pub patience: Mutex<Duration>,
    /// When a thread that waits for the outside first saw that the stop was asked for.
    stop_seen: Mutex<Option<Duration>>,
    error: Mutex<Option<EngineError>>,
}

impl Signals {
    fn fail(&self, error: EngineError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }
    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
    /// If a stop was asked for: when that was first seen.
    fn note_stop(&self, now: Duration) -> Option<Duration> {
        let mut seen = self.stop_seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.load(Ordering::Acquire).then(|| *seen.get_or_insert(now))
    }
    /// Whether a stop was asked for, and has had its patience.
    fn gives_up(&self, now: Duration) -> bool {
        let patience = *self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        self.note_stop(now).is_some_and(|seen| now.saturating_sub(seen) >= patience)
    }
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.has_failed()
    }
    pub fn take_error(&self) -> Option<EngineError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Starts everything; the handle ends when all threads have.
pub fn start(
    options: Options,
    ports: Arc<Ports>,
    commands: Receiver<Command>,
    signals: Arc<Signals>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("weir-engine".into()).spawn(move || {
        if let Err(error) = (Threads { ports, commands, signals: signals.clone() }).run(options) {
            signals.fail(error);
        }
    })
}

type Reader = Arc<Mutex<Option<Box<dyn ReaderHandle>>>>;

struct Threads {
    ports: Arc<Ports>,
    commands: Receiver<Command>,
    signals: Arc<Signals>,
}

impl Threads {
    fn run(self, options: Options) -> Result<(), EngineError> {
        let ports = &self.ports;
        ports.publisher.condition(
            "recovery",
            Some(Condition { part: "recovery", blocking: true, reason: "state is being recovered".into() }),
        );
        let store = Patient {
            store: ports.state.clone(),
            publisher: ports.publisher.clone(),
            signals: self.signals.clone(),
        };
        let patient = Ports { state: Arc::new(store), ..(**ports).clone() };
        let mut compute = Compute::recover(options, Arc::new(patient))?;
        let queue = compute.queue();
        let delivery = self.spawn_delivery(compute.delivery(ports.clone()), queue.clone())?;
        // One epoch is being written and one waits: a third is backpressure, up to Kafka.
        let (jobs, receive) = sync_channel(1);
        let reader = Reader::default();
        let committer = self.spawn_commit(receive, queue.clone(), reader.clone())?;
        let mut outcome = compute.end_epoch(false).and_then(|job| self.send(&jobs, job));
        ports.publisher.condition("recovery", None);
        if outcome.is_ok() {
            outcome = self.read(&mut compute, &jobs, &reader);
        }
        drop(jobs);
        let _ = committer.join();
        self.await_delivery(&queue);
        queue.stop();
        self.end_delivery(delivery);
        outcome
    }

    /// Reads until the end is asked for.
    fn read(
        &self,
        compute: &mut Compute,
        jobs: &SyncSender<Job>,
        reader: &Reader,
    ) -> Result<(), EngineError> {
        let (send, events) = sync_channel::<SourceEvent>(EVENTS);
        let handle =
            self.ports.broker.read(&compute.topics(), &compute.start(), send).map_err(EngineError::Fatal)?;
        *reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        let outcome = self.turn(compute, jobs, reader, &events);
        let handle = reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(events);
        if let Some(handle) = handle {
            handle.stop();
        }
        if outcome.is_ok() && !self.signals.has_failed() {
            return self.send(jobs, compute.end_epoch(true)?);
        }
        outcome
    }

    /// Passes on what the shard asks of the reader.
    fn ask(&self, compute: &mut Compute, reader: &Reader) {
        let asks = compute.asks();
        if asks.is_empty() {
            return;
        }
        if let Some(reader) = reader.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            for ask in asks {
                match ask {
                    Ask::Hold(partitions) => reader.hold(&partitions),
                    Ask::Seek(to) => reader.seek(&to),
                }
            }
        }
    }

    fn turn(
        &self,
        compute: &mut Compute,
        jobs: &SyncSender<Job>,
        reader: &Reader,
        events: &Receiver<SourceEvent>,
    ) -> Result<(), EngineError> {
        let mut readers = Readers::new(self.ports.broker.clone());
        let mut turned = (self.ports.monotonic)();
        while !self.signals.is_over() {
            compute.catch_up(&mut readers)?;
            self.ask(compute, reader);
            let now = (self.ports.monotonic)();
            if now.saturating_sub(turned) > HELD_UP {
                compute.held_up();
            }
            turned = now;
            let event = match events.try_recv() {
                // All that was read is taken, however little time passes until more comes.
                Err(TryRecvError::Empty) => {
                    compute.quiet();
                    events.recv_timeout(STEP)
                }
                taken => taken.map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(event) => compute.take(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(EngineError::Fatal("the Kafka reader ended without a reason".into()));
                }
            }
            while let Ok(command) = self.commands.try_recv() {
                if let Some(job) = compute.obey(command)? {
                    self.send(jobs, job)?;
                }
            }
            if let Some(job) = compute.turn()? {
                self.send(jobs, job)?;
            }
        }
        Ok(())
    }

    /// Hands an epoch to the commit; blocks while there is no room.
    fn send(&self, jobs: &SyncSender<Job>, mut job: Job) -> Result<(), EngineError> {
        while !self.signals.has_failed() {
            match jobs.try_send(job) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => {
                    job = back;
                    // The commit, which gives up, may wait long for the store before it looks.
                    self.signals.note_stop((self.ports.monotonic)());
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(TrySendError::Disconnected(_)) if self.signals.has_failed() => return Ok(()),
                Err(TrySendError::Disconnected(_)) => {
                    return Err(EngineError::Fatal(
                        "the thread that commits epochs panicked: please report it with the log".into(),
                    ));
                }
            }
        }
        // The reason stands in the signals.
        Ok(())
    }

    fn spawn_delivery(
        &self,
        mut delivery: Delivery,
        queue: Arc<Queue>,
    ) -> Result<JoinHandle<()>, EngineError> {
        let signals = self.signals.clone();
        let run = move || {
            while !queue.stopped() {
                match delivery.step() {
                    Ok(Progress::Done) => {}
                    Ok(Progress::Idle) => queue.wait(REST),
                    Ok(Progress::Retry(pause)) => {
                        queue.wait(pause);
                        std::thread::sleep(BREATH);
                    }
                    Err(error) => return signals.fail(error),
                }
            }
        };
        spawn("weir-delivery", run)
    }

    fn spawn_commit(
        &self,
        jobs: Receiver<Job>,
        queue: Arc<Queue>,
        reader: Reader,
    ) -> Result<JoinHandle<()>, EngineError> {
        let signals = self.signals.clone();
        let monotonic = self.ports.monotonic.clone();
        let mut commit = Commit::new(self.ports.clone(), queue, reader);
        let run = move || {
            for job in jobs {
                commit.take(job);
                loop {
                    match commit.step() {
                        Ok(Progress::Done) => {}
                        Ok(Progress::Idle) => break,
                        Ok(Progress::Retry(_)) if signals.has_failed() => return,
                        Ok(Progress::Retry(_)) if signals.gives_up(monotonic()) => {
                            return signals.fail(EngineError::Fatal(not_stored(commit.trouble())));
                        }
                        Ok(Progress::Retry(pause)) => std::thread::sleep(pause),
                        Err(error) => return signals.fail(error),
                    }
                }
            }
        };
        spawn("weir-commit", run)
    }

    /// A call to the sink cannot be broken off, and taking back a lost future may last for hours: then the
    /// thread is left behind. It changes nothing that the next start does not do again.
    fn end_delivery(&self, delivery: JoinHandle<()>) {
        let began = (self.ports.monotonic)();
        while !delivery.is_finished() {
            if (self.ports.monotonic)().saturating_sub(began) >= LAST_INSERT {
                return tracing::warn!("ClickHouse has not answered the last call: it is left alone");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = delivery.join();
    }

    /// After the last epoch: gives delivery the time that was allowed for it.
    fn await_delivery(&self, queue: &Queue) {
        let patience = *self.signals.patience.lock().unwrap_or_else(PoisonError::into_inner);
        let began = (self.ports.monotonic)();
        while !self.signals.has_failed()
            && queue.backlog().0 > 0
            && (self.ports.monotonic)().saturating_sub(began) < patience
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        let (epochs, rows) = queue.backlog();
        if epochs > 0 {
            tracing::warn!(
                epochs,
                rows,
                "rows wait for ClickHouse: they are kept, and delivered after the next start"
            );
        }
    }
}

/// What the last line says when a stop gave up.
fn not_stored(trouble: &str) -> String {
    format!(
        "stopped without storing the last epochs: {trouble}; nothing is lost, what they hold is read again after \
         the next start"
    )
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, EngineError> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|e| EngineError::Fatal(format!("cannot start thread {name}: {e}")))
}

#[cfg(test)]
mod tests;
