//! Sample input, made from the declared types by a generator with a fixed seed: every load of a
//! component meets the same rows.

use super::plain::{Entry, Scalar};
use std::sync::Arc;
use weir_types::contract::{
    Changes, Field, Images, Input, PackedColumn, PackedDictionary, Parts, ValueType, pack,
};
use weir_types::schema::{ColumnDecl, ColumnType, SourceDecl, TimeUnit};
use weir_types::{HOUR, Micros, SECOND};

/// Rows of one sample batch.
pub const ROWS: usize = 192;
/// 2026-11-23T09:00:00Z, a Monday: the start of the window in which everything happens.
pub const START: Micros = 1_795_424_400 * SECOND;
/// The end of that window.
pub const END: Micros = START + 4 * HOUR;
/// Texts where the declaration names none.
const WORDS: [&str; 4] = ["a", "b", "ä", ""];

/// xorshift64: small, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Before and after image of one row, as far as they are there.
#[derive(Clone, Debug)]
pub struct Row {
    pub before: Option<Vec<Scalar>>,
    pub after: Option<Vec<Scalar>>,
    pub event_time: Micros,
}

/// The declared columns of an input's fields, in the order of its fields.
fn columns<'a>(input: &Input, source: &'a SourceDecl) -> Vec<Option<&'a ColumnDecl>> {
    input.fields.iter().map(|f| source.column(&f.name).map(|at| &source.columns[at])).collect()
}

fn value(field: &Field, column: Option<&ColumnDecl>, dice: &mut Dice) -> Scalar {
    if field.nullable && dice.one_in(3) {
        return Scalar::Null;
    }
    match field.value_type {
        ValueType::Int => Scalar::Word(match dice.below(8) {
            0 => 0,
            1 => dice.below(4_000_000_000) as i64,
            _ => dice.below(5) as i64,
        }),
        // Sixteenths, some of them negative.
        ValueType::Float => Scalar::Word(((dice.below(20_000) as f64 - 5_000.0) / 16.0).to_bits() as i64),
        ValueType::Bool => Scalar::Word(dice.below(2) as i64),
        ValueType::Time => {
            let grain = match column.map(|c| c.ty) {
                Some(ColumnType::Time(TimeUnit::S) | ColumnType::DateTime(TimeUnit::S)) => SECOND,
                Some(ColumnType::Time(TimeUnit::Ms) | ColumnType::DateTime(TimeUnit::Ms)) => 1_000,
                _ => 1,
            };
            Scalar::Word(START + dice.below(((END - START) / grain) as u64) as i64 * grain)
        }
        ValueType::Text => {
            let declared = column.map_or(&[][..], |c| &c.values);
            let count = if declared.is_empty() { WORDS.len() } else { declared.len() };
            let at = dice.below(count as u64) as usize;
            Scalar::Text(declared.get(at).map_or_else(|| WORDS[at % WORDS.len()].into(), Clone::clone))
        }
    }
}

/// Inserts, updates and deletes, as they reach the metric: no update in which no watched field
/// changed. In updates about half of the fields keep their value.
pub fn changes(input: &Input, source: &SourceDecl, seed: u64) -> Vec<Row> {
    let (mut dice, columns) = (Dice::new(seed), columns(input, source));
    let row = |at: usize| {
        let mut image = |_| -> Vec<Scalar> {
            input.fields.iter().zip(&columns).map(|(f, c)| value(f, *c, &mut dice)).collect()
        };
        let (before, mut after) = (image(()), image(()));
        for (field, cell) in after.iter_mut().enumerate() {
            // The watched field that surely may change goes round with the rows.
            if dice.one_in(2) && !(is_watched(input, field) && at % input.fields.len().max(1) == field) {
                *cell = before[field].clone();
            }
        }
        let kind = dice.below(7);
        Row {
            before: (kind > 1).then_some(before),
            after: (kind != 6).then_some(after),
            event_time: START + at as Micros * SECOND,
        }
    };
    (0..ROWS).map(row).filter(|row| reaches(input, row)).collect()
}

/// Updates in which only fields that are not watched differ; None if all are watched.
pub fn unwatched(input: &Input, source: &SourceDecl, seed: u64) -> Option<Vec<Row>> {
    let columns = columns(input, source);
    if (0..input.fields.len()).all(|field| is_watched(input, field)) {
        return None;
    }
    let mut dice = Dice::new(seed);
    let row = |at: usize| {
        let fields = || input.fields.iter().zip(&columns).enumerate();
        let before: Vec<Scalar> = fields().map(|(_, (f, c))| value(f, *c, &mut dice)).collect();
        let after = fields().map(|(i, (f, c))| match is_watched(input, i) {
            true => before[i].clone(),
            false => value(f, *c, &mut dice),
        });
        let after = after.collect();
        Row { before: Some(before), after: Some(after), event_time: START + at as Micros * SECOND }
    };
    Some((0..ROWS).map(row).collect())
}

fn is_watched(input: &Input, field: usize) -> bool {
    input.watches.is_empty() || input.watches.contains(&input.fields[field].name)
}

