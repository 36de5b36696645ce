//! Agents and quality: 62 to 64, 67 to 69 and 72 of the catalogue.

use super::measure::{self, exact, near};
use super::{Bag, Facts, Form, Metric, Output, Sample, Standing, Transition};
use crate::fields::{AGENT_STATE, Cell, SURVEY, Word};
use crate::number::{Number, Rule};
use crate::settings::Settings;
use crate::time::{DAY, HOUR, KINDS, Kind};

const STATES: [Word; 6] = ["offline", "available", "on_contact", "wrapup", "break", "error"];

const fn rated(
    number: u8,
    name: Word,
    dims: &'static [Word],
    columns: &'static [Word],
    sample: fn(&Transition, &Settings) -> Option<Sample>,
    outputs: fn(&Bag) -> Vec<Output>,
) -> Metric {
    let form = Form::Period { windows: &KINDS, sample, outputs };
    Metric { columns, ..Metric::new(number, name, &SURVEY, dims, form) }
}

pub static METRICS: [Metric; 7] = [
    Metric {
        columns: &["state"],
        ..Metric::new(
            62,
            "agent.by_state",
            &AGENT_STATE,
            &["queue_id"],
            Form::Now {
                stands: |row, _| Some([row.cell("state"), Cell::Null, Cell::Null, Cell::Null, Cell::Null]),
                outputs: |standing| {
                    let in_state = |state| measure::rows_with(standing, |cell| cell.text() == state);
                    STATES.iter().map(|state| exact(state, in_state(*state))).collect()
                },
            },
        )
    },
    Metric {
        columns: &["state", "slots", "slots_used"],
        ..Metric::new(
            63,
            "agent.slots",
            &AGENT_STATE,
            &["queue_id"],
            Form::Now {
                stands: |row, _| {
                    let facts =
                        [row.cell("slots"), row.cell("slots_used"), Cell::Null, Cell::Null, Cell::Null];
                    (!row.is("state", "offline")).then_some(facts)
                },
                outputs: |standing| vec![exact("slots", sum(standing, 0)), exact("used", sum(standing, 1))],
            },
        )
    },
    Metric {
        columns: &["state", "since"],
        correct_for: 26 * HOUR,
        ..Metric::new(
            64,
            "agent.state_time",
            &AGENT_STATE,
            &["queue_id", "agent_id"],
            Form::Period {
                windows: &[Kind::Quarter, Kind::Hour, Kind::Day],
                sample: |c, _| state_left(c),
                outputs: |bag| {
                    let time_in = |place: i64| {
                        let parts = bag.values.iter().filter(|values| values[0] == place);
                        Some(measure::in_seconds(parts.map(|values| values[1]).sum()))
                    };
                    (1..).zip(&STATES[1..]).map(|(place, state)| near(state, time_in(place))).collect()
                },
            },
        )
    },
    rated(
        67,
        "survey.csat",
        &["queue_id", "agent_id"],
        &["rated_at", "score"],
        |c, _| {
            let score = c.after.int("score");
            let is_scored = i64::from(score.is_some());
            let is_good = i64::from(score.is_some_and(|score| score >= 4));
            Some(Sample::at(c.became_set("rated_at")?).values([is_good, is_scored, score.unwrap_or(0)]))
        },
        |bag| {
            let scored = measure::sum(bag, 1);
            vec![
                exact("good", measure::sum(bag, 0)),
                exact("rated", bag.samples),
                measure::ratio("mean_score", measure::sum(bag, 2), scored),
            ]
        },
    ),
    Metric {
        correct_for: 8 * DAY,
        ..rated(
            68,
            "survey.response_rate",
            &["queue_id"],
            &["sent_at", "rated_at"],
            |c, _| {
                let (sent, rated) = (i64::from(c.inserted), i64::from(c.became_set("rated_at").is_some()));
                let time = c.after.int("sent_at")?;
                (sent + rated > 0).then(|| Sample::at(time).values([rated, sent, 0]))
            },
            |bag| {
                let (rated, sent) = (measure::sum(bag, 0), measure::sum(bag, 1));
                vec![exact("rated", rated), exact("sent", sent), measure::ratio("ratio", rated, sent)]
            },
        )
    },
    rated(
        69,
        "survey.resolved_rate",
        &["queue_id"],
        &["rated_at", "resolved"],
        |c, _| Some(Sample::at(c.became_set("rated_at")?).value(c.after.int("resolved")?)),
        |bag| {
            let resolved = measure::sum(bag, 0);
            vec![
                exact("resolved", resolved),
                exact("rated", bag.samples),
                measure::ratio("ratio", resolved, bag.samples),
            ]
        },
    ),
    Metric {
        columns: &["state", "since", "queue_id", "slots", "slots_used"],
        ..Metric::new(
            72,
            "agent.current",
            &AGENT_STATE,
            &["agent_id"],
            Form::Now { stands: |row, _| Some(CURRENT.map(|column| row.cell(column))), outputs: current },
        )
    },
];

/// Outputs of 72, in order.
const CURRENT: [Word; 5] = ["state", "since", "queue_id", "slots", "slots_used"];

/// Of agents that stand, the sum of one fact.
fn sum(standing: &Standing, which: usize) -> i64 {
    let of = |(facts, count): (&Facts, &i64)| facts[which].int().unwrap_or(0) * count;
    standing.facts.iter().map(of).sum()
}

/// The span in the state that an update has left, with the dimensions of the image before. Over 24 h
/// it is rejected; one that is empty or ends before it begins is none, and offline does not count.
fn state_left(c: &Transition) -> Option<Sample> {
    let before = c.before.as_ref().filter(|_| !c.inserted)?;
    let state = STATES.iter().position(|state| before.is("state", state)).filter(|state| *state > 0)?;
    let changed = ["state", "since"].iter().any(|column| before.cell(column) != c.after.cell(column));
    let (from, until) = (before.int("since")?, c.after.int("since")?);
    let sample = Sample { until: Some(until), of_before: true, ..Sample::at(from).value(state as i64) };
    (changed && from < until && until - from <= DAY).then_some(sample)
}

/// The row, if there is exactly one.
fn current(standing: &Standing) -> Vec<Output> {
    let row = standing.facts.first_key_value().filter(|_| standing.count == 1).map(|(facts, _)| facts);
    let output = |(place, name): (usize, Word)| {
        let value = match row.map(|facts| facts[place]) {
            Some(Cell::Int(value)) => Number::Int(value),
            Some(Cell::Text(text)) => Number::Text(text.into()),
            _ => Number::Null,
        };
        Output { name, rule: Rule::Exact, value }
    };
    CURRENT.into_iter().enumerate().map(output).collect()
}
