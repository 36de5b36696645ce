//! Finds partitions and what is wrong, on a thread of its own: asking brokers blocks.

use crate::native::{Consumer, code, describe};
use rdkafka::Offset;
use rdkafka::error::KafkaError;
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::types::RDKafkaErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use weir_types::ports::StartAt;
use weir_types::record::TopicPartition;

/// How long one question to a broker may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause between two rounds while all is well; new partitions are found this late at most.
const PAUSE_WELL: Duration = Duration::from_secs(5);
/// The same while something is wrong.
const PAUSE_TROUBLE: Duration = Duration::from_millis(250);
/// Ends of partitions are asked for in every round while all is well, else in each so manieth: about as
/// often.
const ROUNDS_TO_ENDS: u32 = 20;
/// For so many rounds the same reason is told while no broker answers: with several brokers each
/// has a reason of its own, and they take turns.
const ROUNDS_OF_A_REASON: u32 = 20;
/// After so many rounds without an answer, some ten seconds, topics may have been made anew meanwhile. A broker that
/// is only slow is not made slower by reading again what was fetched.
const ROUNDS_OF_AN_ABSENCE: u32 = 8;

/// A partition that may be read.
#[derive(Debug)]
pub struct Found {
    pub partition: TopicPartition,
    /// Where to begin fetching: at the last consumed record if it is to be compared.
    pub begin: Offset,
    /// Records before this offset are not given to the engine.
    pub next: i64,
    /// Offset and fingerprint of the last consumed record.
    pub verify: Option<(i64, u64)>,
}

impl Found {
    /// One that was never read. Without a leader, too: what is in it must not come late.
    fn unread(partition: TopicPartition) -> Found {
        Found { partition, begin: Offset::Beginning, next: 0, verify: None }
    }
}

/// A partition as the brokers list it.
struct Listed {
    partition: TopicPartition,
    has_leader: bool,
}

/// What the scout tells the reader.
#[derive(Debug)]
pub enum Finding {
    /// Partitions that may be read, found at once, so that none is read before the others are known: what comes of
    /// it first would move watermarks past those that are not.
    Partitions(Vec<Found>),
    /// Where a partition ends for a reader of committed records, asked a moment ago.
    End(TopicPartition, i64),
    /// It was read up to `next` before, and must not be read on.
    Stopped { partition: TopicPartition, next: i64, reason: String },
    /// A topic is not there at the moment, or nobody says so: when it is again, it may be another one.
    Missing { topic: String },
    /// A round is over; what is wrong, if anything.
    Round(Option<String>),
}

/// How a round went.
enum Round {
    /// What is wrong and may heal.
    Answered(Vec<String>),
    /// No broker answers, and why.
    Silence(String),
}

pub struct Scout {
    pub consumer: Arc<Consumer>,
    /// For texts.
    pub servers: String,
    pub topics: Vec<String>,
    pub start: BTreeMap<TopicPartition, StartAt>,
    pub findings: Sender<Finding>,
    /// A message starts a round at once; the end of the channel ends the scout.
    pub wake: Receiver<()>,
}

