//! What a metric's function gives: samples, and the values that they carry.

use crate::packed::BitsWriter;
use crate::raw::{Column, Dictionary, Field, Reject, Samples, ValueType};
use crate::value::{ColumnView, Scalar, ScalarWriter, Span, Time};

/// One contribution of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<V = ()> {
    pub(crate) weight: i64,
    pub(crate) at: Option<Time>,
    pub(crate) until: Option<Time>,
    pub(crate) before: bool,
    pub(crate) value: V,
}

impl Sample<()> {
    /// A sample of an event metric at a time, which decides its windows. A sample whose time is null
    /// is counted as skipped.
    #[inline(always)]
    pub fn at(time: impl Into<Option<Time>>) -> Self {
        Sample { weight: 1, at: time.into(), until: None, before: false, value: () }
    }
    /// A sample of a metric over current values: the row as it stands counts.
    #[inline(always)]
    pub fn now() -> Self {
        Sample { weight: 1, at: None, until: None, before: false, value: () }
    }
    /// What the accumulators get from it.
    #[inline(always)]
    pub fn value<V: Value>(self, value: V) -> Sample<V> {
        let Sample { weight, at, until, before, value: () } = self;
        Sample { weight, at, until, before, value }
    }
}

impl<V> Sample<V> {
    /// Counts so many times; 0 times gives no sample.
    #[inline(always)]
    pub fn times(self, weight: i64) -> Self {
        Sample { weight, ..self }
    }
    /// A span [at, until): the host cuts it at window borders.
    #[inline(always)]
    pub fn until(self, until: Time) -> Self {
        Sample { until: Some(until), ..self }
    }
    /// Takes the dimensions from the before image instead of the after image.
    #[inline(always)]
    pub fn by_before(self) -> Self {
        Sample { before: true, ..self }
    }
}

/// A row that the metric refuses: shown to the operator, counted, and nothing else happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// What a metric's function may return: `Option<Sample<V>>`, `Vec<Sample<V>>`, an array of samples,
/// or a `Result` of these with [`Refused`].
pub trait Observed {
    type Value: Value;
    fn give(self, sink: &mut impl FnMut(Sample<Self::Value>)) -> Result<(), Refused>;
}

impl<V: Value> Observed for Option<Sample<V>> {
    type Value = V;
    #[inline(always)]
    fn give(self, sink: &mut impl FnMut(Sample<V>)) -> Result<(), Refused> {
        if let Some(sample) = self {
            sink(sample);
        }
        Ok(())
    }
}
impl<V: Value> Observed for Vec<Sample<V>> {
    type Value = V;
    fn give(self, sink: &mut impl FnMut(Sample<V>)) -> Result<(), Refused> {
        self.into_iter().for_each(sink);
        Ok(())
    }
}
impl<V: Value, const N: usize> Observed for [Sample<V>; N] {
    type Value = V;
    #[inline(always)]
    fn give(self, sink: &mut impl FnMut(Sample<V>)) -> Result<(), Refused> {
        self.into_iter().for_each(sink);
        Ok(())
    }
}
impl<O: Observed> Observed for Result<O, Refused> {
    type Value = O::Value;
    #[inline(always)]
    fn give(self, sink: &mut impl FnMut(Sample<O::Value>)) -> Result<(), Refused> {
        self?.give(sink)
    }
}

/// What a sample can carry: nothing, a number, a time, an `Option` of these, or a tuple of up to five.
pub trait Value: Copy + Send + 'static {
    type Writer: Default;
    type Reader<'a>;
    fn fields() -> Vec<Field>;
    fn write(self, writer: &mut Self::Writer);
    fn finish(writer: Self::Writer) -> Vec<Column>;
    fn reader<'a>(
        n: usize,
        columns: &'a [Column],
        texts: &'a [Dictionary],
    ) -> Result<Self::Reader<'a>, String>;
    fn read(reader: &Self::Reader<'_>, row: usize) -> Self;
}

