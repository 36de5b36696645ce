use super::prelude::*;
use super::*;

/// Lost of sent.
#[derived(
    bases = [parcel.lost(count), parcel.sent(count, weight)],
    dims = [depot_id, carrier],
    dimension_sets = [[], [depot_id]],
    outputs = [ratio, lost, sent],
    extra = [("board", "post")]
)]
fn loss_rate(lost: i64, sent: i64, _weight: Option<f64>) -> Ratio {
    Ratio::of(lost, sent)
}

/// Sent less lost.
#[derived(name = "post.left", bases = [parcel.sent(count), parcel.lost(count)], now)]
fn left(sent: i64, lost: i64) -> i64 {
    sent.wrapping_sub(lost)
}

/// Share of time at work.
#[derived(bases = [staff.time(work, idle)], windows = ["15m", "day"], unit = "s")]
fn at_work(work: f64, idle: f64) -> Ratio<f64> {
    Ratio::of(work, work + idle)
}

#[test]
fn a_description_says_what_the_author_wrote() {
    let info = describe::<LossRate>();
    assert_eq!((info.name.as_str(), info.unit.as_str()), ("parcel.loss_rate", "1"));
    assert_eq!(info.description, "Lost of sent.");
    let base = |metric: &str, outputs: &[&str]| Base {
        metric: metric.into(),
        outputs: outputs.iter().map(|o| o.to_string()).collect(),
    };
    assert_eq!(info.bases, [base("parcel.lost", &["count"]), base("parcel.sent", &["count", "weight"])]);
    assert_eq!(info.dimension_sets, [vec![], vec!["depot_id".to_string()]]);
    let names: Vec<&str> = info.outputs.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["ratio", "lost", "sent"]);
    assert!(info.outputs[0].nullable && !info.outputs[1].nullable);
    assert!(info.extra.contains(&("board".into(), "post".into())));
    assert_eq!(describe::<Left>().windows, [Window::Now]);
    assert_eq!(describe::<Left>().name, "post.left");
    assert_eq!(describe::<AtWork>().outputs[1].unit, "s");
    assert_eq!(describe::<AtWork>().windows, [Window::Tumbling(900_000_000), Window::Day]);
}

#[test]
fn a_ratio_over_nothing_or_less_has_no_value() {
    let of = |lost, sent| Computed::of::<LossRate>(&[Some(Given::Int(lost)), Some(Given::Int(sent)), None]);
    assert_eq!(of(1, 4).float("ratio"), 0.25);
    for sent in [0, -3] {
        assert!(of(1, sent).is_null("ratio"));
        assert_eq!((of(1, sent).int("lost"), of(1, sent).int("sent")), (1, sent));
    }
    let at_work = |a, b| Computed::of::<AtWork>(&[Some(Given::Float(a)), Some(Given::Float(b))]);
    assert_eq!(at_work(90.0, 30.0).float("ratio"), 0.75);
    assert!(at_work(0.0, 0.0).is_null("ratio"));
    assert!(at_work(f64::INFINITY, 0.0).is_null("ratio"));
}

#[test]
fn rows_are_computed_each_by_itself() {
    let packed = |values: &[i64]| Column {
        values: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..Column::default()
    };
    let none = vec![Dictionary::default(); 2];
    let outputs = compute::<Left>(3, &[packed(&[5, 1, 0]), packed(&[2, 4, 0])], &none).expect("rows");
    assert_eq!(outputs.columns, [packed(&[3, -3, 0])]);
}

#[test]
fn wrong_columns_are_an_error_and_no_panic() {
    let none = vec![Dictionary::default(); 2];
    assert!(compute::<Left>(1, &[Column::default()], &none[..1]).is_err());
    assert!(compute::<Left>(1, &[Column::default(), Column::default()], &none).is_err());
    let entries = Plugin { entries: vec![entry::<Left>()] };
    assert!(entries.find("post.left").is_ok());
    assert!(entries.find("post.right").is_err_and(|why| why.contains("post.left")));
}