impl Scout {
    pub fn run(self) {
        let mut known = BTreeSet::new();
        let mut silence: Option<(u32, String)> = None;
        let mut rounds_since_ends = 0;
        loop {
            let problems = match self.round(&mut known) {
                Round::Silence(reason) => {
                    let (rounds, reason) = match silence.take() {
                        Some((rounds, told)) if rounds < ROUNDS_OF_A_REASON => (rounds + 1, told),
                        _ => (0, reason),
                    };
                    if rounds == ROUNDS_OF_AN_ABSENCE {
                        self.all_were_away();
                    }
                    silence = Some((rounds, reason.clone()));
                    vec![reason]
                }
                Round::Answered(problems) => {
                    silence = None;
                    problems
                }
            };
            let trouble = (!problems.is_empty()).then(|| problems.join("; "));
            rounds_since_ends += 1;
            if trouble.is_none() || rounds_since_ends >= ROUNDS_TO_ENDS {
                rounds_since_ends = 0;
                self.ask_for_ends(&known);
            }
            let pause = if trouble.is_some() { PAUSE_TROUBLE } else { PAUSE_WELL };
            if self.findings.send(Finding::Round(trouble)).is_err() {
                return;
            }
            match self.wake.recv_timeout(pause) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                // Errors come in swarms: one question a tenth of a second is enough.
                Ok(()) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Looks at every topic once. What was never read is told first, all at once: nothing of it is waited for.
    /// What was read before is told one by one, as its broker answers; until then it holds watermarks back.
    fn round(&self, known: &mut BTreeSet<TopicPartition>) -> Round {
        let (mut problems, mut fresh, mut before) = (Vec::new(), Vec::new(), Vec::new());
        for topic in &self.topics {
            let metadata = match self.consumer.client().fetch_metadata(Some(topic), PATIENCE) {
                Ok(metadata) => metadata,
                // The other topics stand on the same brokers.
                Err(error) => return Round::Silence(self.unreachable(&error)),
            };
            match metadata.topics().iter().find(|t| t.name() == topic) {
                Some(topic) => {
                    for Listed { partition, has_leader } in self.look_at(topic, &mut problems) {
                        if known.contains(&partition) {
                            continue;
                        }
                        match self.start.get(&partition) {
                            None => fresh.push(Found::unread(partition)),
                            Some(start) if has_leader => before.push((partition, start)),
                            Some(_) => {}
                        }
                    }
                }
                None => problems.push(format!("kafka says nothing about topic `{topic}`; trying again")),
            }
        }
        self.tell(fresh, known);
        for (partition, start) in before {
            match self.resume(&partition, start) {
                Ok(Ok(found)) => self.tell(vec![found], known),
                Ok(Err(stopped)) => {
                    known.insert(partition);
                    // A reader that is gone shows at the end of the round; the same below.
                    let _gone = self.findings.send(stopped);
                }
                Err(problem) => problems.push(problem),
            }
        }
        Round::Answered(problems)
    }

    fn tell(&self, found: Vec<Found>, known: &mut BTreeSet<TopicPartition>) {
        if !found.is_empty() {
            known.extend(found.iter().map(|f| f.partition.clone()));
            let _gone = self.findings.send(Finding::Partitions(found));
        }
    }

    /// Tells where partitions end, as long as brokers answer: what is not told holds watermarks back.
    fn ask_for_ends(&self, known: &BTreeSet<TopicPartition>) {
        for partition in known {
            let client = self.consumer.client();
            match client.fetch_watermarks(&partition.topic, partition.partition, PATIENCE) {
                Ok((_, end)) => {
                    let _gone = self.findings.send(Finding::End(partition.clone(), end));
                }
                Err(error) if is_silence(&error) => return,
                // Without a leader: the others have theirs.
                Err(_) => {}
            }
        }
    }

    /// Nobody saw what became of the topics meanwhile, or whether the same brokers answer afterwards.
    fn all_were_away(&self) {
        for topic in &self.topics {
            let _gone = self.findings.send(Finding::Missing { topic: topic.clone() });
        }
    }

    fn unreachable(&self, error: &KafkaError) -> String {
        let (_, reason) = self.consumer.client().context().last_error();
        let reason = if reason.is_empty() { error.to_string() } else { reason };
        format!("kafka does not answer at {}: {reason}; trying again", self.servers)
    }

    /// The partitions of a topic, in order.
    fn look_at(&self, topic: &MetadataTopic, problems: &mut Vec<String>) -> Vec<Listed> {
        let name = topic.name();
        if let Some(error) = topic.error() {
            if error as i32 == code::UNKNOWN_TOPIC {
                let _gone = self.findings.send(Finding::Missing { topic: name.to_string() });
            }
            problems.push(match error as i32 {
                code::UNKNOWN_TOPIC => format!(
                    "topic `{name}` does not exist at {}: create it, or correct `topics` of its source; \
                     trying again",
                    self.servers
                ),
                code::TOPIC_DENIED => format!(
                    "reading topic `{name}` is not allowed: grant READ and DESCRIBE on it; trying again"
                ),
                _ => format!("topic `{name}` is not available: {}; trying again", describe(error)),
            });
            return Vec::new();
        }
        for missing in self.start.keys().filter(|tp| tp.topic == name) {
            if !topic.partitions().iter().any(|p| p.id() == missing.partition) {
                problems.push(format!(
                    "partition {} of topic `{name}` was read before and is not there now: give the topic as many \
                     partitions as it had; trying again",
                    missing.partition
                ));
            }
        }
        let listed = |p: &MetadataPartition| {
            let partition = TopicPartition { topic: name.to_string(), partition: p.id() };
            Listed { partition, has_leader: p.leader() >= 0 }
        };
        let mut all: Vec<Listed> = topic.partitions().iter().map(listed).collect();
        all.sort_by_key(|listed| listed.partition.partition);
        for leaderless in all.iter().filter(|listed| !listed.has_leader) {
            let id = leaderless.partition.partition;
            problems.push(format!("partition {id} of topic `{name}` has no leader; trying again"));
        }
        all
    }

    /// How a partition that was read before is read on, or that it is not; an error is what to try again.
    fn resume(&self, partition: &TopicPartition, start: &StartAt) -> Result<Result<Found, Finding>, String> {
        let TopicPartition { topic, partition: id } = partition;
        match self.consumer.client().fetch_watermarks(topic, *id, PATIENCE) {
            Ok((low, high)) => Ok(resume_at(partition, start, low, high).map_err(|reason| {
                Finding::Stopped { partition: partition.clone(), next: start.next, reason }
            })),
            Err(error) if is_silence(&error) => Err(self.unreachable(&error)),
            Err(error) => Err(format!(
                "kafka does not tell the offsets of partition {id} of topic `{topic}`: {error}; trying again"
            )),
        }
    }
}

/// Whether no broker answers.
fn is_silence(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure))
}

