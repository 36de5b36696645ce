//! The threads of an engine: one computes epochs, one makes them durable, one delivers them.

use crate::delivery::{Delivery, Queue};
use crate::hold::{Ask, ResumeError};
use crate::recover::{admit, join_initial, recover};
use crate::shard::{EpochCommit, Redrive, Shard};
use crate::{EngineError, Options, Ports, outbox};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use weir_types::contract::MetricFactory;
use weir_types::control::{ControlError, Redriven};
use weir_types::live::{CatalogueEntry, Condition};
use weir_types::ports::{ReaderHandle, StateError};
use weir_types::record::SourceEvent;

/// Events of the reader that may wait: each is at most a megabyte.
const EVENTS: usize = 16;
/// Longest wait for an event, so that commands and ticks are served.
const STEP: Duration = Duration::from_millis(20);
/// Pause between two attempts at a durable write.
const RETRY: Duration = Duration::from_millis(500);

/// What an operator asks of the compute thread. The answer comes when the change is durable.
pub enum Command {
    Join { origin: String, factories: Vec<Arc<dyn MetricFactory>>, reply: Reply<Vec<CatalogueEntry>> },
    Retire { name: String, reply: Reply<()> },
    Resume { source: String, accept_dead: bool, reply: Reply<()> },
    Restart { source: String, reply: Reply<()> },
    Redrive { records: Vec<Redrive>, reply: Reply<Vec<Redriven>> },
    List { reply: Reply<Vec<CatalogueEntry>> },
}

/// Where an answer goes; a receiver that has gone away is no error.
pub type Reply<T> = SyncSender<Result<T, ControlError>>;

/// An answer that is sent once an epoch is durable.
type Answer = Box<dyn FnOnce() + Send>;

struct Job {
    commit: EpochCommit,
    answers: Vec<Answer>,
}

/// Asked from outside, seen by all threads.
#[derive(Default)]
pub struct Signals {
    pub stop: AtomicBool,
    pub failed: AtomicBool,
    pub patience: Mutex<Duration>,
    error: Mutex<Option<EngineError>>,
}

impl Signals {
    fn fail(&self, error: EngineError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.failed.load(Ordering::Acquire)
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
        if let Err(error) = (Compute { ports, commands, signals: signals.clone() }).run(options) {
            signals.fail(error);
        }
    })
}

struct Compute {
    ports: Arc<Ports>,
    commands: Receiver<Command>,
    signals: Arc<Signals>,
}

/// What the loop holds besides the shard.
struct Loop {
    queue: Arc<Queue>,
    jobs: SyncSender<Job>,
    reader: Arc<Mutex<Option<Box<dyn ReaderHandle>>>>,
    answers: Vec<Answer>,
    epoch_began: Duration,
    /// Why sources hold, as last told.
    held: Option<String>,
    /// Why sources have stopped, as last told.
    stopped: Option<String>,
}

impl Compute {
    fn run(self, options: Options) -> Result<(), EngineError> {
        let ports = &self.ports;
        ports.publisher.condition(
            "recovery",
            Some(Condition { part: "recovery", blocking: true, reason: "state is being recovered".into() }),
        );
        let mut shard = recover(options, &*ports.state, &*ports.loader, ports.monotonic.clone())?;
        join_initial(&mut shard, &*ports.state, &*ports.loader, (ports.wall)(), ports.clock.now())?;
        let waiting = outbox::undelivered(&*ports.state, &shard.keys, shard.head.delivered)?;
        let queue = Arc::new(Queue::new(waiting, shard.head.delivered));
        let delivery = self.spawn_delivery(queue.clone(), &shard)?;
        let (jobs, receive) = sync_channel(1);
        let reader = Arc::new(Mutex::new(None));
        let committer = self.spawn_commit(receive, queue.clone(), reader.clone())?;
        let epoch_began = (ports.monotonic)();
        let mut state = Loop {
            queue: queue.clone(),
            jobs,
            reader,
            answers: Vec::new(),
            epoch_began,
            held: None,
            stopped: None,
        };
        self.end_epoch(&mut shard, &mut state, false);
        ports.publisher.condition("recovery", None);
        let outcome = self.read(&mut shard, &mut state);
        drop(state);
        let _ = committer.join();
        self.await_delivery(&queue);
        queue.stop();
        let _ = delivery.join();
        outcome
    }

