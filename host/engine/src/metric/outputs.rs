//! From the guest's output columns to values, and their canonical hash.

use std::sync::Arc;
use weir_types::Micros;
use weir_types::contract::{Output, Outputs, PackedColumn, PackedDictionary, ValueType, pack};
use weir_types::rows::OutputValue;

/// The outputs of one slot. The columns must have been checked against `infos`.
pub fn row(outputs: &Outputs, infos: &[Output], row: usize) -> Arc<[OutputValue]> {
    let columns = outputs.columns.iter().zip(&outputs.dictionaries).zip(infos);
    columns.map(|((column, dictionary), info)| value(column, dictionary, info, row)).collect()
}

fn value(column: &PackedColumn, dictionary: &PackedDictionary, info: &Output, row: usize) -> OutputValue {
    if !pack::bit(&column.validity, row) {
        return OutputValue::Null;
    }
    if info.is_list {
        let range =
            pack::u32_at(&column.offsets, row) as usize..pack::u32_at(&column.offsets, row + 1) as usize;
        let raw = range.map(|i| pack::i64_at(&column.values, i));
        return match info.value_type {
            ValueType::Float => OutputValue::Floats(raw.map(|v| f64::from_bits(v as u64)).collect()),
            ValueType::Text => OutputValue::Texts(raw.map(|v| text(dictionary, v)).collect()),
            ValueType::Int | ValueType::Bool | ValueType::Time => OutputValue::Ints(raw.collect()),
        };
    }
    let raw = pack::i64_at(&column.values, row);
    match info.value_type {
        ValueType::Int => OutputValue::Int(raw),
        ValueType::Float => OutputValue::Float(f64::from_bits(raw as u64)),
        ValueType::Bool => OutputValue::Bool(raw != 0),
        ValueType::Time => OutputValue::Time(raw),
        ValueType::Text => OutputValue::Text(text(dictionary, raw)),
    }
}

/// Entry of a packed dictionary.
pub fn text(dictionary: &PackedDictionary, code: i64) -> String {
    let at = code as usize;
    let range =
        pack::u32_at(&dictionary.offsets, at) as usize..pack::u32_at(&dictionary.offsets, at + 1) as usize;
    String::from_utf8_lossy(&dictionary.bytes[range]).into_owned()
}

/// A hash of values, and of the end of a window that can move, that is the same in every process and
/// version. `scratch` is only there to be used again.
pub fn hash(values: &[OutputValue], end: Option<Micros>, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    // Serializing plain data into memory cannot fail.
    let mut bytes = postcard::to_extend(values, std::mem::take(scratch)).unwrap_or_default();
    bytes.extend(end.iter().flat_map(|end| end.to_le_bytes()));
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..8]);
    *scratch = bytes;
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(value_type: ValueType) -> Output {
        Output {
            name: "ids".into(),
            value_type,
            is_list: true,
            nullable: true,
            unit: "1".into(),
            description: String::new(),
        }
    }

    #[test]
    fn a_list_may_have_elements_or_none_or_be_null() {
        let column = PackedColumn {
            validity: vec![0b101],
            values: pack::i64s(&[7, -8]),
            offsets: pack::u32s(&[0, 2, 2, 2]),
        };
        let outputs = Outputs { columns: vec![column], dictionaries: vec![PackedDictionary::default()] };
        let rows = [0, 1, 2].map(|at| row(&outputs, &[list_of(ValueType::Int)], at)[0].clone());
        assert_eq!(rows, [OutputValue::Ints(vec![7, -8]), OutputValue::Null, OutputValue::Ints(vec![])]);
        let hashes: std::collections::BTreeSet<u64> =
            rows.iter().map(|value| hash(std::slice::from_ref(value), None, &mut Vec::new())).collect();
        assert_eq!(hashes.len(), 3, "null is told from an empty list");
    }

    #[test]
    fn lists_of_texts_and_floats_are_read_by_their_type() {
        let dictionary = PackedDictionary { offsets: pack::u32s(&[0, 1, 3]), bytes: b"abc".to_vec() };
        let column = |values: &[i64]| PackedColumn {
            validity: vec![],
            values: pack::i64s(values),
            offsets: pack::u32s(&[0, 2]),
        };
        let outputs = Outputs {
            columns: vec![column(&[1, 0]), column(&[0.5f64.to_bits() as i64, 0])],
            dictionaries: vec![dictionary, PackedDictionary::default()],
        };
        let read = row(&outputs, &[list_of(ValueType::Text), list_of(ValueType::Float)], 0);
        let texts = OutputValue::Texts(vec!["bc".into(), "a".into()]);
        assert_eq!(*read, [texts, OutputValue::Floats(vec![0.5, 0.0])]);
    }
}
