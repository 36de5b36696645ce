//! Write Weir metrics in Rust.
//!
//! A metric is a function from a change of a row (or from a row as it stands) to samples, and an
//! accumulator that makes numbers of them. The host does the rest: windows, dimension sets, late rows,
//! state, recovery.
//!
//! ```
//! use weir_metric::prelude::*;
//!
//! /// A row of the source, with the columns that any metric here may want.
//! #[derive(Clone, Copy, Row)]
//! #[row(source = "parcel")]
//! pub struct Parcel<'a> {
//!     pub depot_id: i64,
//!     pub carrier: Text<'a>,
//!     pub sent_at: Time,
//!     pub arrived_at: Option<Time>,
//! }
//!
//! /// Time from dispatch to arrival, when arrived_at becomes set.
//! #[metric(unit = "s", dims = [depot_id], watch = [arrived_at], accumulator = (Mean, Quantiles([0.9]), Count))]
//! pub fn transit_time(c: &Change<Parcel>) -> Option<Sample<Span>> {
//!     let (at, parcel) = c.became_some(|p| p.arrived_at)?;
//!     Some(Sample::at(at).value(at - parcel.sent_at))
//! }
//!
//! /// Parcels on their way.
//! #[metric(dims = [depot_id, carrier])]
//! pub fn on_the_way(p: &Parcel) -> Option<Sample> {
//!     p.arrived_at.is_none().then(Sample::now)
//! }
//!
//! export_plugin!(TransitTime, OnTheWay);
//!
//! # fn main() {
//! // In a unit test:
//! let sent = Parcel { depot_id: 1, carrier: Text("bike"), sent_at: Time::seconds(60), arrived_at: None };
//! let there = Parcel { arrived_at: Some(Time::seconds(90)), ..sent };
//! let mut harness = weir_metric::harness::Harness::<TransitTime>::new();
//! harness.insert(&sent);
//! harness.update(&sent, &there);
//! let out = harness.output("1m", &[("depot_id", "1")], Time::seconds(90));
//! assert_eq!((out.float("mean"), out.int("count")), (30.0, 1));
//! # }
//! ```
//!
//! # The row
//!
//! `#[derive(Row)]` with `#[row(source = "…")]` declares columns of one source: `i64`, `f64`, `bool`,
//! [`Time`](value::Time), [`Text`](value::Text) and `Option`s of these. `board = "…"` gives the first
//! part of the metrics' names where it is not the source's name.
//!
//! **A metric gets only the fields that it names**: its dimensions, what it watches, and every
//! `.field` in its function. `#[metric]` makes a row type of just these, so asking for less costs less, and
//! a field that was not asked for cannot be read: the program does not compile. A helper function
//! therefore takes values (`is_open(t.status)`), not rows; `fields = [..]` asks for more. A dimension
//! that is no field does not compile either:
//!
//! ```compile_fail,E0609
//! # use weir_metric::prelude::*;
//! # #[derive(Clone, Copy, Row)]
//! # #[row(source = "parcel")]
//! # pub struct Parcel { pub depot_id: i64, pub sent_at: Time }
//! /// Parcels sent.
//! #[metric(dims = [depot])] // depot_id is meant
//! pub fn sent(c: &Change<Parcel>) -> Option<Sample> {
//!     c.inserted().map(|p| Sample::at(p.sent_at))
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail,E0308
//! # use weir_metric::prelude::*;
//! # #[derive(Clone, Copy, Row)]
//! # #[row(source = "parcel")]
//! # pub struct Parcel { pub depot_id: i64, pub sent_at: Time }
//! fn in_the_north(parcel: &Parcel) -> bool {
//!     parcel.depot_id > 100
//! }
//! /// Parcels sent in the north.
//! #[metric]
//! pub fn sent(c: &Change<Parcel>) -> Option<Sample> {
//!     c.inserted().filter(|p| in_the_north(p)).map(|p| Sample::at(p.sent_at))
//! }
//! # fn main() {}
//! ```
//!
//! # The attribute
//!
//! | key | default | |
//! |---|---|---|
//! | `dims = [a, b]` | none | dimensions; the function gives samples, the image gives their dimensions |
//! | `dimension_sets = [[], [a]]` | every subset | sets for which it is kept |
//! | `watch = [a]` | all fields | an update that changes none of these is not shown to the metric |
//! | `accumulator = …` | `Count` | see [`acc`]; a tuple combines several |
//! | `unit = "s"` | `"1"` | of its values |
//! | `windows = ["5m/10s", "session-60s"]` | `1m 15m 1h day` | no key for current values |
//! | `values = [wait]` | `value`, `value_2`, … | names of what a sample carries |
//! | `name`, `title` | of the function's name | the name is `board.name`; `name = "im.bursts"` gives all of it |
//! | `owner`, `version`, `deprecated`, `replaced_by` | none, the crate's version | |
//! | `meaning_version = 2` | 1 | raise it when the same events would give other numbers |
//! | `time_varying` | no | outputs change as time passes |
//! | `all_rows` | only rows that give a sample | which rows the host keeps, for current values |
//! | `fields = [a]` | none | fields to ask for besides |
//! | `table` | no | a board shows it as a table too |
//! | `board = "team"` | first part of the name | the board that shows it |
//! | `correct_for = "26h"` | the operator's | how long a closed window is still corrected, at least |
//!
//! The doc comment is the metric's definition on the dashboard and in its docs.
//!
//! # Which kind
//!
//! `&Change<Row>` makes a metric over events: samples are made once, at the transition, and later
//! changes never move them. `&Row` makes one over current values: the host shows a row when it begins
//! to hold and takes its sample back when it ceases to, so the function must look at nothing else.
//!
//! A second argument `&Settings` is what the operator may set: `#[derive(Config)]` on a struct, a
//! `#[default("…")]` on each field. [`ByKey`](config::ByKey) is a setting that may differ by queue.
//!
//! # Rules that the host checks
//!
//! Accumulators must keep the laws in [`laws`]. There is no clock, no randomness, no file and no
//! network; a line for the operator is `log::info!(…)`. Nothing that a metric is fed may make it panic:
//! times and spans saturate, counts and sums wrap at their width.

