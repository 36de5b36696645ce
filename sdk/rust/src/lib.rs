//! What an author of metrics in Rust builds on: typed rows over the contract's packed columns, samples,
//! and accumulators whose results are exact integers until they are divided once.
//!
//! The attribute macro, the component glue and the test harness are being built on these parts.

pub mod acc;
pub mod packed;
pub mod raw;
pub mod row;
pub mod sample;
pub mod value;
