//! Windows and business hours, in microseconds since the Unix epoch. Windows are half-open.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// A kind of window of period metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Minute,
    Quarter,
    Hour,
    Day,
    /// The last five minutes, moved on every ten seconds.
    Sliding,
    /// Runs of samples with no gap over [`SESSION_GAP`]; ends a gap after its last sample.
    Session,
}

/// Those of most metrics.
pub const KINDS: [Kind; 4] = [Kind::Minute, Kind::Quarter, Kind::Hour, Kind::Day];

pub const ALL_KINDS: [Kind; 6] =
    [Kind::Minute, Kind::Quarter, Kind::Hour, Kind::Day, Kind::Sliding, Kind::Session];

pub const SESSION_GAP: i64 = MINUTE;
const SLIDING_SIZE: i64 = 5 * MINUTE;
const SLIDING_STEP: i64 = 10 * SECOND;

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Minute => "1m",
            Kind::Quarter => "15m",
            Kind::Hour => "1h",
            Kind::Day => "day",
            Kind::Sliding => "5m/10s",
            Kind::Session => "session-60s",
        }
    }

    pub fn of_name(name: &str) -> Option<Kind> {
        ALL_KINDS.into_iter().find(|kind| kind.name() == name)
    }

    /// Start and end of the window that holds `time`; of sliding ones the last, which ends last; of
    /// sessions that of a sample alone.
    pub fn window(self, time: i64, zone: Tz) -> Result<(i64, i64)> {
        let (step, length) = match self {
            Kind::Minute => (MINUTE, MINUTE),
            Kind::Quarter => (15 * MINUTE, 15 * MINUTE),
            Kind::Hour => (HOUR, HOUR),
            Kind::Day => return day(time, zone),
            Kind::Sliding => (SLIDING_STEP, SLIDING_SIZE),
            Kind::Session => (1, SESSION_GAP),
        };
        let start = time.div_euclid(step) * step;
        Ok((start, start.saturating_add(length)))
    }

    /// All windows that hold `time`: one, but thirty of sliding ones.
    pub fn windows(self, time: i64, zone: Tz) -> Result<impl Iterator<Item = (i64, i64)>> {
        let (start, end) = self.window(time, zone)?;
        let more = if self == Kind::Sliding { SLIDING_SIZE / SLIDING_STEP } else { 1 };
        Ok((0..more).map(move |back| (start - back * SLIDING_STEP, end - back * SLIDING_STEP)))
    }
}

/// Start and end of the local day that holds `time`.
fn day(time: i64, zone: Tz) -> Result<(i64, i64)> {
    let at = DateTime::from_timestamp_micros(time).with_context(|| format!("{time} µs is no time"))?;
    let date = at.with_timezone(&zone).date_naive();
    let next = date.checked_add_days(Days::new(1)).context("the last day of time")?;
    Ok((begins(date, zone)?, begins(next, zone)?))
}

/// The first instant of a day: where clocks are put forward over midnight, the one after the gap.
fn begins(date: NaiveDate, zone: Tz) -> Result<i64> {
    let midnight = date.and_time(NaiveTime::MIN);
    // A whole day can be missing, as where the date line is crossed.
    let mut moments = (0..=DAY / SECOND).map(|seconds| midnight + TimeDelta::seconds(seconds));
    let first = moments.find_map(|local| zone.from_local_datetime(&local).earliest());
    Ok(first.with_context(|| format!("{date} has no beginning"))?.timestamp_micros())
}

/// Weekly hours at a fixed distance from UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusinessHours {
    /// Monday first.
    days: [bool; 7],
    /// Since local midnight, [from, to).
    from: i64,
    to: i64,
    /// Local time less UTC.
    offset: i64,
}

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl BusinessHours {
    /// `Mon-Fri 09:00-18:00 UTC`, `Mon,Wed,Sat-Sun 08:30-12:00 +05:30`.
    pub fn parse(text: &str) -> Result<BusinessHours> {
        let [days, hours, zone] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("business hours {text:?}: write them as \"Mon-Fri 09:00-18:00 UTC\"");
        };
        let mut open = [false; 7];
        for part in days.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (mut at, last) = (day_number(first)?, day_number(last)?);
            open[at] = true;
            while at != last {
                at = (at + 1) % 7;
                open[at] = true;
            }
        }
        let (from, to) = hours.split_once('-').context("hours are FROM-TO")?;
        let (from, to) = (clock_time(from)?, clock_time(to)?);
        if from >= to {
            bail!("business hours {text:?}: they must end after they begin, on the same day");
        }
        let offset = match zone.strip_prefix('-') {
            _ if zone == "UTC" => 0,
            Some(behind) => -clock_time(behind)?,
            None => clock_time(zone.strip_prefix('+').unwrap_or(zone))?,
        };
        Ok(BusinessHours { days: open, from, to, offset })
    }

    /// Business time in [from, to); if `to` comes first, less than 0.
    pub fn between(&self, from: i64, to: i64) -> i64 {
        if to < from {
            return -self.between(to, from);
        }
        let (from, to) = (from + self.offset, to + self.offset);
        let mut sum = 0;
        for day in from.div_euclid(DAY)..=to.div_euclid(DAY) {
            // 1970-01-01 was a Thursday.
            if self.days[(day + 3).rem_euclid(7) as usize] {
                let (opens, closes) = (day * DAY + self.from, day * DAY + self.to);
                sum += (closes.min(to) - opens.max(from)).max(0);
            }
        }
        sum
    }
}

