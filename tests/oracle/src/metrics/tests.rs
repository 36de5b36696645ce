#![allow(clippy::unwrap_used)]
use super::*;
use std::collections::BTreeSet;

#[test]
fn there_are_72_metrics_12_of_them_derived() {
    let numbers: BTreeSet<u8> = all().map(|metric| metric.number).collect();
    assert_eq!(numbers, (1..=72).collect());
    assert_eq!(all().count(), 72);
    assert_eq!(all().map(|metric| metric.name).collect::<BTreeSet<_>>().len(), 72);
    assert_eq!(all().filter(|metric| matches!(metric.form, Form::Derived { .. })).count(), 12);
}

#[test]
fn definitions_name_only_columns_that_their_table_has() {
    for metric in all() {
        for column in metric.dims.iter().chain(metric.columns) {
            assert!(metric.table.has(column), "{} has no {column}", metric.name);
        }
    }
}

#[test]
fn a_derived_metric_s_bases_have_its_dimension_sets_and_its_windows() {
    for metric in all() {
        let Form::Derived { of, .. } = metric.form else { continue };
        let sets = |metric: &Metric| -> BTreeSet<String> {
            metric.subsets().iter().map(|subset| metric.set_name(subset)).collect()
        };
        for base in of.iter().map(|name| by_name(name).unwrap()) {
            assert!(sets(base).is_superset(&sets(metric)), "{} of {}", metric.name, base.name);
            assert_eq!(base.windows(), metric.windows());
            assert_eq!(base.is_now(), metric.is_now());
            assert_eq!(base.table.name, metric.table.name);
        }
    }
}

#[test]
fn outputs_have_the_agreed_names_in_the_agreed_order() {
    let of = |number: u8| {
        let metric = all().find(|metric| metric.number == number).unwrap();
        metric.of_nothing().iter().map(|output| output.name).collect::<Vec<_>>().join(" ")
    };
    let counts = [1..=10, 13..=14, 19..=21, 26..=35, 38..=38, 44..=44, 49..=55];
    for number in counts.into_iter().flatten() {
        assert_eq!(of(number), "count", "{number}");
    }
    let others = [
        (11, "oldest_at"),
        (12, "under_1h from_1h_to_8h from_8h_to_24h from_1d_to_3d over_3d"),
        (15, "mean p50 p90 max count mean_business"),
        (16, "mean p50 p90 max count mean_business"),
        (17, "mean p90 count"),
        (18, "met total"),
        (22, "ratio reopened solved"),
        (23, "ratio one_touch solved"),
        (24, "ratio met total"),
        (25, "ratio escalated created"),
        (36, "oldest_at"),
        (37, "mean p90 max count"),
        (39, "mean count"),
        (40, "mean p90 count"),
        (41, "mean max count"),
        (42, "mean count"),
        (43, "mean p50 p90 count"),
        (45, "ids counts"),
        (46, "ratio abandoned offered"),
        (47, "ratio in_target counted"),
        (48, "ratio transferred_out answered"),
        (56, "oldest_at"),
        (57, "mean p50 p90 count"),
        (58, "mean p90 count"),
        (59, "mean count"),
        (60, "ratio missed queued"),
        (61, "ratio bot_contained started"),
        (62, "offline available on_contact wrapup break error"),
        (63, "slots used"),
        (64, "available on_contact wrapup break error"),
        (65, "ratio used slots"),
        (66, "ratio busy staffed"),
        (67, "good rated mean_score"),
        (68, "rated sent ratio"),
        (69, "resolved rated ratio"),
        (70, "count length"),
        (71, "count per_minute"),
        (72, "state since queue_id slots slots_used"),
    ];
    for (number, names) in others {
        assert_eq!(of(number), names, "{number}");
    }
}
