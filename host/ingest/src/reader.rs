//! The reading thread: polls, sorts messages into events, and hands them to the engine in order.

mod partition;

use crate::native::{Consumer, Message, Messages, code, list_of};
use crate::scout::{Finding, Found, deleted};
use partition::{Fate, Partition, warn_not_compared};
use rdkafka::Offset;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError};
use std::time::Duration;
use weir_types::ports::{Monotonic, Seek, StartAt};
use weir_types::record::{RecordBatch, SourceEvent, TopicPartition};

/// Longest wait in one call, so that nothing goes unserved for longer.
const STEP: Duration = Duration::from_millis(50);
/// A batch of records is sent when it has reached this size.
const BATCH_BYTES: usize = 1 << 20;
/// How long a full channel is waited for before partitions are paused: pausing throws away what is fetched
/// already, and nothing comes for a second afterwards, so a jam of a few epochs must not lead to it. What is
/// fetched meanwhile is bounded by `queued.max.messages.kbytes`.
const JAM_STEP: Duration = Duration::from_millis(2);
const JAM_STEPS: u32 = 1000;
/// For so long a partition may give nothing after its end, though the broker says that there is more.
const UNREAD_AFTER: Duration = Duration::from_secs(60);

/// What the engine asks of a running reader.
#[derive(Clone, Debug)]
pub enum Order {
    Hold(Vec<TopicPartition>),
    Seek(Vec<(TopicPartition, Seek)>),
}

struct Trouble {
    text: String,
    /// Stays until the partition gives something; else until the scout finds all well.
    sticky: bool,
}

enum Sent {
    All,
    /// The engine has no room.
    Blocked,
    /// Nobody listens any more.
    Gone,
}

pub struct Reader {
    pub consumer: Arc<Consumer>,
    pub events: SyncSender<SourceEvent>,
    pub findings: Receiver<Finding>,
    pub orders: Receiver<Order>,
    /// Calls the scout.
    pub wake: SyncSender<()>,
    pub stop: Arc<AtomicBool>,
    monotonic: Option<Monotonic>,
    partitions: Vec<Partition>,
    places: HashMap<(usize, i32), u32>,
    /// The last place looked up: messages of a partition come in runs.
    last_place: ((usize, i32), u32),
    /// Events in order that are not yet sent.
    pending: VecDeque<SourceEvent>,
    troubles: BTreeMap<u32, Trouble>,
    scouted: Option<String>,
    told: Option<String>,
    errors_seen: u64,
    paused: bool,
    /// Whether what the scout found may be from before a jam.
    stale: bool,
    jam_steps: u32,
    /// A fatal event is the last one.
    over: bool,
}

impl Reader {
    pub fn new(
        consumer: Arc<Consumer>,
        events: SyncSender<SourceEvent>,
        findings: Receiver<Finding>,
        orders: Receiver<Order>,
        wake: SyncSender<()>,
        stop: Arc<AtomicBool>,
        monotonic: Option<Monotonic>,
    ) -> Reader {
        Reader {
            consumer,
            events,
            findings,
            orders,
            wake,
            stop,
            monotonic,
            partitions: Vec::new(),
            places: HashMap::new(),
            last_place: ((0, -1), u32::MAX),
            pending: VecDeque::new(),
            troubles: BTreeMap::new(),
            scouted: None,
            told: None,
            errors_seen: 0,
            paused: false,
            stale: false,
            jam_steps: 0,
            over: false,
        }
    }

    pub fn run(mut self) {
        let mut messages = Messages::default();
        while !self.stop.load(Ordering::Relaxed) {
            self.take_orders();
            match self.send_pending() {
                Sent::Gone => return,
                Sent::Blocked => self.wait_for_room(&mut messages),
                Sent::All if self.over => return,
                Sent::All => {
                    self.go_on();
                    self.take_findings();
                    self.consumer.poll(&mut messages, STEP);
                    self.sort(&messages);
                    self.notice_errors();
                    self.tell_trouble();
                }
            }
        }
    }