fn reaches(input: &Input, row: &Row) -> bool {
    match (&row.before, &row.after) {
        (Some(before), Some(after)) => {
            (0..input.fields.len()).any(|i| is_watched(input, i) && before[i] != after[i])
        }
        _ => true,
    }
}

/// Images that could stand in the table.
pub fn images(input: &Input, source: &SourceDecl, seed: u64) -> Vec<Vec<Scalar>> {
    let (mut dice, columns) = (Dice::new(seed), columns(input, source));
    let mut image = || input.fields.iter().zip(&columns).map(|(f, c)| value(f, *c, &mut dice)).collect();
    (0..ROWS).map(|_| image()).collect()
}

/// Made-up samples for a list of sample values. Weights are small; times lie in the window.
pub fn entries(values: &[Field], count: usize, seed: u64) -> Vec<Entry> {
    let mut dice = Dice::new(seed);
    let mut entry = || Entry {
        weight: 1 + dice.below(3) as i64,
        time: START + dice.below((END - START) as u64) as i64,
        until: None,
        values: values.iter().map(|f| value(f, None, &mut dice)).collect(),
    };
    (0..count).map(|_| entry()).collect()
}

pub fn pack_changes(input: &Input, rows: &[Row]) -> Changes {
    let mut texts: Vec<Texts> = input.fields.iter().map(|_| Texts::default()).collect();
    let mut images = |of: fn(&Row) -> Option<&Vec<Scalar>>| -> Vec<Arc<PackedColumn>> {
        let cell = |at: usize| rows.iter().map(move |r| of(r).map_or(&Scalar::Null, |image| &image[at]));
        texts.iter_mut().enumerate().map(|(at, texts)| pack_column(cell(at), texts).into()).collect()
    };
    Changes {
        before: images(|row| row.before.as_ref()),
        after: images(|row| row.after.as_ref()),
        rows: rows.len() as u32,
        before_present: pack::bits(rows.len(), |i| rows[i].before.is_some()),
        after_present: pack::bits(rows.len(), |i| rows[i].after.is_some()),
        event_times: pack::i64s(&rows.iter().map(|r| r.event_time).collect::<Vec<_>>()),
        dictionaries: texts.into_iter().map(|texts| texts.pack().into()).collect(),
    }
}

pub fn pack_images(input: &Input, images: &[Vec<Scalar>]) -> Images {
    let mut texts: Vec<Texts> = input.fields.iter().map(|_| Texts::default()).collect();
    let column = |(at, texts): (usize, &mut Texts)| pack_column(images.iter().map(|i| &i[at]), texts).into();
    Images {
        rows: images.len() as u32,
        columns: texts.iter_mut().enumerate().map(column).collect(),
        dictionaries: texts.into_iter().map(|texts| texts.pack().into()).collect(),
    }
}

/// Arguments of `accumulate` that bring every entry into its slot.
pub fn pack_parts(values: usize, entries: &[(u32, &Entry)], now: bool, spans: bool) -> Parts {
    let list = |of: fn(&Entry) -> i64| pack::i64s(&entries.iter().map(|(_, e)| of(e)).collect::<Vec<_>>());
    let mut texts: Vec<Texts> = (0..values).map(|_| Texts::default()).collect();
    let column =
        |(at, texts): (usize, &mut Texts)| pack_column(entries.iter().map(|(_, e)| &e.values[at]), texts);
    Parts {
        slots: pack::u32s(&entries.iter().map(|(slot, _)| *slot).collect::<Vec<_>>()),
        weights: list(|e| e.weight),
        times: if now { Vec::new() } else { list(|e| e.time) },
        untils: if spans { list(|e| e.until.unwrap_or(e.time)) } else { Vec::new() },
        values: texts.iter_mut().enumerate().map(column).collect(),
        dictionaries: texts.into_iter().map(Texts::pack).collect(),
    }
}

/// Texts of one column, numbered in order of appearance.
#[derive(Default)]
struct Texts(Vec<String>);

impl Texts {
    fn code(&mut self, text: &str) -> i64 {
        let known = self.0.iter().position(|t| t == text);
        known.unwrap_or_else(|| {
            self.0.push(text.into());
            self.0.len() - 1
        }) as i64
    }

    fn pack(self) -> PackedDictionary {
        if self.0.is_empty() {
            return PackedDictionary::default();
        }
        let mut offsets = vec![0u32];
        let mut bytes = Vec::new();
        for text in &self.0 {
            bytes.extend_from_slice(text.as_bytes());
            offsets.push(bytes.len() as u32);
        }
        PackedDictionary { offsets: pack::u32s(&offsets), bytes }
    }
}

fn pack_column<'a>(cells: impl Iterator<Item = &'a Scalar>, texts: &mut Texts) -> PackedColumn {
    let (mut values, mut there) = (Vec::new(), Vec::new());
    for cell in cells {
        there.push(*cell != Scalar::Null);
        values.push(match cell {
            Scalar::Null => 0,
            Scalar::Word(word) => *word,
            Scalar::Text(text) => texts.code(text),
        });
    }
    PackedColumn {
        validity: pack::bits(there.len(), |i| there[i]),
        values: pack::i64s(&values),
        offsets: Vec::new(),
    }
}
