//! The customers behind the new tickets.

use weir_metric::prelude::*;

/// A ticket as this metric looks at it.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "ticket")]
pub struct Opened<'a> {
    pub channel: Text<'a>,
    pub customer_id: i64,
    pub created_at: Time,
}

/// How many different customers' tickets were created, by customer_id, at created_at.
#[metric(
    title = "Customers with new tickets",
    owner = "service-desk",
    dims = [channel],
    watch = [created_at],
    values = [customer_id],
    accumulator = Distinct
)]
pub fn customers(c: &Change<Opened>) -> Option<Sample<i64>> {
    c.inserted().map(|t| Sample::at(t.created_at).value(t.customer_id))
}

#[cfg(test)]
mod tests;
