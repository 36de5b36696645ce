//! Brings committed rows to the sink, oldest first, until they are acknowledged.

use super::{Permit, Progress, Queue};
use crate::outbox::{self, Waiting};
use crate::stored::Keyspace;
use crate::{EngineError, Ports};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use weir_types::contract::MetricInfo;
use weir_types::live::Condition;
use weir_types::ports::{LostFuture, SinkError, StateError};
use weir_types::rows::Outbox;

/// Pause between two attempts.
const RETRY: Duration = Duration::from_secs(1);

/// Why a step failed.
enum Failed {
    /// It is made again.
    Retry(Condition),
    /// The engine ends with it.
    Ended(EngineError),
}

impl From<SinkError> for Failed {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Retry(reason) => {
                let reason =
                    format!("ClickHouse does not take rows, it is tried again every second: {reason}");
                Failed::Retry(Condition { part: "clickhouse", blocking: true, reason })
            }
            SinkError::Fatal(reason) => Failed::Ended(EngineError::Fatal(reason)),
        }
    }
}

impl From<StateError> for Failed {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Unavailable(reason) => {
                let reason =
                    format!("rows wait for the state to be read, it is tried again every second: {reason}");
                Failed::Retry(Condition { part: "state", blocking: true, reason })
            }
            // Whoever has taken over delivers what waits here.
            fenced_or_corrupt => Failed::Ended(fenced_or_corrupt.into()),
        }
    }
}

/// See the module.
pub struct Delivery {
    ports: Arc<Ports>,
    queue: Arc<Queue>,
    keys: Keyspace,
    tables_ready: bool,
    /// The greatest generation in the sink, until ours is claimed.
    found: Option<u64>,
    /// Claimed by this start. The others hear of it once the sink is ready for rows under it.
    own: Option<u64>,
    /// What the sink must take back before it gets rows.
    lost: Option<LostFuture>,
    /// Collected for the next delivery.
    in_hand: Waiting,
    /// Being delivered: it stays as it is until it is acknowledged, so that a sink that is away for long
    /// costs no work.
    batch: Option<Batch>,
    prepare: Vec<Arc<MetricInfo>>,
    /// Parts of which trouble was told.
    troubled: BTreeSet<&'static str>,
}

/// Rows of all epochs after those delivered, up to this one.
struct Batch {
    upto: u64,
    rows: Outbox,
}

/// What is known before a step.
#[derive(Clone, Copy, Debug)]
struct Facts {
    tables_ready: bool,
    claimed: bool,
    /// The greatest generation in the sink, once asked for.
    found: Option<u64>,
    /// The generation of this start, before it is told.
    own: Option<u64>,
    lost: Option<LostFuture>,
    permit: Option<Permit>,
    metrics: bool,
    rows: bool,
    /// The epoch to be read from the store next, if there is one and room for it.
    left: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    PrepareTables,
    FindGeneration,
    /// The sink holds rows of this generation and none of a greater one.
    Claim(u64),
    /// Before the first row under this generation.
    TakeBack(LostFuture, u64),
    /// All is ready for rows under this generation; the sink holds none of a greater one than the first.
    Begin(u64, u64),
    PrepareMetric,
    /// The rows of this epoch, from the store.
    Read(u64),
    Insert(Permit),
    Rest,
}

