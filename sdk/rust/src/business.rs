//! Business hours: how much of a span lies within them.

use crate::value::{Span, Time};
use std::str::FromStr;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
const WEEK: i64 = 7 * DAY;
/// 1970-01-01 was a Thursday: weeks begin on the Monday before it.
const MONDAY: i64 = -3 * DAY;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The same hours on some days of each week, at a fixed distance from UTC. Written as
/// `DAYS HH:MM-HH:MM ZONE`: `Mon-Fri 09:00-18:00 UTC`, `Mon,Wed,Sat 08:30-24:00 +05:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusinessHours {
    /// Business time of the week before each day begins, and of the whole week.
    before: [i64; 8],
    works: [bool; 7],
    opens: i64,
    closes: i64,
    offset: i64,
}

impl BusinessHours {
    /// The business time in [from, to); with a minus sign if `to` is before `from`.
    #[inline]
    pub fn between(&self, from: Time, to: Time) -> Span {
        Span(self.up_to(to.0).saturating_sub(self.up_to(from.0)))
    }

    /// Business time from the Monday before 1970 until `time`.
    #[inline]
    fn up_to(&self, time: i64) -> i64 {
        let local = time.saturating_add(self.offset).saturating_sub(MONDAY);
        let (week, in_week) = (local.div_euclid(WEEK), local.rem_euclid(WEEK));
        let (day, in_day) = ((in_week / DAY) as usize, in_week % DAY);
        let today = if self.works.get(day).copied().unwrap_or(false) {
            in_day.clamp(self.opens, self.closes) - self.opens
        } else {
            0
        };
        // A week's business time is at most a week, so the product stays below `local`.
        week * self.before[7] + self.before.get(day).copied().unwrap_or(0) + today
    }
}

/// The business time in [from, to): see [`BusinessHours::between`].
pub fn business_seconds(calendar: &BusinessHours, from: Time, to: Time) -> Span {
    calendar.between(from, to)
}

impl FromStr for BusinessHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (Some(days), Some(hours), Some(zone), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("write it as `Mon-Fri 09:00-18:00 UTC`".into());
        };
        let works = parse_days(days)?;
        let (opens, closes) = hours.split_once('-').ok_or("hours are written as 09:00-18:00")?;
        let (opens, closes) = (parse_clock(opens)?, parse_clock(closes)?);
        if opens >= closes {
            return Err(format!("hours must end after they begin, not {hours}"));
        }
        let mut before = [0; 8];
        for day in 0..7 {
            before[day + 1] = before[day] + if works[day] { closes - opens } else { 0 };
        }
        Ok(BusinessHours { before, works, opens, closes, offset: parse_zone(zone)? })
    }
}

fn parse_days(text: &str) -> Result<[bool; 7], String> {
    let number = |name: &str| {
        let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("no day {name:?}; days are {}", DAYS.join(" ")))
    };
    let mut works = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (number(first)?, number(last)?);
        works[day] = true;
        // A range may go over the week's end: Sat-Mon.
        while day != last {
            day = (day + 1) % 7;
            works[day] = true;
        }
    }
    Ok(works)
}

/// Microseconds of `HH:MM`, at most 24:00.
fn parse_clock(text: &str) -> Result<i64, String> {
    let wrong = || format!("a time of day is written as 09:00, not {text:?}");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return Err(wrong());
    }
    let hours: i64 = hours.parse().map_err(|_| wrong())?;
    let minutes: i64 = minutes.parse().map_err(|_| wrong())?;
    let micros = (hours * 60 + minutes) * MINUTE;
    if minutes < 60 && micros <= DAY { Ok(micros) } else { Err(wrong()) }
}

fn parse_zone(text: &str) -> Result<i64, String> {
    if text == "UTC" {
        return Ok(0);
    }
    let wrong = || format!("a zone is UTC or an offset like +01:00, not {text:?}");
    let (sign, clock) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(clock), _) => (1, clock),
        (_, Some(clock)) => (-1, clock),
        _ => return Err(wrong()),
    };
    Ok(sign * parse_clock(clock).map_err(|_| wrong())?)
}

#[cfg(test)]
mod tests;
