use super::*;
use crate::tests::*;
use proptest::prelude::*;
use weir_metric::harness::{Harness, Out};

#[test]
fn a_call_is_offered_once_when_it_is_queued() {
    let harness = life::<Offered>(&[call(), queued(), queued(), taken(), done()]);
    assert_eq!(harness.samples().len(), 1);
    for window in ["1m", "15m", "1h", "day"] {
        assert_eq!(harness.output(window, &[("queue_id", "3")], at(10)).int("count"), 1);
    }
    assert_eq!(harness.outputs().len(), 2 * 4);
}

#[test]
fn a_call_that_is_born_queued_counts_and_one_that_is_queued_again_counts_twice() {
    let harness = life::<Offered>(&[queued(), call(), Call { queued_at: Some(at(70)), ..queued() }]);
    assert_eq!(harness.output("day", &[], at(10)).int("count"), 2);
    assert_eq!(harness.output("1m", &[], at(70)).int("count"), 1);
}

#[test]
fn only_inbound_calls_are_offered() {
    for direction in ["outbound", "callback", "inbounds", "Inbound", ""] {
        let other = Call { direction: Text(direction), ..queued() };
        assert!(life::<Offered>(&[call(), other]).samples().is_empty(), "{direction}");
        assert!(life::<Callers>(&[call(), other]).samples().is_empty(), "{direction}");
        assert!(life::<BusiestCustomers>(&[call(), other]).samples().is_empty(), "{direction}");
    }
    assert!(life::<BusiestCustomers>(&[call(), given_up(), done()]).samples().len() == 1);
}

#[test]
fn callers_are_counted_once_however_often_they_call() {
    let mut harness = Harness::<Callers>::new();
    for (customer_id, queue_id) in [(1, 3), (1, 3), (2, 3), (1, 4), (-7, 4)] {
        harness.insert(&Call { customer_id, queue_id, ..queued() });
    }
    let count = |dims: &[(&str, &str)]| harness.output("1h", dims, at(10)).int("count");
    assert_eq!((count(&[]), count(&[("queue_id", "3")]), count(&[("queue_id", "4")])), (3, 2, 2));
    assert_eq!(harness.output("1h", &[], at(9_000)).int("count"), 0);
}

fn list(values: &[i64]) -> Out {
    Out::List(values.iter().map(|value| Out::Int(*value)).collect())
}

#[test]
fn the_ten_customers_who_call_most_stand_in_order_and_equal_ones_by_id() {
    let mut harness = Harness::<BusiestCustomers>::new();
    for customer_id in (1..=12).rev() {
        // 1 to 4 call once, 5 to 8 twice, 9 to 12 three times.
        for _ in 0..(customer_id + 3) / 4 {
            harness.insert(&Call { customer_id, ..queued() });
        }
    }
    let out = harness.output("day", &[], at(10));
    assert_eq!(*out.get("ids"), list(&[9, 10, 11, 12, 5, 6, 7, 8, 1, 2]));
    assert_eq!(*out.get("counts"), list(&[3, 3, 3, 3, 2, 2, 2, 2, 1, 1]));
    let nothing = harness.output("1m", &[], at(9_000));
    assert_eq!((nothing.get("ids"), nothing.get("counts")), (&list(&[]), &list(&[])));
    assert_eq!(harness.info().dimensions, [""; 0]);
}

proptest! {
    #[test]
    fn minutes_add_up_to_the_day(seconds in prop::collection::vec(0i64..40_000, 0..60)) {
        let mut harness = Harness::<Offered>::new();
        for second in &seconds {
            harness.insert(&Call { queued_at: Some(at(*second)), ..queued() });
        }
        let rows = harness.outputs();
        let sum = |window: &str| rows.iter().filter(|(key, _)| key.window == window && key.dims == [None])
            .map(|(_, row)| row.int("count")).sum::<i64>();
        for window in ["1m", "15m", "1h", "day"] {
            prop_assert_eq!(sum(window), seconds.len() as i64);
        }
    }
}