impl Value for () {
    type Writer = ();
    type Reader<'a> = ();
    fn fields() -> Vec<Field> {
        Vec::new()
    }
    #[inline(always)]
    fn write(self, (): &mut ()) {}
    fn finish((): ()) -> Vec<Column> {
        Vec::new()
    }
    fn reader<'a>(_: usize, columns: &'a [Column], _: &'a [Dictionary]) -> Result<(), String> {
        expect_columns(columns, 0)
    }
    #[inline(always)]
    fn read((): &(), _: usize) -> Self {}
}

fn expect_columns(columns: &[Column], due: usize) -> Result<(), String> {
    if columns.len() == due {
        Ok(())
    } else {
        Err(format!("{} value columns where {due} are due", columns.len()))
    }
}

/// One column of a sample's values.
pub trait Part: Copy + Send + 'static {
    const TYPE: ValueType;
    const NULLABLE: bool;
    fn bits(self) -> Option<i64>;
    fn of(bits: i64, valid: bool) -> Self;
}
impl<T: Scalar> Part for T {
    const TYPE: ValueType = T::TYPE;
    const NULLABLE: bool = false;
    #[inline(always)]
    fn bits(self) -> Option<i64> {
        Some(self.to_bits())
    }
    #[inline(always)]
    fn of(bits: i64, _: bool) -> Self {
        T::from_bits(bits)
    }
}
impl<T: Scalar> Part for Option<T> {
    const TYPE: ValueType = T::TYPE;
    const NULLABLE: bool = true;
    #[inline(always)]
    fn bits(self) -> Option<i64> {
        self.map(Scalar::to_bits)
    }
    #[inline(always)]
    fn of(bits: i64, valid: bool) -> Self {
        valid.then(|| T::from_bits(bits))
    }
}

fn part_field<P: Part>(name: &str) -> Field {
    Field { name: name.into(), value_type: P::TYPE, nullable: P::NULLABLE }
}

fn part_view<'a, P: Part>(
    n: usize,
    at: usize,
    columns: &'a [Column],
    texts: &'a [Dictionary],
) -> Result<ColumnView<'a>, String> {
    let (Some(column), Some(text)) = (columns.get(at), texts.get(at)) else {
        return Err(format!("value {at}: its column or dictionary is missing"));
    };
    ColumnView::new(&format!("value {at}"), P::TYPE, n, column, text)
}

macro_rules! value {
    ($count:literal, ($($part:ty : $at:tt $name:literal),+), $this:ty, |$value:ident| ($($get:expr),+), |$made:ident| $make:expr, [$($generics:tt)*]) => {
        impl<$($generics)*> Value for $this {
            type Writer = [ScalarWriter; $count];
            type Reader<'a> = [ColumnView<'a>; $count];
            fn fields() -> Vec<Field> {
                vec![$(part_field::<$part>($name)),+]
            }
            #[inline(always)]
            fn write(self, writer: &mut Self::Writer) {
                let $value = self;
                $(writer[$at].push(<$part as Part>::bits($get));)+
            }
            fn finish(writer: Self::Writer) -> Vec<Column> {
                writer.into_iter().map(ScalarWriter::finish).collect()
            }
            fn reader<'a>(
                n: usize,
                columns: &'a [Column],
                texts: &'a [Dictionary],
            ) -> Result<Self::Reader<'a>, String> {
                expect_columns(columns, $count)?;
                Ok([$(part_view::<$part>(n, $at, columns, texts)?),+])
            }
            #[inline(always)]
            fn read(reader: &Self::Reader<'_>, row: usize) -> Self {
                let $made = ($(<$part as Part>::of(
                    reader[$at].bits(row),
                    // Not asked for where null cannot be: the test costs more than the value.
                    !<$part as Part>::NULLABLE || reader[$at].is_valid(row),
                ),)+);
                $make
            }
        }
    };
}
macro_rules! single {
    ($($type:ident),+) => {$(
        value!(1, ($type: 0 "value"), $type, |value| (value), |made| made.0, []);
    )+};
}
single!(i64, f64, bool, Time, Span);
value!(1, (Option<T>: 0 "value"), Option<T>, |value| (value), |made| made.0, [T: Scalar]);
value!(2, (A: 0 "value", B: 1 "value_2"), (A, B), |value| (value.0, value.1), |made| made, [A: Part, B: Part]);
value!(
    3,
    (A: 0 "value", B: 1 "value_2", C: 2 "value_3"),
    (A, B, C),
    |value| (value.0, value.1, value.2),
    |made| made,
    [A: Part, B: Part, C: Part]
);
value!(
    4,
    (A: 0 "value", B: 1 "value_2", C: 2 "value_3", D: 3 "value_4"),
    (A, B, C, D),
    |value| (value.0, value.1, value.2, value.3),
    |made| made,
    [A: Part, B: Part, C: Part, D: Part]
);
value!(
    5,
    (A: 0 "value", B: 1 "value_2", C: 2 "value_3", D: 3 "value_4", E: 4 "value_5"),
    (A, B, C, D, E),
    |value| (value.0, value.1, value.2, value.3, value.4),
    |made| made,
    [A: Part, B: Part, C: Part, D: Part, E: Part]
);

