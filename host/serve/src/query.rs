//! Query parameters: decoded, checked, and refused by name.

use crate::cache::{Filter, Selector};
use crate::live::Inner;
use crate::problem::Problem;
use jiff::Timestamp;
use weir_types::contract::MetricInfo;
use weir_types::{Micros, key};

/// Decoded parameters in order.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `a=1&b=2`; every name must be one of `known`.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Query, Problem> {
        let mut pairs = Vec::new();
        for part in text.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name).ok_or_else(|| Problem::parameter(name, "the name is not UTF-8"))?;
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return Err(Problem::parameter(&name, format!("{name} is unknown here; known are: {known}")));
            }
            let value = decode(value)
                .ok_or_else(|| Problem::parameter(&name, format!("the value of {name} is not UTF-8")))?;
            pairs.push((name, value));
        }
        Ok(Query { pairs })
    }

    /// All values of a parameter that may be repeated.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The value of a parameter that may stand once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            Some(_) => Err(Problem::parameter(name, format!("{name} may stand only once"))),
            None => Ok(first),
        }
    }

    /// The value of a parameter that must be there.
    pub fn required(&self, name: &str) -> Result<&str, Problem> {
        let value = self.one(name)?.filter(|v| !v.is_empty());
        value.ok_or_else(|| Problem::parameter(name, format!("{name} is missing")))
    }

    /// A time: ISO 8601 with an offset or `Z`, or microseconds since the Unix epoch.
    pub fn time(&self, name: &str) -> Result<Option<Micros>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let micros = text.parse::<i64>().ok().filter(|t| Timestamp::from_microsecond(*t).is_ok());
        let iso = || text.parse::<Timestamp>().ok().map(|t| t.as_microsecond());
        let time = micros.or_else(iso).ok_or_else(|| {
            Problem::parameter(
                name,
                format!("{name} must be a time like 2026-11-23T08:00:00Z, or microseconds since 1970"),
            )
        })?;
        Ok(Some(time))
    }

    /// A whole number in 1..=most.
    pub fn count(&self, name: &str, most: u32) -> Result<Option<u32>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let number = text.parse::<u32>().ok().filter(|n| (1..=most).contains(n));
        let number = number
            .ok_or_else(|| Problem::parameter(name, format!("{name} must be a number from 1 to {most}")))?;
        Ok(Some(number))
    }

    /// Which rows are wanted: `metric`, `window`, `set` and `dim`, or any number of
    /// `select=METRIC;WINDOW;SET`, where an empty METRIC or WINDOW and a SET of `*` stand for any.
    pub fn filter(&self, inner: &Inner) -> Result<Filter, Problem> {
        let metric = self.one("metric")?.filter(|m| !m.is_empty()).map(String::from);
        let window = self.one("window")?.filter(|w| !w.is_empty()).map(String::from);
        let set = self.one("set")?.map(String::from);
        let dims: Vec<String> = self.all("dim").map(String::from).collect();
        let mut selectors = Vec::new();
        for text in self.all("select") {
            selectors.push(selector(text)?);
        }
        let plain = metric.is_some() || window.is_some() || set.is_some() || !dims.is_empty();
        if plain && !selectors.is_empty() {
            return Err(Problem::parameter(
                "select",
                "select stands alone, without metric, window, set, dim",
            ));
        }
        if plain {
            let dims = if dims.is_empty() {
                None
            } else {
                let set = set.as_deref().ok_or_else(|| Problem::parameter("dim", "dim needs set"))?;
                Some(check_dims(set, dims)?)
            };
            selectors.push(Selector { metric, window, set, dims });
        }
        for selector in &selectors {
            check_selector(selector, inner)?;
        }
        Ok(Filter { selectors })
    }
}

/// `METRIC;WINDOW;SET`.
fn selector(text: &str) -> Result<Selector, Problem> {
    let parts: Vec<&str> = text.split(';').collect();
    let [metric, window, set] = parts[..] else {
        return Err(Problem::parameter("select", "select must be METRIC;WINDOW;SET"));
    };
    let some = |text: &str, any: &str| (text != any).then(|| text.to_string());
    Ok(Selector { metric: some(metric, ""), window: some(window, ""), set: some(set, "*"), dims: None })
}

