//! The contract as wasmtime sees it, generated from `wit/v0.1`.
//!
//! Arguments are borrowed: a packed column of the host is copied once, straight into the guest's memory.

wasmtime::component::bindgen!({
    path: "../../wit/v0.1",
    world: "metric",
    ownership: Borrowing { duplicate_if_necessary: true },
});
