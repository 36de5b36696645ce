#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use weir_metric::harness::Harness;

pub fn call() -> Call<'static> {
    Call { queue_id: 3, direction: Text("inbound"), status: Text("ivr"), queued_at: None }
}

#[test]
fn a_call_is_offered_when_it_is_queued() {
    let mut harness = Harness::<Offered>::new();
    let at = Time::seconds(1_000_000);
    let queued = Call { queued_at: Some(at), ..call() };
    harness.insert(&call());
    harness.update(&call(), &queued);
    harness.update(&queued, &queued);
    harness.delete(&queued);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.output("1m", &[("queue_id", "3")], at).int("count"), 1);
    assert_eq!(harness.outputs().len(), 2 * 4);
}

#[test]
fn a_call_that_is_born_queued_counts() {
    let mut harness = Harness::<Offered>::new();
    let at = Time::seconds(60);
    harness.insert(&Call { queued_at: Some(at), ..call() });
    assert_eq!(harness.output("day", &[], at).int("count"), 1);
}

#[test]
fn only_inbound_calls_are_offered() {
    let mut harness = Harness::<Offered>::new();
    for direction in ["outbound", "callback", "inbounds", "Inbound", ""] {
        harness.insert(&Call { direction: Text(direction), queued_at: Some(Time(0)), ..call() });
    }
    assert!(harness.samples().is_empty());
}

#[test]
fn the_definition_is_that_of_the_catalogue() {
    let infos = plugin().describe();
    assert_eq!(infos.len(), 2);
    assert_eq!(infos[0].name, "call.offered");
    assert_eq!(infos[0].inputs[0].source, "call_record");
    assert_eq!(infos[0].inputs[0].watches, ["queued_at"]);
    assert_eq!(infos[0].dimensions, ["queue_id"]);
}

proptest! {
    #[test]
    fn minutes_add_up_to_the_day(seconds in prop::collection::vec(0i64..86_400, 0..60)) {
        let mut harness = Harness::<Offered>::new();
        for second in &seconds {
            harness.insert(&Call { queued_at: Some(Time::seconds(*second)), ..call() });
        }
        let rows = harness.outputs();
        let sum = |window: &str| rows.iter().filter(|(key, _)| key.window == window && key.dims == [None])
            .map(|(_, row)| row.int("count")).sum::<i64>();
        for window in ["1m", "15m", "1h", "day"] {
            prop_assert_eq!(sum(window), seconds.len() as i64);
        }
    }
}
