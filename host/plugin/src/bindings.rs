//! The contract as wasmtime sees it, generated from `wit/v0.1`: a module for each world, with the types of
//! the first.
//!
//! Arguments are borrowed: a packed column of the host is copied once, straight into the guest's memory.

wasmtime::component::bindgen!({
    path: "../../wit/v0.1",
    world: "metric",
    ownership: Borrowing { duplicate_if_necessary: true },
});

/// The world `derived`.
pub mod derived {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        world: "derived",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: {
            "weir:metric/types": super::weir::metric::types,
            "weir:metric/host-log": super::weir::metric::host_log,
        },
    });
}
