//! The metrics of the board `ticket`, over the source `ticket`.

use weir_metric::prelude::*;

/// A row of the ticket system's table. A metric gets the fields that it names, and no others.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "ticket")]
pub struct Ticket<'a> {
    pub queue_id: i64,
    pub channel: Text<'a>,
    pub priority: i64,
    pub assignee_id: Option<i64>,
    pub status: Text<'a>,
    pub created_at: Time,
    pub first_reply_at: Option<Time>,
}

/// New tickets: rows inserted, at their created_at.
#[metric(
    title = "Tickets created",
    owner = "service-desk",
    dims = [queue_id, channel, priority],
    watch = [created_at]
)]
pub fn created(c: &Change<Ticket>) -> Option<Sample> {
    c.inserted().map(|t| Sample::at(t.created_at))
}

/// Tickets that wait for someone: status new, open or pending.
#[metric(title = "Ticket backlog", owner = "service-desk", dims = [queue_id, priority])]
pub fn backlog(t: &Ticket) -> Option<Sample> {
    t.status.is_in(["new", "open", "pending"]).then(Sample::now)
}

/// What the operator may set for [`first_reply_time`].
#[derive(Clone, Copy, Debug, Config)]
pub struct Settings {
    /// The hours that count for `mean_business`.
    #[default("Mon-Fri 09:00-18:00 UTC")]
    business_hours: BusinessHours,
}

/// Time from creation to the first reply, at the first reply: when first_reply_at becomes set.
#[metric(
    title = "First reply time",
    owner = "service-desk",
    unit = "s",
    dims = [queue_id, assignee_id],
    watch = [first_reply_at],
    values = [wait, business_wait],
    accumulator = (
        of(|v: &(Span, Span)| v.0, (Mean, Quantiles([0.5, 0.9]), Max, Count)),
        of(|v: &(Span, Span)| v.1, Named("mean_business", "The arithmetic mean in business hours.", Mean)),
    )
)]
pub fn first_reply_time(c: &Change<Ticket>, config: &Settings) -> Option<Sample<(Span, Span)>> {
    let (at, t) = c.became_some(|t| t.first_reply_at)?;
    let business = config.business_hours.between(t.created_at, at);
    Some(Sample::at(at).value((at - t.created_at, business)))
}

export_plugin!(Created, Backlog, FirstReplyTime);

#[cfg(test)]
mod tests;
