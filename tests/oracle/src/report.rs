//! What the check found, for people and as JSON.

use crate::compare::Tally;
use crate::fields::Word;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One metric in one kind of window.
#[derive(Clone, Debug)]
pub struct Cell {
    pub metric: String,
    /// `1m`, `15m`, `1h`, `day`, `5m/10s`, `session-60s`, `now` (metric_latest), `history` (its course by
    /// minutes), `sql`.
    pub window: String,
    pub tally: Tally,
}

impl Cell {
    /// Numbers compared, in one dimension set or in all.
    fn compared(&self, set: Option<&str>) -> usize {
        match set {
            None => self.tally.compared,
            Some(set) => self.tally.sets.get(set).map_or(0, |(compared, _)| *compared),
        }
    }

    /// What a current value is, and what it was, are one kind: a queue may well be empty at the end.
    fn is_current(&self) -> bool {
        ["now", "history", "sql"].contains(&self.window.as_str())
    }
}

/// A metric, one of its kinds of window, or one of its dimension sets, of which a short run may have
/// nothing: `METRIC`, `METRIC/WINDOW` or `METRIC/WINDOW/SET`, `*` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excuse {
    metric: String,
    window: String,
    set: Option<String>,
}

impl Excuse {
    pub fn parse(text: &str) -> Excuse {
        let (metric, rest) = text.split_once('/').unwrap_or((text, "*"));
        // The sliding kind has the separator in its name.
        let (window, set) = match rest.strip_prefix("5m/10s") {
            Some("") => ("5m/10s", None),
            Some(set) => ("5m/10s", set.strip_prefix('/')),
            None => match rest.split_once('/') {
                Some((window, set)) => (window, Some(set)),
                None => (rest, None),
            },
        };
        Excuse { metric: metric.into(), window: window.into(), set: set.map(Into::into) }
    }

    /// Without a set: whether the whole kind of window is excused.
    fn covers(&self, metric: &str, set: Option<&str>, window: &str) -> bool {
        let is = |pattern: &str, name: &str| pattern == "*" || pattern == name;
        let of_set = match (&self.set, set) {
            (None, _) => true,
            (Some(pattern), Some(set)) => is(pattern, set),
            (Some(pattern), None) => pattern == "*",
        };
        is(&self.metric, metric) && is(&self.window, window) && of_set
    }
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub cells: Vec<Cell>,
    /// Differences beside the numbers: counts of epochs, keys with two rows, late events that name nothing.
    pub others: Vec<String>,
    /// What makes the check worthless, whatever the numbers say.
    pub failures: Vec<String>,
    pub notes: Vec<String>,
    /// Rows of `late_events`.
    pub late: usize,
    /// By metric: ratios that were found to lie in 0..1, as they must, or not.
    pub shares: BTreeMap<Word, usize>,
}

/// What went wrong, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Samples that do not stand in ClickHouse, and those that stand there once too often.
    pub lost: i64,
    pub double: i64,
    /// Anything else.
    pub differing: usize,
}

/// Examples printed.
const EXAMPLES: usize = 10;

impl Report {
    pub fn compared(&self) -> usize {
        self.cells.iter().map(|cell| cell.tally.compared).sum::<usize>() + self.others.len()
    }

    pub fn differ(&self) -> usize {
        self.cells.iter().map(|cell| cell.tally.differ).sum::<usize>() + self.others.len()
    }

    /// A sample stands in a window of each kind, so the worst kind of a metric counts.
    pub fn verdict(&self) -> Verdict {
        let mut by_metric: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for cell in &self.cells {
            let (lost, double) = by_metric.entry(&cell.metric).or_default();
            *lost = (*lost).max(cell.tally.lost);
            *double = (*double).max(cell.tally.double);
        }
        let wrong = self.cells.iter().map(|cell| cell.tally.wrong).sum::<usize>() + self.others.len();
        let verdict = Verdict {
            lost: by_metric.values().map(|(lost, _)| lost).sum(),
            double: by_metric.values().map(|(_, double)| double).sum(),
            differing: wrong,
        };
        // Nothing that differs may pass unnamed.
        let unnamed = verdict == Verdict::default();
        if unnamed { Verdict { differing: self.differ(), ..verdict } } else { verdict }
    }

    fn finals(&self) -> usize {
        self.cells.iter().map(|cell| cell.tally.finals).sum()
    }

    /// Adds the failures that follow from the table: every metric must be met in every kind of window and
    /// every dimension set, but for what is excused.
    pub fn finish(&mut self, excuses: &[Excuse]) {
        let is_excused = |cell: &Cell, set: Option<&str>| {
            excuses.iter().any(|excuse| excuse.covers(&cell.metric, set, &cell.window))
        };
        let is_met = |cell: &Cell, set: Option<&str>| {
            let is_kind = |c: &&Cell| c.window == cell.window || (c.is_current() && cell.is_current());
            let mut kind = self.cells.iter().filter(|c| c.metric == cell.metric).filter(is_kind);
            kind.any(|c| c.compared(set) > 0)
        };
        let mut failures = Vec::new();
        for cell in &self.cells {
            let name = format!("{} {}", cell.metric, cell.window);
            if is_excused(cell, None) {
                continue;
            }
            if !is_met(cell, None) {
                failures.push(format!("nothing was compared for {name}"));
                continue;
            }
            let sets = cell.tally.sets.keys();
            let empty = sets.filter(|set| !is_met(cell, Some(set)) && !is_excused(cell, Some(set)));
            failures.extend(empty.map(|set| format!("nothing was compared for {name} by [{set}]")));
        }
        self.failures.extend(failures);
        if self.finals() == 0 {
            self.failures.push("no final row was compared".into());
        }
    }

