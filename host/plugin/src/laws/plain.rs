//! Samples and outputs spelled out, so that two of them can be compared whatever their dictionaries,
//! and shown to people.

use super::Broken;
use super::input::{END, START};
use std::fmt;
use weir_types::Micros;
use weir_types::contract::{
    MetricInfo, Output, Outputs, PackedColumn, PackedDictionary, Samples, ValueType, pack,
};

/// One value: the word of any type but text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Null,
    Word(i64),
    Text(String),
}

impl Scalar {
    fn read(column: &PackedColumn, at: usize, ty: ValueType, texts: &PackedDictionary) -> Scalar {
        let word = pack::i64_at(&column.values, at);
        match ty {
            ValueType::Text => Scalar::Text(text(texts, word as usize)),
            _ => Scalar::Word(word),
        }
    }

    fn show(&self, ty: ValueType) -> String {
        match self {
            Scalar::Null => "null".into(),
            Scalar::Word(word) if ty == ValueType::Float => f64::from_bits(*word as u64).to_string(),
            Scalar::Word(word) => word.to_string(),
            Scalar::Text(text) => format!("{text:?}"),
        }
    }
}

fn text(texts: &PackedDictionary, at: usize) -> String {
    let (from, to) = (pack::u32_at(&texts.offsets, at), pack::u32_at(&texts.offsets, at + 1));
    String::from_utf8_lossy(&texts.bytes[from as usize..to as usize]).into_owned()
}

/// One sample as `accumulate` gets it, without its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub weight: i64,
    pub time: Micros,
    pub until: Option<Micros>,
    pub values: Vec<Scalar>,
}

/// One sample or refused row, with everything that stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Sample { row: u32, after: bool, has_time: bool, entry: Entry, computed: Vec<Scalar> },
    Refused { row: u32, reason: String },
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Sample { row, entry, .. } => {
                write!(f, "row {row} gave a sample of weight {} at {}", entry.weight, entry.time)
            }
            Seen::Refused { row, reason } => write!(f, "row {row} was refused: {reason}"),
        }
    }
}

/// All that a call of observe gave, in the order of rows. `first` is the number of its first row.
pub fn seen(info: &MetricInfo, samples: &Samples, first: u32) -> Vec<Seen> {
    let values: Vec<ValueType> = info.values.iter().map(|f| f.value_type).collect();
    let computed: Vec<ValueType> = info.computed_dimensions.iter().map(|f| f.value_type).collect();
    let (of_values, of_computed) = samples.dictionaries.split_at(values.len());
    let cells = |at: usize, columns: &[PackedColumn], types: &[ValueType], texts: &[PackedDictionary]| {
        let cell = |((column, ty), texts): ((&PackedColumn, &ValueType), &PackedDictionary)| match pack::bit(
            &column.validity,
            at,
        ) {
            true => Scalar::read(column, at, *ty, texts),
            false => Scalar::Null,
        };
        columns.iter().zip(types).zip(texts).map(cell).collect::<Vec<_>>()
    };
    let sample = |at: usize| {
        let time = if samples.times.is_empty() { START } else { pack::i64_at(&samples.times, at) };
        Seen::Sample {
            row: pack::u32_at(&samples.rows, at) + first,
            after: pack::bit(&samples.images, at),
            has_time: pack::bit(&samples.times_validity, at),
            entry: Entry {
                weight: if samples.weights.is_empty() { 1 } else { pack::i64_at(&samples.weights, at) },
                time,
                until: (!samples.untils.is_empty()).then(|| pack::i64_at(&samples.untils, at)),
                values: cells(at, &samples.values, &values, of_values),
            },
            computed: cells(at, &samples.computed, &computed, of_computed),
        }
    };
    let refused = |(row, reason): &(u32, String)| Seen::Refused { row: row + first, reason: reason.clone() };
    let mut all: Vec<Seen> = (0..samples.rows.len() / 4).map(sample).collect();
    all.extend(samples.rejects.iter().map(refused));
    // The order of refused rows is not laid down; that of samples is, and this sort keeps it.
    all.sort_by_key(|seen| match seen {
        Seen::Sample { row, .. } | Seen::Refused { row, .. } => *row,
    });
    all
}

/// The first difference of two lists, for people.
pub fn same_seen(law: &'static str, left: &[Seen], right: &[Seen]) -> Result<(), Broken> {
    if left == right {
        return Ok(());
    }
    let at = left.iter().zip(right).position(|(a, b)| a != b).unwrap_or(left.len().min(right.len()));
    let show = |side: &[Seen]| side.get(at).map_or("nothing more".into(), ToString::to_string);
    Err(Broken::law(law, format!("{}, and another time {}", show(left), show(right))))
}

/// One slot's outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<Result<Scalar, Vec<Scalar>>>);

impl Line {
    pub fn read(outputs: &Outputs, infos: &[Output], row: usize) -> Line {
        let columns = outputs.columns.iter().zip(&outputs.dictionaries).zip(infos);
        let cell = |((column, texts), info): ((&PackedColumn, &PackedDictionary), &Output)| {
            if !pack::bit(&column.validity, row) {
                return Ok(Scalar::Null);
            }
            let read = |at| Scalar::read(column, at, info.value_type, texts);
            if !info.is_list {
                return Ok(read(row));
            }
            let (from, to) = (pack::u32_at(&column.offsets, row), pack::u32_at(&column.offsets, row + 1));
            Err((from as usize..to as usize).map(read).collect())
        };
        Line(columns.map(cell).collect())
    }
}

/// Whether two slots give the same outputs; else the first that differs.
pub fn same(law: &'static str, infos: &[Output], left: &Line, right: &Line) -> Result<(), Broken> {
    for ((left, right), info) in left.0.iter().zip(&right.0).zip(infos) {
        if left == right {
            continue;
        }
        let show = |cell: &Result<Scalar, Vec<Scalar>>| match cell {
            Ok(scalar) => scalar.show(info.value_type),
            Err(list) => {
                let list: Vec<String> = list.iter().map(|s| s.show(info.value_type)).collect();
                format!("[{}]", list.join(", "))
            }
        };
        return Err(Broken::law(
            law,
            format!("output {}: {} against {}", info.name, show(left), show(right)),
        ));
    }
    Ok(())
}

/// The window of every evaluation: it holds all sample times.
pub fn window(now: bool, slots: usize) -> (Vec<Micros>, Vec<Micros>) {
    if now { (vec![], vec![]) } else { (vec![START; slots], vec![END; slots]) }
}
