//! What the check found, for people and as JSON.

use crate::compare::Tally;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One metric in one kind of window.
#[derive(Clone, Debug)]
pub struct Cell {
    pub metric: String,
    /// `1m`, `15m`, `1h`, `day`, `now` (metric_latest), `history` (its course by minutes), `sql`.
    pub window: String,
    pub tally: Tally,
}

impl Cell {
    fn is_empty(&self) -> bool {
        self.tally.compared == 0
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

    /// Adds the failures that follow from the table.
    pub fn finish(&mut self) {
        for cell in self.cells.iter().filter(|cell| cell.is_empty()) {
            self.failures.push(format!("nothing was compared for {} {}", cell.metric, cell.window));
        }
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
            "{:<26}{:<9}{:>10}{:>8}{:>10}{:>14}{:>12}",
            "metric", "window", "compared", "differ", "finals", "finals differ", "incomplete"
        )?;
        for Cell { metric, window, tally, .. } in &self.cells {
            writeln!(
                out,
                "{metric:<26}{window:<9}{:>10}{:>8}{:>10}{:>14}{:>12}",
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
                serde_json::json!({
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
