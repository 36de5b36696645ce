//! Records → columns, without any I/O: a record is decoded once for all metrics, straight into
//! columns, and only the columns that some metric asks for.
//!
//! Each format has a module; [`Decoder::decode`] is the one place that tells them apart. Debezium's has a
//! fast path: records of a table keep their shape, so the decoder remembers the last records' shape per topic
//! ([`template`]): the bytes between the values, keys and all, are compared, and only the values are
//! looked at ([`fast`]). A record that differs in any way goes to the general parser ([`general`]), which
//! says what the record is or what is wrong with it, and learns its shape. What the fast path accepts
//! is what the general parser would have accepted, to the byte: which records came before never
//! changes a result.

mod canal;
mod cell;
mod fast;
mod general;
mod json;
mod key;
mod maxwell;
mod outcome;
mod plain;
mod plan;
mod rows;
mod scan;
mod simd;
mod template;
mod time;
pub mod yardstick;
mod zone;

pub use outcome::{DeadReason, Outcome, SkipReason};

use fast::Guesses;
use general::{Facts, Parsed};
use json::utf8;
use key::KeyShape;
use plan::Plan;
use rows::{RowFacts, Tables, append, check_fits, push_image};
use std::collections::BTreeSet;
use std::sync::Arc;
use template::Templates;
use weir_types::batch::ChangeBatch;
use weir_types::record::Record;
use weir_types::schema::{Format, SourceDecl};

/// The decoder of all sources of one host.
///
/// Several sources of one format may share a topic (told apart by their tables; of two with the same
/// table the first one wins), and a source may have several topics. Plain rows do not name their
/// table, so the first source on such a topic gets them all.
#[derive(Debug)]
pub struct Decoder {
    sources: Vec<Source>,
    topics: Vec<String>,
    /// One for each topic.
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Source {
    plan: Plan,
    guesses: Guesses,
}

/// What is remembered of one topic.
#[derive(Debug)]
struct Lane {
    /// That of its first source; sources of another are not on it.
    format: Format,
    /// Sources on this topic.
    sources: Vec<usize>,
    templates: Templates,
    /// One for each entry of `sources`.
    keys: Vec<KeyShape>,
    /// Whether any of its sources names a database: else nobody looks at the records'.
    by_database: bool,
}

impl Lane {
    fn new(format: Format) -> Lane {
        let (sources, keys, templates) = (Vec::new(), Vec::new(), Templates::default());
        Lane { format, sources, templates, keys, by_database: false }
    }
}

impl Decoder {
    /// A decoder that decodes primary keys, event times and versions only, until [`Decoder::set_asked`].
    pub fn new(sources: &[Arc<SourceDecl>]) -> Decoder {
        let mut topics: Vec<String> = Vec::new();
        let mut lanes: Vec<Lane> = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            for topic in &source.topics {
                let at = topics.iter().position(|t| t == topic).unwrap_or_else(|| {
                    topics.push(topic.clone());
                    lanes.push(Lane::new(source.format));
                    topics.len() - 1
                });
                if lanes[at].format == source.format && !lanes[at].sources.contains(&index) {
                    lanes[at].sources.push(index);
                    lanes[at].keys.push(KeyShape::default());
                    lanes[at].by_database |= source.reading.database.is_some();
                }
            }
        }
        let sources = sources
            .iter()
            .map(|s| Source { plan: Plan::new(s), guesses: Guesses::new(s.columns.len()) })
            .collect();
        Decoder { sources, topics, lanes }
    }

    /// Which declared columns of a source to decode from now on, by index; primary key, event time and
    /// version are decoded besides. The source's batch must be empty: columns that come or go would not
    /// have its length.
    pub fn set_asked(&mut self, source: usize, columns: &BTreeSet<usize>) {
        self.sources[source].plan.ask(columns);
        for lane in &mut self.lanes {
            if lane.sources.contains(&source) {
                lane.templates = Templates::default();
            }
        }
    }

    /// The columns of a source that are decoded, ascending.
    pub fn asked(&self, source: usize) -> &[usize] {
        &self.sources[source].plan.asked
    }

    /// All topics of all sources, each once.
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// Decodes one record of topic number `topic` (as in [`Decoder::topics`]) and appends its rows to the
    /// batch of its source. Unless the outcome is [`Outcome::Applied`], all batches are as long as before.
    pub fn decode(&mut self, topic: usize, record: &Record<'_>, batches: &mut [ChangeBatch]) -> Outcome {
        if let Some([0, a, b, c, d, ..]) = record.value {
            return Outcome::Dead(DeadReason::RegistryFramed(u32::from_be_bytes([*a, *b, *c, *d])));
        }
        let lane = &self.lanes[topic];
        let tables = Tables { sources: &self.sources, on_topic: &lane.sources };
        let outcome = match lane.format {
            Format::DebeziumJson => return self.decode_debezium(topic, record, batches),
            Format::CanalJson => with_text(record, |text| canal::decode(text, &tables, record, batches)),
            Format::MaxwellJson => with_text(record, |text| maxwell::decode(text, &tables, record, batches)),
            Format::PlainJson => {
                let source = lane.sources[0];
                let table = (source, &self.sources[source].plan);
                let value = record.value.map(utf8).transpose();
                value.and_then(|value| plain::decode(value, table, record, &mut batches[source]))
            }
        };
        outcome.unwrap_or_else(Outcome::Dead)
    }

