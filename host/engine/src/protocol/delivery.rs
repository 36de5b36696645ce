//! Brings committed rows to the sink, oldest first, until they are acknowledged.

use super::{Permit, Progress, Queue, Stamps};
use crate::outbox::Waiting;
use crate::{EngineError, Ports};
use std::sync::Arc;
use std::time::Duration;
use weir_types::contract::MetricInfo;
use weir_types::live::Condition;
use weir_types::ports::{LostFuture, SinkError, StateError};

/// Pause between two attempts.
const RETRY: Duration = Duration::from_secs(1);

/// Why a step failed.
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

/// See the module.
pub struct Delivery {
    ports: Arc<Ports>,
    queue: Arc<Queue>,
    tables_ready: bool,
    /// The greatest generation in the sink, until ours is claimed.
    found: Option<u64>,
    /// What the sink must take back before it gets rows.
    lost: Option<LostFuture>,
    in_hand: Waiting,
    prepare: Vec<Arc<MetricInfo>>,
    /// Of the records whose rows are in hand.
    stamps: Stamps,
    troubled: bool,
}

/// What is known before a step.
#[derive(Clone, Copy, Debug)]
struct Facts {
    tables_ready: bool,
    claimed: bool,
    /// The greatest generation in the sink, once asked for.
    found: Option<u64>,
    permit: Option<Permit>,
    metrics: bool,
    rows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    PrepareTables,
    FindGeneration,
    /// The sink holds rows of this generation and none of a greater one.
    Claim(u64),
    PrepareMetric,
    Insert(Permit),
    Rest,
}

/// | claimed | tables | found | metrics | rows | permit | next |
/// |---|---|---|---|---|---|---|
/// | no | not ready | – | – | – | – | prepare tables |
/// | no | ready | no | – | – | – | find generation |
/// | no | ready | yes | – | – | – | claim |
/// | yes | – | – | some | – | – | prepare metric |
/// | yes | – | – | none | some | yes | insert |
/// | yes | – | – | none | some | no | rest: the claim must be durable first |
/// | yes | – | – | none | none | – | rest |
fn next(facts: Facts) -> Action {
    if !facts.claimed {
        return match facts.found {
            _ if !facts.tables_ready => Action::PrepareTables,
            None => Action::FindGeneration,
            Some(found) => Action::Claim(found),
        };
    }
    match facts.permit {
        _ if facts.metrics => Action::PrepareMetric,
        Some(permit) if facts.rows => Action::Insert(permit),
        _ => Action::Rest,
    }
}

impl Delivery {
    pub fn new(ports: Arc<Ports>, queue: Arc<Queue>, lost: Option<LostFuture>) -> Delivery {
        Delivery {
            ports,
            queue,
            tables_ready: false,
            found: None,
            lost,
            in_hand: Waiting::default(),
            prepare: Vec::new(),
            stamps: Stamps::default(),
            troubled: false,
        }
    }

    /// Takes what waits, and does the next thing with it.
    pub fn step(&mut self) -> Result<Progress, EngineError> {
        self.queue.take(&mut self.in_hand, &mut self.prepare, &mut self.stamps);
        let action = next(Facts {
            tables_ready: self.tables_ready,
            claimed: self.queue.claimed().is_some(),
            found: self.found,
            permit: self.queue.permit(),
            metrics: !self.prepare.is_empty(),
            rows: !self.in_hand.is_empty(),
        });
        let outcome = self.perform(action);
        self.tell();
        match outcome {
            Ok(()) if action == Action::Rest => Ok(Progress::Idle),
            Ok(()) => {
                if std::mem::take(&mut self.troubled) {
                    self.ports.publisher.condition("clickhouse", None);
                }
                Ok(Progress::Done)
            }
            Err(Failed::Retry(reason)) => {
                tracing::warn!(%reason, "ClickHouse does not take rows: they wait, and it is tried again");
                let reason =
                    format!("ClickHouse does not take rows, it is tried again every second: {reason}");
                let condition = Condition { part: "clickhouse", blocking: true, reason };
                self.ports.publisher.condition("clickhouse", Some(condition));
                self.troubled = true;
                Ok(Progress::Retry(RETRY))
            }
            Err(Failed::Ended(error)) => Err(error),
        }
    }

