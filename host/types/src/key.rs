//! Canonical text of dimension values: what stands in `dims` of every row and in the API.
//!
//! Rendered from the declared type, so `10`, `"10"` of different formats become one key.
//!
//! | type | text |
//! |---|---|
//! | null | `\N` |
//! | int | decimal, `-` if negative |
//! | bool | `true`, `false` |
//! | float | shortest decimal that reads back as the same double |
//! | time | microseconds since the Unix epoch, decimal |
//! | text | itself, with each `\` doubled (so that no text is `\N`) |

use crate::contract::ValueType;

/// The text of null.
pub const NULL: &str = "\\N";

/// Canonical text of a scalar. `text` is looked at only for [`ValueType::Text`].
pub fn render(ty: ValueType, value: Option<i64>, text: impl FnOnce(u32) -> String) -> String {
    let Some(value) = value else { return NULL.to_string() };
    match ty {
        ValueType::Int | ValueType::Time => value.to_string(),
        ValueType::Bool => (value != 0).to_string(),
        ValueType::Float => f64::from_bits(value as u64).to_string(),
        ValueType::Text => escape(&text(value as u32)),
    }
}

/// Doubles each backslash.
pub fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
}

/// A dimension value for people: None for null, else the text as it was.
pub fn unescape(dim: &str) -> Option<String> {
    (dim != NULL).then(|| dim.replace("\\\\", "\\"))
}

/// Name of a dimension set: its dimensions joined by commas; the grand total is `""`.
pub fn set_name<S: AsRef<str>>(dimensions: &[S]) -> String {
    dimensions.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_looks_like_null_is_told_apart_from_null() {
        let text = render(ValueType::Text, Some(0), |_| "\\N".into());
        assert_ne!(text, NULL);
        assert_eq!(unescape(&text).as_deref(), Some("\\N"));
        assert_eq!(unescape(NULL), None);
    }

    #[test]
    fn every_type_has_one_text() {
        let no = |_| String::new();
        assert_eq!(render(ValueType::Int, Some(-10), no), "-10");
        assert_eq!(render(ValueType::Bool, Some(1), no), "true");
        assert_eq!(render(ValueType::Float, Some(0.5f64.to_bits() as i64), no), "0.5");
        assert_eq!(render(ValueType::Int, None, no), NULL);
    }
}
