//! Columns that cease to fit: dropped, or of another type since an ALTER TABLE.
//!
//! One row that does not fit is excluded for the metrics that ask for the column, and that is all. A column
//! that does not fit in a long run of rows is gone: its metrics are suspended, and read again from the run's
//! first row once the column is back. So for each column that does not fit it is kept where the run began, by
//! partition: since then no row of that partition was shown to a metric that needs it.

use crate::stored::{StoredPartition, StoredRun, StoredRunStart};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::batch::{ChangeBatch, cell};
use weir_types::record::TopicPartition;
use weir_types::schema::SourceDecl;

/// A source and one of its declared columns, by index.
pub type Column = (usize, usize);

/// Rows that lack a column.
#[derive(Debug, Default)]
pub struct Run {
    /// In a row, over all partitions.
    pub rows: u64,
    /// By partition, where its run begins; its last row is of this run.
    pub starts: BTreeMap<TopicPartition, StoredRunStart>,
}

/// See the module.
#[derive(Debug)]
pub struct Shapes {
    decls: Vec<Arc<SourceDecl>>,
    limit: u64,
    runs: BTreeMap<Column, Run>,
    changed: bool,
}

impl Shapes {
    /// A column is gone after `limit` rows.
    pub fn new(decls: Vec<Arc<SourceDecl>>, limit: u64) -> Shapes {
        Shapes { decls, limit, runs: BTreeMap::new(), changed: false }
    }

