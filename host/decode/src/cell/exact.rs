//! Exact numbers: decimals, unsigned integers and bits, as each connector writes them.

use crate::scan;
use std::borrow::Cow;

/// The number · 10^scale; None if that is no whole number within i64. `text` is a JSON number.
pub(super) fn decimal(text: &[u8], scale: u8) -> Option<i64> {
    if scan::number(text, 0) != Some(text.len()) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let (mut unscaled, mut zeros) = (0i128, 0i64);
    for digit in whole.bytes().chain(fraction.bytes()) {
        // Zeros are kept back until another digit follows, so that any number of them may end it.
        if digit == b'0' {
            zeros += 1;
            continue;
        }
        unscaled = shifted(unscaled, zeros + 1)?.checked_add(i128::from(digit - b'0'))?;
        zeros = 0;
    }
    if unscaled == 0 {
        return Some(0);
    }
    let exponent: i64 = exponent.parse().ok()?;
    let shift = exponent.checked_add(zeros)?.checked_sub(fraction.len() as i64)?;
    let value = shifted(unscaled, shift.checked_add(i64::from(scale))?)?;
    i64::try_from(if negative { -value } else { value }).ok()
}

/// `value` · 10^`by`.
fn shifted(value: i128, by: i64) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    value.checked_mul(10i128.checked_pow(u32::try_from(by).ok()?)?)
}

/// Digits of a number from 0 to 2⁶⁴ − 1, written as it is or as the i64 of the same bits.
pub(super) fn unsigned(text: &[u8]) -> Option<Cow<'static, [u8]>> {
    let number = match super::integer(text) {
        Some(number) => number as u64,
        None if text.first() == Some(&b'+') => return None,
        None => std::str::from_utf8(text).ok()?.parse().ok()?,
    };
    Some(number.to_string().into_bytes().into())
}

/// The number whose big-endian two's complement `text` is in base64.
pub(super) fn unscaled(text: &[u8]) -> Option<i64> {
    let bytes = Bytes::of(text)?;
    let bytes = bytes.get();
    let fill = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let (above, low) = bytes.split_at(bytes.len().saturating_sub(8));
    let mut word = [fill; 8];
    word[8 - low.len()..].copy_from_slice(low);
    // Bytes above the eighth may only repeat the sign.
    let is_sign = (word[0] & 0x80 == 0) == (fill == 0) && above.iter().all(|b| *b == fill);
    is_sign.then_some(i64::from_be_bytes(word))
}

/// The bits whose little-endian bytes `text` is in base64.
pub(super) fn bits(text: &[u8]) -> Option<i64> {
    let bytes = Bytes::of(text)?;
    let bytes = bytes.get();
    let (low, above) = bytes.split_at(bytes.len().min(8));
    let mut word = [0; 8];
    word[..low.len()].copy_from_slice(low);
    let is_empty = low.is_empty() || above.iter().any(|b| *b != 0);
    if is_empty { None } else { i64::try_from(u64::from_le_bytes(word)).ok() }
}

/// Most bytes of a number in base64: MySQL's longest decimal has 65 digits, which take 28.
const BYTES_MAX: usize = 48;

/// What stood in base64.
struct Bytes {
    bytes: [u8; BYTES_MAX],
    len: usize,
}

