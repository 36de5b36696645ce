//! Derived metrics: a function from outputs of other metrics to a value.
//!
//! ```
//! use weir_metric::derived::prelude::*;
//!
//! /// Parcels lost of those sent.
//! #[derived(
//!     name = "parcel.loss_rate",
//!     bases = [parcel.lost(count), parcel.sent(count)],
//!     dims = [depot_id],
//!     outputs = [ratio, lost, sent]
//! )]
//! pub fn loss_rate(lost: i64, sent: i64) -> Ratio {
//!     Ratio::of(lost, sent)
//! }
//!
//! export_derived!(LossRate);
//!
//! # fn main() {
//! let out = Computed::of::<LossRate>(&[Some(Given::Int(1)), Some(Given::Int(4))]);
//! assert_eq!((out.float("ratio"), out.int("sent")), (0.25, 4));
//! # }
//! ```
//!
//! The host reads each base at exactly this metric's dimension set and window; where a base holds nothing, it
//! gives what the base says of nothing. Arguments stand in the order in which the bases name their outputs, with
//! the types that these have; an output that may be null is an `Option`.
//!
//! | key | default | |
//! |---|---|---|
//! | `bases = [board.name(output, …), …]` | – | what it is computed from |
//! | `dims`, `dimension_sets`, `windows`, `name`, `title`, `owner`, `version`, `deprecated`, `replaced_by`, `meaning_version` | as for `#[metric]`; the board is the first base's | every base must be kept for these sets and windows |
//! | `now` | no | it is derived from current values |
//! | `outputs = [a, b]` | by the type returned | names |
//! | `unit = "s"` | `"1"` | of the value, or of a ratio's two parts |
//! | `extra = [("board", "team")]` | none | pairs for the dashboard |

use crate::harness::{Row, read_row};
use crate::raw::{Column, Dictionary, Output, Outputs, ValueType, Window};
use crate::value::{ColumnView, Scalar, ScalarWriter};

/// What the file of a derived metric needs.
pub mod prelude {
    pub use super::{Computed, Given, Ratio};
    pub use crate::value::{Span, Text, Time};
    pub use crate::{derived, export_derived};
}

/// Outputs of another metric that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub metric: String,
    pub outputs: Vec<String>,
}

/// Everything the host must know about one derived metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedInfo {
    pub name: String,
    pub title: String,
    pub unit: String,
    pub description: String,
    pub owner: String,
    pub version: String,
    pub deprecated: Option<String>,
    pub replaced_by: Option<String>,
    pub bases: Vec<Base>,
    pub dimensions: Vec<String>,
    /// Empty = every subset.
    pub dimension_sets: Vec<Vec<String>>,
    pub windows: Vec<Window>,
    pub outputs: Vec<Output>,
    pub meaning_version: u32,
    pub extra: Vec<(String, String)>,
}

/// What the author wrote about a derived metric.
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub name: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub description: &'static str,
    pub owner: &'static str,
    pub version: &'static str,
    pub deprecated: Option<&'static str>,
    pub replaced_by: Option<&'static str>,
    pub bases: &'static [(&'static str, &'static [&'static str])],
    pub dimensions: &'static [&'static str],
    pub dimension_sets: &'static [&'static [&'static str]],
    pub windows: &'static [Window],
    pub outputs: &'static [&'static str],
    pub meaning_version: u32,
    pub extra: &'static [(&'static str, &'static str)],
}

/// One derived metric. Written by `#[derived]`; nobody implements it by hand.
pub trait Derived: Sized + 'static {
    type Given: Outcome;
    const ABOUT: About;
    /// Types of the arguments.
    const TYPES: &'static [ValueType];

    /// Computes one row. There is a column for each argument.
    fn compute(columns: &[ColumnView<'_>], row: usize) -> Self::Given;
}

/// What a derived metric's function may return.
pub trait Outcome {
    /// Name, type, whether it may be null, unit (None = the author's) and description of each output.
    const OUTPUTS: &'static [Part];
    /// The values of one row, in the order of the outputs.
    fn values(&self) -> impl Iterator<Item = Option<i64>>;
}

/// One output of an [`Outcome`].
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub name: &'static str,
    pub value_type: ValueType,
    pub nullable: bool,
    /// Whether the author's unit is its.
    pub has_unit: bool,
    pub description: &'static str,
}

