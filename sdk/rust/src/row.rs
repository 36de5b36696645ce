//! Typed rows over packed columns, and changes of them.

use crate::packed::{Bits, I64s};
use crate::raw::{Changes, Column, Dictionary, Field, Images};
use crate::value::{Cell, ColumnView, FieldType, Time};

/// A row of a source, or the part of it that a metric uses. Made by `#[derive(Row)]`.
pub trait Row<'a>: Sized {
    /// The checked columns, in the order of `fields`.
    type Columns;
    /// Name of the source.
    const SOURCE: &'static str;
    /// First part of its metrics' names.
    const BOARD: &'static str;
    fn fields() -> Vec<Field>;
    fn columns(n: usize, columns: &'a [Column], texts: &'a [Dictionary]) -> Result<Self::Columns, String>;
    fn get(columns: &Self::Columns, row: usize) -> Self;
}

/// A whole row that a test feeds to the harness. Made by `#[derive(Row)]`.
pub trait Cells {
    const SOURCE: &'static str;
    /// The value of a field by name.
    fn cell(&self, name: &str) -> Option<Cell<'_>>;
}

/// The contract's description of a row's field.
pub fn field<'a, T: FieldType<'a>>(name: &str) -> Field {
    Field { name: name.into(), value_type: T::TYPE, nullable: T::NULLABLE }
}

/// One checked column of a row.
pub fn column<'a, T: FieldType<'a>>(
    name: &str,
    at: usize,
    n: usize,
    columns: &'a [Column],
    texts: &'a [Dictionary],
) -> Result<ColumnView<'a>, String> {
    let (Some(column), Some(text)) = (columns.get(at), texts.get(at)) else {
        return Err(format!("field {name}: its column or dictionary is missing"));
    };
    ColumnView::new(name, T::TYPE, n, column, text)
}

/// A row before and after.
#[derive(Clone, Copy, Debug)]
pub struct Change<R> {
    pub(crate) before: Option<R>,
    pub(crate) after: Option<R>,
    pub(crate) time: Time,
}

impl<R> Change<R> {
    /// The row before; None for an insert.
    #[inline(always)]
    pub fn before(&self) -> Option<&R> {
        self.before.as_ref()
    }
    /// The row after; None for a delete.
    #[inline(always)]
    pub fn after(&self) -> Option<&R> {
        self.after.as_ref()
    }
    /// The source's event time of the change; 1970-01-01T00:00:00Z where its column is null.
    #[inline(always)]
    pub fn time(&self) -> Time {
        self.time
    }
    /// The row, if the change is its insert.
    #[inline(always)]
    pub fn inserted(&self) -> Option<&R> {
        if self.before.is_some() { None } else { self.after.as_ref() }
    }
    /// The row before, if the change is its delete.
    #[inline(always)]
    pub fn deleted(&self) -> Option<&R> {
        if self.after.is_some() { None } else { self.before.as_ref() }
    }
    /// The row after, if `state` holds of it and not of the row before. An insert counts.
    #[inline(always)]
    pub fn became(&self, state: impl Fn(&R) -> bool) -> Option<&R> {
        let after = self.after.as_ref()?;
        let was = self.before.as_ref().is_some_and(&state);
        if state(after) && !was { Some(after) } else { None }
    }
    /// The value that became set, and the row after. An insert with the value set counts.
    #[inline(always)]
    pub fn became_some<T>(&self, field: impl Fn(&R) -> Option<T>) -> Option<(T, &R)> {
        let after = self.after.as_ref()?;
        let was = self.before.as_ref().is_some_and(|before| field(before).is_some());
        if was { None } else { Some((field(after)?, after)) }
    }
    /// By how much a number grew, and the row after. On insert it grew from 0.
    #[inline(always)]
    pub fn grew(&self, field: impl Fn(&R) -> i64) -> Option<(i64, &R)> {
        let after = self.after.as_ref()?;
        let was = self.before.as_ref().map_or(0, &field);
        let growth = field(after).saturating_sub(was);
        if growth > 0 { Some((growth, after)) } else { None }
    }
}

/// Calls `each` with every change of a batch.
#[inline(always)]
pub fn for_changes<'a, R: Row<'a>>(
    changes: &'a Changes,
    mut each: impl FnMut(usize, &Change<R>),
) -> Result<(), String> {
    let n = changes.rows as usize;
    let fields = R::fields().len();
    check_count("before", changes.before.len(), fields)?;
    check_count("after", changes.after.len(), fields)?;
    check_count("dictionaries", changes.dictionaries.len(), fields)?;
    let before_present = Bits::new("before-present", &changes.before_present, n)?;
    let after_present = Bits::new("after-present", &changes.after_present, n)?;
    let times = I64s::new("event-times", &changes.event_times, n)?;
    let before = R::columns(n, &changes.before, &changes.dictionaries)?;
    let after = R::columns(n, &changes.after, &changes.dictionaries)?;
    for (row, time) in times.iter().enumerate() {
        let change = Change {
            before: if before_present.get(row) { Some(R::get(&before, row)) } else { None },
            after: if after_present.get(row) { Some(R::get(&after, row)) } else { None },
            time: Time(time),
        };
        each(row, &change);
    }
    Ok(())
}

/// Calls `each` with every image of a batch.
#[inline(always)]
pub fn for_images<'a, R: Row<'a>>(images: &'a Images, mut each: impl FnMut(usize, &R)) -> Result<(), String> {
    let n = images.rows as usize;
    let fields = R::fields().len();
    check_count("columns", images.columns.len(), fields)?;
    check_count("dictionaries", images.dictionaries.len(), fields)?;
    let columns = R::columns(n, &images.columns, &images.dictionaries)?;
    // With no field asked for there is no column that bounds n: the host's limit on rows does.
    for row in 0..n {
        each(row, &R::get(&columns, row));
    }
    Ok(())
}

fn check_count(what: &str, is: usize, due: usize) -> Result<(), String> {
    if is == due { Ok(()) } else { Err(format!("{what}: {is} columns where {due} are due")) }
}
