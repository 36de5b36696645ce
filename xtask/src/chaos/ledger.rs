//! What was killed, and what came of it.

use super::plan::Victim;
use crate::say;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// One kill.
#[derive(Clone, Debug)]
struct Kill {
    at: Duration,
    victim: Victim,
    place: String,
}

pub struct Ledger {
    begin: Instant,
    wanted: usize,
    kills: Vec<Kill>,
}

impl Ledger {
    pub fn new(wanted: usize) -> Ledger {
        Ledger { begin: Instant::now(), wanted, kills: Vec::new() }
    }

    /// A victim that was running is dead.
    pub fn note(&mut self, victim: Victim, place: &str) {
        let at = self.begin.elapsed();
        self.kills.push(Kill { at, victim, place: place.to_owned() });
        let (seconds, done) = (at.as_secs(), self.kills.len());
        say::note(format!(
            "[{done:>3}/{}] {:>2}:{:02}  {} {:<7} {place}",
            self.wanted,
            seconds / 60,
            seconds % 60,
            bar(done, self.wanted),
            victim.name()
        ));
    }

    pub fn is_full(&self) -> bool {
        self.kills.len() >= self.wanted
    }

    pub fn len(&self) -> usize {
        self.kills.len()
    }

    fn places(&self) -> BTreeMap<(Victim, &str), usize> {
        let mut places = BTreeMap::new();
        for kill in &self.kills {
            *places.entry((kill.victim, kill.place.as_str())).or_default() += 1;
        }
        places
    }

    /// Those of the places at which nothing died.
    pub fn missed<'a>(&self, places: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        places.filter(|place| !self.kills.iter().any(|kill| kill.place == *place)).collect()
    }

    /// The table of victims and places.
    pub fn print(&self) {
        println!("{:<10}{:<34}{:>6}", "victim", "killed", "times");
        for ((victim, place), times) in self.places() {
            println!("{:<10}{place:<34}{times:>6}", victim.name());
        }
    }

    pub fn json(&self) -> Value {
        let kills = self.kills.iter().map(
            |kill| json!({ "at_s": kill.at.as_secs_f64(), "victim": kill.victim.name(), "place": kill.place }),
        );
        let places = self.places().into_iter().map(
            |((victim, place), times)| json!({ "victim": victim.name(), "place": place, "times": times }),
        );
        json!({ "kills": kills.collect::<Vec<_>>(), "places": places.collect::<Vec<_>>() })
    }
}

/// A bar of twenty places.
fn bar(done: usize, whole: usize) -> String {
    let full = (20 * done / whole.max(1)).min(20);
    format!("{}{}", "█".repeat(full), "░".repeat(20 - full))
}

/// What the oracle says, from its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub lost: i64,
    pub double: i64,
    pub differing: i64,
    /// Rows of `late_events`.
    pub late: i64,
    /// The report has nothing against itself, such as a metric of which nothing was compared.
    pub good: bool,
}

impl Verdict {
    pub fn read(path: &Path) -> Result<(Verdict, Value)> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let report: Value = serde_json::from_str(&text).context("the oracle's report is no JSON")?;
        let number = |name: &str| {
            report["verdict"][name].as_i64().with_context(|| format!("the oracle's report has no {name}"))
        };
        let verdict = Verdict {
            lost: number("lost")?,
            double: number("double")?,
            differing: number("differing")?,
            late: report["late"].as_i64().context("the oracle's report counts no late events")?,
            good: report["good"].as_bool().unwrap_or(false),
        };
        Ok((verdict, report))
    }

    pub fn is_clean(&self) -> bool {
        self.good && (self.lost, self.double, self.differing) == (0, 0, 0)
    }

    /// The last line of a run.
    pub fn line(&self, kills: usize) -> String {
        let Verdict { lost, double, differing, .. } = self;
        format!("kills {kills}: lost {lost}, double {double}, differing {differing}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_counts_nothing_wrong_but_is_not_good_is_not_clean() {
        let clean = Verdict { lost: 0, double: 0, differing: 0, late: 3, good: true };
        assert!(clean.is_clean());
        assert!(!Verdict { good: false, ..clean }.is_clean());
        assert!(!Verdict { double: 1, ..clean }.is_clean());
        assert_eq!(Verdict { lost: 2, ..clean }.line(50), "kills 50: lost 2, double 0, differing 0");
    }
}
