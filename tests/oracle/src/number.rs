//! Numbers, and when two of them are the same.

use std::fmt;

/// An output of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    Null,
    /// Times too, in microseconds.
    Int(i64),
    Float(f64),
    Text(Box<str>),
    Ints(Box<[i64]>),
}

/// How near the result must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Counts, times, texts and lists.
    Exact,
    /// As `Exact`, or null: a list above the bound up to which it is exact.
    ExactOrNull,
    /// Means, ratios, greatest durations: 1e-9 relative.
    Near,
    /// Within 1 % of the exact k-th least; a microsecond more for values near 0.
    Quantile,
    /// An estimated count of distinct values: never more than 6 % off (or 1, where that is more), which
    /// is seven standard errors of 2¹⁴ registers. Of all keys of a metric 95 % must be [`is_close`].
    Distinct,
}

/// Keys of a metric whose estimate is not [`is_close`], of a thousand, at the most.
pub const NOT_CLOSE_PER_MILLE: usize = 50;

impl Rule {
    pub fn agrees(self, expected: &Number, found: &Number) -> bool {
        match (expected, found) {
            (Number::Null, Number::Null) => true,
            (Number::Int(a), Number::Int(b)) if self == Rule::Distinct => within(*a, *b, 0.06),
            (Number::Int(a), Number::Int(b)) => a == b,
            (Number::Float(a), Number::Float(b)) => match self {
                Rule::Near => (a - b).abs() <= 1e-9 * a.abs(),
                Rule::Quantile => (a - b).abs() <= 0.01 * a.abs() + 1e-6,
                Rule::Exact | Rule::ExactOrNull | Rule::Distinct => a == b,
            },
            (Number::Text(a), Number::Text(b)) => a == b,
            (Number::Ints(_), Number::Null) => self == Rule::ExactOrNull,
            (Number::Ints(a), Number::Ints(b)) => a == b,
            _ => false,
        }
    }
}

/// An estimate within 2 %.
pub fn is_close(expected: &Number, found: &Number) -> bool {
    match (expected, found) {
        (Number::Int(a), Number::Int(b)) => (a - b).abs() as f64 <= 0.02 * *a as f64,
        _ => false,
    }
}

fn within(expected: i64, found: i64, share: f64) -> bool {
    (expected - found).abs() as f64 <= (share * expected as f64).max(1.0)
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Number::Null => f.write_str("null"),
            Number::Int(value) => write!(f, "{value}"),
            Number::Float(value) => write!(f, "{value:?}"),
            Number::Text(text) => write!(f, "{text:?}"),
            Number::Ints(list) => write!(f, "{list:?}"),
        }
    }
}

/// The k-th least of sorted values, k = max(1, ⌈n · numerator ÷ denominator⌉).
pub fn quantile(sorted: &[i64], numerator: usize, denominator: usize) -> Option<i64> {
    let k = (sorted.len() * numerator).div_ceil(denominator).max(1);
    sorted.get(k - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_k_th_least() {
        assert_eq!(quantile(&[], 1, 2), None);
        assert_eq!(quantile(&[7], 9, 10), Some(7));
        assert_eq!(quantile(&[1, 2, 3, 4], 1, 2), Some(2));
        assert_eq!(quantile(&[1, 2, 3, 4, 5], 1, 2), Some(3));
        let ten: Vec<i64> = (1..=10).collect();
        assert_eq!(quantile(&ten, 9, 10), Some(9));
        let eleven: Vec<i64> = (1..=11).collect();
        assert_eq!(quantile(&eleven, 9, 10), Some(10));
    }

    #[test]
    fn rules_are_as_strict_as_the_catalogue_says() {
        let agrees = |rule: Rule, a: f64, b: f64| rule.agrees(&Number::Float(a), &Number::Float(b));
        assert!(!Rule::Exact.agrees(&Number::Int(3), &Number::Int(4)));
        assert!(!Rule::Exact.agrees(&Number::Int(3), &Number::Float(3.0)), "of another type");
        assert!(!Rule::Near.agrees(&Number::Float(1.0), &Number::Null));
        assert!(agrees(Rule::Near, 1.0, 1.0 + 5e-10));
        assert!(!agrees(Rule::Near, 1.0, 1.0 + 5e-9));
        assert!(agrees(Rule::Quantile, -100.0, -100.9));
        assert!(!agrees(Rule::Quantile, 100.0, 101.1));
    }

    #[test]
    fn an_estimate_is_never_far_off_and_a_small_one_by_one_at_the_most() {
        let agrees = |a, b| Rule::Distinct.agrees(&Number::Int(a), &Number::Int(b));
        assert!(agrees(3, 4) && !agrees(3, 5) && agrees(1_000, 1_060) && !agrees(1_000, 1_061));
        let close = |a, b| is_close(&Number::Int(a), &Number::Int(b));
        assert!(close(1_000, 980) && !close(1_000, 979) && !close(3, 4) && close(3, 3));
    }

    #[test]
    fn a_list_agrees_number_by_number_and_may_be_null_only_where_that_is_allowed() {
        let list = |ids: &[i64]| Number::Ints(ids.into());
        assert!(Rule::Exact.agrees(&list(&[1, 2]), &list(&[1, 2])));
        assert!(!Rule::ExactOrNull.agrees(&list(&[1, 2]), &list(&[2, 1])));
        assert!(!Rule::Exact.agrees(&list(&[1]), &Number::Null));
        assert!(Rule::ExactOrNull.agrees(&list(&[1]), &Number::Null));
    }
}
