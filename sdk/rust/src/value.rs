//! The types of single values: what fields of rows, values of samples and outputs may be.

use crate::packed::{Bits, BitsWriter, I64s, offsets};
use crate::raw::{Column, Dictionary, ValueType};
use std::ops::{Add, Neg, Sub};

/// A point in time: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    pub const fn micros(micros: i64) -> Self {
        Time(micros)
    }
    pub const fn seconds(seconds: i64) -> Self {
        Time(seconds.saturating_mul(1_000_000))
    }
}

/// A length of time in microseconds. Outputs computed from it are in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

impl Span {
    pub const fn micros(micros: i64) -> Self {
        Span(micros)
    }
    pub const fn seconds(seconds: i64) -> Self {
        Span(seconds.saturating_mul(1_000_000))
    }
    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }
    pub const fn hours(hours: i64) -> Self {
        Self::minutes(hours.saturating_mul(60))
    }
}

// Saturating: a nonsense time in a row must not trap the metric.
impl Sub for Time {
    type Output = Span;
    #[inline(always)]
    fn sub(self, other: Time) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
}
impl Add<Span> for Time {
    type Output = Time;
    #[inline(always)]
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}
impl Sub<Span> for Time {
    type Output = Time;
    #[inline(always)]
    fn sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}
impl Add for Span {
    type Output = Span;
    #[inline(always)]
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}
impl Neg for Span {
    type Output = Span;
    fn neg(self) -> Span {
        Span(self.0.saturating_neg())
    }
}

/// A text of a row, borrowed from the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub &'a str);

impl<'a> Text<'a> {
    pub fn as_str(self) -> &'a str {
        self.0
    }
    /// Whether it is one of `texts`.
    #[inline(always)]
    pub fn is_in<const N: usize>(self, texts: [&str; N]) -> bool {
        texts.iter().any(|text| self == *text)
    }
}
impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(text)
    }
}
impl PartialEq<&str> for Text<'_> {
    // Against a constant the length is known, so this becomes one comparison and a few loads; a call
    // of memcmp would cost more than the rest of a metric.
    #[inline(always)]
    fn eq(&self, other: &&str) -> bool {
        let (a, b) = (self.0.as_bytes(), other.as_bytes());
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b)
    }
}

/// One value out of its column, whatever its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bits(i64),
    Text(&'a str),
}

/// A checked column with one value for each row.
#[derive(Clone, Debug)]
pub struct ColumnView<'a> {
    values: I64s<'a>,
    validity: Bits<'a>,
    texts: Vec<&'a str>,
}

impl<'a> ColumnView<'a> {
    /// Checks a column of `n` rows. `dictionary` is looked at for text only.
    pub fn new(
        what: &str,
        ty: ValueType,
        n: usize,
        column: &'a Column,
        dictionary: &'a Dictionary,
    ) -> Result<Self, String> {
        if !column.offsets.is_empty() {
            return Err(format!("{what}: a list where a single value is due"));
        }
        let values = I64s::new(what, &column.values, n)?;
        let validity = Bits::new(what, &column.validity, n)?;
        let mut texts = Vec::new();
        if ty == ValueType::Text {
            texts = dictionary_texts(what, dictionary)?;
            let greatest = values.iter().map(|code| code as u64).max();
            // An all-null column may come with an empty dictionary: its values are 0.
            if greatest.is_some_and(|code| code >= texts.len() as u64 && code > 0) {
                return Err(format!("{what}: a code beyond the dictionary's {} entries", texts.len()));
            }
            if texts.is_empty() {
                texts.push("");
            }
        }
        Ok(ColumnView { values, validity, texts })
    }
    #[inline(always)]
    pub fn bits(&self, row: usize) -> i64 {
        self.values.get(row)
    }
    #[inline(always)]
    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.get(row)
    }
    #[inline(always)]
    pub fn text(&self, row: usize) -> &'a str {
        self.texts.get(self.values.get(row) as usize).copied().unwrap_or_default()
    }
    /// The value without knowing its type here.
    pub fn cell(&self, ty: ValueType, row: usize) -> Cell<'a> {
        match ty {
            _ if !self.is_valid(row) => Cell::Null,
            ValueType::Text => Cell::Text(self.text(row)),
            _ => Cell::Bits(self.bits(row)),
        }
    }
}