    /// Reads until the end is asked for.
    fn read(&self, shard: &mut Shard, state: &mut Loop) -> Result<(), EngineError> {
        let (send, events) = sync_channel::<SourceEvent>(EVENTS);
        let mut topics: Vec<String> = shard.options.sources.iter().flat_map(|s| s.topics.clone()).collect();
        topics.sort();
        topics.dedup();
        let handle =
            self.ports.broker.read(&topics, &shard.sources.start(), send).map_err(EngineError::Fatal)?;
        *state.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        self.tell_held(shard, state);
        let outcome = self.turn(shard, state, &events);
        let handle = state.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(events);
        if let Some(handle) = handle {
            handle.stop();
        }
        if outcome.is_ok() && !self.signals.failed.load(Ordering::Acquire) {
            self.end_epoch(shard, state, true);
        }
        outcome
    }

    fn turn(
        &self,
        shard: &mut Shard,
        state: &mut Loop,
        events: &Receiver<SourceEvent>,
    ) -> Result<(), EngineError> {
        while !self.signals.is_over() {
            match events.recv_timeout(STEP) {
                Ok(SourceEvent::Fatal(reason)) => return Err(EngineError::Fatal(reason)),
                Ok(event) => {
                    self.tell_trouble(&event);
                    shard.apply(event, self.ports.clock.now());
                    self.tell_held(shard, state);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(EngineError::Fatal("the Kafka reader ended without a reason".into()));
                }
            }
            self.obey(shard, state);
            let over =
                (self.ports.monotonic)().saturating_sub(state.epoch_began) >= shard.options.epoch_length;
            if over || shard.epoch_bytes() >= shard.options.epoch_bytes || !state.answers.is_empty() {
                let now = self.ports.clock.now();
                let flush = shard.all_idle(now);
                if shard.has_work(now, flush) || !state.answers.is_empty() {
                    self.end_epoch(shard, state, flush);
                } else {
                    state.epoch_began = (self.ports.monotonic)();
                }
            }
        }
        Ok(())
    }

    fn tell_trouble(&self, event: &SourceEvent) {
        if let SourceEvent::Trouble(trouble) = event {
            let condition = trouble.clone().map(|reason| {
                tracing::warn!(%reason, "Kafka cannot be read at the moment");
                Condition { part: "kafka", blocking: true, reason }
            });
            self.ports.publisher.condition("kafka", condition);
        }
    }

