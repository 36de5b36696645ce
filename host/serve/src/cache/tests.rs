#![allow(clippy::unwrap_used)]
use super::*;
use weir_types::contract::{Input, Output, RowMemory, ValueType};
use weir_types::rows::{OutputValue, Series};

pub(crate) fn info(name: &str) -> MetricInfo {
    let output = |name: &str, unit: &str| Output {
        name: name.into(),
        value_type: ValueType::Int,
        is_list: false,
        nullable: false,
        unit: unit.into(),
        description: String::new(),
    };
    MetricInfo {
        name: name.into(),
        title: name.into(),
        unit: "1".into(),
        description: String::new(),
        owner: "us".into(),
        version: "1.0.0".into(),
        deprecated: None,
        replaced_by: None,
        inputs: vec![Input { source: "ticket".into(), fields: Vec::new(), watches: Vec::new() }],
        bases: vec![],
        dimensions: vec!["queue_id".into()],
        dimension_sets: vec![vec![], vec!["queue_id".into()]],
        windows: vec![Window::Tumbling(MINUTE), Window::Day],
        values: Vec::new(),
        computed_dimensions: Vec::new(),
        outputs: vec![output("count", "1")],
        time_varying: false,
        rows: RowMemory::Live,
        state_version: 1,
        state_versions_read: vec![1],
        meaning_version: 1,
        extra: Vec::new(),
    }
}

pub(crate) fn entry(name: &str, incarnation: i64, status: &str) -> CatalogueEntry {
    CatalogueEntry {
        info: Arc::new(info(name)),
        incarnation,
        digest: "d1".into(),
        status: status.into(),
        reason: None,
        since: 0,
        cost: Default::default(),
    }
}

pub(crate) fn row(metric: &str, window: &str, dims: &[&str], start: Micros, count: i64) -> LiveRow {
    let series = Series {
        metric: metric.into(),
        window: window.into(),
        dimension_set: if dims.is_empty() { "" } else { "queue_id" }.into(),
        ..Series::default()
    };
    LiveRow {
        series: series.into(),
        dims: dims.iter().map(|d| d.to_string()).collect(),
        start,
        end: start + MINUTE,
        values: [OutputValue::Int(count)].into(),
        is_final: false,
        complete: true,
        samples: count as u64,
        gone: false,
    }
}

fn gone(row: LiveRow) -> LiveRow {
    LiveRow { gone: true, ..row }
}

fn cache() -> Cache {
    let mut cache = Cache::new(3);
    cache.set_catalogue(&[entry("a.x", 1, "live"), entry("a.y", 1, "live")]);
    cache
}

fn counts(cache: &Cache) -> Vec<(String, Micros, OutputValue)> {
    let rows = cache.select(&Filter::default());
    rows.iter().map(|r| (r.live.dims.join(","), r.live.start, r.live.values[0].clone())).collect()
}

#[test]
fn a_newer_window_replaces_the_older_and_a_late_correction_does_not_bring_it_back() {
    let mut cache = cache();
    cache.apply(row("a.x", "1m", &["1"], 0, 5));
    cache.apply(row("a.x", "1m", &["1"], MINUTE, 1));
    assert!(matches!(cache.apply(row("a.x", "1m", &["1"], 0, 6)), Applied::Nothing));
    assert_eq!(counts(&cache), [("1".into(), MINUTE, OutputValue::Int(1))]);
}

#[test]
fn a_gone_row_leaves_unless_a_newer_window_is_shown() {
    let mut cache = cache();
    cache.apply(row("a.x", "1m", &["1"], MINUTE, 1));
    assert!(matches!(cache.apply(gone(row("a.x", "1m", &["1"], 0, 0))), Applied::Nothing));
    assert_eq!(cache.len(), 1);
    assert!(matches!(cache.apply(gone(row("a.x", "1m", &["1"], MINUTE, 0))), Applied::Gone(_)));
    assert!(matches!(cache.apply(gone(row("a.x", "1m", &["1"], MINUTE, 0))), Applied::Nothing));
    assert_eq!(cache.len(), 0);
}

#[test]
fn new_keys_beyond_the_bound_are_counted_and_known_ones_still_move() {
    let mut cache = cache();
    for queue in ["1", "2", "3", "4"] {
        cache.apply(row("a.x", "1m", &[queue], 0, 1));
    }
    assert_eq!((cache.len(), cache.dropped()), (3, 1));
    assert!(matches!(cache.apply(row("a.x", "1m", &["1"], 0, 2)), Applied::Changed(_)));
}

#[test]
fn a_metric_that_retires_or_starts_anew_loses_its_rows() {
    let mut cache = cache();
    cache.apply(row("a.x", "1m", &[], 0, 1));
    cache.apply(row("a.y", "1m", &[], 0, 1));
    cache.set_catalogue(&[entry("a.x", 1, "retired"), entry("a.y", 1, "live")]);
    assert_eq!(cache.len(), 1);
    assert!(matches!(cache.apply(row("a.x", "1m", &[], 0, 2)), Applied::Nothing));
    cache.set_catalogue(&[entry("a.y", 2, "live")]);
    assert_eq!(cache.len(), 0);
}

#[test]
fn a_window_expires_one_length_after_its_end_by_the_watermark() {
    let mut cache = cache();
    cache.apply(row("a.x", "1m", &["1"], 0, 1));
    cache.apply(row("a.x", "1m", &["2"], MINUTE, 1));
    assert!(cache.expire(|_| None).is_empty());
    assert!(cache.expire(|_| Some(2 * MINUTE - 1)).is_empty());
    let expired = cache.expire(|_| Some(2 * MINUTE));
    assert_eq!(expired.iter().map(|k| k.dims.join(",")).collect::<Vec<_>>(), ["1"]);
    assert_eq!(cache.len(), 1);
    assert_eq!(cache.expire(|_| Some(100 * MINUTE)).len(), 1);
    assert!(cache.expire(|_| Some(Micros::MAX)).is_empty());
}

#[test]
fn current_values_never_expire() {
    let mut cache = cache();
    cache.apply(LiveRow { end: 0, ..row("a.x", "now", &["1"], 0, 1) });
    assert!(cache.expire(|_| Some(Micros::MAX)).is_empty());
}

#[test]
fn a_filter_takes_what_any_of_its_selectors_takes() {
    let mut cache = cache();
    cache.apply(row("a.x", "1m", &[], 0, 1));
    cache.apply(row("a.x", "1m", &["7"], 0, 2));
    cache.apply(row("a.y", "day", &[], 0, 3));
    let totals = Selector { set: Some(String::new()), ..Selector::default() };
    let queue = Selector { metric: Some("a.x".into()), dims: Some(vec!["7".into()]), ..Selector::default() };
    let select = |selectors: &[&Selector]| {
        cache.select(&Filter { selectors: selectors.iter().map(|s| (*s).clone()).collect() }).len()
    };
    assert_eq!(select(&[&totals]), 2);
    assert_eq!(select(&[&queue]), 1);
    assert_eq!(select(&[&totals, &queue]), 3);
    assert_eq!(select(&[]), 3);
}