    /// Takes up what is stored; a column that is declared in another way has a new chance, and none that is declared
    /// as it was before that finds its old run.
    pub fn restore(&mut self, stored: Vec<StoredRun>) {
        for run in stored {
            let source = self.decls.iter().position(|d| d.name == run.source);
            let column = source.and_then(|s| Some((s, self.decls[s].column(&run.column)?)));
            match column.filter(|c| self.declared(*c) == run.declared) {
                Some(column) => {
                    self.runs.insert(column, Run { rows: run.rows, starts: run.partitions });
                }
                None => self.changed = true,
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Forgets the runs of columns that nobody needs: nobody looks whether they have ended, so that they would
    /// stand for whoever needs them next.
    pub fn keep(&mut self, is_needed: impl Fn(Column) -> bool) {
        let before = self.runs.len();
        self.runs.retain(|column, _| is_needed(*column));
        self.changed |= self.runs.len() < before;
    }

    /// What is to be stored, if it has changed.
    pub fn changed(&mut self) -> Option<Vec<StoredRun>> {
        let stored = |(column, run): (&Column, &Run)| StoredRun {
            source: self.decls[column.0].name.clone(),
            column: self.decls[column.0].columns[column.1].name.clone(),
            declared: self.declared(*column),
            rows: run.rows,
            partitions: run.starts.clone(),
        };
        let all = self.changed.then(|| self.runs.iter().map(stored).collect());
        self.changed = false;
        all
    }

    fn declared(&self, (source, column): Column) -> String {
        let column = &self.decls[source].columns[column];
        format!("{:?} {}", column.ty, column.nullable)
    }

    /// Looks at these columns of a batch. `before` tells where a partition stood at the end of the epoch before.
    pub fn look(
        &mut self,
        source: usize,
        batch: &ChangeBatch,
        columns: &BTreeSet<usize>,
        partitions: &[TopicPartition],
        before: impl Fn(&TopicPartition) -> Option<StoredPartition>,
    ) {
        for column in columns {
            let is_unfit = |states: &[u8]| states.contains(&cell::UNFIT);
            let (old, new) = (&batch.before[*column].states, &batch.after[*column].states);
            if self.runs.contains_key(&(source, *column)) || is_unfit(new) || is_unfit(old) {
                self.look_at((source, *column), batch, partitions, &before);
            }
        }
    }

    fn look_at(
        &mut self,
        column: Column,
        batch: &ChangeBatch,
        partitions: &[TopicPartition],
        before: &dyn Fn(&TopicPartition) -> Option<StoredPartition>,
    ) {
        let run = self.runs.entry(column).or_default();
        for row in 0..batch.len() {
            let image = match (batch.after_present[row], batch.before_present[row]) {
                (1, _) => &batch.after,
                (_, 1) => &batch.before,
                _ => continue,
            };
            let partition = &partitions[batch.partitions[row] as usize];
            if image[column.1].states[row] != cell::UNFIT {
                run.rows = 0;
                self.changed |= run.starts.remove(partition).is_some();
                continue;
            }
            run.rows += 1;
            self.changed = true;
            if !run.starts.contains_key(partition) {
                let (offset, nth) = (batch.offsets[row], batch.rows_in_record[row]);
                let start = StoredRunStart { offset, row: nth, before: before(partition) };
                run.starts.insert(partition.clone(), start);
            }
        }
        if run.starts.is_empty() {
            self.runs.remove(&column);
        }
    }

    /// Columns that are gone.
    pub fn gone(&self) -> impl Iterator<Item = (Column, &Run)> {
        self.runs.iter().filter(|(_, run)| run.rows >= self.limit).map(|(column, run)| (*column, run))
    }

    /// Whether the last row that was seen of a column lacked it.
    pub fn is_unfit(&self, column: Column) -> bool {
        self.runs.get(&column).is_some_and(|run| run.rows > 0)
    }

    /// For each partition where the first row stands that lacks one of these columns, if its last one does.
    pub fn starts(
        &self,
        columns: impl Iterator<Item = Column>,
    ) -> BTreeMap<(usize, TopicPartition), StoredRunStart> {
        let mut first: BTreeMap<(usize, TopicPartition), StoredRunStart> = BTreeMap::new();
        for column in columns {
            for (partition, start) in self.runs.get(&column).into_iter().flat_map(|run| &run.starts) {
                let place = first.entry((column.0, partition.clone())).or_insert_with(|| start.clone());
                if (start.offset, start.row) < (place.offset, place.row) {
                    *place = start.clone();
                }
            }
        }
        first
    }

    /// Where the runs of a source's columns begin in a partition.
    pub fn begun<'a>(
        &'a self,
        source: usize,
        partition: &'a TopicPartition,
    ) -> impl Iterator<Item = &'a StoredRunStart> {
        let runs = self.runs.range((source, 0)..(source + 1, 0));
        runs.filter_map(move |(_, run)| run.starts.get(partition))
    }

    /// What is said of a metric that needs a column which is gone.
    pub fn reason(&self, (source, column): Column, run: &Run) -> String {
        let decl = &self.decls[source];
        let since = run
            .starts
            .iter()
            .next()
            .map(|(p, s)| format!(" (first at {} {} offset {})", p.topic, p.partition, s.offset));
        format!(
            "column {} of source {} was missing or no {:?} in the last {} rows{}: it seems to have been dropped or retyped; \
             put it back, or declare it as it is now and restart the host, and the rows since then are read again",
            decl.columns[column].name,
            decl.name,
            decl.columns[column].ty.value_type(),
            run.rows,
            since.unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::batch::Op;

    fn shapes(limit: u64) -> Shapes {
        Shapes::new(crate::shard::fakes::options().sources, limit)
    }

    fn partitions() -> Vec<TopicPartition> {
        (0..2).map(|partition| TopicPartition { topic: "t".into(), partition }).collect()
    }

    /// Rows as (partition, offset, whether column 1 fits).
    fn look(shapes: &mut Shapes, rows: &[(u32, i64, bool)]) {
        let mut batch = ChangeBatch::new(5);
        for (partition, offset, fits) in rows {
            batch.ops.push(Op::Insert);
            batch.partitions.push(*partition);
            batch.offsets.push(*offset);
            batch.rows_in_record.push(0);
            batch.after_present.push(1);
            batch.before_present.push(0);
            batch.before[1].push_null();
            if *fits { batch.after[1].push(7) } else { batch.after[1].push_unfit() }
        }
        shapes.look(0, &batch, &BTreeSet::from([1]), &partitions(), |_| None);
    }

    #[test]
    fn a_run_that_nobody_looks_at_any_more_is_forgotten_here_and_in_the_store() {
        let mut shapes = shapes(3);
        look(&mut shapes, &[(0, 10, false)]);
        let stored = shapes.changed().expect("it has begun");
        shapes.keep(|_| true);
        assert!(!shapes.is_empty() && shapes.changed().is_none());
        shapes.keep(|column| column != (0, 1));
        assert!(shapes.is_empty() && shapes.changed() == Some(Vec::new()));
        // Declared in another way meanwhile, it is not found again by the old one.
        let other = stored.into_iter().map(|run| StoredRun { declared: "Text false".into(), ..run });
        shapes.restore(other.collect());
        assert!(shapes.is_empty() && shapes.changed() == Some(Vec::new()));
    }

    #[test]
    fn one_row_that_fits_anywhere_begins_the_count_anew_but_ends_the_run_of_its_partition_alone() {
        let mut shapes = shapes(3);
        look(&mut shapes, &[(0, 10, false), (1, 20, false)]);
        assert_eq!(shapes.gone().count(), 0);
        look(&mut shapes, &[(1, 21, true), (0, 11, false), (1, 22, false)]);
        assert_eq!(shapes.gone().count(), 0);
        look(&mut shapes, &[(0, 12, false)]);
        assert_eq!(shapes.gone().map(|(column, run)| (column, run.rows)).collect::<Vec<_>>(), [((0, 1), 3)]);
        let starts = shapes.starts([(0, 1)].into_iter());
        assert_eq!(starts.values().map(|s| s.offset).collect::<Vec<_>>(), [10, 22]);
        look(&mut shapes, &[(0, 13, true)]);
        assert!(!shapes.is_unfit((0, 1)));
        assert_eq!(shapes.starts([(0, 1)].into_iter()).len(), 1);
    }

    #[test]
    fn runs_are_stored_and_forgotten_when_the_column_is_declared_in_another_way() {
        let mut shapes = shapes(2);
        look(&mut shapes, &[(0, 10, false), (0, 11, false)]);
        let stored = shapes.changed().expect("changed");
        assert!(shapes.changed().is_none());
        let mut again = self::shapes(2);
        again.restore(stored.clone());
        assert_eq!(again.gone().count(), 1);
        let mut other = self::shapes(2);
        other.restore(stored.into_iter().map(|r| StoredRun { declared: "Text true".into(), ..r }).collect());
        assert_eq!(other.gone().count(), 0);
    }
}
