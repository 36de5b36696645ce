//! The sandbox: components in, metrics out. The only user of wasmtime.
//!
//! A component passes these gates, each with an error that names file, metric and field: it is a
//! component of the right world that imports nothing but the log; `describe` makes sense; what it asks
//! for is declared by the sources; it keeps the laws of the contract over sample input ([`laws`]).
//! Then every [`open`](weir_types::contract::MetricFactory::open) makes an instance with a memory and
//! limits of its own, and everything that an instance gives back is checked before anybody uses it.
//!
//! What a guest computes never depends on the machine: there is no clock, no randomness and no I/O
//! to reach, NaNs are canonical, relaxed SIMD is the deterministic one. The time limit is a fault of
//! the host's making and never a result.

mod bindings;
mod cache;
mod check;
mod derived;
mod describe;
mod fit;
mod guest;
mod inspect;
mod instance;
pub mod laws;
mod limits;
mod portion;
mod sandbox;

pub use limits::Limits;
pub use sandbox::{Sandbox, SandboxError, SandboxOptions};
