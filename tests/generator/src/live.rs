//! Producing to Kafka in step with the clock, with a journal of what the broker took.

use crate::clock::Clock;
use crate::journal::Journal;
use crate::records::{Record, Records};
use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use weir_ingest::Producer;

/// Records that wait for their offset, at most: a broker that is away makes the generator wait.
const WAITING_MAX: usize = 20_000;
/// How long the last records may take.
const FLUSH: Duration = Duration::from_secs(30);

/// Sends records and journals them when the broker has given them their offsets.
pub struct Sender {
    producer: Producer,
    journal: Journal,
    /// Sent and not yet reported; the first has the token `first_token`. Reports come in order within a
    /// partition only, so a record that is reported before an older one waits here too.
    waiting: VecDeque<(Record, Option<i64>)>,
    first_token: u64,
    lost: u64,
}

impl Sender {
    pub fn new(producer: Producer, journal: Journal) -> Sender {
        Sender { producer, journal, waiting: VecDeque::new(), first_token: 0, lost: 0 }
    }

    pub fn send(&mut self, record: &Record) -> Result<()> {
        while self.waiting.len() >= WAITING_MAX {
            self.collect()?;
            std::thread::sleep(Duration::from_millis(5));
        }
        let headers: Vec<(&str, &[u8])> = record.headers.iter().map(|(n, v)| (*n, v.as_slice())).collect();
        let token = self.first_token + self.waiting.len() as u64;
        self.producer
            .send(
                record.topic,
                Some(record.partition),
                record.key.as_deref(),
                record.value.as_deref(),
                &headers,
                token,
            )
            .with_context(|| format!("topic {} partition {}", record.topic, record.partition))?;
        self.waiting.push_back((record.clone(), None));
        Ok(())
    }

    /// Takes the delivery reports that have come and journals what is reported without a gap.
    pub fn collect(&mut self) -> Result<()> {
        for report in self.producer.poll() {
            let at = (report.token - self.first_token) as usize;
            let offset = match (report.offset, report.error) {
                (Some(offset), _) => offset,
                (None, error) => {
                    self.lost += 1;
                    eprintln!(
                        "generator: a record for {} {} was not stored: {}",
                        report.topic,
                        report.partition,
                        error.unwrap_or_default()
                    );
                    -1
                }
            };
            if let Some(place) = self.waiting.get_mut(at) {
                place.1 = Some(offset);
            }
        }
        while let Some((record, Some(offset))) = self.waiting.front() {
            if *offset >= 0 {
                self.journal.write(record, *offset).context("cannot write the journal")?;
            }
            self.waiting.pop_front();
            self.first_token += 1;
        }
        Ok(())
    }

    /// Waits for the last reports and closes the journal; gives its summary.
    pub fn finish(mut self) -> Result<serde_json::Value> {
        let flushed = self.producer.flush(FLUSH);
        self.collect()?;
        self.journal.flush().context("cannot write the journal")?;
        flushed.context("the broker did not take the last records")?;
        if self.lost > 0 || !self.waiting.is_empty() {
            bail!("{} records were not stored, {} are not reported", self.lost, self.waiting.len());
        }
        Ok(self.journal.summary())
    }
}

/// Sends what is due until `stop` or until the clock shows `until_ms`.
pub fn run(
    records: &mut Records,
    sender: &mut Sender,
    clock: &Clock,
    until_ms: i64,
    stop: &AtomicBool,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let now = clock.now();
        while records.next_at() <= now.min(until_ms) && !stop.load(Ordering::Relaxed) {
            for record in records.next_batch() {
                sender.send(record)?;
            }
        }
        sender.collect()?;
        if now >= until_ms {
            return Ok(());
        }
        let pause = clock.wait_ms(records.next_at().min(until_ms)).clamp(1, 20);
        std::thread::sleep(Duration::from_millis(pause));
    }
    Ok(())
}
