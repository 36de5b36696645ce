#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use weir_metric::harness::{Harness, summary};

/// 2026-11-23, a Monday, 10:00 UTC, and some seconds.
fn at(seconds: i64) -> Time {
    Time::seconds(1_795_392_000 + 36_000 + seconds)
}

/// A survey that was sent and not answered yet.
fn survey() -> Survey {
    Survey { queue_id: 3, agent_id: Some(41), sent_at: at(0), score: None, resolved: None, rated_at: None }
}

#[test]
fn the_definitions_are_those_of_the_catalogue() {
    const PERIOD: &str = "1m 15m 1h day";
    let due = [
        format!(
            "survey.csat: {PERIOD}, table; survey by queue_id agent_id; watch rated_at; \
             good int, rated int, mean_score float?"
        ),
        format!(
            "survey.response_rate: {PERIOD}; survey by queue_id; watch rated_at; \
             rated int, sent int, ratio float?"
        ),
        format!(
            "survey.resolved_rate: {PERIOD}; survey by queue_id; watch rated_at; \
             resolved int, rated int, ratio float?"
        ),
    ];
    let infos = plugin().describe();
    assert_eq!(infos.iter().map(summary).collect::<Vec<_>>(), due);
    for info in &infos {
        assert!(info.title.len() <= 60 && !info.description.contains('`'), "{}", info.name);
        assert!(info.dimension_sets.is_empty(), "{}: every subset", info.name);
        let extra = |key: &str| info.extra.iter().find(|(name, _)| name == key).map(|(_, v)| v.as_str());
        assert_eq!(extra("board"), Some("team"), "{}", info.name);
        let correct_for = (info.name == "survey.response_rate").then_some("8d");
        assert_eq!(extra("correct_for"), correct_for, "{}", info.name);
    }
    let fields = infos[1].inputs[0].fields.iter().map(|field| field.name.as_str());
    assert_eq!(fields.collect::<Vec<_>>(), ["queue_id", "rated_at", "sent_at"], "only what it needs");
}

fn rated(score: Option<i64>, resolved: Option<bool>, seconds: i64) -> Survey {
    Survey { score, resolved, rated_at: Some(at(seconds)), ..survey() }
}

const AGENT: [(&str, &str); 2] = [("queue_id", "3"), ("agent_id", "41")];

#[test]
fn a_rating_counts_once_when_rated_at_becomes_set() {
    let mut harness = Harness::<Csat>::new();
    let (first, corrected) = (rated(Some(5), None, 90), rated(Some(1), None, 120));
    harness.insert(&survey());
    harness.update(&survey(), &first);
    harness.update(&first, &corrected);
    harness.delete(&corrected);
    assert_eq!(harness.samples().len(), 1);
    let out = harness.output("1m", &AGENT, at(90));
    assert_eq!((out.int("good"), out.int("rated"), out.float("mean_score")), (1, 1, 5.0));
    assert_eq!(harness.output("1m", &AGENT, at(0)).int("rated"), 0, "not when it was sent");
}

#[test]
fn four_is_good_three_is_not_and_a_rating_without_a_score_counts_but_has_no_mean() {
    let mut harness = Harness::<Csat>::new();
    for score in [Some(4), Some(3), Some(5), None] {
        harness.insert(&rated(score, None, 90));
    }
    let out = harness.output("day", &[], at(90));
    assert_eq!((out.int("good"), out.int("rated"), out.float("mean_score")), (2, 4, 4.0));
    let mut unscored = Harness::<Csat>::new();
    unscored.insert(&rated(None, None, 90));
    assert!(unscored.output("day", &[], at(90)).is_null("mean_score"));
}

#[test]
fn a_rating_that_is_taken_back_and_given_again_counts_twice() {
    let mut harness = Harness::<Csat>::new();
    harness.insert(&rated(Some(5), None, 10));
    harness.update(&rated(Some(5), None, 10), &survey());
    harness.update(&survey(), &rated(Some(2), None, 20));
    assert_eq!(harness.output("1h", &[("agent_id", "41")], at(0)).int("rated"), 2);
}

#[test]
fn sent_and_rated_both_count_in_the_window_of_sending() {
    let mut harness = Harness::<ResponseRate>::new();
    // Rated two days later.
    let late = rated(Some(3), None, 2 * 86_400);
    harness.insert(&survey());
    harness.insert(&survey());
    harness.update(&survey(), &late);
    harness.update(&late, &Survey { score: Some(4), ..late });
    harness.delete(&late);
    for window in ["1m", "15m", "1h", "day"] {
        let out = harness.output(window, &[("queue_id", "3")], at(0));
        assert_eq!((out.int("rated"), out.int("sent"), out.float("ratio")), (1, 2, 0.5), "{window}");
    }
    assert!(harness.output("day", &[], at(2 * 86_400)).is_null("ratio"));
}

#[test]
fn a_survey_that_is_born_rated_is_sent_and_rated() {
    let mut harness = Harness::<ResponseRate>::new();
    harness.insert(&rated(None, None, 50));
    let out = harness.output("1m", &[], at(0));
    assert_eq!((out.int("rated"), out.int("sent"), out.float("ratio")), (1, 1, 1.0));
}

#[test]
fn a_rating_alone_has_no_ratio() {
    let mut harness = Harness::<ResponseRate>::new();
    harness.update(&survey(), &rated(None, None, 50));
    let out = harness.output("1m", &[], at(0));
    assert_eq!((out.int("rated"), out.int("sent"), out.is_null("ratio")), (1, 0, true));
}

#[test]
fn resolution_counts_only_ratings_that_say_something_about_it() {
    let mut harness = Harness::<ResolvedRate>::new();
    for resolved in [Some(true), Some(false), Some(true), None] {
        harness.update(&survey(), &rated(Some(5), resolved, 70));
    }
    harness.update(&rated(None, None, 70), &rated(None, Some(true), 70));
    let out = harness.output("1m", &[("queue_id", "3")], at(70));
    assert_eq!((out.int("resolved"), out.int("rated")), (2, 3));
    assert_eq!(out.float("ratio"), 2.0 / 3.0);
    let nothing = harness.output("1m", &[], at(600));
    assert_eq!((nothing.int("resolved"), nothing.is_null("ratio")), (0, true));
}

proptest! {
    #[test]
    fn cohort_ratios_lie_between_nothing_and_all(
        surveys in prop::collection::vec((0i64..4_000, prop::option::of((0i64..90_000, any::<bool>()))), 1..40),
    ) {
        let (mut response, mut resolved) = (Harness::<ResponseRate>::new(), Harness::<ResolvedRate>::new());
        for (sent, answer) in &surveys {
            let open = Survey { sent_at: at(*sent), ..survey() };
            response.insert(&open);
            resolved.insert(&open);
            if let Some((after, yes)) = answer {
                let done = Survey { rated_at: Some(at(sent + after)), resolved: Some(*yes), ..open };
                response.update(&open, &done);
                resolved.update(&open, &done);
            }
        }
        for (_, row) in response.outputs().into_iter().chain(resolved.outputs()) {
            prop_assert!((0.0..=1.0).contains(&row.float("ratio")));
        }
        let out = response.output("day", &[], at(0));
        let answered = surveys.iter().filter(|(_, answer)| answer.is_some()).count();
        prop_assert_eq!((out.int("rated"), out.int("sent")), (answered as i64, surveys.len() as i64));
    }
}
