//! From events to epochs. Sends nothing: the jobs it gives are its driver's to hand to the commit, in order.

use super::queue::Left;
use super::stall::Stall;
use super::{Answer, Delivery, Job, Queue, Stamps};
use crate::catchup::Readers;
use crate::hold::{Ask, ResumeError};
use crate::recover::{admit, join_initial, recover};
use crate::shard::{Redrive, Shard};
use crate::{EngineError, Options, Ports, outbox};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use weir_types::contract::MetricFactory;
use weir_types::control::{ControlError, Redriven, Resnapshot};
use weir_types::live::{CatalogueEntry, Condition};
use weir_types::ports::StartAt;
use weir_types::record::{SourceEvent, TopicPartition};

/// What an operator asks. The answer comes when the change is durable.
pub enum Command {
    Join {
        origin: String,
        factories: Vec<Arc<dyn MetricFactory>>,
        reply: Reply<Vec<CatalogueEntry>>,
    },
    Retire {
        name: String,
        reply: Reply<()>,
    },
    /// Lets a source that holds go on.
    Resume {
        source: String,
        accept_dead: bool,
        reply: Reply<()>,
    },
    /// Lets a source that has stopped go on, whatever is missing.
    Restart {
        source: String,
        reply: Reply<()>,
    },
    Redrive {
        records: Vec<Redrive>,
        reply: Reply<Vec<Redriven>>,
    },
    Resnapshot {
        source: String,
        step: Resnapshot,
        reply: Reply<()>,
    },
    /// Answered once everything so far is durable.
    Settle {
        reply: Reply<()>,
    },
    List {
        reply: Reply<Vec<CatalogueEntry>>,
    },
}

/// Where an answer goes; a receiver that has gone away is no error.
pub type Reply<T> = SyncSender<Result<T, ControlError>>;

/// See the module.
pub struct Compute {
    ports: Arc<Ports>,
    queue: Arc<Queue>,
    shard: Shard,
    /// Sent with the running epoch.
    answers: Vec<Answer>,
    epoch_began: Duration,
    /// When the records of the running epoch were read.
    stamps: Stamps,
    /// Why sources hold, and why sources have stopped, as last told.
    standing_still: [Option<String>; 2],
    stall: Stall,
}

/// What is known at the end of a step, to decide whether the running epoch ends.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    /// The epoch has had its time.
    over: bool,
    /// It has had its bytes.
    full: bool,
    /// Somebody waits for its end.
    awaited: bool,
    /// A generation was claimed and stands in no epoch yet, so nothing can be delivered.
    unnoted: bool,
    /// Ending it would keep or show something.
    work: bool,
}

/// What becomes of the running epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    End,
    /// It had its time, but there is nothing to keep: its time begins anew.
    BeginAnew,
    GoOn,
}

/// | awaited | over or full | work or unnoted | verdict |
/// |---|---|---|---|
/// | yes | – | – | end |
/// | no | yes | yes | end |
/// | no | yes | no | begin anew |
/// | no | no | – | go on |
fn judge(facts: Facts) -> Verdict {
    match facts.over || facts.full {
        _ if facts.awaited => Verdict::End,
        true if facts.work || facts.unnoted => Verdict::End,
        true => Verdict::BeginAnew,
        false => Verdict::GoOn,
    }
}

impl Compute {
    /// Takes up what is stored, and what waits for delivery. Call [`Compute::end_epoch`] before anything
    /// else: the first epoch shows what was recovered.
    pub fn recover(options: Options, ports: Arc<Ports>) -> Result<Compute, EngineError> {
        let (state, loader) = (&*ports.state, &*ports.loader);
        let mut shard = recover(options, ports.state.clone(), loader, ports.monotonic.clone())?;
        join_initial(&mut shard, state, loader, (ports.wall)(), ports.clock.now())?;
        let delivered = shard.head.delivered;
        let rows = outbox::count_rows(state, &shard.keys, delivered)?;
        let left = Left { read: delivered, upto: shard.head.epoch, rows };
        let generation = shard.head.generation.unwrap_or(0);
        let queue = Arc::new(Queue::new(shard.options.waiting_bytes, left, generation));
        let epoch_began = (ports.monotonic)();
        let stall = Stall::new(shard.options.stalled_after, epoch_began);
        Ok(Compute {
            ports,
            queue,
            shard,
            answers: Vec::new(),
            epoch_began,
            stamps: Stamps::default(),
            standing_still: [None, None],
            stall,
        })
    }

    pub fn queue(&self) -> Arc<Queue> {
        self.queue.clone()
    }

    /// What delivers the epochs, over these ports.
    pub fn delivery(&self, ports: Arc<Ports>) -> Delivery {
        Delivery::new(ports, self.queue(), self.shard.keys.clone(), self.shard.lost())
    }