/// | claimed | tables | found | own | lost | metrics | permit | left | rows | next |
/// |---|---|---|---|---|---|---|---|---|---|
/// | no | not ready | – | – | – | – | – | – | – | prepare tables |
/// | no | ready | no | – | – | – | – | – | – | find generation |
/// | no | ready | yes | no | – | – | – | – | – | claim |
/// | no | ready | yes | yes | some | – | – | – | – | take back: tried again under the same generation |
/// | no | ready | yes | yes | none | – | – | – | – | begin |
/// | yes | – | – | – | – | some | – | – | – | prepare metric |
/// | yes | – | – | – | – | none | no | – | – | rest: the claim must be durable first |
/// | yes | – | – | – | – | none | yes | some | – | read |
/// | yes | – | – | – | – | none | yes | none | some | insert |
/// | yes | – | – | – | – | none | yes | none | none | rest |
fn next(facts: Facts) -> Action {
    if !facts.claimed {
        return match (facts.found, facts.own) {
            _ if !facts.tables_ready => Action::PrepareTables,
            (None, _) => Action::FindGeneration,
            (Some(found), None) => Action::Claim(found),
            (Some(found), Some(own)) => match facts.lost {
                Some(lost) => Action::TakeBack(lost, own),
                None => Action::Begin(found, own),
            },
        };
    }
    match (facts.permit, facts.left) {
        _ if facts.metrics => Action::PrepareMetric,
        (Some(_), Some(epoch)) => Action::Read(epoch),
        (Some(permit), None) if facts.rows => Action::Insert(permit),
        _ => Action::Rest,
    }
}

impl Delivery {
    pub(super) fn new(
        ports: Arc<Ports>,
        queue: Arc<Queue>,
        keys: Keyspace,
        lost: Option<LostFuture>,
    ) -> Delivery {
        Delivery {
            ports,
            queue,
            keys,
            tables_ready: false,
            found: None,
            own: None,
            lost,
            in_hand: Waiting::default(),
            batch: None,
            prepare: Vec::new(),
            troubled: BTreeSet::new(),
        }
    }

    /// Takes what waits, and does the next thing with it.
    pub fn step(&mut self) -> Result<Progress, EngineError> {
        let action = next(self.look());
        let outcome = self.perform(action);
        self.queue.tell(&*self.ports.publisher);
        match outcome {
            Ok(()) if action == Action::Rest => Ok(Progress::Idle),
            Ok(()) => {
                // That the state can be read says nothing of the sink.
                let is_over = |part| part == "state" || !matches!(action, Action::Read(_));
                let publisher = &self.ports.publisher;
                self.troubled
                    .iter()
                    .filter(|part| is_over(**part))
                    .for_each(|p| publisher.condition(p, None));
                self.troubled.retain(|part| !is_over(part));
                Ok(Progress::Done)
            }
            Err(Failed::Retry(condition)) => {
                tracing::warn!(reason = %condition.reason, "rows wait for delivery");
                self.troubled.insert(condition.part);
                self.ports.publisher.condition(condition.part, Some(condition));
                Ok(Progress::Retry(RETRY))
            }
            Err(Failed::Ended(error)) => Err(error),
        }
    }

    fn look(&mut self) -> Facts {
        let mut left = None;
        if self.batch.is_none() {
            left = self.queue.take(&mut self.in_hand);
            left = left.filter(|_| self.in_hand.held().bytes < self.queue.budget || self.in_hand.is_empty());
        }
        // After the rows, so that none comes without its metric.
        self.queue.take_metrics(&mut self.prepare);
        Facts {
            tables_ready: self.tables_ready,
            claimed: self.queue.claimed().is_some(),
            found: self.found,
            own: self.own,
            lost: self.lost,
            permit: self.queue.permit(),
            metrics: !self.prepare.is_empty(),
            rows: self.batch.is_some() || !self.in_hand.is_empty(),
            left,
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
            Action::TakeBack(lost, generation) => self.take_back(lost, generation)?,
            Action::Begin(found, generation) => self.begin(found, generation),
            Action::PrepareMetric => {
                if let Some(info) = self.prepare.last() {
                    sink.prepare_metric(info)?;
                    self.prepare.pop();
                }
            }
            Action::Read(epoch) => self.read(epoch)?,
            Action::Insert(permit) => self.insert(permit)?,
            Action::Rest => {}
        }
        Ok(())
    }

