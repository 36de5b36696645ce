//! Rows to packed columns, packed outputs to values, and the windows and keys of a sample.

use super::Out;
use crate::packed::Bits;
use crate::raw::{Changes, Column, Dictionary, Field, Images, Input, MetricInfo, Output, ValueType, Window};
use crate::row::Cells;
use crate::value::{Cell, ColumnView, Time};

/// A key in one window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Name of the window kind.
    pub window: String,
    /// [start, end); both 0 for current values.
    pub start: i64,
    pub end: i64,
    /// In the metric's order; None where the dimension is not in the set.
    pub dims: Vec<Option<String>>,
}

pub enum Batch {
    Changes(Changes),
    Images(Images),
}

impl Batch {
    pub fn change<R: Cells>(input: &Input, before: Option<&R>, after: Option<&R>, time: Time) -> Self {
        let mut changes = Changes {
            rows: 1,
            before_present: vec![before.is_some().into()],
            after_present: vec![after.is_some().into()],
            event_times: time.0.to_le_bytes().to_vec(),
            ..Default::default()
        };
        for field in &input.fields {
            let mut texts = Vec::new();
            changes.before.push(column(field, before, &mut texts));
            changes.after.push(column(field, after, &mut texts));
            changes.dictionaries.push(dictionary(&texts));
        }
        Batch::Changes(changes)
    }

    pub fn images<R: Cells>(input: &Input, row: &R) -> Self {
        let mut images = Images { rows: 1, ..Default::default() };
        for field in &input.fields {
            let mut texts = Vec::new();
            images.columns.push(column(field, Some(row), &mut texts));
            images.dictionaries.push(dictionary(&texts));
        }
        Batch::Images(images)
    }
}

/// A column of one row.
fn column<R: Cells>(field: &Field, row: Option<&R>, texts: &mut Vec<String>) -> Column {
    let cell = row.map_or(Cell::Null, |row| match row.cell(&field.name) {
        Some(cell) => cell,
        None => panic!("the row has no field {}", field.name),
    });
    let bits = match cell {
        Cell::Null => 0,
        Cell::Bits(bits) => bits,
        Cell::Text(text) => {
            texts.push(text.into());
            texts.len() as i64 - 1
        }
    };
    let validity = if cell == Cell::Null { vec![0] } else { Vec::new() };
    Column { validity, values: bits.to_le_bytes().to_vec(), offsets: Vec::new() }
}

fn dictionary(texts: &[String]) -> Dictionary {
    let mut packed = Dictionary::default();
    if texts.is_empty() {
        return packed;
    }
    packed.offsets.extend_from_slice(&0u32.to_le_bytes());
    for text in texts {
        packed.bytes.extend_from_slice(text.as_bytes());
        packed.offsets.extend_from_slice(&(packed.bytes.len() as u32).to_le_bytes());
    }
    packed
}

/// The i-th of n values.
pub fn value_at(column: &Column, n: usize, i: usize) -> Option<i64> {
    let no_texts = Dictionary::default();
    let view = view(ValueType::Int, column, n, &no_texts);
    view.is_valid(i).then(|| view.bits(i))
}

fn view<'a>(ty: ValueType, column: &'a Column, n: usize, texts: &'a Dictionary) -> ColumnView<'a> {
    ColumnView::new("a column", ty, n, column, texts).unwrap_or_else(|why| panic!("{why}"))
}

/// The i-th value, n times.
pub fn repeat(column: &Column, i: usize, n: usize) -> Column {
    let value = column.values.get(i * 8..i * 8 + 8).unwrap_or(&[0; 8]);
    let valid =
        Bits::new("validity", &column.validity, column.values.len() / 8).is_ok_and(|bits| bits.get(i));
    Column {
        validity: if valid { Vec::new() } else { vec![0; n.div_ceil(8)] },
        values: value.repeat(n),
        offsets: Vec::new(),
    }
}

/// The only row of an output.
pub fn out(output: &Output, column: &Column, texts: &Dictionary) -> Out {
    let single = |view: &ColumnView<'_>, i: usize| match output.value_type {
        ValueType::Int => Out::Int(view.bits(i)),
        ValueType::Float => Out::Float(f64::from_bits(view.bits(i) as u64)),
        ValueType::Bool => Out::Bool(view.bits(i) != 0),
        ValueType::Time => Out::Time(Time(view.bits(i))),
        ValueType::Text => Out::Text(view.text(i).into()),
    };
    if output.is_list {
        if !Bits::new("validity", &column.validity, 1).is_ok_and(|bits| bits.get(0)) {
            return Out::Null;
        }
        let n = column.values.len() / 8;
        let flat = Column { values: column.values.clone(), ..Default::default() };
        let view = view(output.value_type, &flat, n, texts);
        return Out::List((0..n).map(|i| single(&view, i)).collect());
    }
    let view = view(output.value_type, column, 1, texts);
    if view.is_valid(0) { single(&view, 0) } else { Out::Null }
}

pub fn window_name(window: Window) -> String {
    match window {
        Window::Tumbling(length) => length_name(length),
        Window::Day => "day".into(),
        Window::Sliding { size, step } => format!("{}/{}", length_name(size), length_name(step)),
        Window::Session(gap) => format!("session-{}s", gap / 1_000_000),
        Window::Now => "now".into(),
    }
}

fn length_name(length: i64) -> String {
    for (unit, name) in [(3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms")] {
        if length % unit == 0 {
            return format!("{}{name}", length / unit);
        }
    }
    format!("{length}us")
}

/// Windows that a sample over [at, until) falls into, each with the part that lies in it; a point has
/// `until` = `at`.
pub fn windows_of(window: Window, at: Time, until: Time) -> Vec<(i64, i64, i64, i64)> {
    let (size, step) = match window {
        Window::Tumbling(length) => (length, length),
        Window::Day => (86_400_000_000, 86_400_000_000),
        Window::Sliding { size, step } => (size, step),
        Window::Now => return vec![(0, 0, 0, 0)],
        // A run of its own; the harness joins it with others.
        Window::Session(gap) => return vec![(at.0, until.0.max(at.0) + gap, at.0, until.0)],
    };
    let last = if until > at { until.0 - 1 } else { at.0 };
    let mut start = (at.0 - size).div_euclid(step) * step + step;
    let mut windows = Vec::new();
    while start <= last {
        let (from, to) = (at.0.max(start), until.0.min(start + size).max(at.0.max(start)));
        windows.push((start, start + size, from, to));
        start += step;
    }
    windows
}

/// The key in each dimension set.
pub fn keys_of(info: &MetricInfo, dims: &[String]) -> Vec<Vec<Option<String>>> {
    let n = info.dimensions.len();
    let sets: Vec<Vec<bool>> = if info.dimension_sets.is_empty() {
        (0..1u32 << n).map(|mask| (0..n).map(|i| mask >> i & 1 == 1).collect()).collect()
    } else {
        let within = |set: &Vec<String>| info.dimensions.iter().map(|name| set.contains(name)).collect();
        info.dimension_sets.iter().map(within).collect()
    };
    let key =
        |set: &Vec<bool>| dims.iter().zip(set).map(|(dim, within)| within.then(|| dim.clone())).collect();
    sets.iter().map(key).collect()
}
