//! The one definition of window arithmetic. Every window is half-open: [start, end).

use crate::{DAY, HOUR, MINUTE, Micros, SECOND};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// A way to cut time. Lengths in microseconds, > 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    Tumbling(Micros),
    Day,
    Sliding { size: Micros, step: Micros },
    Session { gap: Micros },
    Now,
}

impl Window {
    /// The name in rows and API: `1m`, `15m`, `1h`, `day`, `5m/10s`, `session-60s`, `now`.
    pub fn name(self) -> String {
        match self {
            Window::Tumbling(length) => length_name(length),
            Window::Day => "day".into(),
            Window::Sliding { size, step } => format!("{}/{}", length_name(size), length_name(step)),
            Window::Session { gap } if gap % SECOND == 0 => format!("session-{}s", gap / SECOND),
            Window::Session { gap } => format!("session-{gap}us"),
            Window::Now => "now".into(),
        }
    }
}

/// Windows of a sliding kind that a time lies in, at the most.
const MAX_OVERLAP: i64 = 10_000;

/// Whether a metric can have these windows; the error says why not.
pub fn check_windows(windows: &[Window]) -> Result<(), String> {
    if windows.is_empty() {
        return Err("it has no windows".into());
    }
    if windows.contains(&Window::Now) && windows.len() > 1 {
        return Err("window `now` must stand alone".into());
    }
    let mut seen = std::collections::BTreeSet::new();
    for window in windows {
        let fits = match *window {
            Window::Tumbling(length) => length > 0,
            Window::Sliding { size, step } => {
                step > 0 && size >= step && size % step == 0 && size / step <= MAX_OVERLAP
            }
            Window::Session { gap } => gap > 0,
            Window::Day | Window::Now => true,
        };
        if !fits || !seen.insert(window.name()) {
            return Err(format!(
                "window {window:?} is not possible, or stands twice: lengths must be positive, and a \
                 sliding window's size a multiple of its step, at most {MAX_OVERLAP} times"
            ));
        }
    }
    Ok(())
}

fn length_name(length: Micros) -> String {
    for (unit, name) in [(HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1_000, "ms")] {
        if length % unit == 0 {
            return format!("{}{name}", length / unit);
        }
    }
    format!("{length}us")
}

/// A half-open interval [start, end).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    pub start: Micros,
    pub end: Micros,
}

/// The interval of `now`.
pub const ALL_OF_TIME: Interval = Interval { start: Micros::MIN, end: Micros::MAX };

/// Start of the tumbling window of `length` that holds `time`. Right for times before 1970 too.
#[inline]
pub fn tumbling_start(time: Micros, length: Micros) -> Micros {
    time - time.rem_euclid(length)
}

/// Calendar arithmetic in one time zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
}

impl Calendar {
    pub fn new(zone: TimeZone) -> Self {
        Calendar { zone }
    }

    /// The zone as it is configured: its IANA name, or its rule.
    pub fn zone_name(&self) -> String {
        self.zone.iana_name().map_or_else(|| format!("{:?}", self.zone), str::to_owned)
    }

    /// The calendar day that holds `time`.
    pub fn day(&self, time: Micros) -> Interval {
        let date = self.zone.to_datetime(timestamp(time)).date();
        let next = date.tomorrow().unwrap_or(date);
        Interval { start: self.day_start(date), end: self.day_start(next) }
    }

    /// Days since 1970-01-01 of the local date that holds `time`.
    pub fn local_day_number(&self, time: Micros) -> i32 {
        let date = self.zone.to_datetime(timestamp(time)).date();
        let epoch = jiff::civil::date(1970, 1, 1);
        (date - epoch).get_days()
    }

    fn day_start(&self, date: jiff::civil::Date) -> Micros {
        // Where midnight does not exist (clocks put forward at 0:00) the day begins at the first
        // instant after the gap; where it occurs twice, at the first: jiff's "compatible" rule gives both.
        self.zone.to_timestamp(date.at(0, 0, 0, 0)).map_or(Micros::MAX, |t| t.as_microsecond())
    }