fn day_number(name: &str) -> Result<usize> {
    let name = name.to_lowercase();
    DAY_NAMES.iter().position(|day| *day == name).with_context(|| format!("{name} is no day: Mon … Sun"))
}

fn clock_time(text: &str) -> Result<i64> {
    let (hours, minutes) = text.split_once(':').with_context(|| format!("{text} is no HH:MM"))?;
    let (hours, minutes): (i64, i64) = (hours.parse()?, minutes.parse()?);
    if !(0..=24).contains(&hours) || !(0..60).contains(&minutes) || hours * 60 + minutes > 24 * 60 {
        bail!("{text} is no time of day");
    }
    Ok(hours * HOUR + minutes * MINUTE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    }

    #[test]
    fn windows_begin_at_their_multiples_and_hold_their_start() {
        let time = at("2026-11-23T08:59:59.999Z");
        let window = |kind: Kind| kind.window(time, Tz::UTC).unwrap();
        assert_eq!(window(Kind::Minute), (at("2026-11-23T08:59:00Z"), at("2026-11-23T09:00:00Z")));
        assert_eq!(window(Kind::Quarter), (at("2026-11-23T08:45:00Z"), at("2026-11-23T09:00:00Z")));
        assert_eq!(window(Kind::Hour), (at("2026-11-23T08:00:00Z"), at("2026-11-23T09:00:00Z")));
        assert_eq!(window(Kind::Day), (at("2026-11-23T00:00:00Z"), at("2026-11-24T00:00:00Z")));
        assert_eq!(Kind::Minute.window(-1, Tz::UTC).unwrap(), (-MINUTE, 0));
    }

    #[test]
    fn a_time_lies_in_thirty_sliding_windows_of_five_minutes() {
        let time = at("2026-11-23T08:59:59.999Z");
        let all: Vec<(i64, i64)> = Kind::Sliding.windows(time, Tz::UTC).unwrap().collect();
        assert_eq!(all.len(), 30);
        assert_eq!(all[0], (at("2026-11-23T08:59:50Z"), at("2026-11-23T09:04:50Z")));
        assert_eq!(all[29], (at("2026-11-23T08:55:00Z"), at("2026-11-23T09:00:00Z")));
        assert!(all.iter().all(|(start, end)| (*start..*end).contains(&time)));
        assert_eq!(Kind::Minute.windows(time, Tz::UTC).unwrap().count(), 1);
    }

    #[test]
    fn a_day_in_which_clocks_change_has_23_or_25_hours() {
        let berlin = Tz::Europe__Berlin;
        let length = |text| {
            let (start, end) = Kind::Day.window(at(text), berlin).unwrap();
            (end - start) / HOUR
        };
        assert_eq!(length("2026-03-29T12:00:00Z"), 23);
        assert_eq!(length("2026-10-25T12:00:00Z"), 25);
        assert_eq!(length("2026-11-23T23:30:00Z"), 24);
    }

    #[test]
    fn business_time_is_the_overlap_with_open_hours() {
        let hours = BusinessHours::parse("Mon-Fri 09:00-18:00 UTC").unwrap();
        let between = |a, b| hours.between(at(a), at(b));
        assert_eq!(between("2026-11-23T08:00:00Z", "2026-11-23T09:00:00Z"), 0);
        assert_eq!(between("2026-11-23T08:00:00Z", "2026-11-23T09:00:01Z"), SECOND);
        // From Friday evening over the weekend to Monday morning.
        assert_eq!(between("2026-11-20T17:30:00Z", "2026-11-23T09:15:00Z"), 45 * MINUTE);
        assert_eq!(between("2026-11-23T09:15:00Z", "2026-11-20T17:30:00Z"), -45 * MINUTE);
        assert_eq!(between("2026-11-09T00:00:00Z", "2026-11-23T00:00:00Z"), 90 * HOUR);
        let india = BusinessHours::parse("Sat-Mon,Wed 00:00-24:00 +05:30").unwrap();
        assert_eq!(india.between(at("2026-11-23T18:00:00Z"), at("2026-11-25T00:00:00Z")), 6 * HOUR);
        assert!(BusinessHours::parse("Mon-Fri 18:00-09:00 UTC").is_err());
        assert!(BusinessHours::parse("Mon-Fry 08:00-09:00 UTC").is_err());
    }
}
