//! Outputs that several metrics have.

use super::{Bag, Output, Standing};
use crate::fields::{Cell, Word};
use crate::number::{Number, Rule, quantile};

pub fn exact(name: Word, value: i64) -> Output {
    Output { name, rule: Rule::Exact, value: Number::Int(value) }
}

pub fn near(name: Word, value: Option<f64>) -> Output {
    Output { name, rule: Rule::Near, value: value.map_or(Number::Null, Number::Float) }
}

pub fn time(name: Word, value: Option<i64>) -> Output {
    Output { name, rule: Rule::Exact, value: value.map_or(Number::Null, Number::Int) }
}

/// Numerator ÷ denominator, null if the latter is ≤ 0.
pub fn ratio(name: Word, numerator: i64, denominator: i64) -> Output {
    near(name, (denominator > 0).then(|| numerator as f64 / denominator as f64))
}

/// By weight.
pub fn count(bag: &Bag) -> Vec<Output> {
    vec![exact("count", bag.weight)]
}

pub fn rows(standing: &Standing) -> Vec<Output> {
    vec![exact("count", standing.count)]
}

/// One of the values of each sample.
pub fn all_of(bag: &Bag, which: usize) -> Vec<i64> {
    bag.values.iter().map(|values| values[which]).collect()
}

pub fn sum(bag: &Bag, which: usize) -> i64 {
    bag.values.iter().map(|values| values[which]).sum()
}

pub fn in_seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// (Sum ÷ count) ÷ 10⁶ of durations in microseconds.
pub fn mean(name: Word, micros: &[i64]) -> Output {
    let sum: i128 = micros.iter().map(|m| i128::from(*m)).sum();
    near(name, (!micros.is_empty()).then(|| sum as f64 / micros.len() as f64 / 1e6))
}

/// Mean, and those of p50, p90 and max that are asked for, and count, of the first value.
fn durations(bag: &Bag, which: &[Word]) -> Vec<Output> {
    let mut sorted = all_of(bag, 0);
    sorted.sort_unstable();
    let of_rank = |name, numerator, denominator| {
        let value = quantile(&sorted, numerator, denominator).map(in_seconds);
        Output { name, rule: Rule::Quantile, value: value.map_or(Number::Null, Number::Float) }
    };
    let others = which.iter().map(|name| match *name {
        "p50" => of_rank("p50", 1, 2),
        "p90" => of_rank("p90", 9, 10),
        _ => near("max", sorted.last().copied().map(in_seconds)),
    });
    let mut outputs = vec![mean("mean", &sorted)];
    outputs.extend(others);
    outputs.push(exact("count", bag.samples));
    outputs
}

pub fn mean_count(bag: &Bag) -> Vec<Output> {
    durations(bag, &[])
}
pub fn mean_max_count(bag: &Bag) -> Vec<Output> {
    durations(bag, &["max"])
}
pub fn mean_p90_count(bag: &Bag) -> Vec<Output> {
    durations(bag, &["p90"])
}
pub fn mean_p90_max_count(bag: &Bag) -> Vec<Output> {
    durations(bag, &["p90", "max"])
}
pub fn mean_p50_p90_count(bag: &Bag) -> Vec<Output> {
    durations(bag, &["p50", "p90"])
}
/// With the mean of the second value, which is the same in business hours.
pub fn with_business_hours(bag: &Bag) -> Vec<Output> {
    let mut outputs = durations(bag, &["p50", "p90", "max"]);
    outputs.push(mean("mean_business", &all_of(bag, 1)));
    outputs
}

/// How many different first values there are: an estimate is allowed.
pub fn distinct(bag: &Bag) -> Vec<Output> {
    let mut values = all_of(bag, 0);
    values.sort_unstable();
    values.dedup();
    vec![Output { name: "count", rule: Rule::Distinct, value: Number::Int(values.len() as i64) }]
}

/// The least first fact of the rows that stand.
pub fn oldest(standing: &Standing) -> Vec<Output> {
    let least = standing.facts.keys().filter_map(|facts| facts[0].int()).min();
    vec![time("oldest_at", least)]
}

/// How many rows have a first fact of which this is true.
pub fn rows_with(standing: &Standing, is: impl Fn(Cell) -> bool) -> i64 {
    standing.facts.iter().filter(|(facts, _)| is(facts[0])).map(|(_, count)| count).sum()
}
