use super::*;
use crate::tests::monday;
use weir_metric::harness::{Harness, summary};
use weir_metric::metric::describe;

fn opened(channel: &'static str, customer_id: i64) -> Opened<'static> {
    Opened { channel: Text(channel), customer_id, created_at: monday(10) }
}

fn count(harness: &Harness<Customers>, window: &str, dims: &[(&str, &str)]) -> i64 {
    harness.output(window, dims, monday(10)).int("count")
}

#[test]
fn a_customer_counts_once_however_many_tickets_there_are() {
    let mut harness = Harness::<Customers>::new();
    for (channel, customer) in [("web", 1), ("web", 1), ("web", 2), ("app", 1), ("email", -3)] {
        harness.insert(&opened(channel, customer));
    }
    for window in ["1m", "15m", "1h", "day"] {
        assert_eq!(count(&harness, window, &[]), 3);
    }
    let by_channel = ["web", "app", "email", "phone"].map(|c| count(&harness, "1h", &[("channel", c)]));
    assert_eq!(by_channel, [2, 1, 1, 0]);
}

#[test]
fn only_the_insert_counts_in_the_window_of_created_at() {
    let mut harness = Harness::<Customers>::new();
    harness.insert(&opened("web", 1));
    harness.update(&opened("web", 1), &opened("app", 2));
    harness.update(&opened("web", 1), &Opened { created_at: monday(11), ..opened("web", 9) });
    harness.delete(&opened("web", 3));
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.output("1h", &[], monday(11)).int("count"), 0);
}

#[test]
fn many_customers_are_counted_within_two_percent() {
    let mut harness = Harness::<Customers>::new();
    (0..12_000).for_each(|customer| harness.insert(&opened("web", 70_000 + 3 * customer)));
    let count = count(&harness, "day", &[("channel", "web")]);
    assert!((count - 12_000).abs() <= 240, "{count}");
}

#[test]
fn customers_are_defined_as_in_the_catalogue() {
    assert_eq!(
        summary(&describe::<Customers>()),
        "ticket.customers: 1m 15m 1h day; ticket by channel; watch created_at; count int"
    );
}
