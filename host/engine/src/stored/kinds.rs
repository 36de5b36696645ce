//! Format that says what the windows and keys of one metric are.

use super::{append, body_of, encode_in, read, read_first};
use serde::{Deserialize, Serialize};
use weir_types::Micros;
use weir_types::contract::ValueType;
use weir_types::ports::StateError;

/// 2: the dimensions follow.
const FORMAT: u8 = 2;

/// The windows of one metric, in the order of their numbers in chunks, and its dimensions. Written when it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredKinds {
    /// In which days begin.
    pub time_zone: String,
    pub windows: Vec<String>,
    /// How long each is corrected, in microseconds.
    pub correct_for: Vec<Micros>,
    /// Windows that end by then are forgotten, whatever `correct_for` becomes.
    pub forgotten: Vec<Micros>,
    /// In the order of stored keys; None where an older host did not say.
    #[serde(skip)]
    pub dimensions: Option<Vec<(String, ValueType)>>,
}

/// Bytes of them.
pub fn encode_kinds(kinds: &StoredKinds) -> Vec<u8> {
    let mut bytes = encode_in(FORMAT, kinds);
    append(&mut bytes, &kinds.dimensions);
    bytes
}

/// They from their bytes, of this version or an older one.
pub fn decode_kinds(bytes: &[u8]) -> Result<StoredKinds, StateError> {
    let what = "windows of a metric";
    let (format, body) = body_of(what, bytes, FORMAT)?;
    let (kinds, rest) = read_first::<StoredKinds>(what, body)?;
    let dimensions = if format == 1 { None } else { read(what, rest)? };
    Ok(StoredKinds { dimensions, ..kinds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_the_first_format_do_not_say_of_which_dimensions_they_are() {
        let dimensions = Some(vec![("queue_id".to_string(), ValueType::Int)]);
        let (time_zone, windows) = ("UTC".to_string(), vec!["1m".to_string()]);
        let kinds = StoredKinds { time_zone, windows, correct_for: vec![7], forgotten: vec![-1], dimensions };
        assert_eq!(decode_kinds(&encode_kinds(&kinds)).expect("readable"), kinds);
        let first = encode_in(1, &kinds);
        let read = decode_kinds(&first).expect("readable");
        assert_eq!(read, StoredKinds { dimensions: None, ..kinds });
    }
}