impl Bytes {
    /// None if `text` is no padded base64 of the standard alphabet, or is too long.
    fn of(text: &[u8]) -> Option<Bytes> {
        let mut all = Bytes { bytes: [0; BYTES_MAX], len: 0 };
        if !text.len().is_multiple_of(4) || text.len() / 4 * 3 > BYTES_MAX {
            return None;
        }
        let groups = text.len() / 4;
        for (at, group) in text.chunks_exact(4).enumerate() {
            let padding = group.iter().rev().take_while(|c| **c == b'=').count();
            if padding > 2 || (padding > 0 && at + 1 < groups) {
                return None;
            }
            let mut word = 0u32;
            for c in &group[..4 - padding] {
                word = word << 6 | sextet(*c)?;
            }
            word <<= 6 * padding;
            let [_, bytes @ ..] = word.to_be_bytes();
            // Bits that no byte takes must be 0, so that bytes have one text only.
            if bytes[3 - padding..].iter().any(|b| *b != 0) {
                return None;
            }
            all.bytes[all.len..all.len + 3].copy_from_slice(&bytes);
            all.len += 3 - padding;
        }
        Some(all)
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn sextet(c: u8) -> Option<u32> {
    let value = match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Base64 by the book, to have something to read.
    fn base64(bytes: &[u8]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: String = bytes.iter().map(|b| format!("{b:08b}")).collect();
        let mut text: String = bits
            .as_bytes()
            .chunks(6)
            .map(|six| {
                let six = format!("{:0<6}", std::str::from_utf8(six).unwrap_or_default());
                char::from(alphabet[usize::from_str_radix(&six, 2).unwrap_or_default()])
            })
            .collect();
        while !text.len().is_multiple_of(4) {
            text.push('=');
        }
        text
    }

    #[test]
    fn decimals_of_every_writing_are_the_same_exact_number() {
        for text in ["12.345", "12.3450000", "1.2345e1", "12345E-3", "0.012345e+3"] {
            assert_eq!(decimal(text.as_bytes(), 3), Some(12_345), "{text}");
        }
        assert_eq!(decimal(b"-0.500", 3), Some(-500));
        assert_eq!(decimal(b"7", 3), Some(7_000));
        assert_eq!(decimal(b"1.0E7", 0), Some(10_000_000));
        assert_eq!(decimal(b"0e999999999999999999999", 3), Some(0));
        assert_eq!(decimal(b"0.00", 0), Some(0));
        assert_eq!(decimal(b"9223372036854775.807", 3), Some(i64::MAX));
        assert_eq!(decimal(format!("1.{}", "0".repeat(60)).as_bytes(), 2), Some(100));
        assert_eq!(unscaled(b"MDk="), Some(12_345));
        assert_eq!(unscaled(b"/gw="), Some(-500));
        assert_eq!(unscaled(b"AA=="), Some(0));
    }

    #[test]
    fn what_is_no_whole_number_of_the_smallest_unit_does_not_fit() {
        for text in [
            "12.3456",
            "1e-4",
            "9223372036854775.808",
            "1e99",
            "1e999999999999999999999",
            "",
            ".5",
            "+1",
            "x",
        ] {
            assert_eq!(decimal(text.as_bytes(), 3), None, "{text}");
        }
        for text in ["", "MDk", "M===", "MDk=MDk=", "MD k", "MDl=", "gAAAAAAAAAAA", "AIAAAAAAAAAA", "12.345"]
        {
            assert_eq!(unscaled(text.as_bytes()), None, "{text}");
        }
        assert_eq!(unscaled(base64(&[0xff; 60]).as_bytes()), None, "too long");
    }

    #[test]
    fn bits_are_little_endian() {
        assert_eq!(bits(b"gQ=="), Some(129));
        assert_eq!(bits(base64(&[1, 2]).as_bytes()), Some(513));
        assert_eq!(bits(base64(&[0xff; 8]).as_bytes()), None, "2^64 - 1 is no i64");
        assert_eq!(bits(base64(&[1, 0, 0, 0, 0, 0, 0, 0, 0]).as_bytes()), Some(1));
        assert_eq!(bits(b""), None);
    }

    proptest! {
        #[test]
        fn unscaled_numbers_are_read_back(n: i64, padding in 0usize..20) {
            let mut bytes = n.to_be_bytes().to_vec();
            while bytes.len() > 1 && (bytes[0] == 0 && bytes[1] < 0x80 || bytes[0] == 0xff && bytes[1] >= 0x80) {
                bytes.remove(0);
            }
            prop_assert_eq!(unscaled(base64(&bytes).as_bytes()), Some(n));
            let mut longer = vec![if n < 0 { 0xff } else { 0 }; padding];
            longer.extend_from_slice(&bytes);
            prop_assert_eq!(unscaled(base64(&longer).as_bytes()), Some(n));
        }
        #[test]
        fn decimals_are_read_back(n: i64, scale in 0u8..=18) {
            let digits = format!("{:0>20}", n.unsigned_abs());
            let (whole, fraction) = digits.split_at(20 - usize::from(scale));
            let whole = whole.trim_start_matches('0');
            let whole = if whole.is_empty() { "0" } else { whole };
            let sign = if n < 0 { "-" } else { "" };
            let text = if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
            prop_assert_eq!(decimal(text.as_bytes(), scale), Some(n));
        }
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), scale in 0u8..=18) {
            let _ = (decimal(&bytes, scale), unscaled(&bytes), bits(&bytes), unsigned(&bytes));
        }
    }
}
