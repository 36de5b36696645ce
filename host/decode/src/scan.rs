//! Finding the end of a JSON value, as strictly as the general parser does: what is passed over here
//! is valid JSON, so a record cannot be accepted on one path and refused on the other.
//!
//! All functions answer None where the bytes are no valid value (or nested deeper than 64 levels,
//! which the general parser then deals with).

use crate::simd;

/// A string's place: bytes `start..end` lie between its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    pub start: usize,
    pub end: usize,
    /// Whether it has escapes to be resolved.
    pub escaped: bool,
}

/// End of the value that begins at `at`.
#[inline(always)]
pub(crate) fn value(b: &[u8], at: usize) -> Option<usize> {
    match *b.get(at)? {
        b'"' => string(b, at).map(|text| text.end + 1),
        b'{' | b'[' => container(b, at),
        _ => scalar(b, at),
    }
}

#[inline(always)]
fn scalar(b: &[u8], at: usize) -> Option<usize> {
    match *b.get(at)? {
        b'"' => string(b, at).map(|text| text.end + 1),
        b'n' => word(b, at, b"null"),
        b't' => word(b, at, b"true"),
        b'f' => word(b, at, b"false"),
        _ => number(b, at),
    }
}

/// End of `word` if it stands at `at`.
#[inline(always)]
pub(crate) fn word(b: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    b.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// The string whose opening quote stands at `at`.
#[inline(always)]
pub(crate) fn string(b: &[u8], at: usize) -> Option<Text> {
    if *b.get(at)? != b'"' {
        return None;
    }
    let start = at + 1;
    let mut end = start;
    let (mut escaped, mut beyond_ascii) = (false, false);
    loop {
        match simd::block(b, end) {
            Some(block) => {
                let (stops, high) = simd::string_stops(block);
                let plain = stops.trailing_zeros().min(simd::BLOCK as u32);
                beyond_ascii |= high & ((1u32 << plain) - 1) != 0;
                end += plain as usize;
                if stops == 0 {
                    continue;
                }
            }
            None => {
                while let Some(&c) = b.get(end)
                    && c != b'"'
                    && c != b'\\'
                    && c >= 0x20
                {
                    beyond_ascii |= c >= 0x80;
                    end += 1;
                }
            }
        }
        match *b.get(end)? {
            b'"' => break,
            b'\\' => {
                end = escape(b, end)?;
                escaped = true;
            }
            _ => return None,
        }
    }
    if beyond_ascii {
        std::str::from_utf8(&b[start..end]).ok()?;
    }
    Some(Text { start, end, escaped })
}

/// End of the escape whose backslash stands at `at`.
fn escape(b: &[u8], at: usize) -> Option<usize> {
    match *b.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => b.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 6),
        _ => None,
    }
}

/// End of the digits from `at` on; there may be none.
#[inline(always)]
fn digits(b: &[u8], mut at: usize) -> usize {
    while let Some(block) = simd::block(b, at) {
        let others = simd::non_digits(block);
        if others != 0 {
            return at + others.trailing_zeros() as usize;
        }
        at += simd::BLOCK;
    }
    while b.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// End of the number that begins at `at`.
#[inline(always)]
pub(crate) fn number(b: &[u8], at: usize) -> Option<usize> {
    let first = if *b.get(at)? == b'-' { at + 1 } else { at };
    let end = digits(b, first);
    // At least one digit, and no zero before others.
    if end == first || (b[first] == b'0' && end > first + 1) {
        return None;
    }
    match b.get(end) {
        Some(b'.' | b'e' | b'E') => fraction(b, end),
        _ => Some(end),
    }
}

fn fraction(b: &[u8], mut at: usize) -> Option<usize> {
    if b.get(at) == Some(&b'.') {
        let end = digits(b, at + 1);
        if end == at + 1 {
            return None;
        }
        at = end;
    }
    if let Some(b'e' | b'E') = b.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = b.get(at) {
            at += 1;
        }
        let end = digits(b, at);
        if end == at {
            return None;
        }
        at = end;
    }
    Some(at)
}

#[inline(always)]
fn space(b: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = b.get(at) {
        at += 1;
    }
    at
}

