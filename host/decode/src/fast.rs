//! A record against a remembered shape. Nothing here decides anything: a record that has the shape to
//! the byte, with valid values between, is read; any other is left to the general parser.

use crate::cell::CellType;
use crate::general::Facts;
use crate::plan::Plan;
use crate::scan;
use crate::simd;
use crate::template::{Arena, Literal, Row, Slot, Template};
use crate::time;
use weir_types::batch::{Cells, ChangeBatch, Dictionary};
use weir_types::schema::ColumnType;

/// Codes that texts of each column had lately, to be checked against the dictionary before use: a
/// comparison is cheaper than a look-up by hash.
#[derive(Clone, Debug)]
pub(crate) struct Guesses(Vec<[u32; GUESSES]>);

const GUESSES: usize = 32;

impl Guesses {
    pub fn new(columns: usize) -> Guesses {
        Guesses(vec![[0; GUESSES]; columns])
    }
}

#[inline(always)]
fn code(text: &[u8], dictionary: &mut Dictionary, guesses: &mut [u32; GUESSES]) -> u32 {
    let ends = match text {
        [first, .., last] => usize::from(*first) * 7 + usize::from(*last) + text.len() * 3,
        _ => text.len(),
    };
    let guess = &mut guesses[ends % GUESSES];
    if (*guess as usize) < dictionary.len() && dictionary.get_bytes(*guess) == text {
        return *guess;
    }
    *guess = dictionary.code(text);
    *guess
}

/// Position after `literal`, if it stands at `at`.
#[inline(always)]
fn expect(arena: &Arena, literal: Literal, b: &[u8], at: usize) -> Option<usize> {
    let (start, len) = (literal.start as usize, literal.len as usize);
    let end = at + len;
    if len <= 2 * simd::BLOCK
        && let Some(block) = simd::block(b, at)
        && let Some(wanted) = simd::block(&arena.bytes, start)
    {
        if simd::differs(block, wanted) & literal.mask != 0 {
            return None;
        }
        if len <= simd::BLOCK {
            return Some(end);
        }
        let tail = simd::block(&arena.bytes, start + len - simd::BLOCK)?;
        return (simd::differs(simd::block(b, end - simd::BLOCK)?, tail) == 0).then_some(end);
    }
    (b.get(at..end)? == arena.bytes.get(start..start + len)?).then_some(end)
}

/// The integer at `at` and its end, if it has at most 15 digits and no fraction. None says nothing
/// about whether the bytes are valid.
#[inline(always)]
fn small_integer(b: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = *b.get(at)? == b'-';
    let first = at + usize::from(negative);
    let block = simd::block(b, first)?;
    let digits = simd::non_digits(block).trailing_zeros() as usize;
    if digits == 0 || digits >= simd::BLOCK || (block[0] == b'0' && digits > 1) {
        return None;
    }
    if let b'.' | b'e' | b'E' = block[digits] {
        return None;
    }
    let (low, high) = block.split_at(8);
    let (low, high) = (u64::from_le_bytes(low.try_into().ok()?), u64::from_le_bytes(high.try_into().ok()?));
    let value = if digits <= 8 {
        eight_digits((low ^ ZEROS) << (64 - 8 * digits))
    } else {
        // The last eight digits, and those before them moved to the end of a word of their own.
        let before = digits - 8;
        let last = (low >> (8 * before)) | (high << (64 - 8 * before));
        eight_digits((low ^ ZEROS) << (64 - 8 * before)) * 100_000_000 + eight_digits(last ^ ZEROS)
    };
    let value = value as i64;
    Some((if negative { -value } else { value }, first + digits))
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Value of eight digits 0–9, one a byte, the first in the lowest byte.
#[inline(always)]
fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let odd = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    even.wrapping_add(odd) >> 32
}

/// Reads a cell; the end of its value.
#[inline(always)]
fn cell(
    ty: &CellType,
    b: &[u8],
    at: usize,
    cells: &mut Cells,
    dictionary: &mut Dictionary,
    guesses: &mut [u32; GUESSES],
) -> Option<usize> {
    if *b.get(at)? == b'n' {
        let end = scan::word(b, at, b"null")?;
        ty.push_null(cells);
        return Some(end);
    }
    match ty.ty {
        ColumnType::Int => {
            if let Some((value, end)) = small_integer(b, at) {
                cells.push(value);
                return Some(end);
            }
        }
        ColumnType::Time(unit) => {
            if let Some((count, end)) = small_integer(b, at)
                && let Some(micros) = time::from_count(count, unit)
            {
                cells.push(micros);
                return Some(end);
            }
        }
        ColumnType::Text => {
            if let Some(text) = scan::string(b, at)
                && !text.escaped
            {
                let code = code(&b[text.start..text.end], dictionary, guesses);
                cells.push(i64::from(code));
                return Some(text.end + 1);
            }
        }
        _ => {}
    }
    let end = scan::value(b, at)?;
    ty.push(&b[at..end], cells, dictionary);
    Some(end)
}

/// Where an image's cells go.
struct Image<'a> {
    cells: &'a mut [Cells],
    dictionaries: &'a mut [Dictionary],
    guesses: &'a mut [[u32; GUESSES]],
}

