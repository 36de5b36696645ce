//! Records into batches of changes: decoded, judged, counted.

use super::{BATCH_ROWS, Shard};
use crate::deadset::place_of;
use crate::hold::{Ask, ResumeError, Tally};
use crate::sources::Replay;
use crate::stored::StoredDead;
use crate::versions::Versions;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use weir_decode::Outcome;
use weir_types::Micros;
use weir_types::batch::ChangeBatch;
use weir_types::record::{Record, RecordBatch, TopicPartition};
use weir_types::rows::{AuditRow, DeadLetterRow, DeadOutcome};

/// Records that are judged together: few enough that a batch's columns stay in the cache.
const JUDGED: usize = 2048;

/// Bytes of a dead letter's key and value that are kept.
const DEAD_BYTES: usize = 64 * 1024;

impl Shard {
    /// Takes records, in order within each partition.
    pub fn read(&mut self, records: &RecordBatch, now: Micros) {
        let start = (self.monotonic)();
        let mut busy = Duration::ZERO;
        for first in (0..records.len()).step_by(JUDGED) {
            let upto = records.len().min(first + JUDGED);
            self.read_some(records, first..upto, None, now);
            busy += self.process_full(now);
        }
        self.take_trials(now);
        self.read_any = true;
        let spent = ((self.monotonic)() - start).saturating_sub(busy);
        *self.stages.entry("decode").or_default() += spent.as_nanos() as u64;
    }

    /// Tries again the batches that have come together.
    pub(super) fn take_trials(&mut self, now: Micros) {
        while let Some((group, records)) = self.holds.ready() {
            self.read_some(&records, 0..records.len(), Some(group), now);
        }
    }

    /// Processes batches that have become large.
    fn process_full(&mut self, now: Micros) -> Duration {
        let before = (self.monotonic)();
        for source in 0..self.batches.len() {
            if self.batches[source].len() >= BATCH_ROWS {
                self.process(source, now);
            }
        }
        (self.monotonic)() - before
    }

    /// Takes records that are judged together: all of a group of sources, or none. `trial`: they are
    /// a batch of that group which failed before.
    fn read_some(&mut self, records: &RecordBatch, range: Range<usize>, trial: Option<usize>, now: Micros) {
        let mut newest: Vec<Option<usize>> = vec![None; self.topics.len()];
        let mut tallies = vec![Tally::default(); self.holds.groups()];
        let rows: Vec<usize> = self.batches.iter().map(ChangeBatch::len).collect();
        let letters = self.rows.outbox.dead_letters.len();
        for at in range {
            let record = records.get(at);
            if (trial.is_none() && !self.holds.admits(&record)) || !self.sources.read(&record) {
                continue;
            }
            newest[record.partition as usize] = Some(at);
            let dead = self.record(&record, now);
            if let Some(tally) = tallies.get_mut(self.holds.group_of(record.partition)) {
                tally.add(dead);
            }
        }
        let mut passed = trial;
        for (group, tally) in tallies.into_iter().enumerate().filter(|(_, t)| t.read > 0) {
            let taken = match trial {
                Some(_) => self.holds.judge_trial(group, &tally),
                None => self.holds.judge(group, &tally),
            };
            if !taken {
                self.holds.partitions_of(group).for_each(|p| newest[p as usize] = None);
                self.put_back(group, tally, &rows, letters, now);
                passed = None;
            }
        }
        self.sources.accept();
        self.versions.iter_mut().flatten().for_each(Versions::accept);
        for at in newest.into_iter().flatten() {
            self.sources.remember(&records.get(at));
        }
        if let Some(group) = passed {
            self.release(group);
        }
    }

    /// As if a group's records since the last decision had not come; the group holds.
    fn put_back(&mut self, group: usize, tally: Tally, rows: &[usize], letters: usize, now: Micros) {
        let partitions: Vec<u32> = self.holds.partitions_of(group).collect();
        let mut batch = BTreeMap::new();
        for partition in &partitions {
            if let Some(range) = self.sources.undo(*partition) {
                batch.insert(self.sources.partition(*partition).clone(), range);
            }
            self.sources.not_caught_up(*partition);
        }
        for source in partitions.iter().flat_map(|p| self.sources.sources_of(*p)) {
            self.batches[*source].truncate(rows[*source]);
            if let Some(versions) = &mut self.versions[*source] {
                versions.undo();
            }
        }
        let newer = self.rows.outbox.dead_letters.split_off(letters);
        let (ours, others): (Vec<_>, Vec<_>) =
            newer.into_iter().partition(|d| batch.contains_key(&d.partition));
        self.bytes -= ours.iter().map(letter_bytes).sum::<usize>();
        self.rows.outbox.dead_letters.extend(others);
        let names = self.holds.hold(group, tally, batch, now);
        let reason = self.holds.text(&names[0]).unwrap_or_default();
        self.audit("source-held", &names.join(", "), reason, now);
    }

    /// A partition cannot be read on: its sources stop.
    pub(super) fn stop(&mut self, partition: &TopicPartition, reason: String, now: Micros) {
        let subject = format!("{} {}", partition.topic, partition.partition);
        for index in self.holds.stop(partition, reason.clone()) {
            self.sources.not_caught_up(index);
        }
        self.audit("source-stopped", &subject, reason, now);
    }

