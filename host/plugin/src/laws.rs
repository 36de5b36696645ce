//! The laws of the contract (design § 2), checked over sample input before a metric is let in.

mod input;
mod run;

use std::sync::Arc;
use weir_types::contract::MetricFactory;
use weir_types::schema::SourceDecl;

/// Checks every law. The error names metric and law.
pub fn check(factory: &dyn MetricFactory, sources: &[Arc<SourceDecl>]) -> Result<(), String> {
    let name = &factory.info().name;
    run::check_all(factory, sources).map_err(|broken| format!("metric {name} breaks a law: {broken}"))
}

#[cfg(test)]
mod tests;
