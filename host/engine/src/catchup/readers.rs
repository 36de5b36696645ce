//! The readers of metrics that catch up.

use crate::shard::Shard;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use weir_types::Micros;
use weir_types::ports::{Broker, ReaderHandle, StateError};
use weir_types::record::{RecordBatch, SourceEvent, TopicPartition};

/// Events of one reader that may wait: each is at most a megabyte.
const EVENTS: usize = 4;

/// See the module.
pub struct Readers {
    broker: Arc<dyn Broker>,
    open: Vec<Open>,
    /// Metrics whose reader could not be started: (metric, its number), not to be tried again and again.
    refused: Vec<(String, u64)>,
}

struct Open {
    metric: String,
    /// Which of the metric's readers it is.
    number: u64,
    handle: Box<dyn ReaderHandle>,
    events: Receiver<SourceEvent>,
    partitions: Vec<TopicPartition>,
    /// Records of a partition that the shard does not know yet.
    waiting: Option<RecordBatch>,
}

impl Readers {
    pub fn new(broker: Arc<dyn Broker>) -> Readers {
        Readers { broker, open: Vec::new(), refused: Vec::new() }
    }

    /// Starts and stops readers as the shard needs them, and gives it what has come, as far as it is there.
    /// After an error the shard must be dropped.
    pub fn turn(&mut self, shard: &mut Shard, now: Micros) -> Result<(), StateError> {
        if self.open.is_empty() && shard.catchups.is_empty() {
            return Ok(());
        }
        self.close(shard);
        self.start(shard);
        for open in &mut self.open {
            for _ in 0..EVENTS {
                if !open.step(shard, now)? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, shard: &Shard) {
        let is_wanted =
            |o: &Open| shard.catchups.iter().any(|c| c.metric.info.name == o.metric && c.reader == o.number);
        for gone in self.open.extract_if(.., |o| !is_wanted(o)) {
            gone.handle.stop();
        }
    }

    fn start(&mut self, shard: &Shard) {
        for catchup in &shard.catchups {
            let (metric, number) = (catchup.metric.info.name.clone(), catchup.reader);
            let known = self.open.iter().any(|o| o.metric == metric);
            if known || self.refused.contains(&(metric.clone(), number)) {
                continue;
            }
            let (send, events) = sync_channel(EVENTS);
            match self.broker.read(&catchup.topics(), &catchup.start(), send) {
                Ok(handle) => {
                    let (partitions, waiting) = (Vec::new(), None);
                    self.open.push(Open { metric, number, handle, events, partitions, waiting });
                }
                Err(reason) => {
                    tracing::error!(%metric, %reason, "what the metric missed cannot be read: it is tried again at the next start");
                    self.refused.push((metric, number));
                }
            }
        }
    }
}

impl Open {
    /// Takes one event; false if there is nothing to go on with.
    fn step(&mut self, shard: &mut Shard, now: Micros) -> Result<bool, StateError> {
        if let Some(records) = self.waiting.take() {
            return self.records(records, shard, now);
        }
        match self.events.try_recv() {
            Ok(SourceEvent::Partitions(found)) => self.partitions.extend(found),
            Ok(SourceEvent::Records(records)) => return self.records(records, shard, now),
            Ok(SourceEvent::EndOfPartition { index }) => {
                let index = self.index_of(shard)[index as usize];
                shard.catch_up_reached_end(&self.metric, index, now);
            }
            Ok(SourceEvent::Trouble(Some(reason))) => {
                tracing::warn!(metric = %self.metric, %reason, "what the metric missed cannot be read at the moment");
            }
            Ok(SourceEvent::Trouble(None)) => {}
            // A reader that is not asked to move does not.
            Ok(SourceEvent::Moved { .. }) => {}
            Ok(SourceEvent::Stopped { reason, .. }) => shard.give_up_catch_up(&self.metric, &reason),
            Ok(SourceEvent::Fatal(reason)) => shard.give_up_catch_up(&self.metric, &reason),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(false),
        }
        Ok(true)
    }

    fn records(&mut self, records: RecordBatch, shard: &mut Shard, now: Micros) -> Result<bool, StateError> {
        let index_of = self.index_of(shard);
        if records.iter().any(|r| index_of[r.partition as usize] == u32::MAX) {
            self.waiting = Some(records);
            return Ok(false);
        }
        shard.catch_up(&self.metric, &records, &index_of, now)?;
        Ok(true)
    }

    /// For each partition of the reader its index in the shard's list; the greatest number if it has none yet.
    fn index_of(&self, shard: &Shard) -> Vec<u32> {
        let index = |p: &TopicPartition| shard.shared.partitions.iter().position(|known| known == p);
        self.partitions.iter().map(|p| index(p).map_or(u32::MAX, |at| at as u32)).collect()
    }
}