    fn send_pending(&mut self) -> Sent {
        while let Some(event) = self.pending.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.pending.push_front(event);
                    return Sent::Blocked;
                }
                Err(TrySendError::Disconnected(_)) => return Sent::Gone,
            }
        }
        Sent::All
    }

    fn wait_for_room(&mut self, messages: &mut Messages) {
        if self.jam_steps < JAM_STEPS {
            self.jam_steps += 1;
            std::thread::sleep(JAM_STEP);
            return;
        }
        if !self.paused {
            tracing::debug!("the engine is behind: partitions are paused");
            self.with_partitions(|_| true, Consumer::pause);
            self.paused = true;
        }
        self.consumer.poll(messages, STEP.min(JAM_STEP * 5));
        self.sort(messages);
    }

    fn go_on(&mut self) {
        self.stale = self.jam_steps > 0;
        self.jam_steps = 0;
        if self.paused {
            if let Err(reason) = self.set_places() {
                tracing::debug!(reason, "partitions stay paused: their places cannot be set yet");
                return;
            }
            self.with_partitions(|p| !p.held, Consumer::resume);
            self.paused = false;
        }
    }

    /// Each partition goes on right behind the last message that was polled.
    fn set_places(&self) -> Result<(), String> {
        let mut known = Vec::new();
        for Partition { name, position, .. } in self.partitions.iter().filter(|p| !p.held) {
            known.extend(position.map(|at| (name.topic.as_str(), name.partition, Offset::Offset(at))));
        }
        if known.is_empty() {
            return Ok(());
        }
        self.consumer.seek(&list_of(&known)?)
    }

    fn with_partitions(
        &self,
        which: impl Fn(&Partition) -> bool,
        call: impl Fn(&Consumer, &rdkafka::TopicPartitionList),
    ) {
        let all: Vec<_> = self
            .partitions
            .iter()
            .filter(|p| which(p))
            .map(|p| (p.name.topic.as_str(), p.name.partition, Offset::Invalid))
            .collect();
        match list_of(&all) {
            Ok(list) => call(&self.consumer, &list),
            Err(error) => tracing::warn!(error, "partitions cannot be listed"),
        }
    }

    fn take_findings(&mut self) {
        while !self.over {
            match self.findings.try_recv() {
                Ok(Finding::Partitions(found)) => self.join(found),
                Ok(Finding::Round(trouble)) => {
                    if trouble.is_none() {
                        self.troubles.retain(|_, t| t.sticky);
                    }
                    self.scouted = trouble;
                }
                Ok(Finding::End(partition, end)) => self.still_at_end(&partition, end),
                Ok(Finding::Stopped { partition, next, reason }) => {
                    let index = self.partitions.len() as u32;
                    self.pending.push_back(SourceEvent::Partitions(vec![partition.clone()]));
                    self.partitions.push(Partition::new(partition, next, None));
                    self.stop_partition(index, reason);
                }
                Ok(Finding::Missing { topic }) => {
                    let of_it = |p: &&mut Partition| p.name.topic == topic;
                    self.partitions.iter_mut().filter(of_it).for_each(|p| p.suspect = true);
                }
                // The scout ends with the reader only.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Tells the end of a partition again if it is where it was reached. Transactions leave marks after
    /// the last record: the end is compared with the one that was reached, not with a record's offset.
    fn still_at_end(&mut self, partition: &TopicPartition, end: i64) {
        let Some(index) = self.partitions.iter().position(|p| p.name == *partition) else { return };
        let found = &mut self.partitions[index];
        if self.stale {
            found.unread_since = None;
            return;
        }
        if found.end == Some(end) && !found.passes_over() {
            self.pending.push_back(SourceEvent::EndOfPartition { index: index as u32 });
        }
        let now = self.monotonic.as_ref().map_or(Duration::ZERO, |now| now());
        let unread = found.unread_for(end, now);
        if let Some(reached) = found.end.filter(|_| unread >= UNREAD_AFTER) {
            let text = gives_nothing(&found.name, reached, end);
            self.troubles.insert(index as u32, Trouble { text, sticky: true });
        }
    }

    fn join(&mut self, all: Vec<Found>) {
        let names = all.iter().map(|found| found.partition.clone()).collect();
        self.pending.push_back(SourceEvent::Partitions(names));
        for found in all {
            let TopicPartition { topic, partition } = &found.partition;
            if let Err(error) = self.consumer.assign(topic, *partition, found.begin) {
                return self
                    .end(format!("kafka does not assign partition {partition} of topic `{topic}`: {error}"));
            }
            tracing::info!(topic, partition, begin = ?found.begin, "reading partition");
            let partition = Partition::new(found.partition, found.next, found.verify);
            self.partitions.push(Partition { assigned: true, ..partition });
        }
    }

    /// A partition is not read on; the others are.
    fn stop_partition(&mut self, index: u32, reason: String) {
        let partition = &mut self.partitions[index as usize];
        partition.held = true;
        (partition.verify, partition.suspect) = (None, false);
        let name = partition.name.clone();
        if partition.assigned {
            self.with_partitions(|p| p.name == name, Consumer::pause);
        }
        self.troubles.remove(&index);
        self.pending.push_back(SourceEvent::Stopped { partition: name, reason });
    }

    /// Carries out what the engine asks. What cannot be done now is tried again in the next turn.
    fn take_orders(&mut self) {
        // Disconnected = nobody asks any more.
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Hold(names) => {
                    let asked = |p: &Partition| names.contains(&p.name);
                    self.with_partitions(asked, Consumer::pause);
                    for partition in self.partitions.iter_mut().filter(|p| asked(p)) {
                        (partition.held, partition.seek) = (true, None);
                    }
                }
                Order::Seek(to) => {
                    for (name, seek) in to {
                        self.partitions
                            .iter_mut()
                            .filter(|p| p.name == name)
                            .for_each(|p| p.seek = Some(seek));
                    }
                }
            }
        }
        for index in 0..self.partitions.len() {
            if let Some(seek) = self.partitions[index].seek {
                self.seek(index as u32, seek);
            }
        }
    }

    fn seek(&mut self, index: u32, seek: Seek) {
        let partition = &self.partitions[index as usize];
        let TopicPartition { topic, partition: id } = &partition.name;
        let moved = match seek {
            Seek::At(place) => Ok(place),
            Seek::Earliest => self
                .consumer
                .client()
                .fetch_watermarks(topic, *id, Duration::from_secs(1))
                .map(|(low, _)| StartAt { next: low, last: None })
                .map_err(|e| e.to_string()),
        };
        let moved = moved.and_then(|place: StartAt| {
            // The last consumed record is compared first, as at a start: nothing was compared while it was held.
            let begin = place.last.map_or(place.next, |(offset, _)| offset);
            match partition.assigned {
                true => self.consumer.reassign(topic, *id, Offset::Offset(begin))?,
                false => self.consumer.assign(topic, *id, Offset::Offset(begin))?,
            }
            Ok((begin, place))
        });
        match moved {
            Ok((begin, StartAt { next, last })) => {
                tracing::info!(topic, partition = id, next, "reading of the partition goes on");
                let partition = &mut self.partitions[index as usize];
                let name = partition.name.clone();
                *partition =
                    Partition { assigned: true, position: Some(begin), ..Partition::new(name, next, last) };
                self.troubles.remove(&index);
                self.pending.push_back(SourceEvent::Moved { index, next });
                if self.paused {
                    self.with_partitions(|p| !p.held, Consumer::pause);
                }
            }
            Err(error) => {
                let text = format!(
                    "reading of partition {id} of topic `{topic}` cannot go on: {error}; trying again"
                );
                self.troubles.insert(index, Trouble { text, sticky: true });
            }
        }
    }

    /// Turns messages into events, keeping the order within each partition.
    fn sort(&mut self, messages: &Messages) {
        let read_at = self.monotonic.as_ref().map(|now| now());
        let mut batch = new_batch(messages.iter());
        batch.set_read_at(read_at);
        let mut ends: Vec<u32> = Vec::new();
        for (done, message) in messages.iter().enumerate() {
            if self.over {
                return;
            }
            match message.error() {
                code::NONE => {}
                code::END_OF_PARTITION => {
                    if let Some(index) = self.index_of(&message)
                        && self.partitions[index as usize].ends_at(message.offset())
                    {
                        self.troubles.remove(&index);
                        ends.push(index);
                    }
                    continue;
                }
                _ => {
                    self.failed(&message);
                    continue;
                }
            }
            let Some(index) = self.index_of(&message) else { continue };
            if !self.is_new(index, &message) {
                continue;
            }
            self.partitions[index as usize].newest = Some(done);
            if !ends.is_empty() {
                // It has gone on: another end will come.
                ends.retain(|end| *end != index);
            }
            batch.push(message.record(index));
            if batch.size_bytes() >= BATCH_BYTES {
                let mut next = new_batch(messages.iter().skip(done + 1));
                next.set_read_at(read_at);
                self.pending.push_back(SourceEvent::Records(std::mem::replace(&mut batch, next)));
            }
        }
        if !batch.is_empty() {
            self.pending.push_back(SourceEvent::Records(batch));
        }
        for partition in &mut self.partitions {
            partition.outdated = false;
            if let Some(message) = partition.newest.take().and_then(|at| messages.get(at)) {
                partition.last = Some((message.offset(), message.record(0).fingerprint()));
            }
        }
        self.pending.extend(ends.into_iter().map(|index| SourceEvent::EndOfPartition { index }));
    }

    #[inline]
    fn index_of(&mut self, message: &Message<'_>) -> Option<u32> {
        let place = message.place();
        if place == self.last_place.0 {
            return Some(self.last_place.1);
        }
        let index = match self.places.get(&place) {
            Some(index) => *index,
            None => {
                let topic = message.topic();
                let found = self
                    .partitions
                    .iter()
                    .position(|p| p.name.partition == message.partition() && p.name.topic == topic)?;
                self.places.insert(place, found as u32);
                found as u32
            }
        };
        self.last_place = (place, index);
        Some(index)
    }

    /// Whether a record goes to the engine.
    #[inline]
    fn is_new(&mut self, index: u32, message: &Message<'_>) -> bool {
        let partition = &mut self.partitions[index as usize];
        let fate = partition.judge(message.offset(), || message.record(index).fingerprint());
        match fate {
            Fate::New | Fate::Known => {
                if !self.troubles.is_empty() {
                    self.troubles.remove(&index);
                }
            }
            Fate::PassedOver => {}
            Fate::MadeAnew => {
                let text = made_anew(&partition.name, message.offset());
                self.stop_partition(index, text);
            }
            Fate::CompareAgain => self.compare_again(index),
        }
        fate == Fate::New
    }

    /// Reads the last record again before anything after it, since its topic was away. librdkafka gives
    /// nothing more of what it fetched before; what stands in the messages being sorted is passed over.
    fn compare_again(&mut self, index: u32) {
        let partition = &mut self.partitions[index as usize];
        let TopicPartition { topic, partition: id } = &partition.name;
        let begin = partition.last.map_or(partition.next, |(offset, _)| offset);
        if let Err(error) = self.consumer.reassign(topic, *id, Offset::Offset(begin)) {
            let text =
                format!("partition {id} of topic `{topic}` cannot be compared with what it was: {error}");
            return self.stop_partition(index, text);
        }
        partition.goes_back_to(begin);
        if self.paused {
            let name = partition.name.clone();
            self.with_partitions(|p| p.name == name, Consumer::pause);
        }
    }

    fn failed(&mut self, message: &Message<'_>) {
        let error = message.error();
        let text = message.error_text();
        let Some(index) = self.index_of(message) else {
            // Of the group or of the client: offsets for lag monitors, or what the scout will see.
            tracing::debug!(error, "kafka: {text}");
            self.call_scout();
            return;
        };
        let name = self.partitions[index as usize].name.clone();
        match error {
            code::OFFSET_RESET | code::OFFSET_OUT_OF_RANGE => self.out_of_range(index),
            code::GROUP_DENIED => tracing::debug!("kafka: {text}"),
            _ => {
                let text = format!(
                    "partition {} of topic `{}` cannot be read: {text}; trying again",
                    name.partition, name.topic
                );
                self.troubles.insert(index, Trouble { text, sticky: error == code::TOPIC_DENIED });
                self.call_scout();
            }
        }
    }

    /// The broker does not hold the offset that was fetched from.
    fn out_of_range(&mut self, index: u32) {
        let partition = &self.partitions[index as usize];
        if partition.passes_over() {
            return;
        }
        let Partition { name, next, verify, .. } = partition;
        let (next, last) = (*next, verify.map(|(offset, _)| offset));
        let TopicPartition { topic, partition } = name;
        let range = self.consumer.client().fetch_watermarks(topic, *partition, Duration::from_secs(1));
        let text = match range {
            Ok((low, _)) if low > next => deleted(name, next, low),
            // Only the record to compare with is gone.
            Ok((low, high)) if next <= high && last.is_some_and(|last| last < low) => {
                warn_not_compared(name, last.unwrap_or(next));
                self.partitions[index as usize].seek = Some(Seek::At(StartAt { next, last: None }));
                return;
            }
            _ => format!(
                "topic `{topic}` partition {partition} no longer holds offset {next}, the next to read: it was made \
                 anew or its records were deleted"
            ),
        };
        self.stop_partition(index, text);
    }

    fn notice_errors(&mut self) {
        let (errors, _) = self.consumer.client().context().last_error();
        if errors != self.errors_seen {
            self.errors_seen = errors;
            self.call_scout();
        }
    }

    fn call_scout(&self) {
        // Full = it has been called already; disconnected = it has ended.
        let _called = self.wake.try_send(());
    }

    fn tell_trouble(&mut self) {
        let of_partitions = self.troubles.values().next().map(|t| t.text.clone());
        let trouble = self.scouted.clone().or(of_partitions);
        if trouble != self.told && !self.over {
            match &trouble {
                Some(reason) => tracing::debug!("{reason}"),
                None => tracing::debug!("kafka is well again"),
            }
            self.told = trouble.clone();
            self.pending.push_back(SourceEvent::Trouble(trouble));
        }
    }

    fn end(&mut self, text: String) {
        self.pending.push_back(SourceEvent::Fatal(text));
        self.over = true;
    }
}

/// An empty batch with room for the messages, up to the size at which it is sent.
fn new_batch<'a>(messages: impl Iterator<Item = Message<'a>>) -> RecordBatch {
    let (mut records, mut bytes) = (0, 0);
    for message in messages.filter(|m| m.error() == code::NONE) {
        records += 1;
        bytes += message.size();
        if bytes >= BATCH_BYTES {
            break;
        }
    }
    RecordBatch::with_capacity(records, bytes)
}

fn made_anew(name: &TopicPartition, offset: i64) -> String {
    format!(
        "topic `{}` partition {}: the record at offset {offset} is not the one that was consumed before: the \
         topic was made anew",
        name.topic, name.partition
    )
}

fn gives_nothing(name: &TopicPartition, reached: i64, end: i64) -> String {
    format!(
        "partition {} of topic `{}` ends at offset {end} by now, but nothing has come after offset {reached} for \
         over a minute: look whether it has a leader, and at the broker's log",
        name.partition, name.topic
    )
}

#[cfg(test)]
mod tests;
