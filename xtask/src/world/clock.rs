//! When the clock of a run shows what.

use super::{Setup, Way};
use anyhow::Result;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// When, as a share of a run that is checked, a new day begins: after the push.
const MIDNIGHT_AT: f64 = 0.5;
/// The same for a run that is a whole day: it begins and ends at 14 o'clock, when there is most to do.
const DAY_MIDNIGHT_AT: f64 = 10.0 / 24.0;
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
    /// Where numbers are checked after a known time it shows a past midnight (UTC, the zone of the example's days) in the middle of
    /// the run, so that even a metric that was pushed sees the first part of a whole hour and day.
    pub fn new(setup: &Setup) -> Result<DemoClock> {
        let now = Timestamp::now();
        let (true, Some(whole)) = (setup.checked, setup.run_for) else {
            return Ok(DemoClock { origin: now, start: now });
        };
        let speed = setup.speed();
        let starting = if setup.way == Way::Services { START_REAL } else { START_EMBEDDED };
        let ahead = starting + whole.mul_f64(if setup.day { DAY_MIDNIGHT_AT } else { MIDNIGHT_AT });
        let midnight = working_midnight(now)?;
        let middle = now.checked_add(SignedDuration::try_from(ahead)?)?;
        // origin + (middle - origin) * speed = midnight
        let behind = middle.duration_since(midnight).as_secs_f64() / (speed - 1.0);
        Ok(DemoClock {
            origin: middle.checked_add(SignedDuration::from_secs_f64(behind))?,
            start: midnight.checked_sub(SignedDuration::try_from(ahead.mul_f64(speed))?)?,
        })
    }
}

/// The last midnight between two working days, so that there are business hours whenever the run takes place.
fn working_midnight(now: Timestamp) -> Result<Timestamp> {
    let mut midnight = Timestamp::from_second(now.as_second() / DAY_S * DAY_S)?;
    let weekday = |time| TimeZone::UTC.to_datetime(time).date().weekday();
    while let Weekday::Saturday | Weekday::Sunday | Weekday::Monday = weekday(midnight) {
        midnight = midnight.checked_sub(SignedDuration::from_secs(DAY_S))?;
    }
    Ok(midnight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_midnight_of_a_run_lies_between_two_working_days() {
        let midnight =
            |now: &str| working_midnight(now.parse().expect("a time")).expect("in range").to_string();
        assert_eq!(midnight("2026-11-26T07:00:00Z"), "2026-11-26T00:00:00Z");
        for weekend in ["2026-11-28T07:00:00Z", "2026-11-29T07:00:00Z", "2026-11-30T07:00:00Z"] {
            assert_eq!(midnight(weekend), "2026-11-27T00:00:00Z");
        }
        assert_eq!(midnight("2026-12-01T00:00:00Z"), "2026-12-01T00:00:00Z");
    }
}
