//! Dead letters taken up again. See docs/adr for what that means for counts, lateness and current values.

use super::Shard;
use crate::deadset::Standing;
use crate::stored::StoredMissed;
use weir_decode::Outcome;
use weir_types::Micros;
use weir_types::control::Redriven;
use weir_types::record::OwnedRecord;
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
        let record = one.record.at(partition, offset);
        let (answer, outcome) = match self.decoder.decode(topic, &record, &mut self.batches) {
            Outcome::Applied { source, .. } => self.redrive_change(source, partition, offset, now),
            Outcome::Skipped(reason) => {
                self.sources.redriven(partition, offset, None, false);
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
        if answer == Redriven::Applied {
            let partition = letter.partition.clone();
            self.taken_up.push(StoredMissed::new(partition, offset, one.record.clone()));
        }
        self.redriven.push(RedrivenRecord { partition: letter.partition.clone(), offset, outcome });
        self.rows.outbox.dead_letters.push(letter);
        answer
    }

    /// Shows the change that stands alone in its source's batch. It moves no watermark: lateness is decided
    /// by its own times.
    fn redrive_change(
        &mut self,
        source: usize,
        partition: u32,
        offset: i64,
        now: Micros,
    ) -> (Redriven, DeadOutcome) {
        let origin = self.batches[source].origins[0];
        let standing = self.sources.standing_of(partition, offset, origin.as_ref());
        self.sources.redriven(partition, offset, origin.as_ref(), standing != Standing::Repeat);
        if standing == Standing::Repeat {
            self.batches[source].clear();
            let why = "repeat: the upstream has sent it again, and that was counted";
            return (Redriven::Skipped(why.into()), DeadOutcome::Skipped);
        }
        self.show(source, standing == Standing::Newest, now);
        (Redriven::Applied, DeadOutcome::Applied)
    }
}
