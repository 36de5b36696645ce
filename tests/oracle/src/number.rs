//! Numbers, and when two of them are the same.

use std::fmt;

/// An output of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Null,
    Int(i64),
    Float(f64),
}

/// How near the result must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Counts and times.
    Exact,
    /// Means, ratios, greatest durations: 1e-9 relative.
    Near,
    /// Within 1 % of the exact k-th least; a microsecond more for values near 0.
    Quantile,
}

impl Rule {
    pub fn agrees(self, expected: Number, found: Number) -> bool {
        match (expected, found) {
            (Number::Null, Number::Null) => true,
            (Number::Int(a), Number::Int(b)) => a == b,
            (Number::Float(a), Number::Float(b)) => match self {
                Rule::Exact => a == b,
                Rule::Near => (a - b).abs() <= 1e-9 * a.abs(),
                Rule::Quantile => (a - b).abs() <= 0.01 * a.abs() + 1e-6,
            },
            _ => false,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Number::Null => f.write_str("null"),
            Number::Int(value) => write!(f, "{value}"),
            Number::Float(value) => write!(f, "{value:?}"),
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
        let float = Number::Float;
        assert!(!Rule::Exact.agrees(Number::Int(3), Number::Int(4)));
        assert!(!Rule::Exact.agrees(Number::Int(3), float(3.0)), "of another type");
        assert!(!Rule::Near.agrees(float(1.0), Number::Null));
        assert!(Rule::Near.agrees(float(1.0), float(1.0 + 5e-10)));
        assert!(!Rule::Near.agrees(float(1.0), float(1.0 + 5e-9)));
        assert!(Rule::Quantile.agrees(float(-100.0), float(-100.9)));
        assert!(!Rule::Quantile.agrees(float(100.0), float(101.1)));
    }
}
