//! Everything that a guest gives back is looked at before anybody uses it. The texts go after "the
//! metric broke the contract: ".

use crate::bindings::weir::metric::types as wit;
use crate::limits::Limits;
use weir_types::contract::{
    Field, MetricInfo, Output, Outputs, PackedColumn, PackedDictionary, Samples, States, ValueType, pack,
};

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
}

/// What one column must look like.
struct Expected<'a> {
    name: &'a str,
    ty: ValueType,
    nullable: bool,
    is_list: bool,
    rows: usize,
}

pub fn samples(given: wit::Samples, rows: u32, images: bool, shape: &Shape) -> Result<Samples, String> {
    let count = entries(&given.rows, 4, "rows")?;
    let rejects: Vec<(u32, String)> = given.rejects.into_iter().map(|r| (r.row, r.reason)).collect();
    if count.max(rejects.len()) > shape.limits.rows_returned {
        return Err(format!("{count} samples are more than the limit of {}", shape.limits.rows_returned));
    }
    check_rows(&given.rows, count, rows, &rejects)?;
    length(&given.weights, count * 8, "weights", true)?;
    for i in 0..given.weights.len() / 8 {
        let weight = pack::i64_at(&given.weights, i);
        if weight == 0 || (images && weight < 0) {
            return Err(format!("sample {i} has weight {weight}"));
        }
    }
    length(&given.images, count.div_ceil(8), "images", true)?;
    length(&given.times_validity, count.div_ceil(8), "times-validity", true)?;
    length(&given.times, if images { 0 } else { count * 8 }, "times", false)?;
    length(&given.untils, count * 8, "untils", true)?;
    let fields = || shape.values.iter().chain(&shape.computed);
    let columns: Vec<PackedColumn> = given.values.into_iter().map(column).collect();
    let computed: Vec<PackedColumn> = given.computed.into_iter().map(column).collect();
    if columns.len() != shape.values.len() || computed.len() != shape.computed.len() {
        return Err("samples have another number of columns than the description".into());
    }
    let dictionaries = all_dictionaries(given.dictionaries, fields().map(|f| f.value_type))?;
    for ((column, dictionary), field) in columns.iter().chain(&computed).zip(&dictionaries).zip(fields()) {
        let expected = Expected {
            name: &field.name,
            ty: field.value_type,
            nullable: field.nullable,
            is_list: false,
            rows: count,
        };
        check_column(column, dictionary, &expected)?;
    }
    Ok(Samples {
        rows: given.rows,
        weights: given.weights,
        images: given.images,
        times: given.times,
        times_validity: given.times_validity,
        untils: given.untils,
        values: columns,
        computed,
        dictionaries,
        rejects,
    })
}

/// Rows must exist, must not fall, and none may be given and refused at once.
fn check_rows(packed: &[u8], count: usize, rows: u32, rejects: &[(u32, String)]) -> Result<(), String> {
    let mut before = 0;
    for i in 0..count {
        let row = pack::u32_at(packed, i);
        if row >= rows || row < before {
            return Err(format!("sample {i} names row {row} of {rows}, after row {before}"));
        }
        before = row;
    }
    for (row, _) in rejects {
        let given = || (0..count).any(|i| pack::u32_at(packed, i) == *row);
        if *row >= rows || given() {
            return Err(format!("row {row} of {rows} is refused, but does not exist or gave a sample"));
        }
    }
    Ok(())
}