    /// Passes on what the shard asks of the reader, and tells which sources stand still.
    fn tell_held(&self, shard: &mut Shard, state: &mut Loop) {
        let asks = shard.take_asks();
        if let Some(reader) = state.reader.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            for ask in asks {
                match ask {
                    Ask::Hold(partitions) => reader.hold(&partitions),
                    Ask::Seek(to) => reader.seek(&to),
                }
            }
        }
        let tell = |part, reason: Option<String>, told: &mut Option<String>| {
            if reason != *told {
                told.clone_from(&reason);
                let condition = reason.map(|reason| Condition { part, blocking: true, reason });
                self.ports.publisher.condition(part, condition);
            }
        };
        tell("held", shard.holds.held(), &mut state.held);
        tell("stopped", shard.holds.stopped(), &mut state.stopped);
    }

    /// Carries out what operators asked, at an epoch boundary.
    fn obey(&self, shard: &mut Shard, state: &mut Loop) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::List { reply } => drop(reply.try_send(Ok(shard.catalogue()))),
                Command::Join { origin, factories, reply } => {
                    self.close_running(shard, state);
                    let now = self.ports.clock.now();
                    match admit(shard, &origin, factories, (self.ports.wall)(), now) {
                        Ok(names) => {
                            let mut entries = shard.catalogue();
                            entries.retain(|e| names.contains(&e.info.name));
                            state.answers.push(Box::new(move || drop(reply.try_send(Ok(entries)))));
                        }
                        Err(reason) => drop(reply.try_send(Err(ControlError::Refused(reason)))),
                    }
                }
                Command::Resume { source, accept_dead, reply } => {
                    let outcome = shard.resume(&source, accept_dead, self.ports.clock.now());
                    self.answer_source(source, outcome, reply, state);
                    self.tell_held(shard, state);
                }
                Command::Restart { source, reply } => {
                    self.close_running(shard, state);
                    let outcome = shard.restart(&source, self.ports.clock.now());
                    self.answer_source(source, outcome, reply, state);
                    self.tell_held(shard, state);
                }
                Command::Redrive { records, reply } => {
                    let answers = shard.redrive(&records, self.ports.clock.now());
                    state.answers.push(Box::new(move || drop(reply.try_send(Ok(answers)))));
                }
                Command::Retire { name, reply } => {
                    self.close_running(shard, state);
                    match shard.retire(&name, &*self.ports.state) {
                        Ok(true) => state.answers.push(Box::new(move || drop(reply.try_send(Ok(()))))),
                        Ok(false) => drop(reply.try_send(Err(ControlError::NotFound(name)))),
                        Err(error) => drop(reply.try_send(Err(ControlError::Unavailable(error.to_string())))),
                    }
                }
            }
        }
    }

    /// Answers, once it is durable, what an operator asked of a source.
    fn answer_source(
        &self,
        source: String,
        outcome: Result<(), ResumeError>,
        reply: Reply<()>,
        state: &mut Loop,
    ) {
        let error = match outcome {
            Ok(()) => return state.answers.push(Box::new(move || drop(reply.try_send(Ok(()))))),
            Err(ResumeError::Unknown) => ControlError::UnknownSource(source),
            Err(ResumeError::DoesNotHold) => {
                ControlError::WrongState(format!("source {source} does not hold: there is nothing to resume"))
            }
            Err(ResumeError::IsNotStopped) => ControlError::WrongState(format!(
                "source {source} has not stopped: there is nothing to restart"
            )),
        };
        drop(reply.try_send(Err(error)));
    }

    /// Ends the running epoch, so that a change falls on a boundary.
    fn close_running(&self, shard: &mut Shard, state: &mut Loop) {
        let now = self.ports.clock.now();
        if shard.has_work(now, false) {
            self.end_epoch(shard, state, false);
        }
    }

    fn end_epoch(&self, shard: &mut Shard, state: &mut Loop, flush: bool) {
        let now = self.ports.clock.now();
        let delivered = state.queue.delivered.load(Ordering::Acquire);
        let commit = shard.end_epoch(now, flush, state.queue.generation(), delivered);
        let mut job = Job { commit, answers: std::mem::take(&mut state.answers) };
        // One epoch is being written and one waits: a third is backpressure, up to Kafka.
        while !self.signals.failed.load(Ordering::Acquire) {
            match state.jobs.try_send(job) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) => {
                    job = back;
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
        state.epoch_began = (self.ports.monotonic)();
    }

    fn spawn_delivery(&self, queue: Arc<Queue>, shard: &Shard) -> Result<JoinHandle<()>, EngineError> {
        let delivery = Delivery {
            queue,
            sink: self.ports.sink.clone(),
            state: self.ports.state.clone(),
            publisher: self.ports.publisher.clone(),
            stored_generation: shard.head.generation.unwrap_or(0),
            lost: shard.lost(),
        };
        let signals = self.signals.clone();
        let run = move || {
            if let Err(error) = delivery.run() {
                signals.fail(error);
            }
        };
        spawn("weir-delivery", run)
    }

    fn spawn_commit(
        &self,
        jobs: Receiver<Job>,
        queue: Arc<Queue>,
        reader: Arc<Mutex<Option<Box<dyn ReaderHandle>>>>,
    ) -> Result<JoinHandle<()>, EngineError> {
        let (ports, signals) = (self.ports.clone(), self.signals.clone());
        let run = move || {
            for job in jobs {
                if let Err(error) = commit(job, &ports, &queue, &reader, &signals) {
                    signals.fail(error);
                    return;
                }
            }
        };
        spawn("weir-commit", run)
    }

    /// After the last epoch: gives delivery the time that was allowed for it.
    fn await_delivery(&self, queue: &Queue) {
        let patience = *self.signals.patience.lock().unwrap_or_else(PoisonError::into_inner);
        let began = (self.ports.monotonic)();
        while !self.signals.failed.load(Ordering::Acquire)
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

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, EngineError> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|e| EngineError::Fatal(format!("cannot start thread {name}: {e}")))
}

/// Makes one epoch durable, tells it, and hands its rows to delivery.
fn commit(
    job: Job,
    ports: &Ports,
    queue: &Queue,
    reader: &Mutex<Option<Box<dyn ReaderHandle>>>,
    signals: &Signals,
) -> Result<(), EngineError> {
    let Job { mut commit, answers } = job;
    let start = (ports.monotonic)();
    let mut troubled = false;
    loop {
        match ports.state.write(commit.writes.clone()) {
            Ok(()) => break,
            Err(StateError::Unavailable(reason)) if !signals.failed.load(Ordering::Acquire) => {
                tracing::warn!(%reason, "the epoch cannot be written: it is tried again");
                let reason = format!("state cannot be written, it is tried again: {reason}");
                ports.publisher.condition("state", Some(Condition { part: "state", blocking: true, reason }));
                troubled = true;
                std::thread::sleep(RETRY);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if troubled {
        ports.publisher.condition("state", None);
    }
    let spent = ((ports.monotonic)() - start).as_nanos() as u64;
    commit.update.stages_ns.insert("write", spent);
    let epoch = commit.update.epoch;
    ports.publisher.publish(commit.update);
    queue.add(epoch, commit.outbox, commit.prepare);
    if let Some(reader) = reader.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        reader.committed(&commit.next_offsets);
    }
    answers.into_iter().for_each(|answer| answer());
    Ok(())
}
