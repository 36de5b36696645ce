use super::*;
use crate::tests::*;
use proptest::prelude::*;
use weir_metric::harness::Harness;

const STATUSES: [&str; 8] = ["ivr", "queued", "ringing", "talking", "held", "wrapup", "done", "abandoned"];

fn count<M: weir_metric::metric::Metric>(harness: &Harness<M>, dims: &[(&str, &str)]) -> i64 {
    harness.output("now", dims, Time(0)).int("count")
}

#[test]
fn the_queue_and_the_active_calls_follow_status_queue_and_delete() {
    let (mut waiting, mut active) = (Harness::<InQueue>::new(), Harness::<Active>::new());
    waiting.insert(&call());
    active.insert(&call());
    let mut row = call();
    for (status, waits, is_active) in [
        ("queued", 1, 0),
        ("ringing", 0, 1),
        ("queued", 1, 0),
        ("ringing", 0, 1),
        ("talking", 0, 1),
        ("held", 0, 1),
        ("wrapup", 0, 0),
        ("done", 0, 0),
        ("Queued", 0, 0),
        ("queued", 1, 0),
    ] {
        let next = Call { status: Text(status), ..row };
        waiting.update(&row, &next);
        active.update(&row, &next);
        row = next;
        assert_eq!((count(&waiting, &[]), count(&active, &[])), (waits, is_active), "{status}");
    }
    let moved = Call { queue_id: 8, ..row };
    waiting.update(&row, &moved);
    assert_eq!(count(&waiting, &[("queue_id", "3")]), 0);
    assert_eq!(count(&waiting, &[("queue_id", "8")]), 1);
    waiting.delete(&moved);
    assert_eq!(count(&waiting, &[]), 0);
}

proptest! {
    #[test]
    fn what_stands_is_what_the_table_holds(
        lives in prop::collection::vec(prop::collection::vec((0usize..8, 0i64..3), 1..8), 1..8),
    ) {
        let (mut waiting, mut active) = (Harness::<InQueue>::new(), Harness::<Active>::new());
        let mut last = Vec::new();
        for life in &lives {
            let mut row = call();
            waiting.insert(&row);
            active.insert(&row);
            for (status, queue_id) in life {
                let next = Call { status: Text(STATUSES[*status]), queue_id: *queue_id, ..row };
                waiting.update(&row, &next);
                active.update(&row, &next);
                row = next;
            }
            last.push(row);
        }
        let standing = |kinds: &[&str]| last.iter().filter(|row| kinds.contains(&row.status.as_str())).count() as i64;
        prop_assert_eq!(count(&waiting, &[]), standing(&["queued"]));
        prop_assert_eq!(count(&active, &[]), standing(&["ringing", "talking", "held"]));
    }
}
