//! What the operator may set for a metric.

use crate::fields::Cell;
use crate::time::{BusinessHours, SECOND};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Settings {
    pub business_hours: BusinessHours,
    /// Seconds by key, for one queue by `key.queue_id`.
    pub thresholds: BTreeMap<String, i64>,
}

/// Thresholds and their defaults, in seconds.
const DEFAULTS: [(&str, i64); 3] = [("at_risk_s", 1_800), ("short_abandon_s", 5), ("target_s", 20)];

impl Settings {
    /// `thresholds` as `target_s=20`, `target_s.7=30`.
    pub fn new(business_hours: &str, thresholds: &[String]) -> Result<Settings> {
        let mut settings =
            Settings { business_hours: BusinessHours::parse(business_hours)?, thresholds: BTreeMap::new() };
        for text in thresholds {
            let (key, seconds) =
                text.split_once('=').with_context(|| format!("{text}: write target_s=20"))?;
            let name = key.split('.').next().unwrap_or_default();
            if DEFAULTS.iter().all(|(known, _)| *known != name) {
                bail!("{name} is no threshold: at_risk_s, short_abandon_s, target_s");
            }
            let seconds = seconds.parse().with_context(|| format!("{text}: no whole seconds"))?;
            settings.thresholds.insert(key.into(), seconds);
        }
        Ok(settings)
    }

    /// In microseconds; that of the queue, if it has one.
    pub fn threshold(&self, key: &str, queue: Cell) -> i64 {
        let of_queue = queue.int().and_then(|queue| self.thresholds.get(&format!("{key}.{queue}")));
        let default = || DEFAULTS.iter().find(|(known, _)| *known == key).map(|(_, seconds)| seconds);
        of_queue.or_else(|| self.thresholds.get(key)).or_else(default).copied().unwrap_or(0) * SECOND
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_queues_threshold_goes_before_the_general_one_and_that_before_the_default() {
        let settings = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(|t| t.to_string()).collect();
            Settings::new("Mon-Fri 09:00-18:00 UTC", &list)
        };
        let set = settings(&["target_s=30", "target_s.7=40"]).unwrap();
        assert_eq!(set.threshold("target_s", Cell::Int(7)), 40 * SECOND);
        assert_eq!(set.threshold("target_s", Cell::Int(8)), 30 * SECOND);
        assert_eq!(set.threshold("short_abandon_s", Cell::Int(7)), 5 * SECOND);
        assert!(settings(&["target=3"]).is_err() && settings(&["target_s=3s"]).is_err());
    }
}
