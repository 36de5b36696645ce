//! Accumulators: how samples become numbers. Sums are integers, so that any order and grouping gives
//! the same bytes; division happens once, in `evaluate`.

mod basic;
mod combine;
mod distinct;
mod flow;
mod multiset;
mod out;
mod quantiles;
mod share;
mod some;
mod split;
mod standing;
mod topk;

pub use basic::{Count, Max, Mean, Min, Sum};
pub use combine::{Named, Of, of};
pub use distinct::{Distinct, DistinctState};
pub use flow::{Extent, PerMinute, Tally};
pub use multiset::Multiset;
pub use out::OutputsWriter;
pub use quantiles::{Quantiles, QuantilesState};
pub use share::{CountIf, Ratio, Sums};
pub use some::{OfSome, of_some};
pub use split::{ByKind, CountBy, TimeBy};
pub use standing::{AgeBuckets, Deadlines, DueWithin, Greatest, Least, Overdue};
pub use topk::{TopK, TopKState};

use crate::packed::Reader;
use crate::raw::{Output, ValueType};
use crate::value::{Span, Time};

/// A sample on its way into a state.
#[derive(Clone, Copy, Debug)]
pub struct Weighed {
    /// How often it counts; negative takes it back. Never 0.
    pub weight: i64,
    /// Its time; for a part of a span the part's start. 0 for metrics over current values.
    pub time: Time,
    /// The end of the part of a span; equal to `time` for a point.
    pub until: Time,
}

/// The window and moment that are evaluated.
#[derive(Clone, Copy, Debug, Default)]
pub struct At {
    /// [start, end) of the window; both 0 for current values.
    pub start: Time,
    pub end: Time,
    /// The epoch's clock. Only a metric declared `time_varying` may look at it.
    pub now: Time,
}

/// A way to accumulate values of type `V`. Run your own through [`crate::laws::check`].
///
/// `merge` must be commutative and associative, and adding samples to two states and merging them must
/// equal adding all to one, down to the bytes of `evaluate`. `State::default()` is 'nothing'.
pub trait Accumulator<V>: Send + 'static {
    type State: Default + Clone + Send + 'static;
    /// Version of what `save` writes.
    const STATE_VERSION: u32 = 1;
    /// Older versions that `load` reads too.
    const STATE_VERSIONS_READ: &'static [u32] = &[];

    /// The outputs, in the order in which `evaluate` writes them. `unit` is the metric's.
    fn outputs(&self, unit: &str) -> Vec<Output>;
    /// Whether a sample can be taken back (negative weight), as metrics over current values need.
    fn retracts(&self) -> bool;
    fn add(&self, state: &mut Self::State, sample: Weighed, value: V);
    /// Adds `from` to `into`, at a cost that grows with `from` alone.
    fn merge(&self, into: &mut Self::State, from: &Self::State);
    /// Writes one value for each output.
    fn evaluate(&self, state: &Self::State, at: At, out: &mut OutputsWriter);
    /// Whether the state equals 'nothing'.
    fn is_empty(&self, state: &Self::State) -> bool;
    /// Appends the state. Equal states must give equal bytes.
    fn save(&self, state: &Self::State, out: &mut Vec<u8>);
    /// Reads what `save` has written and no more.
    fn load(&self, version: u32, from: &mut Reader<'_>) -> Result<Self::State, String>;
}

/// A value that has an exact integer for sums, order and quantiles.
pub trait Number: Copy {
    /// Parts of a unit in which the integer counts. With 1, results that are exact stay integers.
    const SCALE: i64;
    /// Type of an exact result where `SCALE` is 1.
    const TYPE: ValueType;
    fn to_int(self) -> i64;
}
impl Number for i64 {
    const SCALE: i64 = 1;
    const TYPE: ValueType = ValueType::Int;
    #[inline(always)]
    fn to_int(self) -> i64 {
        self
    }
}
impl Number for Span {
    const SCALE: i64 = 1_000_000;
    const TYPE: ValueType = ValueType::Float;
    #[inline(always)]
    fn to_int(self) -> i64 {
        self.0
    }
}
impl Number for Time {
    const SCALE: i64 = 1;
    const TYPE: ValueType = ValueType::Time;
    #[inline(always)]
    fn to_int(self) -> i64 {
        self.0
    }
}

/// An output that may be null.
pub(crate) fn nullable(name: &str, value_type: ValueType, unit: &str, description: &str) -> Output {
    Output {
        name: name.into(),
        value_type,
        is_list: false,
        nullable: true,
        unit: unit.into(),
        description: description.into(),
    }
}

/// A number that is never null.
pub(crate) fn counted(name: &str, description: &str) -> Output {
    Output { nullable: false, ..nullable(name, ValueType::Int, "1", description) }
}

/// Writes an integer of `N` as the type that its exact outputs have.
pub(crate) fn write_exact<N: Number>(out: &mut OutputsWriter, value: i128) {
    match i64::try_from(value) {
        _ if N::SCALE != 1 => out.float(value as f64 / N::SCALE as f64),
        Ok(value) => out.int(value),
        // Beyond 64 bits there is no value to show.
        Err(_) => out.null(),
    }
}
