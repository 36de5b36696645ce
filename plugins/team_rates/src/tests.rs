use super::*;
use weir_metric::derived::describe;
use weir_metric::raw::{ValueType, Window};

#[test]
fn utilisation_is_used_of_all_slots_as_they_stand() {
    let of = |used, slots| Computed::of::<Utilisation>(&[Some(Given::Int(used)), Some(Given::Int(slots))]);
    let out = of(3, 12);
    assert_eq!((out.float("ratio"), out.int("used"), out.int("slots")), (0.25, 3, 12));
    assert!(of(0, 0).is_null("ratio"), "everybody is offline");
    assert_eq!(describe::<Utilisation>().windows, [Window::Now]);
}

#[test]
fn occupancy_leaves_breaks_and_errors_out() {
    let given = [600.0, 300.0, 300.0].map(|seconds| Some(Given::Float(seconds)));
    let out = Computed::of::<Occupancy>(&given);
    assert_eq!((out.float("ratio"), out.float("busy"), out.float("staffed")), (0.75, 900.0, 1200.0));
    assert!(Computed::of::<Occupancy>(&[Some(Given::Float(0.0)); 3]).is_null("ratio"));
}

#[test]
fn both_stand_on_the_team_board_and_occupancy_as_a_table() {
    let has = |extra: &[(String, String)], key: &str, value: &str| {
        extra.iter().any(|(k, v)| k == key && v == value)
    };
    let (now, table) = (describe::<Utilisation>(), describe::<Occupancy>());
    assert!(has(&now.extra, "board", "team") && has(&table.extra, "board", "team"));
    assert!(has(&table.extra, "form", "table") && !has(&now.extra, "form", "table"));
    assert_eq!(table.outputs[1].value_type, ValueType::Float);
    assert_eq!((table.outputs[0].unit.as_str(), table.outputs[1].unit.as_str()), ("1", "s"));
}