    /// Topics of all sources, each once.
    pub fn topics(&self) -> Vec<String> {
        let mut topics: Vec<String> =
            self.shard.options.sources.iter().flat_map(|s| s.topics.clone()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// All metrics that are not retired.
    pub fn catalogue(&self) -> Vec<CatalogueEntry> {
        self.shard.catalogue()
    }

    /// Where the reader begins.
    pub fn start(&self) -> BTreeMap<TopicPartition, StartAt> {
        self.shard.sources.start()
    }

    /// All that the reader has given is taken: tells which partitions have given nothing for too long.
    pub fn quiet(&mut self) {
        let shard = &self.shard;
        let trouble = shard.sources.trouble.as_deref();
        let indexed = |p: TopicPartition| shard.sources.index_of(&p).map(|index| (index, p));
        let behind = || shard.behind().into_iter().filter_map(indexed).collect();
        if let Some(news) = self.stall.look((self.ports.monotonic)(), behind, trouble) {
            if let Some(Condition { reason, .. }) = &news {
                tracing::warn!(%reason, "the stream stands still");
            }
            self.ports.publisher.condition("stalled", news);
        }
    }

    /// What the shard asks of the reader, in order; tells which sources stand still.
    pub fn asks(&mut self) -> Vec<Ask> {
        let now = [("held", self.shard.holds.held()), ("stopped", self.shard.holds.stopped())];
        for ((part, reason), told) in now.into_iter().zip(&mut self.standing_still) {
            if reason != *told {
                told.clone_from(&reason);
                let condition = reason.map(|reason| Condition { part, blocking: true, reason });
                self.ports.publisher.condition(part, condition);
            }
        }
        self.shard.take_asks()
    }

    /// Gives metrics that catch up what their readers have brought.
    pub fn catch_up(&mut self, readers: &mut Readers) -> Result<(), EngineError> {
        Ok(readers.turn(&mut self.shard, self.ports.clock.now())?)
    }

    /// Nothing was read for a while, because an epoch took long or had to wait: the reader holds what came since.
    pub fn held_up(&mut self) {
        self.shard.held_up(self.ports.clock.now());
    }

    /// Takes one event of the reader.
    pub fn take(&mut self, event: SourceEvent) -> Result<(), EngineError> {
        match &event {
            SourceEvent::Fatal(reason) => return Err(EngineError::Fatal(reason.clone())),
            SourceEvent::Trouble(trouble) => self.tell_trouble(trouble.clone()),
            _ => {}
        }
        let read = match &event {
            SourceEvent::Records(batch) => {
                Some((batch.read_at().unwrap_or_else(|| (self.ports.monotonic)()), batch.len() as u64))
            }
            _ => None,
        };
        self.note_movement(&event);
        self.shard.apply(event, self.ports.clock.now());
        if let Some((read, records)) = read {
            let age = (self.ports.monotonic)().saturating_sub(read);
            self.ports.publisher.latency("decoded", &[(age, records)]);
            self.stamps.add(read, records);
        }
        Ok(())
    }

    /// Notes which partitions have given something.
    fn note_movement(&mut self, event: &SourceEvent) {
        let mut over = false;
        match event {
            SourceEvent::Records(batch) => {
                let mut last = None;
                for partition in batch.iter().map(|record| record.partition) {
                    // Records of a partition come in runs.
                    if last.replace(partition) != Some(partition) {
                        over |= self.stall.moved(partition);
                    }
                }
            }
            SourceEvent::EndOfPartition { index } | SourceEvent::Moved { index, .. } => {
                over = self.stall.moved(*index);
            }
            _ => {}
        }
        if over {
            self.ports.publisher.condition("stalled", None);
        }
    }

    fn tell_trouble(&self, trouble: Option<String>) {
        let condition = trouble.map(|reason| {
            tracing::warn!(%reason, "Kafka cannot be read at the moment");
            Condition { part: "kafka", blocking: true, reason }
        });
        self.ports.publisher.condition("kafka", condition);
    }

    /// Carries out what an operator asked, on an epoch's boundary: gives the epoch that it closed, if
    /// there was one.
    pub fn obey(&mut self, command: Command) -> Result<Option<Job>, EngineError> {
        let closed = match command {
            Command::List { reply } => {
                drop(reply.try_send(Ok(self.catalogue())));
                None
            }
            Command::Join { origin, factories, reply } => {
                let closed = self.close_running()?;
                let (now, wall) = (self.ports.clock.now(), (self.ports.wall)());
                match admit(&mut self.shard, &origin, factories, &*self.ports.state, wall, now) {
                    Ok(names) => {
                        let mut entries = self.shard.catalogue();
                        entries.retain(|e| names.contains(&e.info.name));
                        self.answers.push(Box::new(move || drop(reply.try_send(Ok(entries)))));
                    }
                    Err(reason) => drop(reply.try_send(Err(ControlError::Refused(reason)))),
                }
                closed
            }
            Command::Resume { source, accept_dead, reply } => {
                let outcome = self.shard.resume(&source, accept_dead, self.ports.clock.now());
                self.answer_source(source, outcome, reply);
                None
            }
            Command::Restart { source, reply } => {
                let closed = self.close_running()?;
                let outcome = self.shard.restart(&source, self.ports.clock.now());
                self.answer_source(source, outcome, reply);
                closed
            }
            Command::Redrive { records, reply } => {
                let answers = self.shard.redrive(&records, self.ports.clock.now());
                self.answers.push(Box::new(move || drop(reply.try_send(Ok(answers)))));
                None
            }
            Command::Settle { reply } => {
                self.answers.push(Box::new(move || drop(reply.try_send(Ok(())))));
                None
            }
            Command::Resnapshot { source, step, reply } => {
                let closed = self.close_running()?;
                match self.shard.resnapshot(&source, step, self.ports.clock.now()) {
                    Ok(()) => self.answers.push(Box::new(move || drop(reply.try_send(Ok(()))))),
                    Err(error) => drop(reply.try_send(Err(error))),
                }
                closed
            }
            Command::Retire { name, reply } if !self.shard.users_of(&name).is_empty() => {
                let users = self.shard.users_of(&name).join(", ");
                let why = format!("metric {name} is what {users} is derived from: retire {users} first");
                drop(reply.try_send(Err(ControlError::WrongState(why))));
                None
            }
            Command::Retire { name, reply } => {
                let closed = self.close_running()?;
                match self.shard.retire(&name, &*self.ports.state) {
                    Ok(true) => self.answers.push(Box::new(move || drop(reply.try_send(Ok(()))))),
                    Ok(false) => drop(reply.try_send(Err(ControlError::NotFound(name)))),
                    Err(error) => drop(reply.try_send(Err(ControlError::Unavailable(error.to_string())))),
                }
                closed
            }
        };
        Ok(closed)
    }

    /// Answers, once it is durable, what an operator asked of a source.
    fn answer_source(&mut self, source: String, outcome: Result<(), ResumeError>, reply: Reply<()>) {
        let error = match outcome {
            Ok(()) => return self.answers.push(Box::new(move || drop(reply.try_send(Ok(()))))),
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
    fn close_running(&mut self) -> Result<Option<Job>, EngineError> {
        match self.shard.has_work(self.ports.clock.now(), false) {
            true => self.end_epoch(false).map(Some),
            false => Ok(None),
        }
    }

    /// Ends the running epoch if it is time to.
    pub fn turn(&mut self) -> Result<Option<Job>, EngineError> {
        let age = (self.ports.monotonic)().saturating_sub(self.epoch_began);
        let mut facts = Facts {
            over: age >= self.shard.options.epoch_length,
            full: self.shard.epoch_bytes() >= self.shard.options.epoch_bytes,
            awaited: !self.answers.is_empty(),
            unnoted: self.queue.claimed().is_some_and(|g| self.shard.head.generation != Some(g)),
            work: false,
        };
        let mut flush = false;
        if judge(facts) != Verdict::GoOn {
            let now = self.ports.clock.now();
            flush = self.shard.all_idle(now);
            facts.work = self.shard.has_work(now, flush);
        }
        match judge(facts) {
            Verdict::End => self.end_epoch(flush).map(Some),
            Verdict::BeginAnew => {
                self.epoch_began = (self.ports.monotonic)();
                self.ports.publisher.alive(self.ports.clock.now());
                Ok(None)
            }
            Verdict::GoOn => Ok(None),
        }
    }

    /// Ends the running epoch. `flush`: every due row is emitted, tick or not. After an error it must be
    /// dropped.
    pub fn end_epoch(&mut self, flush: bool) -> Result<Job, EngineError> {
        let now = self.ports.clock.now();
        // Read before the mark: so what a claim asks for is never in a later write than the claim.
        let generation = self.queue.claimed();
        let ahead = self.queue.take_ahead();
        if ahead {
            tracing::warn!(
                "ClickHouse holds rows of a later time than this state: all live values are sent anew"
            );
            self.shard.emit_anew();
        }
        self.shard.durable(self.queue.durable());
        let commit = self.shard.end_epoch(now, flush || ahead, generation, self.queue.delivered())?;
        self.epoch_began = (self.ports.monotonic)();
        Ok(Job::new(commit, std::mem::take(&mut self.stamps), std::mem::take(&mut self.answers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_when_its_time_or_bytes_are_up_and_there_is_something_to_keep() {
        let up = Facts { over: true, ..Facts::default() };
        assert_eq!(judge(Facts { work: true, ..up }), Verdict::End);
        assert_eq!(judge(Facts { full: true, work: true, ..Facts::default() }), Verdict::End);
        assert_eq!(judge(up), Verdict::BeginAnew);
        assert_eq!(judge(Facts { work: true, ..Facts::default() }), Verdict::GoOn);
    }

    #[test]
    fn an_operator_who_waits_and_a_new_generation_need_no_other_work() {
        assert_eq!(judge(Facts { awaited: true, ..Facts::default() }), Verdict::End);
        assert_eq!(judge(Facts { over: true, unnoted: true, ..Facts::default() }), Verdict::End);
    }
}
