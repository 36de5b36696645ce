//! The derived metrics of the board `call`.

use weir_metric::derived::prelude::*;

/// Calls abandoned ÷ calls offered (cohort).
#[derived(
    title = "Abandon rate",
    owner = "call-centre",
    bases = [call.abandoned(count), call.offered(count)],
    dims = [queue_id],
    outputs = [ratio, abandoned, offered]
)]
pub fn abandon_rate(abandoned: i64, offered: i64) -> Ratio {
    Ratio::of(abandoned, offered)
}

/// Calls answered within the target ÷ calls offered but for those abandoned at once (cohort).
#[derived(
    title = "Service level",
    owner = "call-centre",
    bases = [call.answered_in_target(count), call.offered(count), call.short_abandons(count)],
    dims = [queue_id],
    outputs = [ratio, in_target, counted]
)]
pub fn service_level(in_target: i64, offered: i64, short_abandons: i64) -> Ratio {
    Ratio::of(in_target, offered.wrapping_sub(short_abandons))
}

/// Calls transferred out ÷ calls answered (cohort).
#[derived(
    title = "Transfer rate",
    owner = "call-centre",
    bases = [call.transferred_out(count), call.answered(count)],
    dims = [queue_id],
    outputs = [ratio, transferred_out, answered]
)]
pub fn transfer_rate(transferred_out: i64, answered: i64) -> Ratio {
    Ratio::of(transferred_out, answered)
}

export_derived!(AbandonRate, ServiceLevel, TransferRate);

#[cfg(test)]
mod tests;
