use super::*;
use crate::tests::{STATUSES, active, closed, lived, monday, queued, session};
use proptest::prelude::*;
use weir_metric::harness::Harness;
use weir_metric::metric::Metric;

fn count<M: Metric>(harness: &Harness<M>, dims: &[(&str, &str)]) -> i64 {
    harness.output("now", dims, Time(0)).int("count")
}

fn oldest(harness: &Harness<LongestWait>, dims: &[(&str, &str)]) -> Option<Time> {
    harness.output("now", dims, Time(0)).time("oldest_at")
}

#[test]
fn a_session_waits_while_it_is_queued_and_is_active_while_an_agent_has_it() {
    let life = [session(), queued(), active(), closed()];
    for (steps, waiting, is_active) in [(1, 0, 0), (2, 1, 0), (3, 0, 1), (4, 0, 0)] {
        assert_eq!(count(&lived::<Waiting>(&life[..steps]), &[("queue_id", "5")]), waiting, "{steps} steps");
        let key = [("queue_id", "5"), ("agent_id", "31")];
        assert_eq!(count(&lived::<Active>(&life[..steps]), &key), is_active, "{steps} steps");
    }
    for status in STATUSES {
        let row = Session { status: Text(status), ..session() };
        assert_eq!(count(&lived::<Waiting>(&[row]), &[]), i64::from(status == "queued"));
        assert_eq!(count(&lived::<Active>(&[row]), &[]), i64::from(status == "active"));
    }
}

#[test]
fn a_session_handed_over_is_active_with_its_new_agent_and_gone_when_deleted() {
    let handed = Session { agent_id: Some(32), queue_id: 6, ..active() };
    let mut harness = lived::<Active>(&[active(), handed]);
    assert_eq!(count(&harness, &[("agent_id", "31")]), 0);
    assert_eq!(count(&harness, &[("queue_id", "6"), ("agent_id", "32")]), 1);
    harness.delete(&handed);
    assert_eq!(count(&harness, &[]), 0);
}

#[test]
fn the_longest_wait_is_the_least_queued_at_of_those_that_still_wait() {
    let at = |seconds| Session { queued_at: Some(monday(seconds)), ..queued() };
    let mut harness = lived::<LongestWait>(&[at(30)]);
    harness.insert(&at(10));
    harness.insert(&Session { queue_id: 6, ..at(20) });
    assert_eq!(oldest(&harness, &[]), Some(monday(10)));
    assert_eq!(oldest(&harness, &[("queue_id", "6")]), Some(monday(20)));
    harness.update(&at(10), &Session { status: Text("active"), ..at(10) });
    assert_eq!(oldest(&harness, &[]), Some(monday(20)));
    assert_eq!(oldest(&harness, &[("queue_id", "5")]), Some(monday(30)));
    harness.delete(&at(30));
    assert_eq!(oldest(&harness, &[("queue_id", "5")]), None);
    // In the queue without a time: there is nothing to wait from.
    harness.insert(&Session { queued_at: None, ..queued() });
    assert_eq!(oldest(&harness, &[("queue_id", "5")]), None);
}

proptest! {
    #[test]
    fn what_counts_is_what_stands_in_the_table(
        lives in prop::collection::vec(prop::collection::vec((0usize..5, 0i64..2, 0i64..9), 1..6), 1..9),
    ) {
        let state = |(status, queue_id, second): &(usize, i64, i64)| {
            let queued_at = Some(monday(*second));
            Session { status: Text(STATUSES[*status]), queue_id: *queue_id, queued_at, ..session() }
        };
        let lives: Vec<Vec<Session>> = lives.iter().map(|life| life.iter().map(state).collect()).collect();
        let (mut waiting, mut active) = (Harness::<Waiting>::new(), Harness::<Active>::new());
        let mut longest = Harness::<LongestWait>::new();
        for life in &lives {
            waiting.insert(&life[0]);
            active.insert(&life[0]);
            longest.insert(&life[0]);
            for pair in life.windows(2) {
                waiting.update(&pair[0], &pair[1]);
                active.update(&pair[0], &pair[1]);
                longest.update(&pair[0], &pair[1]);
            }
        }
        let standing: Vec<&Session> = lives.iter().filter_map(|life| life.last()).collect();
        for queue in 0..2 {
            let of = |status: &'static str| standing.iter().filter(move |s| s.queue_id == queue && s.status == status);
            let text = queue.to_string();
            let key = [("queue_id", text.as_str())];
            prop_assert_eq!(count(&waiting, &key), of("queued").count() as i64);
            prop_assert_eq!(count(&active, &key), of("active").count() as i64);
            prop_assert_eq!(oldest(&longest, &key), of("queued").filter_map(|s| s.queued_at).min());
        }
    }
}
