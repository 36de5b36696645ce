//! My metrics.

use weir_metric::prelude::*;

/// A row of the source `order`, as declared in weir.toml.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "order")]
pub struct Order<'a> {
    pub shop_id: i64,
    pub state: Text<'a>,
    pub ordered_at: Time,
    pub paid_at: Option<Time>,
}

/// Time from order to payment, when paid_at becomes set.
#[metric(
    title = "Time to payment",
    owner = "my-team",
    unit = "s",
    dims = [shop_id],
    watch = [paid_at],
    accumulator = (Mean, Quantiles([0.9]), Count)
)]
pub fn time_to_payment(c: &Change<Order>) -> Option<Sample<Span>> {
    let (at, order) = c.became_some(|o| o.paid_at)?;
    Some(Sample::at(at).value(at - order.ordered_at))
}

/// Orders that wait for payment.
#[metric(title = "Unpaid orders", owner = "my-team", dims = [shop_id])]
pub fn unpaid(o: &Order) -> Option<Sample> {
    (o.state == "open" && o.paid_at.is_none()).then(Sample::now)
}

export_plugin!(TimeToPayment, Unpaid);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_metric::harness::Harness;

    fn order() -> Order<'static> {
        Order { shop_id: 1, state: Text("open"), ordered_at: Time::seconds(0), paid_at: None }
    }

    #[test]
    fn a_payment_counts_once_at_its_time() {
        let paid = Order { paid_at: Some(Time::seconds(90)), ..order() };
        let mut harness = Harness::<TimeToPayment>::new();
        harness.insert(&order());
        harness.update(&order(), &paid);
        harness.update(&paid, &Order { state: Text("shipped"), ..paid });
        let out = harness.output("1m", &[("shop_id", "1")], Time::seconds(90));
        assert_eq!((out.float("mean"), out.int("count")), (90.0, 1));
        assert_eq!(harness.output("1m", &[], Time::seconds(0)).int("count"), 0);
    }

    #[test]
    fn a_paid_order_no_longer_waits() {
        let mut harness = Harness::<Unpaid>::new();
        harness.insert(&order());
        assert_eq!(harness.output("now", &[], Time::seconds(0)).int("count"), 1);
        harness.update(&order(), &Order { paid_at: Some(Time::seconds(5)), ..order() });
        assert_eq!(harness.output("now", &[], Time::seconds(0)).int("count"), 0);
    }
}
