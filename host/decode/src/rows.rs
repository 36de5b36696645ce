//! What the formats without a fast path share: images and rows, appended one by one.

use crate::Source;
use crate::json::{Entry, find};
use crate::outcome::DeadReason;
use crate::plan::Plan;
use weir_types::batch::{Cells, ChangeBatch, Op, Origin, cell};
use weir_types::record::Record;

/// What a row is, beside its cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowFacts {
    pub op: Op,
    pub before: bool,
    pub after: bool,
    /// Where it stands in the upstream's log, if the format says so.
    pub origin: Option<Origin>,
    pub row_in_record: u32,
}

/// Appends a row's coordinates, after its cells. The event time is that of the after image; without
/// one that of the before image.
#[inline(always)]
pub(crate) fn append(plan: &Plan, facts: RowFacts, record: &Record<'_>, batch: &mut ChangeBatch) {
    let event_times = if facts.after { &batch.after } else { &batch.before };
    let event_time = &event_times[plan.event_time];
    let row = batch.ops.len();
    batch.event_times.values.push(event_time.values[row]);
    batch.event_times.states.push(event_time.states[row]);
    batch.ops.push(facts.op);
    batch.partitions.push(record.partition);
    batch.offsets.push(record.offset);
    batch.rows_in_record.push(facts.row_in_record);
    batch.origins.push(placed(facts));
    batch.before_present.push(u8::from(facts.before));
    batch.after_present.push(u8::from(facts.after));
}

/// A delete comes before an insert at the same place; a snapshot saw nothing of what is at its place.
#[inline(always)]
fn placed(facts: RowFacts) -> Option<Origin> {
    let mut origin = facts.origin?;
    let is_first = facts.op.is_read() || matches!(facts.op, Op::Delete | Op::RekeyDelete);
    origin.position.rank = u8::from(!is_first);
    Some(origin)
}

/// The tables of one topic.
pub(crate) struct Tables<'a> {
    pub sources: &'a [Source],
    /// Which of them are on the topic.
    pub on_topic: &'a [usize],
}

impl<'a> Tables<'a> {
    /// The source that declares the table of a record with these members; of two the first.
    pub fn find(&self, table: &str, record: &[Entry]) -> Option<(usize, &'a Plan)> {
        let plan = |source: usize| (source, &self.sources[source].plan);
        let database = || find(record, "database");
        self.on_topic.iter().map(|source| plan(*source)).find(|(_, plan)| plan.is_of(table, database))
    }
}

/// Appends the cells of one image; None: nulls.
pub(crate) fn push_image(plan: &Plan, image: Option<&[Entry]>, batch: &mut ChangeBatch, after: bool) {
    let cells = if after { &mut batch.after } else { &mut batch.before };
    let Some(entries) = image else {
        return plan.asked.iter().for_each(|&c| cells[c].push_null());
    };
    let tokens = tokens(plan, entries);
    for &column in &plan.asked {
        match tokens[column] {
            Some(token) => {
                let dictionary = &mut batch.dictionaries[column];
                plan.types[column].push(token.as_bytes(), &mut cells[column], dictionary);
            }
            None => cells[column].push_unfit(),
        }
    }
}

/// Appends a before image of which the record has only what changed: the rest is as after.
pub(crate) fn push_partial(plan: &Plan, old: &[Entry], batch: &mut ChangeBatch) {
    let tokens = tokens(plan, old);
    for &column in &plan.asked {
        let cells = &mut batch.before[column];
        match tokens[column] {
            Some(token) => {
                plan.types[column].push(token.as_bytes(), cells, &mut batch.dictionaries[column]);
            }
            None => {
                let row = cells.len();
                cells.values.push(batch.after[column].values[row]);
                cells.states.push(batch.after[column].states[row]);
            }
        }
    }
}

/// The token of each asked column, by index of the declared column; of a name that occurs twice, the last.
fn tokens<'a>(plan: &Plan, entries: &[Entry<'a>]) -> Vec<Option<&'a str>> {
    let mut tokens = vec![None; plan.types.len()];
    for entry in entries {
        if let Some(column) = plan.asked_column(&entry.key) {
            tokens[column] = Some(entry.raw);
        }
    }
    tokens
}

