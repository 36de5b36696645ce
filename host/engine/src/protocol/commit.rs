//! Makes one epoch after the other durable, tells it, and hands its rows to delivery.

use super::{Progress, Queue, Stamps};
use crate::shard::EpochCommit;
use crate::{EngineError, Ports};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use weir_types::contract::MetricInfo;
use weir_types::live::{CatalogueEntry, Condition};
use weir_types::ports::{ReaderHandle, StateError, WriteSet};
use weir_types::record::TopicPartition;
use weir_types::rows::Outbox;

/// Pause between two attempts at a durable write.
const RETRY: Duration = Duration::from_millis(500);

/// An answer to an operator that is sent once an epoch is durable.
pub type Answer = Box<dyn FnOnce() + Send>;

/// An epoch that was computed.
pub struct Job {
    commit: EpochCommit,
    stamps: Stamps,
    answers: Vec<Answer>,
}

impl Job {
    pub(super) fn new(commit: EpochCommit, stamps: Stamps, answers: Vec<Answer>) -> Job {
        Job { commit, stamps, answers }
    }
    pub fn epoch(&self) -> u64 {
        self.commit.update.epoch
    }
    /// The metrics of the epoch, where they are others than those of the one before.
    pub fn catalogue(&self) -> Option<&[CatalogueEntry]> {
        self.commit.update.catalogue.as_deref().map(Vec::as_slice)
    }
    #[cfg(test)]
    pub(super) fn rows(&self) -> &Outbox {
        &self.commit.outbox
    }
}

/// Where the reader is found once there is one.
pub type Reader = Arc<Mutex<Option<Box<dyn ReaderHandle>>>>;

/// What an epoch still lacks. The order is the protocol: see the module above.
enum Stage {
    Write(Box<Job>),
    Publish(Box<Job>),
    HandOver(Box<Rows>, Told),
    Acknowledge(Told),
    Answer(Vec<Answer>),
    Rest,
}

/// What delivery gets.
struct Rows {
    epoch: u64,
    outbox: Outbox,
    prepare: Vec<Arc<MetricInfo>>,
    stamps: Stamps,
}

/// Whom a durable epoch is told last.
struct Told {
    next_offsets: Vec<(TopicPartition, i64)>,
    answers: Vec<Answer>,
}

/// What follows from the outcome of a write.
#[derive(Debug)]
enum Verdict {
    Durable,
    /// It may or may not have been applied: the same write again gives the same state.
    Again(String),
    Over(EngineError),
}

fn judge(outcome: Result<(), StateError>) -> Verdict {
    match outcome {
        Ok(()) => Verdict::Durable,
        Err(StateError::Unavailable(reason)) => Verdict::Again(reason),
        Err(error @ (StateError::Fenced(_) | StateError::Corrupt(_) | StateError::Closed(_))) => {
            Verdict::Over(error.into())
        }
    }
}

/// See the module.
pub struct Commit {
    ports: Arc<Ports>,
    queue: Arc<Queue>,
    reader: Reader,
    stage: Stage,
    /// When the write of the running epoch began.
    began: Duration,
    /// Why the last attempt to write failed.
    trouble: Option<String>,
}

impl Commit {
    pub fn new(ports: Arc<Ports>, queue: Arc<Queue>, reader: Reader) -> Commit {
        Commit { ports, queue, reader, stage: Stage::Rest, began: Duration::ZERO, trouble: None }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Rest)
    }

    /// Why the epoch in hand could not be written, if it could not.
    pub fn trouble(&self) -> &str {
        self.trouble.as_deref().unwrap_or("the state was not asked")
    }

    /// Takes the next epoch; only when idle.
    pub fn take(&mut self, job: Job) {
        debug_assert!(self.is_idle());
        self.began = (self.ports.monotonic)();
        self.stage = Stage::Write(Box::new(job));
    }

    /// Does the next thing for the epoch in hand.
    pub fn step(&mut self) -> Result<Progress, EngineError> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Rest) {
            Stage::Rest => return Ok(Progress::Idle),
            Stage::Write(job) => return self.write(job),
            Stage::Publish(job) => {
                let Job { commit, stamps, answers } = *job;
                let EpochCommit { update, outbox, prepare, next_offsets, conditions, .. } = commit;
                let epoch = update.epoch;
                self.ports.publisher.publish(update);
                for (part, condition) in conditions {
                    self.ports.publisher.condition(part, condition);
                }
                self.tell("published", &stamps);
                let rows = Rows { epoch, outbox, prepare, stamps };
                Stage::HandOver(Box::new(rows), Told { next_offsets, answers })
            }
            Stage::HandOver(rows, then) => {
                let Rows { epoch, outbox, prepare, stamps } = *rows;
                if self.queue.add(epoch, outbox, prepare, stamps) {
                    // The insert that it waits for may take minutes.
                    self.queue.tell(&*self.ports.publisher);
                }
                Stage::Acknowledge(then)
            }
            Stage::Acknowledge(Told { next_offsets, answers }) => {
                let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(reader) = reader.as_ref() {
                    reader.committed(&next_offsets);
                }
                Stage::Answer(answers)
            }
            Stage::Answer(answers) => {
                answers.into_iter().for_each(|answer| answer());
                Stage::Rest
            }
        };
        Ok(Progress::Done)
    }

    /// How long the epoch's records took to come so far.
    fn tell(&self, stage: &'static str, stamps: &Stamps) {
        self.ports.publisher.latency(stage, &stamps.ages((self.ports.monotonic)()));
    }

    fn write(&mut self, mut job: Box<Job>) -> Result<Progress, EngineError> {
        match judge(self.ports.state.write(job.commit.writes.clone())) {
            Verdict::Durable => {}
            Verdict::Again(reason) => {
                tracing::warn!(%reason, "the epoch cannot be written: it is tried again");
                let text = format!("state cannot be written, it is tried again: {reason}");
                let condition = Condition { part: "state", blocking: true, reason: text };
                self.ports.publisher.condition("state", Some(condition));
                self.trouble = Some(reason);
                self.stage = Stage::Write(job);
                return Ok(Progress::Retry(RETRY));
            }
            Verdict::Over(error) => return Err(error),
        }
        if self.trouble.take().is_some() {
            self.ports.publisher.condition("state", None);
        }
        let spent = (self.ports.monotonic)().saturating_sub(self.began);
        job.commit.update.stages_ns.insert("write", spent.as_nanos() as u64);
        job.commit.writes = WriteSet::default();
        self.tell("committed", &job.stamps);
        self.queue.written(job.epoch());
        self.queue.note(job.commit.update.generation);
        self.queue.tell(&*self.ports.publisher);
        self.stage = Stage::Publish(job);
        Ok(Progress::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_that_may_have_been_applied_is_repeated() {
        assert!(matches!(judge(Ok(())), Verdict::Durable));
        assert!(matches!(judge(Err(StateError::Unavailable("away".into()))), Verdict::Again(_)));
        let fenced = judge(Err(StateError::Fenced("newer host".into())));
        assert!(matches!(fenced, Verdict::Over(EngineError::Fenced(_))));
        let corrupt = judge(Err(StateError::Corrupt("bytes".into())));
        assert!(matches!(corrupt, Verdict::Over(EngineError::Fatal(_))));
        let closed = judge(Err(StateError::Closed("a task panicked".into())));
        assert!(matches!(closed, Verdict::Over(EngineError::Fatal(_))));
    }
}