    /// The generation of this start: greater than every one seen in the state and in the sink.
    fn claim(&mut self, found: u64) -> Result<(), StateError> {
        let at_least = found.max(self.queue.stored_generation) + 1;
        self.own = Some(self.ports.state.claim_generation(at_least)?);
        Ok(())
    }

    /// May take long: it is told beforehand, and the next action takes that back.
    fn take_back(&mut self, lost: LostFuture, generation: u64) -> Result<(), SinkError> {
        let LostFuture { epoch, .. } = lost;
        let reason = format!(
            "the state was imported: ClickHouse takes back what was delivered after epoch {epoch}, and new rows \
             wait for that"
        );
        tracing::info!("{reason}");
        self.troubled.insert("clickhouse");
        let condition = Condition { part: "clickhouse", blocking: true, reason };
        self.ports.publisher.condition("clickhouse", Some(condition));
        self.ports.sink.take_back(lost, generation)?;
        self.lost = None;
        tracing::info!(after_epoch = epoch, "rows of a lost future are taken back");
        Ok(())
    }

    /// Rows are only inserted under generations that are noted in the state. A greater one in the sink
    /// means that this state is older than the rows: wiped, or restored from a copy.
    fn begin(&mut self, found: u64, generation: u64) {
        let ahead = found > self.queue.stored_generation;
        tracing::info!(generation, ahead, "generation taken");
        self.queue.claim(generation, ahead);
    }

    fn read(&mut self, epoch: u64) -> Result<(), StateError> {
        let parts = outbox::read(&*self.ports.state, &self.keys, epoch)?;
        let rows = parts.iter().map(|part| part.len() as u64).sum();
        parts.into_iter().for_each(|part| self.in_hand.add(epoch, part));
        self.queue.has_read(epoch, rows, self.in_hand.held());
        Ok(())
    }

    fn insert(&mut self, permit: Permit) -> Result<(), SinkError> {
        let in_hand = &mut self.in_hand;
        let batch = self.batch.get_or_insert_with(|| {
            let upto = in_hand.upto;
            Batch { upto, rows: std::mem::take(in_hand).into_outbox() }
        });
        self.ports.sink.insert(permit.generation(), &batch.rows)?;
        let stamps = self.queue.acknowledged(batch.upto, batch.rows.len() as u64);
        self.batch = None;
        self.ports.publisher.latency("delivered", &stamps.ages((self.ports.monotonic)()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Facts = Facts {
        tables_ready: true,
        claimed: true,
        found: None,
        own: None,
        lost: None,
        permit: None,
        metrics: false,
        rows: false,
        left: None,
    };

    #[test]
    fn a_start_looks_into_the_sink_before_it_claims_a_generation() {
        let start = Facts { tables_ready: false, claimed: false, rows: true, ..NOTHING };
        assert_eq!(next(start), Action::PrepareTables);
        assert_eq!(next(Facts { tables_ready: true, ..start }), Action::FindGeneration);
        let claims = Facts { tables_ready: true, found: Some(4), ..start };
        assert_eq!(next(claims), Action::Claim(4));
        assert_eq!(next(Facts { own: Some(5), ..claims }), Action::Begin(4, 5));
    }

    #[test]
    fn what_was_lost_is_taken_back_under_the_one_generation_before_anything_is_inserted() {
        let lost = Some(LostFuture { epoch: 7, generation: 2 });
        let start = Facts { claimed: false, found: Some(4), rows: true, lost, ..NOTHING };
        assert_eq!(next(start), Action::Claim(4));
        let claimed = Facts { own: Some(5), ..start };
        assert_eq!(next(claimed), Action::TakeBack(LostFuture { epoch: 7, generation: 2 }, 5));
        assert_eq!(next(Facts { lost: None, ..claimed }), Action::Begin(4, 5));
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
        assert_eq!(
            next(Facts { left: Some(9), ..rows }),
            Action::Read(9),
            "a delivery is as large as it may be"
        );
        assert_eq!(next(Facts { left: Some(9), permit: None, ..rows }), Action::Rest);
    }
}