const VALUE: Part =
    Part { name: "value", value_type: ValueType::Float, nullable: false, has_unit: true, description: "" };

impl Outcome for i64 {
    const OUTPUTS: &'static [Part] = &[Part { name: "count", value_type: ValueType::Int, ..VALUE }];
    fn values(&self) -> impl Iterator<Item = Option<i64>> {
        [Some(*self)].into_iter()
    }
}

impl Outcome for Option<f64> {
    const OUTPUTS: &'static [Part] = &[Part { nullable: true, ..VALUE }];
    fn values(&self) -> impl Iterator<Item = Option<i64>> {
        [self.filter(|value| value.is_finite()).map(Scalar::to_bits)].into_iter()
    }
}

/// A part of a whole: the ratio, and the two numbers that it is of. No ratio where the whole is not positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio<T = i64> {
    numerator: T,
    denominator: T,
}

impl<T: Number> Ratio<T> {
    pub fn of(numerator: T, denominator: T) -> Self {
        Ratio { numerator, denominator }
    }

    /// The quotient; None where the denominator is not positive, or the quotient is no number.
    pub fn value(&self) -> Option<f64> {
        let (n, d) = (self.numerator.to_f64(), self.denominator.to_f64());
        Some(n / d).filter(|ratio| d > 0.0 && ratio.is_finite())
    }
}

/// What a [`Ratio`] is made of.
pub trait Number: Scalar {
    fn to_f64(self) -> f64;
}

impl Number for i64 {
    fn to_f64(self) -> f64 {
        self as f64
    }
}

impl Number for f64 {
    fn to_f64(self) -> f64 {
        self
    }
}

impl<T: Number> Outcome for Ratio<T> {
    const OUTPUTS: &'static [Part] = &[
        Part {
            name: "ratio",
            nullable: true,
            has_unit: false,
            description: "The ratio; none where there is nothing to divide by.",
            ..VALUE
        },
        Part { name: "numerator", value_type: T::TYPE, description: "What is divided.", ..VALUE },
        Part { name: "denominator", value_type: T::TYPE, description: "What it is divided by.", ..VALUE },
    ];
    fn values(&self) -> impl Iterator<Item = Option<i64>> {
        let ratio = self.value().map(Scalar::to_bits);
        [ratio, Some(self.numerator.to_bits()), Some(self.denominator.to_bits())].into_iter()
    }
}

/// `board.name`.
fn full_name<D: Derived>() -> String {
    let about = D::ABOUT;
    let board = about.bases.first().and_then(|(metric, _)| metric.split('.').next()).unwrap_or_default();
    if about.name.contains('.') { about.name.into() } else { format!("{board}.{}", about.name) }
}

fn outputs<D: Derived>() -> Vec<Output> {
    let parts = D::Given::OUTPUTS.iter().enumerate();
    let output = |(at, part): (usize, &Part)| Output {
        name: D::ABOUT.outputs.get(at).unwrap_or(&part.name).to_string(),
        value_type: part.value_type,
        is_list: false,
        nullable: part.nullable,
        unit: if part.has_unit { D::ABOUT.unit.into() } else { "1".into() },
        description: part.description.into(),
    };
    parts.map(output).collect()
}