/// Decides where reading goes on, given the offsets [low, high) that the broker holds.
///
/// | broker holds | |
/// |---|---|
/// | low ≤ last, next ≤ high | fetch from `last` to compare it |
/// | last < low ≤ next ≤ high | `last` was deleted by retention: fetch from `next` |
/// | next < low | a gap: stop |
/// | high < next | the topic was made anew: stop |
fn resume_at(partition: &TopicPartition, start: &StartAt, low: i64, high: i64) -> Result<Found, String> {
    let TopicPartition { topic, partition: id } = partition;
    let next = start.next;
    if high < next {
        return Err(format!(
            "topic `{topic}` partition {id} ends at offset {high}, but was read up to offset {next} before: \
             the topic was made anew"
        ));
    }
    if next < low {
        return Err(deleted(partition, next, low));
    }
    let verify = start.last.filter(|(offset, _)| *offset >= low && *offset < next);
    if verify.is_none() && start.last.is_some() {
        tracing::warn!(
            topic,
            partition = id,
            next,
            "the last consumed record is gone and cannot be compared"
        );
    }
    let begin = Offset::Offset(verify.map_or(next, |(offset, _)| offset));
    Ok(Found { partition: partition.clone(), begin, next, verify })
}

/// The text for a gap.
pub fn deleted(partition: &TopicPartition, next: i64, low: i64) -> String {
    let TopicPartition { topic, partition: id } = partition;
    format!(
        "topic `{topic}` partition {id}: the next offset to read is {next}, but offsets below {low} were \
         deleted, so records are missing"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: 3 }
    }

    #[test]
    fn the_last_record_is_read_again_while_the_broker_holds_it() {
        let start = StartAt { next: 10, last: Some((9, 77)) };
        let found = resume_at(&partition(), &start, 0, 10).expect("resumes");
        assert_eq!((found.begin, found.next, found.verify), (Offset::Offset(9), 10, Some((9, 77))));
        let found = resume_at(&partition(), &start, 10, 30).expect("resumes");
        assert_eq!((found.begin, found.next, found.verify), (Offset::Offset(10), 10, None));
    }

    #[test]
    fn a_gap_and_a_topic_made_anew_stop_the_partition_and_say_where() {
        let start = StartAt { next: 10, last: None };
        let gap = resume_at(&partition(), &start, 11, 30).expect_err("a gap");
        assert!(gap.contains("`t` partition 3") && gap.contains("offsets below 11 were deleted"), "{gap}");
        let anew = resume_at(&partition(), &start, 0, 9).expect_err("made anew");
        assert!(anew.contains("ends at offset 9") && anew.contains("made anew"), "{anew}");
    }
}