    /// The windows of a kind that hold `time`, ascending: one for tumbling windows and days,
    /// size ÷ step for sliding ones, all of time for `now`, none for sessions (which are made by
    /// their samples).
    pub fn intervals(&self, window: Window, time: Micros) -> Vec<Interval> {
        match window {
            Window::Tumbling(length) => {
                let start = tumbling_start(time, length);
                vec![Interval { start, end: start.saturating_add(length) }]
            }
            Window::Day => vec![self.day(time)],
            Window::Sliding { size, step } => {
                let last = tumbling_start(time, step);
                let first = last.saturating_sub(size - step);
                let starts = (0..size / step).map(|i| first.saturating_add(i * step));
                starts.map(|start| Interval { start, end: start.saturating_add(size) }).collect()
            }
            Window::Now => vec![ALL_OF_TIME],
            Window::Session { .. } => Vec::new(),
        }
    }
}

impl Calendar {
    /// The end of the last window of a kind that can hold a sample of `pane`. While that window can
    /// still be corrected, the pane's samples count in all their windows of the kind; afterwards in none.
    ///
    /// | kind | end |
    /// |---|---|
    /// | tumbling, day | that of the one window |
    /// | sliding | that of the window that begins last |
    /// | session | the pane's end + gap: a sample alone is a session that ends a gap after it |
    /// | now | never |
    pub fn last_end(&self, window: Window, pane: Interval) -> Micros {
        match window {
            Window::Session { gap } => pane.end.saturating_add(gap),
            _ => self.intervals(window, pane.start).last().map_or(Micros::MAX, |last| last.end),
        }
    }
}

/// How long after a window of a kind could itself no longer be corrected a sample may still come that
/// counts in it (see [`Calendar::last_end`]), in panes of length `pane`: so much longer it must be kept.
pub fn overhang(window: Window, pane: Micros) -> Micros {
    match window {
        Window::Sliding { size, step } => size - step,
        // The sample joins if it is at most a gap after the session's last; its own session ends a gap
        // later, and its pane may end nearly a pane after it.
        Window::Session { gap } => gap.saturating_add(pane),
        Window::Tumbling(_) | Window::Day | Window::Now => 0,
    }
}

/// Length of the panes into which a metric's time is cut: the greatest length of which every window
/// border is a multiple (day borders apart, see [`pane_start`]), and no longer than the gap of a
/// session, so that all samples of a key and pane are of one session. None when no window is cut by time.
pub fn pane_length(windows: &[Window]) -> Option<Micros> {
    let lengths = windows.iter().filter_map(|w| match *w {
        Window::Tumbling(length) => Some(length),
        // Zones have had day borders at any whole second; those of today fall on quarters of an hour.
        Window::Day => Some(15 * MINUTE),
        Window::Sliding { size, step } => Some(gcd(size, step)),
        Window::Session { .. } | Window::Now => None,
    });
    let by_borders = lengths.reduce(gcd).map(|l| match l {
        ..=DAY => l,
        // Divisors of longer ones are not looked for one by one.
        _ if l > 1000 * DAY => gcd(l, DAY),
        _ => greatest_divisor(l, DAY),
    });
    let gaps = windows.iter().filter_map(|w| match *w {
        Window::Session { gap } => Some(gap),
        _ => None,
    });
    match (by_borders, gaps.min()) {
        (Some(length), Some(gap)) => Some(greatest_divisor(length, gap)),
        (length, gap) => length.or(gap.map(|g| g.min(DAY))),
    }
}

/// The greatest divisor of `number` that is ≤ `bound`; both > 0.
fn greatest_divisor(number: Micros, bound: Micros) -> Micros {
    let small = (1..).take_while(|d| d * d <= number).filter(|d| number % d == 0);
    small.flat_map(|d| [d, number / d]).filter(|d| *d <= bound).max().unwrap_or(1)
}

/// Start of the pane that holds `time`: panes are tumbling, and cut at day borders besides.
pub fn pane_start(time: Micros, length: Micros, day: Option<Interval>) -> Micros {
    let start = tumbling_start(time, length);
    day.map_or(start, |day| start.max(day.start))
}

fn gcd(a: Micros, b: Micros) -> Micros {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether the calendar has it: years −9999 to 9999.
pub fn is_time(time: Micros) -> bool {
    Timestamp::from_microsecond(time).is_ok()
}

/// jiff's timestamp of a time; times beyond its range (years −9999 to 9999) stop at its ends.
fn timestamp(time: Micros) -> Timestamp {
    Timestamp::from_microsecond(time).unwrap_or(if time < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests;
