//! Dead letters taken up again. See docs/adr for what that means for counts, lateness and current values.

use super::Shard;
use crate::deadset::{Standing, place_of};
use crate::stored::{StoredMissed, StoredPlace};
use crate::versions::Versions;
use weir_decode::Outcome;
use weir_types::Micros;
use weir_types::batch::{ChangeBatch, Op};
use weir_types::control::Redriven;
use weir_types::record::{OwnedRecord, TopicPartition};
use weir_types::rows::{DeadLetterRow, DeadOutcome, RedrivenRecord};

/// A dead letter, and the record that it was made of.
#[derive(Clone, Debug)]
pub struct Redrive {
    pub letter: DeadLetterRow,
    pub record: OwnedRecord,
}

impl Shard {
    /// Takes up dead letters with the running epoch; answers in their order.
    pub fn redrive(&mut self, all: &[Redrive], now: Micros) -> Vec<Redriven> {
        if !self.catchups.is_empty() {
            // One that reads the records again would count what it reads and what is shown to it.
            let why = "a metric is catching up: try again once it has".to_string();
            return vec![Redriven::Refused(why); all.len()];
        }
        if self.positions.values().any(Option::is_none) {
            // Should it fail within this epoch, it would stand where its own reader stood.
            let why = "a metric has come back in this epoch: try again".to_string();
            return vec![Redriven::Refused(why); all.len()];
        }
        // What has been read before them is shown before them.
        (0..self.batches.len()).for_each(|source| self.process(source, now));
        let answers: Vec<Redriven> = all.iter().map(|one| self.redrive_one(one, now)).collect();
        let count = |name: &str| answers.iter().filter(|a| a.name() == name).count();
        let [applied, skipped, dead] = ["applied", "skipped", "dead"].map(count);
        if applied + skipped + dead > 0 {
            let detail = format!("{applied} applied, {skipped} skipped, {dead} still dead");
            tracing::info!(applied, skipped, dead, "dead letters redriven");
            self.audit("redriven", &format!("{} dead letters", all.len()), detail, now);
        }
        answers
    }

    fn redrive_one(&mut self, one: &Redrive, now: Micros) -> Redriven {
        let DeadLetterRow { partition, offset, .. } = &one.letter;
        let (name, offset) = (partition, *offset);
        let index = self.sources.index_of(name).and_then(|index| Some((index, self.topics[index as usize]?)));
        let Some((partition, topic)) = index else {
            return Redriven::Refused(format!(
                "partition {} of topic {} is not being read at the moment: try again",
                name.partition, name.topic
            ));
        };
        if let Some(metric) = self.stopped_reader_of(&name.topic) {
            return Redriven::Refused(format!(
                "metric {metric} is stopped and would miss it: mend or retire that metric first"
            ));
        }
        if !self.sources.is_dead(partition, offset) {
            return Redriven::Refused(
                "it is no dead letter of this state: redriven before, or never dead".into(),
            );
        }
        if self.head.partitions.get(name).is_none_or(|stands| offset >= stands.next) {
            // A metric that fails in this epoch reads it by itself, as it stands in the topic.
            return Redriven::Refused("it was read a moment ago: try again".into());
        }
        if self.may_read_again(partition, name, offset) {
            return Redriven::Refused(
                "rows of its partition lack a column from before it on: should metrics stop for that, they read it \
                 again by themselves. Try again once a row has the column, or once those metrics are mended"
                    .into(),
            );
        }
        let record = one.record.at(partition, offset);
        let (answer, outcome) = match self.decoder.decode(topic, &record, &mut self.batches) {
            Outcome::Applied { source, .. } if self.tables[source].is_rebuilt_since(name, offset) => {
                self.batches[source].clear();
                return Redriven::Refused(format!(
                    "the row table of source {} is being rebuilt, and may be newer than it: try again once that is over",
                    self.options.sources[source].name
                ));
            }
            Outcome::Applied { source, .. } => self.redrive_rows(source, partition, one, now),
            Outcome::Skipped(reason) => {
                self.sources.redriven(partition, offset, None);
                (Redriven::Skipped(reason.name().into()), DeadOutcome::Skipped)
            }
            Outcome::Dead(reason) => {
                let (code, reason) = (reason.code().to_string(), reason.to_string());
                (Redriven::Dead { code, reason }, DeadOutcome::Dead)
            }
        };
        let mut letter = one.letter.clone();
        (letter.clock, letter.epoch, letter.outcome) = (now, self.head.epoch + 1, outcome);
        if let Redriven::Dead { code, reason } = &answer {
            (letter.code, letter.reason) = (code.clone(), reason.clone());
        }
        self.redriven.push(RedrivenRecord { partition: letter.partition.clone(), offset, outcome });
        self.rows.outbox.dead_letters.push(letter);
        answer
    }

