//! Sample input, made from the declared types by a generator with a fixed seed.

use weir_types::contract::{
    Changes, Field, Images, Input, PackedColumn, PackedDictionary, Parts, ValueType, pack,
};
use weir_types::schema::{ColumnDecl, SourceDecl};
use weir_types::{Micros, SECOND};

/// Rows of one sample batch.
pub const ROWS: usize = 96;
/// 2026-11-23T09:00:00Z, a Monday.
const BASE: Micros = 1_795_424_400 * SECOND;
const WORDS: [&str; 4] = ["a", "b", "ä", ""];

/// xorshift64: small, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed | 1)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// A value of a type; texts as codes below `texts`.
fn value(ty: ValueType, texts: usize, dice: &mut Dice) -> i64 {
    match ty {
        ValueType::Int => match dice.below(8) {
            0 => 0,
            1 => dice.below(4_000_000_000) as i64,
            _ => dice.below(5) as i64,
        },
        ValueType::Float => ((dice.below(20_000) as f64 - 5_000.0) / 16.0).to_bits() as i64,
        ValueType::Text => dice.below(texts as u64) as i64,
        ValueType::Bool => dice.below(2) as i64,
        ValueType::Time => BASE + dice.below(7_200 * SECOND as u64) as i64,
    }
}

fn words(column: Option<&ColumnDecl>) -> Vec<String> {
    match column {
        Some(column) if !column.values.is_empty() => column.values.clone(),
        _ => WORDS.map(String::from).to_vec(),
    }
}

fn dictionary(ty: ValueType, words: &[String]) -> PackedDictionary {
    if ty != ValueType::Text {
        return PackedDictionary::default();
    }
    let mut offsets = vec![0u32];
    let mut bytes = Vec::new();
    for word in words {
        bytes.extend_from_slice(word.as_bytes());
        offsets.push(bytes.len() as u32);
    }
    PackedDictionary { offsets: pack::u32s(&offsets), bytes }
}

/// Values and whether each is there.
type Cells = Vec<(i64, bool)>;

fn cells(field: &Field, texts: usize, rows: usize, dice: &mut Dice) -> Cells {
    let cell = |dice: &mut Dice| {
        let there = !field.nullable || dice.below(3) > 0;
        (if there { value(field.value_type, texts, dice) } else { 0 }, there)
    };
    (0..rows).map(|_| cell(dice)).collect()
}

fn column(cells: &[(i64, bool)]) -> PackedColumn {
    let values: Vec<i64> = cells.iter().map(|c| c.0).collect();
    PackedColumn {
        validity: pack::bits(cells.len(), |i| cells[i].1),
        values: pack::i64s(&values),
        offsets: Vec::new(),
    }
}

/// Inserts, updates and deletes in equal parts.
pub fn changes(input: &Input, source: &SourceDecl, seed: u64) -> Changes {
    let mut dice = Dice::new(seed);
    build(input, source, ROWS, &mut dice, |row| (row % 3 != 0, row % 3 != 2), |_| true)
}

/// Updates in which only fields that are not watched differ; None if all are watched.
pub fn unwatched(input: &Input, source: &SourceDecl) -> Option<Changes> {
    let watched = |f: &Field| input.watches.is_empty() || input.watches.contains(&f.name);
    if input.fields.iter().all(watched) {
        return None;
    }
    let mut dice = Dice::new(77);
    Some(build(input, source, ROWS, &mut dice, |_| (true, true), |f| !watched(f)))
}