/// End of a key and its colon.
#[inline(always)]
fn key(b: &[u8], at: usize) -> Option<usize> {
    let end = space(b, string(b, at)?.end + 1);
    (*b.get(end)? == b':').then_some(end + 1)
}

/// End of the object or list that begins at `at`.
fn container(b: &[u8], mut at: usize) -> Option<usize> {
    // The innermost level's kind is the lowest bit: 1 = object.
    let (mut kinds, mut depth) = (0u64, 0u32);
    'value: loop {
        at = space(b, at);
        let opening = *b.get(at)?;
        if opening == b'{' || opening == b'[' {
            if depth == u64::BITS {
                return None;
            }
            let is_object = opening == b'{';
            kinds = kinds << 1 | u64::from(is_object);
            depth += 1;
            at = space(b, at + 1);
            let closing = if is_object { b'}' } else { b']' };
            if *b.get(at)? != closing {
                if is_object {
                    at = key(b, at)?;
                }
                continue 'value;
            }
            // Empty: closed below.
        } else {
            at = scalar(b, at)?;
        }
        while depth > 0 {
            at = space(b, at);
            let is_object = kinds & 1 == 1;
            match *b.get(at)? {
                b',' => {
                    at += 1;
                    if is_object {
                        at = key(b, space(b, at))?;
                    }
                    continue 'value;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            at += 1;
            kinds >>= 1;
            depth -= 1;
        }
        return Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// End of the first value as serde_json sees it.
    fn oracle(bytes: &[u8]) -> Option<usize> {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
        values.next()?.ok()?;
        Some(values.byte_offset())
    }

    #[test]
    fn valid_values_end_where_they_end() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "12",
            "-12.5e+10",
            "1E5",
            "\"\"",
            "\"plain\"",
            "\"\\u00e9\\n\"",
            "\"größe 你好 and a bit longer than a block\"",
            "{}",
            "[]",
            "[[],{}]",
            "{ \"a\" : [1, 2 ,{\"b\":null}] }",
            "1795420800123456789012345678901234567890",
            "\"0123456789abcde\"",
            "\"0123456789abcdef\"",
        ] {
            for padding in ["", ",", "}", ",                                        "] {
                let record = format!("{text}{padding}");
                assert_eq!(value(record.as_bytes(), 0), Some(text.len()), "{record}");
            }
        }
    }

    #[test]
    fn what_is_no_json_has_no_end() {
        for text in [
            "",
            "nul",
            "truE",
            "-",
            "01",
            "1.",
            "1e",
            ".5",
            "+1",
            "\"open",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "{",
            "[1,",
            "[1,]",
            "{\"a\":}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":1,}",
            "[1}",
            "{\"a\":1]",
            "[1 2]",
            "\"\\",
        ] {
            assert_eq!(value(text.as_bytes(), 0), None, "{text}");
        }
        assert_eq!(value(b"\"\xff\"", 0), None, "not UTF-8");
        assert_eq!(value(b"\"0123456789abcdef0123456789abcdef\xc3\"                ", 0), None, "cut UTF-8");
    }

    #[test]
    fn deep_nesting_is_left_to_the_general_parser() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(value(deep(64).as_bytes(), 0), Some(128));
        assert_eq!(value(deep(65).as_bytes(), 0), None);
        assert_eq!(value(deep(1_000_000).as_bytes(), 0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn the_end_is_where_serde_json_sees_it(
            text in "[\\[\\]{}:,\"\\\\ntrue0-9.eE+ a-cfl\n é]{0,24}"
        ) {
            let bytes = text.as_bytes();
            if bytes.first().is_some_and(|b| !b.is_ascii_whitespace()) {
                let ours = value(bytes, 0);
                match oracle(bytes) {
                    Some(end) => prop_assert_eq!(ours, Some(end), "{}", text),
                    // serde_json's stream also minds what follows a scalar; the next literal does that here.
                    None => if let Some(end) = ours {
                        prop_assert_eq!(oracle(&bytes[..end]), Some(end), "{}", text);
                    }
                }
            }
        }
    }
}
