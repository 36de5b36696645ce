use super::*;

fn given<const N: usize>(counts: [i64; N]) -> [Option<Given>; N] {
    counts.map(|count| Some(Given::Int(count)))
}

#[test]
fn the_service_level_leaves_short_abandons_out_of_what_is_counted() {
    let out = Computed::of::<ServiceLevel>(&given([8, 12, 2]));
    assert_eq!((out.float("ratio"), out.int("in_target"), out.int("counted")), (0.8, 8, 10));
    let out = Computed::of::<ServiceLevel>(&given([0, 2, 2]));
    assert!(out.is_null("ratio"));
    assert_eq!(out.int("counted"), 0);
}

#[test]
fn late_offers_may_leave_less_than_nothing_to_divide_by_and_then_there_is_no_ratio() {
    let out = Computed::of::<ServiceLevel>(&given([0, 1, 2]));
    assert!(out.is_null("ratio"));
    assert_eq!(out.int("counted"), -1);
}

#[test]
fn rates_name_what_they_divide() {
    let out = Computed::of::<AbandonRate>(&given([1, 5]));
    assert_eq!((out.float("ratio"), out.int("abandoned"), out.int("offered")), (0.2, 1, 5));
    let out = Computed::of::<TransferRate>(&given([3, 4]));
    assert_eq!((out.float("ratio"), out.int("transferred_out"), out.int("answered")), (0.75, 3, 4));
    let names: Vec<String> = plugin().describe().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["call.abandon_rate", "call.service_level", "call.transfer_rate"]);
}