/// A metric by name, a window and a set of it, where they are given. A name that no metric has is
/// refused; so a stream for a metric that is still to come asks for all.
fn check_selector(selector: &Selector, inner: &Inner) -> Result<(), Problem> {
    let Some(metric) = &selector.metric else { return Ok(()) };
    let info = inner.metric(metric).ok_or_else(|| Problem::unknown_metric(metric))?;
    if let Some(window) = &selector.window {
        check_window(&info, window)?;
    }
    if let Some(set) = &selector.set {
        check_set(&info, set)?;
    }
    Ok(())
}

pub(crate) fn check_window(info: &MetricInfo, window: &str) -> Result<(), Problem> {
    let names: Vec<String> = info.windows.iter().map(|w| w.name()).collect();
    if names.iter().any(|n| n == window) {
        return Ok(());
    }
    let detail = format!("{} has no window {window:?}; it has: {}", info.name, names.join(", "));
    Err(Problem::parameter("window", detail))
}

pub(crate) fn check_set(info: &MetricInfo, set: &str) -> Result<(), Problem> {
    let names: Vec<String> = info.dimension_sets.iter().map(|s| key::set_name(s)).collect();
    if names.iter().any(|n| n == set) {
        return Ok(());
    }
    let names: Vec<String> = names.iter().map(|n| format!("{n:?}")).collect();
    let detail = format!("{} has no set {set:?}; it has: {}", info.name, names.join(", "));
    Err(Problem::parameter("set", detail))
}

/// As many canonical texts as the set has dimensions.
pub(crate) fn check_dims(set: &str, dims: Vec<String>) -> Result<Vec<String>, Problem> {
    let needed = if set.is_empty() { 0 } else { set.split(',').count() };
    if dims.len() == needed {
        return Ok(dims);
    }
    let detail = format!("the set {set:?} has {needed} dimensions, but dim stands {} times", dims.len());
    Err(Problem::parameter("dim", detail))
}

/// Undoes `%41` and `+`; None if what comes out is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        let escaped = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match (bytes[at], escaped.and_then(|d| u8::from_str_radix(d, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_and_plus_are_decoded_and_a_stray_percent_stays() {
        assert_eq!(decode("a%2Cb+c").as_deref(), Some("a,b c"));
        assert_eq!(decode("100%").as_deref(), Some("100%"));
        assert_eq!(decode("%zz%+1").as_deref(), Some("%zz% 1"));
        assert_eq!(decode("%ff"), None);
    }

    #[test]
    fn times_come_as_iso_or_microseconds() {
        let query = |text| Query::parse(Some(text), &["from"]).expect("parses").time("from");
        assert_eq!(query("from=1970-01-01T00%3A00%3A01Z").expect("a time"), Some(1_000_000));
        assert_eq!(query("from=-5").expect("a time"), Some(-5));
        assert_eq!(query("").expect("nothing"), None);
        let problem = query("from=yesterday").expect_err("no time");
        assert_eq!(problem.parameter.as_deref(), Some("from"));
    }

    #[test]
    fn an_unknown_or_doubled_parameter_is_named() {
        let problem = Query::parse(Some("metrik=a"), &["metric"]).expect_err("unknown");
        assert_eq!(problem.parameter.as_deref(), Some("metrik"));
        let query = Query::parse(Some("metric=a&metric=b"), &["metric"]).expect("parses");
        assert_eq!(query.one("metric").expect_err("twice").parameter.as_deref(), Some("metric"));
    }

    #[test]
    fn a_selector_has_three_parts() {
        let all = selector(";;*").expect("parses");
        assert_eq!(all, Selector::default());
        let total = selector("ticket.created;1m;").expect("parses");
        assert_eq!(total.set.as_deref(), Some(""));
        assert!(selector("ticket.created").is_err());
    }
}
