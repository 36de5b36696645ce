use super::*;
use crate::tests::*;
use weir_metric::harness::Harness;

#[test]
fn an_abandoned_call_counts_once_in_the_window_of_its_queued_at() {
    let late = Call { updated_at: at(5_000), ended_at: Some(at(5_000)), ..given_up() };
    let harness = life::<Abandoned>(&[call(), queued(), late, Call { customer_id: 5, ..late }]);
    assert_eq!(harness.samples().len(), 1);
    for window in ["1m", "15m", "1h", "day"] {
        assert_eq!(harness.output(window, &[("queue_id", "3")], at(10)).int("count"), 1);
    }
    assert_eq!(harness.output("1h", &[], at(5_000)).int("count"), 0);
}

#[test]
fn a_call_that_is_abandoned_again_counts_twice_and_one_that_is_born_so_counts() {
    assert_eq!(life::<Abandoned>(&[given_up(), queued(), given_up()]).samples().len(), 2);
}

#[test]
fn other_directions_statuses_and_calls_that_never_queued_are_not_abandoned() {
    for direction in ["outbound", "callback", "Inbound"] {
        let other = Call { direction: Text(direction), ..given_up() };
        assert!(life::<Abandoned>(&[queued(), other]).samples().is_empty(), "{direction}");
        assert!(life::<ShortAbandons>(&[queued(), other]).samples().is_empty(), "{direction}");
        assert!(life::<AbandonTime>(&[queued(), other]).samples().is_empty(), "{direction}");
    }
    for status in ["done", "Abandoned", "abandone", ""] {
        let other = Call { status: Text(status), ..given_up() };
        assert!(life::<Abandoned>(&[queued(), other]).samples().is_empty(), "{status}");
    }
    let in_the_ivr = Call { queued_at: None, ..given_up() };
    assert!(life::<Abandoned>(&[call(), in_the_ivr]).samples().is_empty());
    assert!(life::<ShortAbandons>(&[call(), in_the_ivr]).samples().is_empty());
    assert!(life::<AbandonTime>(&[call(), in_the_ivr]).samples().is_empty());
}

#[test]
fn an_abandon_is_short_below_the_bound_and_not_at_it() {
    for (micros, counts) in [(0, 1), (4_999_999, 1), (5_000_000, 0), (60_000_000, 0)] {
        let gone = Call { ended_at: Some(at(10) + Span::micros(micros)), ..given_up() };
        let harness = life::<ShortAbandons>(&[queued(), gone]);
        assert_eq!(harness.output("1m", &[("queue_id", "3")], at(10)).int("count"), counts, "{micros}");
    }
}

#[test]
fn the_bound_is_the_operators_and_may_differ_by_queue() {
    let mut harness = Harness::<ShortAbandons>::with_config(&[("short_abandon_s.4", "31")]);
    harness.insert(&given_up());
    harness.insert(&Call { queue_id: 4, ..given_up() });
    assert_eq!(harness.output("day", &[], at(10)).int("count"), 1);
    assert_eq!(harness.output("day", &[("queue_id", "4")], at(10)).int("count"), 1);
}

#[test]
fn the_time_to_abandon_is_the_wait_in_the_queue() {
    let mut harness = Harness::<AbandonTime>::new();
    harness.update(&queued(), &given_up());
    harness.update(&queued(), &Call { ended_at: Some(at(11)), ..given_up() });
    let out = harness.output("1m", &[("queue_id", "3")], at(10));
    assert_eq!((out.float("mean"), out.int("count")), (15.5, 2));
    assert!(harness.output("1m", &[], at(600)).is_null("mean"));
}

#[test]
fn an_abandon_without_an_end_has_no_length() {
    let endless = Call { ended_at: None, ..given_up() };
    assert_eq!(life::<Abandoned>(&[queued(), endless]).samples().len(), 1);
    assert!(life::<ShortAbandons>(&[queued(), endless]).samples().is_empty());
    assert!(life::<AbandonTime>(&[queued(), endless]).samples().is_empty());
}
