//! From the guest's output columns to values, and their canonical hash.

use weir_types::Micros;
use weir_types::contract::{Output, Outputs, PackedColumn, PackedDictionary, ValueType, pack};
use weir_types::rows::OutputValue;

/// The outputs of one slot. The columns must have been checked against `infos`.
pub fn row(outputs: &Outputs, infos: &[Output], row: usize) -> Vec<OutputValue> {
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
