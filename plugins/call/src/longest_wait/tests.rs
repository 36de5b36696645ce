use super::*;
use crate::tests::call;
use proptest::prelude::*;
use weir_metric::harness::{Harness, summary};
use weir_metric::metric::describe;

fn queued(seconds: i64) -> Call<'static> {
    Call { status: Text("queued"), queued_at: Some(Time::seconds(seconds)), ..call() }
}

fn oldest(harness: &Harness<LongestWait>, dims: &[(&str, &str)]) -> Option<Time> {
    harness.output("now", dims, Time(0)).time("oldest_at")
}

#[test]
fn the_longest_wait_is_the_least_queued_at_of_the_calls_that_still_wait() {
    let mut harness = Harness::<LongestWait>::new();
    assert_eq!(oldest(&harness, &[]), None);
    for call in [queued(30), queued(10), Call { queue_id: 4, ..queued(20) }] {
        harness.insert(&call);
    }
    assert_eq!(oldest(&harness, &[]), Some(Time::seconds(10)));
    assert_eq!(oldest(&harness, &[("queue_id", "4")]), Some(Time::seconds(20)));
    harness.update(&queued(10), &Call { status: Text("ringing"), ..queued(10) });
    assert_eq!(oldest(&harness, &[]), Some(Time::seconds(20)));
    assert_eq!(oldest(&harness, &[("queue_id", "3")]), Some(Time::seconds(30)));
    harness.delete(&queued(30));
    assert_eq!(oldest(&harness, &[("queue_id", "3")]), None);
}

#[test]
fn a_call_that_does_not_wait_or_has_no_queued_at_has_no_wait() {
    let mut harness = Harness::<LongestWait>::new();
    for status in ["ivr", "ringing", "talking", "held", "wrapup", "done", "abandoned", "Queued"] {
        harness.insert(&Call { status: Text(status), ..queued(10) });
    }
    harness.insert(&Call { queued_at: None, ..queued(10) });
    assert!(harness.samples().is_empty());
}

#[test]
fn calls_of_every_direction_wait() {
    let mut harness = Harness::<LongestWait>::new();
    harness.insert(&Call { direction: Text("callback"), ..queued(10) });
    assert_eq!(oldest(&harness, &[]), Some(Time::seconds(10)));
}

#[test]
fn the_longest_wait_is_defined_as_in_the_catalogue() {
    assert_eq!(
        summary(&describe::<LongestWait>()),
        "call.longest_wait: now; call_record by queue_id; oldest_at time? us"
    );
}

proptest! {
    #[test]
    fn the_longest_wait_is_that_of_what_stands_in_the_table(
        calls in prop::collection::vec((0i64..9, any::<bool>()), 0..30),
    ) {
        let mut harness = Harness::<LongestWait>::new();
        calls.iter().for_each(|(second, _)| harness.insert(&queued(*second)));
        for (second, _) in calls.iter().filter(|(_, answered)| *answered) {
            harness.update(&queued(*second), &Call { status: Text("talking"), ..queued(*second) });
        }
        let waiting = calls.iter().filter(|(_, answered)| !answered).map(|(second, _)| Time::seconds(*second));
        prop_assert_eq!(oldest(&harness, &[("queue_id", "3")]), waiting.min());
    }
}