/// Reads an image; its end, and whether there is one.
#[inline(always)]
fn image(
    row: &Row,
    arena: &Arena,
    plan: &Plan,
    b: &[u8],
    mut at: usize,
    into: Image<'_>,
) -> Option<(usize, bool)> {
    if *b.get(at)? == b'n' {
        let end = scan::word(b, at, b"null")?;
        plan.asked.iter().for_each(|&c| into.cells[c].push_null());
        return Some((end, false));
    }
    for field in &row.fields {
        at = expect(arena, field.literal, b, at)?;
        at = match field.column {
            None => scan::value(b, at)?,
            Some(column) => {
                let c = column as usize;
                let (cells, dictionary) = (&mut into.cells[c], &mut into.dictionaries[c]);
                cell(&plan.types[c], b, at, cells, dictionary, &mut into.guesses[c])?
            }
        };
    }
    at = expect(arena, row.tail, b, at)?;
    row.missing.iter().for_each(|&c| into.cells[c as usize].push_unfit());
    Some((at, true))
}

/// Reads a record of a declared table. None: it has another shape, and the batch's columns may have a
/// part of it.
pub(crate) fn run(
    template: &Template,
    plan: &Plan,
    guesses: &mut Guesses,
    b: &[u8],
    batch: &mut ChangeBatch,
) -> Option<Facts> {
    let arena = &template.arena;
    let mut facts = Facts { op: 0, before: false, after: false, last_read: template.last_read, origin: None };
    let (mut source_time, mut pos, mut source_row) = (0, 0, 0);
    let mut at = 0;
    for step in &template.steps {
        at = expect(arena, step.literal, b, at)?;
        at = match step.slot {
            Slot::Exact | Slot::Skip => scan::value(b, at)?,
            Slot::Before | Slot::After => {
                let is_after = step.slot == Slot::After;
                let cells = if is_after { &mut batch.after } else { &mut batch.before };
                let into = Image { cells, dictionaries: &mut batch.dictionaries, guesses: &mut guesses.0 };
                let (end, present) = image(&template.row, arena, plan, b, at, into)?;
                if is_after {
                    facts.after = present;
                } else {
                    facts.before = present;
                }
                end
            }
            Slot::Op => {
                let [b'"', letter @ b'a'..=b'z', b'"'] = *b.get(at..at + 3)? else { return None };
                facts.op = letter;
                at + 3
            }
            Slot::SourceTime => count(b, at, &mut source_time)?,
            Slot::Position => count(b, at, &mut pos)?,
            Slot::Row => count(b, at, &mut source_row)?,
        };
    }
    if expect(arena, template.tail, b, at)? != b.len() {
        return None;
    }
    if !template.has_before {
        plan.asked.iter().for_each(|&c| batch.before[c].push_null());
    }
    if !template.has_after {
        plan.asked.iter().for_each(|&c| batch.after[c].push_null());
    }
    let row = u32::try_from(source_row).ok()?;
    if let Some(mut origin) = template.origin {
        origin.source_time = source_time.checked_mul(1_000)?;
        origin.position.pos = pos as u64;
        origin.position.row = row;
        facts.origin = Some(origin);
    }
    Some(facts)
}

/// Reads a count ≥ 0; its end.
#[inline(always)]
fn count(b: &[u8], at: usize, into: &mut i64) -> Option<usize> {
    let (value, end) = small_integer(b, at)?;
    *into = value;
    // "-0" is a number, but no count.
    (b[at] != b'-').then_some(end)
}

/// Whether a record has the shape of a table that nobody declared.
pub(crate) fn passes(template: &Template, b: &[u8]) -> bool {
    let all = |mut at: usize| {
        for step in &template.steps {
            at = scan::value(b, expect(&template.arena, step.literal, b, at)?)?;
        }
        expect(&template.arena, template.tail, b, at)
    };
    all(0) == Some(b.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_of_every_length_are_read() {
        for digits in 1..=15u32 {
            let n = 987_654_321_234_567i64 / 10i64.pow(15 - digits);
            for (text, value) in [(n.to_string(), n), ((-n).to_string(), -n)] {
                let record = format!("{text},                ");
                assert_eq!(small_integer(record.as_bytes(), 0), Some((value, text.len())), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_small_integer_is_left_to_the_careful_way() {
        for text in ["01,", "1.5,", "1e5,", "1E5,", "1234567890123456,", "-,", "-01,", "\"1\",", "-1.0,", "x"]
        {
            assert_eq!(small_integer(format!("{text}                 ").as_bytes(), 0), None, "{text}");
        }
        assert_eq!(small_integer(b"12", 0), None, "too near to the end");
        assert_eq!(small_integer(b"", 0), None);
    }

    proptest! {
        #[test]
        fn eight_digits_are_their_number(n in 0u64..100_000_000) {
            let mut word = [0; 8];
            word.copy_from_slice(format!("{n:08}").as_bytes());
            prop_assert_eq!(eight_digits(u64::from_le_bytes(word) ^ ZEROS), n);
        }
        #[test]
        fn small_integers_are_read_as_they_are_written(n in -999_999_999_999_999i64..=999_999_999_999_999) {
            let record = format!("{n}}},\"op\":\"u\",\"ts_ms\":1");
            prop_assert_eq!(small_integer(record.as_bytes(), 0), Some((n, n.to_string().len())));
        }
    }
}
