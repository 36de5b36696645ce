//! Looking at 16 bytes at once. SSE2 is part of every x86-64; elsewhere plain loops that the
//! compiler vectorises as it can. Bit i of every mask stands for byte i.

/// Bytes looked at in one step.
pub(crate) const BLOCK: usize = 16;

/// The block that begins at `at`, if all of it lies within `bytes`.
#[inline(always)]
pub(crate) fn block(bytes: &[u8], at: usize) -> Option<&[u8; BLOCK]> {
    bytes.get(at..)?.first_chunk()
}

#[cfg(target_arch = "x86_64")]
pub(crate) use sse2::{differs, non_digits, string_stops};

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use portable::{differs, non_digits, string_stops};

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use super::BLOCK;
    use std::arch::x86_64::*;

    #[inline(always)]
    fn load(block: &[u8; BLOCK]) -> __m128i {
        // SAFETY: the reference covers 16 readable bytes, and the load needs no alignment.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    /// (Bytes at which the plain part of a string ends: quote, backslash, control; bytes ≥ 0x80).
    #[inline(always)]
    pub(crate) fn string_stops(block: &[u8; BLOCK]) -> (u32, u32) {
        let v = load(block);
        // SAFETY: SSE2 is part of the x86-64 baseline.
        unsafe {
            let quote = _mm_cmpeq_epi8(v, _mm_set1_epi8(b'"' as i8));
            let escape = _mm_cmpeq_epi8(v, _mm_set1_epi8(b'\\' as i8));
            let control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
            let stops = _mm_or_si128(_mm_or_si128(quote, escape), control);
            (_mm_movemask_epi8(stops) as u32, _mm_movemask_epi8(v) as u32)
        }
    }

    /// Bytes that are no decimal digits.
    #[inline(always)]
    pub(crate) fn non_digits(block: &[u8; BLOCK]) -> u32 {
        let v = load(block);
        // SAFETY: SSE2 is part of the x86-64 baseline.
        unsafe {
            let from_zero = _mm_sub_epi8(v, _mm_set1_epi8(b'0' as i8));
            let digit = _mm_cmpeq_epi8(_mm_min_epu8(from_zero, _mm_set1_epi8(9)), from_zero);
            !(_mm_movemask_epi8(digit) as u32) & 0xffff
        }
    }

    /// Bytes in which the blocks differ.
    #[inline(always)]
    pub(crate) fn differs(a: &[u8; BLOCK], b: &[u8; BLOCK]) -> u32 {
        let (a, b) = (load(a), load(b));
        // SAFETY: SSE2 is part of the x86-64 baseline.
        unsafe { !(_mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) as u32) & 0xffff }
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::BLOCK;

    #[inline(always)]
    fn mask(block: &[u8; BLOCK], is: impl Fn(usize, u8) -> bool) -> u32 {
        let mut mask = 0;
        for (i, byte) in block.iter().enumerate() {
            mask |= u32::from(is(i, *byte)) << i;
        }
        mask
    }

    #[inline(always)]
    pub(crate) fn string_stops(block: &[u8; BLOCK]) -> (u32, u32) {
        let stops = mask(block, |_, b| b == b'"' || b == b'\\' || b < 0x20);
        (stops, mask(block, |_, b| b >= 0x80))
    }

    #[inline(always)]
    pub(crate) fn non_digits(block: &[u8; BLOCK]) -> u32 {
        mask(block, |_, b| !b.is_ascii_digit())
    }

    #[inline(always)]
    pub(crate) fn differs(a: &[u8; BLOCK], b: &[u8; BLOCK]) -> u32 {
        mask(a, |i, byte| byte != b[i])
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sse2_and_plain_loops_see_the_same(a in any::<[u8; 16]>(), b in any::<[u8; 16]>()) {
            prop_assert_eq!(string_stops(&a), portable::string_stops(&a));
            prop_assert_eq!(non_digits(&a), portable::non_digits(&a));
            prop_assert_eq!(differs(&a, &b), portable::differs(&a, &b));
        }
    }

    #[test]
    fn every_byte_value_is_classed_alike() {
        for byte in 0..=255u8 {
            let block = [byte; 16];
            assert_eq!(string_stops(&block), portable::string_stops(&block), "byte {byte}");
            assert_eq!(non_digits(&block), portable::non_digits(&block), "byte {byte}");
        }
    }
}
