//! The allocator of the host and of what measures it: mimalloc, told to keep what was freed.

use std::ffi::c_long;

/// Batches come and go by the megabyte: an allocator that keeps its pages spares their faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, versions 2 and 3: milliseconds until freed memory goes back to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Ten epochs of the usual length, in milliseconds.
const KEPT_MS: c_long = 10_000;

/// Keeps freed memory for ten epochs, unless `MIMALLOC_PURGE_DELAY` says otherwise. An epoch frees what the next one
/// takes again: given back after mimalloc's own second, it came as new pages, and clearing those took a fifth of
/// the time (docs/performance.md).
pub fn keep_freed() {
    // SAFETY: sets a number inside the allocator, which reads it whenever it frees; any thread may do so at any time.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, KEPT_MS) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: reads a number inside the allocator.
        let now = || unsafe { libmimalloc_sys::mi_option_get(super::PURGE_DELAY) };
        assert_eq!(now(), 1000, "mimalloc 3 waits a second by default");
        super::keep_freed();
        assert_eq!(now(), super::KEPT_MS);
    }
}