extern crate self as weir_metric;

pub mod acc;
pub mod business;
pub mod config;
pub mod derived;
#[cfg(target_arch = "wasm32")]
pub mod guest;
#[cfg(target_arch = "wasm32")]
pub mod guest_derived;
pub mod harness;
pub mod laws;
pub mod log;
pub mod metric;
pub mod packed;
pub mod raw;
pub mod row;
pub mod sample;
pub mod slots;
pub mod value;

pub use weir_metric_macros::{Config, Row, derived, metric};

/// What a metric's file needs: `use weir_metric::prelude::*;`.
pub mod prelude {
    pub use crate::acc::{
        Accumulator, Count, CountBy, Distinct, Extent, Max, Mean, Min, Named, PerMinute, Quantiles, Sum,
        Tally, TimeBy, TopK, of, of_some,
    };
    pub use crate::acc::{AgeBuckets, CountIf, DueWithin, Greatest, Least, Overdue, Ratio};
    pub use crate::business::{BusinessHours, business_seconds};
    pub use crate::config::ByKey;
    pub use crate::log;
    pub use crate::row::Change;
    pub use crate::sample::{Refused, Sample};
    pub use crate::value::{Span, Text, Time};
    pub use crate::{Config, Row, export_plugin, metric};
}

/// Makes the component out of metrics: `export_plugin!(Created, Backlog);`. Also makes a function
/// `plugin()` that gives the same metrics to native code.
#[macro_export]
macro_rules! export_plugin {
    ($($metric:path),+ $(,)?) => {
        /// The metrics of this component, for native use.
        pub fn plugin() -> $crate::raw::Plugin {
            $crate::raw::Plugin { entries: ::std::vec![$($crate::metric::entry::<$metric>()),+] }
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;
            impl $crate::guest::Component for Exported {
                fn plugin() -> $crate::raw::Plugin {
                    plugin()
                }
            }
            $crate::guest::export_component!(Exported with_types_in $crate::guest);
        };
    };
}
