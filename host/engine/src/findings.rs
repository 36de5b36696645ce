//! What was found out about changes whose records do not say it: the row before, by the row table, and which
//! are repeats, by the versions.
//!
//! A metric over events that was stopped reads its records again, and by then rows and versions have moved
//! on. So while one is away, what was found out is stored with each epoch, by partition, from where that
//! metric stands, and deleted once it is past it. While none is away, the batches of the running epoch are
//! held, for a metric that fails stands where that epoch began.

mod chunk;

use crate::stored::{Keyspace, StoredPartition, StoredPosition, StoredSpan, decode, encode};
use chunk::Writer;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use weir_types::batch::ChangeBatch;
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::record::TopicPartition;
use weir_types::schema::SourceDecl;

pub use chunk::Chunk;

/// Values that one write deletes: after a long absence, more would make it too large.
const FORGOTTEN_MOST: usize = 4096;

/// Where partitions stand.
pub type Places = BTreeMap<TopicPartition, StoredPartition>;

/// The next offset of a partition; the least number before its beginning.
pub fn place(places: &Places, partition: &TopicPartition) -> i64 {
    places.get(partition).map_or(i64::MIN, |stands| stands.next)
}

/// See the module.
pub struct Findings {
    /// None where records say everything.
    sources: Vec<Option<Source>>,
    /// Bytes that are kept of a source at the most.
    limit: u64,
}

struct Source {
    decl: Arc<SourceDecl>,
    /// Batches of the running epoch, as they were shown.
    shown: Vec<ChangeBatch>,
    /// What is stored of each partition: without a gap up to where the shard stands.
    spans: BTreeMap<TopicPartition, VecDeque<Span>>,
    /// What nobody needs any more and is still to be deleted.
    over: Vec<(TopicPartition, u64)>,
}

/// Offsets [from, next) of a partition, read in one epoch: none if dead letters alone were taken up again.
struct Span {
    epoch: u64,
    from: i64,
    next: i64,
    bytes: u64,
    /// Until the store surely has it.
    chunk: Option<Arc<Chunk>>,
}

/// An epoch that ends.
pub struct EpochEnd<'a> {
    pub epoch: u64,
    /// Epochs up to this one are durable.
    pub durable: u64,
    /// By index.
    pub partitions: &'a [TopicPartition],
    pub before: &'a Places,
    pub after: &'a Places,
    pub keys: &'a Keyspace,
}

/// Why findings cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Unfound {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("what it missed is no longer kept; retire it and push it anew")]
    Gone,
}

impl Findings {
    pub fn new(decls: &[Arc<SourceDecl>], limit: u64) -> Findings {
        let source = |decl: &Arc<SourceDecl>| {
            let is_silent = decl.keeps_rows() || decl.reading.version_column.is_some();
            is_silent.then(|| Source {
                decl: decl.clone(),
                shown: Vec::new(),
                spans: BTreeMap::new(),
                over: Vec::new(),
            })
        };
        Findings { sources: decls.iter().map(source).collect(), limit }
    }

    /// Whether a source's records leave something to be found out.
    pub fn are_of(&self, source: usize) -> bool {
        self.sources[source].is_some()
    }

    /// Sources whose records do.
    pub fn sources(&self) -> Vec<usize> {
        (0..self.sources.len()).filter(|source| self.are_of(*source)).collect()
    }

    /// A batch was shown; gives one to be filled next.
    pub fn shown(&mut self, source: usize, mut batch: ChangeBatch) -> ChangeBatch {
        match &mut self.sources[source] {
            Some(source) => {
                source.shown.push(batch);
                ChangeBatch::new(source.decl.columns.len())
            }
            None => {
                batch.clear();
                batch
            }
        }
    }

    /// Whether a metric can read on from a position, with the findings of all that it has missed. `live`: where
    /// the shard stood at the last epoch's end.
    pub fn cover(&self, source: usize, position: &StoredPosition, live: &Places) -> bool {
        let Some(Source { decl, .. }) = &self.sources[source] else { return true };
        let mut ours = live.keys().filter(|p| decl.topics.contains(&p.topic));
        ours.all(|p| self.reach(source, p, place(&position.partitions, p), live))
    }

    /// Whether the findings of a partition are kept from a place on.
    pub fn reach(&self, source: usize, partition: &TopicPartition, place: i64, live: &Places) -> bool {
        self.sources[source].as_ref().is_none_or(|source| place >= source.since(partition, live))
    }

    /// Puts the epoch's findings into its write, as far as they are needed: `floors` says, for partitions that
    /// somebody has to read again, from where on.
    pub fn save(
        &mut self,
        source: usize,
        floors: &BTreeMap<TopicPartition, i64>,
        columns: &[usize],
        end: &EpochEnd<'_>,
        writes: &mut WriteSet,
    ) {
        let limit = self.limit;
        let Some(source) = &mut self.sources[source] else { return };
        let shown = std::mem::take(&mut source.shown);
        source.forget(floors, end.durable);
        let mut writer = Writer::new(&source.decl, columns, &shown);
        for partition in floors.keys() {
            let (from, next) = (place(end.before, partition), place(end.after, partition));
            let index = end.partitions.iter().position(|known| known == partition);
            let rows = index.map(|index| writer.rows_of(index as u32)).unwrap_or_default();
            if next == from && rows.is_empty() {
                continue;
            }
            let stored = writer.findings(rows);
            let value = encode(&stored);
            let (epoch, bytes) = (end.epoch, value.len() as u64);
            let span = StoredSpan { partition: partition.clone(), epoch, from, next, bytes };
            writes.put(end.keys.findings_span(&source.decl.name, partition, epoch), encode(&span));
            writes.put(end.keys.findings(&source.decl.name, partition, epoch), value);
            let chunk = Some(Arc::new(Chunk::new(stored, (from, next), source.decl.clone())));
            let spans = source.spans.entry(partition.clone()).or_default();
            spans.push_back(Span { epoch, from, next, bytes, chunk });
        }
        source.delete_over(end, writes);
        source.keep_to(limit);
    }

