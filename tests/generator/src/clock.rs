//! The clock of the demo: real time, or compressed days.

/// Shows `origin` at real time `origin` and runs `speed` times as fast. Milliseconds since the Unix
/// epoch, because that is the precision of `DATETIME(3)`.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub origin_ms: i64,
    pub speed: f64,
}

impl Clock {
    /// What the clock shows at a real time.
    pub fn at(&self, real_ms: i64) -> i64 {
        self.origin_ms + ((real_ms - self.origin_ms) as f64 * self.speed).floor() as i64
    }

    /// What the clock shows now.
    #[allow(
        clippy::disallowed_methods,
        reason = "the generator stands outside the host: it lives in real time"
    )]
    pub fn now(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        self.at(since.map_or(0, |d| d.as_millis() as i64))
    }

    /// Real milliseconds until the clock shows `clock_ms`; 0 if it has passed.
    pub fn wait_ms(&self, clock_ms: i64) -> u64 {
        ((clock_ms - self.now()) as f64 / self.speed).ceil().max(0.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_agrees_with_the_real_one_at_its_origin() {
        let clock = Clock { origin_ms: 1_000_000, speed: 60.0 };
        assert_eq!(clock.at(1_000_000), 1_000_000);
        assert_eq!(clock.at(1_001_000), 1_060_000);
    }
}