    /// Whether a metric may be stopped for a column that is gone, with a position before this record.
    fn may_read_again(&self, partition: u32, name: &TopicPartition, offset: i64) -> bool {
        let sources = self.sources.sources_of(partition).iter();
        let mut begun = sources.flat_map(|source| self.shapes.begun(*source, name));
        begun.any(|start| start.before.as_ref().is_none_or(|stood| stood.next <= offset))
    }

    /// Shows the rows of the record that stands alone in its source's batch, as far as they are no repeats. They
    /// move no watermark: lateness is decided by their own times.
    fn redrive_rows(
        &mut self,
        source: usize,
        partition: u32,
        one: &Redrive,
        now: Micros,
    ) -> (Redriven, DeadOutcome) {
        let offset = one.letter.offset;
        let mut batch = std::mem::take(&mut self.batches[source]);
        let (standings, places) = self.judge(source, &mut batch, partition, offset);
        let is = |wanted: Standing| standings.iter().map(|s| *s == wanted).collect::<Vec<bool>>();
        let (newest, superseded) = (is(Standing::Newest), is(Standing::Superseded));
        let any = newest.contains(&true) || superseded.contains(&true);
        self.sources.redriven(partition, offset, any.then_some(&places[..]));
        let moves =
            (0..batch.len()).filter(|row| standings[*row] != Standing::Repeat && !batch.ops[*row].is_read());
        for origin in moves.filter_map(|row| batch.origins[row]) {
            self.sources.advance_mark(partition, origin);
        }
        let mut others = batch.clone();
        others.retain_from(0, &superseded);
        if self.options.sources[source].keeps_rows() {
            // The table is past it: what it changed when it was the newest is not known any more.
            others.ops.fill(Op::RekeyInsert);
        }
        batch.retain_from(0, &newest);
        if any {
            // Before it is shown: a metric that fails at it has missed it.
            let name = one.letter.partition.clone();
            self.taken_up.push(StoredMissed::new(name, offset, one.record.clone()));
        }
        for (rows, images) in [(batch, true), (others, false)] {
            self.batches[source] = rows;
            if !self.batches[source].is_empty() {
                self.show(source, images, now);
            }
        }
        if any {
            return (Redriven::Applied, DeadOutcome::Applied);
        }
        let why = "repeat: the upstream has sent it again, and that was counted";
        (Redriven::Skipped(why.into()), DeadOutcome::Skipped)
    }

    /// What the rows of a dead letter may still do, and by what those that are no repeats are known again.
    fn judge(
        &mut self,
        source: usize,
        batch: &mut ChangeBatch,
        partition: u32,
        offset: i64,
    ) -> (Vec<Standing>, Vec<StoredPlace>) {
        let (mut standings, mut places) = (Vec::new(), Vec::new());
        let is_older = self.tables[source].was_rebuilt_since(self.sources.partition(partition), offset);
        for row in 0..batch.len() {
            let place = place_of(batch, row, self.versions[source].as_ref());
            let mut standing = self.sources.standing_of(partition, offset, place);
            if standing == Standing::Newest && is_older {
                standing = Standing::Superseded;
            }
            if let Some(versions) = &mut self.versions[source] {
                standing = versions.take_up(batch, row, standing);
            }
            places.extend(place.filter(|_| standing != Standing::Repeat));
            standings.push(standing);
        }
        // A read that is put back afterwards does not take this back.
        self.versions[source].iter_mut().for_each(Versions::accept);
        (standings, places)
    }
}

#[cfg(test)]
mod tests;