    /// The findings of the record at an offset, and of its neighbours.
    pub fn of(
        &self,
        source: usize,
        partition: &TopicPartition,
        offset: i64,
        at: (&Keyspace, &dyn StateStore),
    ) -> Result<Arc<Chunk>, Unfound> {
        let (source, spans) = self.spans_of(source, partition)?;
        let first = spans.partition_point(|span| span.next <= offset);
        let span = spans.get(first).filter(|span| span.from <= offset).ok_or(Unfound::Gone)?;
        source.load(partition, span, at)
    }

    /// The findings of a dead letter that was taken up again in an epoch that began with the partition at
    /// `from`.
    pub fn of_redriven(
        &self,
        source: usize,
        partition: &TopicPartition,
        (from, offset): (i64, i64),
        at: (&Keyspace, &dyn StateStore),
    ) -> Result<Arc<Chunk>, Unfound> {
        let (source, spans) = self.spans_of(source, partition)?;
        for span in spans.iter().filter(|span| span.from == from) {
            let chunk = source.load(partition, span, at)?;
            if chunk.has(offset) {
                return Ok(chunk);
            }
        }
        Err(Unfound::Gone)
    }

    fn spans_of(
        &self,
        source: usize,
        partition: &TopicPartition,
    ) -> Result<(&Source, &VecDeque<Span>), Unfound> {
        let found = self.sources[source].as_ref().and_then(|s| Some((s, s.spans.get(partition)?)));
        found.ok_or(Unfound::Gone)
    }

    /// Takes up what is stored. `live`: where the shard stands.
    pub fn restore(
        &mut self,
        keys: &Keyspace,
        live: &Places,
        store: &dyn StateStore,
    ) -> Result<(), StateError> {
        for source in self.sources.iter_mut().flatten() {
            let prefix = keys.findings_spans(&source.decl.name);
            for (_, value) in store.scan(prefix.as_bytes())? {
                let StoredSpan { partition, epoch, from, next, bytes } = decode("span of findings", &value)?;
                let spans = source.spans.entry(partition).or_default();
                spans.push_back(Span { epoch, from, next, bytes, chunk: None });
            }
            source.drop_gaps(live);
        }
        Ok(())
    }
}

impl Source {
    /// From where on the findings of a partition are kept.
    fn since(&self, partition: &TopicPartition, live: &Places) -> i64 {
        let first = self.spans.get(partition).and_then(VecDeque::front);
        first.map_or_else(|| place(live, partition), |span| span.from)
    }

    /// Lets go what is below the floors, and of partitions without one everything.
    fn forget(&mut self, floors: &BTreeMap<TopicPartition, i64>, durable: u64) {
        for (partition, spans) in &mut self.spans {
            let floor = floors.get(partition).copied().unwrap_or(i64::MAX);
            while let Some(span) = spans.pop_front_if(|span| span.next <= floor && span.from < floor) {
                self.over.push((partition.clone(), span.epoch));
            }
            let stored = spans.iter_mut().filter(|span| span.epoch <= durable);
            stored.for_each(|span| span.chunk = None);
        }
        self.spans.retain(|_, spans| !spans.is_empty());
    }

    fn delete_over(&mut self, end: &EpochEnd<'_>, writes: &mut WriteSet) {
        let rest = self.over.len().saturating_sub(FORGOTTEN_MOST / 2);
        for (partition, epoch) in self.over.drain(rest..) {
            writes.delete(end.keys.findings_span(&self.decl.name, &partition, epoch));
            writes.delete(end.keys.findings(&self.decl.name, &partition, epoch));
        }
    }

    /// Gives up all that is kept if it has become too much.
    fn keep_to(&mut self, limit: u64) {
        let bytes: u64 = self.spans.values().flatten().map(|span| span.bytes).sum();
        if bytes > limit {
            tracing::error!(
                source = %self.decl.name, bytes, limit,
                "metrics were stopped for too long: what they miss is no longer kept ([limits] missed); retire them and push them anew"
            );
            self.forget(&BTreeMap::new(), 0);
        }
    }

    /// Of each partition only what lies before where it stands without a gap is of use. The rest was about to be
    /// deleted.
    fn drop_gaps(&mut self, live: &Places) {
        for (partition, spans) in &mut self.spans {
            let mut next = place(live, partition);
            let follows = |span: &&Span| {
                let follows = span.next == next;
                next = span.from;
                follows
            };
            let of_use = spans.iter().rev().take_while(follows).count();
            for span in spans.drain(..spans.len() - of_use) {
                self.over.push((partition.clone(), span.epoch));
            }
        }
        self.spans.retain(|_, spans| !spans.is_empty());
    }

    fn load(
        &self,
        partition: &TopicPartition,
        span: &Span,
        (keys, store): (&Keyspace, &dyn StateStore),
    ) -> Result<Arc<Chunk>, Unfound> {
        if let Some(chunk) = &span.chunk {
            return Ok(chunk.clone());
        }
        let bytes = store.get(&keys.findings(&self.decl.name, partition, span.epoch))?;
        let bytes = bytes.ok_or(Unfound::Gone)?;
        let stored = decode("findings", &bytes)?;
        Ok(Arc::new(Chunk::new(stored, (span.from, span.next), self.decl.clone())))
    }
}