    /// The reader has moved a partition as it was asked to.
    pub(super) fn moved(&mut self, index: u32, next: i64, now: Micros) {
        if !self.holds.moved(index) {
            return;
        }
        let Some(gap) = self.sources.moved(index, next) else { return };
        if gap.to < gap.from {
            self.tables.iter_mut().for_each(|table| table.forget_offsets(&gap.partition));
        }
        let subject = format!("{} {}", gap.partition.topic, gap.partition.partition);
        let detail = format!("reading goes on at offset {next} in place of {}", gap.from);
        tracing::warn!(topic = gap.partition.topic, partition = gap.partition.partition, "{detail}");
        self.gaps.push(gap);
        self.audit("gap", &subject, detail, now);
    }

    /// An operator lets a source that has stopped go on. The running epoch must have ended, so that no
    /// epoch has a gap in its middle.
    pub fn restart(&mut self, source: &str, now: Micros) -> Result<(), ResumeError> {
        let sources = &self.sources;
        self.holds.restart(source, |partition| sources.place_of(partition))?;
        self.audit("source-restarted", source, "the gap is accepted".into(), now);
        Ok(())
    }

    /// Notes what was done, with the running epoch.
    pub(super) fn audit(&mut self, action: &str, subject: &str, detail: String, now: Micros) {
        let audit = &mut self.rows.outbox.audit;
        audit.push(AuditRow {
            epoch: self.head.epoch + 1,
            number: audit.len() as u32,
            clock: now,
            action: action.into(),
            subject: subject.into(),
            detail,
        });
        self.must_commit = true;
    }

    /// A group that held goes on where its partitions stand.
    fn release(&mut self, group: usize) {
        let sources = &self.sources;
        self.holds.release(group, |partition| sources.place_of(partition));
        self.must_commit = true;
    }

    /// An operator lets a source that holds go on.
    pub fn resume(&mut self, source: &str, accept_dead: bool, now: Micros) -> Result<(), ResumeError> {
        let sources = &self.sources;
        let released = self.holds.resume(source, accept_dead, |partition| sources.place_of(partition))?;
        if let Some(group) = released {
            self.release(group);
        }
        let detail = if accept_dead { "its dead are accepted" } else { "its batch is tried again" };
        self.audit("source-resumed", source, detail.into(), now);
        Ok(())
    }

    /// What the reader is to be asked for, in order.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        self.holds.take_asks()
    }

    /// Decodes one record into the batch of its source. Gives why it is dead, if it is.
    fn record(&mut self, record: &Record<'_>, now: Micros) -> Option<StoredDead> {
        let partition = record.partition;
        let Some(topic) = self.topics[partition as usize] else {
            self.sources.skipped(partition, "unknown_table");
            return None;
        };
        match self.decoder.decode(topic, record, &mut self.batches) {
            Outcome::Applied { source, rows } => {
                let batch = &mut self.batches[source];
                let first = batch.len() - rows as usize;
                self.sources.came(partition, source, now);
                match self.sources.replay(partition, batch, first) {
                    Replay::Repeat => {
                        batch.truncate(first);
                        self.sources.skipped(partition, "repeat");
                        return None;
                    }
                    Replay::NewLineage => tracing::warn!(
                        partition = ?self.sources.partition(partition),
                        offset = record.offset,
                        "the upstream log begins anew: its position went back while its time went on"
                    ),
                    Replay::New => {}
                }
                if let Some(versions) = &mut self.versions[source]
                    && !versions.keep_new(batch, first)
                {
                    self.sources.skipped(partition, "repeat");
                    return None;
                }
                self.sources.advance(partition, source, (batch, first), now);
                let versions = self.versions[source].as_ref();
                self.sources.applied(record, || place_of(batch, first, versions));
                None
            }
            Outcome::Skipped(reason) => {
                self.sources.skipped(partition, reason.name());
                None
            }
            Outcome::Dead(reason) => {
                self.sources.dead(record, now);
                let row = self.dead_letter(record, reason.code(), reason.to_string(), now);
                let dead = StoredDead {
                    partition: row.partition.clone(),
                    offset: row.offset,
                    code: row.code.clone(),
                    reason: row.reason.clone(),
                };
                self.bytes += letter_bytes(&row);
                self.rows.outbox.dead_letters.push(row);
                Some(dead)
            }
        }
    }

    fn dead_letter(&self, record: &Record<'_>, code: &str, reason: String, now: Micros) -> DeadLetterRow {
        let head = |bytes: &[u8]| bytes[..bytes.len().min(DEAD_BYTES)].to_vec();
        let value = record.value.unwrap_or_default();
        DeadLetterRow {
            partition: self.sources.partition(record.partition).clone(),
            offset: record.offset,
            metric: String::new(),
            code: code.to_string(),
            reason,
            key: head(record.key.unwrap_or_default()),
            value: head(value),
            whole: value.len().max(record.key.map_or(0, <[u8]>::len)) <= DEAD_BYTES,
            rekey: record.rekey,
            outcome: DeadOutcome::Dead,
            clock: now,
            epoch: self.head.epoch + 1,
        }
    }
}

/// What a dead letter adds to its epoch.
fn letter_bytes(letter: &DeadLetterRow) -> usize {
    size_of::<DeadLetterRow>() + letter.key.len() + letter.value.len()
}