    #[inline(always)]
    fn decode_debezium(&mut self, topic: usize, record: &Record<'_>, batches: &mut [ChangeBatch]) -> Outcome {
        let Some(value) = record.value else { return Outcome::Skipped(SkipReason::Tombstone) };
        if let Some(outcome) = self.decode_fast(topic, value, record, batches) {
            return outcome;
        }
        self.decode_general(topic, value, record, batches).unwrap_or_else(Outcome::Dead)
    }

    /// Tries the remembered shapes. None: the record has none of them; batches are as before.
    fn decode_fast(
        &mut self,
        topic: usize,
        value: &[u8],
        record: &Record<'_>,
        batches: &mut [ChangeBatch],
    ) -> Option<Outcome> {
        let lane = &mut self.lanes[topic];
        for at in lane.templates.order() {
            let template = lane.templates.get(at);
            let Some(source) = template.source else {
                if fast::passes(template, value) {
                    lane.templates.hit(at);
                    return Some(Outcome::Skipped(SkipReason::UnknownTable));
                }
                continue;
            };
            let Source { plan, guesses } = &mut self.sources[source];
            let batch = &mut batches[source];
            let rows = batch.len();
            let Some(facts) = fast::run(template, plan, guesses, value, batch) else {
                batch.truncate(rows);
                continue;
            };
            lane.templates.hit(at);
            return Some(finish(plan, lane, source, &facts, record, batch).unwrap_or_else(|reason| {
                batch.truncate(rows);
                Outcome::Dead(reason)
            }));
        }
        None
    }

    fn decode_general(
        &mut self,
        topic: usize,
        value: &[u8],
        record: &Record<'_>,
        batches: &mut [ChangeBatch],
    ) -> Result<Outcome, DeadReason> {
        let change = match general::parse(value)? {
            Parsed::Skipped(reason) => return Ok(Outcome::Skipped(reason)),
            Parsed::Change(change) => change,
        };
        let lane = &mut self.lanes[topic];
        let database = || json::find(&change.source, "db");
        let named = |s: &usize| self.sources[*s].plan.is_of(&change.table, database);
        let by_database = lane.by_database;
        let Some(source) = lane.sources.iter().copied().find(named) else {
            lane.templates.learn_unknown(value, &change, by_database);
            return Ok(Outcome::Skipped(SkipReason::UnknownTable));
        };
        let plan = &self.sources[source].plan;
        let (facts, images) = general::facts(&change)?;
        // Before any cell is pushed, so that nothing has to be taken back.
        general::operation(&facts, record.rekey)?;
        let batch = &mut batches[source];
        let rows = batch.len();
        push_image(plan, images.before.as_deref(), batch, false);
        push_image(plan, images.after.as_deref(), batch, true);
        lane.templates.learn(value, &change, (&images, &facts), (source, plan), by_database);
        let finished = finish(plan, lane, source, &facts, record, batch);
        if finished.is_err() {
            batch.truncate(rows);
        }
        finished
    }
}

/// Checks op and keys and appends the row's coordinates, after its cells.
#[inline(always)]
fn finish(
    plan: &Plan,
    lane: &mut Lane,
    source: usize,
    facts: &Facts,
    record: &Record<'_>,
    batch: &mut ChangeBatch,
) -> Result<Outcome, DeadReason> {
    let op = general::operation(facts, record.rekey)?;
    if facts.op != b't' {
        let at = lane.sources.iter().position(|s| *s == source).unwrap_or(0);
        lane.keys[at].check(record.key, plan)?;
        check_fits(plan, if facts.after { &batch.after } else { &batch.before }, batch.len())?;
    }
    let Facts { before, after, origin, .. } = *facts;
    append(plan, RowFacts { op, before, after, origin, row_in_record: 0 }, record, batch);
    Ok(Outcome::Applied { source, rows: 1 })
}

/// Decodes a record's value as text; one without a value only tells log compaction to forget its key.
fn with_text(
    record: &Record<'_>,
    decode: impl FnOnce(&str) -> Result<Outcome, DeadReason>,
) -> Result<Outcome, DeadReason> {
    match record.value {
        Some(value) => decode(utf8(value)?),
        None => Ok(Outcome::Skipped(SkipReason::Tombstone)),
    }
}

#[cfg(test)]
mod tests;