pub fn outputs(given: wit::Outputs, slots: usize, shape: &Shape) -> Result<Outputs, String> {
    if given.columns.len() != shape.outputs.len() {
        return Err(format!("{} output columns instead of {}", given.columns.len(), shape.outputs.len()));
    }
    let columns: Vec<PackedColumn> = given.columns.into_iter().map(column).collect();
    let bytes: usize = columns.iter().map(|c| c.values.len() + c.offsets.len()).sum();
    if bytes > shape.limits.bytes_returned {
        return Err(format!(
            "{bytes} bytes of outputs are more than the limit of {}",
            shape.limits.bytes_returned
        ));
    }
    let dictionaries = all_dictionaries(given.dictionaries, shape.outputs.iter().map(|o| o.value_type))?;
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

pub fn states(given: wit::StatesResult, slots: usize, shape: &Shape) -> Result<States, String> {
    if given.bytes.len() > shape.limits.bytes_returned {
        let limit = shape.limits.bytes_returned;
        return Err(format!("{} bytes of state are more than the limit of {limit}", given.bytes.len()));
    }
    check_offsets(&given.offsets, slots, given.bytes.len(), "states")?;
    Ok(States { offsets: given.offsets, bytes: given.bytes })
}

fn column(column: wit::ColumnResult) -> PackedColumn {
    PackedColumn { validity: column.validity, values: column.values, offsets: column.offsets }
}

fn all_dictionaries(
    given: Vec<wit::DictionaryResult>,
    types: impl Iterator<Item = ValueType>,
) -> Result<Vec<PackedDictionary>, String> {
    let types: Vec<ValueType> = types.collect();
    if given.len() != types.len() {
        return Err(format!("{} dictionaries for {} columns", given.len(), types.len()));
    }
    let mut dictionaries = Vec::with_capacity(given.len());
    for (given, ty) in given.into_iter().zip(types) {
        let dictionary = PackedDictionary { offsets: given.offsets, bytes: given.bytes };
        if ty == ValueType::Text && !dictionary.offsets.is_empty() {
            check_dictionary(&dictionary)?;
        }
        dictionaries.push(dictionary);
    }
    Ok(dictionaries)
}

fn check_dictionary(dictionary: &PackedDictionary) -> Result<(), String> {
    let texts = (dictionary.offsets.len() / 4).saturating_sub(1);
    check_offsets(&dictionary.offsets, texts, dictionary.bytes.len(), "dictionary")?;
    let text = std::str::from_utf8(&dictionary.bytes).map_err(|_| "a dictionary is not UTF-8")?;
    let cut = (0..=texts).any(|i| !text.is_char_boundary(pack::u32_at(&dictionary.offsets, i) as usize));
    if cut { Err("a dictionary cuts a character in two".into()) } else { Ok(()) }
}

fn check_column(
    column: &PackedColumn,
    texts: &PackedDictionary,
    expected: &Expected<'_>,
) -> Result<(), String> {
    let name = expected.name;
    length(&column.validity, expected.rows.div_ceil(8), name, true)?;
    let count = if expected.is_list {
        let count = entries(&column.values, 8, name)?;
        check_offsets(&column.offsets, expected.rows, count, name)?;
        count
    } else {
        length(&column.offsets, 0, name, false)?;
        length(&column.values, expected.rows * 8, name, false)?;
        expected.rows
    };
    let valid = |i: usize| expected.is_list || pack::bit(&column.validity, i);
    if !expected.nullable && (0..expected.rows).any(|i| !pack::bit(&column.validity, i)) {
        return Err(format!("{name} is null, but is not described as nullable"));
    }
    let known = (texts.offsets.len() / 4).saturating_sub(1) as i64;
    for i in (0..count).filter(|i| valid(*i)) {
        let value = pack::i64_at(&column.values, i);
        let fits = match expected.ty {
            ValueType::Int | ValueType::Time => true,
            ValueType::Bool => value == 0 || value == 1,
            ValueType::Float => f64::from_bits(value as u64).is_finite(),
            ValueType::Text => (0..known).contains(&value),
        };
        if !fits {
            return Err(format!("{name} has a value that is no {:?}: {value:#x}", expected.ty));
        }
    }
    Ok(())
}

fn check_offsets(packed: &[u8], rows: usize, end: usize, what: &str) -> Result<(), String> {
    length(packed, (rows + 1) * 4, what, false)?;
    let mut before = 0;
    for i in 0..=rows {
        let at = pack::u32_at(packed, i);
        if at < before || at as usize > end {
            return Err(format!("{what}: offset {i} is {at}, after {before}, of {end}"));
        }
        before = at;
    }
    Ok(())
}

fn entries(packed: &[u8], width: usize, what: &str) -> Result<usize, String> {
    match packed.len() % width {
        0 => Ok(packed.len() / width),
        _ => Err(format!("{what}: {} bytes are no whole number of entries", packed.len())),
    }
}

fn length(bytes: &[u8], expected: usize, what: &str, or_empty: bool) -> Result<(), String> {
    if bytes.len() == expected || (or_empty && bytes.is_empty()) {
        return Ok(());
    }
    Err(format!("{what}: {} bytes instead of {expected}", bytes.len()))
}

#[cfg(test)]
mod tests;
