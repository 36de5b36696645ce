//! Columns, dictionaries and packed lists: the parts of every answer. Written so that the compiler can
//! make wide instructions of the loops: they fold over all values, and only a failure is searched for.

use crate::bindings::weir::metric::types as wit;
use weir_types::contract::{PackedColumn, PackedDictionary, ValueType, pack};

/// What one column must look like.
pub struct Expected<'a> {
    pub name: &'a str,
    pub ty: ValueType,
    pub nullable: bool,
    pub is_list: bool,
    pub rows: usize,
}

pub fn column(column: wit::ColumnResult) -> PackedColumn {
    PackedColumn { validity: column.validity, values: column.values, offsets: column.offsets }
}

/// The entries of a packed u32 list.
pub fn u32s(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.as_chunks::<4>().0.iter().map(|entry| u32::from_le_bytes(*entry))
}

/// The entries of a packed i64 list.
pub fn i64s(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|entry| i64::from_le_bytes(*entry))
}

pub fn entries(packed: &[u8], width: usize, what: &str) -> Result<usize, String> {
    match packed.len() % width {
        0 => Ok(packed.len() / width),
        _ => Err(format!("{what}: {} bytes are no whole number of entries", packed.len())),
    }
}

pub fn length(bytes: &[u8], expected: usize, what: &str) -> Result<(), String> {
    match bytes.len() == expected {
        true => Ok(()),
        false => Err(format!("{what}: {} bytes instead of {expected}", bytes.len())),
    }
}

pub fn length_or_empty(bytes: &[u8], expected: usize, what: &str) -> Result<(), String> {
    if bytes.is_empty() { Ok(()) } else { length(bytes, expected, what) }
}

/// Offsets of so many entries into so much: from 0, never falling, to the end.
pub fn check_offsets(packed: &[u8], entries: usize, end: usize, what: &str) -> Result<(), String> {
    length(packed, (entries + 1) * 4, what)?;
    let falls = u32s(packed).zip(u32s(&packed[4..])).fold(false, |falls, (a, b)| falls | (a > b));
    let (first, last) = (pack::u32_at(packed, 0), pack::u32_at(packed, entries));
    if falls || first != 0 || last as usize != end {
        return Err(format!(
            "{what}: offsets must not fall and go from 0 to {end}, not from {first} to {last}"
        ));
    }
    Ok(())
}

/// One dictionary for each column; none but those of text columns may hold anything.
pub fn dictionaries(
    given: Vec<wit::DictionaryResult>,
    types: impl ExactSizeIterator<Item = ValueType>,
) -> Result<Vec<PackedDictionary>, String> {
    if given.len() != types.len() {
        return Err(format!("{} dictionaries for {} columns", given.len(), types.len()));
    }
    let check = |(given, ty): (wit::DictionaryResult, ValueType)| {
        let dictionary = PackedDictionary { offsets: given.offsets, bytes: given.bytes };
        check_dictionary(&dictionary, ty)?;
        Ok(dictionary)
    };
    given.into_iter().zip(types).map(check).collect()
}

pub fn check_dictionary(dictionary: &PackedDictionary, ty: ValueType) -> Result<(), String> {
    let PackedDictionary { offsets, bytes } = dictionary;
    if offsets.is_empty() && bytes.is_empty() {
        return Ok(());
    }
    if ty != ValueType::Text {
        return Err("a column that holds no text has a dictionary that is not empty".into());
    }
    let texts = text_count(dictionary);
    check_offsets(offsets, texts, bytes.len(), "dictionary")?;
    let all = std::str::from_utf8(bytes).map_err(|_| "a dictionary is not UTF-8")?;
    if u32s(offsets).any(|at| !all.is_char_boundary(at as usize)) {
        return Err("a dictionary cuts a character in two".into());
    }
    let mut sorted: Vec<&str> =
        u32s(offsets).zip(u32s(&offsets[4..])).map(|(from, to)| &all[from as usize..to as usize]).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("a dictionary holds {:?} twice", pair[0])),
        None => Ok(()),
    }
}

fn text_count(dictionary: &PackedDictionary) -> usize {
    (dictionary.offsets.len() / 4).saturating_sub(1)
}

pub fn check_column(
    column: &PackedColumn,
    texts: &PackedDictionary,
    expected: &Expected<'_>,
) -> Result<(), String> {
    let (name, rows) = (expected.name, expected.rows);
    length_or_empty(&column.validity, rows.div_ceil(8), name)?;
    let nulls = null_count(&column.validity, rows);
    if nulls > 0 && !expected.nullable {
        return Err(format!("{name} is null, but is not described as nullable"));
    }
    if expected.is_list {
        let elements = entries(&column.values, 8, name)?;
        check_offsets(&column.offsets, rows, elements, name)?;
        if nulls > 0 && (0..rows).any(|i| !pack::bit(&column.validity, i) && list_len(column, i) > 0) {
            return Err(format!("{name}: a list that is null has elements"));
        }
    } else {
        length(&column.offsets, 0, name)?;
        length(&column.values, rows * 8, name)?;
        if nulls > 0 && null_values(column) != 0 {
            return Err(format!("{name}: a value that is null must be written as 0"));
        }
    }
    // A null's value is 0, which fits every type but a text without a dictionary.
    let values = if expected.is_list { column.values.len() / 8 } else { rows - nulls };
    if values == 0 || all_fit(&column.values, expected.ty, text_count(texts) as u64) {
        return Ok(());
    }
    let fits = |value: &i64| all_fit(&value.to_le_bytes(), expected.ty, text_count(texts) as u64);
    let wrong = i64s(&column.values).find(|value| !fits(value)).unwrap_or_default();
    Err(match expected.ty {
        ValueType::Float => format!("{name} is {}, which is no number", f64::from_bits(wrong as u64)),
        ValueType::Text => format!("{name} names text {wrong} of {}", text_count(texts)),
        ty => format!("{name} has the value {wrong}, which is no {ty:?}"),
    })
}

fn list_len(column: &PackedColumn, row: usize) -> u32 {
    pack::u32_at(&column.offsets, row + 1) - pack::u32_at(&column.offsets, row)
}

/// Zeros among the first n bits.
fn null_count(validity: &[u8], n: usize) -> usize {
    let Some((last, whole)) = validity.split_last() else { return 0 };
    let ones: usize = whole.iter().map(|b| b.count_ones() as usize).sum();
    let in_last = n - whole.len() * 8;
    let mask = if in_last == 8 { 0xff } else { (1u8 << in_last) - 1 };
    n - ones - (last & mask).count_ones() as usize
}

/// The bits of all values that stand where a row is null.
fn null_values(column: &PackedColumn) -> i64 {
    let values = i64s(&column.values).enumerate();
    values.fold(0, |found, (i, value)| {
        let there = i64::from(column.validity[i >> 3] >> (i & 7) & 1);
        found | (value & (there - 1))
    })
}

fn all_fit(values: &[u8], ty: ValueType, texts: u64) -> bool {
    const EXPONENT: i64 = 0x7ff0_0000_0000_0000;
    match ty {
        ValueType::Int | ValueType::Time => true,
        ValueType::Bool => i64s(values).fold(0, |all, value| all | value) & !1 == 0,
        ValueType::Float => !i64s(values).fold(false, |wrong, value| wrong | (value & EXPONENT == EXPONENT)),
        ValueType::Text => i64s(values).fold(0, |most, value| most.max(value as u64)) < texts,
    }
}
