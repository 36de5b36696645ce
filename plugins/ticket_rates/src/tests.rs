use super::*;
use weir_metric::derived::{Derived, describe};
use weir_metric::harness::Row;

fn of<D: Derived>(first: i64, second: i64) -> Row {
    Computed::of::<D>(&[Some(Given::Int(first)), Some(Given::Int(second))])
}

#[test]
fn the_net_change_is_what_came_less_what_was_solved_and_may_be_negative() {
    assert_eq!(of::<NetChange>(7, 3).int("count"), 4);
    assert_eq!(of::<NetChange>(3, 7).int("count"), -4);
    assert_eq!(of::<NetChange>(0, 0).int("count"), 0);
}

#[test]
fn a_rate_names_what_it_divides() {
    let out = of::<ReopenRate>(1, 4);
    assert_eq!((out.float("ratio"), out.int("reopened"), out.int("solved")), (0.25, 1, 4));
    let out = of::<OneTouchRate>(3, 4);
    assert_eq!((out.float("ratio"), out.int("one_touch"), out.int("solved")), (0.75, 3, 4));
    let out = of::<SlaFirstReplyRate>(9, 10);
    assert_eq!((out.float("ratio"), out.int("met"), out.int("total")), (0.9, 9, 10));
    let out = of::<EscalationRate>(1, 8);
    assert_eq!((out.float("ratio"), out.int("escalated"), out.int("created")), (0.125, 1, 8));
}

#[test]
fn a_flow_may_exceed_one_and_has_no_value_over_nothing() {
    assert_eq!(of::<ReopenRate>(3, 2).float("ratio"), 1.5);
    let out = of::<ReopenRate>(3, 0);
    assert!(out.is_null("ratio"));
    assert_eq!((out.int("reopened"), out.int("solved")), (3, 0));
}

#[test]
fn names_are_those_of_the_catalogue() {
    let names: Vec<String> = plugin().describe().into_iter().map(|info| info.name).collect();
    let rates = ["net_change", "reopen_rate", "one_touch_rate", "sla_first_reply_rate", "escalation_rate"];
    assert_eq!(names, rates.map(|name| format!("ticket.{name}")));
    assert_eq!(describe::<EscalationRate>().dimensions, ["queue_id", "priority"]);
}
