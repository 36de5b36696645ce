//! Write Weir metrics in Rust.

extern crate self as weir_metric;

pub mod acc;
pub mod business;
pub mod config;
#[cfg(target_arch = "wasm32")]
pub mod guest;
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

pub use weir_metric_macros::{Config, Row, metric};

/// What a metric's file needs: `use weir_metric::prelude::*;`.
pub mod prelude {
    pub use crate::acc::{Accumulator, Count, Max, Mean, Min, Named, Quantiles, Sum, of};
    pub use crate::business::{BusinessHours, business_seconds};
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