/// What the host must know about a derived metric.
pub fn describe<D: Derived>() -> DerivedInfo {
    let about = D::ABOUT;
    let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let outputs = outputs::<D>();
    let mut extra = vec![("sdk".to_string(), concat!("rust ", env!("CARGO_PKG_VERSION")).to_string())];
    extra.extend(about.extra.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    DerivedInfo {
        name: full_name::<D>(),
        title: match about.title {
            "" => full_name::<D>().replace(['.', '_'], " "),
            title => title.into(),
        },
        unit: outputs.first().map(|output| output.unit.clone()).unwrap_or_default(),
        description: about.description.into(),
        owner: about.owner.into(),
        version: about.version.into(),
        deprecated: about.deprecated.map(Into::into),
        replaced_by: about.replaced_by.map(Into::into),
        bases: about.bases.iter().map(|(m, o)| Base { metric: m.to_string(), outputs: texts(o) }).collect(),
        dimensions: texts(about.dimensions),
        dimension_sets: about.dimension_sets.iter().map(|set| texts(set)).collect(),
        windows: about.windows.to_vec(),
        outputs,
        meaning_version: about.meaning_version,
        extra,
    }
}

/// The call `compute` of one metric.
pub type Compute = fn(usize, &[Column], &[Dictionary]) -> Result<Outputs, String>;

/// Computes rows. No input, however wrong, panics.
pub fn compute<D: Derived>(
    rows: usize,
    columns: &[Column],
    dictionaries: &[Dictionary],
) -> Result<Outputs, String> {
    if columns.len() != D::TYPES.len() || dictionaries.len() != D::TYPES.len() {
        return Err(format!("{} columns of outputs instead of {}", columns.len(), D::TYPES.len()));
    }
    let mut views = Vec::with_capacity(columns.len());
    for ((ty, column), dictionary) in D::TYPES.iter().zip(columns).zip(dictionaries) {
        views.push(ColumnView::new("an output of a base", *ty, rows, column, dictionary)?);
    }
    let count = D::Given::OUTPUTS.len();
    let mut writers: Vec<ScalarWriter> = (0..count).map(|_| ScalarWriter::with_capacity(rows)).collect();
    for row in 0..rows {
        let given = D::compute(&views, row);
        writers.iter_mut().zip(given.values()).for_each(|(writer, value)| writer.push(value));
    }
    let columns = writers.into_iter().map(ScalarWriter::finish).collect();
    Ok(Outputs { columns, dictionaries: vec![Dictionary::default(); count] })
}

/// One derived metric of a plugin.
#[derive(Clone, Copy)]
pub struct Entry {
    pub describe: fn() -> DerivedInfo,
    pub compute: Compute,
}

/// The entry of a metric in its plugin.
pub fn entry<D: Derived>() -> Entry {
    Entry { describe: describe::<D>, compute: compute::<D> }
}

/// The derived metrics of one component.
#[derive(Clone)]
pub struct Plugin {
    pub entries: Vec<Entry>,
}

impl Plugin {
    /// What the component's `describe` gives.
    pub fn describe(&self) -> Vec<DerivedInfo> {
        self.entries.iter().map(|entry| (entry.describe)()).collect()
    }

    /// What the component's `open` looks up.
    pub fn find(&self, metric: &str) -> Result<Compute, String> {
        let found = self.entries.iter().find(|entry| (entry.describe)().name == metric);
        found.map(|entry| entry.compute).ok_or_else(|| {
            let names: Vec<String> = self.describe().into_iter().map(|info| info.name).collect();
            format!("no metric {metric:?} in this component; it has {}", names.join(", "))
        })
    }
}

/// An output of a base, for tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Given {
    Int(i64),
    Float(f64),
}

/// Computes single rows through the packed calls that the host makes, for unit tests. Panics with an explanation.
pub struct Computed;

impl Computed {
    /// One row from its bases' outputs, in order; None is null.
    pub fn of<D: Derived>(given: &[Option<Given>]) -> Row {
        let column = |given: &Option<Given>| {
            let mut writer = ScalarWriter::default();
            writer.push(given.map(|given| match given {
                Given::Int(value) => value,
                Given::Float(value) => Scalar::to_bits(value),
            }));
            writer.finish()
        };
        let columns: Vec<Column> = given.iter().map(column).collect();
        let dictionaries = vec![Dictionary::default(); columns.len()];
        let outputs = compute::<D>(1, &columns, &dictionaries);
        let outputs = outputs.unwrap_or_else(|why| panic!("compute gave an error: {why}"));
        read_row(&describe::<D>().outputs, &outputs)
    }
}

/// Makes the component out of derived metrics: `export_derived!(AbandonRate);`. Also makes a function `plugin()`
/// that gives the same metrics to native code.
#[macro_export]
macro_rules! export_derived {
    ($($metric:path),+ $(,)?) => {
        /// The derived metrics of this component, for native use.
        pub fn plugin() -> $crate::derived::Plugin {
            $crate::derived::Plugin { entries: ::std::vec![$($crate::derived::entry::<$metric>()),+] }
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;
            impl $crate::guest_derived::Component for Exported {
                fn plugin() -> $crate::derived::Plugin {
                    plugin()
                }
            }
            $crate::guest_derived::export_derived_component!(Exported with_types_in $crate::guest_derived);
        };
    };
}

#[cfg(test)]
mod tests;
