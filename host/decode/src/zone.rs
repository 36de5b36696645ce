//! The source's own clock.

use jiff::{Timestamp, tz::TimeZone};
use weir_types::Micros;

/// The zone of a source's clock.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    Utc,
    Other(TimeZone),
}

impl Zone {
    pub fn new(zone: &TimeZone) -> Zone {
        if *zone == TimeZone::UTC { Zone::Utc } else { Zone::Other(zone.clone()) }
    }

    pub fn is_utc(&self) -> bool {
        matches!(self, Zone::Utc)
    }

    /// When the clock shows `wall`, counted from 1970-01-01 00:00 on that clock. A time within a gap is
    /// read as after it; of two times the first is meant.
    pub fn instant(&self, wall: Micros) -> Option<Micros> {
        let Zone::Other(zone) = self else { return Some(wall) };
        let shown = TimeZone::UTC.to_datetime(Timestamp::from_microsecond(wall).ok()?);
        let instant = zone.to_ambiguous_timestamp(shown).compatible().ok()?;
        Some(instant.as_microsecond())
    }
}
