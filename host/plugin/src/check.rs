//! Everything that a guest gives back is looked at before anybody uses it. The texts go after "the
//! metric broke the contract: ".

mod column;

use crate::bindings::weir::metric::types as wit;
use crate::guest::cut;
use crate::limits::Limits;
use column::{
    Expected, check_column, check_offsets, column, dictionaries, entries, i64s, length, length_or_empty, u32s,
};
use weir_types::contract::{Field, MetricInfo, Output, Outputs, PackedColumn, Samples, States, pack};

/// Bytes kept of the reason for which a guest refuses a row.
const MAX_REASON_BYTES: usize = 500;

/// What answers must look like.
#[derive(Clone, Debug)]
pub struct Shape {
    pub values: Vec<Field>,
    pub computed: Vec<Field>,
    pub outputs: Vec<Output>,
    pub limits: Limits,
}

impl Shape {
    pub fn of(info: &MetricInfo, limits: &Limits) -> Shape {
        Shape {
            values: info.values.clone(),
            computed: info.computed_dimensions.clone(),
            outputs: info.outputs.clone(),
            limits: limits.clone(),
        }
    }

    /// The shape before `describe` has told one.
    pub fn unknown(limits: &Limits) -> Shape {
        Shape { values: vec![], computed: vec![], outputs: vec![], limits: limits.clone() }
    }
}

/// What samples were asked of.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// So many changes, and which of them have a before and an after image.
    Changes { rows: u32, before: &'a [u8], after: &'a [u8] },
    /// So many images.
    Images { rows: u32 },
}

impl Asked<'_> {
    fn rows(&self) -> u32 {
        match *self {
            Asked::Changes { rows, .. } | Asked::Images { rows } => rows,
        }
    }
}

pub fn samples(given: wit::Samples, asked: Asked<'_>, shape: &Shape) -> Result<Samples, String> {
    let count = entries(&given.rows, 4, "rows")?;
    let limit = shape.limits.rows_returned;
    if count.max(given.rejects.len()) > limit {
        let rejects = given.rejects.len();
        return Err(format!("{count} samples and {rejects} refused rows are more than the limit of {limit}"));
    }
    check_rows(&given.rows, asked.rows())?;
    length_or_empty(&given.weights, count * 8, "weights")?;
    let least = if matches!(asked, Asked::Images { .. }) { 1 } else { i64::MIN };
    if i64s(&given.weights).fold(false, |wrong, w| wrong | (w == 0) | (w < least)) {
        let wrong = i64s(&given.weights).find(|w| *w == 0 || *w < least).unwrap_or_default();
        return Err(format!("a sample has weight {wrong}"));
    }
    length_or_empty(&given.images, count.div_ceil(8), "images")?;
    length_or_empty(&given.times_validity, count.div_ceil(8), "times-validity")?;
    match asked {
        Asked::Changes { before, after, .. } => {
            check_images(&given, before, after)?;
            length(&given.times, count * 8, "times")?;
            length_or_empty(&given.untils, count * 8, "untils")?;
            check_spans(&given)?;
        }
        Asked::Images { .. } => {
            length(&given.times, 0, "times")?;
            length(&given.untils, 0, "untils")?;
        }
    }
    let rejects = rejects(given.rejects, &given.rows, asked.rows())?;
    let values: Vec<PackedColumn> = given.values.into_iter().map(column).collect();
    let computed: Vec<PackedColumn> = given.computed.into_iter().map(column).collect();
    for (what, columns, fields) in
        [("values", &values, &shape.values), ("computed dimensions", &computed, &shape.computed)]
    {
        if columns.len() != fields.len() {
            return Err(format!("{} columns of {what} instead of {}", columns.len(), fields.len()));
        }
    }
    let fields: Vec<&Field> = shape.values.iter().chain(&shape.computed).collect();
    let dictionaries = dictionaries(given.dictionaries, fields.iter().map(|f| f.value_type))?;
    for ((column, dictionary), field) in values.iter().chain(&computed).zip(&dictionaries).zip(fields) {
        let Field { name, value_type: ty, nullable } = field;
        let expected = Expected { name, ty: *ty, nullable: *nullable, is_list: false, rows: count };
        check_column(column, dictionary, &expected)?;
    }
    Ok(Samples {
        rows: given.rows,
        weights: given.weights,
        images: given.images,
        times: given.times,
        times_validity: given.times_validity,
        untils: given.untils,
        values,
        computed,
        dictionaries,
        rejects,
    })
}

