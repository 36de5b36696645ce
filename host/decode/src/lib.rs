//! Records → columns, without any I/O: a record is decoded once for all metrics, straight into
//! columns, and only the columns that some metric asks for.
//!
//! Records of a table keep their shape. So the decoder remembers the last records' shape per topic
//! ([`template`]): the bytes between the values, keys and all, are compared, and only the values are
//! looked at ([`fast`]). A record that differs in any way goes to the general parser ([`general`]), which
//! says what the record is or what is wrong with it, and learns its shape. What the fast path accepts
//! is what the general parser would have accepted, to the byte: which records came before never
//! changes a result.

mod cell;
mod fast;
mod general;
mod key;
mod outcome;
mod plan;
mod scan;
mod simd;
mod template;
mod time;
pub mod yardstick;

pub use outcome::{DeadReason, Outcome, SkipReason};

use fast::Guesses;
use general::{Facts, Parsed};
use key::KeyShape;
use plan::Plan;
use std::collections::BTreeSet;
use std::sync::Arc;
use template::Templates;
use weir_types::batch::{ChangeBatch, Origin};
use weir_types::record::Record;
use weir_types::schema::SourceDecl;

/// The decoder of all sources of one host.
///
/// Several sources may share a topic (told apart by their tables; of two with the same table the
/// first one wins), and a source may have several topics.
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
#[derive(Debug, Default)]
struct Lane {
    /// Sources on this topic.
    sources: Vec<usize>,
    templates: Templates,
    /// One for each entry of `sources`.
    keys: Vec<KeyShape>,
}

impl Decoder {
    /// A decoder that decodes primary keys and event times only, until [`Decoder::set_asked`].
    pub fn new(sources: &[Arc<SourceDecl>]) -> Decoder {
        let mut topics: Vec<String> = Vec::new();
        let mut lanes: Vec<Lane> = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            for topic in &source.topics {
                let at = topics.iter().position(|t| t == topic).unwrap_or_else(|| {
                    topics.push(topic.clone());
                    lanes.push(Lane::default());
                    topics.len() - 1
                });
                if !lanes[at].sources.contains(&index) {
                    lanes[at].sources.push(index);
                    lanes[at].keys.push(KeyShape::default());
                }
            }
        }
        let sources = sources
            .iter()
            .map(|s| Source { plan: Plan::new(s), guesses: Guesses::new(s.columns.len()) })
            .collect();
        Decoder { sources, topics, lanes }
    }

    /// Which declared columns of a source to decode from now on, by index; primary key and event time
    /// are decoded besides. The source's batch must be empty: columns that come or go would not
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
        let Some(value) = record.value else { return Outcome::Skipped(SkipReason::Tombstone) };
        if let [0, a, b, c, d, ..] = *value {
            return Outcome::Dead(DeadReason::RegistryFramed(u32::from_be_bytes([a, b, c, d])));
        }
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
        let named = |s: &usize| self.sources[*s].plan.table == change.table;
        let Some(source) = lane.sources.iter().copied().find(named) else {
            lane.templates.learn_unknown(value, &change);
            return Ok(Outcome::Skipped(SkipReason::UnknownTable));
        };
        let plan = &self.sources[source].plan;
        let (facts, images) = general::facts(&change)?;
        // Before any cell is pushed, so that nothing has to be taken back.
        general::operation(&facts, record.rekey)?;
        let batch = &mut batches[source];
        let rows = batch.len();
        general::push_image(plan, images.before.as_deref(), batch, false);
        general::push_image(plan, images.after.as_deref(), batch, true);
        lane.templates.learn(value, &change, &images, &facts, source, plan);
        let finished = finish(plan, lane, source, &facts, record, batch);
        if finished.is_err() {
            batch.truncate(rows);
        }
        finished
    }
}

/// Checks op and key and appends the row's coordinates, after its cells.
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
    }
    let event_times = if facts.after { &batch.after } else { &batch.before };
    let event_time = &event_times[plan.event_time];
    let row = batch.ops.len();
    batch.event_times.values.push(event_time.values[row]);
    batch.event_times.states.push(event_time.states[row]);
    batch.ops.push(op);
    batch.partitions.push(record.partition);
    batch.offsets.push(record.offset);
    batch.rows_in_record.push(0);
    batch.origins.push(origin(facts));
    batch.before_present.push(u8::from(facts.before));
    batch.after_present.push(u8::from(facts.after));
    Ok(Outcome::Applied { source, rows: 1 })
}

/// A delete comes before an insert at the same place; a snapshot saw nothing of what is at its place.
#[inline(always)]
fn origin(facts: &Facts) -> Option<Origin> {
    let mut origin = facts.origin?;
    origin.position.rank = u8::from(!matches!(facts.op, b'd' | b'r'));
    Some(origin)
}

#[cfg(test)]
mod tests;
