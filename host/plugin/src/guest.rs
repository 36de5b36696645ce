//! What belongs to one instance on the host's side: its limits and its log.

use crate::Limits;
use crate::bindings::weir::metric::{host_log, types};
use crate::sandbox::{TICKS_PER_SECOND, Ticks};
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// The data of one store.
pub struct Guest {
    pub limiter: Limiter,
    pub log: GuestLog,
}

impl Guest {
    pub fn new(metric: &str, limits: &Limits, ticks: Arc<Ticks>) -> Self {
        Guest {
            limiter: Limiter { limits: limits.clone(), memory: 0, elements: 0, refused: false },
            log: GuestLog {
                metric: metric.to_string(),
                limits: limits.clone(),
                ticks,
                in_call: 0,
                second: 0,
                in_second: 0,
                dropped: 0,
                warned: 0,
            },
        }
    }
}

/// Counts memory and table elements over the whole instance.
pub struct Limiter {
    pub limits: Limits,
    /// Bytes of all linear memories.
    pub memory: usize,
    elements: usize,
    /// Whether the guest was refused memory in the running call: most guests trap soon after, and the text of that
    /// trap alone would not tell why.
    pub refused: bool,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_sub(current).saturating_add(desired);
        if total > self.limits.memory_bytes {
            self.refused = true;
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_sub(current).saturating_add(desired);
        if total > self.limits.table_elements {
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }
    fn tables(&self) -> usize {
        self.limits.tables
    }
    fn memories(&self) -> usize {
        self.limits.memories
    }
}

/// Passes a guest's lines on, up to its limits.
pub struct GuestLog {
    metric: String,
    limits: Limits,
    ticks: Arc<Ticks>,
    in_call: u32,
    second: u64,
    in_second: u32,
    /// Lines dropped since the last that was let through.
    dropped: u64,
    /// Warnings and errors since the instance was opened, dropped ones too.
    pub warned: u64,
}

impl GuestLog {
    /// A new call begins.
    pub fn next_call(&mut self) {
        self.in_call = 0;
    }

    fn admits(&mut self) -> bool {
        let second = self.ticks.now() / TICKS_PER_SECOND;
        if second != self.second {
            self.second = second;
            self.in_second = 0;
        }
        let admitted = self.in_call < self.limits.log_lines_per_call
            && self.in_second < self.limits.log_lines_per_second;
        if admitted {
            self.in_call += 1;
            self.in_second += 1;
        } else {
            self.dropped += 1;
        }
        admitted
    }
}

impl host_log::Host for Guest {
    fn log(&mut self, level: host_log::Level, message: String) {
        let log = &mut self.log;
        log.warned += u64::from(matches!(level, host_log::Level::Warn | host_log::Level::Error));
        if !log.admits() {
            return;
        }
        let dropped = std::mem::take(&mut log.dropped);
        let metric = log.metric.as_str();
        let text = cut(&message, log.limits.log_line_bytes);
        match level {
            host_log::Level::Debug => tracing::debug!(metric, dropped, "{text}"),
            host_log::Level::Info => tracing::info!(metric, dropped, "{text}"),
            host_log::Level::Warn => tracing::warn!(metric, dropped, "{text}"),
            host_log::Level::Error => tracing::error!(metric, dropped, "{text}"),
        }
    }
}

impl types::Host for Guest {}

/// The longest beginning of a text that has at most so many bytes.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(limits: Limits) -> (GuestLog, Arc<Ticks>) {
        let ticks = Arc::new(Ticks::default());
        (Guest::new("m.x", &limits, ticks.clone()).log, ticks)
    }

    #[test]
    fn lines_over_the_limits_are_dropped_and_counted_until_the_next_call_or_second() {
        let limits = Limits { log_lines_per_call: 2, log_lines_per_second: 3, ..Limits::default() };
        let (mut log, ticks) = log(limits);
        assert_eq!([log.admits(), log.admits(), log.admits()], [true, true, false]);
        log.next_call();
        assert_eq!([log.admits(), log.admits()], [true, false], "three in a second are enough");
        assert_eq!(log.dropped, 2);
        (0..TICKS_PER_SECOND).for_each(|_| ticks.tick());
        log.next_call();
        assert!(log.admits());
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aäb", 2), "a");
        assert_eq!(cut("aäb", 3), "aä");
        assert_eq!(cut("aäb", 9), "aäb");
    }

    #[test]
    fn memory_is_counted_over_all_memories_of_an_instance() {
        let limits = Limits { memory_bytes: 100, ..Limits::default() };
        let mut limiter = Guest::new("m.x", &limits, Arc::default()).limiter;
        assert!(limiter.memory_growing(0, 60, None).expect("no error"));
        assert!(!limiter.memory_growing(0, 60, None).expect("no error"), "a second memory");
        assert!(limiter.memory_growing(60, 100, None).expect("no error"));
        assert!(limiter.refused);
        assert_eq!(limiter.memory, 100);
    }
}