    fn perform(&mut self, action: Action) -> Result<(), Failed> {
        let sink = &self.ports.sink;
        match action {
            Action::PrepareTables => {
                sink.prepare()?;
                self.tables_ready = true;
            }
            Action::FindGeneration => self.found = Some(sink.max_generation()?),
            Action::Claim(found) => self.claim(found)?,
            Action::PrepareMetric => {
                if let Some(info) = self.prepare.last() {
                    sink.prepare_metric(info)?;
                    self.prepare.pop();
                }
            }
            Action::Insert(permit) => self.insert(permit)?,
            Action::Rest => {}
        }
        Ok(())
    }

    /// The generation of this start: greater than every one seen in the state and in the sink.
    fn claim(&mut self, found: u64) -> Result<(), Failed> {
        let stored = self.queue.stored_generation;
        let generation = self.ports.state.claim_generation(found.max(stored) + 1)?;
        if let Some(lost) = self.lost {
            self.ports.sink.take_back(lost, generation)?;
            self.lost = None;
            tracing::info!(after_epoch = lost.epoch, "rows of a lost future are taken back");
        }
        // Rows are only inserted under generations that are noted in the state. A greater one in the sink
        // means that this state is older than the rows: wiped, or restored from a copy.
        let ahead = found > stored;
        tracing::info!(generation, ahead, "generation taken");
        self.queue.claim(generation, ahead);
        Ok(())
    }

    fn insert(&mut self, permit: Permit) -> Result<(), SinkError> {
        let (upto, epochs) = (self.in_hand.upto, self.in_hand.epochs);
        let outbox = std::mem::take(&mut self.in_hand).into_outbox();
        match self.ports.sink.insert(permit.generation(), &outbox) {
            Ok(()) => {
                self.queue.acknowledged(upto, outbox.len() as u64);
                let ages = std::mem::take(&mut self.stamps).ages((self.ports.monotonic)());
                self.ports.publisher.latency("delivered", &ages);
                Ok(())
            }
            Err(error) => {
                self.in_hand.add(upto, outbox);
                self.in_hand.epochs = epochs;
                Err(error)
            }
        }
    }

    fn tell(&self) {
        let (epochs, rows) = self.queue.backlog();
        self.ports.publisher.delivery(epochs, rows, self.queue.inserted());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Facts =
        Facts { tables_ready: true, claimed: true, found: None, permit: None, metrics: false, rows: false };

    #[test]
    fn a_start_looks_into_the_sink_before_it_claims_a_generation() {
        let start = Facts { tables_ready: false, claimed: false, rows: true, ..NOTHING };
        assert_eq!(next(start), Action::PrepareTables);
        assert_eq!(next(Facts { tables_ready: true, ..start }), Action::FindGeneration);
        assert_eq!(next(Facts { tables_ready: true, found: Some(4), ..start }), Action::Claim(4));
    }

    #[test]
    fn rows_wait_until_the_generation_is_durable_and_their_views_are_there() {
        let queue = Queue::default();
        queue.claim(3, false);
        queue.note(Some(2));
        let rows = Facts { rows: true, permit: queue.permit(), ..NOTHING };
        assert_eq!(next(rows), Action::Rest);
        queue.note(Some(3));
        let permit = queue.permit().expect("noted");
        let rows = Facts { permit: Some(permit), ..rows };
        assert_eq!(next(rows), Action::Insert(permit));
        assert_eq!(next(Facts { metrics: true, ..rows }), Action::PrepareMetric);
        assert_eq!(next(Facts { rows: false, ..rows }), Action::Rest);
    }
}
