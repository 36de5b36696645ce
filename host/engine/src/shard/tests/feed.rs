//! A reader in memory that obeys like the real one: late, and with records still on their way.

use super::super::fakes::MemoryStore;
use super::super::harness::Kills;
use super::super::*;
use crate::hold::Ask;
use crate::outbox::Waiting;
use std::collections::VecDeque;
use weir_types::ports::Seek;
use weir_types::record::{OwnedRecord, Record, RecordBatch};
use weir_types::rows::DeadLetterRow;
use weir_types::{MINUTE, SECOND};

/// One partition of the broker.
pub struct Tape {
    pub name: TopicPartition,
    pub records: Vec<String>,
    next: usize,
    held: bool,
    ended: bool,
    /// The first offset that is left of it, and whether the reader has told that something is gone.
    low: usize,
    told: bool,
}

impl Tape {
    fn batch(&self, index: u32, from: usize, upto: usize) -> RecordBatch {
        let mut batch = RecordBatch::default();
        for offset in from..upto {
            let text = &self.records[offset];
            batch.push(Record {
                partition: index,
                offset: offset as i64,
                timestamp: None,
                key: Some(key_of(text).as_bytes()),
                value: Some(text.as_bytes()),
                rekey: Default::default(),
            });
        }
        batch
    }
}

/// The key of a record whose images have an id; any other for one that has none.
pub fn key_of(text: &str) -> String {
    let id = text.find("\"id\":").map(|at| &text[at + 5..at + 5 + text[at + 5..].find(',').expect("comma")]);
    format!("{{\"id\":{}}}", id.unwrap_or("-1"))
}

/// All partitions, and what is on its way to the engine.
pub struct Feed {
    pub tapes: Vec<Tape>,
    queue: VecDeque<SourceEvent>,
    /// Records in a batch.
    per_batch: usize,
}

impl Feed {
    pub fn new(tapes: &[(&str, Vec<String>)], per_batch: usize) -> Feed {
        let tape = |(topic, records): &(&str, Vec<String>)| Tape {
            name: TopicPartition { topic: topic.to_string(), partition: 0 },
            records: records.clone(),
            next: 0,
            held: false,
            ended: false,
            low: 0,
            told: false,
        };
        Feed { tapes: tapes.iter().map(tape).collect(), queue: VecDeque::new(), per_batch }
    }

    /// A reader that begins where the shard stands.
    pub fn begin(&mut self, shard: &mut Shard, clock: Micros) {
        self.queue.clear();
        let start = shard.sources.start();
        for tape in &mut self.tapes {
            let next = start.get(&tape.name).map_or(0, |s| s.next);
            (tape.next, tape.held, tape.ended, tape.told) = (next as usize, false, false, false);
        }
        let found = self.tapes.iter().map(|tape| tape.name.clone()).collect();
        shard.apply(SourceEvent::Partitions(found), clock);
    }

    /// Records below `low` are deleted.
    pub fn truncate(&mut self, tape: usize, low: usize) {
        self.tapes[tape].low = low;
    }

    fn obey(&mut self, asks: Vec<Ask>) {
        for ask in asks {
            match ask {
                Ask::Hold(names) => {
                    self.tapes.iter_mut().filter(|t| names.contains(&t.name)).for_each(|t| t.held = true);
                }
                Ask::Seek(to) => {
                    for (name, seek) in to {
                        let index =
                            self.tapes.iter().position(|t| t.name == name).expect("a known partition");
                        let tape = &mut self.tapes[index];
                        let next = if let Seek::At(place) = seek { place.next } else { tape.low as i64 };
                        (tape.next, tape.held, tape.ended, tape.told) = (next as usize, false, false, false);
                        self.queue.push_back(SourceEvent::Moved { index: index as u32, next });
                    }
                }
            }
        }
    }

    fn fetch(&mut self) {
        for (index, tape) in (0..).zip(&mut self.tapes).filter(|(_, t)| !t.held) {
            if tape.next < tape.low || tape.next > tape.records.len() {
                if !tape.told {
                    let reason = format!("{} is not there", tape.next);
                    self.queue.push_back(SourceEvent::Stopped { partition: tape.name.clone(), reason });
                }
                tape.told = true;
                continue;
            }
            let upto = tape.records.len().min(tape.next + self.per_batch);
            let batch = tape.batch(index, tape.next, upto);
            tape.next = upto;
            if !batch.is_empty() {
                self.queue.push_back(SourceEvent::Records(batch));
            } else if !tape.ended {
                tape.ended = true;
                self.queue.push_back(SourceEvent::EndOfPartition { index });
            }
        }
    }
}