/// Rows must exist and must not fall.
fn check_rows(packed: &[u8], rows: u32) -> Result<(), String> {
    let Some(last) = u32s(packed).last() else { return Ok(()) };
    let falls = u32s(packed).zip(u32s(&packed[4..])).fold(false, |falls, (a, b)| falls | (a > b));
    if falls {
        return Err("samples do not stand in the order of their rows".into());
    }
    if last >= rows {
        return Err(format!("a sample names row {last} of {rows}"));
    }
    Ok(())
}

/// The image that gives a sample's dimensions must be there.
fn check_images(given: &wit::Samples, before: &[u8], after: &[u8]) -> Result<(), String> {
    if given.images.is_empty() && after.is_empty() {
        return Ok(());
    }
    for (sample, row) in u32s(&given.rows).enumerate() {
        let (image, name) = match pack::bit(&given.images, sample) {
            true => (after, "after"),
            false => (before, "before"),
        };
        if !pack::bit(image, row as usize) {
            return Err(format!("a sample takes its dimensions from row {row}, which has no {name} image"));
        }
    }
    Ok(())
}

fn check_spans(given: &wit::Samples) -> Result<(), String> {
    let spans = i64s(&given.times).zip(i64s(&given.untils)).enumerate();
    for (sample, (time, until)) in spans {
        if until < time && pack::bit(&given.times_validity, sample) {
            return Err(format!("a span ends at {until}, before it begins at {time}"));
        }
    }
    Ok(())
}

/// Refused rows must exist, once each, and must not have given a sample.
fn rejects(given: Vec<wit::Reject>, sampled: &[u8], rows: u32) -> Result<Vec<(u32, String)>, String> {
    let sampled = sampled.as_chunks::<4>().0;
    let has_sample = |row| sampled.binary_search_by_key(&row, |entry| u32::from_le_bytes(*entry)).is_ok();
    let mut refused: Vec<u32> = given.iter().map(|reject| reject.row).collect();
    refused.sort_unstable();
    if refused.last().is_some_and(|last| *last >= rows) {
        return Err(format!("a row is refused that does not exist: only {rows} were shown"));
    }
    if refused.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a row is refused twice".into());
    }
    if let Some(row) = refused.into_iter().find(|row| has_sample(*row)) {
        return Err(format!("row {row} is refused and gives a sample as well"));
    }
    Ok(given.into_iter().map(|r| (r.row, cut(&r.reason, MAX_REASON_BYTES).to_string())).collect())
}

pub fn outputs(given: wit::Outputs, slots: usize, shape: &Shape) -> Result<Outputs, String> {
    if given.columns.len() != shape.outputs.len() {
        return Err(format!("{} output columns instead of {}", given.columns.len(), shape.outputs.len()));
    }
    let columns: Vec<PackedColumn> = given.columns.into_iter().map(column).collect();
    let dictionaries = dictionaries(given.dictionaries, shape.outputs.iter().map(|o| o.value_type))?;
    for ((column, dictionary), output) in columns.iter().zip(&dictionaries).zip(&shape.outputs) {
        let expected = Expected {
            name: &output.name,
            ty: output.value_type,
            nullable: output.nullable,
            is_list: output.is_list,
            rows: slots,
        };
        check_column(column, dictionary, &expected)?;
    }
    Ok(Outputs { columns, dictionaries })
}

pub fn states(given: wit::StatesResult, slots: usize) -> Result<States, String> {
    check_offsets(&given.offsets, slots, given.bytes.len(), "states")?;
    Ok(States { offsets: given.offsets, bytes: given.bytes })
}

#[cfg(test)]
mod tests;
