//! The derived metrics of the board `im`.

use weir_metric::derived::prelude::*;

/// Sessions missed ÷ sessions queued (cohort).
#[derived(
    title = "Missed rate",
    owner = "im-desk",
    bases = [im.missed(count), im.queued(count)],
    dims = [queue_id],
    outputs = [ratio, missed, queued]
)]
pub fn missed_rate(missed: i64, queued: i64) -> Ratio {
    Ratio::of(missed, queued)
}

/// Sessions that the bot closed ÷ sessions started (cohort).
#[derived(
    title = "Bot containment",
    owner = "im-desk",
    bases = [im.bot_contained(count), im.started(count)],
    dims = [channel],
    outputs = [ratio, bot_contained, started]
)]
pub fn bot_containment(bot_contained: i64, started: i64) -> Ratio {
    Ratio::of(bot_contained, started)
}

export_derived!(MissedRate, BotContainment);

#[cfg(test)]
mod tests;
