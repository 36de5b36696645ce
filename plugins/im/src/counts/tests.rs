use super::*;
use crate::tests::{STATUSES, active, closed, lived, monday, queued, session};
use proptest::prelude::*;
use weir_metric::harness::Harness;
use weir_metric::metric::Metric;

/// The count in total of the day in which the tests play.
fn day<M: Metric>(harness: &Harness<M>) -> i64 {
    harness.output("day", &[], monday(0)).int("count")
}

fn life() -> [Session<'static>; 4] {
    [session(), queued(), active(), closed()]
}

#[test]
fn a_session_starts_once_in_the_window_of_its_creation() {
    let mut harness = lived::<Started>(&life());
    harness.delete(&closed());
    assert_eq!(harness.samples().len(), 1);
    for window in ["1m", "15m", "1h", "day"] {
        assert_eq!(
            harness.output(window, &[("queue_id", "5"), ("channel", "app")], monday(0)).int("count"),
            1
        );
    }
    assert_eq!(harness.outputs().len(), 4 * 4);
    let corrected = Session { created_at: monday(7), ..session() };
    assert_eq!(lived::<Started>(&[session(), corrected]).samples().len(), 1);
}

#[test]
fn a_session_is_queued_when_queued_at_becomes_set() {
    let moved = Session { queued_at: Some(monday(90)), ..queued() };
    let mut harness = lived::<Queued>(&[session(), queued(), moved, active()]);
    harness.delete(&active());
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.output("1m", &[("queue_id", "5")], monday(60)).int("count"), 1);
    assert_eq!(harness.output("1m", &[], monday(0)).int("count"), 0);
    assert_eq!(day(&lived::<Queued>(&[queued()])), 1, "born queued");
    assert_eq!(day(&lived::<Queued>(&[queued(), session(), queued()])), 2, "and queued again");
    // The time counts, not the status.
    let only_status = Session { status: Text("queued"), ..session() };
    assert!(lived::<Queued>(&[session(), only_status]).samples().is_empty());
}

#[test]
fn a_session_is_missed_in_the_window_in_which_it_was_queued() {
    let missed = Session { status: Text("missed"), ..queued() };
    let touched = Session { queue_id: 6, ..missed };
    let mut harness = lived::<Missed>(&[session(), queued(), missed, touched]);
    harness.delete(&touched);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.output("1m", &[("queue_id", "5")], monday(60)).int("count"), 1);
    assert_eq!(day(&lived::<Missed>(&[missed, queued(), missed])), 2);
    let never_queued = Session { queued_at: None, ..missed };
    let harness = lived::<Missed>(&[session(), never_queued, missed]);
    assert!(harness.samples().is_empty(), "not queued when it became missed");
}

#[test]
fn a_session_is_closed_at_closed_at_with_its_agent() {
    let mut harness = lived::<Closed>(&life());
    harness.update(&closed(), &Session { agent_id: Some(32), closed_at: Some(monday(9_000)), ..closed() });
    harness.delete(&closed());
    assert_eq!(harness.samples().len(), 1);
    let key = [("queue_id", "5"), ("agent_id", "31")];
    assert_eq!(harness.output("1h", &key, monday(5_400)).int("count"), 1);
    assert_eq!(harness.output("1h", &[], monday(0)).int("count"), 0);
    assert_eq!(day(&lived::<Closed>(&[closed(), active(), closed()])), 2);
}

#[test]
fn a_session_closed_without_a_time_is_skipped() {
    let untimed = Session { closed_at: None, ..closed() };
    let harness = lived::<Closed>(&[active(), untimed, closed()]);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!((harness.samples()[0].at, harness.outputs().len()), (None, 0));
}

#[test]
fn the_bot_contains_a_session_that_is_closed_and_was_never_queued() {
    let contained = Session { queued_at: None, agent_id: None, assigned_at: None, ..closed() };
    let mut harness = lived::<BotContained>(&[session(), contained]);
    harness.update(&contained, &Session { channel: Text("web"), ..contained });
    harness.delete(&contained);
    assert_eq!(harness.samples().len(), 1);
    // In the window in which it started, although it was closed later.
    assert_eq!(harness.output("1m", &[("channel", "app")], monday(0)).int("count"), 1);
    assert_eq!(harness.output("1h", &[], monday(5_400)).int("count"), 0);
    assert!(lived::<BotContained>(&life()).samples().is_empty(), "an agent had it");
    let missed = Session { status: Text("missed"), ..session() };
    assert!(lived::<BotContained>(&[session(), missed]).samples().is_empty(), "it was not closed");
    // The after image decides; that queued_at is taken back later is no transition.
    assert!(lived::<BotContained>(&[session(), closed(), contained]).samples().is_empty());
    let untimed = Session { closed_at: None, ..contained };
    assert_eq!(day(&lived::<BotContained>(&[session(), untimed])), 1, "closed_at is not its time");
}

/// States of one session in any order.
fn lives() -> impl Strategy<Value = Vec<Session<'static>>> {
    let state = (0usize..5, prop::option::of(0i64..7_000), prop::option::of(0i64..7_000)).prop_map(
        |(status, queued, closed)| Session {
            status: Text(STATUSES[status]),
            queued_at: queued.map(monday),
            closed_at: closed.map(monday),
            ..session()
        },
    );
    prop::collection::vec(state, 1..30)
}

proptest! {
    #[test]
    fn each_count_is_that_of_the_transitions(life in lives()) {
        let pairs = || std::iter::once((None, life[0])).chain(life.windows(2).map(|w| (Some(w[0]), w[1])));
        let became = |is: &dyn Fn(&Session) -> bool, also: &dyn Fn(&Session) -> bool| {
            let new = pairs().filter(|(before, after)| is(after) && !before.as_ref().is_some_and(is));
            new.filter(|(_, after)| also(after)).count() as i64
        };
        prop_assert_eq!(day(&lived::<Started>(&life)), 1);
        prop_assert_eq!(day(&lived::<Queued>(&life)), became(&|s| s.queued_at.is_some(), &|_| true));
        prop_assert_eq!(day(&lived::<Missed>(&life)), became(&|s| s.status == "missed", &|s| s.queued_at.is_some()));
        prop_assert_eq!(day(&lived::<Closed>(&life)), became(&|s| s.status == "closed", &|s| s.closed_at.is_some()));
        let contained = became(&|s| s.status == "closed", &|s| s.queued_at.is_none());
        prop_assert_eq!(day(&lived::<BotContained>(&life)), contained);
    }
}
