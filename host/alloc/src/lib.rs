//! The allocator of the host and of what measures it: jemalloc, told to keep what an epoch frees for the next.

/// Batches come and go by the megabyte: an allocator that keeps its pages spares their faults.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc reads at its start; the variable `_RJEM_MALLOC_CONF` goes beyond it. Freed pages go back to the
/// system over ten epochs, by a thread of its own: an epoch frees what the next one takes again, and clearing new
/// pages took a fifth of the time (docs/performance.md).
// SAFETY: the one definition of a symbol that jemalloc leaves to its program, of the type that it declares: a
// `const char *`, ended by a zero.
#[unsafe(export_name = "_rjem_malloc_conf")]
static OPTIONS: &[u8; 61] = b"background_thread:true,dirty_decay_ms:10000,muzzy_decay_ms:0\0";

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::mem::size_of;
    use tikv_jemalloc_sys::mallctl;

    /// An option as jemalloc holds it. `T` must be the type that its manual names.
    fn option<T: Default>(name: &CStr) -> T {
        let (mut value, mut size) = (T::default(), size_of::<T>());
        let (to, none) = ((&raw mut value).cast(), std::ptr::null_mut());
        // SAFETY: `to` has room for `size` bytes, and nothing is set.
        assert_eq!(unsafe { mallctl(name.as_ptr(), to, &raw mut size, none, 0) }, 0, "{name:?}");
        assert_eq!(size, size_of::<T>(), "{name:?}");
        value
    }

    #[test]
    fn the_allocator_has_read_what_it_is_told() {
        assert_eq!(option::<isize>(c"opt.dirty_decay_ms"), 10_000);
        assert_eq!(option::<isize>(c"opt.muzzy_decay_ms"), 0);
        assert_eq!(option::<u8>(c"background_thread"), 1, "it runs");
    }
}