fn build(
    input: &Input,
    source: &SourceDecl,
    rows: usize,
    dice: &mut Dice,
    present: impl Fn(usize) -> (bool, bool),
    may_differ: impl Fn(&Field) -> bool,
) -> Changes {
    let mut given = Changes {
        rows: rows as u32,
        before_present: pack::bits(rows, |i| present(i).0),
        after_present: pack::bits(rows, |i| present(i).1),
        event_times: pack::i64s(&(0..rows as i64).map(|i| BASE + i * SECOND).collect::<Vec<_>>()),
        ..Changes::default()
    };
    for field in &input.fields {
        let words = words(source.column(&field.name).map(|at| &source.columns[at]));
        let before = cells(field, words.len(), rows, dice);
        let after = if may_differ(field) { cells(field, words.len(), rows, dice) } else { before.clone() };
        let blank = |cells: Cells, keep: &dyn Fn(usize) -> bool| -> Cells {
            cells.into_iter().enumerate().map(|(i, c)| if keep(i) { c } else { (0, false) }).collect()
        };
        given.before.push(column(&blank(before, &|i| present(i).0)));
        given.after.push(column(&blank(after, &|i| present(i).1)));
        given.dictionaries.push(dictionary(field.value_type, &words));
    }
    given
}

/// Rows [from, to) of some changes.
pub fn slice(given: &Changes, from: usize, to: usize) -> Changes {
    let bits = |bits: &[u8]| pack::bits(to - from, |i| pack::bit(bits, from + i));
    let columns = |columns: &[PackedColumn]| columns.iter().map(|c| slice_column(c, from, to)).collect();
    Changes {
        rows: (to - from) as u32,
        before_present: bits(&given.before_present),
        after_present: bits(&given.after_present),
        event_times: given.event_times[from * 8..to * 8].to_vec(),
        before: columns(&given.before),
        after: columns(&given.after),
        dictionaries: given.dictionaries.clone(),
    }
}

fn slice_column(given: &PackedColumn, from: usize, to: usize) -> PackedColumn {
    PackedColumn {
        validity: pack::bits(to - from, |i| pack::bit(&given.validity, from + i)),
        values: given.values[from * 8..to * 8].to_vec(),
        offsets: Vec::new(),
    }
}

/// The after images of some changes, as far as they are there.
pub fn images(given: &Changes) -> Images {
    let rows: Vec<usize> = (0..given.rows as usize).filter(|i| pack::bit(&given.after_present, *i)).collect();
    let pick = |c: &PackedColumn| PackedColumn {
        validity: pack::bits(rows.len(), |i| pack::bit(&c.validity, rows[i])),
        values: rows.iter().flat_map(|i| pack::i64_at(&c.values, *i).to_le_bytes()).collect(),
        offsets: Vec::new(),
    };
    Images {
        rows: rows.len() as u32,
        columns: given.after.iter().map(pick).collect(),
        dictionaries: given.dictionaries.clone(),
    }
}

/// One sample as `accumulate` gets it, without its slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub weight: i64,
    pub time: Micros,
    pub values: Cells,
}

/// Made-up samples for a list of sample values.
pub fn entries(values: &[Field], count: usize, seed: u64) -> Vec<Entry> {
    let mut dice = Dice::new(seed);
    let mut entry = || Entry {
        weight: 1 + dice.below(3) as i64,
        time: BASE + dice.below(60 * SECOND as u64) as i64,
        values: values.iter().map(|f| cells(f, WORDS.len(), 1, &mut dice)[0]).collect(),
    };
    (0..count).map(|_| entry()).collect()
}

/// Arguments of `accumulate` that bring every entry into its slot.
pub fn parts(values: &[Field], entries: &[(u32, Entry)], now: bool) -> Parts {
    let list = |of: fn(&Entry) -> i64| pack::i64s(&entries.iter().map(|(_, e)| of(e)).collect::<Vec<_>>());
    let cells = |at: usize| entries.iter().map(|(_, e)| e.values[at]).collect::<Cells>();
    let words = WORDS.map(String::from);
    Parts {
        slots: pack::u32s(&entries.iter().map(|(s, _)| *s).collect::<Vec<_>>()),
        weights: list(|e| e.weight),
        times: if now { Vec::new() } else { list(|e| e.time) },
        untils: Vec::new(),
        values: (0..values.len()).map(|at| column(&cells(at))).collect(),
        dictionaries: values.iter().map(|f| dictionary(f.value_type, &words)).collect(),
    }
}
