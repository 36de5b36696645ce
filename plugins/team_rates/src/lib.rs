//! The derived metrics of the board `team`.

use weir_metric::derived::prelude::*;

/// Slots in use ÷ slots of the agents that are not offline, as they stand.
#[derived(
    name = "agent.utilisation",
    title = "Slot utilisation",
    owner = "team-leads",
    bases = [agent.slots(used, slots)],
    dims = [queue_id],
    now,
    outputs = [ratio, used, slots],
    extra = [("board", "team")]
)]
pub fn utilisation(used: i64, slots: i64) -> Ratio {
    Ratio::of(used, slots)
}

/// Time on contacts and in wrap-up ÷ that and the time available (cohort).
#[derived(
    name = "agent.occupancy",
    title = "Occupancy",
    owner = "team-leads",
    bases = [agent.state_time(on_contact, wrapup, available)],
    dims = [queue_id, agent_id],
    windows = ["15m", "1h", "day"],
    outputs = [ratio, busy, staffed],
    unit = "s",
    extra = [("board", "team"), ("form", "table")]
)]
pub fn occupancy(on_contact: f64, wrapup: f64, available: f64) -> Ratio<f64> {
    let busy = on_contact + wrapup;
    Ratio::of(busy, busy + available)
}

export_derived!(Utilisation, Occupancy);

#[cfg(test)]
mod tests;