/// A shard over a feed and a store that outlives it.
pub struct Rig {
    pub store: Arc<MemoryStore>,
    pub shard: Shard,
    pub feed: Feed,
    pub all: Waiting,
    pub clock: Micros,
    /// Dead letters as they were delivered, in order.
    pub letters: Vec<DeadLetterRow>,
    kills: Kills,
    /// Turns that the test has made.
    turns: u64,
    open: Box<dyn Fn(&Arc<MemoryStore>, Micros) -> Shard>,
}

impl Rig {
    pub fn new(
        feed: Feed,
        clock: Micros,
        kills: Kills,
        open: impl Fn(&Arc<MemoryStore>, Micros) -> Shard + 'static,
    ) -> Rig {
        let store = Arc::new(MemoryStore::default());
        let shard = open(&store, clock);
        let mut rig = Rig {
            store,
            shard,
            feed,
            all: Waiting::default(),
            clock,
            letters: Vec::new(),
            kills,
            turns: 0,
            open: Box::new(open),
        };
        rig.feed.begin(&mut rig.shard, clock);
        rig.end_epoch(false);
        rig
    }

    /// [`Rig::restart`], but for the straight run.
    pub fn kill(&mut self) {
        if !self.kills.never() {
            self.restart();
        }
    }

    /// kill -9 and a start from what is stored, perhaps with another configuration.
    pub fn restart(&mut self) {
        self.shard = (self.open)(&self.store, self.clock);
        self.feed.begin(&mut self.shard, self.clock);
    }

    pub fn reopen(&mut self, open: impl Fn(&Arc<MemoryStore>, Micros) -> Shard + 'static) {
        self.open = Box::new(open);
        self.restart();
    }

    /// The reader fetches; the engine takes half of what is on its way, then an epoch ends, then the
    /// reader learns what is asked of it. A host that is killed now loses what is on its way to it.
    pub fn turn(&mut self) {
        self.feed.fetch();
        for _ in 0..self.feed.queue.len().div_ceil(2) {
            if let Some(event) = self.feed.queue.pop_front() {
                self.shard.apply(event, self.clock);
            }
        }
        self.end_epoch(false);
        let asks = self.shard.take_asks();
        self.feed.obey(asks);
        self.turns += 1;
        if self.kills.hit(self.turns) {
            self.restart();
        }
    }

    pub fn turns(&mut self, count: usize) {
        (0..count).for_each(|_| self.turn());
    }

    pub fn end_epoch(&mut self, flush: bool) {
        self.clock += SECOND;
        let commit = self.shard.end_epoch(self.clock, flush, None, 0).expect("reads");
        for p in &commit.outbox.epochs[0].partitions {
            assert_eq!(p.counts.read, p.counts.applied + p.counts.skipped_total() + p.counts.dead);
        }
        self.store.write(commit.writes).expect("writes");
        self.letters.extend(commit.outbox.dead_letters.iter().cloned());
        self.all.add(commit.update.epoch, commit.outbox);
    }

    /// Takes up dead letters from their bytes; not durable before the epoch's end.
    pub fn redrive(&mut self, letters: &[DeadLetterRow]) -> Vec<weir_types::control::Redriven> {
        let redrive = |letter: &DeadLetterRow| Redrive {
            record: OwnedRecord {
                timestamp: None,
                key: Some(letter.key.clone()),
                value: Some(letter.value.clone()),
                rekey: letter.rekey,
            },
            letter: letter.clone(),
        };
        self.shard.redrive(&letters.iter().map(redrive).collect::<Vec<_>>(), self.clock)
    }

    /// All records from where it stands, and the end, for each metric that catches up.
    pub fn catch_up(&mut self) {
        let names = self.shard.catchups.iter().map(|c| c.metric.info.name.clone()).collect::<Vec<_>>();
        for name in names {
            for (index, tape) in (0..).zip(&self.feed.tapes) {
                let Some(catchup) = self.shard.catchups.iter().find(|c| c.metric.info.name == name) else {
                    break;
                };
                let from = catchup.start().get(&tape.name).map_or(0, |at| at.next as usize);
                let records = tape.batch(index, from, tape.records.len());
                self.shard.catch_up(&name, &records, &[0, 1], self.clock).expect("reads");
                self.shard.catch_up_reached_end(&name, index, self.clock);
            }
        }
    }

    /// The end: windows close, and everything that was emitted.
    pub fn finish(mut self) -> Outbox {
        self.turns(8);
        self.clock += 10 * MINUTE;
        self.end_epoch(true);
        self.all.into_outbox()
    }
}