/// Builds the packed samples of one call.
pub struct SamplesWriter<V: Value> {
    rows: Vec<u8>,
    weights: Vec<u8>,
    images: BitsWriter,
    times: Vec<u8>,
    times_validity: BitsWriter,
    untils: Vec<u8>,
    values: V::Writer,
    rejects: Vec<Reject>,
    events: bool,
}

impl<V: Value> SamplesWriter<V> {
    pub fn new(rows: usize, events: bool) -> Self {
        SamplesWriter {
            rows: Vec::with_capacity(rows * 4),
            weights: Vec::new(),
            images: BitsWriter::default(),
            times: if events { Vec::with_capacity(rows * 8) } else { Vec::new() },
            times_validity: BitsWriter::default(),
            untils: Vec::new(),
            values: V::Writer::default(),
            rejects: Vec::new(),
            events,
        }
    }

    /// How many samples there are.
    fn len(&self) -> usize {
        self.rows.len() / 4
    }

    #[inline(always)]
    pub fn push(&mut self, row: usize, sample: Sample<V>) {
        if sample.weight == 0 {
            return;
        }
        if sample.weight != 1 || !self.weights.is_empty() {
            self.push_weight(sample.weight);
        }
        if self.events {
            let at = sample.at.unwrap_or_default();
            if sample.until.is_some() || !self.untils.is_empty() {
                self.push_until(sample.until.unwrap_or(at));
            }
            self.times.extend_from_slice(&at.0.to_le_bytes());
            self.times_validity.push(sample.at.is_some());
            self.images.push(!sample.before);
        }
        self.rows.extend_from_slice(&(row as u32).to_le_bytes());
        sample.value.write(&mut self.values);
    }

    #[cold]
    fn push_weight(&mut self, weight: i64) {
        while self.weights.len() < self.len() * 8 {
            self.weights.extend_from_slice(&1i64.to_le_bytes());
        }
        self.weights.extend_from_slice(&weight.to_le_bytes());
    }

    #[cold]
    fn push_until(&mut self, until: Time) {
        // Samples so far were points: their end is their time.
        if self.untils.is_empty() {
            self.untils.clone_from(&self.times);
        }
        self.untils.extend_from_slice(&until.0.to_le_bytes());
    }

    /// Refuses a row. It gave no sample: [`Observed::give`] is all or nothing.
    #[cold]
    pub fn refuse(&mut self, row: usize, reason: String) {
        self.rejects.push(Reject { row: row as u32, reason });
    }

    pub fn finish(self) -> Samples {
        let values = V::finish(self.values);
        Samples {
            rows: self.rows,
            weights: self.weights,
            images: self.images.finish(),
            times: self.times,
            times_validity: self.times_validity.finish(),
            untils: self.untils,
            dictionaries: vec![Dictionary::default(); values.len()],
            values,
            computed: Vec::new(),
            rejects: self.rejects,
        }
    }
}
