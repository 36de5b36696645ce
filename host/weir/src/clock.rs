//! The clock that everything in the host calls "now". Only here and in `run` real time is read.

use crate::config::ClockSetting;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_types::Micros;
use weir_types::ports::Clock;

/// Real time, or a clock that shows `origin` at the real time `origin` and runs at another speed.
#[derive(Clone, Copy, Debug)]
pub struct HostClock {
    setting: Option<ClockSetting>,
}

impl HostClock {
    pub fn new(setting: Option<ClockSetting>) -> Self {
        HostClock { setting }
    }
}

impl Clock for HostClock {
    fn now(&self) -> Micros {
        shown(self.setting, real_now())
    }
}

/// Real time in microseconds since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "this is the wall clock that all others get as an argument")]
pub fn real_now() -> Micros {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as Micros)
}

fn shown(setting: Option<ClockSetting>, real: Micros) -> Micros {
    match setting {
        None => real,
        Some(ClockSetting { origin, speed }) => {
            let passed = (real as i128 - origin as i128) as f64 * speed;
            // The cast stops at the ends of the range.
            origin.saturating_add(passed as Micros)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_shows_its_origin_at_its_origin_and_runs_as_much_faster() {
        let fast = Some(ClockSetting { origin: 1_000_000, speed: 60.0 });
        assert_eq!(shown(fast, 1_000_000), 1_000_000);
        assert_eq!(shown(fast, 2_000_000), 61_000_000);
        assert_eq!(shown(fast, 500_000), -29_000_000);
        assert_eq!(shown(None, 7), 7);
    }
}