fn dictionary_texts<'a>(what: &str, dictionary: &'a Dictionary) -> Result<Vec<&'a str>, String> {
    if dictionary.offsets.is_empty() {
        let none = dictionary.bytes.is_empty();
        return if none { Ok(Vec::new()) } else { Err(format!("{what}: a dictionary without offsets")) };
    }
    let entries = (dictionary.offsets.len() / 4).saturating_sub(1);
    let ends = offsets(what, &dictionary.offsets, entries, dictionary.bytes.len())?;
    let all = std::str::from_utf8(&dictionary.bytes).map_err(|_| format!("{what}: text is not UTF-8"))?;
    let mut texts = Vec::with_capacity(entries);
    let mut start = 0;
    for end in ends.iter().skip(1) {
        let end = end as usize;
        texts.push(all.get(start..end).ok_or_else(|| format!("{what}: an offset splits a character"))?);
        start = end;
    }
    Ok(texts)
}

/// A type that a row's field can have.
pub trait FieldType<'a>: Sized {
    const TYPE: ValueType;
    const NULLABLE: bool;
    fn get(column: &ColumnView<'a>, row: usize) -> Self;
    fn cell(&self) -> Cell<'_>;
}

/// A type without null that is one number in its column.
pub trait Scalar: Copy + Send + 'static {
    const TYPE: ValueType;
    fn from_bits(bits: i64) -> Self;
    fn to_bits(self) -> i64;
}

macro_rules! scalar {
    ($type:ty, $kind:ident, |$bits:ident| $from:expr, |$value:ident| $to:expr) => {
        impl Scalar for $type {
            const TYPE: ValueType = ValueType::$kind;
            #[inline(always)]
            fn from_bits($bits: i64) -> Self {
                $from
            }
            #[inline(always)]
            fn to_bits(self) -> i64 {
                let $value = self;
                $to
            }
        }
        impl<'a> FieldType<'a> for $type {
            const TYPE: ValueType = ValueType::$kind;
            const NULLABLE: bool = false;
            #[inline(always)]
            fn get(column: &ColumnView<'a>, row: usize) -> Self {
                <$type as Scalar>::from_bits(column.bits(row))
            }
            fn cell(&self) -> Cell<'_> {
                Cell::Bits(Scalar::to_bits(*self))
            }
        }
    };
}
scalar!(i64, Int, |bits| bits, |value| value);
scalar!(f64, Float, |bits| f64::from_bits(bits as u64), |value| value.to_bits() as i64);
scalar!(bool, Bool, |bits| bits != 0, |value| i64::from(value));
scalar!(Time, Time, |bits| Time(bits), |value| value.0);
scalar!(Span, Int, |bits| Span(bits), |value| value.0);

impl<'a> FieldType<'a> for Text<'a> {
    const TYPE: ValueType = ValueType::Text;
    const NULLABLE: bool = false;
    #[inline(always)]
    fn get(column: &ColumnView<'a>, row: usize) -> Self {
        Text(column.text(row))
    }
    fn cell(&self) -> Cell<'_> {
        Cell::Text(self.0)
    }
}

impl<'a, T: FieldType<'a>> FieldType<'a> for Option<T> {
    const TYPE: ValueType = T::TYPE;
    const NULLABLE: bool = true;
    #[inline(always)]
    fn get(column: &ColumnView<'a>, row: usize) -> Self {
        if column.is_valid(row) { Some(T::get(column, row)) } else { None }
    }
    fn cell(&self) -> Cell<'_> {
        self.as_ref().map_or(Cell::Null, T::cell)
    }
}

/// Builds one column of scalars.
#[derive(Clone, Debug, Default)]
pub struct ScalarWriter {
    values: Vec<u8>,
    validity: BitsWriter,
}

impl ScalarWriter {
    pub fn with_capacity(rows: usize) -> Self {
        ScalarWriter { values: Vec::with_capacity(rows * 8), validity: BitsWriter::default() }
    }
    #[inline(always)]
    pub fn push(&mut self, bits: Option<i64>) {
        self.values.extend_from_slice(&bits.unwrap_or(0).to_le_bytes());
        self.validity.push(bits.is_some());
    }
    pub fn finish(self) -> Column {
        Column { validity: self.validity.finish(), values: self.values, offsets: Vec::new() }
    }
}
