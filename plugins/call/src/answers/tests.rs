#![allow(clippy::unwrap_used)]
use super::*;
use crate::tests::*;
use proptest::prelude::*;
use weir_metric::harness::Harness;

const AGENT: [(&str, &str); 2] = [("queue_id", "3"), ("agent_id", "41")];

#[test]
fn a_call_is_answered_once_by_its_agent() {
    let harness = life::<Answered>(&[call(), queued(), taken(), ended(), done()]);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.output("1m", &AGENT, at(25)).int("count"), 1);
    assert_eq!(harness.output("1m", &[("agent_id", "\\N")], at(25)).int("count"), 0);
}

#[test]
fn inbound_and_outbound_answers_are_told_apart() {
    for direction in ["outbound", "callback", "Inbound", ""] {
        let other = Call { direction: Text(direction), ..taken() };
        assert!(life::<Answered>(&[call(), other]).samples().is_empty(), "{direction}");
        assert!(life::<SpeedOfAnswer>(&[call(), other]).samples().is_empty(), "{direction}");
        assert!(life::<AnsweredInTarget>(&[call(), other]).samples().is_empty(), "{direction}");
        let outbound = life::<Outbound>(&[call(), other]);
        assert_eq!(outbound.samples().len(), usize::from(direction == "outbound"), "{direction}");
    }
    assert!(life::<Outbound>(&[call(), taken()]).samples().is_empty());
    let out = Call { direction: Text("outbound"), queued_at: None, ..taken() };
    let harness = life::<Outbound>(&[call(), out, Call { status: Text("done"), ..out }]);
    assert_eq!(harness.output("15m", &[("agent_id", "41")], at(25)).int("count"), 1);
    assert_eq!(harness.info().dimensions, ["agent_id"]);
}

#[test]
fn an_answered_call_that_is_transferred_counts_when_it_was_answered() {
    let moved = Call { transferred_out: true, ..ended() };
    let harness = life::<TransferredOut>(&[taken(), moved, Call { talk_seconds: 500, ..moved }]);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.output("1m", &AGENT, at(25)).int("count"), 1);
    assert_eq!(harness.output("1m", &AGENT, at(205)).int("count"), 0);
    assert_eq!(life::<TransferredOut>(&[moved, ended(), moved]).samples().len(), 2);
}

#[test]
fn a_transfer_without_an_answer_or_of_another_direction_does_not_count() {
    let unanswered = Call { transferred_out: true, ..queued() };
    // An answer that comes later does not make it one: transferred_out does not change any more.
    let late = Call { transferred_out: true, ..taken() };
    assert!(life::<TransferredOut>(&[queued(), unanswered, late]).samples().is_empty());
    let out = Call { direction: Text("outbound"), transferred_out: true, ..taken() };
    assert!(life::<TransferredOut>(&[call(), out]).samples().is_empty());
}

#[test]
fn a_call_that_rang_in_vain_counts_by_the_growth() {
    let rang = |missed_count, seconds| Call { missed_count, updated_at: at(seconds), ..queued() };
    let harness = life::<Missed>(&[rang(2, 10), rang(2, 50), rang(5, 70), rang(1, 80), rang(2, 3_700)]);
    let weights: Vec<i64> = harness.samples().iter().map(|sample| sample.weight).collect();
    assert_eq!(weights, [2, 3, 1]);
    assert_eq!(harness.output("1h", &[("agent_id", "\\N")], at(10)).int("count"), 5);
    assert_eq!(harness.output("1m", &[], at(70)).int("count"), 3);
    assert_eq!(harness.output("1h", &[], at(3_700)).int("count"), 1);
}

#[test]
fn the_speed_of_answer_is_the_wait_in_the_queue() {
    let mut harness = Harness::<SpeedOfAnswer>::new();
    for wait in [5, 15, 40] {
        harness.update(&queued(), &Call { answered_at: Some(at(10 + wait)), ..taken() });
    }
    let out = harness.output("1m", &[("queue_id", "3")], at(50));
    assert_eq!((out.float("mean"), out.float("max"), out.int("count")), (20.0, 40.0, 3));
    assert!((out.float("p90") / 40.0 - 1.0).abs() < 0.01);
    let nothing = harness.output("1m", &[], at(500));
    assert!(["mean", "p90", "max"].iter().all(|name| nothing.is_null(name)) && nothing.int("count") == 0);
}

#[test]
fn an_answer_that_was_never_queued_has_no_speed_and_no_target() {
    let direct = Call { queued_at: None, ..taken() };
    assert!(life::<SpeedOfAnswer>(&[call(), direct]).samples().is_empty());
    assert!(life::<AnsweredInTarget>(&[call(), direct]).samples().is_empty());
    assert_eq!(life::<Answered>(&[call(), direct]).samples().len(), 1);
}

#[test]
fn an_answer_at_just_the_target_is_in_target_and_counts_when_the_call_was_queued() {
    for (micros, counts) in [(0, 1), (20_000_000, 1), (20_000_001, 0), (-5, 1)] {
        let taken = Call { answered_at: Some(at(10) + Span::micros(micros)), ..taken() };
        let harness = life::<AnsweredInTarget>(&[queued(), taken]);
        assert_eq!(harness.output("1m", &[("queue_id", "3")], at(10)).int("count"), counts, "{micros}");
    }
    let late = Call { queued_at: Some(at(59)), answered_at: Some(at(61)), ..taken() };
    let harness = life::<AnsweredInTarget>(&[late]);
    assert_eq!(harness.samples()[0].at, Some(at(59)));
}

#[test]
fn the_target_is_the_operators_and_may_differ_by_queue() {
    let mut harness = Harness::<AnsweredInTarget>::with_config(&[("target_s", "10"), ("target_s.3", "15")]);
    harness.insert(&taken());
    harness.insert(&Call { queue_id: 4, ..taken() });
    assert_eq!(harness.output("1h", &[], at(10)).int("count"), 1);
    let wrong = [("target_s.3".to_owned(), "soon".to_owned())];
    let error = crate::plugin().open("call.answered_in_target", &wrong).err().unwrap();
    assert!(error.contains("target_s.3"), "{error}");
}

proptest! {
    #[test]
    fn no_more_calls_are_in_target_than_were_offered(
        calls in prop::collection::vec((0i64..600, prop::option::of(0i64..60)), 0..40),
    ) {
        let mut offered = Harness::<crate::arrivals::Offered>::new();
        let mut in_target = Harness::<AnsweredInTarget>::new();
        for (second, wait) in &calls {
            let waiting = Call { queued_at: Some(at(*second)), ..queued() };
            offered.insert(&waiting);
            in_target.insert(&waiting);
            if let Some(wait) = wait {
                let taken = Call { answered_at: Some(at(second + wait)), ..waiting };
                offered.update(&waiting, &taken);
                in_target.update(&waiting, &taken);
            }
        }
        for (key, row) in in_target.outputs() {
            let dims: Vec<(&str, &str)> = key.dims[0].iter().map(|queue| ("queue_id", queue.as_str())).collect();
            let of = offered.output(&key.window, &dims, Time(key.start)).int("count");
            prop_assert!(row.int("count") <= of);
        }
        let due = calls.iter().filter(|(_, wait)| wait.is_some_and(|wait| wait <= 20)).count();
        prop_assert_eq!(in_target.output("day", &[], at(0)).int("count"), due as i64);
    }
}
