//! The laws of the contract (design § 2), checked over sample input before a metric is let in.
//!
//! The host leans on them everywhere: cells are merged in any order, batches are split anywhere,
//! state is saved and loaded without anybody noticing. A metric that broke one would give numbers
//! that depend on when a batch happened to end.
//!
//! Sample input is made from the declared sources with a fixed seed ([`input`]); samples come from
//! the metric's own `observe` and, if it takes them, from made-up values of the described types.

mod cells;
mod derived;
mod input;
mod observe;
mod plain;

use std::sync::Arc;
use weir_types::contract::{GuestError, MetricFactory};
use weir_types::schema::SourceDecl;

/// Made-up samples, and the most that are taken of the observed ones.
const SAMPLES: usize = 72;

/// Why a metric is not let in.
#[derive(Debug, PartialEq, Eq)]
enum Broken {
    /// A law does not hold.
    Law { law: &'static str, detail: String },
    /// A call failed over input that keeps the contract.
    Failed { call: &'static str, error: GuestError },
}

impl Broken {
    fn law(law: &'static str, detail: String) -> Self {
        Broken::Law { law, detail }
    }
}

fn failed(call: &'static str) -> impl Fn(GuestError) -> Broken {
    move |error| Broken::Failed { call, error }
}

/// Checks every law. The error names the metric and the law.
pub fn check(factory: &dyn MetricFactory, sources: &[Arc<SourceDecl>]) -> Result<(), String> {
    let name = &factory.info().name;
    check_all(factory, sources).map_err(|broken| match broken {
        Broken::Law { law, detail } => format!("metric {name} breaks a law: {law} ({detail})"),
        Broken::Failed { call, error } => {
            format!("metric {name} cannot be checked: `{call}` failed over sample input: {error}")
        }
    })
}

fn check_all(factory: &dyn MetricFactory, sources: &[Arc<SourceDecl>]) -> Result<(), Broken> {
    let info = factory.info();
    if info.is_derived() {
        return derived::check(factory);
    }
    let mut observed = Vec::new();
    for (at, input) in info.inputs.iter().enumerate() {
        let Some(source) = sources.iter().find(|s| s.name == input.source) else { continue };
        observed.extend(observe::check(factory, at, source)?);
    }
    observed.truncate(SAMPLES);
    if !observed.is_empty() {
        cells::check(factory, &observed)?;
    }
    let made_up = input::entries(&info.values, SAMPLES, 11);
    match (cells::takes(factory, &made_up)?, observed.is_empty()) {
        (true, _) => cells::check(factory, &made_up),
        (false, false) => Ok(()),
        (false, true) => {
            tracing::warn!(
                metric = %info.name,
                "no sample row gave a sample, and made-up values are refused: the laws of its cells are not checked"
            );
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