/// Whether the row has its primary key.
pub(crate) fn check_key(plan: &Plan, image: &[Entry]) -> Result<(), DeadReason> {
    for name in &plan.key_names {
        match find(image, name) {
            None => {
                let key = plan.key_names.join(", ");
                return Err(DeadReason::Key(format!("its row lacks {name}, but the table's key is {key}")));
            }
            Some("null") => return Err(DeadReason::Key(format!("its row's {name} is null"))),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether the primary key of the image that was pushed last fits its declared types: without it no row can be
/// found.
#[inline(always)]
pub(crate) fn check_fits(plan: &Plan, image: &[Cells], row: usize) -> Result<(), DeadReason> {
    match plan.key_columns.iter().find(|column| image[**column].states[row] != cell::VALUE) {
        None => Ok(()),
        Some(column) => Err(unfit_key(&plan.names[*column])),
    }
}

#[cold]
fn unfit_key(name: &str) -> DeadReason {
    DeadReason::Key(format!("its {name} is not of the declared type, so no row can be found"))
}

/// What a change did, by the names that both Canal and Maxwell use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Insert,
    Update,
    Delete,
    /// A snapshot's read of a standing row.
    Read,
}

/// Appends the rows that one row of a record gives: one, or two where its primary key changed. `old` is
/// what an update changed. Returns how many. On an error the batch is as before.
pub(crate) fn push_change(
    plan: &Plan,
    change: (Kind, &[Entry], &[Entry]),
    place: (Option<Origin>, u32),
    record: &Record<'_>,
    batch: &mut ChangeBatch,
) -> Result<u32, DeadReason> {
    check_key(plan, change.1)?;
    let first = batch.len();
    let rows = push_rows(plan, change, place, record, batch);
    let fits = |row: usize| {
        let image = if batch.after_present[row] != 0 { &batch.after } else { &batch.before };
        check_fits(plan, image, row)
    };
    let checked = (first..batch.len()).try_for_each(fits);
    if checked.is_err() {
        batch.truncate(first);
    }
    checked.map(|()| rows)
}

fn push_rows(
    plan: &Plan,
    (kind, data, old): (Kind, &[Entry], &[Entry]),
    (origin, row_in_record): (Option<Origin>, u32),
    record: &Record<'_>,
    batch: &mut ChangeBatch,
) -> u32 {
    let facts = |op, before, after| RowFacts { op, before, after, origin, row_in_record };
    match kind {
        Kind::Insert | Kind::Read => {
            push_image(plan, None, batch, false);
            push_image(plan, Some(data), batch, true);
            let op = if kind == Kind::Read { Op::Read } else { Op::Insert };
            append(plan, facts(op, false, true), record, batch);
        }
        Kind::Delete => {
            push_image(plan, Some(data), batch, false);
            push_image(plan, None, batch, true);
            append(plan, facts(Op::Delete, true, false), record, batch);
        }
        Kind::Update => {
            push_image(plan, Some(data), batch, true);
            push_partial(plan, old, batch);
            if !is_rekeyed(plan, batch) {
                append(plan, facts(Op::Update, true, true), record, batch);
                return 1;
            }
            split(plan, batch);
            append(plan, facts(Op::RekeyDelete, true, false), record, batch);
            let insert = RowFacts { row_in_record: row_in_record + 1, ..facts(Op::RekeyInsert, false, true) };
            append(plan, insert, record, batch);
            return 2;
        }
    }
    1
}

/// Whether the last images' primary keys differ.
fn is_rekeyed(plan: &Plan, batch: &ChangeBatch) -> bool {
    let row = batch.len();
    plan.key_columns.iter().any(|&c| {
        let (before, after) = (&batch.before[c], &batch.after[c]);
        before.values[row] != after.values[row] || before.states[row] != after.states[row]
    })
}

/// Makes two rows of the last images: one that has the before image only, one that has the after image only.
fn split(plan: &Plan, batch: &mut ChangeBatch) {
    let row = batch.len();
    for &column in &plan.asked {
        batch.before[column].push_null();
        let after = &mut batch.after[column];
        let (value, state) = (after.values[row], after.states[row]);
        after.truncate(row);
        after.push_null();
        after.values.push(value);
        after.states.push(state);
    }
}
