//! When the clock of a run shows what.

use super::{Setup, Way};
use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// When, as a share of a run that is checked, a new day begins: after the push.
const MIDNIGHT_AT: f64 = 0.5;
/// Roughly how long the parts need before the run begins.
const START_EMBEDDED: Duration = Duration::from_secs(3);
const START_REAL: Duration = Duration::from_secs(20);
const DAY_S: i64 = 86_400;

/// The clock of host and generator: it shows `origin` at the real time `origin`.
pub struct DemoClock {
    pub origin: Timestamp,
    /// What it shows when the processes are started.
    pub start: Timestamp,
}

impl DemoClock {
    /// Where numbers are checked after a known time it shows the last midnight (UTC, the zone of the example's days) in the middle of
    /// the run, so that even a metric that was pushed sees the first part of a whole hour and day.
    pub fn new(setup: &Setup) -> Result<DemoClock> {
        let now = Timestamp::now();
        let (true, Some(whole)) = (setup.checked, setup.run_for) else {
            return Ok(DemoClock { origin: now, start: now });
        };
        let speed = setup.speed();
        let starting = if setup.way == Way::Services { START_REAL } else { START_EMBEDDED };
        let ahead = starting + whole.mul_f64(MIDNIGHT_AT);
        let midnight = Timestamp::from_second(now.as_second() / DAY_S * DAY_S)?;
        let middle = now.checked_add(SignedDuration::try_from(ahead)?)?;
        // origin + (middle - origin) * speed = midnight
        let behind = middle.duration_since(midnight).as_secs_f64() / (speed - 1.0);
        Ok(DemoClock {
            origin: middle.checked_add(SignedDuration::from_secs_f64(behind))?,
            start: midnight.checked_sub(SignedDuration::try_from(ahead.mul_f64(speed))?)?,
        })
    }
}