    pub fn is_good(&self) -> bool {
        self.differ() == 0 && self.failures.is_empty()
    }

    /// The table, the examples, the notes, and the sum as the last line.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "{:<30}{:<12}{:>10}{:>8}{:>10}{:>14}{:>12}",
            "metric", "window", "compared", "differ", "finals", "finals differ", "incomplete"
        )?;
        for Cell { metric, window, tally, .. } in &self.cells {
            writeln!(
                out,
                "{metric:<30}{window:<12}{:>10}{:>8}{:>10}{:>14}{:>12}",
                tally.compared, tally.differ, tally.finals, tally.finals_differ, tally.incomplete
            )?;
        }
        for example in self.examples() {
            writeln!(out, "differs: {example}")?;
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        for failure in &self.failures {
            writeln!(out, "failure: {failure}")?;
        }
        writeln!(out, "compared {} numbers, {} differ", self.compared(), self.differ())
    }

    /// Some of every kind of difference: the first of each cell, then the second of each, ….
    fn examples(&self) -> Vec<&String> {
        let mut lists: Vec<&[String]> =
            self.cells.iter().map(|cell| cell.tally.examples.as_slice()).collect();
        lists.insert(0, &self.others);
        let longest = lists.iter().map(|list| list.len()).max().unwrap_or(0);
        let rounds = (0..longest).flat_map(|round| lists.iter().filter_map(move |list| list.get(round)));
        rounds.take(EXAMPLES).collect()
    }

    pub fn json(&self) -> serde_json::Value {
        let cells: Vec<_> = self
            .cells
            .iter()
            .map(|Cell { metric, window, tally, .. }| {
                let sets = tally.sets.iter().map(|(set, (compared, differ))| {
                    serde_json::json!({ "set": set, "compared": compared, "differ": differ })
                });
                serde_json::json!({
                    "sets": sets.collect::<Vec<_>>(),
                    "metric": metric,
                    "window": window,
                    "compared": tally.compared,
                    "differ": tally.differ,
                    "finals": tally.finals,
                    "finals_differ": tally.finals_differ,
                    "incomplete": tally.incomplete,
                    "lost": tally.lost,
                    "double": tally.double,
                    "wrong": tally.wrong,
                    "examples": tally.examples,
                })
            })
            .collect();
        let Verdict { lost, double, differing } = self.verdict();
        serde_json::json!({
            "verdict": { "lost": lost, "double": double, "differing": differing },
            "late": self.late,
            "shares": self.shares,
            "good": self.is_good(),
            "compared": self.compared(),
            "differ": self.differ(),
            "finals": self.finals(),
            "cells": cells,
            "others": self.others,
            "failures": self.failures,
            "notes": self.notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excuse_covers_a_metric_a_window_or_a_set() {
        let covers = |text: &str, set: Option<&str>, window: &str| {
            Excuse::parse(text).covers("call.offered", set, window)
        };
        assert!(covers("call.offered", None, "day") && covers("call.offered/day", Some("queue_id"), "day"));
        assert!(covers("*/day", None, "day") && !covers("*/day", None, "1h"));
        assert!(covers("call.offered/day/queue_id", Some("queue_id"), "day"));
        assert!(!covers("call.offered/day/queue_id", None, "day"));
        assert!(!covers("call.offered/day/queue_id", Some(""), "day"));
        assert!(covers("call.offered/5m/10s", None, "5m/10s"));
        assert!(covers("call.offered/5m/10s/queue_id", Some("queue_id"), "5m/10s"));
        assert!(!covers("call.answered", None, "day"));
    }

    #[test]
    fn a_dimension_set_of_which_nothing_was_compared_is_a_failure_unless_excused() {
        let sets = BTreeMap::from([("", (3, 0)), ("queue_id", (0, 0))]);
        let tally = Tally { compared: 3, finals: 3, sets, ..Tally::default() };
        let cell = Cell { metric: "call.offered".into(), window: "1h".into(), tally };
        let finished = |excuses: &[&str]| {
            let excuses: Vec<Excuse> = excuses.iter().map(|text| Excuse::parse(text)).collect();
            let mut report = Report { cells: vec![cell.clone()], ..Report::default() };
            report.finish(&excuses);
            report.failures
        };
        assert_eq!(finished(&[]), ["nothing was compared for call.offered 1h by [queue_id]"]);
        assert!(finished(&["call.offered/1h/queue_id"]).is_empty());
        assert!(finished(&["*/1h"]).is_empty());
        assert_eq!(finished(&["*/1h/"]).len(), 1);
    }

    #[test]
    fn a_queue_that_is_empty_at_the_end_was_met_by_its_course() {
        let cell = |window: &str, compared: usize| {
            let sets = BTreeMap::from([("", (compared, 0))]);
            let tally = Tally { compared, finals: 1, sets, ..Tally::default() };
            Cell { metric: "im.waiting".into(), window: window.into(), tally }
        };
        let failures = |cells: [Cell; 2]| {
            let mut report = Report { cells: cells.to_vec(), ..Report::default() };
            report.finish(&[]);
            report.failures
        };
        assert!(failures([cell("now", 0), cell("history", 4)]).is_empty());
        assert_eq!(failures([cell("now", 0), cell("history", 0)]).len(), 2);
        assert_eq!(failures([cell("1m", 0), cell("history", 4)]), ["nothing was compared for im.waiting 1m"]);
    }
}
